/** Section B, third part: code that swallows, overrides or cannot be told of a kill, and kills at scale. */
import { expect, test, vi } from "vitest";
import {
  Cooperator,
  Coordinator,
  type Group,
  group,
  never,
  type Operation,
  op,
  Signal,
  StuckError,
  self,
  spawn,
  type Task,
  yieldNow,
} from "../../src/coordinator/index.ts";
import { CLEANUP_WAITS_MAX } from "../../src/coordinator/task/frame.ts";
import { VirtualRuntime } from "../../src/testing/virtual.ts";
import { sleep } from "../../src/time/sleep.ts";
import { checked, exhaustive, expectFlat, inOrder, runChecked, sized } from "../support/harness.ts";

/** Waits in a loop whose `finally` goes on with the loop: the language drops the kill. */
function* swallow(wait: () => Operation<unknown>): Generator<any, void, any> {
  for (let round = 0; ; round++) {
    try {
      yield* wait();
    } finally {
      if (round >= 0) continue;
    }
    return;
  }
}

test.each([
  ["that ends by itself", () => yieldNow()],
  ["that takes time", () => sleep(1)],
  ["that never ends", () => never()],
  [
    "in a called operation",
    op(function* () {
      yield* yieldNow();
    }),
  ],
])(
  "B14 a loop that swallows its kill at a wait %s is abandoned and reported, and the killer goes on",
  (_n, wait) => {
    const rt = new VirtualRuntime();
    rt.cooperator.cleanupWaitsMax = sized(CLEANUP_WAITS_MAX, 100);
    const log: string[] = [];
    const main = rt.run(function* () {
      const parent = spawn(
        function* () {
          try {
            spawn(() => swallow(wait), { name: "stubborn" });
            yield* never();
          } finally {
            log.push("parent cleaned up");
          }
        },
        { failure: "hold" },
      );
      // A virtual clock does not move while a task is always ready: no sleep here.
      yield* yieldNow();
      yield* yieldNow();
      return yield* parent.killAndWait("enough");
    });
    expect(main.result).toMatchObject({
      status: "killed",
      cause: { reason: "enough" },
      errors: [{ code: "COOP_STUCK" }],
    });
    const [error] = (main.result as { errors: readonly unknown[] }).errors;
    expect(error).toBeInstanceOf(StuckError);
    expect((error as Error).message).toContain("swallowed its kill 100 times");
    expect(log).toEqual(["parent cleaned up"]);
    checked(rt);
  },
);

test("B14 a frame whose function has no name is told as one", () => {
  const rt = new VirtualRuntime();
  rt.cooperator.cleanupWaitsMax = 100;
  const main = rt.run(function* () {
    const task = spawn(
      (() =>
        function* () {
          yield* swallow(yieldNow);
        })(),
      { failure: "hold" },
    );
    yield* yieldNow();
    return yield* task.killAndWait();
  });
  expect(main.result).toMatchObject({ error: { message: expect.stringMatching(/^a frame swallowed/) } });
  checked(rt);
});

test("B14 the frames below one that was abandoned still clean up, and its wait is let go", () => {
  const rt = new VirtualRuntime();
  rt.cooperator.cleanupWaitsMax = sized(CLEANUP_WAITS_MAX, 100);
  const lock = new Coordinator({ held: true, name: "lock" });
  const log: string[] = [];
  const stubborn = op(function* stubborn() {
    yield* swallow(() => lock.acquire());
  });
  rt.run(function* () {
    const task = spawn(
      op(function* () {
        try {
          yield* stubborn();
          log.push("BAD");
        } finally {
          yield* sleep(1);
          log.push("caller cleaned up");
        }
      })(),
      { failure: "hold" },
    );
    yield* yieldNow();
    expect(yield* task.killAndWait()).toMatchObject({ status: "failed", error: { code: "COOP_STUCK" } });
    lock.release();
    expect(lock.held).toBe(false);
  }).result;
  expect(log).toEqual(["caller cleaned up"]);
  checked(rt, lock);
});

test("B14 clean-up in a loop that does end is not mistaken for one that swallows", () => {
  let rounds = 0;
  runChecked(function* () {
    const task = spawn(function* () {
      try {
        yield* never();
      } finally {
        for (let i = 0; i < 500; i++) {
          yield* yieldNow();
          rounds++;
        }
      }
    });
    yield* yieldNow();
    expect(yield* task.killAndWait()).toMatchObject({ status: "killed", errors: [] });
  });
  expect(rounds).toBe(500);
});

