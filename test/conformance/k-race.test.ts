/** Conformance, section K: race, all, any, allSettled. */
import { describe, expect, expectTypeOf, test } from "vitest";
import {
  all,
  allSettled,
  any,
  Coordinator,
  childrenOf,
  type Exit,
  group,
  KilledError,
  never,
  type Operation,
  op,
  race,
  Signal,
  self,
  shield,
  type Task,
  UsageError,
  yieldNow,
} from "../../src/coordinator/index.ts";
import type { Program } from "../../src/testing/kill-everywhere.ts";
import { VirtualRuntime } from "../../src/testing/virtual.ts";
import { sleep } from "../../src/time/sleep.ts";
import { timeout } from "../../src/time/timeout.ts";
import { checked, exhaustive, inOrder, runChecked, sized } from "../support/harness.ts";
import { thrownBy } from "../support/thrown.ts";

/** Gives `value` after `ms`; clean-up of `cleanup` ms that a kill does not interrupt. */
const giving = op(function* <A>(ms: number, value: A, cleanup = 0, log: string[] = []) {
  try {
    yield* sleep(ms);
    return value;
  } finally {
    if (cleanup > 0) yield* shield(sleep(cleanup));
    log.push(`${value} is over`);
  }
});

const failing = op(function* (ms: number, error: unknown) {
  yield* sleep(ms);
  throw error;
});

/** Waits for ever, and throws `error` when it is killed. */
const badLoser = op(function* (error: unknown) {
  try {
    yield* never();
  } finally {
    yield* yieldNow();
    throw error;
  }
});

describe("K06 race", () => {
  test("K06 gives the winner's value once the loser has cleaned up", () => {
    const rt = new VirtualRuntime();
    const log: string[] = [];
    const value = rt.run(function* () {
      const value = yield* race([giving(10, "a", 0, log), giving(50, "b", 30, log)]);
      expect(rt.now).toBe(40);
      expect(childrenOf(self())).toEqual([]);
      log.push("raced");
      return value;
    }).result;
    expect(value).toBe("a");
    expect(log).toEqual(["a is over", "b is over", "raced"]);
    checked(rt);
  });

  test("K06 a branch that fails first ends the race with its error, itself", () => {
    const boom = new Error("boom");
    const log: string[] = [];
    runChecked(function* () {
      expect(yield* thrownBy(race([giving(20, "a", 5, log), failing(10, boom)]))).toBe(boom);
      expect(log).toEqual(["a is over"]);
    });
  });

  test("K06 a branch that is killed by somebody else ends it with a KilledError", () => {
    runChecked(function* () {
      let victim!: Task;
      const branch = op(function* () {
        victim = self();
        yield* never();
      });
      const killer = op(function* () {
        yield* sleep(1);
        victim.kill("not needed");
        yield* never();
      });
      const error = yield* thrownBy(race([branch(), killer()]));
      expect(error).toBeInstanceOf(KilledError);
      expect(error.reason).toBe("not needed");
    });
  });

  test("K06 takes branches by name, and is what a timeout ends like any other call", () => {
    runChecked(function* () {
      expect(yield* race({ slow: giving(9, "slow"), quick: giving(3, 7) })).toBe(7);
      const error = yield* thrownBy(timeout(5, race([never(), badLoser(new Error("late"))])));
      expect(error.message).toBe("late");
    });
  });
});

