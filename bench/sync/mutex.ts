/**
 * Locks: without contention, beside a bare switch (bare generators that yield in turn), a lock of bare generators,
 * a queue of promises as lock libraries have it, and Effect's semaphore; and contended by 100 tasks that each hold
 * the lock across one switch. One contender per process: in one process they would share their call sites.
 */
import { type Operation, op, run, yieldNow } from "cooperator";
import { Mutex, RwLock, Semaphore } from "cooperator/sync";
import { Effect, Semaphore as EffectSemaphore } from "effect";
import { type Bench, compare, median, nowNs, type Row, runPart, together, WARM_ROUNDS } from "../harness.ts";

const CONTENDERS = 100;

const uncontended: Readonly<Record<string, (count: number) => Operation<void>>> = {
  mutex: op(function* (count: number) {
    const mutex = new Mutex();
    for (let i = 0; i < count; i++) {
      const guard = yield* mutex.lock();
      guard.release();
    }
  }),
  tryLock: op(function* (count: number) {
    const mutex = new Mutex();
    for (let i = 0; i < count; i++) {
      mutex.tryLock();
      mutex.unlock();
    }
    yield* yieldNow();
  }),
  semaphore: op(function* (count: number) {
    const semaphore = new Semaphore(4);
    for (let i = 0; i < count; i++) {
      const permit = yield* semaphore.acquire();
      permit.release();
    }
  }),
  read: op(function* (count: number) {
    const lock = new RwLock();
    for (let i = 0; i < count; i++) {
      const guard = yield* lock.read();
      guard.release();
    }
  }),
};

const holder = op(function* (mutex: Mutex, count: number) {
  for (let i = 0; i < count; i++) {
    const guard = yield* mutex.lock();
    yield* yieldNow();
    guard.release();
  }
});

const contended = op(function* (count: number) {
  const mutex = new Mutex();
  yield* together(CONTENDERS, () => holder(mutex, count / CONTENDERS));
});

/** The floor for locks of generators: a run queue and a queue of waiters, no owner, no kill, no errors. */
class Bare {
  next: Bare | null = null;
  readonly gen: Iterator<void, void, void>;
  constructor(gen: Iterator<void, void, void>) {
    this.gen = gen;
  }
}

class BareQueue {
  private head: Bare | null = null;
  private tail: Bare | null = null;
  push(task: Bare): void {
    task.next = null;
    if (this.tail === null) this.head = task;
    else this.tail.next = task;
    this.tail = task;
  }
  shift(): Bare | null {
    const task = this.head;
    if (task === null) return null;
    this.head = task.next;
    if (this.head === null) this.tail = null;
    return task;
  }
}

const ready = new BareQueue();
let running: Bare;

function bareRun(...bodies: Iterator<void, void, void>[]): void {
  for (const body of bodies) ready.push(new Bare(body));
  for (let task = ready.shift(); task !== null; task = ready.shift()) {
    running = task;
    task.gen.next();
  }
}

class BareLock {
  held = false;
  readonly waiters = new BareQueue();
  *lock(): Generator<void, void, void> {
    if (this.held) {
      this.waiters.push(running);
      yield;
    } else this.held = true;
  }
  release(): void {
    const next = this.waiters.shift();
    if (next === null) this.held = false;
    else ready.push(next);
  }
}

function* bareSwitches(count: number): Generator<void, void, void> {
  for (let i = 0; i < count; i++) {
    ready.push(running);
    yield;
  }
}

function* bareHolder(lock: BareLock, count: number, pause: boolean): Generator<void, void, void> {
  for (let i = 0; i < count; i++) {
    yield* lock.lock();
    if (pause) yield* bareSwitches(1);
    lock.release();
  }
}

/** What lock libraries for promises do: a queue of resolvers. */
class PromiseLock {
  private held = false;
  private readonly waiters: (() => void)[] = [];
  async lock(): Promise<void> {
    if (this.held) await new Promise<void>((resolve) => this.waiters.push(resolve));
    else this.held = true;
  }
  release(): void {
    const next = this.waiters.shift();
    if (next === undefined) this.held = false;
    else next();
  }
}

