/** Conformance F: timeouts that bound an operation, and deadlines that bound a task. */
import { describe, expect, test } from "vitest";
import {
  Coordinator,
  coordinateWithKill,
  DeadlineError,
  defer,
  group,
  KilledError,
  never,
  self,
  shield,
  spawn,
  type Task,
  yieldNow,
} from "../../src/coordinator/index.ts";
import { adoptSocket, close, nop, recv } from "../../src/io/index.ts";
import { OP_RECV } from "../../src/native/layout.ts";
import { runVirtual, VirtualRuntime } from "../../src/testing/virtual.ts";
import { deadline, moveOnAfter, now, sleep, type TimeLimit, timeout } from "../../src/time/index.ts";
import { checked, exhaustive, runChecked } from "../support/harness.ts";
import { PENDING, runScripted, ScriptedDriver } from "../support/scripted-driver.ts";
import { thrownBy } from "../support/thrown.ts";

const USAGE = (code: string) => expect.objectContaining({ code });

test("F01 an operation that ends before its deadline keeps its value, and the timer goes at once", () => {
  const rt = new VirtualRuntime();
  rt.run(function* () {
    expect(yield* timeout("1 hour", () => sleep(1))).toBe(undefined);
    expect(rt.timers.size).toBe(0);
    expect(yield* moveOnAfter("1 hour", () => value(7))).toEqual({ timedOut: false, value: 7 });
    expect(rt.timers.size).toBe(0);
    const child = spawn(() => value(8), { deadline: now() + 1e6 });
    expect(rt.timers.size).toBe(1);
    expect(yield* child.join()).toBe(8);
    expect(rt.timers.size).toBe(0);
  }).result;
  expect(rt.now).toBe(1);
  checked(rt);
});

describe("F02 when the deadline passes first", () => {
  test("F02 the body is unwound, its clean-up runs, and then the caller gets the error or the flag", () => {
    const log: string[] = [];
    function* body(): Generator<unknown, string, any> {
      try {
        yield* never();
        return "BAD";
      } catch {
        log.push("BAD");
        return "BAD";
      } finally {
        yield* sleep(5);
        log.push(`cleaned up at ${now()}`);
      }
    }
    runChecked(function* () {
      const error = yield* thrownBy(timeout(10, body));
      expect(error).toBeInstanceOf(DeadlineError);
      expect(error.code).toBe("COOP_DEADLINE");
      expect(yield* moveOnAfter(10, body)).toEqual({ timedOut: true, value: undefined });
    });
    expect(log).toEqual(["cleaned up at 15", "cleaned up at 30"]);
  });

  test("F02 a task is killed by its own, children first, and the cause says so", () => {
    const log: string[] = [];
    const rt = new VirtualRuntime();
    rt.run(function* () {
      const task = spawn(
        function* parent() {
          defer(() => void log.push("parent"));
          spawn(function* () {
            defer(() => void log.push("child"));
            yield* never();
          });
          yield* timeout(50, never());
        },
        { name: "worker", deadline: now() + 20 },
      );
      const exit = yield* task.settled();
      expect(exit).toMatchObject({ status: "killed", cause: { failure: false, origin: "worker#2" } });
      const reason = exit.status === "killed" ? (exit.cause.reason as Error) : null;
      expect(reason).toBeInstanceOf(DeadlineError);
      expect(reason!.message).toBe("the deadline of worker#2 has passed");
      expect(now()).toBe(20);
      // A call's own limit fails the task instead: the two can be told apart.
      const limited = spawn(() => timeout(5, never()), { failure: "hold", deadline: now() + 20 });
      expect(yield* limited.settled()).toMatchObject({ status: "failed", error: { code: "COOP_DEADLINE" } });
      // A join of it throws what a join of any killed task throws.
      const error = yield* thrownBy(spawn(never(), { deadline: now() }).join());
      expect(error).toBeInstanceOf(KilledError);
      expect(error.reason).toBeInstanceOf(DeadlineError);
    }).result;
    expect(log).toEqual(["child", "parent"]);
    checked(rt);
  });
});