describe("K07 several branches end in the same turn", () => {
  test("K07 the first in order wins, always, and what the loser holds is released", () => {
    inOrder();
    for (let run = 0; run < 100; run++) {
      const lock = new Coordinator();
      const go = new Signal();
      const branch = op(function* (name: string) {
        yield* go.wait();
        return name;
      });
      const locker = op(function* () {
        yield* lock.acquire();
        try {
          yield* go.wait();
          return "locker";
        } finally {
          lock.release();
        }
      });
      runChecked(function* () {
        const winner = yield* race([
          branch("first"),
          locker(),
          branch("third"),
          op(function* () {
            yield* yieldNow();
            go.notify();
            return yield* never();
          })(),
        ]);
        expect(winner).toBe("first");
        expect(lock.held).toBe(false);
      }, lock);
    }
  });

  test("K07 with a kill at every point", () => {
    exhaustive(() => {
      const lock = new Coordinator({ name: "lock" });
      const go = new Signal({ name: "go" });
      const locker = op(function* (name: string) {
        yield* lock.acquire();
        try {
          yield* go.wait();
          return name;
        } finally {
          lock.release();
        }
      });
      const waiter = op(function* () {
        yield* go.wait();
        return "waiter";
      });
      return {
        gates: [lock, go],
        body: function* () {
          yield* group(function* (g) {
            g.spawn(function* () {
              yield* sleep(1);
              go.notify();
            });
            try {
              yield* race([locker("a"), waiter(), locker("b")]);
            } catch (error) {
              // One of the branches was the victim.
              expect(error).toBeInstanceOf(KilledError);
            }
            expect(lock.held).toBe(false);
          });
        },
        check: ({ main }) => {
          expect(main.exit?.status).not.toBe("failed");
          expect(lock.held).toBe(false);
        },
      };
    });
  });
});

describe("K08 the clean-up of a loser throws", () => {
  test("K08 it is reported when there is a value to give", () => {
    const late = new Error("late");
    const rt = new VirtualRuntime();
    expect(
      rt.run(function* () {
        return yield* race([giving(1, "a"), badLoser(late)]);
      }).result,
    ).toBe("a");
    expect(rt.reports.splice(0)).toMatchObject([
      { kind: "failure", where: "had lost the race", error: late },
    ]);
    checked(rt);
  });

  test("K08 it goes along with the winner's error when there is one", () => {
    const [boom, late] = [new Error("boom"), new Error("late")] as const;
    runChecked(function* () {
      const error = yield* thrownBy(race([badLoser(late), failing(1, boom)]));
      expect(error).toBe(boom);
      expect(error.errors).toEqual([late]);
    });
  });

  test("K08 any reports it as well; a kill of the caller makes it the caller's", () => {
    const late = new Error("late");
    const rt = new VirtualRuntime();
    const main = rt.run(function* () {
      yield* any([giving(1, "a"), badLoser(late)]);
      const child = self().spawn(() => any([never(), badLoser(late)]), { failure: "hold" });
      yield* sleep(1);
      return yield* child.killAndWait("stop");
    });
    expect(rt.reports.splice(0)).toMatchObject([{ where: "had lost the any", error: late }]);
    expect(main.result).toMatchObject({ status: "failed", error: late });
    checked(rt);
  });
});

describe("K09 how many", () => {
  test("K09 a race of nobody is a typed error at the call, and so is any", () => {
    for (const call of [() => race([]), () => any([]), () => race({}), () => any({})]) {
      expect(call).toThrow(UsageError);
      expect(call).toThrow("of nothing would never end");
    }
  });

  test("K09 of one", () => {
    runChecked(function* () {
      expect(yield* race([giving(1, "only")])).toBe("only");
      expect(yield* any({ only: giving(1, "only") })).toBe("only");
      expect(yield* all([giving(1, "only")])).toEqual(["only"]);
    });
  });

  test("K09 of 10,000: a bounded number of steps for each branch", () => {
    const perBranch = (count: number): number => {
      const rt = new VirtualRuntime();
      rt.run(function* () {
        const branches = Array.from({ length: count }, (_, i) => giving(1 + ((i * 7919) % count), i));
        expect(yield* race(branches)).toBe(0);
        expect(rt.now).toBe(1);
        const values = yield* all(Array.from({ length: count }, (_, i) => giving((i * 7919) % count, i)));
        expect(values.every((value, i) => value === i)).toBe(true);
      }).result;
      checked(rt);
      return rt.statistics().steps / count;
    };
    expect(perBranch(sized(10_000, 100))).toBeLessThanOrEqual(perBranch(sized(100, 10)));
  });
});