async function promiseHolder(lock: PromiseLock, count: number, pause: boolean): Promise<void> {
  for (let i = 0; i < count; i++) {
    await lock.lock();
    if (pause) await null;
    lock.release();
  }
}

const effectHolder = (lock: EffectSemaphore.Semaphore, count: number, pause: boolean) =>
  Effect.gen(function* () {
    for (let i = 0; i < count; i++) yield* lock.withPermits(1)(pause ? Effect.yieldNow : Effect.void);
  });

/** Runs `count` acquires, and what belongs to them, in one way or another. */
const ways: Readonly<Record<string, (count: number) => Promise<unknown> | unknown>> = {
  ...Object.fromEntries(
    Object.entries(uncontended).map(([name, body]) => [name, (count: number) => run(body(count))]),
  ),
  "bare switch": (count) => bareRun(bareSwitches(count / 2), bareSwitches(count / 2)),
  "bare lock": (count) => bareRun(bareHolder(new BareLock(), count, false)),
  "promise lock": (count) => promiseHolder(new PromiseLock(), count, false),
  Effect: (count) => Effect.runPromise(effectHolder(EffectSemaphore.makeUnsafe(1), count, false)),
  contended: (count) => run(contended(count)),
  "contended bare": (count) => {
    const lock = new BareLock();
    bareRun(...Array.from({ length: CONTENDERS }, () => bareHolder(lock, count / CONTENDERS, true)));
  },
  "contended promise": (count) => {
    const lock = new PromiseLock();
    return Promise.all(
      Array.from({ length: CONTENDERS }, () => promiseHolder(lock, count / CONTENDERS, true)),
    );
  },
  "contended Effect": (count) => {
    const lock = EffectSemaphore.makeUnsafe(1);
    const all = Array.from({ length: CONTENDERS }, () => effectHolder(lock, count / CONTENDERS, true));
    return Effect.runPromise(Effect.all(all, { concurrency: "unbounded", discard: true }));
  },
};

const pairs = [
  ["mutex", "bare switch", { most: 2 }],
  ["mutex", "bare lock", { most: 60, of: "ours" }],
  ["mutex", "promise lock", { most: 1 }],
  ["mutex", "Effect", null],
  ["tryLock", "bare switch", null],
  ["semaphore", "bare switch", { most: 2 }],
  ["read", "bare switch", null],
  ["contended", "contended bare", { most: 120, of: "ours" }],
  ["contended", "contended promise", { most: 1.5 }],
  ["contended", "contended Effect", null],
] as const;

export const bench: Bench = {
  needsRing: false,
  parts: {
    async measure(which, rounds, count) {
      const figures: number[] = [];
      for (let round = 0; round < Number(rounds) + WARM_ROUNDS; round++) {
        const start = nowNs();
        await ways[which!]!(Number(count));
        figures.push((nowNs() - start) / Number(count));
      }
      return median(figures.slice(WARM_ROUNDS));
    },
  },
  async rows({ rounds, size }) {
    const figures = new Map<string, number[]>();
    for (let round = 0; round < rounds; round++) {
      for (const which of new Set(pairs.flatMap(([which, peer]) => [which as string, peer]))) {
        // Effect is a hundred times slower when contended.
        const count = size(which.endsWith("Effect") ? 10_000 : 100_000, 1000);
        const figure = await runPart<number>("sync/mutex", "measure", [which, size(20, 1), count]);
        figures.set(which, [...(figures.get(which) ?? []), figure]);
      }
    }
    return pairs.map(([which, peerName, goal]): Row => {
      const name = which === "contended" ? `mutex contended by ${CONTENDERS}, held across a switch` : which;
      const ours = figures.get(which)!;
      const peer = figures.get(peerName)!;
      return compare({
        name: `sync/mutex ${name}, beside ${peerName}`,
        unit: "ns",
        ours,
        peer,
        peerName,
        as: "cost",
        ...(goal === null ? {} : { goal }),
        settings: `min ${Math.min(...ours).toFixed(0)} beside ${Math.min(...peer).toFixed(0)} ns per acquire and release`,
      });
    });
  },
};
