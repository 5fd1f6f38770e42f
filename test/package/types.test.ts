/** What is shipped type-checks as it is, for whoever does not skip the check of libraries. */
import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const root = fileURLToPath(new URL("../../", import.meta.url));

test("the declarations in dist/ have no errors: nothing that is internal is missing in them", () => {
  const entries = readdirSync(`${root}dist`, { recursive: true, encoding: "utf8" })
    .filter((file) => /(^|\/)index\.d\.ts$/.test(file))
    .map((file) => `dist/${file}`);
  expect(entries.length).toBeGreaterThan(8);
  const options =
    "--ignoreConfig --noEmit --strict --exactOptionalPropertyTypes --module nodenext --target es2022 " +
    "--lib es2022,esnext.disposable --types node";
  const compiler = `${root}node_modules/typescript/bin/tsc`;
  const { stdout, stderr } = spawnSync(process.execPath, [compiler, ...options.split(" "), ...entries], {
    cwd: root,
    encoding: "utf8",
  });
  expect(stderr).toBe("");
  // Those of other packages are theirs.
  const ours = stdout.split("\n").filter((line) => /^(dist|error)/.test(line));
  expect(ours).toEqual([]);
}, 60_000);
