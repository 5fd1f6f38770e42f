import { describe, expect, test } from "vitest";
import {
  BusyError,
  ClosedError,
  defer,
  type Group,
  group,
  KilledError,
  never,
  op,
  self,
  spawn,
  type Task,
  UsageError,
  yieldNow,
} from "../../src/coordinator/index.ts";
import { Condition, Mutex, select } from "../../src/sync/index.ts";
import { killEverywhere } from "../../src/testing/kill-everywhere.ts";
import { VirtualRuntime } from "../../src/testing/virtual.ts";
import { sleep } from "../../src/time/sleep.ts";
import { timeout } from "../../src/time/timeout.ts";
import { checked, runChecked } from "../support/harness.ts";

/** What `operation` throws. */
function* thrownBy(operation: () => Iterable<unknown>): Generator<unknown, any, any> {
  try {
    yield* operation() as Generator<unknown, unknown, any>;
  } catch (error) {
    return error;
  }
  throw new Error("nothing was thrown");
}

describe("waiting", () => {
  test("waits for every child, and gives the value of its body", () => {
    const rt = new VirtualRuntime();
    const log: string[] = [];
    const value = rt.run(function* () {
      const value = yield* group(function* (g) {
        for (const ms of [30, 10, 20]) {
          g.spawn(function* () {
            yield* sleep(ms);
            log.push(`${ms}`);
          });
        }
        expect(g.size).toBe(3);
        return "value";
      });
      expect(rt.now).toBe(30);
      return value;
    }).result;
    expect(value).toBe("value");
    expect(log).toEqual(["10", "20", "30"]);
    checked(rt);
  });

  test("an empty one is over at once", () => {
    const rt = new VirtualRuntime();
    expect(
      rt.run(function* () {
        return yield* group(function* () {
          return 1;
        });
      }).result,
    ).toBe(1);
    expect(rt.statistics().steps).toBe(1);
    checked(rt);
  });

  test("waits also for what is spawned while it waits, by a child or by a stranger", () => {
    const log: string[] = [];
    runChecked(function* () {
      let shared!: Group;
      spawn(function* () {
        yield* sleep(3);
        shared.spawn(function* () {
          yield* sleep(5);
          log.push("a stranger's");
        });
      });
      yield* group(function* (g) {
        shared = g;
        g.spawn(function* () {
          yield* sleep(4);
          g.spawn(function* () {
            yield* sleep(1);
            log.push("a child's");
          });
        });
      });
      log.push("over");
    });
    expect(log).toEqual(["a child's", "a stranger's", "over"]);
  });

  test("a child spawned between the end of the last one and the group's next step runs to its end", () => {
    const log: string[] = [];
    runChecked(function* () {
      let shared!: Group;
      let last!: Task;
      // Ready before the group is, in the same turn.
      spawn(function* () {
        yield* sleep(4);
        while (shared.size > 0) yield* yieldNow();
        shared.spawn(function* () {
          yield* sleep(1);
          log.push("in between");
        });
      });
      yield* group(function* (g) {
        shared = g;
        last = g.spawn(
          function* () {
            yield* sleep(4);
            yield* yieldNow();
          },
          { priority: 0 },
        );
        self().cooperator.setPriority(self(), 2);
      });
      expect(last.exit!.status).toBe("done");
      log.push("over");
    });
    expect(log).toEqual(["in between", "over"]);
  });

  test("its end is the end of the yield*: a spawn afterwards is refused", () => {
    runChecked(function* () {
      let g!: Group;
      yield* group(function* (opened) {
        g = opened;
      });
      expect(() => g.spawn(function* () {})).toThrow(ClosedError);
      expect(() => g.spawn(function* () {})).toThrow("group has ended and takes no new children");
      expect(() => g.kill()).not.toThrow();
      expect(self().status).toBe("running");
      yield* yieldNow();
    });
  });

  test("self() inside is the task that opened it; children know it as their parent", () => {
    runChecked(function* () {
      const me = self();
      yield* group(function* (g) {
        expect(self()).toBe(me);
        const child = g.spawn(function* () {
          yield* yieldNow();
        });
        expect(child.parent).toBe(me);
        yield* yieldNow();
      });
    });
  });
});

