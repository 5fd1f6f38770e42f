/** Benchmarks rot when nobody runs them: all of them run here, on tiny inputs. Nothing is said about speed. */
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const root = fileURLToPath(new URL("../../", import.meta.url));

interface Row {
  readonly name: string;
  readonly ours: number;
  readonly peer: number;
  readonly ratio: number;
}

/** Compiles bench/ against the built package. Errors elsewhere are for `npm run check` to tell. */
function compile(): void {
  if (!existsSync(`${root}dist/index.js`)) throw new Error("the package is not built: npm run build");
  const tsc = `${root}node_modules/typescript/bin/tsc`;
  const { stdout } = spawnSync(process.execPath, [tsc, "-p", "tsconfig.dev.json"], {
    cwd: root,
    encoding: "utf8",
  });
  expect(stdout.split("\n").filter((line) => line.startsWith("bench/"))).toEqual([]);
}

test("every benchmark runs and gives finite ratios", { timeout: 240_000 }, () => {
  compile();
  const output = execFileSync(process.execPath, [`${root}dist-dev/bench/main.js`, "--smoke", "--json"], {
    cwd: root,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "pipe"],
    timeout: 200_000,
    killSignal: "SIGKILL",
  });
  const rows = JSON.parse(output) as Row[];
  for (const { name, ours, peer, ratio } of rows) {
    expect({ name, finite: [ours, peer, ratio].every(Number.isFinite) }).toEqual({ name, finite: true });
  }
  // Rows that need neither a C compiler nor io_uring are there on every machine.
  const areas = new Set(rows.map(({ name }) => name.split(/[ ,]/)[0]));
  for (const area of [
    "task/spawn-join",
    "task/switch",
    "task/call-depth",
    "task/kill",
    "sync/mutex",
    "sync/channel",
    "memory",
  ]) {
    expect(areas).toContain(area);
  }
});
