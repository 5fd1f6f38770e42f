/** Conformance, section D: errors and aggregation. */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { describe, expect, test } from "vitest";
import {
  Cooperator,
  defer,
  group,
  InvariantError,
  KilledError,
  never,
  op,
  self,
  shield,
  spawn,
  type Task,
  traceOf,
  UsageError,
  yieldNow,
} from "../../src/coordinator/index.ts";
import { run } from "../../src/node/run.ts";
import { VirtualRuntime } from "../../src/testing/virtual.ts";
import { sleep } from "../../src/time/sleep.ts";
import { checked, exhaustive, inOrder, runChecked } from "../support/harness.ts";
import { thrownBy } from "../support/thrown.ts";

const failing = op(function* failing(ms: number, error: unknown) {
  yield* sleep(ms);
  throw error;
});

/** Waits for ever; its clean-up takes `ms` and then throws. */
const failsWhenKilled = op(function* (ms: number, error: unknown) {
  try {
    yield* never();
  } finally {
    yield* shield(sleep(ms));
    throw error;
  }
});

const waits = op(function* (log: string[], name: string, ms?: number) {
  try {
    yield* never();
  } finally {
    if (ms !== undefined) yield* shield(sleep(ms));
    log.push(name);
  }
});

describe("D01 one child throws, its siblings wait", () => {
  test("D01 siblings are killed, and the parent gets the same error with a stack that shows the child", () => {
    const boom = new Error("boom");
    const log: string[] = [];
    runChecked(function* () {
      const parent = spawn(
        op(function* parent() {
          spawn(waits(log, "a"));
          spawn(failing(5, boom));
          spawn(waits(log, "b"));
          yield* waits(log, "parent");
        })(),
        { failure: "hold" },
      );
      const error = yield* thrownBy(parent.join());
      expect(error).toBe(boom);
      expect(traceOf(error)).toMatchObject({ calls: ["failing"], spawnedBy: "parent" });
      expect(log.slice(0, 2).sort()).toEqual(["a", "b"]);
      expect(log.slice(2)).toEqual(["parent"]);
      log.length = 0;
      const inGroup = group(function* (g) {
        g.spawn(waits(log, "a"));
        g.spawn(failing(5, boom));
        yield* never();
      });
      expect(yield* thrownBy(inGroup)).toBe(boom);
      expect(log).toEqual(["a"]);
      expect(boom).not.toHaveProperty("errors");
    });
  });

  test("D01 with a kill at every point", () => {
    const boom = new Error("boom");
    exhaustive(() => {
      let inside = 0;
      const sibling = op(function* () {
        inside++;
        defer(() => void inside--);
        yield* sleep(50);
      });
      return {
        body: function* () {
          try {
            yield* group(function* (g) {
              g.spawn(sibling());
              g.spawn(failing(5, boom));
              g.spawn(sibling());
            });
          } catch (error) {
            expect(error).toBe(boom);
          }
          expect(inside).toBe(0);
        },
        check: ({ main }) => {
          // An error that has happened beats a kill that comes while it is on its way.
          if (main.exit?.status === "failed") expect(main.exit.error).toBe(boom);
          expect(inside).toBe(0);
        },
      };
    });
  });
});

test("D02 the parent waits elsewhere: it is unwound at its wait, and ends with the error", () => {
  const boom = new Error("boom");
  const rt = new VirtualRuntime();
  rt.run(function* () {
    const seen: string[] = [];
    const parent = spawn(
      function* () {
        spawn(failing(5, boom));
        try {
          yield* sleep(1000);
          seen.push("went on");
        } catch {
          seen.push("caught");
        } finally {
          seen.push(`cleaned up at ${rt.now}`);
        }
      },
      { failure: "hold" },
    );
    expect(yield* thrownBy(parent.join())).toBe(boom);
    expect(parent.cause).toMatchObject({ failure: true, reason: boom });
    expect(seen).toEqual(["cleaned up at 5"]);
  }).result;
  checked(rt);
});

