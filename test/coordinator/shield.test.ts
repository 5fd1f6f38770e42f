import { describe, expect, test } from "vitest";
import {
  Coordinator,
  coordinateWithKill,
  group,
  never,
  type Operation,
  op,
  self,
  shield,
  spawn,
  yieldNow,
} from "../../src/coordinator/index.ts";
import { killEverywhere } from "../../src/testing/kill-everywhere.ts";
import { VirtualRuntime } from "../../src/testing/virtual.ts";
import { now, sleep } from "../../src/time/sleep.ts";
import { timeout } from "../../src/time/timeout.ts";
import { checked, runChecked } from "../support/harness.ts";

test("gives the value of its body and lets its errors through", () => {
  runChecked(function* () {
    expect(
      yield* shield(function* () {
        yield* sleep(1);
        return 5;
      }),
    ).toBe(5);
    const error = new Error("inside");
    let caught: unknown;
    try {
      yield* shield(function* () {
        yield* sleep(1);
        throw error;
      });
    } catch (thrown) {
      caught = thrown;
    }
    expect(caught).toBe(error);
  });
});

test("a kill waits until it is left, and is delivered at the first wait after it", () => {
  const log: string[] = [];
  const rt = new VirtualRuntime();
  rt.run(function* () {
    const task = spawn(function* () {
      try {
        const value = yield* shield(function* () {
          yield* sleep(10);
          log.push(`inside, killed: ${self().killed}`);
          return "value";
        });
        log.push(value);
        yield* yieldNow();
        log.push("BAD");
      } finally {
        log.push("finally");
      }
    });
    yield* sleep(1);
    yield* task.killAndWait("stop");
    expect(rt.now).toBe(10);
  }).result;
  expect(log).toEqual(["inside, killed: true", "value", "finally"]);
  checked(rt);
});

test("a body that ends in a shield without another wait: the kill beats the value", () => {
  runChecked(function* () {
    const task = spawn(function* () {
      return yield* shield(function* () {
        yield* sleep(10);
        return "value";
      });
    });
    yield* sleep(1);
    expect((yield* task.killAndWait("stop")).status).toBe("killed");
  });
});

test("an error thrown inside beats the kill", () => {
  const error = new Error("inside");
  runChecked(function* () {
    const task = spawn(
      function* () {
        yield* shield(function* () {
          yield* sleep(10);
          throw error;
        });
      },
      { failure: "hold" },
    );
    yield* sleep(1);
    expect(yield* task.killAndWait("stop")).toEqual({ status: "failed", error });
  });
});

test("entered with a kill pending it still runs", () => {
  const log: string[] = [];
  runChecked(function* () {
    const task = spawn(function* () {
      self().kill("stop");
      yield* shield(function* () {
        yield* sleep(1);
        log.push("inside");
      });
      log.push("left");
      yield* yieldNow();
      log.push("BAD");
    });
    yield* task.settled();
  });
  expect(log).toEqual(["inside", "left"]);
});

test("nested: the kill waits for the outer one", () => {
  const log: string[] = [];
  runChecked(function* () {
    const task = spawn(function* () {
      yield* shield(function* () {
        yield* shield(function* () {
          yield* sleep(1);
          log.push("inner");
        });
        yield* sleep(1);
        log.push("outer");
      });
      yield* yieldNow();
      log.push("BAD");
    });
    yield* yieldNow();
    yield* task.killAndWait("stop");
  });
  expect(log).toEqual(["inner", "outer"]);
});

describe("what is killed inside a shield", () => {
  test("a timeout of its own works", () => {
    const rt = new VirtualRuntime();
    const log: string[] = [];
    rt.run(function* () {
      const task = spawn(function* () {
        yield* shield(function* () {
          try {
            yield* timeout(5, function* () {
              yield* never();
            });
          } catch (error) {
            log.push((error as { code: string }).code);
          }
          yield* sleep(1);
          log.push("goes on");
        });
        yield* yieldNow();
        log.push("BAD");
      });
      yield* yieldNow();
      yield* task.killAndWait("stop");
      expect(rt.now).toBe(6);
    }).result;
    expect(log).toEqual(["COOP_DEADLINE", "goes on"]);
    checked(rt);
  });

  test("a timeout around it waits for it", () => {
    const rt = new VirtualRuntime();
    rt.run(function* () {
      let code = "";
      try {
        yield* timeout(5, function* () {
          yield* shield(function* () {
            yield* sleep(20);
          });
          yield* never();
        });
      } catch (error) {
        code = (error as { code: string }).code;
      }
      expect(code).toBe("COOP_DEADLINE");
      expect(rt.now).toBe(20);
    }).result;
    checked(rt);
  });

  test("a group: its children are shielded with it, and still fail it", () => {
    const log: string[] = [];
    const error = new Error("child");
    runChecked(function* () {
      const task = spawn(
        function* () {
          yield* shield(function* () {
            yield* group(function* (g) {
              g.spawn(function* () {
                yield* sleep(5);
                log.push("child");
              });
              yield* sleep(1);
              g.spawn(function* () {
                log.push("late child");
              });
            });
            log.push("group over");
            yield* group(function* (g) {
              g.spawn(function* () {
                throw error;
              });
              yield* never();
            });
          });
        },
        { failure: "hold" },
      );
      yield* yieldNow();
      expect(yield* task.killAndWait("stop")).toEqual({ status: "failed", error });
    });
    expect(log).toEqual(["late child", "child", "group over"]);
  });

  test("a child of the task itself is not: it is killed at once and the task outlives it", () => {
    const log: string[] = [];
    runChecked(function* () {
      const task = spawn(function* () {
        spawn(function* () {
          try {
            yield* never();
          } finally {
            log.push("child");
          }
        });
        yield* shield(function* () {
          yield* sleep(5);
          log.push("shield");
        });
      });
      yield* sleep(1);
      yield* task.killAndWait("stop");
    });
    expect(log).toEqual(["child", "shield"]);
  });

  test("level 0 does not see the kill", () => {
    const gate = new Coordinator({ held: true });
    runChecked(function* () {
      const task = spawn(function* () {
        yield* shield(function* () {
          expect((yield* coordinateWithKill(gate, { within: 3 })).timedOut).toBe(true);
        });
        expect((yield* coordinateWithKill(gate, { within: 3 })).killed).toBe(true);
      });
      yield* yieldNow();
      expect((yield* task.killAndWait()).status).toBe("killed");
    }, gate);
  });
});

