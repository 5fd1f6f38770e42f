/**
 * Runs once before the tests: compiles `dist/` when it is older than `src/`, for the tests that start whole
 * programs. Each file is put in place by a rename, so that a program that starts meanwhile reads whole files.
 */
import { execFileSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  type Stats,
  statSync,
  utimesSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../../", import.meta.url));
const dist = join(root, "dist");
/** Its time says when everything was compiled. */
const stamp = join(dist, "index.js");

export default function build(): void {
  const newest = Math.max(...["src", "tsconfig.json", "tsconfig.build.json"].map(newestIn));
  const built = statSync(stamp, { throwIfNoEntry: false });
  if (built !== undefined && built.mtimeMs > newest) return;
  const started = new Date();
  mkdirSync(dist, { recursive: true });
  const fresh = mkdtempSync(join(root, "dist", ".building-"));
  try {
    const compiler = join(root, "node_modules/typescript/bin/tsc");
    try {
      execFileSync(process.execPath, [compiler, "-p", "tsconfig.build.json", "--outDir", fresh], {
        cwd: root,
        stdio: "inherit",
      });
    } catch (error) {
      // Wrong types are reported by `npm run check`, and do not keep the compiler from writing its output.
      if (!existsSync(join(fresh, "index.js"))) throw error;
    }
    for (const file of filesBelow(fresh)) {
      mkdirSync(dirname(join(dist, file)), { recursive: true });
      renameSync(join(fresh, file), join(dist, file));
    }
    utimesSync(stamp, started, started);
  } finally {
    rmSync(fresh, { recursive: true, force: true });
  }
}

function filesBelow(directory: string): string[] {
  return readdirSync(directory, { recursive: true, encoding: "utf8" }).filter((path) =>
    statSync(join(directory, path)).isFile(),
  );
}

function newestIn(path: string): number {
  const entry: Stats = statSync(join(root, path));
  if (!entry.isDirectory()) return entry.mtimeMs;
  return Math.max(...filesBelow(join(root, path)).map((file) => statSync(join(root, path, file)).mtimeMs));
}
