import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  all,
  allSettled,
  any,
  Coordinator,
  DeadlineError,
  group,
  never,
  type Operation,
  op,
  race,
  self,
  spawn,
  supervise,
  yieldNow,
} from "../../src/coordinator/index.ts";
import { killEverywhere } from "../../src/testing/kill-everywhere.ts";
import { VirtualRuntime } from "../../src/testing/virtual.ts";
import { now, sleep } from "../../src/time/sleep.ts";
import { deadline, type TimeLimit, timeout } from "../../src/time/timeout.ts";
import { checked, runChecked } from "../support/harness.ts";

/** What `operation` throws. */
function* thrownBy(operation: Iterable<unknown>): Generator<unknown, any, any> {
  try {
    yield* operation as Generator<unknown, unknown, any>;
  } catch (error) {
    return error;
  }
  throw new Error("nothing was thrown");
}

test("a body that ends first keeps its value, and the timer is off", () => {
  const rt = new VirtualRuntime();
  rt.run(function* () {
    const value = yield* timeout("1 second", function* () {
      yield* sleep(10);
      expect(rt.timers.size).toBe(1);
      return "value";
    });
    expect(value).toBe("value");
    expect(rt.timers.size).toBe(0);
    expect(rt.now).toBe(10);
    // An operation does as well as a function.
    expect(
      yield* timeout(
        5,
        op(function* (n: number) {
          return n;
        })(7),
      ),
    ).toBe(7);
  }).result;
  checked(rt);
});

test("an error of the body goes through as it is", () => {
  const error = new Error("body");
  runChecked(function* () {
    const thrown = yield* thrownBy(
      timeout(10, function* () {
        yield* sleep(1);
        throw error;
      }),
    );
    expect(thrown).toBe(error);
    expect(thrown.cause).toBe(undefined);
  });
});

test("when the time is up the body is unwound, cleans up to its end, and then it throws", () => {
  const rt = new VirtualRuntime();
  const log: string[] = [];
  rt.run(function* () {
    const error = yield* thrownBy(
      timeout(10, function* () {
        try {
          yield* new Coordinator({ held: true }).acquire();
          log.push("BAD");
        } catch {
          log.push("BAD");
        } finally {
          yield* sleep(5);
          log.push("cleaned up");
        }
      }),
    );
    expect(error).toBeInstanceOf(DeadlineError);
    expect(error.code).toBe("COOP_DEADLINE");
    expect(rt.now).toBe(15);
    expect(self().killed).toBe(false);
    yield* sleep(1);
  }).result;
  expect(log).toEqual(["cleaned up"]);
  checked(rt);
});

test("a body that could go on in the same instant is late: the kill beats what its wait was given", () => {
  const rt = new VirtualRuntime();
  rt.run(function* () {
    // Whether the limit was armed before the sleep, or after.
    const sleepFirst = sleep(10);
    expect((yield* thrownBy(timeout(10, sleepFirst))).code).toBe("COOP_DEADLINE");
    const napping = spawn(function* () {
      yield* sleep(10);
      return "up";
    });
    yield* yieldNow();
    expect((yield* thrownBy(timeout(10, napping.join()))).code).toBe("COOP_DEADLINE");
    expect(rt.now).toBe(20);
    expect(napping.result).toBe("up");
  }).result;
  checked(rt);
});

