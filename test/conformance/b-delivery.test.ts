/** Section B, first part: whom a kill reaches, in what order, and how often. */
import { expect, test } from "vitest";
import {
  type Body,
  Coordinator,
  coordinateWith,
  coordinateWithKill,
  defer,
  group,
  KilledError,
  never,
  type Operation,
  op,
  Signal,
  self,
  shield,
  spawn,
  type Task,
  yieldNow,
} from "../../src/coordinator/index.ts";
import { VirtualRuntime } from "../../src/testing/virtual.ts";
import { sleep } from "../../src/time/sleep.ts";
import { timeout } from "../../src/time/timeout.ts";
import { checked, exhaustive, inOrder, runChecked } from "../support/harness.ts";

/** Waits for which nothing will ever happen unless the test makes it happen. */
interface Endless {
  readonly lock: Coordinator;
  readonly signal: Signal;
  readonly task: Task;
}

const endless: readonly (readonly [string, (on: Endless) => Operation<unknown>])[] = [
  ["never()", () => never()],
  ["an endless sleep", () => sleep(Number.POSITIVE_INFINITY)],
  ["a coordinator", ({ lock }) => lock.acquire()],
  ["a flash", ({ lock }) => lock.flash()],
  ["a signal", ({ signal }) => signal.wait()],
  ["a join", ({ task }) => task.join()],
  ["the exit of a task", ({ task }) => task.settled()],
  [
    "a group whose child is blocked",
    () =>
      group(function* (g) {
        g.spawn(never());
      }),
  ],
  ["a timeout of something endless", () => timeout("1 week", never())],
];

test.each(endless)(
  "B01 a task that waits for %s is killed there, and nobody else is woken",
  (_name, wait) => {
    const lock = new Coordinator({ held: true, name: "lock" });
    const signal = new Signal({ name: "signal" });
    const log: string[] = [];
    const rt = new VirtualRuntime();
    rt.run(function* () {
      const target = spawn(never());
      const on = { lock, signal, task: target };
      const bystander = op(function* (name: string) {
        yield* wait(on);
        log.push(`${name} was woken`);
      });
      const victim = op(function* () {
        try {
          yield* wait(on);
          log.push("BAD: the victim went on");
        } finally {
          log.push("finally");
        }
      });
      const before = spawn(bystander("before"));
      const task = spawn(victim());
      const after = spawn(bystander("after"));
      // By then all that can run has run.
      yield* sleep(1);
      const waiting = lock.waiting + signal.waiting;
      const { steps } = rt.statistics();
      const exit = yield* task.killAndWait("enough");
      expect(exit).toMatchObject({ status: "killed", cause: { reason: "enough", origin: self().label } });
      expect(log).toEqual(["finally"]);
      expect(lock.waiting + signal.waiting).toBe(Math.max(0, waiting - 1));
      expect([before.status, after.status]).toEqual(["blocked", "blocked"]);
      // The victim, what it owned, and the killer took a step; the bystanders did not.
      expect(rt.statistics().steps - steps).toBeLessThanOrEqual(5);
      before.kill();
      after.kill();
      target.kill();
    }).result;
    checked(rt, lock, signal);
  },
);

test("B01 the waiters left behind keep their order", () => {
  inOrder();
  const lock = new Coordinator({ held: true });
  const log: number[] = [];
  runChecked(function* () {
    const tasks = [0, 1, 2, 3, 4].map((i) =>
      spawn(function* () {
        yield* lock.acquire();
        log.push(i);
        lock.release();
      }),
    );
    yield* yieldNow();
    yield* tasks[2]!.killAndWait();
    yield* tasks[0]!.killAndWait();
    expect(lock.waiting).toBe(3);
    lock.waiters.validate();
    lock.release();
    yield* sleep(1);
  }, lock);
  expect(log).toEqual([1, 3, 4]);
});

test("B01 exhaustively: whoever is killed, no wait is left over", () => {
  exhaustive(() => {
    const lock = new Coordinator({ held: true, name: "lock" });
    const signal = new Signal({ name: "signal" });
    let inside = 0;
    const wrapped = op(function* (wait: (on: Endless) => Operation<unknown>, on: Endless) {
      inside++;
      try {
        yield* wait(on);
      } finally {
        inside--;
      }
    });
    return {
      *body() {
        const task = spawn(never());
        const on = { lock, signal, task };
        for (const [, wait] of endless) spawn(wrapped(wait, on));
        yield* sleep(1);
      },
      gates: [lock, signal],
      check() {
        expect(inside).toBe(0);
        expect(lock.held).toBe(true);
      },
    };
  });
});