describe("failure", () => {
  const boom = (message: string, ms: number) =>
    function* () {
      yield* sleep(ms);
      throw new Error(message);
    };

  test("of a child: the body and the other children are killed, and the first error is thrown", () => {
    const rt = new VirtualRuntime();
    const log: string[] = [];
    rt.run(function* () {
      const error = yield* thrownBy(() =>
        group(function* (g) {
          g.spawn(boom("first", 5));
          g.spawn(function* () {
            try {
              yield* never();
            } finally {
              yield* sleep(3);
              log.push("sibling");
            }
          });
          try {
            yield* never();
          } finally {
            log.push("body");
          }
        }),
      );
      expect(error).toMatchObject({ message: "first" });
      expect(error.errors).toBe(undefined);
      expect(rt.now).toBe(8);
      // The task itself goes on.
      expect(self().killed).toBe(false);
      yield* sleep(1);
    }).result;
    // What the body holds outlives the children.
    expect(log).toEqual(["sibling", "body"]);
    checked(rt);
  });

  test("of the body: the children are killed, and its error is thrown", () => {
    const log: string[] = [];
    runChecked(function* () {
      const error = yield* thrownBy(() =>
        group(function* (g) {
          g.spawn(function* () {
            try {
              yield* never();
            } finally {
              yield* sleep(1);
              log.push("child");
            }
          });
          yield* yieldNow();
          throw new Error("body");
        }),
      );
      expect(error.message).toBe("body");
    });
    expect(log).toEqual(["child"]);
  });

  test("of several: the first is thrown, the others are on its errors", () => {
    runChecked(function* () {
      const error = yield* thrownBy(() =>
        group(function* (g) {
          g.spawn(boom("first", 1));
          for (const message of ["second", "third"]) {
            g.spawn(function* () {
              try {
                yield* never();
              } finally {
                throw new Error(message);
              }
            });
          }
          try {
            yield* never();
          } finally {
            throw new Error("body");
          }
        }),
      );
      expect(error.message).toBe("first");
      expect(error.errors.map(({ message }: Error) => message)).toEqual(["second", "third", "body"]);
    });
  });

  test("of two in the same turn: both are kept", () => {
    runChecked(function* () {
      const error = yield* thrownBy(() =>
        group(function* (g) {
          g.spawn(boom("a", 1));
          g.spawn(boom("b", 1));
          yield* never();
        }),
      );
      // The second was killed before it ran: its error is one that never happened.
      expect(error.message).toBe("a");
      const other = yield* thrownBy(() =>
        group(function* (g) {
          g.spawn(function* () {
            yield* sleep(1);
            g.spawn(
              function* () {
                throw new Error("inner");
              },
              { start: "now" },
            );
            throw new Error("outer");
          });
          yield* never();
        }),
      );
      expect([other.message, ...other.errors.map(({ message }: Error) => message)]).toEqual([
        "inner",
        "outer",
      ]);
    });
  });

  test("that comes back through a join is the same error and not a second one", () => {
    runChecked(function* () {
      const error = yield* thrownBy(() =>
        group(function* (g) {
          const child = g.spawn(boom("once", 1));
          yield* child.join();
        }),
      );
      expect(error.message).toBe("once");
      expect(error.errors).toBe(undefined);
    });
  });

  test("that is held waits for its join, and is reported when none comes", () => {
    const rt = new VirtualRuntime();
    rt.run(function* () {
      yield* group(function* (g) {
        const joined = g.spawn(boom("joined", 1), { failure: "hold" });
        const silent = g.spawn(boom("silent", 1), { failure: "hold" });
        const exit = yield* joined.settled();
        expect(exit.status).toBe("failed");
        yield* sleep(5);
        void silent;
      });
    }).result;
    expect(rt.reports.splice(0)).toMatchObject([{ kind: "failure", error: { message: "silent" } }]);
    checked(rt);
  });

  test("of an inner group can be caught, and the outer one goes on", () => {
    runChecked(function* () {
      const value = yield* group(function* (outer) {
        const sibling = outer.spawn(function* () {
          yield* sleep(20);
          return "sibling";
        });
        const error = yield* thrownBy(() =>
          group(function* (inner) {
            inner.spawn(boom("inner", 1));
            yield* never();
          }),
        );
        expect(error.message).toBe("inner");
        return yield* sibling.join();
      });
      expect(value).toBe("sibling");
    });
  });

  test("of a child in its clean-up, while the group is closing, stays in the group", () => {
    runChecked(function* () {
      const value = yield* group(function* (outer) {
        outer.spawn(function* () {
          yield* sleep(20);
        });
        const error = yield* thrownBy(() =>
          group(function* (inner) {
            inner.spawn(function* () {
              try {
                yield* never();
              } finally {
                throw new Error("clean-up");
              }
            });
            yield* sleep(1);
            throw new Error("body");
          }),
        );
        expect([error.message, ...error.errors.map(({ message }: Error) => message)]).toEqual([
          "body",
          "clean-up",
        ]);
        yield* sleep(1);
        return "goes on";
      });
      expect(value).toBe("goes on");
    });
  });
});

