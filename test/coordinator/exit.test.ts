/** How tasks end: the exit, who is told, and what is thrown where. */
import { describe, expect, test } from "vitest";
import {
  defer,
  KilledError,
  never,
  op,
  self,
  spawn,
  type Task,
  yieldNow,
} from "../../src/coordinator/index.ts";
import { VirtualRuntime } from "../../src/testing/virtual.ts";
import { sleep } from "../../src/time/sleep.ts";
import { checked, runChecked } from "../support/harness.ts";

const boom = new Error("boom");

describe("the three exits", () => {
  test("done carries the value itself", () => {
    const value = { deep: [1] };
    runChecked(function* () {
      const task = spawn(function* () {
        yield* yieldNow();
        return value;
      });
      expect(task.exit).toBe(null);
      expect(task.status).toBe("ready");
      expect(yield* task.join()).toBe(value);
      const { exit } = task;
      expect(exit).toEqual({ status: "done", value });
      expect(yield* task.settled()).toBe(exit);
      expect(task.result).toBe(value);
      expect(task.status).toBe("ended");
    });
  });

  test("failed carries the error itself, whatever it is", () => {
    runChecked(function* () {
      for (const error of [boom, "text", undefined, null, 0]) {
        const task = spawn(
          function* () {
            yield* yieldNow();
            throw error;
          },
          { failure: "hold" },
        );
        const exit = yield* task.settled();
        expect(exit).toEqual({ status: "failed", error });
        let thrown: unknown = "nothing";
        try {
          yield* task.join();
        } catch (caught) {
          thrown = caught;
        }
        expect(thrown).toBe(error);
      }
    });
  });

  test("killed carries the first cause: reason, origin, and whether it was a failure's consequence", () => {
    runChecked(function* () {
      const task = spawn(
        function* () {
          yield* never();
        },
        { name: "worker" },
      );
      const killer = spawn(
        function* () {
          yield* yieldNow();
          task.kill("first");
          task.kill("second");
        },
        { name: "killer" },
      );
      yield* killer.join();
      const exit = yield* task.settled();
      expect(exit).toEqual({
        status: "killed",
        cause: { reason: "first", origin: killer.label, failure: false },
        errors: [],
      });
      task.kill("late");
      expect(task.exit).toBe(exit);
    });
  });

  test("a join of a killed task throws a KilledError that says who and why", () => {
    runChecked(function* () {
      const texts: string[] = [];
      for (const reason of ["stop", boom, undefined, 7]) {
        const task = spawn(
          function* () {
            yield* never();
          },
          { name: "worker" },
        );
        task.kill(reason);
        let error: unknown;
        try {
          yield* task.join();
        } catch (caught) {
          error = caught;
        }
        expect(error).toBeInstanceOf(KilledError);
        expect(error).toMatchObject({ code: "COOP_KILLED", reason, origin: "main#1" });
        texts.push((error as Error).message);
        expect(() => task.result).toThrow(KilledError);
      }
      expect(texts).toEqual([
        "worker#2 was killed by main#1: stop",
        "worker#3 was killed by main#1: boom",
        "worker#4 was killed by main#1: no reason given",
        "worker#5 was killed by main#1: 7",
      ]);
    });
  });

  test("from outside every task a kill has no origin", () => {
    const rt = new VirtualRuntime();
    const task = rt.cooperator.spawn(function* () {
      yield* never();
    });
    rt.settle();
    task.kill();
    rt.settle();
    expect(task.exit).toMatchObject({ status: "killed", cause: { reason: undefined, origin: null } });
    checked(rt);
  });

  test("result of a task that lives is an error that says what to do", () => {
    runChecked(function* () {
      const task = spawn(function* () {}, { name: "worker" });
      expect(() => task.result).toThrow("worker#2 has not ended; wait for it with join()");
      yield* task.join();
    });
  });
});