/** A tree of blocked tasks that notes who ends, and who begins to clean up, in order. */
const node = op(function* (
  path: string,
  depth: number,
  fanOut: number,
  log: string[],
): Generator<any, void, any> {
  try {
    for (let i = 1; i <= fanOut && depth > 0; i++) {
      spawn(node(path === "" ? `${i}` : `${path}.${i}`, depth - 1, fanOut, log), { name: `${path}.${i}` });
    }
    yield* never();
  } finally {
    log.push(path === "" ? "root" : path);
  }
});

/** The paths of a tree in post-order: children, oldest first, then their parent. */
function postOrder(path: string, depth: number, fanOut: number): string[] {
  const order: string[] = [];
  for (let i = 1; i <= fanOut && depth > 0; i++) {
    order.push(...postOrder(path === "" ? `${i}` : `${path}.${i}`, depth - 1, fanOut));
  }
  return [...order, path === "" ? "root" : path];
}

test("B02 a tree of 40 is killed children first, oldest first, every task once", () => {
  inOrder();
  const log: string[] = [];
  const rt = new VirtualRuntime();
  rt.run(function* () {
    const root = spawn(node("", 3, 3, log));
    yield* sleep(1);
    expect(rt.statistics().live).toBe(41);
    yield* root.killAndWait("all of you");
  }).result;
  expect(log).toEqual(postOrder("", 3, 3));
  expect(log).toHaveLength(40);
  expect(rt.statistics()).toMatchObject({ spawned: 41, done: 1, killed: 40, failed: 0 });
  checked(rt);
});

test("B02 with clean-up that takes its time a parent still starts its own only after its children ended", () => {
  const rt = new VirtualRuntime();
  const begun: string[] = [];
  const slow = op(function* (path: string, depth: number): Generator<any, void, any> {
    const me = self();
    const children: Task[] = [];
    try {
      for (let i = 1; i <= 3 && depth > 0; i++) children.push(spawn(slow(`${path}${i}`, depth - 1)));
      yield* never();
    } finally {
      for (const child of children) expect(child.exit).toMatchObject({ status: "killed" });
      expect(me.live).toBe(0);
      begun.push(path);
      yield* sleep(path.length + depth);
    }
  });
  rt.run(function* () {
    const root = spawn(slow("r", 3));
    yield* sleep(1);
    yield* root.killAndWait();
  }).result;
  expect(begun).toHaveLength(40);
  checked(rt);
});

test.each([
  ["a tree of 13, once", 2, 1],
  ["a tree of 4, twice", 1, 2],
] as const)("B02 exhaustively: %s: children end before their parents, each once", (_name, depth, kills) => {
  const { runs } = exhaustive(
    () => {
      const log: string[] = [];
      const seen: Task[] = [];
      const limb = op(function* (path: string, below: number): Generator<any, void, any> {
        seen.push(self());
        try {
          for (let i = 1; i <= 3 && below > 0; i++) spawn(limb(`${path}${i}`, below - 1));
          yield* never();
        } finally {
          yield* yieldNow();
          log.push(path);
        }
      });
      return {
        *body() {
          const root = spawn(limb("r", depth));
          yield* sleep(1);
          yield* root.killAndWait("all of you");
        },
        check({ main }) {
          expect(log).toHaveLength(seen.length);
          expect(new Set(log).size).toBe(log.length);
          for (const [place, path] of log.entries()) {
            const rest = log.slice(place + 1);
            expect(rest.filter((later) => later.startsWith(path))).toEqual([]);
          }
          for (const task of [...seen, main]) expect(task.exit).not.toBe(null);
        },
      };
    },
    { kills },
  );
  expect(runs).toBeGreaterThan(400);
});

