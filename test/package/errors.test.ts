/** docs/errors.md has every code that is thrown, and none that is not. */
import { readdirSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";

const root = new URL("../../", import.meta.url);
/** Variables of the environment, whose names look the same. */
const VARIABLES = new Set(["COOP_SEED"]);

function codesIn(text: string, pattern: RegExp): string[] {
  return [...text.matchAll(pattern)].map(([, code]) => code!);
}

test("docs/errors.md has every code, and no other", () => {
  const thrown = new Set<string>();
  for (const file of readdirSync(new URL("src", root), { recursive: true, encoding: "utf8" })) {
    if (!file.endsWith(".ts")) continue;
    const code = readFileSync(new URL(`src/${file}`, root), "utf8");
    for (const each of codesIn(code, /"(COOP_[A-Z_]+)"/g)) if (!VARIABLES.has(each)) thrown.add(each);
  }
  expect(thrown.size).toBeGreaterThan(50);
  const told = codesIn(readFileSync(new URL("docs/errors.md", root), "utf8"), /`(COOP_[A-Z_]+)`/g);
  expect([...told].sort()).toEqual([...thrown].sort());
});