describe("K10 all", () => {
  test("K10 values are in the order of the branches, whatever the order of their ends", () => {
    runChecked(function* () {
      expect(yield* all([giving(30, "a"), giving(10, "b"), giving(20, "c")])).toEqual(["a", "b", "c"]);
      expect(yield* all({ x: giving(3, 1), y: giving(1, "two") })).toEqual({
        x: 1,
        y: "two",
      });
    });
  });

  test("K10 nothing gives nothing, at once", () => {
    const rt = new VirtualRuntime();
    rt.run(function* () {
      expect(yield* all([])).toEqual([]);
      expect(yield* all({})).toEqual({});
      expect(yield* allSettled([])).toEqual([]);
    }).result;
    expect(rt.statistics().steps).toBe(1);
    checked(rt);
  });

  test("K10 the first failure kills the rest, and is thrown once they have cleaned up", () => {
    const [boom, late] = [new Error("boom"), new Error("late")] as const;
    const rt = new VirtualRuntime();
    const log: string[] = [];
    rt.run(function* () {
      const branches = [giving(50, "a", 30, log), failing(10, boom), badLoser(late), giving(5, "d", 0, log)];
      const error = yield* thrownBy(all(branches));
      expect(error).toBe(boom);
      expect(error.errors).toEqual([late]);
      expect(rt.now).toBe(40);
      expect(log).toEqual(["d is over", "a is over"]);
    }).result;
    checked(rt);
  });

  test("K10 a branch that somebody else kills fails it", () => {
    runChecked(function* () {
      const tasks: Task[] = [];
      const branch = op(function* () {
        tasks.push(self());
        yield* sleep(100);
      });
      const killer = op(function* () {
        yield* sleep(1);
        tasks[1]!.kill("not needed");
      });
      const error = yield* thrownBy(all([branch(), branch(), killer()]));
      expect(error).toBeInstanceOf(KilledError);
      expect(error.reason).toBe("not needed");
      expect(tasks[0]!.exit).toMatchObject({ status: "killed", cause: { reason: "not needed" } });
    });
  });

  test("K10 results are typed as the branches are", () => {
    runChecked(function* () {
      const tuple = yield* all([giving(1, 1), giving(1, "b"), () => giving(1, true)]);
      expectTypeOf(tuple).toEqualTypeOf<[number, string, boolean]>();
      const record = yield* all({ a: giving(1, 1), b: giving(1, "b") });
      expectTypeOf(record).toEqualTypeOf<{ a: number; b: string }>();
      const list = yield* all([1, 2].map((n) => giving(1, n)));
      expectTypeOf(list).toEqualTypeOf<number[]>();
      const exits = yield* allSettled([giving(1, 1), giving(1, "b")]);
      expectTypeOf(exits).toEqualTypeOf<[Exit<number>, Exit<string>]>();
      expectTypeOf(race([giving(1, 1), giving(1, "b")])).toEqualTypeOf<Operation<number | string>>();
      expectTypeOf(any({ a: giving(1, 1), b: giving(1, "b") })).toEqualTypeOf<Operation<number | string>>();
      expect(tuple).toEqual([1, "b", true]);
    });
  });

  test("K10 what is no list of operations is a typed error before anything starts", () => {
    const rt = new VirtualRuntime();
    rt.run(function* () {
      expect(() => all(Promise.resolve([]) as any)).not.toThrow(TypeError);
      expect(() => all([giving(1, 1), Promise.resolve(1) as any])).toThrow("[1] is a promise");
      expect(() => all({ a: 3 } as any)).toThrow("a is the number 3");
      expect(() => all(giving(1, 1) as any)).toThrow("takes an array or a record of operations");
      expect(() => race(new Set([giving(1, 1)]) as any)).toThrow("takes an array or a record of operations");
      expect(() => any(null as any)).toThrow(UsageError);
      expect(() => all([], { limit: 0 })).toThrow("a limit is a whole number from 1 up, not 0");
      expect(() => allSettled([], { limit: 1.5 })).toThrow(UsageError);
    }).result;
    expect(rt.statistics().spawned).toBe(1);
    checked(rt);
  });
});