describe("F03 the deadline and the completion fall into the same turn", () => {
  for (const first of ["completion", "deadline"] as const) {
    test(`F03 ${first} armed first: exactly one outcome, and nothing is lost, wherever a kill strikes`, () => {
      const outcomes = new Set<string>();
      exhaustive(() => {
        const gate = new Coordinator({ held: true, name: "gate" });
        return {
          gates: [gate],
          body: function* () {
            const release = () =>
              spawn(function* releaser() {
                yield* sleep(10);
                gate.release();
              });
            if (first === "completion") release();
            yield* yieldNow();
            const waiter = spawn(() => moveOnAfter(10, gate.acquire()));
            yield* yieldNow();
            yield* yieldNow();
            if (first === "deadline") release();
            const exit = yield* waiter.settled();
            if (exit.status === "done") {
              outcomes.add(exit.value.timedOut ? "timed out" : "acquired");
              // Whoever timed out does not hold it.
              if (exit.value.timedOut) expect(gate.owner).not.toBe(waiter);
              else expect(gate.owner).toBe(waiter);
            }
          },
        };
      });
      // Both timers fire before the waiter could see the gate open.
      expect([...outcomes]).toEqual(["timed out"]);
    });
  }
});

test("F03 a completion that the body has seen stands, although the time is up by then", () => {
  const rt = new VirtualRuntime();
  rt.run(function* () {
    const gate = new Coordinator({ held: true });
    spawn(function* late() {
      yield* sleep(9);
      rt.advance(5);
      gate.release();
    });
    expect(yield* moveOnAfter(10, gate.acquire())).toEqual({ timedOut: false, value: undefined });
    expect(gate.owner).toBe(self());
    expect(now()).toBe(14);
  }).result;
  checked(rt);
});

describe("F04 what a limit may be", () => {
  test("F04 zero runs the body up to its first wait", () => {
    const log: string[] = [];
    runChecked(function* () {
      for (const nothing of [0, -0, "0 ms"]) {
        const error = yield* thrownBy(
          timeout(nothing, function* () {
            log.push("started");
            yield* sleep(0);
            log.push("BAD");
          }),
        );
        expect(error).toBeInstanceOf(DeadlineError);
      }
    });
    expect(log).toEqual(["started", "started", "started"]);
  });

  test("F04 a negative duration, NaN and what is no duration are typed errors before anything is done", () => {
    const rt = new VirtualRuntime();
    rt.run(function* () {
      // A negative duration is a bug in a computation and not a short time: `deadline` takes times in the past.
      for (const bad of [-1, Number.NaN, -Infinity, 10n, "soon", "-1 ms", null, {}] as never[]) {
        expect(() => timeout(bad, never())).toThrow(USAGE("COOP_DURATION"));
        expect(() => moveOnAfter(bad, never())).toThrow(USAGE("COOP_DURATION"));
        expect(() => sleep(bad)).toThrow(USAGE("COOP_DURATION"));
      }
      for (const bad of [Number.NaN, 10n, "1 s", null] as never[]) {
        expect(() => deadline(bad, never())).toThrow(USAGE("COOP_DURATION"));
        expect(() => self().tightenDeadline(bad)).toThrow(USAGE("COOP_DURATION"));
        const spawned = rt.statistics().spawned;
        expect(() => spawn(never(), { deadline: bad })).toThrow(USAGE("COOP_DURATION"));
        expect(rt.statistics().spawned).toBe(spawned);
      }
      yield* timeout(5, function* (limit: TimeLimit) {
        for (const bad of [Number.NaN, "x"] as never[]) {
          expect(() => limit.moveTo(bad)).toThrow(USAGE("COOP_DURATION"));
          expect(() => limit.restart(bad)).toThrow(USAGE("COOP_DURATION"));
        }
        expect(limit.at).toBe(5);
        yield* yieldNow();
      });
    }).result;
    checked(rt);
  });

  test("F04 beyond 2^31 ms and 2^53 it neither wraps nor fires early; Infinity never fires", () => {
    for (const long of [2 ** 31, 2 ** 31 + 1, 2 ** 53]) {
      const rt = new VirtualRuntime();
      rt.run(function* () {
        expect((yield* moveOnAfter(long, never())).timedOut).toBe(true);
      }).result;
      expect(rt.now).toBe(long);
    }
    runChecked(function* () {
      yield* timeout(Number.POSITIVE_INFINITY, () => sleep("30 days"));
      const child = spawn(() => sleep("30 days"), { deadline: Number.POSITIVE_INFINITY });
      yield* child.join();
    });
  });
});

