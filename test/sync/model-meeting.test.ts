/** Meeting places, a rate and a value, each against a list of who waits, under random actions and kills. */
import { describe, expect, test } from "vitest";
import { type Operation, op, spawn, type Task, yieldNow } from "../../src/coordinator/index.ts";
import {
  Barrier,
  Condition,
  END,
  Event,
  Latch,
  Mutex,
  Once,
  RateLimiter,
  Watch,
} from "../../src/sync/index.ts";
import { VirtualRuntime } from "../../src/testing/virtual.ts";
import { sleep } from "../../src/time/sleep.ts";
import { checked } from "../support/harness.ts";
import { random } from "../support/sync.ts";

/** What the model says: who waits, and who went on with what, in order. */
class Model {
  /** Oldest first. */
  waiting: number[] = [];
  readonly passed: [number, unknown][] = [];
  /** Let go on, and has not run: a kill may still come first. */
  granted: [number, () => unknown][] = [];

  /** It goes on at once, within the call. */
  pass(id: number, what: unknown): void {
    this.passed.push([id, what]);
  }
  /** Its step is still to come; what it then sees is asked for then. */
  grant(id: number, what: () => unknown): void {
    this.waiting = this.waiting.filter((other) => other !== id);
    this.granted.push([id, what]);
  }
  grantAll(what: () => unknown): void {
    for (const id of [...this.waiting]) this.grant(id, what);
  }
  /** All steps have been taken. */
  settle(): void {
    for (const [id, what] of this.granted) this.passed.push([id, what()]);
    this.granted = [];
  }
}

interface Subject {
  readonly model: Model;
  /** What an agent waits for; gives what it sees. `size` is a small number of its own. */
  wait(id: number, size: number): Operation<unknown>;
  /** It has begun to wait, within the call. */
  came(id: number, size: number): void;
  /** It was killed while it waited, or before it saw that it need not any more. */
  left?(id: number): void;
  missed?(id: number): void;
  /** One of them is done, in the subject and in its model. */
  readonly actions: readonly ((next: (below: number) => number) => void)[];
  /** So many milliseconds have passed. */
  passes?(milliseconds: number): void;
  /** How many wait, as the subject says. */
  count(): number;
}

const code = op(function* (operation: Operation<unknown>) {
  try {
    return yield* operation;
  } catch (error) {
    return (error as { code: string }).code;
  }
});

function event(): Subject {
  const [subject, model] = [new Event(), new Model()];
  let on = false;
  return {
    model,
    wait: () => subject.wait(),
    came: (id) => void (on ? model.pass(id, undefined) : model.waiting.push(id)),
    actions: [
      () => {
        subject.set();
        on = true;
        model.grantAll(() => undefined);
      },
      () => {
        subject.reset();
        on = false;
      },
    ],
    count: () => subject.waiting,
  };
}

function latch(): Subject {
  const [subject, model] = [new Latch(9), new Model()];
  let left = 9;
  return {
    model,
    wait: () => subject.wait(),
    came: (id) => void (left === 0 ? model.pass(id, undefined) : model.waiting.push(id)),
    actions: [
      (next) => {
        const by = next(3);
        if (by > left) {
          expect(() => subject.countDown(by)).toThrow(expect.objectContaining({ code: "COOP_COUNT" }));
          return;
        }
        subject.countDown(by);
        left -= by;
        if (left === 0) model.grantAll(() => undefined);
        expect(subject.remaining).toBe(left);
      },
    ],
    count: () => subject.waiting,
  };
}

function barrier(): Subject {
  const [subject, model] = [new Barrier(3), new Model()];
  let broken = false;
  const breakIt = (): void => {
    broken = true;
    model.grantAll(() => "COOP_BARRIER_BROKEN");
  };
  return {
    model,
    wait: () => code(subject.arrive()),
    came: (id) => {
      if (broken) model.pass(id, "COOP_BARRIER_BROKEN");
      else if (model.waiting.length < 2) model.waiting.push(id);
      else {
        // The last one goes on within the call, in front of those that it lets go.
        model.pass(id, 2);
        for (const [place, other] of model.waiting.entries()) model.grant(other, () => place);
      }
    },
    left: breakIt,
    actions: [
      () => {
        subject.reset();
        breakIt();
        broken = false;
      },
      nothing,
    ],
    count: () => subject.waiting,
  };
}

const nothing = (): void => {};

function condition(): Subject {
  const mutex = new Mutex();
  const [subject, model] = [new Condition(mutex), new Model()];
  const notify = (count: number): void => {
    for (const id of model.waiting.slice(0, count)) model.grant(id, () => undefined);
  };
  return {
    model,
    wait: () => mutex.withLock(() => subject.wait()),
    came: (id) => void model.waiting.push(id),
    // The notification that it had goes to the next.
    missed: () => notify(1),
    actions: [
      (next) => {
        const count = next(3);
        expect(subject.notify(count)).toBe(Math.min(count, model.waiting.length));
        notify(count);
      },
      (next) => {
        if (next(4) > 0) return;
        subject.notifyAll();
        notify(model.waiting.length);
      },
    ],
    count: () => subject.waiting,
  };
}