describe("K11 all with a limit", () => {
  /** Counts how many are under way. */
  function counting() {
    const counts = { alive: 0, most: 0, started: 0 };
    const branch = op(function* (ms: number, i: number) {
      counts.started++;
      counts.most = Math.max(counts.most, ++counts.alive);
      try {
        yield* sleep(ms);
        return i;
      } finally {
        yield* shield(sleep(2));
        counts.alive--;
      }
    });
    return { counts, branch };
  }

  test("K11 no more than that are alive, they start in order, and the values are all there", () => {
    for (const limit of [1, 2, 3, 100, Number.POSITIVE_INFINITY]) {
      const { counts, branch } = counting();
      runChecked(function* () {
        const values = yield* all(
          Array.from({ length: 10 }, (_, i) => () => branch(10 - i, i)),
          { limit },
        );
        expect(values).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
      });
      expect(counts).toEqual({ alive: 0, most: Math.min(limit, 10), started: 10 });
    }
  });

  test("K11 none starts after a kill half way, or after a failure", () => {
    const rt = new VirtualRuntime();
    const { counts, branch } = counting();
    rt.run(function* () {
      const task = self().spawn(() =>
        all(
          Array.from({ length: 10 }, (_, i) => () => branch(10, i)),
          { limit: 2 },
        ),
      );
      yield* sleep(15);
      yield* task.killAndWait("stop");
      expect(counts).toEqual({ alive: 0, most: 2, started: 4 });

      const boom = new Error("boom");
      const more = Array.from({ length: 10 }, (_, i) => () => (i === 3 ? failing(5, boom) : branch(10, i)));
      expect(yield* thrownBy(all(more, { limit: 2 }))).toBe(boom);
      expect(counts).toEqual({ alive: 0, most: 2, started: 7 });
    }).result;
    checked(rt);
  });

  test("K11 with a kill at every point", () => {
    exhaustive(() => {
      const { counts, branch } = counting();
      return {
        body: function* () {
          try {
            const values = yield* all(
              Array.from({ length: 5 }, (_, i) => () => branch(3 - (i % 3), i)),
              { limit: 2 },
            );
            expect(values).toEqual([0, 1, 2, 3, 4]);
          } catch (error) {
            expect(error).toBeInstanceOf(KilledError);
          }
          expect(counts.alive).toBe(0);
        },
        check: ({ main }) => {
          expect(main.exit?.status).not.toBe("failed");
          expect(counts.alive).toBe(0);
          expect(counts.most).toBeLessThanOrEqual(2);
        },
      };
    });
  });
});

describe("K12 any", () => {
  test("K12 all fail: an AggregateError with all errors in the order of the branches", () => {
    const errors = [new Error("a"), "b", new Error("c")];
    runChecked(function* () {
      const error = yield* thrownBy(
        any([failing(30, errors[0]), failing(10, errors[1]), failing(20, errors[2])]),
      );
      expect(error).toBeInstanceOf(AggregateError);
      expect(error.errors).toEqual(errors);
      expect(error.errors[0]).toBe(errors[0]);
      expect(error.message).toBe("all 3 branches failed");
    });
  });

  test("K12 the first value wins, whatever failed before it", () => {
    const rt = new VirtualRuntime();
    rt.run(function* () {
      const log: string[] = [];
      const branches = [failing(1, new Error("no")), giving(9, "slow", 3, log), giving(5, "quick", 0, log)];
      expect(yield* any(branches)).toBe("quick");
      expect(log).toEqual(["quick is over", "slow is over"]);
      expect(rt.now).toBe(8);
    }).result;
    checked(rt);
  });

  test("K12 a branch that is killed counts as failed", () => {
    runChecked(function* () {
      const killed = op(function* () {
        self().kill("enough");
        yield* yieldNow();
      });
      const error = yield* thrownBy(any([killed(), failing(1, new Error("no"))]));
      expect(error.errors[0]).toBeInstanceOf(KilledError);
      expect(error.errors[1].message).toBe("no");
    });
  });
});