describe("how long", () => {
  test("zero: the body runs to its first wait", () => {
    const log: string[] = [];
    runChecked(function* () {
      const error = yield* thrownBy(
        timeout(0, function* () {
          log.push("began");
          yield* yieldNow();
          log.push("BAD");
        }),
      );
      expect(error.code).toBe("COOP_DEADLINE");
      expect(now()).toBe(0);
    });
    expect(log).toEqual(["began"]);
  });

  test("zero: a group is not begun, and a kill that is pending is no error of its", () => {
    const several: (() => Operation<unknown>)[] = [
      () => all([sleep(1)]),
      () => race([sleep(1)]),
      () => any([sleep(1)]),
      () => allSettled([sleep(1)]),
      () =>
        group(function* (g) {
          yield* g.spawn(sleep(1)).join();
        }),
      () =>
        supervise(function* (s) {
          s.spawn(() => sleep(1));
        }),
    ];
    runChecked(function* () {
      for (const make of several) {
        expect((yield* thrownBy(timeout(0, make()))).code).toBe("COOP_DEADLINE");
        const killed = spawn(function* () {
          self().kill("enough");
          yield* make();
        });
        expect((yield* killed.settled()).status).toBe("killed");
      }
      expect(now()).toBe(0);
    });
  });

  test("zero: even a body that never waits is late", () => {
    runChecked(function* () {
      const error = yield* thrownBy(
        timeout(0, function* () {
          return 1;
        }),
      );
      expect(error.code).toBe("COOP_DEADLINE");
    });
  });

  test("Infinity and what is as good as that", () => {
    const rt = new VirtualRuntime();
    rt.run(function* () {
      for (const forever of [
        Number.POSITIVE_INFINITY,
        Number.MAX_VALUE,
        Number.MAX_SAFE_INTEGER,
        "99999 weeks",
      ]) {
        expect(
          yield* timeout(forever, function* () {
            yield* sleep("1 week");
            return "done";
          }),
        ).toBe("done");
      }
      expect(rt.timers.size).toBe(0);
    }).result;
    checked(rt);
  });

  test("what is no duration is an error of the call; what is no body is one of the yield*", () => {
    runChecked(function* () {
      for (const bad of [-1, Number.NaN, "soon"]) {
        expect(() => timeout(bad, never())).toThrow(expect.objectContaining({ code: "COOP_DURATION" }));
      }
      expect(() => deadline(Number.NaN, never())).toThrow(expect.objectContaining({ code: "COOP_DURATION" }));
      const error = yield* thrownBy(timeout(10, 5 as never));
      expect(error.code).toBe("COOP_NOT_AN_OPERATION");
    });
  });
});

describe("deadline", () => {
  test("is a time of now()", () => {
    runChecked(function* () {
      yield* sleep(10);
      const error = yield* thrownBy(deadline(25, never()));
      expect(error.code).toBe("COOP_DEADLINE");
      expect(now()).toBe(25);
      expect(
        yield* deadline(now() + 10, function* () {
          yield* sleep(9);
          return "in time";
        }),
      ).toBe("in time");
    });
  });

  test("that has passed is like a timeout of zero", () => {
    runChecked(function* () {
      yield* sleep(10);
      for (const past of [10, 9, 0, -1, Number.NEGATIVE_INFINITY]) {
        expect((yield* thrownBy(deadline(past, never()))).code).toBe("COOP_DEADLINE");
        expect(now()).toBe(10);
      }
      expect(yield* deadline(Number.POSITIVE_INFINITY, sleep(1))).toBe(undefined);
    });
  });
});

describe("nested", () => {
  test.each([
    [10, 20, "inner"],
    [20, 10, "outer"],
    [10, 10, "outer"],
  ])("inner %d, outer %d: %s throws, at its place", (inner, outer, which) => {
    const rt = new VirtualRuntime();
    const log: string[] = [];
    rt.run(function* () {
      try {
        yield* timeout(outer, function* () {
          try {
            yield* timeout(inner, function* () {
              yield* never();
            });
          } catch {
            log.push("inner");
          }
        });
      } catch {
        log.push("outer");
      }
      expect(rt.now).toBe(Math.min(inner, outer));
    }).result;
    expect(log).toEqual([which]);
    checked(rt);
  });

  test("the outer one fires while the inner one cleans up: both clean-ups run to the end, the outer one throws", () => {
    const rt = new VirtualRuntime();
    const log: string[] = [];
    rt.run(function* () {
      const error = yield* thrownBy(
        timeout(12, function* () {
          try {
            yield* timeout(10, function* () {
              try {
                yield* never();
              } finally {
                yield* sleep(5);
                log.push("inner");
              }
            });
          } catch {
            log.push("BAD");
          } finally {
            yield* sleep(5);
            log.push("outer");
          }
        }),
      );
      expect(error.code).toBe("COOP_DEADLINE");
      expect(rt.now).toBe(20);
    }).result;
    expect(log).toEqual(["inner", "outer"]);
    checked(rt);
  });

  test("any stack of limits: the least throws, and the outermost of those that are equal", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 6 }), { minLength: 1, maxLength: 8 }), (limits) => {
        const rt = new VirtualRuntime();
        const caught: number[] = [];
        const nest = op(function* (i: number): Generator<unknown, void, any> {
          if (i === limits.length) {
            yield* never();
            return;
          }
          try {
            yield* timeout(limits[i]!, nest(i + 1));
          } catch {
            caught.push(i);
          }
        });
        rt.run(function* () {
          yield* nest(0);
          expect(rt.now).toBe(Math.min(...limits));
        }).result;
        expect(caught).toEqual([limits.indexOf(Math.min(...limits))]);
        checked(rt);
      }),
      { numRuns: 200, seed: 12 },
    );
  });
});