test("F05 a body that swallows the kill and returns a value has still run out of time", () => {
  const rt = new VirtualRuntime();
  rt.run(function* () {
    const error = yield* thrownBy(
      timeout(10, function* () {
        try {
          yield* never();
        } finally {
          return "swallowed";
        }
      }),
    );
    expect(error).toBeInstanceOf(DeadlineError);
  }).result;
  expect(rt.reports.splice(0).map(({ kind }) => kind)).toEqual(["kill-overridden"]);
  checked(rt);
});

test("F06 an error of the clean-up wins, with the deadline as its cause", () => {
  runChecked(function* () {
    for (const bounded of [timeout, moveOnAfter]) {
      const error = yield* thrownBy(
        bounded(10, function* () {
          try {
            yield* never();
          } finally {
            throw new Error("clean-up");
          }
        }),
      );
      expect(error.message).toBe("clean-up");
      expect(error.cause).toBeInstanceOf(DeadlineError);
    }
  });
});

describe("F07 timeouts inside one another", () => {
  for (const [outer, inner, winner] of [
    [5, 10, "outer"],
    [10, 5, "inner"],
    [10, 10, "outer"],
  ] as const) {
    test(`F07 outer ${outer}, inner ${inner}: the ${winner} one reports`, () => {
      runChecked(function* () {
        const log: string[] = [];
        const result = yield* moveOnAfter(outer, function* () {
          const { timedOut } = yield* moveOnAfter(inner, never());
          log.push(`inner ${timedOut}`);
        });
        log.push(`outer ${result.timedOut}`);
        expect(log).toEqual(winner === "outer" ? ["outer true"] : ["inner true", "outer false"]);
        expect(now()).toBe(Math.min(outer, inner));
      });
    });
  }

  test("F07 equal by a move, the inner one armed first: the outer one reports", () => {
    runChecked(function* () {
      const log: string[] = [];
      const result = yield* moveOnAfter(1000, function* (outer: TimeLimit) {
        const { timedOut } = yield* moveOnAfter(10, function* () {
          outer.moveTo(10);
          yield* never();
        });
        log.push(`inner ${timedOut}`);
      });
      expect(log).toEqual([]);
      expect(result.timedOut).toBe(true);
    });
  });
});