test("allSettled waits for all, whatever fails, and gives every exit in its place", () => {
  const boom = new Error("boom");
  const rt = new VirtualRuntime();
  rt.run(function* () {
    const killed = op(function* () {
      self().kill("enough");
      yield* yieldNow();
    });
    const exits = yield* allSettled([giving(30, "a"), failing(10, boom), killed()], { limit: 2 });
    expect(exits).toMatchObject([
      { status: "done", value: "a" },
      { status: "failed", error: boom },
      { status: "killed", cause: { reason: "enough" } },
    ]);
    expect(yield* allSettled({ x: giving(1, 1) })).toEqual({ x: { status: "done", value: 1 } });
    expect(rt.now).toBe(31);
  }).result;
  checked(rt);
});

test("allSettled that is killed hands on what the clean-up of its branches throws", () => {
  const late = new Error("late");
  runChecked(function* () {
    const child = self().spawn(() => allSettled([badLoser(late)]), { failure: "hold" });
    yield* sleep(1);
    expect(yield* child.killAndWait("stop")).toMatchObject({ status: "failed", error: late });
  });
});

describe("K15 a race inside a race", () => {
  test("K15 when the outer one is lost, both arms of the inner are killed and cleaned up first", () => {
    const rt = new VirtualRuntime();
    const log: string[] = [];
    rt.run(function* () {
      const inner = op(function* () {
        try {
          return yield* race([giving(50, "x", 10, log), giving(60, "y", 20, log)]);
        } finally {
          log.push("inner is over");
        }
      });
      expect(yield* race([inner(), giving(5, "a")])).toBe("a");
      expect(rt.now).toBe(25);
    }).result;
    expect(log).toEqual(["x is over", "y is over", "inner is over"]);
    checked(rt);
  });

  test("K15 with a kill at every point, and with two", () => {
    const program = (): Program => {
      const held = new Coordinator({ name: "held" });
      let cleanups = 0;
      let entered = 0;
      const arm = op(function* (ms: number) {
        entered++;
        try {
          yield* sleep(ms);
        } finally {
          yield* shield(sleep(1));
          cleanups++;
        }
      });
      const inner = op(function* () {
        yield* race([arm(5), arm(6)]);
      });
      return {
        gates: [held],
        body: function* () {
          try {
            yield* race([inner(), arm(3)]);
          } catch (error) {
            expect(error).toBeInstanceOf(KilledError);
          }
          expect(cleanups).toBe(entered);
        },
        check: ({ main }) => {
          // An arm that is killed fails its race; a later kill of the caller does not undo that.
          if (main.exit?.status === "failed") expect(main.exit.error).toBeInstanceOf(KilledError);
          expect(cleanups).toBe(entered);
        },
      };
    };
    exhaustive(program);
    exhaustive(program, { kills: 2 });
  });
});

describe("a branch that is a function and throws when it is called fails like any other", () => {
  const error = new Error("no such page");
  const broken = (): never => {
    throw error;
  };
  const good = op(function* () {
    yield* sleep(1);
    return "good";
  });

  test.each([undefined, { limit: 1 }])(
    "K10 allSettled gives its exit, and lets the others run: %o",
    (options) => {
      runChecked(function* () {
        const exits = yield* allSettled([broken, good, broken, good], options);
        const failed = { status: "failed", error };
        const done = { status: "done", value: "good" };
        expect(exits).toEqual([failed, done, failed, done]);
      });
    },
  );

  test("K12 for any it is out; all fail with all the errors", () => {
    runChecked(function* () {
      expect(yield* any([broken, good])).toBe("good");
      let thrown: unknown;
      try {
        yield* any([broken, () => 5 as never]);
      } catch (caught) {
        thrown = caught;
      }
      expect(thrown).toBeInstanceOf(AggregateError);
      expect((thrown as AggregateError).errors).toEqual([
        error,
        expect.objectContaining({ code: "COOP_NOT_AN_OPERATION" }),
      ]);
    });
  });

  test("K07 K10 race and all throw it, and have killed the others", () => {
    runChecked(function* () {
      for (const call of [race([good, broken]), all([good, broken]), all([good, broken], { limit: 1 })]) {
        let thrown: unknown;
        try {
          yield* call as Operation<unknown>;
        } catch (caught) {
          thrown = caught;
        }
        expect(thrown).toBe(error);
      }
    });
  });
});