test("B03 a kill that is repeated, and one that comes after the end, change nothing", () => {
  const log: string[] = [];
  runChecked(function* () {
    const task = spawn(function* () {
      try {
        yield* never();
      } finally {
        log.push("cleaning up");
        yield* sleep(5);
        log.push("clean");
      }
    });
    yield* yieldNow();
    task.kill("first");
    task.kill("second");
    yield* sleep(2);
    task.kill("third, in the middle of the clean-up");
    const [a, b] = yield* group(function* (g) {
      const a = g.spawn(task.killAndWait("fourth"));
      const b = g.spawn(task.killAndWait("fifth"));
      return [yield* a.join(), yield* b.join()];
    });
    expect(a).toMatchObject({ status: "killed", cause: { reason: "first" } });
    expect(b).toBe(a);
    task.kill("too late");
    expect(yield* task.killAndWait("too late")).toBe(a);
    expect(task.exit).toBe(a);
  });
  expect(log).toEqual(["cleaning up", "clean"]);
});

test("B03 a kill of a task that has returned leaves its value alone", () => {
  runChecked(function* () {
    const task = spawn(function* () {
      return 42;
    });
    yield* task.join();
    task.kill("too late");
    expect(yield* task.killAndWait("too late")).toEqual({ status: "done", value: 42 });
    expect(task.killed).toBe(false);
  });
});

test("B05 a task that kills itself runs to its next wait and no further", () => {
  const log: string[] = [];
  const helper = op(function* () {
    log.push("an operation that does not wait is no suspension");
  });
  runChecked(function* () {
    const task = spawn(function* () {
      try {
        self().kill("by myself");
        expect(self().killed).toBe(true);
        expect(self().exit).toBe(null);
        log.push("still running");
        yield* helper();
        yield* sleep(1);
        log.push("BAD");
      } finally {
        log.push("finally");
      }
    });
    expect(yield* task.settled()).toMatchObject({ status: "killed", cause: { reason: "by myself" } });
  });
  expect(log).toEqual(["still running", "an operation that does not wait is no suspension", "finally"]);
});

test("B05 the next suspension is the next wait, even one that would not have had to wait", () => {
  const lock = new Coordinator();
  const log: string[] = [];
  runChecked(function* () {
    const task = spawn(function* () {
      self().kill();
      yield* lock.acquire();
      log.push("BAD: it took the lock");
    });
    yield* task.settled();
    expect(lock.held).toBe(false);
  }, lock);
  expect(log).toEqual([]);
});

test("B05 a killed task takes no new children", () => {
  runChecked(function* () {
    const task = spawn(function* () {
      self().kill();
      let error: unknown;
      try {
        spawn(never());
      } catch (thrown) {
        error = thrown;
      }
      expect(error).toMatchObject({ code: "COOP_CLOSED" });
      yield* never();
    });
    expect(yield* task.settled()).toMatchObject({ status: "killed" });
  });
});

test("B06 a task that kills itself and returns without another wait is killed: its value is not success", () => {
  const returns: readonly (() => Body<unknown>)[] = [
    () =>
      op(function* () {
        self().kill("by myself");
        return "value";
      })(),
    () =>
      function* () {
        const inner = op(function* () {
          self().kill("by myself");
          return "value";
        });
        return yield* inner();
      },
    () =>
      function* () {
        return yield* shield(function* () {
          self().kill("by myself");
          yield* sleep(1);
          return "value";
        });
      },
  ];
  for (let round = 0; round < 3; round++) {
    runChecked(function* () {
      for (const make of returns) {
        const exit = yield* spawn(make()).settled();
        expect(exit).toMatchObject({ status: "killed", cause: { reason: "by myself" }, errors: [] });
      }
    });
  }
});

test("B06 an error beats the kill", () => {
  const boom = new Error("boom");
  runChecked(function* () {
    const task = spawn(
      function* () {
        self().kill("by myself");
        throw boom;
      },
      { failure: "hold" },
    );
    expect(yield* task.settled()).toEqual({ status: "failed", error: boom });
  });
});