describe("F08 a limit that moves while its body sleeps", () => {
  const moves: readonly [string, (limit: TimeLimit) => boolean, number][] = [
    ["later", (limit) => limit.moveTo(100), 100],
    ["later, from now", (limit) => limit.restart("100 ms"), 105],
    ["earlier", (limit) => limit.moveTo(7), 7],
    ["into the past", (limit) => limit.moveTo(1), 5],
    ["to now", (limit) => limit.moveTo(now()), 5],
    ["by nothing", (limit) => limit.restart(0), 5],
    ["away", (limit) => limit.moveTo(Number.POSITIVE_INFINITY), 1000],
    ["away and back", (limit) => limit.restart(Number.POSITIVE_INFINITY) && limit.moveTo(20), 20],
  ];
  for (const [where, move, end] of moves) {
    test(`F08 ${where}: it takes effect at once`, () => {
      const rt = new VirtualRuntime();
      rt.run(function* () {
        const result = yield* moveOnAfter(10, function* (limit: TimeLimit) {
          expect(limit.at).toBe(10);
          spawn(function* mover() {
            yield* sleep(5);
            expect(move(limit)).toBe(true);
            expect(limit.expired).toBe(end === 5);
          });
          yield* sleep(1000);
        });
        expect(now()).toBe(end);
        expect(result.timedOut).toBe(end !== 1000);
        expect(rt.timers.size).toBe(0);
      }).result;
      checked(rt);
    });
  }

  test("F08 the body moves its own, and meets the end at its next wait", () => {
    runChecked(function* () {
      const log: string[] = [];
      yield* thrownBy(
        timeout(10, function* (limit: TimeLimit) {
          limit.moveTo(0);
          log.push(`expired ${limit.expired}`);
          yield* sleep(1);
          log.push("BAD");
        }),
      );
      expect(log).toEqual(["expired true"]);
      expect(now()).toBe(0);
    });
  });

  test("F08 too late is too late: while it is unwound, and when it is over", () => {
    runChecked(function* () {
      let limit: TimeLimit | null = null;
      yield* moveOnAfter(10, function* (given: TimeLimit) {
        limit = given;
        try {
          yield* never();
        } finally {
          expect(limit.moveTo(1000)).toBe(false);
          expect(limit.expired).toBe(true);
          yield* sleep(1);
        }
      });
      expect(limit!.restart(5)).toBe(false);
      const { timedOut } = yield* moveOnAfter(10, function* (given: TimeLimit) {
        limit = given;
        yield* yieldNow();
      });
      expect(timedOut).toBe(false);
      expect(limit!.restart(5)).toBe(false);
      expect(limit!.expired).toBe(false);
    });
  });

  test("F08 100,000 moves do not grow anything", () => {
    const rt = new VirtualRuntime();
    rt.run(function* () {
      yield* timeout(10, function* (limit: TimeLimit) {
        for (let i = 0; i < 100_000; i++) limit.restart((i % 7) + 1);
        expect(rt.timers.size).toBe(1);
        rt.timers.validate();
        yield* yieldNow();
      });
      for (let i = 100_000; i > 50_000; i--) self().tightenDeadline(i);
      expect(rt.timers.size).toBe(1);
    }).result;
    checked(rt);
  });
});

test("F09 a deadline error of the user's own passes through an unexpired timeout", () => {
  runChecked(function* () {
    const own = new DeadlineError("mine");
    for (const bounded of [timeout, moveOnAfter]) {
      const error = yield* thrownBy(
        bounded(10, function* () {
          yield* yieldNow();
          throw own;
        }),
      );
      expect(error).toBe(own);
      expect(error.cause).toBe(undefined);
    }
  });
});

test("F10 a shielded section that outlasts its timeout completes, then the timeout is reported at once", () => {
  runChecked(function* () {
    const log: string[] = [];
    const error = yield* thrownBy(
      timeout(10, function* () {
        yield* shield(function* () {
          yield* sleep(25);
          log.push("section");
        });
        yield* sleep(0);
        log.push("BAD");
      }),
    );
    expect(error).toBeInstanceOf(DeadlineError);
    expect(log).toEqual(["section"]);
    expect(now()).toBe(25);
  });
});

