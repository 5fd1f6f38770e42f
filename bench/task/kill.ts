/**
 * The kill of 100,000 blocked children, until all of them have ended, per child. Beside async functions that
 * each wait for an AbortSignal of their own: on one shared signal `addEventListener` is quadratic, and 100,000
 * of them take a minute. One kill per process, after a small one, and after a forced collection: tasks that
 * have been blocked for a while are in the old generation.
 */
import { never, op, run, self, spawn, yieldNow } from "cooperator";
import { alternate, type Bench, collect, compare, median, nowNs, runPart } from "../harness.ts";

interface Sample {
  /** Nanoseconds per child. */
  readonly kill: number;
  readonly spawn: number;
}

const blocked = op(function* () {
  yield* never();
});

const parent = op(function* (count: number) {
  for (let i = 0; i < count; i++) spawn(blocked());
  yield* never();
});

const killAll = op(function* (count: number) {
  const { cooperator } = self();
  const begin = nowNs();
  const family = spawn(parent(count));
  do yield* yieldNow();
  while (cooperator.statistics().ready > 0);
  const spawned = nowNs();
  collect();
  const start = nowNs();
  yield* family.killAndWait();
  const sample: Sample = { kill: (nowNs() - start) / count, spawn: (spawned - begin) / count };
  return sample;
});

async function abortable(signal: AbortSignal): Promise<void> {
  await new Promise((_, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason as Error), { once: true });
  });
}

async function abortAll(count: number): Promise<Sample> {
  const begin = nowNs();
  const controllers: AbortController[] = [];
  const children: Promise<void>[] = [];
  for (let i = 0; i < count; i++) {
    const controller = new AbortController();
    controllers.push(controller);
    children.push(abortable(controller.signal));
  }
  const spawned = nowNs();
  collect();
  const start = nowNs();
  for (const controller of controllers) controller.abort();
  await Promise.allSettled(children);
  return { kill: (nowNs() - start) / count, spawn: (spawned - begin) / count };
}

export const bench: Bench = {
  needsRing: false,
  parts: {
    async ours(count) {
      await run(killAll(Number(count) / 10));
      return run(killAll(Number(count)));
    },
    async abort(count) {
      await abortAll(Number(count) / 10);
      return abortAll(Number(count));
    },
  },
  async rows({ rounds, size }) {
    const count = size(100_000, 1000);
    const gc = ["--expose-gc"];
    const { ours, peer } = await alternate<"ours" | "peer", Sample>(rounds, {
      ours: () => runPart("task/kill", "ours", [count], gc),
      peer: () => runPart("task/kill", "abort", [count], gc),
    });
    return [
      compare({
        name: `task/kill of ${count} blocked children, per child`,
        unit: "ns",
        ours: ours.map(({ kill }) => kill),
        peer: peer.map(({ kill }) => kill),
        peerName: "AbortController",
        as: "cost",
        goal: { most: 200, of: "ours" },
        settings:
          `spawn and block ${median(ours.map((sample) => sample.spawn)).toFixed(0)} beside ` +
          `${median(peer.map((sample) => sample.spawn)).toFixed(0)} ns per child`,
      }),
    ];
  },
};
