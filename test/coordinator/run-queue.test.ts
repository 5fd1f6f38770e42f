import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  HIGH,
  LOW,
  NORMAL,
  type Priority,
  self,
  spawn,
  type Task,
  yieldNow,
} from "../../src/coordinator/index.ts";
import { AGEING, RunQueue } from "../../src/coordinator/scheduler/run-queue.ts";
import { VirtualRuntime } from "../../src/testing/virtual.ts";
import { sleep } from "../../src/time/sleep.ts";
import { checked, runChecked } from "../support/harness.ts";

interface Item {
  readonly id: number;
  priority: Priority;
  runNext: Task | null;
}

function item(id: number, priority: Priority): Task {
  return { id, priority, runNext: null } satisfies Item as unknown as Task;
}

const PRIORITIES: readonly Priority[] = [HIGH, NORMAL, LOW];

// ---------------------------------------------------------------------------------------------------------
// Against three arrays

type Action =
  | { readonly kind: "push" | "unshift"; readonly priority: Priority }
  | { readonly kind: "shift" }
  | { readonly kind: "remove" | "move"; readonly pick: number; readonly priority: Priority };

const priority = fc.constantFrom(...PRIORITIES);
const action: fc.Arbitrary<Action> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("push" as const), priority }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("unshift" as const), priority }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("shift" as const) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constantFrom("remove" as const, "move" as const),
      pick: fc.nat(),
      priority,
    }),
  },
);

class Model {
  readonly levels: number[][] = [[], [], []];
  readonly passedOver = [0, 0, 0];

  shift(): number | undefined {
    const higher = (level: number) => this.levels.slice(0, level).some((each) => each.length > 0);
    for (const level of [LOW, NORMAL]) {
      if (this.levels[level]!.length === 0 || !higher(level)) continue;
      if (++this.passedOver[level]! >= AGEING) return this.take(level);
    }
    const level = this.levels.findIndex((each) => each.length > 0);
    return level === -1 ? undefined : this.take(level);
  }

  private take(level: number): number | undefined {
    this.passedOver[level] = 0;
    return this.levels[level]!.shift();
  }
}

function compare(actions: readonly Action[]): void {
  const queue = new RunQueue();
  const model = new Model();
  const tasks = new Map<number, Task>();
  let lastId = 0;
  const waiting = () => model.levels.flat();
  for (const step of actions) {
    if (step.kind === "push" || step.kind === "unshift") {
      const task = item(++lastId, step.priority);
      tasks.set(lastId, task);
      queue[step.kind](task);
      model.levels[step.priority]![step.kind](lastId);
    } else if (step.kind === "shift") {
      expect(queue.shift()?.id).toBe(model.shift());
    } else if ("pick" in step && waiting().length > 0) {
      const id = waiting()[step.pick % waiting().length]!;
      const task = tasks.get(id)!;
      expect(queue.remove(task)).toBe(true);
      expect(queue.remove(task)).toBe(false);
      const level = model.levels[task.priority]!;
      level.splice(level.indexOf(id), 1);
      if (step.kind === "move") {
        task.priority = step.priority;
        queue.push(task);
        model.levels[step.priority]!.push(id);
      }
    }
    expect(queue.length).toBe(waiting().length);
  }
  while (waiting().length > 0) expect(queue.shift()?.id).toBe(model.shift());
  expect(queue.shift()).toBe(null);
  expect(queue.length).toBe(0);
}

test("agrees with three arrays under random pushes, shifts, removals and moves", () => {
  fc.assert(fc.property(fc.array(action, { maxLength: 400 }), compare), { numRuns: 200, seed: 5 });
});

test("negative control: the comparison notices a queue that never ages", () => {
  const crowd: Action[] = [];
  crowd.push({ kind: "push", priority: LOW });
  for (let i = 0; i < AGEING + 5; i++) crowd.push({ kind: "push", priority: HIGH }, { kind: "shift" });
  compare(crowd);
  const original = RunQueue.prototype.shift;
  RunQueue.prototype.shift = function strict(this: RunQueue) {
    const levels = this as unknown as Record<string, { passedOver: number }>;
    for (const level of ["high", "normal", "low"]) levels[level]!.passedOver = 0;
    return original.call(this);
  };
  try {
    expect(() => compare(crowd)).toThrow();
  } finally {
    RunQueue.prototype.shift = original;
  }
});