describe("kill", () => {
  test("of the group: the body and the children; the task gets a KilledError and goes on", () => {
    const log: string[] = [];
    runChecked(function* () {
      const error = yield* thrownBy(() =>
        group(
          function* (g) {
            g.spawn(function* () {
              yield* sleep(5);
              g.kill("enough");
              yield* never();
            });
            try {
              yield* never();
            } finally {
              log.push("body");
            }
          },
          { name: "crew" },
        ),
      );
      expect(error).toBeInstanceOf(KilledError);
      expect(error).toMatchObject({ reason: "enough", origin: "task#2" });
      expect(error.message).toBe("crew was killed by task#2: enough");
      yield* sleep(1);
    });
    expect(log).toEqual(["body"]);
  });

  test("by its own body: met at the next wait", () => {
    const log: string[] = [];
    runChecked(function* () {
      const error = yield* thrownBy(() =>
        group(function* (g) {
          g.kill("done");
          log.push("still running");
          expect(() => g.spawn(function* () {})).toThrow("group is being killed and takes no new children");
          yield* yieldNow();
          log.push("BAD");
        }),
      );
      expect(error.reason).toBe("done");
    });
    expect(log).toEqual(["still running"]);
  });

  test("while it closes reaches neither the task nor a group around it", () => {
    runChecked(function* () {
      yield* group(function* (outer) {
        outer.spawn(function* () {
          yield* sleep(10);
        });
        yield* thrownBy(() =>
          group(function* (inner) {
            inner.spawn(function* () {
              try {
                yield* never();
              } finally {
                yield* sleep(1);
                inner.kill("late");
                yield* sleep(1);
              }
            });
            yield* yieldNow();
            throw new Error("body");
          }),
        );
        yield* sleep(1);
        expect(self().killed).toBe(false);
      });
    });
  });

  test("of the task: children first, then the body, then the task", () => {
    const log: string[] = [];
    runChecked(function* () {
      const task = spawn(function* () {
        defer(() => {
          log.push("task");
        });
        yield* group(function* (g) {
          g.defer(() => {
            log.push("group");
          });
          g.spawn(function* () {
            try {
              yield* never();
            } finally {
              yield* sleep(1);
              log.push("child");
            }
          });
          try {
            yield* never();
          } finally {
            yield* sleep(1);
            log.push("body");
          }
        });
        log.push("BAD");
      });
      yield* sleep(1);
      yield* task.killAndWait("stop");
    });
    expect(log).toEqual(["child", "body", "group", "task"]);
  });

  test("pending when it is opened: it takes no children, and the kill is met inside", () => {
    runChecked(function* () {
      const task = spawn(
        function* () {
          self().kill("stop");
          yield* group(function* (g) {
            expect(() => g.spawn(function* () {})).toThrow(ClosedError);
            yield* never();
          });
        },
        { failure: "hold" },
      );
      expect((yield* task.settled()).status).toBe("killed");
    });
  });

  test("inside clean-up: unwinds to the group it was aimed at, and what is outside goes on", () => {
    const log: string[] = [];
    runChecked(function* () {
      const error = yield* thrownBy(() =>
        group(function* (g) {
          g.spawn(function* () {
            yield* sleep(1);
            throw new Error("boom");
          });
          try {
            yield* never();
          } finally {
            // A kill within the clean-up of another.
            const late = yield* thrownBy(() =>
              timeout(5, function* () {
                try {
                  yield* never();
                } finally {
                  log.push("inner");
                }
              }),
            );
            log.push(late.code);
          }
        }),
      );
      expect(error.message).toBe("boom");
      log.push("outside");
      yield* sleep(1);
      log.push("goes on");
    });
    expect(log).toEqual(["inner", "COOP_DEADLINE", "outside", "goes on"]);
  });
});