describe("an error in clean-up", () => {
  test("wins, and remembers why it was cleaning up", () => {
    const error = new Error("clean-up");
    runChecked(function* () {
      const thrown = yield* thrownBy(
        timeout(10, function* () {
          try {
            yield* never();
          } finally {
            throw error;
          }
        }),
      );
      expect(thrown).toBe(error);
      expect(thrown.cause).toBeInstanceOf(DeadlineError);
    });
  });

  test("keeps a cause it has; several are one, the first first", () => {
    const cause = new Error("cause");
    const fail = op(function* (message: string) {
      try {
        yield* never();
      } finally {
        throw new Error(message, { cause });
      }
    });
    runChecked(function* () {
      const thrown = yield* thrownBy(
        timeout(10, function* () {
          try {
            yield* fail("inner");
          } finally {
            throw new Error("outer");
          }
        }),
      );
      expect([thrown.message, thrown.cause]).toEqual(["inner", cause]);
      expect(thrown.errors.map(({ message }: Error) => message)).toEqual(["outer"]);
    });
  });

  test("that is no error object goes through as it is", () => {
    runChecked(function* () {
      for (const value of ["text", undefined, Object.freeze(new Error("frozen"))]) {
        let thrown: unknown = "nothing";
        try {
          yield* timeout(1, function* () {
            try {
              yield* never();
            } finally {
              throw value;
            }
          });
        } catch (error) {
          thrown = error;
        }
        expect(thrown).toBe(value);
      }
    });
  });
});

describe("with other things in it", () => {
  test("a group: its children are killed and drained first", () => {
    const log: string[] = [];
    runChecked(function* () {
      const error = yield* thrownBy(
        timeout(10, function* () {
          yield* group(function* (g) {
            g.spawn(function* () {
              try {
                yield* never();
              } finally {
                yield* sleep(5);
                log.push("child");
              }
            });
            try {
              yield* never();
            } finally {
              log.push("body");
            }
          });
        }),
      );
      expect(error.code).toBe("COOP_DEADLINE");
      expect(now()).toBe(15);
    });
    expect(log).toEqual(["child", "body"]);
  });

  test("a child of the task is not touched", () => {
    runChecked(function* () {
      let child!: ReturnType<typeof spawn>;
      yield* thrownBy(
        timeout(10, function* () {
          child = spawn(function* () {
            yield* sleep(20);
            return "unharmed";
          });
          yield* never();
        }),
      );
      expect(yield* child.join()).toBe("unharmed");
    });
  });

  test("a wait that was satisfied in the instant before: what it was given is handed back", () => {
    const gate = new Coordinator({ held: true });
    const rt = new VirtualRuntime();
    const task = rt.cooperator.spawn(function* () {
      return (yield* thrownBy(timeout(10, gate.acquire()))).code;
    });
    rt.settle();
    rt.advance(10);
    gate.release();
    rt.timers.expire();
    expect(gate.held).toBe(true);
    rt.settle();
    expect(task.result).toBe("COOP_DEADLINE");
    expect(gate.held).toBe(false);
    checked(rt, gate);
  });
});

test("wherever a kill strikes, no timer is left and clean-up that was reached by a kill has run", () => {
  const { reach, runs } = killEverywhere(() => {
    let began = 0;
    let ended = 0;
    return {
      body: function* () {
        for (let i = 0; i < 3; i++) {
          spawn(function* () {
            try {
              yield* timeout(
                3 + i,
                op(function* () {
                  yield* timeout(4, function* () {
                    try {
                      yield* never();
                    } finally {
                      began++;
                      yield* sleep(2);
                      ended++;
                    }
                  });
                })(),
              );
            } catch (error) {
              expect(error).toBeInstanceOf(DeadlineError);
            }
          });
        }
        yield* sleep(20);
      },
      check: () => expect(ended).toBe(began),
    };
  });
  expect(reach).toBe(1);
  expect(runs).toBeGreaterThan(40);
});

test("the limit of a body that never began moves nothing and leaves no timer", () => {
  runChecked(function* () {
    const limits: TimeLimit[] = [];
    const error = yield* thrownBy(
      timeout(1000, (limit) => {
        limits.push(limit);
        throw new Error("no body");
      }),
    );
    expect((error as Error).message).toBe("no body");
    expect(limits[0]!.restart(5000)).toBe(false);
    expect(limits[0]!.moveTo(0)).toBe(false);
  });
});
