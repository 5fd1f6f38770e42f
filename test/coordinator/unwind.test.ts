/** Kills inside the clean-up of other kills, and kills of scopes that are not on the stack. */
import { describe, expect, test } from "vitest";
import { group, never, op, self, shield, spawn, yieldNow } from "../../src/coordinator/index.ts";
import { killEverywhere } from "../../src/testing/kill-everywhere.ts";
import { VirtualRuntime } from "../../src/testing/virtual.ts";
import { sleep } from "../../src/time/sleep.ts";
import { timeout } from "../../src/time/timeout.ts";
import { checked, runChecked } from "../support/harness.ts";

/** Clean-up that is itself cut by a timeout, `depth` times over; every level says that it ran to its end. */
const cleanUp = op(function* (depth: number, log: string[]): Generator<unknown, void, any> {
  try {
    yield* timeout(5, function* () {
      try {
        yield* never();
      } finally {
        if (depth > 1) yield* cleanUp(depth - 1, log);
        log.push(`inner ${depth}`);
      }
    });
  } catch (error) {
    log.push(`${(error as { code: string }).code} ${depth}`);
  }
  yield* sleep(1);
  log.push(`outer ${depth}`);
});

describe("a timeout that fires in clean-up", () => {
  test.each([1, 2, 3, 10])("nested %d times: each unwinds to its own base", (depth) => {
    const log: string[] = [];
    runChecked(function* () {
      const task = spawn(function* () {
        try {
          try {
            yield* never();
          } finally {
            yield* cleanUp(depth, log);
          }
        } finally {
          yield* sleep(1);
          log.push("body");
        }
      });
      yield* yieldNow();
      expect((yield* task.killAndWait("stop")).status).toBe("killed");
    });
    const expected: string[] = [];
    for (let i = 1; i <= depth; i++) expected.push(`inner ${i}`, `COOP_DEADLINE ${i}`, `outer ${i}`);
    expect(log).toEqual([...expected, "body"]);
  });

  test("the frames further down are still unwound by the kill that came first", () => {
    const log: string[] = [];
    const inner = op(function* () {
      try {
        yield* never();
      } finally {
        yield* cleanUp(1, log);
        log.push("inner frame");
      }
      log.push("BAD");
    });
    const middle = op(function* () {
      try {
        yield* inner();
        log.push("BAD");
      } finally {
        yield* cleanUp(1, log);
        log.push("middle frame");
      }
      log.push("BAD");
    });
    runChecked(function* () {
      const task = spawn(function* () {
        try {
          yield* timeout(10, function* () {
            yield* middle();
            log.push("BAD");
          });
        } catch (error) {
          log.push(`outermost ${(error as { code: string }).code}`);
        }
        yield* sleep(1);
        log.push("goes on");
      });
      yield* task.join();
    });
    const once = ["inner 1", "COOP_DEADLINE 1", "outer 1"];
    expect(log).toEqual([
      ...once,
      "inner frame",
      ...once,
      "middle frame",
      "outermost COOP_DEADLINE",
      "goes on",
    ]);
  });

  test("wherever a kill strikes", () => {
    const { reach } = killEverywhere(() => {
      const log: string[] = [];
      let began = false;
      return {
        body: function* () {
          const task = spawn(function* () {
            try {
              yield* never();
            } finally {
              began = true;
              yield* cleanUp(2, log);
              log.push("body");
            }
          });
          yield* sleep(1);
          yield* task.killAndWait("stop");
        },
        check: () => {
          const all = [
            "inner 1",
            "COOP_DEADLINE 1",
            "outer 1",
            "inner 2",
            "COOP_DEADLINE 2",
            "outer 2",
            "body",
          ];
          expect(log).toEqual(began ? all : []);
        },
      };
    });
    expect(reach).toBe(1);
  });

  test("errors of the outer clean-up stay with it", () => {
    const log: string[] = [];
    const throwing = op(function* () {
      try {
        yield* never();
      } finally {
        throw new Error("before");
      }
    });
    runChecked(function* () {
      const task = spawn(
        function* () {
          try {
            yield* throwing();
          } finally {
            try {
              yield* timeout(5, function* () {
                try {
                  yield* never();
                } finally {
                  throw new Error("inside");
                }
              });
            } catch (error) {
              log.push((error as Error).message);
            }
          }
        },
        { failure: "hold" },
      );
      yield* yieldNow();
      const exit = yield* task.killAndWait("stop");
      expect(exit).toMatchObject({ status: "failed", error: { message: "before" } });
      expect((exit as { error: { errors?: unknown } }).error.errors).toBe(undefined);
    });
    expect(log).toEqual(["inside"]);
  });

  test("errors of a scope whose clean-up ends under a wider kill go to the task", () => {
    runChecked(function* () {
      const task = spawn(
        function* () {
          yield* timeout(5, function* () {
            try {
              yield* never();
            } finally {
              yield* sleep(10);
              throw new Error("clean-up");
            }
          });
        },
        { failure: "hold" },
      );
      yield* sleep(7);
      const exit = yield* task.killAndWait("stop");
      expect(exit).toMatchObject({ status: "failed", error: { message: "clean-up" } });
    });
  });
});