describe("defer", () => {
  test("runs once the children are gone, last first, whichever way it ends", () => {
    runChecked(function* () {
      for (const end of ["return", "throw", "kill"] as const) {
        const log: string[] = [];
        const run = group(function* (g) {
          for (const name of ["1", "2"]) {
            g.defer(function* () {
              yield* sleep(1);
              log.push(name);
            });
          }
          g.spawn(function* () {
            try {
              yield* sleep(5);
            } finally {
              log.push("child");
            }
          });
          yield* yieldNow();
          if (end === "throw") throw new Error("body");
          if (end === "kill") g.kill();
        });
        if (end === "return") yield* run;
        else yield* thrownBy(() => run);
        expect(log).toEqual(["child", "2", "1"]);
      }
    });
  });

  test("is not cut short by a kill of the task while it runs", () => {
    const log: string[] = [];
    runChecked(function* () {
      const task = spawn(function* () {
        yield* group(function* (g) {
          g.defer(() => {
            log.push("first");
          });
          g.defer(function* () {
            log.push("began");
            yield* sleep(5);
            log.push("ended");
          });
        });
        yield* yieldNow();
        log.push("BAD");
      });
      yield* sleep(1);
      expect((yield* task.killAndWait("stop")).status).toBe("killed");
    });
    expect(log).toEqual(["began", "ended", "first"]);
  });

  test("that throws fails the group; all of them run", () => {
    const log: string[] = [];
    runChecked(function* () {
      const error = yield* thrownBy(() =>
        group(function* (g) {
          for (const name of ["1", "2", "3"]) {
            g.defer(() => {
              log.push(name);
              if (name !== "2") throw new Error(name);
            });
          }
        }),
      );
      expect([error.message, ...error.errors.map(({ message }: Error) => message)]).toEqual(["3", "1"]);
    });
    expect(log).toEqual(["3", "2", "1"]);
  });
});

test("wherever a kill strikes, children end before the body's clean-up and before the group's defers", () => {
  const { runs, reach } = killEverywhere(() => {
    let alive = 0;
    let opened = 0;
    let closed = 0;
    return {
      body: function* () {
        const task = spawn(function* () {
          yield* group(function* (g) {
            opened++;
            g.defer(function* () {
              expect(alive).toBe(0);
              yield* sleep(1);
              closed++;
            });
            for (let i = 0; i < 2; i++) {
              g.spawn(function* () {
                alive++;
                defer(function* () {
                  yield* yieldNow();
                  alive--;
                });
                yield* sleep(3);
              });
            }
            try {
              yield* sleep(2);
            } finally {
              if (self().killed) expect(alive).toBe(0);
            }
          });
        });
        yield* task.settled();
      },
      check: () => expect([alive, closed]).toEqual([0, opened]),
    };
  });
  expect(reach).toBe(1);
  expect(runs).toBeGreaterThan(20);
});