describe("F11 the effective deadline", () => {
  test("F11 is the earliest of the timeouts around, and a shield hides what is outside", () => {
    runChecked(function* () {
      const me = self();
      expect(me.deadline).toBe(Number.POSITIVE_INFINITY);
      yield* timeout(100, function* (outer: TimeLimit) {
        expect(me.deadline).toBe(100);
        yield* timeout(200, function* () {
          expect(me.deadline).toBe(100);
          yield* shield(function* () {
            expect(me.deadline).toBe(Number.POSITIVE_INFINITY);
            yield* deadline(50, function* () {
              expect(me.deadline).toBe(50);
            });
            yield* timeout(300, function* () {
              expect(me.deadline).toBe(300);
            });
          });
          outer.moveTo(Number.POSITIVE_INFINITY);
          expect(me.deadline).toBe(200);
          outer.moveTo(70);
        });
        expect(me.deadline).toBe(70);
      });
      expect(me.deadline).toBe(Number.POSITIVE_INFINITY);
    });
  });

  test("F11 is -Infinity once killed, also by a timeout of one's own, and free again in clean-up", () => {
    runChecked(function* () {
      const me = self();
      yield* moveOnAfter(10, function* (limit: TimeLimit) {
        limit.moveTo(0);
        expect(me.deadline).toBe(Number.NEGATIVE_INFINITY);
        yield* shield(function* () {
          expect(me.deadline).toBe(Number.POSITIVE_INFINITY);
        });
        try {
          yield* never();
        } finally {
          // Nothing that is under way reaches in here.
          expect(me.deadline).toBe(Number.POSITIVE_INFINITY);
        }
      });
      expect(me.deadline).toBe(Number.POSITIVE_INFINITY);
      const child = spawn(function* () {
        self().kill();
        expect(self().deadline).toBe(Number.NEGATIVE_INFINITY);
        defer(() => expect(child.deadline).toBe(Number.POSITIVE_INFINITY));
        yield* never();
      });
      yield* child.settled();
    });
  });

  test("F11 reaches down through groups and parents, but not out of a timeout or a shield of the parent", () => {
    runChecked(function* () {
      const seen: Record<string, number> = {};
      const look = (name: string) =>
        function* () {
          seen[name] = self().deadline;
          yield* yieldNow();
        };
      const task = spawn(
        function* () {
          spawn(function* () {
            spawn(look("grandchild"));
            yield* never();
          });
          yield* timeout(50, function* () {
            // A child belongs to the task and not to the timeout.
            spawn(look("beside the timeout"));
            yield* group(function* (g) {
              g.spawn(look("in a group in the timeout"));
            });
            yield* shield(function* () {
              spawn(look("beside the shield"));
              yield* group(function* (g) {
                g.spawn(look("in a group in the shield"));
              });
            });
          });
          spawn(look("detached"), { detached: true });
          spawn(look("with one of its own"), { deadline: 30 });
          spawn(look("with a later one"), { deadline: 3000 });
          yield* never();
        },
        { deadline: 100 },
      );
      yield* task.settled();
      expect(seen).toEqual({
        grandchild: 100,
        "beside the timeout": 100,
        "in a group in the timeout": 50,
        "beside the shield": 100,
        "in a group in the shield": Number.POSITIVE_INFINITY,
        detached: Number.POSITIVE_INFINITY,
        "with one of its own": 30,
        "with a later one": 100,
      });
    });
  });

  test("F11 what it says is when it happens: code with nothing but waits ends exactly then", () => {
    runChecked(function* () {
      for (const [own, around, within] of [
        [30, 20, 10],
        [10, 20, 30],
        [20, 10, 30],
      ] as const) {
        const start = now();
        let said = 0;
        const task = spawn(
          function* () {
            yield* timeout(around, () =>
              group(function* (g) {
                const inner = g.spawn(() =>
                  timeout(within, function* () {
                    said = self().deadline;
                    try {
                      yield* never();
                    } finally {
                      expect(now()).toBe(said);
                    }
                  }),
                );
                yield* inner.settled();
              }),
            );
          },
          { deadline: start + own, failure: "hold" },
        );
        yield* task.settled();
        expect(said).toBe(start + 10);
      }
    });
  });
});