test("D03 the parent's body throws: children are killed and unwound first", () => {
  const boom = new Error("boom");
  const rt = new VirtualRuntime();
  rt.run(function* () {
    const log: string[] = [];
    const parent = spawn(
      function* () {
        spawn(waits(log, "a", 10));
        spawn(waits(log, "b", 20));
        yield* sleep(5);
        throw boom;
      },
      { failure: "hold" },
    );
    expect(yield* thrownBy(parent.join())).toBe(boom);
    expect(log).toEqual(["a", "b"]);
    expect(rt.now).toBe(25);
    const inGroup = group(function* (g) {
      g.spawn(waits(log, "c", 10));
      yield* sleep(5);
      throw boom;
    });
    expect(yield* thrownBy(inGroup)).toBe(boom);
    expect(log).toEqual(["a", "b", "c"]);
    expect(rt.now).toBe(40);
  }).result;
  checked(rt);
});

describe("D04 two children throw in the same turn", () => {
  test("D04 both are there, in the order in which they failed, every time", () => {
    inOrder();
    for (let i = 0; i < 20; i++) {
      const errors = [new Error("a"), new Error("b"), new Error("c")];
      runChecked(function* () {
        // None has taken a step when the first fails: what is killed before it runs has nothing to say.
        const error = yield* thrownBy(
          group(
            function* (g) {
              for (const error of errors) g.spawn(failing(5, error));
            },
            { onFailure: "collect" },
          ),
        );
        expect(error).toBe(errors[0]);
        expect(error.errors).toEqual([errors[1], errors[2]]);
      });
    }
  });

  test("D04 the second has been woken, and throws without waiting again", () => {
    inOrder();
    const [a, b] = [new Error("a"), new Error("b")] as const;
    runChecked(function* () {
      const error = yield* thrownBy(
        group(function* (g) {
          g.spawn(failing(5, a));
          // A shield ends, and its code goes on until the next wait: the kill comes too late.
          g.spawn(function* () {
            yield* shield(sleep(5));
            throw b;
          });
        }),
      );
      expect(error).toBe(a);
      expect(error.errors).toEqual([b]);
    });
  });

  test("D04 with a kill at every point no error that was thrown is lost", () => {
    exhaustive(() => {
      const thrown: Error[] = [];
      const child = op(function* (name: string) {
        yield* shield(sleep(5));
        const error = new Error(name);
        thrown.push(error);
        throw error;
      });
      return {
        body: function* () {
          yield* group(function* (g) {
            g.spawn(child("a"));
            g.spawn(child("b"));
          });
        },
        check: ({ main }) => {
          const { exit } = main;
          const told =
            exit?.status === "failed"
              ? [exit.error, ...((exit.error as { errors?: unknown[] }).errors ?? [])]
              : exit?.status === "killed"
                ? exit.errors
                : [];
          expect(told).toEqual(thrown);
        },
      };
    });
  });
});

test("D05 body and child throw in the same turn: both are reported", () => {
  const [a, b] = [new Error("a"), new Error("b")] as const;
  const shielded = op(function* (error: Error) {
    yield* shield(sleep(5));
    throw error;
  });
  runChecked(function* () {
    const error = yield* thrownBy(
      group(function* (g) {
        g.spawn(shielded(b));
        yield* shield(sleep(5));
        throw a;
      }),
    );
    expect([error, ...error.errors].sort((x, y) => x.message.localeCompare(y.message))).toEqual([a, b]);
    const parent = spawn(
      function* () {
        spawn(shielded(b));
        yield* shield(sleep(5));
        throw a;
      },
      { failure: "hold" },
    );
    const both = yield* thrownBy(parent.join());
    expect([both, ...both.errors].sort((x, y) => x.message.localeCompare(y.message))).toEqual([a, b]);
  });
});

test("D06 of killed siblings and one error only the error is told, and not nested by any level", () => {
  const boom = new Error("boom");
  runChecked(function* () {
    const level = op(function* (depth: number): Generator<unknown, void, any> {
      yield* group(function* (g) {
        g.spawn(never());
        g.spawn(depth === 0 ? failing(5, boom) : level(depth - 1));
        g.spawn(never());
      });
    });
    const error = yield* thrownBy(level(5));
    expect(error).toBe(boom);
    expect(error).not.toHaveProperty("errors");
    expect(error).not.toHaveProperty("cause");
  });
});

