/** The seed's SpawnTest. Stacks are heap objects here: what it proves of its stack pool is proven of tasks. */
import { expect, test } from "vitest";
import {
  ClosedError,
  Coordinator,
  never,
  type Operation,
  op,
  self,
  spawn,
  type Task,
  yieldNow,
} from "../../src/coordinator/index.ts";
import { VirtualRuntime } from "../../src/testing/virtual.ts";
import { sleep } from "../../src/time/index.ts";
import { checked, runChecked } from "../support/harness.ts";

test("SpawnTest BasicSpawn: it has run before spawn returns, with `start: now`", () => {
  runChecked(function* () {
    let ran = false;
    const task = spawn(
      function* () {
        ran = true;
        return 7;
      },
      { start: "now" },
    );
    expect([ran, task.status, task.result]).toEqual([true, "ended", 7]);
  });
});

test("SpawnTest SpawnYield", () => {
  const order: string[] = [];
  runChecked(function* () {
    const task = spawn(
      function* () {
        order.push("before");
        yield* yieldNow();
        order.push("after");
      },
      { start: "now" },
    );
    order.push("parent");
    yield* task.join();
  });
  expect(order).toEqual(["before", "parent", "after"]);
});

test("SpawnTest ParentChild", () => {
  runChecked(function* () {
    const me = self();
    const child = spawn(function* () {
      expect(self().parent).toBe(me);
      yield* yieldNow();
    });
    expect([...me.children!]).toEqual([child]);
    yield* child.join();
    expect(me.live).toBe(0);
  });
});

test("SpawnTest KillChild", () => {
  runChecked(function* () {
    const child = spawn(never());
    yield* yieldNow();
    child.kill("enough");
    expect(child.killed).toBe(true);
    expect(yield* child.settled()).toMatchObject({ status: "killed", cause: { reason: "enough" } });
  });
});

test("SpawnTest LaunchBasic: a task with arguments gives a value", () => {
  const add = op(function* (a: number, b: number) {
    yield* yieldNow();
    return a + b;
  });
  expect(runChecked(() => add(2, 3))).toBe(5);
});

test.each([
  ["MultipleContexts", 5],
  ["ManyContexts", 100],
])("SpawnTest %s: %i run, each once, in order", (_, count) => {
  const order: number[] = [];
  runChecked(function* () {
    for (let i = 0; i < count; i++) {
      spawn(function* () {
        order.push(i);
        yield* yieldNow();
      });
    }
    yield* sleep(1);
  });
  expect(order).toEqual(Array.from({ length: count }, (_, i) => i));
});

test("SpawnTest DeepNesting: 10 levels", () => {
  let deepest = 0;
  const level = op(function* level(depth: number): Generator<unknown, void, any> {
    deepest = depth;
    if (depth < 10) yield* spawn(level(depth + 1) as Operation<void>).join();
  });
  runChecked(() => level(1));
  expect(deepest).toBe(10);
});

test("SpawnTest SpawnFromKilledContextFails", () => {
  const rt = new VirtualRuntime();
  rt.run(function* () {
    const child = spawn(function* () {
      self().kill();
      const { spawned } = rt.statistics();
      expect(() => spawn(never())).toThrow(ClosedError);
      expect(rt.statistics().spawned).toBe(spawned);
      yield* never();
    });
    expect((yield* child.settled()).status).toBe("killed");
  }).result;
  checked(rt);
});

// Threads share nothing here: what comes from another one is a message, and its call is posted.
test("SpawnTest BoundaryCrossingKill: from outside of the loop", () => {
  const rt = new VirtualRuntime();
  const task = rt.cooperator.spawn(never());
  rt.settle();
  rt.cooperator.post(() => task.kill("from outside"));
  expect(task.killed).toBe(false);
  rt.drain();
  expect(task.exit).toMatchObject({ status: "killed", cause: { reason: "from outside", origin: null } });
  checked(rt);
});

test.each(["StackPoolReuse", "StackPoolReuseDifferentSizes"])(
  "SpawnTest %s: tasks in a row leave nothing of one for the next",
  (name) => {
    const rt = new VirtualRuntime();
    const deep = op(function* deep(n: number): Generator<unknown, number, any> {
      return n === 0 ? 0 : 1 + (yield* deep(n - 1) as Operation<number>);
    });
    rt.run(function* () {
      for (let i = 0; i < 1000; i++) {
        const depth = name === "StackPoolReuse" ? 3 : i % 50;
        const task = spawn(deep(depth));
        expect(yield* task.join()).toBe(depth);
        expect([task.top, task.wait, task.children]).toEqual([null, null, null]);
      }
    }).result;
    expect(rt.statistics().spawned).toBe(1001);
    checked(rt);
  },
);

test("SpawnTest KillParentKillsChildren: three levels, leaves first", () => {
  const ended: string[] = [];
  const gate = new Coordinator({ held: true });
  runChecked(function* () {
    const level = op(function* level(depth: number): Generator<unknown, void, any> {
      if (depth < 3) spawn(level(depth + 1) as Operation<void>);
      try {
        yield* gate.acquire();
      } finally {
        ended.push(`level ${depth}`);
      }
    });
    const top: Task<void> = spawn(level(1));
    yield* sleep(1);
    top.kill();
    yield* top.settled();
  }, gate);
  expect(ended).toEqual(["level 3", "level 2", "level 1"]);
});
