/** `killAndWait(reason, { within })`: clean-up that overruns its time is cut short and said so. */
import { describe, expect, test } from "vitest";
import {
  Coordinator,
  coordinateWith,
  coordinateWithKill,
  defer,
  group,
  never,
  type Operation,
  op,
  self,
  shield,
  spawn,
  yieldNow,
} from "../../src/coordinator/index.ts";
import { VirtualRuntime } from "../../src/testing/virtual.ts";
import { sleep } from "../../src/time/sleep.ts";
import { timeout } from "../../src/time/timeout.ts";
import { checked } from "../support/harness.ts";

/** Kills a task that runs `body`, with 10 ms for its clean-up. */
function hurried(body: (log: string[]) => Generator<unknown, unknown, any>) {
  const rt = new VirtualRuntime();
  const log: string[] = [];
  let ended = 0;
  const task = rt.run(function* () {
    const victim = spawn(() => body(log), { failure: "hold", name: "victim" });
    for (let i = 0; i < 5; i++) yield* yieldNow();
    const exit = yield* victim.killAndWait("stop", { within: 10 });
    ended = rt.now;
    return exit;
  });
  const reports = rt.reports.splice(0);
  checked(rt);
  return { log, exit: task.result, reports, ended };
}

const STUCK = { status: "failed", error: { code: "COOP_STUCK" } };

test("clean-up that is done in time is left alone, and the limit is taken off", () => {
  const { log, exit, reports, ended } = hurried(function* (log) {
    try {
      yield* never();
    } finally {
      yield* sleep(9);
      log.push("ended");
    }
  });
  expect(log).toEqual(["ended"]);
  expect(exit.status).toBe("killed");
  expect(reports).toEqual([]);
  expect(ended).toBe(9);
});

describe("is cut short", () => {
  const places: [string, () => Operation<unknown>][] = [
    ["a sleep", () => sleep("1 day")],
    ["never", () => never()],
    ["an acquire", () => new Coordinator({ held: true }).acquire()],
    ["coordinateWith", () => coordinateWith(new Coordinator({ held: true }))],
    ["coordinateWithKill", () => coordinateWithKill(new Coordinator({ held: true }))],
    ["a call", () => op(() => never() as Generator<unknown, never, any>)()],
    [
      "a shield",
      () =>
        shield(function* () {
          yield* never();
        }),
    ],
  ];

  test.each(places)("%s in a finally", (_, wait) => {
    const { log, exit, reports, ended } = hurried(function* (log) {
      try {
        yield* never();
      } finally {
        yield* wait();
        log.push("BAD");
      }
    });
    expect(log).toEqual([]);
    expect(exit).toMatchObject(STUCK);
    expect(reports).toMatchObject([{ kind: "stuck" }]);
    expect(ended).toBe(10);
  });

  test.each(places)("%s in a defer; the next one still runs", (_, wait) => {
    const { log, exit, reports, ended } = hurried(function* (log) {
      defer(() => {
        log.push("first");
      });
      defer(function* () {
        yield* wait();
        yield* sleep(1);
        log.push("BAD");
      });
      yield* never();
    });
    expect(log).toEqual(["first"]);
    expect(exit).toMatchObject(STUCK);
    expect(reports).toMatchObject([{ kind: "stuck" }]);
    expect(ended).toBe(10);
  });

  test.each(places)("%s in a shield around the body", (_, wait) => {
    const { log, exit, reports, ended } = hurried(function* (log) {
      try {
        yield* shield(function* () {
          yield* shield(function* () {
            yield* wait();
            yield* sleep(1);
            log.push("BAD");
          });
          log.push("BAD");
        });
        log.push("BAD");
      } finally {
        log.push("finally");
      }
    });
    expect(log).toEqual(["finally"]);
    expect(exit).toMatchObject(STUCK);
    expect(reports).toMatchObject([{ kind: "stuck" }]);
    expect(ended).toBe(10);
  });

  test("every place in turn", () => {
    const stuck = op(function* (name: string, log: string[], inner: (() => Operation<unknown>) | null) {
      try {
        if (inner !== null) yield* inner();
        else yield* never();
      } finally {
        log.push(name);
        yield* op(() => never() as Generator<unknown, never, any>)();
        log.push("BAD");
      }
    });
    const { log, exit, reports, ended } = hurried(function* (log) {
      defer(function* () {
        log.push("defer 1");
        yield* never();
      });
      defer(function* () {
        log.push("defer 2");
        yield* never();
      });
      yield* stuck("outer", log, () => stuck("inner", log, null));
    });
    expect(log).toEqual(["inner", "outer", "defer 2", "defer 1"]);
    expect(exit).toMatchObject(STUCK);
    // Once the time is over, frames in their clean-up get no further wait; what can wait is told each time.
    expect(reports.length).toBeGreaterThanOrEqual(3);
    for (const { kind, error } of reports) {
      expect(kind).toBe("stuck");
      expect([(exit as any).error, ...(exit as any).error.errors]).toContain(error);
    }
    expect(ended).toBeGreaterThanOrEqual(10);
    expect(ended).toBeLessThan(20);
  });

  test("children of a group in a shield", () => {
    const { log, exit } = hurried(function* (log) {
      yield* shield(function* () {
        yield* group(function* (g) {
          g.spawn(function* () {
            try {
              yield* never();
            } finally {
              log.push("child");
            }
          });
          yield* never();
        });
      });
    });
    expect(log).toEqual(["child"]);
    expect(exit).toMatchObject(STUCK);
  });

  test("what still runs at the limit and blocks later", () => {
    const { log, exit, reports } = hurried(function* (log) {
      yield* shield(function* () {
        // Armed before the limit, and due in the same instant.
        yield* sleep(10);
        log.push("runs");
        yield* never();
      });
    });
    expect(log).toEqual(["runs"]);
    expect(exit).toMatchObject(STUCK);
    expect(reports).toHaveLength(1);
  });
});

