/** Conformance, section C: `finally` and clean-up. */
import { describe, expect, test } from "vitest";
import {
  Coordinator,
  coordinateWith,
  coordinateWithKill,
  defer,
  dumpTree,
  type Group,
  group,
  KilledError,
  never,
  op,
  StuckError,
  self,
  shield,
  spawn,
  type Task,
  UsageError,
  Wait,
  yieldNow,
} from "../../src/coordinator/index.ts";
import { killEverywhere, type Program } from "../../src/testing/kill-everywhere.ts";
import { VirtualRuntime } from "../../src/testing/virtual.ts";
import { Handle as TimerHandle } from "../../src/time/handle.ts";
import { sleep } from "../../src/time/sleep.ts";
import { timeout } from "../../src/time/timeout.ts";
import { checked, runChecked } from "../support/harness.ts";

/** Runs `body` on `rt`; throws what it throws. */
function runOn<A>(rt: VirtualRuntime, body: () => Generator<unknown, A, any>): A {
  return rt.run(body).result;
}

/** Every kill at every point, and that the program has not shrunk to nothing. */
function everywhere(program: () => Program, runsAtLeast: number): void {
  const { runs, reach } = killEverywhere(program);
  expect(reach).toBe(1);
  expect(runs).toBeGreaterThanOrEqual(runsAtLeast);
}

describe("C01 a finally that suspends", () => {
  const worker = op(function* (gate: Coordinator, log: string[]) {
    try {
      yield* never();
    } finally {
      log.push("began");
      yield* sleep(5);
      yield* gate.acquire();
      log.push("has the lock");
      gate.release();
      yield* yieldNow();
      log.push("ended");
    }
  });

  test("C01 runs to completion under a kill, whose completion waits for it", () => {
    const rt = new VirtualRuntime();
    const gate = new Coordinator();
    const log: string[] = [];
    runOn(rt, function* () {
      const task = spawn(worker(gate, log));
      yield* gate.acquire();
      yield* sleep(1);
      spawn(function* () {
        yield* sleep(10);
        gate.release();
      });
      const exit = yield* task.killAndWait("stop");
      log.push("killed");
      expect(exit.status).toBe("killed");
      expect(rt.now).toBe(11);
    });
    expect(log).toEqual(["began", "has the lock", "ended", "killed"]);
    checked(rt, gate);
  });

  test("C01 runs to completion wherever else a kill strikes", () => {
    everywhere(() => {
      const gate = new Coordinator();
      const log: string[] = [];
      return {
        gates: [gate],
        body: function* () {
          const tasks = [spawn(worker(gate, log)), spawn(worker(gate, log))];
          yield* sleep(1);
          for (const task of tasks) task.kill("stop");
          for (const task of tasks) yield* task.settled();
        },
        check: () => {
          const at = (line: string) => log.filter((each) => each === line).length;
          expect(at("ended")).toBe(at("began"));
          expect(at("has the lock")).toBe(at("began"));
          expect(gate.held).toBe(false);
        },
      };
    }, 30);
  });

  test("C01 a kill at a wait in a finally that was reached normally cuts it short, and only that", () => {
    const log: string[] = [];
    runChecked(function* () {
      const task = spawn(function* () {
        defer(function* () {
          yield* sleep(1);
          log.push("defer");
        });
        try {
          try {
            log.push("body");
          } finally {
            log.push("began");
            yield* sleep(5);
            log.push("BAD");
          }
        } finally {
          // Reached by the kill: runs to its end.
          yield* sleep(5);
          log.push("outer");
        }
      });
      yield* sleep(1);
      yield* task.killAndWait("stop");
    });
    expect(log).toEqual(["body", "began", "outer", "defer"]);
  });
});

