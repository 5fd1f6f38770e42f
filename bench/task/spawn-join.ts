/**
 * Spawn, run and join an empty child: a task with all its bookkeeping (tree, kill, exit), beside `await` of an
 * empty async function, which has none. Both in one process, in short rounds.
 *
 * The body is static: `spawn(empty())`. A generator function written inline costs V8 ten times as much to make.
 */
import { op, run, spawn } from "cooperator";
import { alternateWarm, type Bench, compare, nowNs, shortRounds } from "../harness.ts";

const empty = op(function* () {});

const spawnJoin = op(function* (count: number) {
  const start = nowNs();
  for (let i = 0; i < count; i++) yield* spawn(empty()).join();
  return (nowNs() - start) / count;
});

const spawnMany = op(function* (count: number) {
  const start = nowNs();
  const children = [];
  for (let i = 0; i < count; i++) children.push(spawn(empty()));
  for (const child of children) yield* child.join();
  return (nowNs() - start) / count;
});

async function emptyAsync(): Promise<void> {}

async function awaitEach(count: number): Promise<number> {
  const start = nowNs();
  for (let i = 0; i < count; i++) await emptyAsync();
  return (nowNs() - start) / count;
}

async function awaitMany(count: number): Promise<number> {
  const start = nowNs();
  const children = [];
  for (let i = 0; i < count; i++) children.push(emptyAsync());
  for (const child of children) await child;
  return (nowNs() - start) / count;
}

export const bench: Bench = {
  needsRing: false,
  parts: {
    each: (rounds, count) =>
      alternateWarm(Number(rounds), {
        ours: () => run(spawnJoin(Number(count))),
        peer: () => awaitEach(Number(count)),
      }),
    many: (rounds, count) =>
      alternateWarm(Number(rounds), {
        ours: () => run(spawnMany(Number(count))),
        peer: () => awaitMany(Number(count)),
      }),
  },
  async rows({ rounds, size }) {
    const rows = [];
    for (const [part, name] of [
      ["each", "one at a time"],
      ["many", "1000 at a time"],
    ] as const) {
      const count = part === "many" ? 1000 : size(20_000, 500);
      const each = part === "many" ? size(400, 3) : size(60, 3);
      const { ours, peer } = await shortRounds<"ours" | "peer">(rounds, "task/spawn-join", part, [
        each,
        count,
      ]);
      rows.push(
        compare({
          name: `task/spawn-join ${name}`,
          unit: "ns",
          ours,
          peer,
          peerName: "await async fn",
          as: "cost",
          ...(part === "each" ? { floor: { most: 3.5 }, goal: { most: 152, of: "ours" } } : {}),
          settings: `min ${Math.min(...ours).toFixed(0)} beside ${Math.min(...peer).toFixed(0)} ns, no system call`,
        }),
      );
    }
    return rows;
  },
};
