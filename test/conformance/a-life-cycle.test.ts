/** Section A, first part: a task is spawned, runs, and ends, and its parent outlives it. */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { expect, test } from "vitest";
import {
  ClosedError,
  Cooperator,
  Coordinator,
  defer,
  type Group,
  group,
  KilledError,
  never,
  op,
  self,
  spawn,
  type Task,
  yieldNow,
} from "../../src/coordinator/index.ts";
import { VirtualRuntime } from "../../src/testing/virtual.ts";
import { sleep } from "../../src/time/sleep.ts";
import { checked, expectFlat, inOrder, runChecked, sized } from "../support/harness.ts";

test("A01 a child's value reaches the one that joins it, by identity, and the child leaves its parent", () => {
  const value = { answer: 42 };
  runChecked(function* () {
    const parent = self();
    const child = spawn(function* () {
      yield* sleep(1);
      return value;
    });
    expect(parent.live).toBe(1);
    expect(child.parent).toBe(parent);
    expect(yield* child.join()).toBe(value);
    expect(child.exit).toEqual({ status: "done", value });
    expect(child.result).toBe(value);
    expect(child.status).toBe("ended");
    expect(parent.live).toBe(0);
    expect([...parent.children!]).toEqual([]);
    // A join after the end gives the same again.
    expect(yield* child.join()).toBe(value);
  });
});

test("A01 a value that was not there yet is not given: the result of a live task is a typed error", () => {
  runChecked(function* () {
    const child = spawn(never());
    yield* yieldNow();
    expect(() => child.result).toThrow(expect.objectContaining({ code: "COOP_NOT_ENDED" }));
    expect(child.exit).toBe(null);
  });
});

test("A02 tasks that yield take turns, round by round", () => {
  inOrder();
  const log: string[] = [];
  const worker = op(function* (name: string) {
    for (let round = 1; round <= 3; round++) {
      log.push(`${name}${round}`);
      yield* yieldNow();
    }
  });
  runChecked(function* () {
    yield* group(function* (g) {
      g.spawn(worker("a"));
      g.spawn(worker("b"));
      g.spawn(worker("c"));
    });
  });
  expect(log).toEqual(["a1", "b1", "c1", "a2", "b2", "c2", "a3", "b3", "c3"]);
});

test("A03 a body that returns with a live child kills it, and the end shows only after its clean-up", () => {
  const log: string[] = [];
  const rt = new VirtualRuntime();
  const grandchild = op(function* () {
    try {
      yield* never();
    } finally {
      yield* sleep(3);
      log.push("grandchild cleaned up");
    }
  });
  const child = op(function* () {
    spawn(grandchild());
    try {
      yield* never();
    } finally {
      yield* sleep(5);
      log.push("child cleaned up");
    }
  });
  rt.run(function* () {
    const parent = spawn(function* () {
      defer(() => {
        log.push("deferred");
      });
      const mine = spawn(child());
      yield* sleep(1);
      log.push("body over");
      return mine;
    });
    const mine = yield* parent.join();
    log.push(`joined at ${rt.now}`);
    expect(mine.exit).toMatchObject({ status: "killed" });
    expect(parent.exit).toMatchObject({ status: "done" });
  }).result;
  expect(log).toEqual(["body over", "grandchild cleaned up", "child cleaned up", "deferred", "joined at 9"]);
  checked(rt);
});

test("A03 a group waits for its children instead", () => {
  const log: string[] = [];
  const rt = new VirtualRuntime();
  rt.run(function* () {
    const value = yield* group(function* (g) {
      g.spawn(function* () {
        yield* sleep(7);
        log.push("child returned");
      });
      log.push("body over");
      return "value";
    });
    log.push(`${value} at ${rt.now}`);
  }).result;
  expect(log).toEqual(["body over", "child returned", "value at 7"]);
  checked(rt);
});

test("A04 a group whose body is over takes a child as long as it waits, and waits for that one too", () => {
  const log: string[] = [];
  const rt = new VirtualRuntime();
  rt.run(function* () {
    yield* group(function* (g) {
      const first = g.spawn(function* () {
        yield* sleep(5);
        g.spawn(function* () {
          yield* sleep(5);
          log.push("late child");
        });
      });
      // An outsider may add one as well.
      spawn(function* () {
        yield* sleep(2);
        g.spawn(function* () {
          yield* sleep(10);
          log.push("outsider's child");
        });
      });
      return first;
    });
    log.push(`group over at ${rt.now}`);
  }).result;
  expect(log).toEqual(["late child", "outsider's child", "group over at 12"]);
  checked(rt);
});

test("A04 a child that arrives between the end of the last one and the group's next step is not killed", () => {
  inOrder();
  const log: string[] = [];
  const rt = new VirtualRuntime();
  rt.run(function* () {
    yield* group(function* (g) {
      g.spawn(sleep(5));
      // Wakes in the same turn, right behind the last child and before the task of the group.
      spawn(function* () {
        yield* sleep(5);
        expect(g.size).toBe(0);
        g.spawn(function* () {
          yield* sleep(5);
          log.push("ran to its end");
        });
      });
    });
    log.push(`group over at ${rt.now}`);
  }).result;
  expect(log).toEqual(["ran to its end", "group over at 10"]);
  checked(rt);
});

