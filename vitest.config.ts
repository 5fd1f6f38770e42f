import { defineConfig } from "vitest/config";
import { mutantPlugin } from "./test/mutants/plugin.ts";

// vitest's failure report uses Map.groupBy, which Node 20 does not have.
const groupBy = <K, V>(items: Iterable<V>, keyOf: (item: V, index: number) => K): Map<K, V[]> => {
  const groups = new Map<K, V[]>();
  let index = 0;
  for (const item of items) {
    const key = keyOf(item, index++);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [item]);
    else group.push(item);
  }
  return groups;
};
const map = Map as unknown as { groupBy?: typeof groupBy };
map.groupBy ??= groupBy;

/** Virtual time only, nothing of the process: these share a process per core, which saves most of their start-up. */
const pure = [
  "test/{coordinator,seeds,sync,time}/**/*.test.ts",
  "test/conformance/{[a-l],v}-*.test.ts",
  "test/conformance/kill-matrix.test.ts",
];
/** Among them, but with a real event loop, or a process or a heap of its own. */
const impure = ["test/coordinator/deadlock.test.ts", "test/conformance/{l-timers,v-leaks}.test.ts"];

const common = {
  runner: "test/support/seeded-runner.ts",
  pool: "forks",
  testTimeout: 20_000,
} as const;

export default defineConfig({
  plugins: [mutantPlugin()],
  test: {
    globalSetup: ["test/support/scratch.ts", "test/support/build.ts", "test/support/tally.ts"],
    // The default leaves one core idle, which is half of a small machine.
    maxWorkers: "100%",
    // What is kept must not depend on what was planted.
    fsModuleCache: process.env.COOP_MUTANT === undefined,
    projects: [
      { extends: true, test: { ...common, name: "pure", include: pure, exclude: impure, isolate: false } },
      {
        extends: true,
        test: {
          ...common,
          name: "whole",
          include: [
            "test/!(conformance|coordinator|seeds|sync|time)/**/*.test.ts",
            "test/conformance/{m,[p-u]}-*.test.ts",
            ...impure,
          ],
        },
      },
    ],
  },
});