describe("a kill of a scope that is not on the stack", () => {
  test("a timeout of zero inside a group and a timeout kills only itself", () => {
    runChecked(function* () {
      const codes: string[] = [];
      const value = yield* timeout(100, function* () {
        return yield* group(function* (g) {
          const child = g.spawn(function* () {
            yield* sleep(3);
            return "child";
          });
          for (const body of [never, () => sleep(0), yieldNow]) {
            try {
              yield* timeout(0, function* () {
                yield* body();
              });
            } catch (error) {
              codes.push((error as { code: string }).code);
            }
          }
          return yield* child.join();
        });
      });
      expect(codes).toEqual(["COOP_DEADLINE", "COOP_DEADLINE", "COOP_DEADLINE"]);
      expect(value).toBe("child");
    });
  });

  test("a group that is over", () => {
    runChecked(function* () {
      yield* group(function* (outer) {
        let inner!: typeof outer;
        yield* group(function* (g) {
          inner = g;
        });
        inner.kill("late");
        yield* sleep(1);
        expect(self().killed).toBe(false);
        outer.spawn(function* () {});
      });
    });
  });
});

describe("a kill that is pending when a scope is entered", () => {
  test("is met at the first wait inside, at any depth", () => {
    const log: string[] = [];
    const deep = op(function* (depth: number): Generator<unknown, void, any> {
      if (depth > 0) {
        yield* timeout(50, deep(depth - 1));
        return;
      }
      log.push("leaf");
      yield* yieldNow();
      log.push("BAD");
    });
    runChecked(function* () {
      const task = spawn(function* () {
        self().kill("stop");
        yield* deep(5);
      });
      expect((yield* task.settled()).status).toBe("killed");
    });
    expect(log).toEqual(["leaf"]);
  });

  test("an inner scope's kill does not outlive it when its body never waits", () => {
    runChecked(function* () {
      const task = spawn(function* () {
        yield* group(function* (g) {
          try {
            yield* timeout(0, function* () {
              return 1;
            });
          } catch (error) {
            expect(error).toMatchObject({ code: "COOP_DEADLINE" });
          }
          g.spawn(function* () {});
          yield* sleep(1);
        });
        return "well";
      });
      expect(yield* task.join()).toBe("well");
    });
  });
});

test("clean-up of 200 frames, each with a wait, under a kill of the timeout and then of the task", () => {
  const DEPTH = 200;
  const rt = new VirtualRuntime();
  const log: number[] = [];
  const frame = op(function* (depth: number): Generator<unknown, void, any> {
    try {
      if (depth < DEPTH) yield* frame(depth + 1);
      else yield* never();
    } finally {
      yield* sleep(1);
      log.push(depth);
    }
  });
  rt.run(function* () {
    const task = spawn(function* () {
      yield* timeout(10, frame(1));
    });
    yield* sleep(100);
    yield* task.killAndWait("stop");
    expect(rt.now).toBe(10 + DEPTH);
  }).result;
  expect(log).toEqual(Array.from({ length: DEPTH }, (_, i) => DEPTH - i));
  checked(rt);
});

test("a shield inside clean-up is like other clean-up", () => {
  const log: string[] = [];
  runChecked(function* () {
    const task = spawn(function* () {
      try {
        yield* never();
      } finally {
        yield* shield(function* () {
          yield* sleep(5);
        });
        yield* sleep(5);
        log.push("ended");
      }
    });
    yield* yieldNow();
    task.kill("first");
    yield* sleep(2);
    task.kill("second");
    expect(yield* task.settled()).toMatchObject({ cause: { reason: "first" } });
  });
  expect(log).toEqual(["ended"]);
});
