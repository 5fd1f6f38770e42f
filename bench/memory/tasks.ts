/**
 * Memory of tasks: bytes of heap per blocked task, beside async functions that wait for a promise, after a
 * forced collection; and the heap after 10,000,000 tasks through one cooperator, beside that after the first
 * tenth: nothing may stay behind.
 */
import { never, op, run, self, spawn, yieldNow } from "cooperator";
import { alternate, type Bench, collect, compare, median, runPart } from "../harness.ts";

/** Points at which the heap is looked at. */
const LOOKS = 20;

function heap(): number {
  collect();
  return process.memoryUsage().heapUsed;
}

const blocked = op(function* () {
  yield* never();
});

const blockedTasks = op(function* (count: number) {
  const { cooperator } = self();
  // The code that runs below is compiled first.
  yield* spawn(blocked()).killAndWait();
  const before = heap();
  for (let i = 0; i < count; i++) spawn(blocked());
  do yield* yieldNow();
  while (cooperator.statistics().ready > 0);
  return (heap() - before) / count;
});

async function blockedPromises(count: number): Promise<number> {
  const wake: (() => void)[] = [];
  const wait = async (): Promise<void> => {
    await new Promise<void>((resolve) => wake.push(resolve));
  };
  const before = heap();
  for (let i = 0; i < count; i++) void wait();
  await null;
  const bytes = (heap() - before) / count;
  for (const resolve of wake) resolve();
  return bytes;
}

const empty = op(function* () {});

/** The heap at {@link LOOKS} points on the way. */
const manyTasks = op(function* (count: number) {
  const heaps: number[] = [];
  for (let look = 0; look < LOOKS; look++) {
    for (let i = 0; i < count / LOOKS; i++) yield* spawn(empty()).join();
    heaps.push(heap());
  }
  return heaps;
});

/** Bytes per task, by least squares over the looks after the first tenth. */
function slope(heaps: readonly number[], step: number): number {
  const tail = heaps.slice(LOOKS / 10 - 1);
  const meanX = (tail.length - 1) / 2;
  const meanY = tail.reduce((sum, y) => sum + y, 0) / tail.length;
  let xy = 0;
  let xx = 0;
  tail.forEach((y, x) => {
    xy += (x - meanX) * (y - meanY);
    xx += (x - meanX) ** 2;
  });
  return xy / xx / step;
}

export const bench: Bench = {
  needsRing: false,
  parts: {
    blocked: (count) => run(blockedTasks(Number(count))),
    promises: (count) => blockedPromises(Number(count)),
    many: (count) => run(manyTasks(Number(count))),
  },
  async rows({ rounds, size }) {
    const gc = ["--expose-gc"];
    const count = size(100_000, 1000);
    const { ours, peer } = await alternate<"ours" | "peer", number>(Math.min(rounds, 3), {
      ours: () => runPart("memory/tasks", "blocked", [count], gc),
      peer: () => runPart("memory/tasks", "promises", [count], gc),
    });
    const total = size(10_000_000, 100_000);
    const heaps = await runPart<number[]>("memory/tasks", "many", [total], gc);
    const mib = (bytes: number) => bytes / (1 << 20);
    return [
      compare({
        name: `memory per blocked task, of ${count}`,
        unit: "bytes",
        ours,
        peer,
        peerName: "async function",
        as: "cost",
        goal: { most: 500, of: "ours" },
        settings: "heap after a forced collection",
      }),
      compare({
        name: `memory after ${total} tasks, beside that after ${total / 10}`,
        unit: "MiB",
        ours: [mib(median(heaps.slice(-2)))],
        peer: [mib(heaps[LOOKS / 10 - 1]!)],
        peerName: "after a tenth",
        as: "cost",
        goal: { most: 1.05 },
        settings: `slope ${slope(heaps, total / LOOKS).toFixed(4)} bytes per task`,
      }),
    ];
  },
};
