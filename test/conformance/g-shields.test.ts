/** Conformance G: sections that a kill from outside does not interrupt. */
import { describe, expect, test } from "vitest";
import {
  Coordinator,
  dumpTree,
  group,
  never,
  type Shield,
  StuckError,
  shield,
  spawn,
  type Task,
  yieldNow,
} from "../../src/coordinator/index.ts";
import { VirtualRuntime } from "../../src/testing/virtual.ts";
import { moveOnAfter, now, sleep } from "../../src/time/index.ts";
import { checked, exhaustive, runChecked } from "../support/harness.ts";

/** Runs `body` as a task, kills it at 5 ms, and gives what it logged with the time. */
function killedAt5(body: (log: (what: string) => void) => Generator<unknown, unknown, any>): string[] {
  const lines: string[] = [];
  runChecked(function* () {
    const task = spawn(() => body((what) => lines.push(`${what} ${now()}`)));
    yield* sleep(5);
    task.kill("enough");
    expect((yield* task.settled()).status).toBe("killed");
  });
  return lines;
}

test("G01 the section runs to its end, its waits complete, and the kill comes at the first wait after it", () => {
  const log = killedAt5(function* (log) {
    try {
      yield* shield(function* () {
        yield* sleep(10);
        log("first");
        yield* sleep(10);
        log("second");
      });
      log("after");
      yield* sleep(10);
      log("BAD");
    } finally {
      log("finally");
    }
  });
  expect(log).toEqual(["first 10", "second 20", "after 20", "finally 20"]);
});

test("G01 a section is never cut in half, wherever a kill strikes", () => {
  exhaustive(() => {
    let begun = 0;
    let ended = 0;
    return {
      body: function* () {
        const worker = spawn(function* () {
          for (let i = 0; i < 3; i++) {
            yield* sleep(1);
            yield* shield(function* () {
              begun++;
              yield* sleep(1);
              yield* yieldNow();
              ended++;
            });
          }
        });
        yield* worker.settled();
      },
      check: () => expect(ended).toBe(begun),
    };
  });
});

test("G02 leaving the inner of two shields leaves the outer one in force", () => {
  const log = killedAt5(function* (log) {
    yield* shield(function* () {
      yield* shield(() => shield(() => sleep(10)));
      log("inner ones left");
      yield* sleep(10);
      log("outer one goes on");
    });
    yield* yieldNow();
    log("BAD");
  });
  expect(log).toEqual(["inner ones left 10", "outer one goes on 20"]);
});

test("G03 what is made and killed inside a shield is killed as anywhere", () => {
  const log = killedAt5(function* (log) {
    yield* shield(function* () {
      const { timedOut } = yield* moveOnAfter(10, never());
      log(`timed out ${timedOut}`);
      yield* group(function* (g) {
        const member = g.spawn(never());
        member.kill("inside");
        log(`member ${(yield* member.settled()).status}`);
      });
      yield* sleep(10);
      log("section");
    });
  });
  expect(log).toEqual(["timed out true 10", "member killed 10", "section 20"]);
});

describe("G04 a shield that is lifted while a kill is pending", () => {
  test("G04 the kill goes to the suspended task at once", () => {
    let held: Shield | null = null;
    runChecked(function* () {
      const task = spawn(function* () {
        yield* shield(function* (s: Shield) {
          held = s;
          yield* never();
        });
      });
      yield* sleep(5);
      task.kill();
      yield* sleep(5);
      expect(task.status).toBe("blocked");
      held!.lift();
      expect(task.status).toBe("ready");
      yield* task.settled();
      expect(now()).toBe(10);
      held!.lift();
    });
  });

  test("G04 it reaches the groups and timeouts inside, but not through an inner shield", () => {
    const log: string[] = [];
    let held: Shield | null = null;
    runChecked(function* () {
      const task = spawn(function* () {
        yield* shield(function* (s: Shield) {
          held = s;
          yield* group(function* (g) {
            g.spawn(function* () {
              try {
                yield* never();
              } finally {
                log.push(`member ${now()}`);
              }
            });
            yield* shield(() => sleep(20));
            log.push(`inner ${now()}`);
            yield* never();
          });
        });
      });
      yield* sleep(5);
      task.kill();
      yield* sleep(5);
      expect(log).toEqual([]);
      held!.lift();
      yield* task.settled();
    });
    expect(log).toEqual(["member 10", "inner 20"]);
  });

  test("G04 without a kill, or with one of something inside, nothing else happens", () => {
    runChecked(function* () {
      const result = yield* shield(function* (s: Shield) {
        return yield* group(function* (g) {
          const member = g.spawn(() => sleep(1));
          const inner = yield* moveOnAfter(1, function* (limit) {
            limit.moveTo(0);
            s.lift();
            yield* never();
          });
          yield* member.join();
          return inner.timedOut;
        });
      });
      expect(result).toBe(true);
    });
  });

  test("G04 nothing is left, wherever a kill strikes", () => {
    exhaustive(() => ({
      body: function* () {
        const task: Task = spawn(function* () {
          yield* shield(function* (s: Shield) {
            yield* group(function* (g) {
              g.spawn(() => sleep(3));
              yield* sleep(1);
              s.lift();
              yield* sleep(1);
            });
          });
        });
        yield* task.settled();
      },
    }));
  });
});

