import { describe, expect, test } from "vitest";
import {
  ClosedError,
  defer,
  KilledError,
  never,
  op,
  type Restart,
  RestartLimitError,
  type SupervisedChild,
  type Supervisor,
  self,
  shield,
  spawn,
  supervise,
  TaskLocal,
  UsageError,
} from "../../src/coordinator/index.ts";
import { VirtualRuntime } from "../../src/testing/virtual.ts";
import { sleep } from "../../src/time/sleep.ts";
import { checked, exhaustive, runChecked } from "../support/harness.ts";
import { thrownBy } from "../support/thrown.ts";

/** Starts and ends of children, with their times. */
class Log {
  readonly lines: string[] = [];
  private readonly rt: VirtualRuntime;
  constructor(rt: VirtualRuntime) {
    this.rt = rt;
  }
  say(what: string): void {
    this.lines.push(`${this.rt.now} ${what}`);
  }
  /** Fails `times` times after `ms`, and then runs for ever. */
  flaky(name: string, ms: number, times: number): () => ReturnType<typeof never> {
    let failures = 0;
    return op(function* flaky(this: void, log: Log) {
      log.say(`+${name}`);
      try {
        yield* sleep(failures < times ? ms : Number.POSITIVE_INFINITY);
        failures++;
        throw new Error(`${name} ${failures}`);
      } finally {
        log.say(`-${name}`);
      }
    }).bind(undefined, this) as () => ReturnType<typeof never>;
  }
}

const quiet = { onRestart: () => {} };

describe("restarts", () => {
  test("a child that fails is started again, after pauses that double up to the most", () => {
    const rt = new VirtualRuntime();
    const log = new Log(rt);
    const restarts: Restart[] = [];
    rt.run(function* () {
      yield* supervise(
        function* (s) {
          const child = s.spawn(log.flaky("a", 1, 5), { name: "a" });
          yield* sleep(10_000);
          expect(child.restarts).toBe(5);
          child.stop("done");
        },
        { backoff: { first: 10, most: 50 }, onRestart: (restart) => restarts.push(restart) },
      );
      expect(rt.now).toBe(10_000);
    }).result;
    expect(log.lines).toEqual(
      [
        "0 +a",
        "1 -a",
        "11 +a",
        "12 -a",
        "32 +a",
        "33 -a",
        "73 +a",
        "74 -a",
        "124 +a",
        "125 -a",
        "175 +a",
      ].concat("10000 -a"),
    );
    expect(restarts.map(({ pause }) => pause)).toEqual([10, 20, 40, 50, 50]);
    expect(restarts[0]).toMatchObject({ child: { name: "a" }, exit: { status: "failed" } });
    checked(rt);
  });

  test("one that has run long enough begins anew with the shortest pause", () => {
    const rt = new VirtualRuntime();
    const pauses: number[] = [];
    rt.run(function* () {
      const lives = [1, 1, 60, 1];
      yield* supervise(
        function* (s) {
          s.spawn(function* () {
            const life = lives.shift();
            if (life === undefined) return;
            yield* sleep(life);
            throw new Error("again");
          });
        },
        { backoff: { first: 10, most: 50 }, onRestart: ({ pause }) => pauses.push(pause) },
      );
    }).result;
    expect(pauses).toEqual([10, 20, 10, 20]);
    checked(rt);
  });

  test("always, on-failure and never: after which ends", () => {
    const ends = {
      value: function* () {
        yield* sleep(1);
      },
      error: function* () {
        yield* sleep(1);
        throw new Error("boom");
      },
      kill: function* () {
        self().kill("not needed");
        yield* sleep(1);
      },
    };
    const restarted: string[] = [];
    const rt = new VirtualRuntime();
    rt.run(function* () {
      for (const [how, body] of Object.entries(ends)) {
        for (const restart of ["always", "on-failure", "never"] as const) {
          yield* supervise(
            function* (s) {
              const child = s.spawn(body, { restart });
              yield* sleep(150);
              if (child.restarts > 0) restarted.push(`${how} ${restart}`);
              child.stop();
            },
            { onRestart() {} },
          );
        }
      }
    }).result;
    expect(restarted).toEqual(["value always", "error always", "error on-failure", "kill always"]);
    // A failure nobody restarts has nobody else to be told.
    expect(rt.reports.splice(0)).toMatchObject([{ kind: "failure", error: { message: "boom" } }]);
    checked(rt);
  });

  test("a failure that is followed by a restart is reported, where no handler is given", () => {
    const rt = new VirtualRuntime();
    const log = new Log(rt);
    rt.run(function* () {
      yield* supervise(function* (s) {
        s.spawn(log.flaky("a", 1, 1));
        yield* sleep(500);
        s.children[0]!.stop();
      });
    }).result;
    expect(rt.reports.splice(0)).toMatchObject([
      { kind: "failure", where: "is restarted in 100 ms", error: { message: "a 1" } },
    ]);
    checked(rt);
  });

  test("a factory that throws is a failure of the child; tasks inherit from the supervisor's own task", () => {
    const local = new TaskLocal("none");
    const seen: unknown[] = [];
    runChecked(function* () {
      local.set("mine");
      self().cooperator.setPriority(self(), 2);
      let calls = 0;
      yield* supervise(function* (s) {
        s.spawn(() => {
          if (++calls < 3) throw new Error("not yet");
          return op(function* () {
            seen.push(local.get(), self().priority, self().parent === me);
            yield* sleep(1);
          })();
        });
        const me = self();
      }, quiet);
    });
    expect(seen).toEqual(["mine", 2, true]);
  });
});

