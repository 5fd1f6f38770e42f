/** The seed's StressTest with its numbers. Those over channels are with the channels' tests. */
import { expect, test } from "vitest";
import {
  Coordinator,
  never,
  type Operation,
  op,
  Signal,
  spawn,
  type Task,
  yieldNow,
} from "../../src/coordinator/index.ts";
import { VirtualRuntime } from "../../src/testing/virtual.ts";
import { checked } from "../support/harness.ts";

function stressed(body: (rt: VirtualRuntime) => () => Generator<unknown, unknown, any>): VirtualRuntime {
  const rt = new VirtualRuntime();
  rt.run(body(rt)).result;
  checked(rt);
  return rt;
}

test("StressTest RapidSpawnKill: 1000", () => {
  const rt = stressed(
    () =>
      function* () {
        for (let i = 0; i < 1000; i++) {
          const task = spawn(never());
          if (i % 2 === 0) yield* yieldNow();
          task.kill();
          yield* task.settled();
        }
      },
  );
  expect(rt.statistics().killed).toBe(1000);
});

test("StressTest WideFanoutKill: 500 blocked", () => {
  const gate = new Coordinator({ held: true });
  const rt = stressed(
    () =>
      function* () {
        const parent = spawn(function* () {
          for (let i = 0; i < 500; i++) spawn(gate.acquire());
          yield* never();
        });
        yield* yieldNow();
        yield* yieldNow();
        expect(gate.waiting).toBe(500);
        yield* parent.killAndWait();
        expect(gate.waiting).toBe(0);
      },
  );
  expect(rt.statistics().killed).toBe(501);
});

test("StressTest DeepRecursiveKill: 200 levels", () => {
  const ended: number[] = [];
  const level = op(function* level(depth: number): Generator<unknown, void, any> {
    if (depth < 200) spawn(level(depth + 1) as Operation<void>, { start: "queued" });
    try {
      yield* never();
    } finally {
      ended.push(depth);
    }
  });
  stressed(
    (rt) =>
      function* () {
        const top = spawn(level(1));
        while (rt.statistics().live < 201 || rt.statistics().ready > 0) yield* yieldNow();
        yield* top.killAndWait();
      },
  );
  expect(ended).toEqual(Array.from({ length: 200 }, (_, i) => 200 - i));
});

test("StressTest WideFanoutKillYielded: 500 that are ready", () => {
  const rt = stressed(
    () =>
      function* () {
        const parent = spawn(function* () {
          for (let i = 0; i < 500; i++) {
            spawn(function* () {
              for (;;) yield* yieldNow();
            });
          }
          yield* never();
        });
        yield* yieldNow();
        yield* yieldNow();
        yield* parent.killAndWait();
      },
  );
  expect(rt.statistics().killed).toBe(501);
});

test("StressTest SpawnExitChurn: 5000", () => {
  const rt = stressed(
    () =>
      function* () {
        for (let i = 0; i < 5000; i++) {
          spawn(function* () {
            yield* yieldNow();
          });
          if (i % 10 === 9) yield* yieldNow();
        }
        yield* yieldNow();
        yield* yieldNow();
        yield* yieldNow();
      },
  );
  expect(rt.statistics().done).toBe(5001);
});

test("StressTest MixedTreeKill: 50 parents with 5 children each, in every state", () => {
  const gate = new Coordinator({ held: true });
  const signal = new Signal();
  const rt = stressed(
    () =>
      function* () {
        const parents: Task[] = [];
        for (let p = 0; p < 50; p++) {
          parents.push(
            spawn(function* () {
              spawn(gate.acquire());
              spawn(signal.wait());
              spawn(never());
              spawn(function* () {
                for (;;) yield* yieldNow();
              });
              spawn(parents[0]?.settled() ?? never());
              yield* never();
            }),
          );
        }
        yield* yieldNow();
        yield* yieldNow();
        for (const parent of [...parents].reverse()) parent.kill();
        for (const parent of parents) yield* parent.settled();
      },
  );
  const { killed, done } = rt.statistics();
  // Those that wait for the first parent may see its end before the kill reaches them: they were all killed first.
  expect([killed, done]).toEqual([300, 1]);
  checked(rt, gate, signal);
});

test("StressTest RepeatedShutdownCycles: 20 cooperators with 50 tasks", () => {
  for (let cycle = 0; cycle < 20; cycle++) {
    const rt = new VirtualRuntime();
    for (let i = 0; i < 50; i++) rt.cooperator.spawn(never());
    rt.settle();
    rt.cooperator.kill("shutdown");
    rt.drain();
    expect(rt.statistics()).toMatchObject({ killed: 50, live: 0 });
    checked(rt);
  }
});