test("A04 a task whose body is over and that waits for its subtree takes no more", () => {
  runChecked(function* () {
    const parent = spawn(function* () {
      spawn(function* () {
        try {
          yield* never();
        } finally {
          yield* sleep(5);
        }
      });
      yield* yieldNow();
    });
    yield* sleep(2);
    expect(parent.exit).toBe(null);
    expect(() => parent.spawn(never())).toThrow(ClosedError);
    yield* parent.join();
  });
});

test("A05 spawning into a task that has ended throws at once and changes nothing", () => {
  const rt = new VirtualRuntime();
  let calls = 0;
  rt.run(function* () {
    const over = spawn(function* () {});
    yield* over.join();
    let ended: Group | undefined;
    yield* group(function* (g) {
      ended = g;
    });
    const killed = spawn(never());
    yield* killed.killAndWait();
    const before = rt.statistics();
    const body = op(function* () {
      calls++;
    });
    for (const parent of [over, killed, ended!]) {
      expect(() => parent.spawn(body())).toThrow(expect.objectContaining({ code: "COOP_CLOSED" }));
    }
    expect(() => ended!.defer(() => {})).toThrow(ClosedError);
    expect(rt.statistics()).toEqual(before);
    yield* yieldNow();
  }).result;
  expect(calls).toBe(0);
  checked(rt);
});

test("A05 a cooperator that has stopped takes no tasks", () => {
  const panics: unknown[] = [];
  const cooperator = new Cooperator({ host: { requestTurn() {}, panic: (error) => panics.push(error) } });
  cooperator.onStep = () => {
    throw new Error("broken on purpose");
  };
  cooperator.spawn(never());
  cooperator.turn();
  expect(panics).toHaveLength(1);
  expect(cooperator.turn()).toBe(false);
  expect(() => cooperator.spawn(never())).toThrow(ClosedError);
  expect(cooperator.statistics().spawned).toBe(1);
});

test.each(["queued", "next"] as const)(
  "A07 a child killed before its first step never starts (start: %s)",
  (start) => {
    const log: string[] = [];
    const body = op(function* () {
      log.push("started");
      try {
        yield* never();
      } finally {
        log.push("finally");
      }
    });
    runChecked(function* () {
      const child = spawn(body(), { start });
      const joiner = spawn(function* () {
        try {
          yield* child.join();
          return "no error";
        } catch (error) {
          return error;
        }
      });
      child.kill("not needed");
      expect(child.killed).toBe(true);
      expect(child.exit).toBe(null);
      const exit = yield* child.settled();
      expect(exit).toMatchObject({ status: "killed", cause: { reason: "not needed" }, errors: [] });
      expect(yield* joiner.join()).toBeInstanceOf(KilledError);
    });
    expect(log).toEqual([]);
  },
);

test("A07 a task that never started still outlives the children it was given", () => {
  const log: string[] = [];
  runChecked(function* () {
    const parent = spawn(function* () {
      log.push("BAD: the parent started");
    });
    const child = parent.spawn(
      function* () {
        try {
          yield* never();
        } finally {
          yield* sleep(5);
          log.push("child cleaned up");
        }
      },
      { start: "now" },
    );
    parent.kill("x");
    yield* parent.settled();
    log.push("parent ended");
    expect(child.exit).toMatchObject({ status: "killed" });
  });
  expect(log).toEqual(["child cleaned up", "parent ended"]);
});

test("A08 a child started at once may be over when spawn returns", () => {
  const log: string[] = [];
  const value = {};
  runChecked(function* () {
    const parent = self();
    const child = spawn(
      function* () {
        log.push("child");
        expect(self().parent).toBe(parent);
        return value;
      },
      { start: "now" },
    );
    log.push("spawn returned");
    expect(self()).toBe(parent);
    expect(child.exit).toEqual({ status: "done", value });
    expect(parent.live).toBe(0);
    parent.children!.validate();
    expect(yield* child.join()).toBe(value);
  });
  expect(log).toEqual(["child", "spawn returned"]);
});

test("A08 a child started at once that waits goes on like any other", () => {
  const log: string[] = [];
  runChecked(function* () {
    const child = spawn(
      function* () {
        log.push("first step");
        yield* sleep(1);
        log.push("second step");
      },
      { start: "now" },
    );
    log.push("spawn returned");
    yield* child.join();
  });
  expect(log).toEqual(["first step", "spawn returned", "second step"]);
});

test("A08 nested immediate starts run in order up to a bound and keep the running task right", () => {
  const most = sized(1_000, 100);
  let deepest = 0;
  const nest = op(function* (depth: number): Generator<unknown, void, any> {
    deepest = Math.max(deepest, depth);
    const me = self();
    if (depth < most) spawn(nest(depth + 1), { start: "now" });
    expect(self()).toBe(me);
    yield* sleep(1);
  });
  runChecked(function* () {
    spawn(nest(1), { start: "now" });
    expect(deepest).toBeGreaterThan(1);
    expect(deepest).toBeLessThan(most);
    yield* sleep(5);
  });
  expect(deepest).toBe(most);
});