test("D07 a sibling throws in its clean-up: both errors, the first one first", () => {
  const [boom, late] = [new Error("boom"), new Error("late")] as const;
  runChecked(function* () {
    const error = yield* thrownBy(
      group(function* (g) {
        g.spawn(failsWhenKilled(10, late));
        g.spawn(failing(5, boom));
      }),
    );
    expect(error).toBe(boom);
    expect(error.errors).toEqual([late]);
    const parent = spawn(
      function* () {
        spawn(failsWhenKilled(10, late));
        spawn(failing(5, boom));
        yield* never();
      },
      { failure: "hold" },
    );
    const again = yield* thrownBy(parent.join());
    expect(again).toBe(boom);
    expect(again.errors).toEqual([late]);
  });
});

describe("D09 a supervised group", () => {
  test("D09 the handler is told once of each failure; siblings and body go on", () => {
    const [a, b] = [new Error("a"), new Error("b")] as const;
    const told: unknown[][] = [];
    const log: string[] = [];
    runChecked(function* () {
      const value = yield* group(
        function* (g) {
          const first = g.spawn(failing(5, a), { name: "first" });
          g.spawn(failing(6, b), { name: "second" });
          g.spawn(function* () {
            yield* sleep(20);
            log.push("sibling");
          });
          // Its own failures are the handler's, whatever a join shows.
          expect(yield* thrownBy(first.join())).toBe(a);
          yield* sleep(1);
          return "body";
        },
        { onFailure: (error, task) => void told.push([error, task.name]) },
      );
      expect(value).toBe("body");
    });
    expect(told).toEqual([
      [a, "first"],
      [b, "second"],
    ]);
    expect(log).toEqual(["sibling"]);
  });

  test("D09 a handler that throws fails the group; the child's error is not lost", () => {
    const [boom, refusal] = [new Error("boom"), new Error("refusal")] as const;
    const log: string[] = [];
    runChecked(function* () {
      const supervised = (onFailure: (error: unknown) => void) =>
        group(
          function* (g) {
            g.spawn(waits(log, "sibling"));
            g.spawn(failing(5, boom));
          },
          { onFailure },
        );
      const error = yield* thrownBy(
        supervised(() => {
          throw refusal;
        }),
      );
      expect(error).toBe(refusal);
      expect(error.errors).toEqual([boom]);
      const rethrown = yield* thrownBy(
        supervised((error) => {
          throw error;
        }),
      );
      expect(rethrown).toBe(boom);
      expect(rethrown).not.toHaveProperty("errors");
      const wrapped = yield* thrownBy(
        supervised((error) => {
          throw new Error("wrapped", { cause: error });
        }),
      );
      expect(wrapped.cause).toBe(boom);
      expect(wrapped).not.toHaveProperty("errors");
      expect(log).toEqual(["sibling", "sibling", "sibling"]);
    });
  });

  test("D09 a kill of a child is no failure; several errors of one are told as one", () => {
    const [one, two] = [new Error("one"), new Error("two")] as const;
    const told: unknown[] = [];
    runChecked(function* () {
      yield* group(
        function* (g) {
          g.spawn(never()).kill("not needed");
          g.spawn(function* () {
            defer(() => {
              throw two;
            });
            yield* yieldNow();
            throw one;
          });
        },
        { onFailure: (error) => void told.push(error) },
      );
    });
    expect(told).toEqual([one]);
    expect((one as unknown as { errors: unknown }).errors).toEqual([two]);
  });

  test("D09 with a kill at every point nothing is left, and each failure is told at most once", () => {
    exhaustive(() => {
      const told = new Map<unknown, number>();
      return {
        body: function* () {
          yield* group(
            function* (g) {
              for (const ms of [1, 2, 2]) g.spawn(failing(ms, new Error(`${ms}`)));
              yield* sleep(3);
            },
            { onFailure: (error) => void told.set(error, (told.get(error) ?? 0) + 1) },
          );
        },
        check: ({ main }) => {
          expect(main.exit?.status).not.toBe("failed");
          expect([...told.values()].every((times) => times === 1)).toBe(true);
        },
      };
    });
  });
});