test("takes what cannot be a body for what it is", () => {
  runChecked(function* () {
    expect(() => shield(5 as never)).toThrow(expect.objectContaining({ code: "COOP_NOT_AN_OPERATION" }));
  });
});

test("wherever a kill strikes, a shield that was entered is left", () => {
  const { runs, reach } = killEverywhere(() => {
    let entered = 0;
    let left = 0;
    const step = op(function* () {
      entered++;
      yield* sleep(1);
      yield* yieldNow();
      left++;
    });
    return {
      body: function* () {
        for (let i = 0; i < 2; i++) {
          spawn(function* () {
            yield* timeout(2, function* () {
              yield* shield(step());
              yield* sleep(1);
            });
            yield* shield(step());
          });
        }
        yield* sleep(10);
      },
      check: () => expect(left).toBe(entered),
    };
  });
  expect(reach).toBe(1);
  expect(runs).toBeGreaterThan(20);
});

test("a shield that is itself the body of a timeout, a group or another shield still shields", () => {
  const log: string[] = [];
  const rt = new VirtualRuntime();
  rt.run(function* () {
    for (const [name, around] of [
      ["timeout", (body: Operation<void>) => timeout(100, body)],
      ["shield", (body: Operation<void>) => shield(body)],
      ["function", (body: Operation<void>) => timeout(100, () => body)],
      ["group", (body: Operation<void>) => group(() => body)],
    ] as const) {
      const task = spawn(function* () {
        yield* around(
          shield(function* () {
            yield* sleep(10);
            log.push(name);
          }),
        );
        yield* sleep(1);
        log.push("BAD");
      });
      yield* sleep(1);
      expect((yield* task.killAndWait()).status).toBe("killed");
    }
  });
  expect(log).toEqual(["timeout", "shield", "function", "group"]);
  checked(rt);
});

test("a shield that is itself the body of a spawn, a timeout, a group or another shield holds", () => {
  const section = function* () {
    yield* sleep(10);
  };
  for (const make of [
    () => () => shield(section),
    () => shield(section),
    () => timeout(1, shield(section)),
    () => timeout(1, () => shield(section)),
    () => group(() => shield(section)),
    () => shield(() => shield(section)),
    () => shield(shield(section)),
  ]) {
    runChecked(function* () {
      const task = spawn(make(), { failure: "hold" });
      yield* sleep(2);
      task.kill();
      yield* task.settled();
      expect(now()).toBe(10);
    });
  }
});

describe("a kill that no wait of a restored part has met stays outside of the shield", () => {
  test("when it came before", () => {
    const log: string[] = [];
    runChecked(function* () {
      const task = spawn(() =>
        shield(function* (s) {
          yield* sleep(5);
          yield* s.restore(op(function* () {})());
          yield* sleep(10);
          log.push("completed");
        }),
      );
      yield* sleep(1);
      task.kill();
      expect((yield* task.settled()).status).toBe("killed");
    });
    expect(log).toEqual(["completed"]);
  });

  test("when it came in there", () => {
    const log: string[] = [];
    runChecked(function* () {
      const task = spawn(() =>
        shield(function* (s) {
          yield* s.restore(
            op(function* () {
              self().kill();
            })(),
          );
          yield* sleep(10);
          log.push("completed");
        }),
      );
      expect((yield* task.settled()).status).toBe("killed");
    });
    expect(log).toEqual(["completed"]);
  });
});

test("lifted before it begins, by a plain function that makes the body, it is no shield", () => {
  runChecked(function* () {
    const task = spawn(() =>
      shield((s) => {
        s.lift();
        return sleep(10);
      }),
    );
    yield* sleep(1);
    task.kill();
    yield* task.settled();
    expect(now()).toBe(1);
  });
});