test("B15 a finally that returns a value does not turn the kill into success, and is reported", () => {
  const rt = new VirtualRuntime();
  const log: string[] = [];
  rt.run(function* () {
    const parent = spawn(function* () {
      const sibling = spawn(function* () {
        try {
          yield* never();
        } finally {
          log.push("sibling");
        }
      });
      const task = spawn(
        op(function* overriding() {
          try {
            yield* never();
          } finally {
            return "override";
          }
        })(),
      );
      try {
        yield* never();
      } finally {
        expect(sibling.exit).toMatchObject({ status: "killed" });
        expect(task.exit).toMatchObject({ status: "killed", errors: [] });
        log.push("parent");
      }
    });
    yield* sleep(1);
    expect(yield* parent.killAndWait()).toMatchObject({ status: "killed" });
  }).result;
  expect(log).toEqual(["sibling", "parent"]);
  expect(rt.statistics()).toMatchObject({ killsOverridden: 1, killed: 3 });
  expect(rt.reports.splice(0)).toMatchObject([
    { kind: "kill-overridden", where: "overriding", error: "override" },
  ]);
  checked(rt);
});

test("B15 nor does one in a called operation, or in a plain generator", () => {
  const rt = new VirtualRuntime();
  const log: string[] = [];
  const called = op(function* called() {
    try {
      yield* never();
    } finally {
      return "override";
    }
  });
  function* plain(): Generator<any, unknown, any> {
    try {
      return yield* never();
    } finally {
      return "override";
    }
  }
  rt.run(function* () {
    for (const inner of [called, plain]) {
      const task = spawn(function* () {
        try {
          log.push(`BAD: ${yield* inner()}`);
        } finally {
          log.push("outer");
        }
      });
      yield* yieldNow();
      expect(yield* task.killAndWait()).toMatchObject({ status: "killed" });
    }
  }).result;
  expect(log).toEqual(["outer", "outer"]);
  expect(rt.reports.splice(0).map(({ kind }) => kind)).toEqual(["kill-overridden", "kill-overridden"]);
  checked(rt);
});

test("B17 a kill during a section without a wait is pending until the next wait, and never said to be done", () => {
  inOrder();
  runChecked(function* () {
    const seen: unknown[] = [];
    const task: Task = spawn(function* () {
      // A listener, say: called in the middle of synchronous work.
      const listener = (): void => task.kill("from a listener");
      listener();
      let sum = 0;
      for (let i = 0; i < 100_000; i++) sum += i;
      seen.push(sum, task.killed, task.exit, task.status);
      yield* yieldNow();
      seen.push("BAD");
    });
    const waiting = spawn(task.killAndWait("from a task"));
    const exit = yield* waiting.join();
    expect(seen).toEqual([4999950000, true, null, "running"]);
    expect(exit).toMatchObject({ status: "killed", cause: { reason: "from a listener" } });
  });
});

test("B24 ten thousand tasks on ten thousand primitives: one kill, linear cost, nobody left waiting", () => {
  const killAll = (count: number): number => {
    const rt = new VirtualRuntime();
    const gates: (Coordinator | Signal)[] = [];
    let cleaned = 0;
    const blocked = op(function* (gate: Coordinator | Signal) {
      try {
        yield* gate instanceof Signal ? gate.wait() : gate.acquire();
      } finally {
        cleaned++;
      }
    });
    const root = rt.cooperator.spawn(function* () {
      for (let i = 0; i < count; i++) {
        const gate = i % 2 === 0 ? new Signal() : new Coordinator({ held: true });
        gates.push(gate);
        spawn(blocked(gate));
      }
      yield* never();
    });
    rt.settle();
    expect(gates.every((gate) => gate.waiting === 1)).toBe(true);
    const { steps } = rt.statistics();
    const begun = performance.now();
    rt.cooperator.kill("the end");
    rt.settle();
    const time = performance.now() - begun;
    expect(root.exit).toMatchObject({ status: "killed", cause: { reason: "the end", origin: null } });
    expect(cleaned).toBe(count);
    expect(rt.statistics()).toMatchObject({ killed: count + 1, live: 0 });
    checked(rt, ...gates);
    expect(rt.statistics().steps - steps).toBeLessThanOrEqual(count + 2);
    return time / count;
  };
  // A cost that grew with the number of tasks would show as a factor of thirty.
  const many = sized(10_000, 100);
  if (many === 10_000) expectFlat(300, many, 15, killAll);
  else killAll(many);
});