describe("C02 nested finally blocks that suspend", () => {
  const nested = op(function* (depth: number, log: string[]): Generator<unknown, void, any> {
    try {
      if (depth === 1) yield* never();
      else yield* nested(depth - 1, log);
      log.push("BAD");
    } finally {
      log.push(`${depth} began`);
      yield* sleep(1);
      yield* yieldNow();
      log.push(`${depth} ended`);
    }
  });
  const whole = ["1 began", "1 ended", "2 began", "2 ended", "3 began", "3 ended"];

  test("C02 run innermost to outermost, each once, in series", () => {
    const rt = new VirtualRuntime();
    const log: string[] = [];
    runOn(rt, function* () {
      const task = spawn(nested(3, log));
      yield* yieldNow();
      yield* task.killAndWait();
      expect(rt.now).toBe(3);
    });
    expect(log).toEqual(whole);
    checked(rt);
  });

  test("C02 are the same wherever a kill strikes, and under pairs of kills", () => {
    const program = (): Program => {
      const log: string[] = [];
      return {
        body: function* () {
          const host = spawn(function* () {
            spawn(nested(3, log));
            yield* never();
          });
          yield* sleep(1);
          yield* host.killAndWait();
        },
        check: () => expect(log.length === 0 || log.join() === whole.join()).toBe(true),
      };
    };
    everywhere(program, 20);
    const pairs = killEverywhere(program, { kills: 2 });
    expect(pairs.runs).toBeGreaterThan(200);
  });
});