test("D10 the body of a supervised group fails: children are killed, and its error is thrown", () => {
  const [boom, late] = [new Error("boom"), new Error("late")] as const;
  const told: unknown[] = [];
  const log: string[] = [];
  runChecked(function* () {
    const error = yield* thrownBy(
      group(
        function* (g) {
          g.spawn(waits(log, "a", 5));
          g.spawn(failsWhenKilled(1, late));
          yield* yieldNow();
          throw boom;
        },
        { onFailure: (error) => void told.push(error) },
      ),
    );
    expect(error).toBe(boom);
    expect(log).toEqual(["a"]);
    expect(told).toEqual([late]);
  });
});

describe("D11 kill and error race", () => {
  test("D11 an error thrown after the kill, before the next wait, is kept", () => {
    const boom = new Error("boom");
    runChecked(function* () {
      const task = spawn(
        function* () {
          yield* yieldNow();
          self().kill("stop");
          throw boom;
        },
        { failure: "hold" },
      );
      expect(yield* task.settled()).toEqual({ status: "failed", error: boom });
      const error = yield* thrownBy(
        group(function* (g) {
          yield* yieldNow();
          g.kill("stop");
          throw boom;
        }),
      );
      expect(error).toBe(boom);
    });
  });

  test("D11 with a kill at every point", () => {
    exhaustive(() => {
      let threw = false;
      return {
        body: function* () {
          yield* sleep(1);
          threw = true;
          throw new Error("boom");
        },
        check: ({ main }) => expect(main.exit?.status).toBe(threw ? "failed" : "killed"),
      };
    });
  });
});

test("D12 a KilledError thrown by hand is a failure like any other", () => {
  const log: string[] = [];
  runChecked(function* () {
    const marker = new KilledError("claims to be killed", "because", null);
    const error = yield* thrownBy(
      group(function* (g) {
        g.spawn(waits(log, "sibling"));
        const task = g.spawn(failing(5, marker));
        yield* task.settled();
      }),
    );
    expect(error).toBe(marker);
    expect(log).toEqual(["sibling"]);
    const task = spawn(failing(1, marker), { failure: "hold" });
    expect(yield* task.settled()).toEqual({ status: "failed", error: marker });
    expect(task.killed).toBe(false);
  });
});

describe("D14 what the library calls throws", () => {
  test("D14 a kill hook that throws is reported, and the others are called", () => {
    const rt = new VirtualRuntime();
    const called: string[] = [];
    rt.run(function* () {
      const task = spawn(never());
      task.onKill(() => {
        called.push("first");
        throw new Error("hook");
      });
      task.onKill(() => void called.push("second"));
      yield* task.killAndWait("stop");
      expect(called).toEqual(["first", "second"]);
    }).result;
    expect(rt.reports.splice(0)).toMatchObject([{ kind: "hook", where: "onKill" }]);
    checked(rt);
  });

  test("D14 a reporter that throws harms no task", () => {
    const printed: unknown[][] = [];
    const { error } = console;
    console.error = (...args) => void printed.push(args);
    try {
      const cooperator = new Cooperator({
        host: { requestTurn() {}, panic: (fault) => expect(fault).toBe(null) },
        report: () => {
          throw new Error("reporter");
        },
      });
      const task = cooperator.spawn(function* () {
        spawn(
          function* () {
            throw new Error("boom");
          },
          { failure: "report" },
        );
        yield* yieldNow();
        yield* yieldNow();
        return "fine";
      });
      while (cooperator.turn()) {
        /* until nothing is ready */
      }
      expect(task.result).toBe("fine");
    } finally {
      console.error = error;
    }
    expect(printed.length).toBe(1);
    expect((printed[0]!.at(-1) as Error).message).toBe("reporter");
  });
});

