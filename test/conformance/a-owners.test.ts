/** Section A: who owns a task, and when it is over: daemons, detached tasks, ready, inherited values. */
import { expect, test } from "vitest";
import {
  defer,
  group,
  never,
  op,
  spawn,
  spawnReady,
  type Task,
  TaskLocal,
  yieldNow,
} from "../../src/coordinator/index.ts";
import { VirtualRuntime } from "../../src/testing/virtual.ts";
import { sleep } from "../../src/time/sleep.ts";

const runtime = (body: () => Generator<unknown, unknown, unknown>): { rt: VirtualRuntime; task: Task } => {
  const rt = new VirtualRuntime();
  const task = rt.run(body);
  const { spawned, done, failed, killed } = rt.statistics();
  expect(spawned).toBe(done + failed + killed);
  expect(rt.timers.size).toBe(0);
  return { rt, task };
};

test("A18 a daemon is killed, with its clean-up, when the group has no other work left", () => {
  const log: string[] = [];
  runtime(function* () {
    yield* group(function* (g) {
      g.spawn(
        function* () {
          try {
            for (;;) {
              yield* sleep(10);
              log.push("tick");
            }
          } finally {
            yield* sleep(1);
            log.push("daemon cleaned up");
          }
        },
        { daemon: true },
      );
      g.spawn(function* () {
        yield* sleep(25);
        log.push("work done");
      });
    });
    log.push("group over");
  });
  expect(log).toEqual(["tick", "tick", "work done", "daemon cleaned up", "group over"]);
});

test("A18 a group of daemons only is over at once", () => {
  const { rt } = runtime(function* () {
    yield* group(function* (g) {
      g.spawn(never, { daemon: true });
      yield* yieldNow();
    });
  });
  expect(rt.now).toBe(0);
});

test("A18 a detached task is not touched by its spawner's end, but the root still owns it", () => {
  const log: string[] = [];
  const rt = new VirtualRuntime();
  let detached: Task | null = null;
  rt.run(function* () {
    const child = spawn(function* () {
      detached = spawn(
        function* () {
          yield* sleep(10);
          log.push("detached ended");
        },
        { detached: true },
      );
      defer(() => void log.push("spawner ended"));
      yield* yieldNow();
    });
    yield* child.join();
  });
  expect(log).toEqual(["spawner ended", "detached ended"]);
  expect(detached!.parent).toBe(null);
  expect(detached!.exit?.status).toBe("done");
});

test("A18 a detached task dies with the cooperator", () => {
  const rt = new VirtualRuntime();
  let cleaned = false;
  rt.cooperator.spawn(function* () {
    spawn(
      function* () {
        try {
          yield* never();
        } finally {
          cleaned = true;
        }
      },
      { detached: true },
    );
  });
  rt.settle();
  expect(rt.cooperator.live).toBe(1);
  rt.cooperator.kill("the end");
  rt.settle();
  expect(cleaned).toBe(true);
  expect(rt.cooperator.live).toBe(0);
});

test("A19 a daemon that fails before the others are done fails the group", () => {
  const error = new Error("daemon");
  const { task } = runtime(function* () {
    yield* group(function* (g) {
      g.spawn(
        function* () {
          yield* sleep(1);
          throw error;
        },
        { daemon: true },
      );
      g.spawn(function* () {
        yield* sleep(100);
      });
    });
  });
  expect(task.exit).toEqual({ status: "failed", error });
});

const service = op(function* (ready: (value: number) => void) {
  yield* sleep(5);
  ready(8080);
  yield* sleep(50);
  return "served";
});

test("A20 the starter gets the value, and the child goes on", () => {
  const { rt, task } = runtime(function* () {
    const { task: child, value } = yield* spawnReady<string, number>((ready) => service(ready));
    return [value, yield* child.join()];
  });
  expect(task.result).toEqual([8080, "served"]);
  expect(rt.now).toBe(55);
});

test("A20 ready called twice is an error in the child", () => {
  const { task } = runtime(function* () {
    const { task: child } = yield* spawnReady<void, number>(
      (ready) =>
        function* () {
          ready(1);
          yield* yieldNow();
          ready(2);
        },
      { failure: "hold" },
    );
    return yield* child.settled();
  });
  expect(task.result).toMatchObject({ status: "failed", error: { code: "COOP_READY_TWICE" } });
});

test("A20 a child that ends without ready is an error at the starter", () => {
  const { task } = runtime(function* () {
    try {
      yield* spawnReady<void, number>(() => sleep(1) as never);
      return "not reached";
    } catch (error) {
      return (error as { code: string }).code;
    }
  });
  expect(task.result).toBe("COOP_NOT_READY");
});

test("A20 a crash before ready surfaces at the starter only", () => {
  const error = new Error("no port");
  const { rt, task } = runtime(function* () {
    try {
      yield* spawnReady<void, number>(
        () =>
          function* () {
            yield* sleep(1);
            throw error;
          },
      );
    } catch (caught) {
      return caught;
    }
    return undefined;
  });
  expect(task.result).toBe(error);
  expect(rt.reports).toEqual([]);
});

test("A22 a child sees the value at spawn time; changes stay where they are made", () => {
  const local = new TaskLocal("initial");
  const seen: string[] = [];
  runtime(function* () {
    expect(local.get()).toBe("initial");
    local.set("parent");
    const child = spawn(function* () {
      seen.push(`child starts with ${local.get()}`);
      local.set("child");
      yield* sleep(1);
      seen.push(`child keeps ${local.get()}`);
      yield* spawn(function* () {
        seen.push(`grandchild has ${local.get()}`);
      }).join();
    });
    local.set("changed");
    yield* child.join();
    seen.push(`parent has ${local.get()}`);
    local.set(undefined as unknown as string);
    expect(local.get()).toBe(undefined);
  });
  expect(seen).toEqual([
    "child starts with parent",
    "child keeps child",
    "grandchild has child",
    "parent has changed",
  ]);
});

test("A20 ready may be called before spawnReady has its task", () => {
  const failure = new Error("after ready");
  const { task } = runtime(function* () {
    const early = yield* spawnReady<void, string>((ready) => {
      ready("while it is made");
      return sleep(1);
    });
    const inside = yield* spawnReady<void, string>(
      (ready) =>
        function* () {
          ready("inside of the call");
          yield* sleep(1);
        },
      { start: "now" },
    );
    yield* inside.task.join();
    const values = [early.value, inside.value];
    let thrown: unknown;
    try {
      yield* group(function* (owner) {
        yield* spawnReady<void, null>(
          (ready) =>
            function* () {
              ready(null);
              yield* sleep(1);
              throw failure;
            },
          { owner, start: "now" },
        );
        yield* never();
      });
    } catch (error) {
      thrown = error;
    }
    return [...values, thrown];
  });
  expect(task.result).toEqual(["while it is made", "inside of the call", failure]);
});

test("A11 spawnReady of what is no function", () => {
  for (const wrong of [undefined, 5, {}, sleep(1)]) {
    expect(() => spawnReady(wrong as never)).toThrow(
      expect.objectContaining({ code: "COOP_NOT_AN_OPERATION" }),
    );
  }
});