describe("strategies", () => {
  const run = (strategy: "one-for-one" | "one-for-all" | "rest-for-one"): string[] => {
    const rt = new VirtualRuntime();
    const log = new Log(rt);
    rt.run(function* () {
      yield* supervise(
        function* (s) {
          s.spawn(log.flaky("a", 1, 0), { name: "a" });
          s.spawn(log.flaky("b", 5, 1), { name: "b" });
          s.spawn(
            () =>
              op(function* () {
                log.say("+c");
                defer(() => sleep(20));
                defer(() => log.say("c cleans up"));
                yield* never();
              })(),
            { name: "c" },
          );
          yield* sleep(1000);
          log.lines.push("--");
          for (const child of s.children) child.stop();
        },
        { ...quiet, strategy, backoff: { first: 10 } },
      );
    }).result;
    checked(rt);
    return log.lines.slice(3, log.lines.indexOf("--"));
  };

  test("one-for-one starts only the one that failed", () => {
    expect(run("one-for-one")).toEqual(["5 -b", "15 +b"]);
  });

  test("one-for-all stops all, waits for their clean-up, and starts all in order", () => {
    expect(run("one-for-all")).toEqual(["5 -b", "5 -a", "5 c cleans up", "35 +a", "35 +b", "35 +c"]);
  });

  test("rest-for-one stops and starts those spawned after it", () => {
    expect(run("rest-for-one")).toEqual(["5 -b", "5 c cleans up", "35 +b", "35 +c"]);
  });

  test("a second failure while the restart is on its way joins it", () => {
    const rt = new VirtualRuntime();
    const log = new Log(rt);
    rt.run(function* () {
      const error = yield* thrownBy(
        supervise(
          function* (s) {
            s.spawn(log.flaky("a", 8, 1), { name: "a" });
            s.spawn(log.flaky("b", 5, 1), { name: "b" });
            yield* sleep(1000);
            s.kill("over");
          },
          { ...quiet, strategy: "rest-for-one", backoff: { first: 10 } },
        ),
      );
      expect(error).toBeInstanceOf(KilledError);
    }).result;
    expect(log.lines.slice(2, 6)).toEqual(["5 -b", "8 -a", "18 +a", "18 +b"]);
    checked(rt);
  });

  test("what fails in its clean-up while it is stopped is reported, and started again with the rest", () => {
    const rt = new VirtualRuntime();
    const log = new Log(rt);
    rt.run(function* () {
      const error = yield* thrownBy(
        supervise(
          function* (s) {
            s.spawn(log.flaky("a", 5, 1));
            const other = s.spawn(function* () {
              defer(() => {
                throw new Error("late");
              });
              yield* sleep(200);
            });
            s.spawn(
              function* () {
                yield* sleep(300);
              },
              { restart: "never" },
            );
            yield* sleep(150);
            expect(other.restarts).toBe(1);
            expect(s.children.length).toBe(2);
            s.kill("over");
          },
          { ...quiet, strategy: "one-for-all" },
        ),
      );
      // The second one does the same in the end, and an error beats a kill.
      expect(error.message).toBe("late");
    }).result;
    const [report] = rt.reports.splice(0);
    expect(report).toMatchObject({ where: "was being restarted", error: { message: "late" } });
    checked(rt);
  });
});