test("D15 a detached task fails and nobody joins it: reported exactly once", () => {
  const [boom, held] = [new Error("boom"), new Error("held")] as const;
  const rt = new VirtualRuntime();
  rt.run(function* () {
    yield* spawn(function* () {
      spawn(failing(5, boom), { detached: true });
      spawn(failing(1, held), { failure: "hold" });
      yield* sleep(2);
    }).join();
    yield* sleep(10);
  }).result;
  const reports = rt.reports.splice(0);
  expect(reports.map(({ kind, error }) => [kind, error])).toEqual([
    ["failure", held],
    ["failure", boom],
  ]);
  checked(rt);
});

test("D16 a failure that was joined and handled is not reported", () => {
  runChecked(function* () {
    const before = spawn(failing(5, new Error("a")), { failure: "hold" });
    yield* thrownBy(before.join());
    const after = spawn(failing(1, new Error("b")), { failure: "hold" });
    yield* sleep(5);
    expect(() => after.result).toThrow("b");
    const settled = spawn(failing(1, new Error("c")), { failure: "hold" });
    yield* settled.settled();
    yield* group(function* (g) {
      yield* thrownBy(g.spawn(failing(1, new Error("d")), { failure: "hold" }).join());
    });
  });
});

test("D18 run() rejects with the error itself, once every task is over", async () => {
  const boom = new Error("boom");
  const log: string[] = [];
  let child: Task | null = null;
  const code = process.exitCode;
  const thrown = await run(function* () {
    child = spawn(waits(log, "child"));
    yield* yieldNow();
    throw boom;
  }).catch((error: unknown) => error);
  expect(thrown).toBe(boom);
  expect(log).toEqual(["child"]);
  expect(child!.exit?.status).toBe("killed");
  // It is the user's to let it escape, or not.
  expect(process.exitCode).toBe(code);
});

test("D19 a broken rule of the scheduler stops the runtime, past every catch", () => {
  let panic: unknown = null;
  const cooperator = new Cooperator({ host: { requestTurn() {}, panic: (error) => (panic = error) } });
  let caught = false;
  let later = false;
  const task = cooperator.spawn(function* () {
    try {
      yield* yieldNow();
      later = true;
    } catch {
      caught = true;
    }
  });
  cooperator.onStep = () => {
    if (cooperator.statistics().steps === 1) throw new Error("two plus two is five");
  };
  cooperator.turn();
  expect(panic).toBeInstanceOf(InvariantError);
  expect((panic as { code: string }).code).toBe("COOP_INVARIANT");
  expect((panic as { cause: Error }).cause.message).toBe("two plus two is five");
  expect(panic).not.toBeInstanceOf(UsageError);
  expect(cooperator.turn()).toBe(false);
  expect({ caught, later, status: task.status }).toEqual({ caught: false, later: false, status: "ready" });
  expect(() => cooperator.spawn(function* () {})).toThrow("has stopped");
});

test("D20 an error that is kept keeps no task alive, and its causes form no circle", async () => {
  inOrder();
  const errors: Error[] = [];
  const refs: WeakRef<Task>[] = [];
  const rt = new VirtualRuntime();
  const fails = op(function* (error: Error) {
    refs.push(new WeakRef(self()));
    yield* sleep(1);
    throw error;
  });
  rt.run(function* () {
    for (let i = 0; i < 10; i++) {
      const error = new Error(`${i}`);
      errors.push(error);
      yield* thrownBy(
        group(function* (g) {
          g.spawn(fails(error));
          g.spawn(fails(new Error(`other ${i}`)));
        }),
      );
    }
  }).result;
  checked(rt);
  for (const error of errors) {
    const seen = new Set<unknown>();
    for (let at: unknown = error; at instanceof Error; at = at.cause) {
      expect(seen.has(at)).toBe(false);
      seen.add(at);
    }
    expect((error as { errors?: unknown[] }).errors ?? []).not.toContain(error);
    expect(traceOf(error)).not.toBe(null);
  }
  setFlagsFromString("--expose-gc");
  const gc = runInNewContext("gc") as () => void;
  await new Promise((resolve) => setImmediate(resolve));
  gc();
  expect(refs.filter((ref) => ref.deref() !== undefined)).toEqual([]);
});
