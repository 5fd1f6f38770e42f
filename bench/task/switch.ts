/**
 * Switching between tasks: 100 tasks that yield in turn, beside 100 async functions that `await null` and
 * beside bare generators on a run queue of ten lines; and two tasks that pass two coordinators to and fro, so
 * that each release wakes the other one, beside two async functions that `await null`.
 */
import { Coordinator, op, run, yieldNow } from "cooperator";
import { alternateWarm, type Bench, compare, nowNs, type Row, shortRounds, together } from "../harness.ts";

const yielding = op(function* (count: number) {
  for (let i = 0; i < count; i++) yield* yieldNow();
});

/** Nanoseconds per switch of `tasks` tasks that switch `each` times. */
const yieldAll = op(function* (tasks: number, each: number) {
  const start = nowNs();
  yield* together(tasks, () => yielding(each));
  return (nowNs() - start) / (tasks * each);
});

async function awaiting(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await null;
}

async function awaitAll(tasks: number, each: number): Promise<number> {
  const start = nowNs();
  const all = [];
  for (let i = 0; i < tasks; i++) all.push(awaiting(each));
  await Promise.all(all);
  return (nowNs() - start) / (tasks * each);
}

/** The floor for a scheduler of generators: no tree, no kill, no errors. */
class Bare {
  next: Bare | null = null;
  readonly gen: Iterator<void, void, void>;
  constructor(gen: Iterator<void, void, void>) {
    this.gen = gen;
  }
}
let head: Bare | null = null;
let tail: Bare | null = null;
let running: Bare | null = null;

function push(task: Bare): void {
  task.next = null;
  if (tail === null) head = task;
  else tail.next = task;
  tail = task;
}

function* bareYielding(count: number): Generator<void, void, void> {
  for (let i = 0; i < count; i++) {
    push(running!);
    yield;
  }
}

function bareAll(tasks: number, each: number): number {
  const start = nowNs();
  for (let i = 0; i < tasks; i++) push(new Bare(bareYielding(each)));
  while (head !== null) {
    running = head;
    head = head.next;
    if (head === null) tail = null;
    running.gen.next();
  }
  return (nowNs() - start) / (tasks * each);
}

/** Begins with `mine`: gives it to the other task and waits for what that one has, and so on in turn. */
const ping = op(function* (mine: Coordinator, theirs: Coordinator, count: number) {
  for (let i = 0; i < count; i++) {
    const [give, take] = i % 2 === 0 ? [mine, theirs] : [theirs, mine];
    give.release();
    yield* take.acquire();
  }
});

const pong = op(function* (mine: Coordinator, theirs: Coordinator, count: number) {
  for (let i = 0; i < count; i++) {
    const [give, take] = i % 2 === 0 ? [mine, theirs] : [theirs, mine];
    yield* take.acquire();
    give.release();
  }
});

const pingPong = op(function* (count: number) {
  const a = new Coordinator({ held: true });
  const b = new Coordinator({ held: true });
  const start = nowNs();
  yield* together(2, (i) => (i === 0 ? ping(a, b, count) : pong(b, a, count)));
  return (nowNs() - start) / (2 * count);
});

const contenders: Record<
  string,
  (count: number) => Readonly<Record<"ours" | "peer", () => Promise<number> | number>>
> = {
  await: (count) => ({
    ours: () => run(yieldAll(100, count / 100)),
    peer: () => awaitAll(100, count / 100),
  }),
  bare: (count) => ({
    ours: () => run(yieldAll(100, count / 100)),
    peer: () => bareAll(100, count / 100),
  }),
  release: (count) => ({ ours: () => run(pingPong(count / 2)), peer: () => awaitAll(2, count / 2) }),
};

export const bench: Bench = {
  needsRing: false,
  parts: {
    pairs: (which, rounds, count) => alternateWarm(Number(rounds), contenders[which!]!(Number(count))),
  },
  async rows({ rounds, size }) {
    const rows: Row[] = [];
    for (const [which, name, peerName, most] of [
      ["await", "yieldNow, 100 tasks", "await null", 1],
      ["bare", "yieldNow, 100 tasks", "bare generators", 1.5],
      ["release", "ping-pong, release + acquire", "await null", 1],
    ] as const) {
      const { ours, peer } = await shortRounds<"ours" | "peer">(rounds, "task/switch", "pairs", [
        which,
        size(40, 2),
        size(50_000, 1000),
      ]);
      rows.push(
        compare({
          name: `task/switch ${name}, beside ${peerName}`,
          unit: "ns",
          ours,
          peer,
          peerName,
          as: "cost",
          ...(which === "await" ? {} : { goal: { most } }),
          settings: `min ${Math.min(...ours).toFixed(0)} beside ${Math.min(...peer).toFixed(0)} ns, no system call`,
        }),
      );
    }
    return rows;
  },
};