test("B24 a chain of 100,000 tasks, each the child of the one before, is killed without a deep stack", () => {
  const rt = new VirtualRuntime();
  const link = op(function* (below: number): Generator<any, void, any> {
    if (below > 0) spawn(link(below - 1));
    yield* never();
  });
  const depth = sized(100_000, 100);
  rt.cooperator.spawn(link(depth));
  rt.settle();
  expect(rt.statistics().live).toBe(depth + 1);
  rt.cooperator.kill();
  rt.settle();
  expect(rt.statistics()).toMatchObject({ killed: depth + 1, live: 0 });
  checked(rt);
});

test("B29 a group whose handle has escaped takes nothing, gives nothing and harms nobody", () => {
  const rt = new VirtualRuntime();
  rt.run(function* () {
    let escaped: Group | undefined;
    yield* group(function* (g) {
      escaped = g;
    });
    const stranger = spawn(
      function* () {
        escaped!.spawn(never());
      },
      { failure: "hold" },
    );
    expect(yield* stranger.settled()).toMatchObject({ status: "failed", error: { code: "COOP_CLOSED" } });
    const other = spawn(
      function* () {
        escaped!.kill("from a stranger");
        yield* sleep(1);
      },
      { failure: "hold" },
    );
    expect(yield* other.settled()).toMatchObject({ status: "done" });
    yield* sleep(1);
    expect(self().killed).toBe(false);
  }).result;
  checked(rt);
});

