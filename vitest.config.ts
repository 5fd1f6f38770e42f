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

export default defineConfig({
  plugins: [mutantPlugin()],
  test: {
    include: ["test/**/*.test.ts"],
    globalSetup: ["test/support/build.ts"],
    runner: "test/support/seeded-runner.ts",
    pool: "forks",
    // What is kept must not depend on what was planted.
    fsModuleCache: process.env.COOP_MUTANT === undefined,
    testTimeout: 20_000,
  },
});