test("G05 a restored part can be killed, and the code after it is masked again", () => {
  for (const [at, expected] of [
    [5, ["masked 10"]],
    [15, ["masked 10"]],
    [25, ["masked 10", "restored 20", "masked again 30"]],
  ] as const) {
    const log: string[] = [];
    runChecked(function* () {
      const task = spawn(function* () {
        yield* shield(function* (s: Shield) {
          yield* sleep(10);
          log.push(`masked ${now()}`);
          expect(yield* s.restore(() => sleep(10))).toBe(undefined);
          log.push(`restored ${now()}`);
          yield* sleep(10);
          log.push(`masked again ${now()}`);
        });
        yield* yieldNow();
        log.push("BAD");
      });
      yield* sleep(at);
      task.kill();
      yield* task.settled();
      expect(now()).toBe(at === 5 ? 10 : at === 15 ? 15 : 30);
    });
    expect(log).toEqual(expected);
  }
});

test("G06 a shield in a finally while the kill is under way does not lose it", () => {
  const log = killedAt5(function* (log) {
    try {
      try {
        yield* never();
      } finally {
        yield* shield(function* () {
          yield* sleep(10);
          log("shielded");
        });
        yield* yieldNow();
        log("clean-up goes on");
      }
    } finally {
      log("outer");
    }
    log("BAD");
  });
  expect(log).toEqual(["shielded 15", "clean-up goes on 15", "outer 15"]);
});

describe("G07 children that are spawned inside a shield", () => {
  test("G07 a group inside it is protected while it is on; plain children are the task's, and die at once", () => {
    const log = killedAt5(function* (log) {
      const watched = (name: string, ms: number) =>
        function* () {
          try {
            yield* sleep(ms);
            log(`${name} done`);
          } finally {
            log(`${name} ends`);
          }
        };
      yield* group(function* (outer) {
        yield* shield(function* () {
          spawn(watched("child", 50));
          outer.spawn(watched("member of an outer group", 50));
          yield* group(function* (g) {
            g.spawn(watched("member", 10));
          });
        });
        yield* sleep(50);
        log("BAD");
      });
    });
    expect(log.sort()).toEqual([
      "child ends 5",
      "member done 10",
      "member ends 10",
      "member of an outer group ends 5",
    ]);
  });

  test("G07 protection is not for ever: what the group has left is killed with it", () => {
    runChecked(function* () {
      let member: Task | null = null;
      const task = spawn(function* () {
        yield* shield(function* () {
          yield* moveOnAfter(10, () =>
            group(function* (g) {
              member = g.spawn(never());
            }),
          );
        });
      });
      yield* sleep(5);
      task.kill();
      yield* task.settled();
      expect(now()).toBe(10);
      expect(member!.exit?.status).toBe("killed");
    });
  });
});

test("G08 a lock that is never released inside a shield is seen in the dump, and `within` is the way out", () => {
  const rt = new VirtualRuntime();
  rt.run(function* () {
    const lock = new Coordinator({ held: true, name: "lock" });
    const stuck = spawn(() => shield(lock.acquire()), { name: "stuck", failure: "hold" });
    yield* sleep(1);
    stuck.kill("enough");
    yield* sleep(1);
    expect(dumpTree([stuck as Task])).toBe("stuck#2 (killed: enough): wait for acquire of lock");
    const exit = yield* stuck.killAndWait("again", { within: 10 });
    expect(now()).toBe(12);
    expect(exit.status).toBe("failed");
    expect(exit.status === "failed" && exit.error).toBeInstanceOf(StuckError);
  }).result;
  expect(rt.reports.splice(0).map(({ kind }) => kind)).toEqual(["stuck"]);
  checked(rt);
});

test("G09 two shields with no wait between both run, and the kill comes after the second", () => {
  const log = killedAt5(function* (log) {
    yield* shield(() => sleep(10));
    log("between");
    yield* shield(() => sleep(10));
    log("after");
    yield* yieldNow();
    log("BAD");
  });
  expect(log).toEqual(["between 10", "after 20"]);
});
