/** The public names, so that none appears or goes by accident. */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";

const entries = {
  ".": () => import("../../src/index.ts"),
  "./coordinator": () => import("../../src/coordinator/index.ts"),
  "./handle": () => import("../../src/handle/index.ts"),
  "./time": () => import("../../src/time/index.ts"),
  "./io": () => import("../../src/io/index.ts"),
  "./sync": () => import("../../src/sync/index.ts"),
  "./async": () => import("../../src/async/index.ts"),
  "./streams": () => import("../../src/streams/index.ts"),
  "./effect": () => import("../../src/effect/index.ts"),
  "./testing": () => import("../../src/testing/index.ts"),
};

const manifest = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as {
  exports: Record<string, unknown>;
  dependencies?: Record<string, string>;
  devDependencies: Record<string, string>;
};

test("every entry point of the manifest is looked at", () => {
  expect(Object.keys(manifest.exports).filter((name) => name !== "./package.json")).toEqual(
    Object.keys(entries),
  );
});

for (const [name, load] of Object.entries(entries)) {
  test(`the names of ${name}`, async () => {
    expect(Object.keys(await load()).sort()).toMatchSnapshot();
  });
}

test("there are no run-time dependencies, and versions are exact", () => {
  expect(manifest.dependencies).toBeUndefined();
  for (const version of Object.values(manifest.devDependencies)) expect(version).toMatch(/^\d+\.\d+\.\d+$/);
});