test("B07 a child that kills an ancestor unwinds with it: child first, then sibling, then up", () => {
  const log: string[] = [];
  const rt = new VirtualRuntime();
  const scoped = op(function* (name: string, inside: () => Operation<unknown>) {
    try {
      yield* inside();
      log.push(`BAD: ${name} went on`);
    } finally {
      log.push(name);
    }
  });
  const main = rt.run(function* () {
    const ancestor = spawn(
      scoped("ancestor", () =>
        op(function* () {
          const top = self();
          const parent = spawn(
            scoped("parent", () =>
              op(function* () {
                spawn(
                  scoped("child", () =>
                    op(function* () {
                      yield* sleep(1);
                      top.kill("from below");
                      log.push("still running");
                      yield* sleep(1);
                    })(),
                  ),
                );
                yield* spawn(scoped("sibling", never)).join();
              })(),
            ),
          );
          yield* parent.join();
        })(),
      ),
    );
    return yield* ancestor.settled();
  });
  expect(main.result).toMatchObject({ status: "killed", cause: { reason: "from below" } });
  expect(log[0]).toBe("still running");
  expect(log.slice(1, 3).sort()).toEqual(["child", "sibling"]);
  expect(log.slice(3)).toEqual(["parent", "ancestor"]);
  checked(rt);
});

test("B07 the same from a child that is started inside its ancestor's own step", () => {
  const log: string[] = [];
  runChecked(function* () {
    const ancestor = spawn(function* () {
      const me = self();
      try {
        spawn(
          function* () {
            try {
              me.kill("from below");
              yield* never();
            } finally {
              log.push("child");
            }
          },
          { start: "now" },
        );
        log.push("spawn returned");
        yield* yieldNow();
        log.push("BAD");
      } finally {
        log.push("ancestor");
      }
    });
    expect(yield* ancestor.settled()).toMatchObject({ status: "killed" });
  });
  expect(log).toEqual(["child", "spawn returned", "ancestor"]);
});

test("B08 a dying child whose clean-up kills its dying parent changes nothing", () => {
  const log: string[] = [];
  runChecked(function* () {
    const parent = spawn(function* () {
      const me = self();
      spawn(function* () {
        try {
          yield* never();
        } finally {
          me.kill("again, from below");
          yield* sleep(1);
          me.kill("and again");
          log.push("child");
        }
      });
      try {
        yield* never();
      } finally {
        me.kill("by itself");
        yield* sleep(1);
        log.push("parent");
      }
    });
    yield* sleep(1);
    expect(yield* parent.killAndWait("first")).toMatchObject({
      status: "killed",
      cause: { reason: "first" },
    });
  });
  expect(log).toEqual(["child", "parent"]);
});

test("B08 exhaustively: kills that come from the clean-up of those they hit", () => {
  exhaustive(
    () => {
      const log: string[] = [];
      let begun = 0;
      const spiteful = op(function* (name: string, victim: Task) {
        begun++;
        try {
          yield* never();
        } finally {
          victim.kill("from clean-up");
          yield* yieldNow();
          log.push(name);
        }
      });
      return {
        *body() {
          const parent = spawn(function* () {
            const me = self();
            const a = spawn(spiteful("a", me));
            spawn(spiteful("b", a));
            spawn(spiteful("c", me.parent!));
            yield* spiteful("parent", a);
          });
          yield* sleep(1);
          yield* parent.killAndWait();
        },
        check() {
          expect(log).toHaveLength(begun);
          expect(new Set(log).size).toBe(begun);
        },
      };
    },
    { kills: 2 },
  );
});

test("B13 killing a task that waits in a join leaves the joined task alone, and nothing on its list", () => {
  runChecked(function* () {
    const target = spawn(function* () {
      yield* sleep(10);
      return "unharmed";
    });
    const joiners = [1, 2, 3].map(() => spawn(target.join()));
    yield* yieldNow();
    const waiters = (): number => (target.joiner === null ? 0 : 1) + (target.rare?.joiners?.length ?? 0);
    expect(waiters()).toBe(3);
    yield* joiners[1]!.killAndWait();
    expect(waiters()).toBe(2);
    yield* joiners[0]!.killAndWait();
    expect(waiters()).toBe(1);
    expect(target.killed).toBe(false);
    expect(yield* joiners[2]!.join()).toBe("unharmed");
    expect(waiters()).toBe(0);
  });
});