function limiter(): Subject {
  // A token each 10 ms, 3 at most: counted in tenths.
  const [subject, model] = [new RateLimiter({ limit: 1, per: 10, burst: 3 }), new Model()];
  const wanted = new Map<number, number>();
  let level = 30;
  let taken = 0;
  const serve = (): void => {
    for (
      let id = model.waiting[0];
      id !== undefined && wanted.get(id)! * 10 <= level;
      id = model.waiting[0]
    ) {
      level -= wanted.get(id)! * 10;
      taken += wanted.get(id)!;
      model.grant(id, () => undefined);
    }
  };
  return {
    model,
    wait: (_, size) => subject.acquire(1 + size),
    came: (id, size) => {
      wanted.set(id, 1 + size);
      if (model.waiting.length > 0 || wanted.get(id)! * 10 > level) model.waiting.push(id);
      else {
        level -= wanted.get(id)! * 10;
        taken += wanted.get(id)!;
        model.pass(id, undefined);
      }
    },
    left: serve,
    missed: (id) => {
      level = Math.min(30, level + wanted.get(id)! * 10);
      taken -= wanted.get(id)!;
      serve();
    },
    actions: [() => expect(subject.statistics().taken).toBe(taken)],
    passes: (milliseconds) => {
      for (let i = 0; i < milliseconds; i++) {
        level = Math.min(30, level + 1);
        serve();
        model.settle();
      }
    },
    count: () => subject.waiting,
  };
}

function once(): Subject {
  const model = new Model();
  let made = 0;
  const subject = new Once(function* () {
    yield* sleep(4);
    return ++made;
  });
  /** Milliseconds until it is made; null while nobody makes it. */
  let due: number | null = null;
  let value = 0;
  const end = (): void => {
    if (model.waiting.length === 0) due = null;
  };
  return {
    model,
    wait: () => subject.get(),
    came: (id) => {
      if (value > 0) {
        model.pass(id, value);
        return;
      }
      due ??= 4;
      model.waiting.push(id);
    },
    left: end,
    actions: [nothing],
    passes: (milliseconds) => {
      if (due === null) return;
      due -= milliseconds;
      if (due > 0) return;
      due = null;
      value = 1;
      model.grantAll(() => 1);
      model.settle();
    },
    count: () => {
      expect([subject.done, subject.statistics().running]).toEqual([value > 0, due !== null]);
      return subject.statistics().waiting;
    },
  };
}

function watch(): Subject {
  const [subject, model] = [new Watch(0), new Model()];
  let value = 0;
  let closed = false;
  return {
    model,
    wait: () => subject.watch().receiveOrEnd(),
    came: (id) => void (closed ? model.pass(id, END) : model.waiting.push(id)),
    actions: [
      (next) => {
        if (closed) return;
        value = next(100);
        subject.value = value;
        // Whoever has not run by the next change sees that one.
        model.grantAll(() => value);
      },
      (next) => {
        if (next(40) > 0 || closed) return;
        subject.close();
        closed = true;
        model.grantAll(() => END);
      },
    ],
    count: () => subject.waiting,
  };
}

const STEPS = 80;

function* play(rt: VirtualRuntime, subject: Subject, seed: number): Generator<unknown, void, any> {
  const next = random(seed);
  const { model } = subject;
  const agents = new Map<number, Task>();
  const passed: [number, unknown][] = [];
  const agent = op(function* (id: number, size: number) {
    const seen = yield* subject.wait(id, size);
    passed.push([id, seen]);
  });
  const settle = function* () {
    do yield* yieldNow();
    while (rt.statistics().ready > 0);
    model.settle();
    expect(passed).toEqual(model.passed);
    expect(subject.count()).toBe(model.waiting.length);
  };
  const kill = (id: number): boolean => {
    agents.get(id)!.kill();
    const missed = model.granted.some(([other]) => other === id);
    model.granted = model.granted.filter(([other]) => other !== id);
    model.waiting = model.waiting.filter((other) => other !== id);
    if (missed) subject.missed?.(id);
    else subject.left?.(id);
    return missed;
  };
  let lastId = 0;
  for (let step = 0; step < STEPS; step++) {
    const choice = next(10);
    const there = [...model.waiting, ...model.granted.map(([id]) => id)];
    if (choice < 4) {
      yield* settle();
      const id = ++lastId;
      const size = next(3);
      agents.set(id, spawn(agent(id, size), { start: "now" }));
      subject.came(id, size);
    } else if (choice < 6 && there.length > 0) {
      // What it was given goes on to the next in its own step.
      if (kill(there[next(there.length)]!) || next(2) === 0) yield* settle();
    } else if (choice < 8 && subject.passes !== undefined) {
      yield* settle();
      const time = 1 + next(6);
      yield* sleep(time);
      subject.passes(time);
      yield* settle();
    } else {
      subject.actions[next(subject.actions.length)]!(next);
      // Half of the time the next action, or a kill, comes before anybody has run.
      if (next(2) === 0) yield* settle();
    }
  }
  yield* settle();
  // Those that the kill of one lets go on are killed before they have run.
  for (const id of [...model.waiting]) kill(id);
  yield* settle();
  for (const action of subject.actions) {
    action(next);
    yield* settle();
  }
}

describe("agrees with a list under random actions and kills", () => {
  test.each<[string, () => Subject]>([
    ["I15 event", event],
    ["I15 latch", latch],
    ["I16 barrier", barrier],
    ["I13 condition", condition],
    ["rate limiter", limiter],
    ["once", once],
    ["watch", watch],
  ])("%s", (_, make) => {
    for (let seed = 1; seed <= 60; seed++) {
      const rt = new VirtualRuntime({ seed: null });
      const main = rt.run(() => play(rt, make(), seed));
      if (main.exit?.status === "failed") {
        throw new Error(`seed ${seed}: ${(main.exit.error as Error).message}`, { cause: main.exit.error });
      }
      checked(rt);
    }
  });
});