describe("a limit", () => {
  const work = op(function* (log: string[], name: string, ms: number) {
    log.push(`+${name}`);
    yield* sleep(ms);
    log.push(`-${name}`);
  });

  test("start waits for a place, first come first served; spawn beyond the limit is refused", () => {
    const rt = new VirtualRuntime();
    const log: string[] = [];
    rt.run(function* () {
      yield* group(
        function* (g) {
          const a = yield* g.start(work(log, "a", 10), { name: "a" });
          expect(a.name).toBe("a");
          g.spawn(work(log, "b", 20));
          expect(() => g.spawn(work(log, "c", 1))).toThrow(BusyError);
          expect(() => g.spawn(work(log, "c", 1))).toThrow("crew has all of its 2 places taken");
          // Neither takes a place.
          g.spawn(never(), { daemon: true });
          expect(g.spawn(work(log, "d", 1), { detached: true }).parent).toBe(null);
          yield* g.start(never(), { daemon: true });
          for (const [name, ms] of [
            ["e", 5],
            ["f", 30],
            ["g", 1],
          ] as const) {
            spawn(function* () {
              yield* g.start(work(log, name, ms));
              log.push(`${name} got in at ${rt.now}`);
            });
          }
        },
        { name: "crew", limit: 2 },
      );
      expect(rt.now).toBe(45);
    }).result;
    expect(log.filter((line) => line.includes("got in"))).toEqual([
      "e got in at 10",
      "f got in at 15",
      "g got in at 20",
    ]);
    checked(rt);
  });

  test("never more than that live, in any order, and with a kill at every point", () => {
    let most = 0;
    killEverywhere(() => {
      let alive = 0;
      const worker = op(function* (ms: number) {
        most = Math.max(most, ++alive);
        defer(() => void alive--);
        yield* sleep(ms);
      });
      return {
        body: function* () {
          yield* group(
            function* (g) {
              spawn(function* () {
                for (const ms of [1, 2]) {
                  try {
                    yield* g.start(worker(ms));
                  } catch (error) {
                    expect(error).toBeInstanceOf(ClosedError);
                  }
                }
              });
              for (const ms of [3, 1, 2]) yield* g.start(worker(ms));
            },
            { limit: 2 },
          );
        },
        check: ({ main }) => {
          expect(main.exit?.status).not.toBe("failed");
          expect(alive).toBe(0);
        },
      };
    });
    expect(most).toBe(2);
  });

  test("a group waits for who has been promised a place, and for nobody who gave it up", () => {
    const rt = new VirtualRuntime();
    const log: string[] = [];
    rt.run(function* () {
      let g!: Group;
      const stranger = spawn(function* () {
        yield* yieldNow();
        yield* g.start(work(log, "late", 5));
      });
      yield* group(
        function* (opened) {
          g = opened;
          g.spawn(work(log, "a", 10));
        },
        { limit: 1 },
      );
      expect(log).toEqual(["+a", "-a", "+late", "-late"]);
      expect(stranger.exit?.status).toBe("done");

      const quitter = spawn(function* () {
        yield* yieldNow();
        yield* g.start(work(log, "never", 5));
      });
      yield* group(
        function* (opened) {
          g = opened;
          const a = g.spawn(work(log, "b", 10));
          spawn(
            function* () {
              yield* a.settled();
              quitter.kill("changed my mind");
            },
            { priority: 0 },
          );
        },
        { limit: 1 },
      );
      expect(rt.now).toBe(25);
    }).result;
    expect(log).not.toContain("+never");
    checked(rt);
  });

  test("those who wait when the group is killed get a ClosedError", () => {
    const rt = new VirtualRuntime();
    rt.run(function* () {
      let g!: Group;
      const codes: unknown[] = [];
      for (let i = 0; i < 3; i++) {
        spawn(function* () {
          yield* yieldNow();
          codes.push((yield* thrownBy(() => g.start(never()) as any)).code);
        });
      }
      const error = yield* thrownBy(
        () =>
          group(
            function* (opened) {
              g = opened;
              g.spawn(never());
              yield* sleep(1);
              g.kill("enough");
            },
            { limit: 1 },
          ) as any,
      );
      expect(error).toBeInstanceOf(KilledError);
      yield* sleep(1);
      expect(codes).toEqual(["COOP_CLOSED", "COOP_CLOSED", "COOP_CLOSED"]);
      expect((yield* thrownBy(() => g.start(never()) as any)).code).toBe("COOP_CLOSED");
    }).result;
    checked(rt);
  });

  test("a body that cannot be started gives its place to the next", () => {
    const rt = new VirtualRuntime();
    rt.run(function* () {
      const spent = work([], "spent", 0);
      spawn(spent);
      const log: string[] = [];
      yield* group(
        function* (g) {
          g.spawn(work(log, "a", 5));
          spawn(function* () {
            yield* yieldNow();
            expect((yield* thrownBy(() => g.start(spent) as any)).code).toBe("COOP_OPERATION_USED");
          });
          spawn(function* () {
            yield* yieldNow();
            yield* g.start(work(log, "b", 5));
          });
          yield* sleep(1);
        },
        { limit: 1 },
      );
      expect(log).toEqual(["+a", "-a", "+b", "-b"]);
    }).result;
    checked(rt);
  });

  test("options that make no sense are typed errors at the call", () => {
    for (const limit of [0, -1, 1.5, Number.NaN, "2"]) {
      expect(() => group(function* () {}, { limit: limit as number })).toThrow(UsageError);
    }
    expect(() => group(function* () {}, { onFailure: "ignore" as any })).toThrow(
      'onFailure is "kill", "collect" or a function',
    );
  });
});