describe("C03 a finally that suspends forever", () => {
  const stuck = op(function* stuck(log: string[]) {
    try {
      yield* never();
    } finally {
      log.push("began");
      try {
        yield* new Coordinator({ held: true, name: "goodbye" }).acquire();
      } finally {
        log.push("cut");
      }
    }
  });

  test("C03 is cut short when its time is over, and reported with its suspension point", () => {
    const rt = new VirtualRuntime();
    const log: string[] = [];
    runOn(rt, function* () {
      const parent = spawn(
        function* () {
          spawn(stuck(log), { name: "stuck child" });
          yield* never();
        },
        { failure: "hold" },
      );
      yield* yieldNow();
      yield* yieldNow();
      const exit = yield* parent.killAndWait("stop", { within: "2 seconds" });
      expect(rt.now).toBe(2000);
      expect(exit.status).toBe("killed");
      const { errors } = exit as unknown as { errors: Error[] };
      expect(errors).toHaveLength(1);
      expect(errors[0]).toBeInstanceOf(StuckError);
      expect(errors[0]!.message).toMatch(/stuck child#3 .*acquire of goodbye.* stuck/);
    });
    expect(log).toEqual(["began", "cut"]);
    const reports = rt.reports.splice(0);
    expect(reports).toMatchObject([{ kind: "stuck", where: expect.stringContaining("acquire of goodbye") }]);
    checked(rt);
  });

  test("C03 without a limit is visible in the dump", () => {
    const rt = new VirtualRuntime();
    const log: string[] = [];
    rt.cooperator.spawn(
      function* () {
        const task = spawn(stuck(log));
        yield* yieldNow();
        yield* task.killAndWait("stop");
      },
      { name: "main" },
    );
    rt.settle();
    expect(dumpTree(rt.cooperator.tasks())).toBe(
      "main#1: wait for end of stuck#2\n  stuck#2 (killed: stop): wait for acquire of goodbye in stuck",
    );
    expect(log).toEqual(["began"]);
    rt.drain();
    expect(rt.statistics().live).toBe(0);
  });

  test("C03 limits clean-up that waits at level 0, too", () => {
    const rt = new VirtualRuntime();
    runOn(rt, function* () {
      for (const wait of [coordinateWith, coordinateWithKill]) {
        const gate = new Coordinator({ held: true });
        const task = spawn(
          function* () {
            try {
              yield* never();
            } finally {
              yield* wait(gate);
            }
          },
          { failure: "hold" },
        );
        yield* yieldNow();
        const exit = yield* task.killAndWait("stop", { within: 10 });
        expect(exit).toMatchObject({ status: "failed", error: { code: "COOP_STUCK" } });
        expect(gate.waiting).toBe(0);
      }
    });
    expect(rt.reports.splice(0).map(({ kind }) => kind)).toEqual(["stuck", "stuck"]);
    checked(rt);
  });

  test("C03 a defer that never ends is cut short as well", () => {
    const rt = new VirtualRuntime();
    const log: string[] = [];
    runOn(rt, function* () {
      const task = spawn(
        function* () {
          defer(() => {
            log.push("first");
          });
          defer(function* () {
            yield* never();
          });
          yield* never();
        },
        { failure: "hold" },
      );
      yield* yieldNow();
      const exit = yield* task.killAndWait("stop", { within: 10 });
      expect(exit).toMatchObject({ status: "failed", error: { code: "COOP_STUCK" } });
    });
    expect(log).toEqual(["first"]);
    expect(rt.reports.splice(0)).toHaveLength(1);
    checked(rt);
  });
});

test("C04 a finally that throws on the normal way out replaces the value", () => {
  const error = new Error("clean-up");
  runChecked(function* () {
    const task = spawn(
      function* () {
        try {
          yield* yieldNow();
          return 1;
        } finally {
          yield* sleep(1);
          throw error;
        }
      },
      { failure: "hold" },
    );
    expect(yield* task.settled()).toEqual({ status: "failed", error });
    const deferred = spawn(
      function* () {
        defer(() => {
          throw error;
        });
        return 1;
      },
      { failure: "hold" },
    );
    expect(yield* deferred.settled()).toEqual({ status: "failed", error });
  });
});

describe("C05 a finally that throws under a kill", () => {
  const thrower = op(function* (error: Error) {
    try {
      yield* never();
    } finally {
      yield* sleep(1);
      throw error;
    }
  });

  test("C05 is not hidden by the kill: killer and parent get it, and siblings clean up", () => {
    const rt = new VirtualRuntime();
    const log: string[] = [];
    const error = new Error("clean-up");
    runOn(rt, function* () {
      let child!: Task;
      const parent = spawn(
        function* () {
          child = spawn(thrower(error));
          spawn(function* () {
            try {
              yield* never();
            } finally {
              yield* sleep(3);
              log.push("sibling");
            }
          });
          yield* never();
        },
        { failure: "hold" },
      );
      yield* yieldNow();
      yield* yieldNow();
      const exit = yield* child.killAndWait("stop");
      expect(exit).toEqual({ status: "failed", error });
      const above = yield* parent.settled();
      expect(above).toEqual({ status: "failed", error });
      expect(log).toEqual(["sibling"]);
    });
    checked(rt);
  });

  test("C05 a parent that was killed itself reports what its children threw", () => {
    const error = new Error("clean-up");
    runChecked(function* () {
      const parent = spawn(
        function* () {
          spawn(thrower(error));
          yield* never();
        },
        { failure: "hold" },
      );
      yield* yieldNow();
      yield* yieldNow();
      const exit = yield* parent.killAndWait("stop");
      expect(exit).toMatchObject({ status: "killed", cause: { reason: "stop" }, errors: [error] });
      let thrown: unknown;
      try {
        yield* parent.join();
      } catch (caught) {
        thrown = caught;
      }
      expect(thrown).toBeInstanceOf(KilledError);
      expect((thrown as { errors: unknown }).errors).toEqual([error]);
    });
  });

  test("C05 wherever a kill strikes, an error thrown is an error told", () => {
    everywhere(() => {
      const error = new Error("clean-up");
      let thrown = 0;
      let cleaned = 0;
      let started = 0;
      return {
        reports: true,
        body: function* () {
          const parent = spawn(
            function* () {
              for (let i = 0; i < 2; i++) {
                spawn(function* () {
                  started++;
                  try {
                    yield* never();
                  } finally {
                    yield* sleep(1);
                    cleaned++;
                    if (i === 0) {
                      thrown++;
                      throw error;
                    }
                  }
                });
              }
              yield* never();
            },
            { failure: "hold" },
          );
          parent.observe();
          yield* sleep(1);
          yield* parent.killAndWait("stop");
          const exit = parent.exit!;
          if (exit.status === "failed") throw exit.error;
          if (exit.status === "killed" && exit.errors.length > 0) throw exit.errors[0];
        },
        check: ({ main, runtime }) => {
          expect(cleaned).toBe(started);
          expect(runtime.reports).toEqual([]);
          // Told to main, unless main itself was killed first: then it is the parent that was told.
          if (thrown > 0 && main.exit!.status !== "killed") {
            expect(main.exit).toEqual({ status: "failed", error });
          }
        },
      };
    }, 20);
  });
});

describe("C06 clean-up that throws while an error unwinds", () => {
  const first = new Error("first");
  const second = new Error("second");

  test("C06 in a defer: both are kept, the original first", () => {
    runChecked(function* () {
      const task = spawn(
        function* () {
          defer(function* () {
            yield* sleep(1);
            throw second;
          });
          yield* yieldNow();
          throw first;
        },
        { failure: "hold" },
      );
      expect(yield* task.settled()).toEqual({ status: "failed", error: first });
      expect((first as { errors?: unknown }).errors).toEqual([second]);
    });
  });

  test("C06 in a group: both are kept, the original first", () => {
    const original = new Error("original");
    runChecked(function* () {
      let thrown: unknown;
      try {
        yield* group(function* (g) {
          g.defer(() => {
            throw second;
          });
          yield* yieldNow();
          throw original;
        });
      } catch (error) {
        thrown = error;
      }
      expect(thrown).toBe(original);
      expect((thrown as { errors?: unknown }).errors).toEqual([second]);
    });
  });

  test("C06 in the finally of a frame that a kill unwinds: inner first, outer with it", () => {
    const inner = new Error("inner");
    const outer = new Error("outer");
    const throwing = op(function* () {
      try {
        yield* never();
      } finally {
        throw inner;
      }
    });
    runChecked(function* () {
      const task = spawn(
        function* () {
          try {
            yield* throwing();
          } finally {
            throw outer;
          }
        },
        { failure: "hold" },
      );
      yield* yieldNow();
      expect(yield* task.killAndWait()).toEqual({ status: "failed", error: inner });
      expect((inner as { errors?: unknown }).errors).toEqual([outer]);
    });
  });
});

test("C07 three release handlers, the first and the third throw: all run, last first, both errors are told", () => {
  const log: string[] = [];
  runChecked(function* () {
    const task = spawn(
      function* () {
        for (const name of ["one", "two", "three"]) {
          defer(function* () {
            yield* sleep(1);
            log.push(name);
            if (name !== "two") throw new Error(name);
          });
        }
      },
      { failure: "hold" },
    );
    const exit = yield* task.settled();
    expect(exit).toMatchObject({ status: "failed", error: { message: "three" } });
    const { error } = exit as { error: { errors: Error[] } };
    expect(error.errors.map(({ message }) => message)).toEqual(["one"]);
  });
  expect(log).toEqual(["three", "two", "one"]);
});

test("C07 what a plain function gives by the way is no operation, be it iterable", () => {
  const seen = new Set<number>();
  const log: string[] = [];
  runChecked(function* () {
    yield* group(function* (g) {
      const kept = new Map<string, number>();
      g.defer(() => kept.set("a", 1));
      g.defer(() => seen.add(1));
      g.defer(() => ["a"].splice(0));
      g.defer(() => Buffer.from("a"));
      g.defer(() =>
        op(function* () {
          yield* sleep(1);
          log.push("an operation is run all the same");
        })(),
      );
    });
  });
  expect([...seen]).toEqual([1]);
  expect(log.length).toBe(1);
});

describe("C08 a release handler that is registered late", () => {
  test("C08 in a task whose body is over: it still runs", () => {
    const log: string[] = [];
    runChecked(function* () {
      const task = spawn(function* () {
        defer(function* () {
          yield* sleep(1);
          defer(() => {
            log.push("late");
          });
          log.push("early");
        });
      });
      yield* task.join();
    });
    expect(log).toEqual(["early", "late"]);
  });

  test("C08 in a task that is being killed: it still runs", () => {
    const log: string[] = [];
    runChecked(function* () {
      const task = spawn(function* () {
        try {
          yield* never();
        } finally {
          defer(() => {
            log.push("late");
          });
        }
      });
      yield* yieldNow();
      yield* task.killAndWait();
    });
    expect(log).toEqual(["late"]);
  });

  test("C08 in a group that is over: a typed error, so that the caller can release at once", () => {
    runChecked(function* () {
      let g!: Group;
      yield* group(function* (opened) {
        g = opened;
      });
      expect(() => g.defer(() => {})).toThrow(expect.objectContaining({ code: "COOP_CLOSED" }));
    });
  });

  test("C08 with no task at all: a typed error", () => {
    expect(() => defer(() => {})).toThrow(UsageError);
  });
});

test("C09 a release handler that spawns into the closing scope is refused; the other handlers still run", () => {
  const log: string[] = [];
  runChecked(function* () {
    for (const kill of [false, true]) {
      const task = spawn(
        function* () {
          defer(() => {
            log.push("resource released");
          });
          defer(() => {
            spawn(function* () {
              log.push("BAD");
            });
          });
          if (kill) yield* never();
        },
        { failure: "hold" },
      );
      yield* yieldNow();
      if (kill) task.kill("stop");
      const exit = yield* task.settled();
      expect(exit).toMatchObject({ status: "failed", error: { code: "COOP_CLOSED" } });
    }
    // A group opened in a release handler is a scope of its own, and works.
    const task = spawn(function* () {
      defer(function* () {
        yield* group(function* (g) {
          g.spawn(function* () {
            yield* sleep(1);
            log.push("helper");
          });
        });
      });
      yield* never();
    });
    yield* yieldNow();
    yield* task.killAndWait();
  });
  expect(log).toEqual(["resource released", "resource released", "helper"]);
});

test("C10 a finally may spawn into an outer scope that is still open, and that scope waits", () => {
  const rt = new VirtualRuntime();
  const log: string[] = [];
  runOn(rt, function* () {
    yield* group(function* (g) {
      const task = g.spawn(function* () {
        try {
          yield* never();
        } finally {
          g.spawn(function* () {
            yield* sleep(10);
            log.push("flushed");
          });
        }
      });
      yield* sleep(1);
      yield* task.killAndWait();
      log.push("body over");
    });
    log.push("group over");
    expect(rt.now).toBe(11);
  });
  expect(log).toEqual(["body over", "flushed", "group over"]);
  checked(rt);
});

/** A resource whose opening is completed by somebody else: what a driver does. */
class Opening extends Wait<number> {
  private readonly pool: Pool;
  constructor(pool: Pool) {
    super();
    this.pool = pool;
  }
  override describe(): string {
    return "opening";
  }
  protected override begin(): boolean {
    this.pool.waiting.push(this);
    return false;
  }
  protected override finish(): number {
    return this.pool.opened;
  }
  override abort(): boolean {
    this.pool.waiting.splice(this.pool.waiting.indexOf(this), 1);
    return true;
  }
  override rollback(): void {
    this.pool.close();
    this.pool.reclaimed++;
  }
  complete(): void {
    this.pool.opened++;
    this.pool.live++;
    this.grant();
  }
}

class Pool {
  readonly waiting: Opening[] = [];
  opened = 0;
  live = 0;
  reclaimed = 0;
  open(): Opening {
    return new Opening(this);
  }
  close(): void {
    this.live--;
  }
  completeAll(): void {
    for (const opening of this.waiting.splice(0)) opening.complete();
  }
}

describe("C11 a resource that is acquired between the request and the delivery of a kill", () => {
  test("C11 is released by the runtime", () => {
    const pool = new Pool();
    let seen = 0;
    runChecked(function* () {
      const task = spawn(function* () {
        yield* pool.open();
        seen++;
      });
      yield* yieldNow();
      pool.completeAll();
      task.kill("stop");
      yield* task.settled();
    });
    expect(pool).toMatchObject({ opened: 1, live: 0, reclaimed: 1 });
    expect(seen).toBe(0);
  });

  test("C11 is released wherever a kill strikes", () => {
    let reclaimed = 0;
    everywhere(() => {
      const pool = new Pool();
      return {
        body: function* () {
          for (let i = 0; i < 3; i++) {
            spawn(function* () {
              yield* yieldNow();
              yield* pool.open();
              try {
                yield* sleep(2);
              } finally {
                pool.close();
              }
            });
          }
          for (let i = 0; i < 5; i++) {
            yield* yieldNow();
            pool.completeAll();
          }
          yield* sleep(5);
        },
        check: () => {
          expect(pool.live).toBe(0);
          expect(pool.waiting).toEqual([]);
          reclaimed += pool.reclaimed;
        },
      };
    }, 30);
    // The window of this case was hit.
    expect(reclaimed).toBeGreaterThan(0);
  });
});

describe("C13 a resource whose own set-up is killed", () => {
  /** Set up in two parts, on behalf of the task that asks for it. */
  const resource = op(function* (log: string[]) {
    for (const part of ["a", "b"]) {
      yield* sleep(1);
      log.push(`+${part}`);
      defer(function* () {
        yield* sleep(1);
        log.push(`-${part}`);
      });
    }
    yield* sleep(1);
    return "ready";
  });
  const prefixes = ["", "+a,-a", "+a,+b,-b,-a"];

  test.each([
    [0.5, ""],
    [1.5, "+a,-a"],
    [2.5, "+a,+b,-b,-a"],
    [3.5, "+a,+b,-b,-a"],
  ])("C13 killed at %d: tears down what was set up, in reverse", (at, expected) => {
    const log: string[] = [];
    runChecked(function* () {
      const parent = spawn(function* () {
        yield* resource(log);
        yield* never();
      });
      yield* sleep(at);
      yield* parent.killAndWait("stop");
    });
    expect(log.join()).toBe(expected);
  });

  test("C13 wherever a kill strikes", () => {
    const seen = new Set<string>();
    everywhere(() => {
      const log: string[] = [];
      return {
        body: function* () {
          const parent = spawn(function* () {
            yield* resource(log);
            yield* sleep(1);
          });
          yield* parent.settled();
        },
        check: () => {
          expect(prefixes).toContain(log.join());
          seen.add(log.join());
        },
      };
    }, 10);
    expect(seen).toEqual(new Set(prefixes));
  });
});

describe("C14 a child that fails while its parent is in its finally", () => {
  test("C14 does not interrupt the finally, and its error is added to the outcome", () => {
    const error = new Error("child");
    const log: string[] = [];
    runChecked(function* () {
      const parent = spawn(
        function* () {
          spawn(function* () {
            yield* sleep(12);
            throw error;
          });
          // The timeout's clean-up runs from 10 to 15; the child, which is outside it, fails at 12.
          yield* timeout(10, function* () {
            try {
              yield* never();
            } finally {
              log.push("began");
              yield* sleep(5);
              log.push("ended");
            }
          });
          log.push("BAD");
        },
        { failure: "hold" },
      );
      expect(yield* parent.settled()).toEqual({ status: "failed", error });
    });
    expect(log).toEqual(["began", "ended"]);
  });

  test("C14 a group opened in clean-up: its child's failure ends the group, and the finally goes on", () => {
    const error = new Error("helper");
    const log: string[] = [];
    runChecked(function* () {
      const parent = spawn(
        function* () {
          try {
            yield* never();
          } finally {
            try {
              yield* group(function* (g) {
                g.spawn(function* () {
                  yield* sleep(1);
                  throw error;
                });
                yield* never();
              });
            } catch (caught) {
              log.push((caught as Error).message);
            }
            yield* sleep(1);
            log.push("ended");
          }
        },
        { failure: "hold" },
      );
      yield* yieldNow();
      expect((yield* parent.killAndWait()).status).toBe("killed");
    });
    expect(log).toEqual(["helper", "ended"]);
  });

  test("C14 wherever a kill strikes, the finally ends and nothing is lost", () => {
    everywhere(() => {
      const error = new Error("child");
      const log: string[] = [];
      let failed = false;
      let parent: Task | null = null;
      return {
        reports: true,
        body: function* () {
          parent = spawn(
            function* () {
              spawn(function* () {
                yield* sleep(12);
                failed = true;
                throw error;
              });
              yield* timeout(10, function* () {
                try {
                  yield* never();
                } finally {
                  log.push("began");
                  yield* sleep(5);
                  log.push("ended");
                }
              });
            },
            { failure: "hold" },
          );
          parent.observe();
          yield* parent.settled();
        },
        check: ({ runtime }) => {
          expect(["", "began,ended"]).toContain(log.join());
          expect(runtime.reports).toEqual([]);
          const exit = parent?.exit;
          if (failed && exit?.status === "failed") {
            const { error: got } = exit as { error: { code?: string; errors?: unknown[] } };
            expect(got === error || got.errors?.includes(error) === true).toBe(true);
          } else if (failed) expect(exit).toMatchObject({ status: "killed", errors: [error] });
        },
      };
    }, 15);
  });
});

test("C15 a suspended task that nobody refers to is still owned by its parent, and cleans up", () => {
  const log: string[] = [];
  const rt = new VirtualRuntime();
  runOn(rt, function* () {
    (function forget() {
      spawn(function* () {
        try {
          yield* new Coordinator({ held: true }).acquire();
        } finally {
          yield* sleep(1);
          log.push("cleaned up");
        }
      });
    })();
    yield* yieldNow();
    const collect = (globalThis as { gc?: () => void }).gc;
    collect?.();
    expect([...self().children!]).toHaveLength(1);
  });
  expect(log).toEqual(["cleaned up"]);
  expect(rt.statistics()).toMatchObject({ spawned: 2, live: 0, killed: 1 });
  checked(rt);
});

describe("C16 clean-up of the runtime's own when the user's throws", () => {
  test("C16 waits are unlinked, timers are off and locks are free", () => {
    const rt = new VirtualRuntime();
    const gate = new Coordinator({ held: true });
    const lock = new Coordinator();
    runOn(rt, function* () {
      const task = spawn(
        function* () {
          defer(() => lock.release());
          yield* lock.acquire();
          try {
            yield* timeout("1 hour", function* () {
              try {
                yield* coordinateWithKill(gate, new Coordinator({ held: true }), { within: "1 day" });
                yield* gate.acquire();
              } finally {
                throw new Error("inner");
              }
            });
          } finally {
            throw new Error("outer");
          }
        },
        { failure: "hold" },
      );
      yield* yieldNow();
      expect(rt.timers.size).toBe(2);
      const exit = yield* task.killAndWait();
      expect(exit).toMatchObject({ status: "failed", error: { message: "inner" } });
      expect(rt.timers.size).toBe(0);
      expect(gate.waiting).toBe(0);
      expect(lock.held).toBe(false);
    });
    checked(rt, gate, lock);
  });

  test("C16 wherever a kill strikes", () => {
    everywhere(() => {
      const gate = new Coordinator({ held: true });
      const lock = new Coordinator();
      return {
        gates: [gate, lock],
        reports: true,
        body: function* () {
          for (let i = 0; i < 2; i++) {
            spawn(
              function* () {
                try {
                  yield* timeout(3, function* () {
                    yield* lock.acquire();
                    try {
                      yield* gate.acquire();
                    } finally {
                      lock.release();
                      yield* sleep(1);
                      throw new Error("clean-up");
                    }
                  });
                } finally {
                  throw new Error("outer");
                }
              },
              { failure: "hold" },
            );
          }
          yield* sleep(10);
        },
        check: () => expect(lock.held).toBe(false),
      };
    }, 15);
  });
});

describe("C17 disposal", () => {
  test("C17 is a kill request that does not wait; twice is harmless", () => {
    const log: string[] = [];
    runChecked(function* () {
      let task!: Task;
      {
        using child = spawn(function* () {
          try {
            yield* never();
          } finally {
            yield* sleep(1);
            log.push("cleaned up");
          }
        });
        task = child;
        yield* yieldNow();
      }
      expect(log).toEqual([]);
      task[Symbol.dispose]();
      const exit = yield* task.settled();
      expect(exit).toMatchObject({ status: "killed", cause: { reason: "disposed" } });
      task[Symbol.dispose]();
      expect(task.exit).toBe(exit);
    });
    expect(log).toEqual(["cleaned up"]);
  });

  test("C17 of a task that has ended well changes nothing", () => {
    runChecked(function* () {
      using task = spawn(function* () {
        return 1;
      });
      expect(yield* task.join()).toBe(1);
    });
  });

  test("C17 asynchronously it is a kill that waits for the whole subtree; twice is harmless", async () => {
    const log: string[] = [];
    const rt = new VirtualRuntime();
    const task = rt.cooperator.spawn(function* () {
      spawn(function* () {
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
        log.push("parent");
      }
    });
    rt.settle();
    const over = Promise.all([task[Symbol.asyncDispose](), task[Symbol.asyncDispose]()]).then(() => {
      log.push("disposed");
    });
    await rt.drainAsync();
    await over;
    expect(log).toEqual(["child", "parent", "disposed"]);
    expect(task.exit).toMatchObject({ status: "killed", cause: { reason: "disposed" } });
    await task[Symbol.asyncDispose]();
    checked(rt);
  });

  test("C17 what clean-up throws while it is disposed of asynchronously is thrown there", async () => {
    const rt = new VirtualRuntime();
    const failing = rt.cooperator.spawn(
      function* () {
        try {
          yield* never();
        } finally {
          yield* sleep(1);
          throw new Error("no luck");
        }
      },
      { failure: "hold" },
    );
    rt.settle();
    const over = expect(failing[Symbol.asyncDispose]()).rejects.toThrow("no luck");
    await rt.drainAsync();
    await over;
    // It has ended by then: that error is told elsewhere.
    await failing[Symbol.asyncDispose]();
    checked(rt);
  });

  test("C17 a handle that is disposed of is cancelled; asynchronously it is waited for", async () => {
    const rt = new VirtualRuntime();
    const timer = new TimerHandle();
    const idle = new TimerHandle();
    const main = await rt.runAsync(async (self) => {
      idle[Symbol.dispose]();
      await idle[Symbol.asyncDispose]();
      await self.wait(function* () {
        timer.setup("1 hour");
      });
      await timer[Symbol.asyncDispose]();
      await timer[Symbol.asyncDispose]();
      return timer.result;
    });
    expect(main.result).toBe(-125);
    expect(rt.now).toBe(0);
    checked(rt, timer.coordinator);
  });
});

test("C01 a group opened in clean-up is not reached by the kill that is cleaned up after", () => {
  const log: string[] = [];
  runChecked(function* () {
    const task = spawn(function* () {
      try {
        yield* never();
      } finally {
        const value = yield* group(function* (g) {
          const child = g.spawn(function* () {
            yield* sleep(1);
            return "sent";
          });
          return yield* child.join();
        });
        log.push(value);
        yield* shield(function* () {
          yield* sleep(1);
        });
        log.push("closed");
      }
    });
    yield* yieldNow();
    yield* task.killAndWait();
  });
  expect(log).toEqual(["sent", "closed"]);
});
