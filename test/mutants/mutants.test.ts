/** The planted bugs are still bugs: each applies to one place. scripts/mutants.mjs finds out who notices. */
import { readdirSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { mutants } from "./mutants.ts";
import { mutate } from "./plugin.ts";

const root = new URL("../../", import.meta.url);

test.each(mutants)("applies: $name", (mutant) => {
  const code = readFileSync(new URL(`src/${mutant.file}`, root), "utf8");
  expect(mutate(mutant, code)).not.toBe(code);
});

test("the tests that must notice are there, and no two mutants are the same", () => {
  const files = readdirSync(new URL("test", root), { recursive: true, encoding: "utf8" });
  for (const { name, tests } of mutants) {
    for (const test of tests)
      expect(
        files.some((file) => file.startsWith(test)),
        `${name}: ${test}`,
      ).toBe(true);
  }
  expect(new Set(mutants.map(({ file, from, to }) => `${file} ${from} ${to}`)).size).toBe(mutants.length);
  expect(new Set(mutants.map(({ name }) => name)).size).toBe(mutants.length);
});

test("a place that is gone, or there twice, is an error and no silent pass", () => {
  expect(() => mutate(mutants[0]!, "")).toThrow("occurs 0 times");
  expect(() => mutate(mutants[0]!, mutants[0]!.from.repeat(2))).toThrow("occurs 2 times");
});
