/** Each layer imports only from those above it; the kernel imports nothing of Node. */
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const src = fileURLToPath(new URL("../../src", import.meta.url));

/** What the files of a folder may import from, beside their own folder. */
const allowed: Record<string, readonly string[]> = {
  coordinator: [],
  handle: ["coordinator"],
  time: ["coordinator", "handle"],
  native: ["coordinator"],
  io: ["coordinator", "handle", "time", "native"],
  sync: ["coordinator", "time"],
  async: ["coordinator", "time"],
  streams: ["coordinator", "time", "io"],
  effect: ["coordinator", "async", "effect"],
  testing: ["coordinator", "handle", "time", "io", "native", "sync"],
  node: ["coordinator", "handle", "time", "io", "async"],
  ".": ["coordinator", "time", "sync", "async", "node"],
};

/** Folders that run without Node: in a browser, on a simulated driver. */
const withoutNode = ["coordinator", "handle", "time", "sync", "testing"];

/** Folders that stand on a package the user brings. */
const optionalPeers = ["effect: effect"];

interface Import {
  readonly file: string;
  readonly folder: string;
  readonly target: string;
}

function imports(): Import[] {
  const found: Import[] = [];
  for (const entry of readdirSync(src, { recursive: true, encoding: "utf8" })) {
    if (!entry.endsWith(".ts")) continue;
    const file = join(src, entry);
    const folder = layerOf(dirname(entry));
    for (const match of readFileSync(file, "utf8").matchAll(/(?:from|import) "([^"]+)"/g)) {
      const specifier = match[1]!;
      const target = specifier.startsWith(".")
        ? layerOf(dirname(relative(src, resolve(dirname(file), specifier))))
        : specifier;
      found.push({ file: entry, folder, target });
    }
  }
  return found;
}

/** Subfolders belong to the layer they lie in. */
function layerOf(folder: string): string {
  return folder.startsWith(".") ? folder : folder.split("/")[0]!;
}

const all = imports();

test("the check sees the imports", () => {
  expect(all.length).toBeGreaterThan(100);
  expect(all.some(({ folder, target }) => folder === "io" && target === "coordinator")).toBe(true);
});

test("every folder has a place in the layers", () => {
  const folders = new Set(all.map(({ folder }) => folder));
  expect([...folders].filter((folder) => !(folder in allowed))).toEqual([]);
});

test("a layer imports only from the layers above it", () => {
  const wrong = all.filter(
    ({ folder, target }) => target in allowed && target !== folder && !allowed[folder]!.includes(target),
  );
  expect(wrong).toEqual([]);
});

test("kernel, handles, time and testing need no Node API and no package", () => {
  const wrong = all.filter(({ folder, target }) => withoutNode.includes(folder) && !(target in allowed));
  expect(wrong).toEqual([]);
});

test("nothing at run time comes from another package, optional peers apart", () => {
  const foreign = all.filter(
    ({ folder, target }) =>
      !(target in allowed) && !target.startsWith("node:") && !optionalPeers.includes(`${folder}: ${target}`),
  );
  expect(foreign).toEqual([]);
});

test("inside a folder, files do not import their own index", () => {
  const wrong: string[] = [];
  for (const entry of readdirSync(src, { recursive: true, encoding: "utf8" })) {
    if (!entry.endsWith(".ts") || entry === "index.ts") continue;
    if (/from "(\.\/|\.\.\/\w+\/)index\.ts"/.test(readFileSync(join(src, entry), "utf8"))) wrong.push(entry);
  }
  expect(wrong).toEqual([]);
});
