/**
 * The seed that a virtual runtime takes when it is not given one, so that a test that knows nothing of seeds
 * can be run under many. Only set while a run under a seed is going on.
 */

import { UsageError } from "../coordinator/errors.ts";

export interface AmbientSeed {
  /** Null: first come, first served. */
  seed: number | null;
  /** Runtimes that took it: 0 after a run means that another seed would change nothing. */
  taken: number;
  /** Times that it decided between several tasks: 0 after a run means the same. */
  decided: number;
  /** The program counts on first come, first served: its runtimes take no seed. */
  ordered: boolean;
}

/** Throws for what is no seed; `where` says where it was found. */
export function checkSeed(seed: unknown, where: string): number {
  // A number of the environment is text; what is empty or "1e3" there is a slip.
  const number = typeof seed === "string" && /^\d+$/.test(seed) ? Number(seed) : seed;
  if (typeof number === "number" && Number.isInteger(number) && number >= 0 && number <= SEED_MAX)
    return number;
  const what = typeof seed === "string" ? `"${seed}"` : String(seed);
  throw new UsageError("COOP_SEEDS", `${where} is ${what}: a seed is a whole number from 0 to ${SEED_MAX}`);
}

const SEED_MAX = 0xffff_ffff;

/** On the global object: a test runner may have loaded this file more than once. */
const KEY = Symbol.for("cooperator.testing.seed");

/** The one record of this thread. */
export function ambientSeed(): AmbientSeed {
  const global = globalThis as unknown as Record<symbol, AmbientSeed | undefined>;
  global[KEY] ??= { seed: null, taken: 0, decided: 0, ordered: false };
  return global[KEY];
}