describe("giving up", () => {
  test("more restarts than allowed within the window fail the supervisor; the cause is the last failure", () => {
    const rt = new VirtualRuntime();
    const log = new Log(rt);
    rt.run(function* () {
      const error = yield* thrownBy(
        supervise(
          function* (s) {
            s.spawn(log.flaky("steady", 1, 0));
            s.spawn(log.flaky("a", 1, 100), { name: "a" });
            yield* never();
          },
          { ...quiet, backoff: { first: 10, most: 10 }, intensity: { restarts: 3, within: 1000 } },
        ),
      );
      expect(error).toBeInstanceOf(RestartLimitError);
      expect(error.code).toBe("COOP_RESTART_LIMIT");
      expect(error.message).toContain("supervisor gives up: a ended");
      expect(error.cause.message).toBe("a 4");
      expect(rt.now).toBe(34);
    }).result;
    expect(log.lines.at(-1)).toBe("34 -steady");
    checked(rt);
  });

  test("the window slides: restarts that are spread out go on for ever", () => {
    const rt = new VirtualRuntime();
    const log = new Log(rt);
    rt.run(function* () {
      yield* supervise(
        function* (s) {
          const child = s.spawn(log.flaky("a", 500, 100));
          yield* sleep("1 minute");
          expect(child.restarts).toBeGreaterThan(50);
          child.stop();
        },
        { ...quiet, backoff: { first: 10, most: 10 }, intensity: { restarts: 2, within: 1000 } },
      );
    }).result;
    checked(rt);
  });

  test("a child that always ends well too often has no failure to be the cause", () => {
    runChecked(function* () {
      const error = yield* thrownBy(
        supervise(
          function* (s) {
            s.spawn(function* () {}, { restart: "always" });
          },
          { ...quiet, backoff: { first: 0 }, intensity: { restarts: 10 } },
        ),
      );
      expect(error).toBeInstanceOf(RestartLimitError);
      expect("cause" in error).toBe(false);
    });
  });

  test("a handler that throws fails the supervisor", () => {
    const boom = new Error("boom");
    runChecked(function* () {
      const error = yield* thrownBy(
        supervise(
          function* (s) {
            s.spawn(never);
            s.spawn(function* () {
              throw boom;
            });
          },
          {
            onRestart: ({ exit }) => {
              if (exit.status === "failed") throw exit.error;
            },
          },
        ),
      );
      expect(error).toBe(boom);
    });
  });

  test("the body fails: children are killed, nothing is restarted, its error is thrown", () => {
    const [boom, late] = [new Error("boom"), new Error("late")] as const;
    const rt = new VirtualRuntime();
    rt.run(function* () {
      const error = yield* thrownBy(
        supervise(function* (s) {
          s.spawn(
            function* () {
              defer(() => {
                throw late;
              });
              yield* never();
            },
            { restart: "always" },
          );
          yield* sleep(1);
          throw boom;
        }, quiet),
      );
      expect(error).toBe(boom);
      expect(error.errors).toEqual([late]);
      expect(rt.now).toBe(1);
    }).result;
    checked(rt);
  });
});