test("A09 a child started at once that throws fails the usual way, and spawn itself does not throw", () => {
  const boom = new Error("boom");
  const log: string[] = [];
  const rt = new VirtualRuntime();
  const main = rt.run(function* () {
    const child = spawn(
      function* () {
        throw boom;
      },
      { start: "now" },
    );
    log.push("spawn returned");
    expect(child.exit).toEqual({ status: "failed", error: boom });
    expect(self().live).toBe(0);
    expect(self().killed).toBe(true);
    yield* never();
    log.push("BAD");
  });
  expect(log).toEqual(["spawn returned"]);
  expect(main.exit).toEqual({ status: "failed", error: boom });
  checked(rt);
});

test("A09 the failure of a child started at once can be held for its join", () => {
  const boom = new Error("boom");
  runChecked(function* () {
    const child = spawn(
      function* () {
        throw boom;
      },
      { start: "now", failure: "hold" },
    );
    expect(self().killed).toBe(false);
    expect(yield* child.settled()).toEqual({ status: "failed", error: boom });
  });
});

test("A10 a generator function that throws when called makes spawn throw, once, and leaves nothing", () => {
  const boom = new Error("a default throws");
  const fail = (): never => {
    throw boom;
  };
  const rt = new VirtualRuntime();
  rt.run(function* () {
    const before = rt.statistics();
    expect(() =>
      spawn(function* (_value = fail()) {
        yield* never();
      }),
    ).toThrow(boom);
    const operation = op(function* (_value = fail()) {
      yield* never();
    });
    expect(() => spawn(operation())).toThrow(boom);
    expect(rt.statistics()).toEqual(before);
    expect(self().live).toBe(0);
    // The id was not used up either: ids say how many tasks there were.
    expect(spawn(yieldNow()).id).toBe(self().id + 1);
  }).result;
  checked(rt);
});

test("A14 a hundred thousand children of one parent all join, at a cost per child that stays flat", () => {
  const child = op(function* (value: number) {
    return value;
  });
  let steps = 0;
  const cost = (count: number): number => {
    const rt = new VirtualRuntime();
    const begun = performance.now();
    rt.run(function* () {
      const children: Task<number>[] = [];
      for (let i = 0; i < count; i++) children.push(spawn(child(i)));
      expect(self().live).toBe(count);
      let sum = 0;
      for (const task of children) sum += yield* task.join();
      expect(sum).toBe((count * (count - 1)) / 2);
      expect(self().live).toBe(0);
    }).result;
    const time = performance.now() - begun;
    checked(rt);
    expect(rt.statistics().done).toBe(count + 1);
    steps = rt.statistics().steps / count;
    return time / count;
  };
  // A million in a long run; a hundred thousand shows the same and is quick. A cost that grew with the number of
  // siblings would show as a factor of a hundred.
  const many = sized(100_000, 100);
  if (many === 100_000) expectFlat(1_000, many, 30, cost);
  else cost(many);
  // One step per child, and one per join that had to wait.
  expect(steps).toBeLessThan(2.1);
});

test("A14 children that block are unlinked from anywhere in the list at a flat cost", () => {
  const cost = (count: number): number => {
    const rt = new VirtualRuntime();
    const gate = new Coordinator({ held: true });
    let time = 0;
    rt.run(function* () {
      const children: Task<void>[] = [];
      for (let i = 0; i < count; i++) children.push(spawn(gate.acquire()));
      yield* yieldNow();
      expect(gate.waiting).toBe(count);
      const begun = performance.now();
      // From the middle outwards: never the head or the tail of a list.
      for (let i = 0; i < count; i++) {
        const at = (count >> 1) + (i % 2 === 0 ? i >> 1 : -((i + 1) >> 1));
        children[at]!.kill();
      }
      while (self().live > 0) yield* yieldNow();
      time = performance.now() - begun;
    }).result;
    checked(rt, gate);
    return time / count;
  };
  const many = sized(50_000, 100);
  if (many === 50_000) expectFlat(1_000, many, 20, cost);
  else cost(many);
});

test("A14 the memory of a hundred thousand children is given back", () => {
  // What it measures is the heap.
  inOrder();
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  const used = (): number => {
    collect();
    return process.memoryUsage().heapUsed;
  };
  const count = 100_000;
  const rt = new VirtualRuntime();
  const child = op(function* (value: number) {
    yield* sleep(1);
    return value;
  });
  let before = 0;
  let during = 0;
  let after = 0;
  rt.run(function* () {
    yield* group(function* (g) {
      for (let i = 0; i < 1_000; i++) g.spawn(child(i));
    });
    before = used();
    yield* group(function* (g) {
      for (let i = 0; i < count; i++) g.spawn(child(i));
      yield* yieldNow();
      during = used();
    });
    after = used();
    // A negative control: the children were there to be seen.
    expect((during - before) / count).toBeGreaterThan(50);
    expect((after - before) / count).toBeLessThan(30);
  }).result;
  checked(rt);
});