describe("a task's own deadline", () => {
  test("can only be tightened", () => {
    runChecked(function* () {
      const task: Task = spawn(never());
      task.tightenDeadline(20);
      task.tightenDeadline(30);
      expect(task.deadline).toBe(20);
      task.tightenDeadline(10);
      task.tightenDeadline(Number.POSITIVE_INFINITY);
      expect(task.deadline).toBe(10);
      yield* task.settled();
      expect(now()).toBe(10);
      task.tightenDeadline(1);
    });
  });

  test("in the past kills at once: one that has not started never does", () => {
    runChecked(function* () {
      yield* sleep(5);
      for (const start of ["queued", "next", "now"] as const) {
        const unborn = spawn(unreachable, { deadline: 1, start });
        expect(unborn.killed).toBe(true);
        expect((yield* unborn.settled()).status).toBe("killed");
      }
      const child = spawn(function* () {
        self().tightenDeadline(now());
        expect(self().killed).toBe(true);
        yield* never();
      });
      expect((yield* child.settled()).status).toBe("killed");
    });
  });

  test("beats the limit of a wait that ends at the same time", () => {
    runChecked(function* () {
      const gate = new Coordinator({ held: true });
      let result: unknown;
      const task = spawn(
        function* () {
          const first = yield* coordinateWithKill(gate, { within: 10 });
          result = { killed: first.killed, timedOut: first.timedOut };
        },
        { deadline: 10 },
      );
      yield* task.settled();
      expect(result).toEqual({ killed: true, timedOut: false });
    });
  });

  test("is gone with the task, whatever happens to it, wherever a kill strikes", () => {
    exhaustive(() => ({
      body: function* () {
        const task = spawn(
          function* () {
            const child = spawn(() => sleep(2), { deadline: now() + 20 });
            yield* child.join();
            self().tightenDeadline(now() + 1);
            yield* sleep(5);
          },
          { deadline: now() + 50 },
        );
        yield* task.settled();
      },
    }));
  });

  test("needs a clock, and says so before anything is done", () => {
    runVirtual(function* () {
      yield* yieldNow();
      const cooperator = self().cooperator;
      const { timers } = cooperator;
      cooperator.timers = null;
      expect(() => spawn(never(), { deadline: 5 })).toThrow(USAGE("COOP_NO_CLOCK"));
      expect(() => self().tightenDeadline(5)).toThrow(USAGE("COOP_NO_CLOCK"));
      cooperator.timers = timers;
    });
  });
});

test("F12 a timeout on an operation whose cancel is slow ends only when its memory is safe", () => {
  let finishTarget = (): void => {};
  const driver: ScriptedDriver = new ScriptedDriver({
    result: ({ opcode }) => (opcode === OP_RECV ? PENDING : 0),
    cancel: (target) => {
      finishTarget = () => (driver as any).complete(target, -125);
      return { first: "cancel", cancel: 0, target: PENDING };
    },
  });
  runScripted(driver, function* () {
    const peer = adoptSocket(driver.openNumber());
    spawn(function* slow() {
      yield* sleep(5010);
      finishTarget();
    });
    const error = yield* thrownBy(timeout(10, recv(peer, Buffer.alloc(16))));
    expect(error).toBeInstanceOf(DeadlineError);
    expect(now()).toBe(5010);
    yield* nop();
    yield* close(peer);
  });
});

test("F13 nothing reads the wall clock", () => {
  const wall = Date.now;
  Date.now = () => expect.unreachable();
  try {
    runChecked(function* () {
      yield* sleep(10);
      yield* moveOnAfter(10, never());
      expect(now()).toBe(20);
    });
  } finally {
    Date.now = wall;
  }
});

test("F15 a timeout that is entered in a killed task starts no timer", () => {
  const rt = new VirtualRuntime();
  const log: string[] = [];
  rt.run(function* () {
    const task = spawn(function* () {
      self().kill();
      yield* timeout(10, function* () {
        log.push(`body, ${rt.timers.size} timers`);
        yield* never();
      });
    });
    expect((yield* task.settled()).status).toBe("killed");
  }).result;
  expect(log).toEqual(["body, 0 timers"]);
  checked(rt);
});

function* unreachable(): Generator<unknown, never, any> {
  expect.unreachable();
}

function* value<A>(a: A): Generator<unknown, A, any> {
  yield* yieldNow();
  return a;
}