test("B13 exhaustively: joins, exits and kills that wait for one task", () => {
  exhaustive(
    () => {
      const targets: Task[] = [];
      return {
        *body() {
          const target = spawn(function* () {
            yield* sleep(2);
            return "value";
          });
          targets.push(target);
          spawn(target.join(), { failure: "hold" }).observe();
          spawn(target.settled());
          spawn(target.join(), { failure: "hold" }).observe();
          yield* sleep(1);
          yield* target.settled();
          yield* sleep(1);
        },
        check({ kills }) {
          for (const target of targets) {
            expect(target.joiner).toBe(null);
            expect(target.rare?.joiners?.length ?? 0).toBe(0);
            // Only a kill of the target or of its parent reaches it.
            const reached = kills.some(({ task }) => task === target.id || task === target.parent!.id);
            if (!reached) expect(target.exit).toEqual({ status: "done", value: "value" });
          }
        },
      };
    },
    { kills: 2 },
  );
});

test("B16 a catch around a wait does not see a kill, and nothing after it runs", () => {
  const log: string[] = [];
  const inner = op(function* () {
    try {
      yield* never();
    } catch (error) {
      log.push(`BAD: caught ${error}`);
    }
    log.push("BAD: inner went on");
  });
  runChecked(function* () {
    const task = spawn(function* () {
      for (;;) {
        try {
          yield* inner();
        } catch {
          log.push("BAD: caught outside");
        }
        yield* sleep(1);
        log.push("BAD: went on");
      }
    });
    yield* yieldNow();
    expect(yield* task.killAndWait()).toMatchObject({ status: "killed" });
  });
  expect(log).toEqual([]);
});

test("B16 a catch in clean-up does not turn a killed task into a live one either, and that is reported", () => {
  const log: string[] = [];
  const rt = new VirtualRuntime();
  const outer = op(function* () {
    yield* stubborn();
    log.push("BAD: the caller went on");
  });
  const stubborn = op(function* stubborn() {
    try {
      try {
        yield* never();
      } finally {
        throw new Error("on the way out");
      }
    } catch {
      log.push("caught");
    }
    // To the kernel this is clean-up that goes on; it ends where the operation ends.
    yield* sleep(1);
    return "value";
  });
  rt.run(function* () {
    const task = spawn(outer());
    yield* yieldNow();
    expect(yield* task.killAndWait("x")).toMatchObject({ status: "killed", cause: { reason: "x" } });
  }).result;
  expect(log).toEqual(["caught"]);
  expect(rt.statistics().killsOverridden).toBe(1);
  expect(rt.reports.splice(0)).toMatchObject([
    { kind: "kill-overridden", where: "stubborn", error: "value" },
  ]);
  checked(rt);
});