describe("what beats what", () => {
  test("a kill beats a value: requested by itself, and no further wait", () => {
    runChecked(function* () {
      const task = spawn(function* () {
        self().kill("self");
        return "value";
      });
      expect(yield* task.settled()).toMatchObject({
        status: "killed",
        cause: { reason: "self", origin: task.label },
      });
    });
  });

  test("an error beats a kill", () => {
    runChecked(function* () {
      const task = spawn(
        function* () {
          self().kill("self");
          throw boom;
        },
        { failure: "hold" },
      );
      expect(yield* task.settled()).toEqual({ status: "failed", error: boom });
    });
  });

  test("a kill while its defers run beats the value", () => {
    const log: string[] = [];
    runChecked(function* () {
      const task = spawn(function* () {
        defer(function* () {
          yield* sleep(5);
          log.push("defer");
        });
        return "value";
      });
      yield* sleep(1);
      task.kill("late");
      expect((yield* task.settled()).status).toBe("killed");
    });
    expect(log).toEqual(["defer"]);
  });

  test("a child's failure kills the parent, which then failed with that error and was not killed", () => {
    runChecked(function* () {
      let sibling!: Task;
      const parent = spawn(
        function* () {
          spawn(function* () {
            yield* sleep(1);
            throw boom;
          });
          sibling = spawn(function* () {
            yield* never();
          });
          yield* never();
        },
        { failure: "hold" },
      );
      expect(yield* parent.settled()).toEqual({ status: "failed", error: boom });
      expect(sibling.exit).toMatchObject({ status: "killed", cause: { failure: true, reason: boom } });
    });
  });

  test("killed before its first step: nothing of it runs", () => {
    const log: string[] = [];
    const rt = new VirtualRuntime();
    rt.run(function* () {
      const task = spawn(function* () {
        log.push("BAD");
        yield* never();
      });
      task.kill();
      expect((yield* task.settled()).status).toBe("killed");
    }).result;
    expect(log).toEqual([]);
    expect(rt.statistics()).toMatchObject({ spawned: 2, killed: 1, done: 1 });
    checked(rt);
  });

  test("killed before its first step, with children given to it from outside: they end first", () => {
    const log: string[] = [];
    runChecked(function* () {
      const task = spawn(function* () {
        log.push("BAD");
      });
      const child = task.spawn(
        function* () {
          try {
            yield* never();
          } finally {
            yield* sleep(1);
            log.push(`child, and the parent is ${task.status}`);
          }
        },
        { start: "now" },
      );
      task.kill();
      yield* task.settled();
      expect(child.status).toBe("ended");
    });
    expect(log).toEqual(["child, and the parent is draining"]);
  });
});

describe("order at the end", () => {
  test("body, children, defers, exit, parent, joiners", () => {
    const log: string[] = [];
    runChecked(function* () {
      const task = spawn(function* () {
        defer(() => {
          log.push(`defer, ${self().live} children`);
        });
        spawn(function* () {
          try {
            yield* never();
          } finally {
            yield* sleep(1);
            log.push("child");
          }
        });
        yield* yieldNow();
        log.push("body");
        return 1;
      });
      yield* task.join();
      log.push("joiner");
    });
    expect(log).toEqual(["body", "child", "defer, 0 children", "joiner"]);
  });

  test("joiners are woken in the order in which they came, a killed one is skipped", () => {
    const log: string[] = [];
    runChecked(function* () {
      const task = spawn(function* () {
        yield* sleep(1);
      });
      const joiners = ["a", "b", "c", "d"].map((name) =>
        spawn(function* () {
          yield* task.join();
          log.push(name);
        }),
      );
      yield* yieldNow();
      joiners[0]!.kill();
      joiners[2]!.kill();
      yield* sleep(2);
      yield* task.join();
    });
    expect(log).toEqual(["b", "d"]);
  });

  test("join and settled of a task that has ended pass at once", () => {
    const rt = new VirtualRuntime();
    rt.run(function* () {
      const task = spawn(function* () {});
      yield* yieldNow();
      const before = rt.statistics().steps;
      yield* task.join();
      yield* task.settled();
      yield* task.killAndWait();
      expect(rt.statistics().steps).toBe(before);
    }).result;
    checked(rt);
  });
});