describe("onFailure", () => {
  const failing = op(function* (ms: number, error: unknown) {
    yield* sleep(ms);
    throw error;
  });

  test('"collect" lets all come to their end, and then throws every error in the order of failing', () => {
    const rt = new VirtualRuntime();
    const [a, b, c] = [new Error("a"), new Error("b"), new Error("c")] as const;
    rt.run(function* () {
      let done = false;
      const error = yield* thrownBy(
        () =>
          group(
            function* (g) {
              g.spawn(failing(20, b));
              g.spawn(failing(10, a));
              g.spawn(function* () {
                yield* sleep(30);
                done = true;
              });
              yield* sleep(25);
              g.spawn(failing(1, c));
            },
            { onFailure: "collect" },
          ) as any,
      );
      expect(error).toBe(a);
      expect(error.errors).toEqual([b, c]);
      expect(done).toBe(true);
      expect(rt.now).toBe(30);
    }).result;
    checked(rt);
  });

  test("a handler can start the next one: it runs as code of the task that opened the group", () => {
    const rt = new VirtualRuntime();
    rt.run(function* () {
      const me = self();
      me.cooperator.setPriority(me, 2);
      const failed: string[] = [];
      yield* group(
        function* (g) {
          g.spawn(failing(1, "first"), { priority: 0 });
          yield* sleep(5);
        },
        {
          onFailure: (error, task) => {
            expect(self()).toBe(me);
            expect(task.exit?.status).toBe("failed");
            failed.push(error as string);
            if (failed.length < 3)
              expect(spawn(failing(1, `again ${failed.length}`), { failure: "hold" }).priority).toBe(2);
          },
        },
      );
      expect(failed).toEqual(["first"]);
    }).result;
    expect(rt.reports.splice(0)).toMatchObject([{ kind: "failure", error: "again 1" }]);
    checked(rt);
  });
});

describe("a place as an arm of a select that goes on later", () => {
  // The condition is left at once, but its wait ends only when the mutex is had again.
  const lateStart = (g: Group, mutex: Mutex) => {
    const changed = new Condition(mutex);
    const late = op(function* () {
      using _ = yield* mutex.lock();
      yield* sleep(1);
      const won = yield* select({ change: changed.wait(), place: g.start(sleep(1)) });
      return won.key;
    });
    const task = spawn(late(), { failure: "hold" });
    spawn(mutex.withLock(sleep(5)));
    return task;
  };

  test("is kept for it meanwhile", () => {
    runChecked(() =>
      group(
        function* (g) {
          const task = lateStart(g, new Mutex());
          yield* sleep(2);
          expect(() => g.spawn(sleep(1))).toThrow(BusyError);
          expect(yield* task.join()).toBe("place");
        },
        { limit: 1 },
      ),
    );
  });

  test.each([1, undefined])("is given back when a kill comes first, with limit %s", (limit) => {
    runChecked(() =>
      group(
        function* (g) {
          const task = lateStart(g, new Mutex());
          yield* sleep(2);
          task.kill();
          expect((yield* task.settled()).status).toBe("killed");
          expect(g.working).toBe(0);
          g.spawn(sleep(1));
        },
        limit === undefined ? {} : { limit },
      ),
    );
  });
});

test("more errors than a call takes arguments are passed on by tasks and groups", () => {
  // What a killed task gives its parent when that many children have thrown in their clean-up.
  const errors = Array.from({ length: 200_000 }, (_, i) => i);
  for (const onFailure of ["kill", "collect"] as const) {
    const rt = new VirtualRuntime();
    const main = rt.run(() =>
      group(
        function* (g) {
          const parent = g.spawn(function* () {
            self().childFailed(errors, spawn(never()));
            yield* never();
          });
          yield* parent.settled();
          g.childFailed(errors, parent);
        },
        { onFailure },
      ),
    );
    expect((main.exit as unknown as { error: AggregateError }).error.errors.length).toBeGreaterThan(199_000);
  }
});