describe("ending", () => {
  test("stop ends a child for good, whatever it is doing", () => {
    const rt = new VirtualRuntime();
    const log = new Log(rt);
    rt.run(function* () {
      const value = yield* supervise(
        function* (s) {
          const running = s.spawn(log.flaky("a", 1, 0), { restart: "always" });
          const waiting = s.spawn(log.flaky("b", 1, 1), { restart: "always" });
          yield* sleep(5);
          expect(waiting.task).toBe(null);
          waiting.stop();
          waiting.stop();
          running.stop("enough");
          expect(running.task?.cause?.reason).toBe("enough");
          return s.name;
        },
        { ...quiet, name: "keeper" },
      );
      expect(value).toBe("keeper");
      expect(rt.now).toBe(5);
    }).result;
    expect(rt.timers.size).toBe(0);
    checked(rt);
  });

  test("stop of one that waits while others are being stopped leaves them to their restart", () => {
    const rt = new VirtualRuntime();
    const log = new Log(rt);
    rt.run(function* () {
      let s!: Supervisor;
      let b!: SupervisedChild;
      spawn(function* () {
        yield* sleep(6);
        b.stop();
      });
      const error = yield* thrownBy(
        supervise(
          function* (opened) {
            s = opened;
            s.spawn(() =>
              op(function* () {
                log.say("+a");
                try {
                  yield* never();
                } finally {
                  yield* shield(sleep(20));
                }
              })(),
            );
            b = s.spawn(log.flaky("b", 5, 1));
            yield* sleep(500);
            s.kill("over");
          },
          { ...quiet, strategy: "one-for-all" },
        ),
      );
      expect(error).toBeInstanceOf(KilledError);
    }).result;
    expect(log.lines).toEqual(["0 +a", "0 +b", "5 -b", "125 +a"]);
    checked(rt);
  });

  test("it is over when no child is left to run; a spawn afterwards is refused", () => {
    runChecked(function* () {
      let s!: Supervisor;
      yield* supervise(function* (opened) {
        s = opened;
        s.spawn(function* () {
          yield* sleep(10);
        });
      });
      expect(() => s.spawn(never)).toThrow(ClosedError);
      expect(s.children).toEqual([]);
    });
  });

  test("options and factories that make no sense are typed errors", () => {
    const body = function* () {};
    expect(() => supervise(body, { strategy: "all" as any })).toThrow(UsageError);
    expect(() => supervise(body, { restart: "sometimes" as any })).toThrow("restart is one of always");
    expect(() => supervise(body, { intensity: { restarts: Number.NaN } })).toThrow(UsageError);
    runChecked(function* () {
      yield* supervise(function* (s) {
        expect(() => s.spawn(never() as any)).toThrow("give () => it");
        expect(() => s.spawn(never, { restart: "no" as any })).toThrow(UsageError);
      });
      const error = yield* thrownBy(supervise(body, { backoff: { first: "soon" } }));
      expect(error.code).toBe("COOP_DURATION");
    });
  });
});

test("the same restarts at the same times in every run, and nothing is left by a kill at any point", () => {
  for (const strategy of ["one-for-one", "one-for-all", "rest-for-one"] as const) {
    exhaustive(() => {
      let alive = 0;
      const worker = op(function* (life: number) {
        alive++;
        defer(() => void alive--);
        yield* sleep(life);
        throw new Error("again");
      });
      return {
        body: function* () {
          try {
            yield* supervise(
              function* (s) {
                s.spawn(() => worker(3));
                s.spawn(() => worker(5), { restart: "always" });
                yield* sleep(12);
                for (const child of s.children) child.stop();
              },
              { ...quiet, strategy, backoff: { first: 2, most: 4 }, intensity: { restarts: 3 } },
            );
          } catch (error) {
            expect(error).toBeInstanceOf(RestartLimitError);
          }
          expect(alive).toBe(0);
        },
        check: ({ main }) => {
          expect(main.exit?.status).not.toBe("failed");
          expect(alive).toBe(0);
        },
      };
    });
  }
});

test("no pause at all stays none, however many restarts there are in a row", () => {
  const rt = new VirtualRuntime();
  let starts = 0;
  const main = rt.run(() =>
    supervise(
      function* (s) {
        s.spawn(function* () {
          if (++starts < 1100) throw new Error("again");
        });
      },
      { backoff: { first: 0 }, intensity: { restarts: Number.POSITIVE_INFINITY }, onRestart: () => {} },
    ),
  );
  void main.result;
  expect(starts).toBe(1100);
  expect(rt.now).toBe(0);
  checked(rt);
});

test("a child that is stopped by who is told of its restart is over, and the supervisor ends", () => {
  const rt = new VirtualRuntime();
  let starts = 0;
  const main = rt.run(() =>
    supervise(
      function* (s) {
        s.spawn(function* () {
          starts++;
          throw new Error("once");
        });
      },
      { onRestart: ({ child }) => child.stop() },
    ),
  );
  void main.result;
  expect(starts).toBe(1);
  checked(rt);
});