describe("who is told of a failure", () => {
  const fail = op(function* () {
    yield* yieldNow();
    throw boom;
  });

  test("hold: nobody, until a join; reported when the parent ends and none came", () => {
    const rt = new VirtualRuntime();
    rt.run(function* () {
      spawn(fail(), { failure: "hold", name: "silent" });
      const seen = spawn(fail(), { failure: "hold" });
      yield* sleep(1);
      expect(rt.reports).toEqual([]);
      yield* seen.settled();
    }).result;
    expect(rt.reports.splice(0)).toMatchObject([
      { kind: "failure", error: boom, task: { name: "silent" }, where: "" },
    ]);
    checked(rt);
  });

  test("report: the reporter, at once, and the parent goes on", () => {
    const rt = new VirtualRuntime();
    rt.run(function* () {
      const task = spawn(fail(), { failure: "report" });
      yield* sleep(1);
      expect(rt.reports.splice(0)).toMatchObject([{ kind: "failure", error: boom }]);
      expect(task.exit!.status).toBe("failed");
    }).result;
    checked(rt);
  });

  test("a task without a parent: the reporter", () => {
    const rt = new VirtualRuntime();
    rt.cooperator.spawn(fail());
    rt.settle();
    expect(rt.reports.splice(0)).toMatchObject([{ kind: "failure", error: boom }]);
    checked(rt);
  });

  test("never twice: a joined failure that also goes to the parent is one error", () => {
    runChecked(function* () {
      const parent = spawn(
        function* () {
          const child = spawn(fail());
          yield* child.join();
        },
        { failure: "hold" },
      );
      expect(yield* parent.settled()).toEqual({ status: "failed", error: boom });
      expect((boom as { errors?: unknown }).errors).toBe(undefined);
    });
  });

  test("an errorless kill tells nobody", () => {
    const rt = new VirtualRuntime();
    rt.run(function* () {
      const parent = spawn(function* () {
        const child = spawn(function* () {
          yield* never();
        });
        yield* yieldNow();
        child.kill("stop");
        yield* sleep(1);
        return "unharmed";
      });
      expect(yield* parent.join()).toBe("unharmed");
    }).result;
    checked(rt);
  });

  test("a reporter that throws is not fatal", () => {
    const lines: unknown[] = [];
    const original = console.error;
    console.error = (...args: unknown[]) => lines.push(args);
    try {
      const rt = new VirtualRuntime();
      (rt.cooperator as unknown as { reporter: () => void }).reporter = () => {
        throw new Error("reporter");
      };
      rt.cooperator.spawn(fail());
      rt.settle();
      expect(lines).toHaveLength(1);
      checked(rt);
    } finally {
      console.error = original;
    }
  });
});

test("the books balance at every step: spawned = done + failed + killed + live", () => {
  const rt = new VirtualRuntime();
  let steps = 0;
  rt.cooperator.onStep = () => {
    const { spawned, done, failed, killed, live } = rt.statistics();
    expect(spawned).toBe(done + failed + killed + live);
    steps++;
  };
  rt.run(function* () {
    for (let i = 0; i < 30; i++) {
      const task = spawn(
        function* () {
          yield* sleep(i % 4);
          if (i % 3 === 0) throw boom;
          yield* yieldNow();
        },
        { failure: "hold" },
      );
      task.observe();
      if (i % 5 === 0) yield* yieldNow();
      if (i % 7 === 0) task.kill();
    }
    yield* sleep(10);
  }).result;
  expect(steps).toBeGreaterThan(60);
  const { done, failed, killed } = rt.statistics();
  expect(Math.min(done, failed, killed)).toBeGreaterThan(3);
  checked(rt);
});

test.each([
  ["an object without a prototype", Object.create(null)],
  ["an object whose text throws", { toString: () => ({}) }],
  ["an error whose message is none", Object.assign(new Error(), { message: Symbol("none") })],
])("a kill for %s is a kill like any other", (_name, reason) => {
  runChecked(function* () {
    const task = spawn(never());
    task.kill(reason);
    try {
      yield* task.join();
    } catch (error) {
      expect(error).toBeInstanceOf(KilledError);
      expect((error as KilledError).reason).toBe(reason);
      return;
    }
    expect.unreachable();
  });
});
