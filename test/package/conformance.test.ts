/** The page that says which conformance cases are proven tells the truth. */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

test("docs/conformance.md is up to date, and no case is forgotten", () => {
  const script = fileURLToPath(new URL("../../scripts/conformance.mjs", import.meta.url));
  const { status, stderr } = spawnSync(process.execPath, [script, "--check"], { encoding: "utf8" });
  expect(stderr).toBe("");
  expect(status).toBe(0);
});
