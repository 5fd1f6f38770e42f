/** Applies the mutant that `COOP_MUTANT` numbers, while the tests are loaded. */
import { fileURLToPath } from "node:url";
import { type Mutant, mutants } from "./mutants.ts";

const src = fileURLToPath(new URL("../../src/", import.meta.url));

/** The source with the bug in it; an error when the place is not there, or there twice. */
export function mutate(mutant: Mutant, code: string): string {
  const parts = code.split(mutant.from);
  if (parts.length !== 2) {
    throw new Error(`mutant "${mutant.name}": its place occurs ${parts.length - 1} times in ${mutant.file}`);
  }
  return parts.join(mutant.to);
}

/** A plugin of Vite; does nothing when no mutant is asked for. */
export function mutantPlugin(): {
  name: string;
  enforce: "pre";
  transform(code: string, id: string): string | null;
} {
  const chosen = process.env.COOP_MUTANT;
  const mutant = chosen === undefined ? undefined : mutants[Number(chosen)];
  if (chosen !== undefined && mutant === undefined) throw new Error(`there is no mutant ${chosen}`);
  return {
    name: "mutant",
    enforce: "pre",
    transform(code, id) {
      return mutant !== undefined && id.split("?")[0] === src + mutant.file ? mutate(mutant, code) : null;
    },
  };
}