test("B29 an outer group that is closed from inside an inner one ends both, inner first", () => {
  const log: string[] = [];
  runChecked(function* () {
    const scoped = (name: string, body: (g: Group) => Operation<unknown>): Operation<unknown> =>
      group(
        function* (g: Group) {
          try {
            return yield* body(g);
          } finally {
            log.push(name);
          }
        },
        { name },
      );
    let error: unknown;
    try {
      yield* scoped("outer", (outer) =>
        scoped(
          "inner",
          op(function* (inner: Group) {
            inner.spawn(function* () {
              try {
                yield* never();
              } finally {
                yield* sleep(1);
                log.push("child of inner");
              }
            });
            outer.spawn(function* () {
              try {
                yield* never();
              } finally {
                yield* sleep(2);
                log.push("child of outer");
              }
            });
            yield* yieldNow();
            outer.kill("out of order");
            yield* never();
          }),
        ),
      );
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toMatchObject({ code: "COOP_KILLED", reason: "out of order" });
  });
  expect(log).toEqual(["child of inner", "child of outer", "inner", "outer"]);
});

test("B29 tasks of another cooperator cannot be spawned into, joined or waited for", () => {
  const there = new VirtualRuntime();
  const foreign = there.cooperator.spawn(never());
  there.settle();
  runChecked(function* () {
    const otherCooperator = expect.objectContaining({ code: "COOP_OTHER_COOPERATOR" });
    expect(() => foreign.spawn(never())).toThrow(otherCooperator);
    expect(() => there.cooperator.spawn(never())).toThrow(otherCooperator);
    for (const wait of [() => foreign.join(), () => foreign.settled()]) {
      let error: unknown;
      try {
        yield* wait();
      } catch (thrown) {
        error = thrown;
      }
      expect(error).toEqual(otherCooperator);
    }
    expect(foreign.exit).toBe(null);
  });
  expect(there.statistics().spawned).toBe(1);
  foreign.kill();
  there.settle();
  checked(there);
});

test("B29 a turn inside a turn is refused, and so is a wait resumed by anyone but the scheduler", () => {
  const rt = new VirtualRuntime();
  rt.run(function* () {
    expect(() => rt.cooperator.turn()).toThrow(expect.objectContaining({ code: "COOP_NESTED_TURN" }));
    const nap = sleep(10);
    const sleeper = spawn(nap);
    yield* yieldNow();
    expect(() => (nap[Symbol.iterator]() as Iterator<unknown>).next()).toThrow(
      expect.objectContaining({ code: "COOP_OPERATION_USED" }),
    );
    expect(sleeper.status).toBe("blocked");
    yield* sleeper.join();
    expect(rt.now).toBe(10);
  }).result;
  checked(rt);
});

test("B29 a reporter that throws is itself reported, and the scheduler goes on", () => {
  const printed = vi.spyOn(console, "error").mockImplementation(() => {});
  try {
    const cooperator = new Cooperator({
      host: { requestTurn() {}, panic: expect.unreachable },
      report: () => {
        throw new Error("the reporter is broken");
      },
    });
    cooperator.spawn(function* () {
      spawn(
        function* () {
          throw new Error("boom");
        },
        { failure: "report" },
      );
      yield* yieldNow();
    });
    while (cooperator.turn()) {
      /* until nothing is ready */
    }
    expect(cooperator.statistics()).toMatchObject({ done: 1, failed: 1, live: 0 });
    expect(printed).toHaveBeenCalledTimes(1);
  } finally {
    printed.mockRestore();
  }
});

test("B30 a kill in the body of a for-of loop closes the stream's generator, once, before what is outside", () => {
  const log: string[] = [];
  function* stream(): Generator<number, void, void> {
    try {
      for (let i = 0; ; i++) yield i;
    } finally {
      log.push("stream closed");
    }
  }
  function* consumer(): Generator<any, void, any> {
    try {
      for (const item of stream()) {
        try {
          yield* sleep(1);
          log.push(`${item}`);
        } finally {
          log.push(`${item} released`);
        }
      }
    } finally {
      log.push("outer");
    }
  }
  const expected = ["0", "0 released", "1 released", "stream closed", "outer"];
  const programs: readonly (() => Operation<unknown>)[] = [
    // As a task's own generator, as an operation, and delegated to by a plain generator.
    () => consumer(),
    op(consumer),
    function* () {
      yield* consumer();
    },
  ];
  for (const program of programs) {
    log.length = 0;
    runChecked(function* () {
      const task = spawn(program());
      yield* sleep(1.5);
      expect(yield* task.killAndWait()).toMatchObject({ status: "killed" });
    });
    expect(log).toEqual(expected);
  }
});

test("B30 exhaustively: iterators are closed once, inside out, wherever the kill comes", () => {
  exhaustive(
    () => {
      const log: string[] = [];
      let opened = 0;
      function* stream(name: string): Generator<string, void, void> {
        opened++;
        try {
          yield `${name}1`;
          yield `${name}2`;
        } finally {
          log.push(name);
        }
      }
      function* consumer(): Generator<any, void, any> {
        for (const a of stream("outer")) {
          for (const _ of stream(`inner of ${a}`)) yield* sleep(1);
          yield* yieldNow();
        }
      }
      return {
        *body() {
          spawn(consumer());
          spawn(op(consumer)());
          yield* group(function* (g) {
            g.spawn(consumer);
          });
          yield* sleep(1);
        },
        check() {
          expect(log).toHaveLength(opened);
        },
      };
    },
    { kills: 1 },
  );
});

test("B31 a source without return() is given no notice, and nothing else is lost", () => {
  const log: string[] = [];
  const source = (wait: Operation<unknown>): Operation<unknown> => ({
    [Symbol.iterator]() {
      const inner = wait[Symbol.iterator]();
      return {
        next(value?: unknown): IteratorResult<unknown, unknown> {
          log.push("next");
          return inner.next(value);
        },
      };
    },
  });
  const lock = new Coordinator({ held: true, name: "lock" });
  runChecked(function* () {
    const delegating = op(function* () {
      try {
        yield* source(lock.acquire());
        log.push("BAD");
      } finally {
        yield* sleep(1);
        log.push("finally");
      }
    });
    // Delegated to, and as the body itself.
    for (const body of [delegating(), source(lock.acquire())]) {
      const task = spawn(body);
      yield* yieldNow();
      expect(lock.waiting).toBe(1);
      expect(yield* task.killAndWait()).toMatchObject({ status: "killed", errors: [] });
      expect(lock.waiting).toBe(0);
    }
    lock.release();
    expect(lock.held).toBe(false);
    // The same source works when nobody kills it.
    const task = spawn(source(sleep(5)));
    expect(yield* task.settled()).toMatchObject({ status: "done" });
  }, lock);
  expect(log).toEqual(["next", "finally", "next", "next", "next"]);
});

test("B31 exhaustively: sources without return(), killed anywhere", () => {
  exhaustive(
    () => {
      const lock = new Coordinator({ name: "lock" });
      let entered = 0;
      let left = 0;
      const source = (wait: Operation<unknown>): Operation<unknown> => ({
        [Symbol.iterator]: () => {
          const inner = wait[Symbol.iterator]();
          return { next: (value?: unknown) => inner.next(value) };
        },
      });
      const contender = op(function* () {
        entered++;
        try {
          yield* source(sleep(1));
          yield* source(lock.acquire());
          try {
            yield* source(sleep(1));
          } finally {
            lock.release();
          }
        } finally {
          yield* source(yieldNow());
          left++;
        }
      });
      return {
        *body() {
          yield* group(function* (g) {
            g.spawn(contender());
            g.spawn(contender());
          });
        },
        gates: [lock],
        check({ kills }) {
          expect(lock.held).toBe(false);
          // A `finally` reached without a kill is like other code: a kill at its wait ends it there.
          if (kills.length === 0) expect(left).toBe(entered);
        },
      };
    },
    { kills: 2 },
  );
});
