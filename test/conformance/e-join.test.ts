/** Conformance, section E: join, results, handles. */
import { describe, expect, test } from "vitest";
import {
  all,
  DeadlockError,
  group,
  KilledError,
  never,
  op,
  self,
  shield,
  spawn,
  type Task,
  UsageError,
  yieldNow,
} from "../../src/coordinator/index.ts";
import { VirtualRuntime } from "../../src/testing/virtual.ts";
import { sleep } from "../../src/time/sleep.ts";
import { checked, exhaustive, inOrder, runChecked } from "../support/harness.ts";
import { thrownBy } from "../support/thrown.ts";

const giving = op(function* <A>(ms: number, value: A) {
  yield* sleep(ms);
  return value;
});

const failing = op(function* (ms: number, error: unknown) {
  yield* sleep(ms);
  throw error;
});

test("E01 1,000 tasks join one: each is resumed once, in the order in which they came", () => {
  inOrder();
  const order: number[] = [];
  runChecked(function* () {
    const target = spawn(giving(5, {}));
    yield* group(function* (g) {
      for (let i = 0; i < 1000; i++) {
        g.spawn(function* () {
          expect(yield* target.join()).toBe(target.result);
          order.push(i);
        });
      }
    });
  });
  expect(order).toEqual(Array.from({ length: 1000 }, (_, i) => i));
});

test("E02 a join after the end gives the same outcome at once, any number of times", () => {
  const rt = new VirtualRuntime();
  const boom = new Error("boom");
  rt.run(function* () {
    const value = {};
    const done = spawn(giving(1, value));
    const failed = spawn(failing(1, boom), { failure: "hold" });
    const killed = spawn(never());
    killed.kill("enough");
    yield* sleep(5);
    const before = rt.statistics().steps;
    for (let i = 0; i < 3; i++) {
      expect(yield* done.join()).toBe(value);
      expect(yield* thrownBy(failed.join())).toBe(boom);
      expect(yield* thrownBy(killed.join())).toBeInstanceOf(KilledError);
      expect(yield* done.settled()).toBe(done.exit);
    }
    expect(rt.statistics().steps).toBe(before);
  }).result;
  checked(rt);
});

describe("E03 a failed child is joined by its own parent, inside try", () => {
  /** How the parent ends, and what its `catch` saw; the join comes before or after the failure. */
  const parentOf = (failure: "parent" | "hold", early: boolean) => {
    const boom = new Error("boom");
    const seen: unknown[] = [];
    const exit = runChecked(function* () {
      const parent = spawn(
        function* () {
          const child = spawn(failing(5, boom), { failure });
          if (!early) yield* sleep(10);
          try {
            yield* child.join();
          } catch (error) {
            seen.push(error);
          }
          return "went on";
        },
        { failure: "hold" },
      );
      return yield* parent.settled();
    });
    return { exit, seen, boom };
  };

  test("E03 by default the parent is killed with the error, and its catch is not reached", () => {
    for (const early of [true, false]) {
      const { exit, seen, boom } = parentOf("parent", early);
      expect(exit).toEqual({ status: "failed", error: boom });
      expect(seen).toEqual([]);
    }
  });

  test('E03 with "hold" the join throws it, and the parent goes on', () => {
    for (const early of [true, false]) {
      const { exit, seen, boom } = parentOf("hold", early);
      expect(exit).toEqual({ status: "done", value: "went on" });
      expect(seen).toEqual([boom]);
    }
  });
});

test("E04 join of a killed child throws a KilledError with the reason; settled gives the exit", () => {
  runChecked(function* () {
    const child = spawn(never(), { name: "child" });
    child.kill("superseded");
    const error = yield* thrownBy(child.join());
    expect(error).toBeInstanceOf(KilledError);
    expect(error).toMatchObject({ code: "COOP_KILLED", reason: "superseded", origin: "main#1" });
    expect(yield* child.settled()).toMatchObject({ status: "killed", cause: { reason: "superseded" } });
    // And the parent is none the worse for it.
    expect(self().killed).toBe(false);
  });
});

describe("E05 the list of joiners changes while they are being told", () => {
  test("E05 a joiner that runs kills and adds others: none is skipped, none is resumed twice", () => {
    inOrder();
    const log: string[] = [];
    runChecked(function* () {
      const target = spawn(giving(5, 1));
      const joiners: Task[] = [];
      yield* group(function* (g) {
        for (const name of ["a", "b", "c", "d"]) {
          joiners.push(
            g.spawn(
              function* () {
                yield* target.join();
                log.push(name);
                if (name !== "a") return;
                joiners[2]!.kill("by a");
                g.spawn(function* () {
                  yield* target.join();
                  log.push("late");
                });
              },
              { name },
            ),
          );
        }
      });
      // c was ready and had not run: the kill wins.
      expect(joiners.map(({ exit }) => exit?.status)).toEqual(["done", "done", "killed", "done"]);
    });
    expect(log).toEqual(["a", "b", "d", "late"]);
  });

  test("E05 with a kill at every point", () => {
    exhaustive(() => {
      const resumed = new Map<string, number>();
      return {
        body: function* () {
          const target = spawn(giving(2, 1));
          yield* group(function* (g) {
            for (const name of ["a", "b", "c"]) {
              g.spawn(function* () {
                yield* target.settled();
                resumed.set(name, (resumed.get(name) ?? 0) + 1);
              });
            }
          });
        },
        check: ({ main }) => {
          expect(main.exit?.status).not.toBe("failed");
          for (const times of resumed.values()) expect(times).toBe(1);
        },
      };
    });
  });
});