test("what waits at a lower priority is served within a bound, whatever keeps coming above", () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom(HIGH, NORMAL), { minLength: 1, maxLength: 8 }), (above) => {
      const queue = new RunQueue();
      queue.push(item(0, LOW));
      let id = 1;
      queue.push(item(id++, above[0]!));
      for (let steps = 1; ; steps++) {
        queue.push(item(id++, above[steps % above.length]!));
        if (queue.shift()!.id === 0) {
          expect(steps).toBe(AGEING);
          return;
        }
        expect(steps).toBeLessThan(AGEING);
      }
    }),
    { seed: 6 },
  );
});

// ---------------------------------------------------------------------------------------------------------
// In a program

describe("priorities", () => {
  test("order what is ready; first in first out inside one", () => {
    const log: string[] = [];
    runChecked(function* () {
      for (const [name, priority] of [
        ["low 1", LOW],
        ["normal 1", NORMAL],
        ["high 1", HIGH],
        ["low 2", LOW],
        ["normal 2", NORMAL],
        ["high 2", HIGH],
      ] as const) {
        spawn(
          function* () {
            log.push(name);
          },
          { priority },
        );
      }
      yield* sleep(1);
    });
    expect(log).toEqual(["high 1", "high 2", "normal 1", "normal 2", "low 1", "low 2"]);
  });

  test("are inherited by children unless they are given their own", () => {
    runChecked(function* () {
      const child = spawn(
        function* () {
          expect(self().priority).toBe(HIGH);
          const heir = spawn(function* () {});
          const other = spawn(function* () {}, { priority: LOW });
          expect([heir.priority, other.priority]).toEqual([HIGH, LOW]);
          yield* other.join();
        },
        { priority: HIGH },
      );
      yield* child.join();
    });
  });

  test("never starve: a low task gets one step in AGEING while high ones spin", () => {
    let low = 0;
    let high = 0;
    const rt = new VirtualRuntime();
    rt.run(function* () {
      spawn(
        function* () {
          for (;;) {
            low++;
            yield* yieldNow();
          }
        },
        { priority: LOW },
      );
      rt.cooperator.setPriority(self(), HIGH);
      for (; high < 10 * AGEING; high++) yield* yieldNow();
    }).result;
    expect(low).toBeGreaterThanOrEqual(9);
    expect(low).toBeLessThanOrEqual(11);
    checked(rt);
  });

  test("a batch is bounded: timers fire while tasks spin", () => {
    const log: string[] = [];
    const rt = new VirtualRuntime();
    rt.cooperator.spawn(function* () {
      for (let i = 0; i < 2000; i++) yield* yieldNow();
      log.push("spun");
    });
    rt.cooperator.spawn(function* () {
      yield* sleep(1);
      log.push("slept");
    });
    rt.cooperator.turn();
    rt.advance(1);
    rt.settle();
    expect(log).toEqual(["slept", "spun"]);
    checked(rt);
  });

  test("setPriority of a task that is ready moves it to the end of its new priority", () => {
    const log: string[] = [];
    const rt = new VirtualRuntime();
    rt.run(function* () {
      const tasks = ["a", "b", "c"].map((name) =>
        spawn(function* () {
          log.push(name);
          yield* yieldNow();
          log.push(name);
        }),
      );
      rt.cooperator.setPriority(tasks[0]!, NORMAL);
      rt.cooperator.setPriority(tasks[2]!, HIGH);
      yield* sleep(1);
    }).result;
    expect(log).toEqual(["c", "c", "b", "a", "b", "a"]);
    checked(rt);
  });

  test("setPriority of a task that is blocked counts when it is ready again; a bad one is an error", () => {
    const log: string[] = [];
    const rt = new VirtualRuntime();
    rt.run(function* () {
      const [a, b] = ["a", "b"].map((name) =>
        spawn(function* () {
          yield* sleep(1);
          log.push(name);
        }),
      ) as [Task, Task];
      yield* yieldNow();
      rt.cooperator.setPriority(b, HIGH);
      for (const bad of [3, -1, 0.5, undefined, "high"]) {
        expect(() => rt.cooperator.setPriority(a, bad as Priority)).toThrow(
          expect.objectContaining({ code: "COOP_PRIORITY" }),
        );
      }
      yield* sleep(2);
      // Of a task that is over, harmless.
      rt.cooperator.setPriority(a, LOW);
    }).result;
    expect(log).toEqual(["b", "a"]);
    checked(rt);
  });

  test("start next goes in front of what is ready, start now inside the call", () => {
    const log: string[] = [];
    runChecked(function* () {
      const say = (text: string) =>
        function* () {
          log.push(text);
        };
      spawn(say("queued"));
      spawn(say("next"), { start: "next" });
      spawn(say("now"), { start: "now" });
      log.push("spawner");
      yield* sleep(1);
    });
    expect(log).toEqual(["now", "spawner", "next", "queued"]);
  });
});
