/**
 * The kill of 100,000 blocked children, until all of them have ended, per child. Beside async functions that
 * each wait for an AbortSignal of their own: on one shared signal `addEventListener` is quadratic, and 100,000
 * of them take a minute. One kill per process, after a small one, and after a forced collection: tasks that
 * have been blocked for a while are in the old generation.
 */
import { never, op, run, self, spawn, yieldNow } from "cooperator";
import {
  alternate,
  type Bench,
  type Comparison,
  collect,
  compare,
  median,
  nowNs,
  runPart,
} from "../harness.ts";

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

const switching = op(function* (sweeps: number) {
  for (let i = 0; i < sweeps; i++) yield* yieldNow();
});

/** Sweeps of `count` tasks that switch once each: some to warm up, a collection, and one that is measured. */
const switchAll = op(function* (count: number) {
  const { cooperator } = self();
  const begin = nowNs();
  for (let i = 0; i < count; i++) spawn(switching(6));
  const spawned = nowNs();
  for (let i = 0; i < 4; i++) yield* yieldNow();
  collect();
  const steps = cooperator.statistics().steps;
  const start = nowNs();
  yield* yieldNow();
  const sample: Sample = {
    kill: (nowNs() - start) / (cooperator.statistics().steps - steps),
    spawn: (spawned - begin) / count,
  };
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
    async switch(count) {
      await run(switchAll(Number(count) / 10));
      return run(switchAll(Number(count)));
    },
    async abort(count) {
      await abortAll(Number(count) / 10);
      return abortAll(Number(count));
    },
  },
  async rows({ rounds, size }) {
    const count = size(100_000, 1000);
    const gc = ["--expose-gc"];
    const part = (which: string, children: number) => () =>
      runPart<Sample>("task/kill", which, [children], gc);
    const many = count * 10;
    const { ours, peer, bare, oursMany, bareMany } = await alternate<
      "ours" | "peer" | "bare" | "oursMany" | "bareMany",
      Sample
    >(rounds, {
      ours: part("ours", count),
      peer: part("abort", count),
      bare: part("switch", count),
      oursMany: part("ours", many),
      bareMany: part("switch", many),
    });
    const row = (
      children: number,
      own: readonly Sample[],
      other: readonly Sample[],
      peerName: string,
      bounds: Pick<Comparison, "floor" | "goal">,
    ) =>
      compare({
        name: `task/kill of ${children} blocked children, per child, beside ${peerName}`,
        unit: "ns",
        ours: own.map(({ kill }) => kill),
        peer: other.map(({ kill }) => kill),
        peerName,
        as: "cost",
        ...bounds,
        settings:
          `spawn and block ${median(own.map((sample) => sample.spawn)).toFixed(0)} beside ` +
          `${median(other.map((sample) => sample.spawn)).toFixed(0)} ns per child`,
      });
    return [
      row(count, ours, peer, "AbortController", { goal: { most: 200, of: "ours" } }),
      row(count, ours, bare, "a switch", { floor: { most: 3 } }),
      row(many, oursMany, bareMany, "a switch", { floor: { most: 3 } }),
    ];
  },
};
