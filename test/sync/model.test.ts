/** Locks of every kind against a list of who holds what and who waits for what, under random operations and kills. */
import { describe, expect, test } from "vitest";
import { type Operation, spawn, type Task, yieldNow } from "../../src/coordinator/index.ts";
import { Event, Mutex, RwLock, Semaphore } from "../../src/sync/index.ts";
import { checkTree } from "../../src/testing/checks.ts";
import { VirtualRuntime } from "../../src/testing/virtual.ts";
import { checked } from "../support/harness.ts";
import { random } from "../support/sync.ts";

/** A lock as the model sees it: amounts of a total. */
interface Subject {
  readonly total: number;
  /** What one may ask for. */
  readonly amounts: readonly number[];
  acquire(amount: number): Operation<{ release(): void }>;
  /** What is given out, and how many wait. */
  look(): { readonly held: number; readonly waiting: number };
  resize?(total: number): void;
  validate(): void;
}

function mutex(): Subject {
  const lock = new Mutex();
  return {
    total: 1,
    amounts: [1],
    acquire: () => lock.lock(),
    look: () => ({ held: lock.locked ? 1 : 0, waiting: lock.waiting }),
    validate: () => {
      lock.gate.waiters.validate();
      expect(lock.broken).toBe(false);
    },
  };
}

function rwLock(): Subject {
  const lock = new RwLock();
  const all = 100;
  return {
    total: all,
    amounts: [1, 1, all],
    acquire: (amount) => (amount === all ? lock.write() : lock.read()),
    look: () => ({ held: lock.writer === null ? lock.readers : all, waiting: lock.waiting }),
    validate: () => {
      lock.queue.waiters.validate();
      lock.holders.validate();
      expect(lock.broken).toBe(false);
    },
  };
}

function semaphore(): Subject {
  const lock = new Semaphore(5);
  return {
    total: 5,
    amounts: [0, 1, 2, 3, 5],
    acquire: (amount) => lock.acquire(amount),
    look: () => {
      const { total, held, free, waiting } = lock.statistics();
      expect(held + free).toBe(total);
      return { held, waiting };
    },
    // Never below what may be asked for: those that would fail are another test.
    resize: (total) => lock.resize(5 + total),
    validate: () => {},
  };
}

/** Arrays, and the rule: whoever is first goes when it fits. */
class Model {
  total: number;
  queue: { readonly id: number; readonly amount: number }[] = [];
  held = new Map<number, number>();
  readonly granted: number[] = [];

  constructor(total: number) {
    this.total = total;
  }
  get sum(): number {
    return [...this.held.values()].reduce((sum, amount) => sum + amount, 0);
  }
  acquire(id: number, amount: number): void {
    if (amount === 0) this.grant(id, 0);
    else this.queue.push({ id, amount });
    this.settle();
  }
  end(id: number): void {
    this.held.delete(id);
    this.queue = this.queue.filter((request) => request.id !== id);
    this.settle();
  }
  settle(): void {
    for (let first = this.queue[0]; first !== undefined; first = this.queue[0]) {
      if (this.sum + first.amount > this.total) return;
      this.queue.shift();
      this.grant(first.id, first.amount);
    }
  }
  private grant(id: number, amount: number): void {
    this.held.set(id, amount);
    this.granted.push(id);
  }
}

interface Agent {
  readonly task: Task;
  readonly leave: Event;
}

const STEPS = 60;

function* play(rt: VirtualRuntime, subject: Subject, seed: number): Generator<unknown, void, any> {
  const next = random(seed);
  const model = new Model(subject.total);
  const agents = new Map<number, Agent>();
  const entered: number[] = [];
  /** Given to them, and killed before they saw it. */
  const unseen = new Set<number>();

  const agent = function* (id: number, amount: number, leave: Event) {
    const guard = yield* subject.acquire(amount);
    try {
      entered.push(id);
      yield* leave.wait();
    } finally {
      guard.release();
    }
  };
  const pick = (): [number, Agent] | undefined => [...agents][next(agents.size || 1)];
  const settle = function* () {
    do yield* yieldNow();
    while (rt.statistics().ready > 0);
  };
  let lastId = 0;

  for (let step = 0; step < STEPS; step++) {
    const choice = next(10);
    const chosen = pick();
    if (choice < 4 || chosen === undefined) {
      const id = ++lastId;
      const amount = subject.amounts[next(subject.amounts.length)]!;
      const leave = new Event();
      // It asks within the call: the order of asking is the order of spawning.
      agents.set(id, { task: spawn(agent(id, amount, leave), { start: "now" }), leave });
      model.acquire(id, amount);
    } else if (choice < 6) {
      const [id, { leave }] = chosen;
      leave.set();
      // Once it has it and has run, it leaves at once.
      if (model.held.has(id)) {
        yield* settle();
        model.end(id);
        agents.delete(id);
      } else leave.reset();
    } else if (choice < 9 || subject.resize === undefined) {
      const [id, { task }] = chosen;
      const waiting = task.status === "blocked" && !entered.includes(id);
      const granted = model.held.has(id) && !entered.includes(id);
      task.kill("by the driver");
      if (granted) unseen.add(id);
      // One that waits has left the queue by now; what a holder has it gives back when it runs.
      if (!waiting) yield* settle();
      model.end(id);
      agents.delete(id);
    } else {
      const total = next(4);
      subject.resize(total);
      model.total = 5 + total;
      model.settle();
    }
    const where = `seed ${seed}, step ${step}`;
    expect(subject.look(), where).toEqual({ held: model.sum, waiting: model.queue.length });
    subject.validate();
    checkTree(rt);
    if (next(2) === 0) {
      yield* settle();
      expect(
        [...model.held.keys()].every((id) => entered.includes(id)),
        where,
      ).toBe(true);
    }
  }
  yield* settle();
  // All that were granted it, but for those that never saw it. One that gets it at once may go before another that
  // has been given it and has not run; where only one can have it the order is that of the model.
  const seen = model.granted.filter((id) => !unseen.has(id));
  if (subject.total === 1) expect(entered).toEqual(seen);
  else expect([...entered].sort()).toEqual(seen.sort());
  for (const { task } of agents.values()) yield* task.killAndWait();
  expect(subject.look()).toEqual({ held: 0, waiting: 0 });
}

describe("agrees with arrays under random operations", () => {
  for (const [name, make] of Object.entries({ mutex, "read-write lock": rwLock, semaphore })) {
    test(`${name}`, () => {
      for (let seed = 1; seed <= 60; seed++) {
        const rt = new VirtualRuntime();
        rt.run(() => play(rt, make(), seed)).result;
        checked(rt);
      }
    });
  }
});