test("B20 a group that is killed dies alone: its task gets a KilledError and goes on", () => {
  const log: string[] = [];
  const rt = new VirtualRuntime();
  rt.run(function* () {
    const me = self();
    const beside = spawn(function* () {
      yield* sleep(20);
      return "unharmed";
    });
    let error: unknown;
    try {
      yield* group(function* (g) {
        g.spawn(function* () {
          try {
            yield* never();
          } finally {
            yield* sleep(5);
            log.push("child");
          }
        });
        spawn(function* () {
          yield* sleep(1);
          g.kill("only you");
        });
        try {
          yield* never();
        } finally {
          log.push("body");
        }
      });
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toBeInstanceOf(KilledError);
    expect(error).toMatchObject({ code: "COOP_KILLED", reason: "only you" });
    expect(me.killed).toBe(false);
    yield* sleep(1);
    log.push("went on");
    expect(yield* beside.join()).toBe("unharmed");
  }).result;
  expect(log).toEqual(["child", "body", "went on"]);
  checked(rt);
});

test("B20 clean-up inside a killed part may be bounded itself, and the part still ends at its own edge", () => {
  const log: string[] = [];
  runChecked(function* () {
    try {
      yield* timeout(10, function* () {
        try {
          yield* never();
        } finally {
          try {
            yield* timeout(5, never());
          } catch (error) {
            log.push(`inner ${(error as { code: string }).code}`);
          }
          yield* sleep(1);
          log.push("cleaned up");
        }
      });
    } catch (error) {
      log.push(`outer ${(error as { code: string }).code}`);
    }
    yield* sleep(1);
    log.push("went on");
  });
  expect(log).toEqual(["inner COOP_DEADLINE", "cleaned up", "outer COOP_DEADLINE", "went on"]);
});

test("B20 after a bounded clean-up the frames further down are still protected while they clean up", () => {
  const log: string[] = [];
  const inner = op(function* inner() {
    try {
      yield* never();
    } finally {
      try {
        yield* timeout(5, never());
      } catch {
        log.push("inner");
      }
    }
  });
  const outer = op(function* outer() {
    try {
      yield* inner();
    } finally {
      yield* sleep(10);
      log.push("outer");
    }
  });
  const rt = new VirtualRuntime();
  rt.run(function* () {
    const task = spawn(function* () {
      try {
        yield* timeout(10, outer());
      } finally {
        log.push("task");
      }
      yield* sleep(1);
      log.push("BAD");
    });
    // At 10 the time is up, at 15 that of the inner clean-up, and this comes in the middle of the outer one.
    yield* sleep(20);
    yield* task.killAndWait("the rest");
    expect(rt.now).toBe(25);
  }).result;
  expect(log).toEqual(["inner", "outer", "task"]);
  checked(rt);
});

test("B20 what the clean-up further up threw stays out of a bounded clean-up further down", () => {
  const boom = new Error("thrown on the way out");
  const log: string[] = [];
  const throwing = op(function* () {
    try {
      yield* never();
    } finally {
      throw boom;
    }
  });
  const rt = new VirtualRuntime();
  const main = rt.run(function* () {
    const task = spawn(
      op(function* () {
        try {
          yield* throwing();
        } finally {
          try {
            yield* timeout(5, never());
          } catch (error) {
            log.push((error as { code: string }).code);
          }
        }
      })(),
      { failure: "hold" },
    );
    yield* yieldNow();
    return yield* task.killAndWait();
  });
  expect(log).toEqual(["COOP_DEADLINE"]);
  expect(main.result).toEqual({ status: "failed", error: boom });
  checked(rt);
});

test("B20 a timeout that is over before it begins kills what it bounds and nothing around it", () => {
  runChecked(function* () {
    const value = yield* group(function* () {
      let error: unknown;
      try {
        yield* timeout(0, never());
      } catch (thrown) {
        error = thrown;
      }
      expect(error).toMatchObject({ code: "COOP_DEADLINE" });
      yield* sleep(1);
      return "went on";
    });
    expect(value).toBe("went on");
  });
});

test.each(["inner first", "outer first"])(
  "B21 outer and inner part killed in one turn, %s: the outer decides, nothing between goes on",
  (order) => {
    const log: string[] = [];
    runChecked(function* () {
      let error: unknown;
      try {
        yield* group(
          function* (outer) {
            try {
              yield* group(
                function* (inner) {
                  inner.spawn(function* () {
                    yield* sleep(1);
                    const kills = [() => inner.kill("inner"), () => outer.kill("outer")];
                    if (order === "outer first") kills.reverse();
                    for (const kill of kills) kill();
                    yield* never();
                  });
                  try {
                    yield* never();
                  } finally {
                    yield* sleep(1);
                    log.push("inner cleaned up");
                  }
                },
                { name: "inner" },
              );
              log.push("BAD: went on between");
            } catch {
              log.push("BAD: caught between");
            } finally {
              log.push("between cleaned up");
            }
          },
          { name: "outer" },
        );
      } catch (thrown) {
        error = thrown;
      }
      expect(error).toBeInstanceOf(KilledError);
      expect(error).toMatchObject({ reason: "outer" });
    });
    expect(log).toEqual(["inner cleaned up", "between cleaned up"]);
  },
);

test("B21 an outer kill that comes while the inner part cleans up is met where the inner part ends", () => {
  const log: string[] = [];
  runChecked(function* () {
    const task = spawn(function* () {
      try {
        yield* timeout(5, function* () {
          try {
            yield* never();
          } finally {
            yield* sleep(10);
            log.push("inner clean-up in full");
          }
        });
      } catch {
        log.push("BAD: the timeout was thrown");
      }
      log.push("BAD: went on");
    });
    yield* sleep(7);
    const exit = yield* task.killAndWait("outer");
    expect(exit).toMatchObject({ status: "killed", cause: { reason: "outer" } });
  });
  expect(log).toEqual(["inner clean-up in full"]);
});

test("B22 a part that is killed and left without a wait says so; the code after it runs normally", () => {
  const log: string[] = [];
  runChecked(function* () {
    let error: unknown;
    try {
      yield* group(function* (g) {
        g.kill("just before the end");
        // Requested but not delivered: the body has its last word.
        expect(g.cause).toMatchObject({ reason: "just before the end" });
        log.push("body went on");
        return "value";
      });
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toMatchObject({ code: "COOP_KILLED", reason: "just before the end" });
    expect(self().killed).toBe(false);
    yield* sleep(1);
    yield* spawn(yieldNow()).join();
    log.push("after");
  });
  expect(log).toEqual(["body went on", "after"]);
});

test("B22 a handle to a part that is over kills nothing any more", () => {
  runChecked(function* () {
    const escaped: { kill(reason: string): void }[] = [];
    yield* group(function* (g) {
      escaped.push(g);
    });
    const value = yield* group(function* () {
      return yield* timeout(100, function* () {
        escaped[0]!.kill("too late");
        yield* sleep(1);
        return "unharmed";
      });
    });
    expect(value).toBe("unharmed");
    expect(self().killed).toBe(false);
  });
});

test("B23 the first reason wins everywhere: in the outcome, in clean-up, below, and in what a join throws", () => {
  const first = { code: "first reason" };
  const seen: unknown[] = [];
  runChecked(function* () {
    const task = spawn(
      function* () {
        spawn(function* () {
          try {
            yield* never();
          } finally {
            seen.push(self().cause?.reason);
          }
        });
        defer(() => {
          seen.push(self().cause?.reason);
        });
        try {
          yield* never();
        } finally {
          seen.push(self().cause?.reason);
        }
      },
      { name: "victim" },
    );
    yield* sleep(1);
    task.kill(first);
    task.kill("second reason");
    yield* yieldNow();
    task.kill("third reason");
    let error: unknown;
    try {
      yield* task.join();
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toBeInstanceOf(KilledError);
    expect((error as KilledError).reason).toBe(first);
    expect((error as KilledError).origin).toBe(self().label);
    expect((error as KilledError).message).toContain(task.label);
    expect(task.exit).toMatchObject({ status: "killed" });
    expect((task.exit as { cause: { reason: unknown } }).cause.reason).toBe(first);
  });
  expect(seen).toEqual([first, first, first]);
});

test("B25 a killer that is killed while it waits for its victim: both end, and the victim's end is observed", () => {
  inOrder();
  const log: string[] = [];
  const rt = new VirtualRuntime();
  rt.run(function* () {
    const victim = spawn(function* () {
      try {
        yield* never();
      } finally {
        yield* sleep(10);
        log.push("victim cleaned up");
      }
    });
    const killer = spawn(function* () {
      try {
        yield* victim.killAndWait("by the killer", { within: "1 hour" });
        log.push("BAD: the killer went on");
      } finally {
        log.push("killer cleaned up");
      }
    });
    yield* sleep(5);
    expect(yield* killer.killAndWait("by main")).toMatchObject({ status: "killed" });
    expect(victim.exit).toBe(null);
    expect(yield* victim.settled()).toMatchObject({ status: "killed", cause: { reason: "by the killer" } });
    expect(rt.now).toBe(10);
  }).result;
  expect(log).toEqual(["killer cleaned up", "victim cleaned up"]);
  checked(rt);
});

test("B25 a killer that is killed when its victim has just ended leaves no timer behind", () => {
  inOrder();
  const rt = new VirtualRuntime();
  rt.run(function* () {
    const victim = spawn(function* () {
      try {
        yield* never();
      } finally {
        yield* sleep(5);
      }
    });
    const killer = spawn(victim.killAndWait("by the killer", { within: "1 hour" }));
    yield* yieldNow();
    yield* yieldNow();
    // Wakes right behind the victim, and in front of the killer that the victim's end wakes.
    yield* sleep(5);
    expect(victim.exit).not.toBe(null);
    expect(killer.status).toBe("ready");
    killer.kill();
    expect(yield* killer.settled()).toMatchObject({ status: "killed" });
    expect(rt.statistics().timers).toBe(0);
  }).result;
  checked(rt);
});

test("B25 exhaustively: a killer of its own child, of its sibling, and of its killer", () => {
  exhaustive(
    () => {
      const tasks: Task[] = [];
      let begun = 0;
      let ended = 0;
      const slow = op(function* () {
        begun++;
        try {
          yield* never();
        } finally {
          yield* sleep(2);
          ended++;
        }
      });
      return {
        *body() {
          const sibling = spawn(slow());
          const killer: Task = spawn(function* () {
            const child = spawn(slow());
            tasks.push(child);
            yield* sleep(1);
            yield* child.killAndWait();
            yield* sibling.killAndWait();
          });
          tasks.push(sibling, killer);
          yield* sleep(1);
          spawn(killer.killAndWait());
          yield* killer.killAndWait();
        },
        check() {
          expect(ended).toBe(begun);
          for (const task of tasks) expect(task.exit).not.toBe(null);
        },
      };
    },
    { kills: 2 },
  );
});

test.each([
  ["plainly", undefined],
  ["with a bound", { within: "1 second" }],
] as const)(
  "B27 a task that waits for its own kill %s does not wait for ever: the kill ends the wait",
  (_n, options) => {
    const log: string[] = [];
    const rt = new VirtualRuntime();
    rt.run(function* () {
      const task = spawn(function* () {
        try {
          yield* self().killAndWait("by myself", options);
          log.push("BAD");
        } finally {
          yield* sleep(1);
          log.push("finally");
        }
      });
      expect(yield* task.settled()).toMatchObject({ status: "killed", cause: { reason: "by myself" } });
      expect(rt.now).toBe(1);
    }).result;
    expect(log).toEqual(["finally"]);
    checked(rt);
  },
);

test("B27 the same from a group that kills itself, and from clean-up", () => {
  const log: string[] = [];
  runChecked(function* () {
    const task = spawn(function* () {
      try {
        yield* never();
      } finally {
        // A kill of oneself cannot be waited for while one cleans up either: see the invariants at the end.
        self().kill("again");
        log.push("finally");
      }
    });
    yield* yieldNow();
    task.kill("first");
    expect(yield* task.settled()).toMatchObject({ status: "killed", cause: { reason: "first" } });
    let error: unknown;
    try {
      yield* group(function* (g) {
        g.kill("the group");
        yield* never();
      });
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toMatchObject({ code: "COOP_KILLED", reason: "the group" });
  });
  expect(log).toEqual(["finally"]);
});

test("B28 a child that waits for its parent's kill is ended by it", () => {
  const log: string[] = [];
  runChecked(function* () {
    const parent = spawn(function* () {
      spawn(function* () {
        yield* sleep(1);
        try {
          yield* self().parent!.killAndWait("from below", { within: "1 second" });
          log.push("BAD");
        } finally {
          yield* sleep(1);
          log.push("child");
        }
      });
      try {
        yield* never();
      } finally {
        log.push("parent");
      }
    });
    expect(yield* parent.settled()).toMatchObject({ status: "killed", cause: { reason: "from below" } });
  });
  expect(log).toEqual(["child", "parent"]);
});

test("B28 the same through a group, two levels up", () => {
  const log: string[] = [];
  runChecked(function* () {
    const grandparent = spawn(function* () {
      const top = self();
      try {
        yield* group(function* (g) {
          g.spawn(function* () {
            yield* group(function* (h) {
              h.spawn(top.killAndWait("from below"));
              h.spawn(top.settled());
            });
          });
        });
      } finally {
        log.push("grandparent");
      }
    });
    expect(yield* grandparent.settled()).toMatchObject({ status: "killed" });
  });
  expect(log).toEqual(["grandparent"]);
});

test("B20 level 0: a wait that observes kills reports it as a value, one that is not kill-aware waits on", () => {
  const log: string[] = [];
  const gate = new Coordinator({ held: true, name: "gate" });
  const done = new Signal({ name: "done" });
  runChecked(
    function* () {
      const task = spawn(function* () {
        const result = yield* coordinateWithKill(gate, done);
        log.push(`killed: ${result.killed}`);
        const second = yield* coordinateWith(done);
        log.push(`signal: ${second.coordinator === done}`);
        yield* sleep(1);
        log.push("BAD");
      });
      yield* yieldNow();
      task.kill();
      yield* sleep(1);
      expect(task.exit).toBe(null);
      done.notify();
      expect(yield* task.settled()).toMatchObject({ status: "killed" });
    },
    gate,
    done,
  );
  expect(log).toEqual(["killed: true", "signal: true"]);
});