describe("E06 two tasks join each other", () => {
  const circle = op(function* (log: string[]) {
    const tasks: Task[] = [];
    for (const name of ["a", "b"]) {
      tasks.push(
        spawn(
          function* () {
            yield* yieldNow();
            try {
              yield* tasks[name === "a" ? 1 : 0]!.settled();
            } finally {
              log.push(name);
            }
          },
          { name },
        ),
      );
    }
    yield* tasks[0]!.settled();
  });

  test("E06 both can be killed cleanly", () => {
    const log: string[] = [];
    runChecked(function* () {
      const task = spawn(circle(log));
      yield* sleep(1);
      yield* task.killAndWait("stop");
    });
    expect(log.sort()).toEqual(["a", "b"]);
  });

  test("E06 where nobody does, it is a deadlock, and a typed error with the tree", () => {
    const log: string[] = [];
    const rt = new VirtualRuntime();
    let error: unknown = null;
    try {
      rt.run(circle(log));
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toBeInstanceOf(DeadlockError);
    expect((error as Error).message).toContain("end of b#3");
    rt.cooperator.kill("over");
    rt.drain();
    expect(log.sort()).toEqual(["a", "b"]);
    checked(rt);
  });

  test("E06 a task that joins itself is told at once", () => {
    runChecked(function* () {
      const error = yield* thrownBy(self().join());
      expect(error.code).toBe("COOP_SELF_JOIN");
    });
  });
});

test("E07 joins of a list: the same task twice, none at all, one that fails", () => {
  const boom = new Error("boom");
  const log: string[] = [];
  const rt = new VirtualRuntime();
  rt.run(function* () {
    const [a, b] = [spawn(giving(5, "a")), spawn(giving(3, "b"))] as const;
    expect(yield* all([a.join(), b.join(), a.join()])).toEqual(["a", "b", "a"]);
    expect(yield* all([])).toEqual([]);
    const bad = spawn(failing(5, boom), { failure: "hold" });
    const slow = spawn(function* () {
      yield* sleep(50);
      log.push("slow has not been touched");
    });
    // The first failure ends the waiting, and not what is waited for.
    expect(yield* thrownBy(all([slow.join(), bad.join(), bad.join()]))).toBe(boom);
    expect(boom).not.toHaveProperty("errors");
    expect(rt.now).toBe(10);
    yield* slow.join();
  }).result;
  expect(log).toEqual(["slow has not been touched"]);
  checked(rt);
});

test("E08 the result of a task that lives is a typed error, and not undefined", () => {
  runChecked(function* () {
    const task = spawn(giving(5, 1), { name: "task" });
    expect(task.exit).toBe(null);
    expect(() => task.result).toThrow(UsageError);
    expect(() => task.result).toThrow("task#2 has not ended; wait for it with join()");
    // One that is cleaning up has not ended either.
    const killed = spawn(() => shield(sleep(5)));
    yield* yieldNow();
    killed.kill("stop");
    expect(() => killed.result).toThrow(UsageError);
    yield* sleep(10);
    expect(task.result).toBe(1);
    expect(() => killed.result).toThrow(KilledError);
  });
});

describe("E10 a task of another runtime, or of another thread", () => {
  test("E10 join, settled, killAndWait and spawn are typed errors, and nothing has changed", () => {
    const other = new VirtualRuntime();
    let shared!: { spawn(body: () => Generator<unknown, void>): unknown };
    const foreign = other.cooperator.spawn(function* () {
      yield* group(function* (g) {
        shared = g;
        yield* never();
      });
    });
    other.settle();
    const before = JSON.stringify(other.statistics());
    runChecked(function* () {
      for (const wait of [foreign.join(), foreign.settled(), foreign.killAndWait("no")]) {
        expect((yield* thrownBy(wait as any)).code).toBe("COOP_OTHER_COOPERATOR");
      }
      expect(() => foreign.spawn(function* () {})).toThrow("belongs to");
      expect(() => shared.spawn(function* () {})).toThrow("belongs to");
      expect((yield* thrownBy((shared as any).start(function* () {}))).code).toBe("COOP_OTHER_COOPERATOR");
    });
    expect(JSON.stringify(other.statistics())).toBe(before);
    expect(foreign).toMatchObject({ killed: false, status: "blocked" });
    foreign.kill("over");
    other.drain();
    checked(other);
  });

  test("E10 a task cannot be sent to another thread", () => {
    runChecked(function* () {
      const child = spawn(never());
      expect(() => structuredClone(child)).toThrow();
      child.kill();
      yield* yieldNow();
    });
  });
});