test("a whole tree: only what is stuck is blamed, parents wait for their children", () => {
  const { exit, reports } = hurried(function* () {
    spawn(
      function* () {
        spawn(
          function* () {
            try {
              yield* never();
            } finally {
              yield* never();
            }
          },
          { name: "stuck" },
        );
        yield* never();
      },
      { name: "middle" },
    );
    yield* never();
  });
  expect(reports.map(({ task }) => task?.name)).toEqual(["stuck"]);
  expect(exit).toMatchObject({ status: "killed", errors: [{ code: "COOP_STUCK" }] });
});

test("clean-up that goes on after a kill inside it is cut as well", () => {
  const { log, exit, ended } = hurried(function* (log) {
    try {
      yield* never();
    } finally {
      try {
        yield* timeout(5, never());
      } catch {
        log.push("its own limit");
      }
      yield* never();
      log.push("BAD");
    }
  });
  expect(log).toEqual(["its own limit"]);
  expect(exit).toMatchObject(STUCK);
  expect(ended).toBe(10);
});

test("a parent that waits for a stuck child still runs its defers", () => {
  const { log, exit, reports } = hurried(function* (log) {
    defer(function* () {
      yield* sleep(0.5);
      log.push("defer");
    });
    spawn(
      function* () {
        try {
          yield* never();
        } finally {
          yield* never();
        }
      },
      { name: "stuck" },
    );
    // The body is over long before the kill.
    yield* yieldNow();
  });
  expect(log).toEqual(["defer"]);
  expect(reports.map(({ task }) => task?.name)).toEqual(["stuck"]);
  expect(exit).toMatchObject({ status: "killed", errors: [{ code: "COOP_STUCK" }] });
});

describe("the one who waits for it is killed by it", () => {
  test("a task that kills itself has its time, and no more", () => {
    const rt = new VirtualRuntime();
    let ended = 0;
    const task = rt.run(function* () {
      const victim = spawn(
        function* () {
          try {
            yield* self().killAndWait("me", { within: 10 });
          } finally {
            yield* never();
          }
        },
        { failure: "hold" },
      );
      const exit = yield* victim.settled();
      ended = rt.now;
      return exit;
    });
    expect(task.result).toMatchObject(STUCK);
    expect(ended).toBe(10);
    rt.reports.splice(0);
    checked(rt);
  });

  test("B28 so has a tree that a child of it kills", () => {
    const rt = new VirtualRuntime();
    const task = rt.run(function* () {
      const parent = spawn(
        function* () {
          const top = self();
          spawn(top.killAndWait("from below", { within: 10 }), { start: "next" });
          try {
            yield* never();
          } finally {
            yield* never();
          }
        },
        { failure: "hold" },
      );
      return [(yield* parent.settled()).status, rt.now];
    });
    expect(task.result).toEqual(["failed", 10]);
    rt.reports.splice(0);
    checked(rt);
  });

  test("no timer is left by one that cannot wait for itself, nor by one that was killed meanwhile", () => {
    const rt = new VirtualRuntime();
    const codes: unknown[] = [];
    rt.run(function* () {
      const victim = spawn(function* () {
        try {
          yield* never();
        } finally {
          try {
            yield* self().killAndWait("again", { within: "1 hour" });
          } catch (error) {
            codes.push((error as { code: string }).code);
          }
        }
      });
      yield* yieldNow();
      const waiter = spawn(victim.killAndWait("stop", { within: "1 hour" }), { start: "next" });
      yield* yieldNow();
      waiter.kill();
      yield* victim.settled();
      expect(rt.timers.size).toBe(0);
    });
    expect(codes).toEqual(["COOP_SELF_JOIN"]);
    checked(rt);
  });
});
