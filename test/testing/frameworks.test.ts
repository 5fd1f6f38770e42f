/** The toolkit needs no test framework: it works in Node's own runner, and its failures are failures there. */
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { dist } from "../support/children.ts";

const file = fileURLToPath(new URL("children/node-test.mjs", import.meta.url));

function nodeTest(env: Record<string, string>): { status: number | null; stdout: string } {
  const { NODE_TEST_CONTEXT: _, ...inherited } = process.env;
  return spawnSync(process.execPath, ["--test", "--test-reporter=tap", file], {
    encoding: "utf8",
    env: { ...inherited, DIST: dist, ...env },
    timeout: 30_000,
  });
}

test("node --test runs a file that uses it, and sees a seed that fails", () => {
  const passed = nodeTest({});
  expect(passed.stdout).toContain("# fail 0");
  expect(passed.status).toBe(0);
  const failed = nodeTest({ FAIL: "1" });
  expect(failed.stdout).toContain("seed 2: ");
  expect(failed.stdout).toContain("# fail 1");
  expect(failed.status).toBe(1);
}, 60_000);

test("no file of the toolkit knows of a framework", () => {
  const folder = new URL("../../src/testing/", import.meta.url);
  for (const name of readdirSync(folder, { recursive: true, encoding: "utf8" })) {
    if (!name.endsWith(".ts")) continue;
    expect(readFileSync(new URL(name, folder), "utf8"), name).not.toMatch(/from "(vitest|node:|fast-check)/);
  }
});
