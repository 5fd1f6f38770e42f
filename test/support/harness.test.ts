/** Negative controls: each check that the conformance tests end with can fail. */
import { expect, test } from "vitest";
import { Coordinator, op, Signal, spawn, type Task, Wait, yieldNow } from "../../src/coordinator/index.ts";
import {
  type KillEverywhereResult,
  killEverywhere,
  type Program,
} from "../../src/testing/kill-everywhere.ts";
import { VirtualRuntime } from "../../src/testing/virtual.ts";
import { sleep } from "../../src/time/sleep.ts";
import { type Timed, timerQueueOf } from "../../src/time/timer-queue.ts";
import { checked, runChecked } from "./harness.ts";

/** A wait that breaks its contract: a kill leaves it on the coordinator's list. */
class Leaky extends Wait<void> {
  private readonly gate: Coordinator;
  constructor(gate: Coordinator) {
    super();
    this.gate = gate;
  }
  protected override begin(): boolean {
    this.gate.enqueue(this);
    return false;
  }
  protected override finish(): void {}
  override abort(): boolean {
    return true;
  }
  override describe(): string {
    return "leaky";
  }
}

/** Another: a kill leaves its timer armed. */
class LeakyTimer extends Wait<void> implements Timed {
  deadline = 0;
  order = 0;
  heapIndex = -1;
  protected override begin(task: Task): boolean {
    timerQueueOf(task.cooperator).arm(this, Number.MAX_SAFE_INTEGER);
    return false;
  }
  protected override finish(): void {}
  override abort(): boolean {
    return true;
  }
  override describe(): string {
    return "leaky timer";
  }
  fire(): void {
    this.grant();
  }
}

/** And one that says it has left and has not: the task sleeps through its kill. */
class Deaf extends Wait<void> {
  protected override begin(): boolean {
    return false;
  }
  protected override finish(): void {}
  override abort(): boolean {
    return false;
  }
  override describe(): string {
    return "deaf";
  }
}

test("a waiter that is left on a coordinator fails the check", () => {
  const gate = new Coordinator({ held: true, name: "gate" });
  const body = op(function* () {
    const task = spawn(new Leaky(gate));
    yield* yieldNow();
    task.kill();
    yield* task.settled();
  });
  expect(() => runChecked(body(), gate)).toThrow("gate has 1 waiters left");
  runChecked(body());
});

test("a task that is still alive, and a timer that is still armed, fail the check", () => {
  const rt = new VirtualRuntime();
  const task = rt.cooperator.spawn(sleep(1));
  expect(() => checked(rt)).toThrow("1 tasks live");
  rt.settle();
  expect(() => checked(rt)).toThrow("1 tasks live");
  task.kill();
  rt.settle();
  checked(rt);
  rt.timers.after(5);
  expect(() => checked(rt)).toThrow("1 timers are armed");
});

test("a report that no test has taken out fails the check", () => {
  expect(() =>
    runChecked(function* () {
      spawn(
        function* () {
          throw new Error("unexpected");
        },
        { failure: "report" },
      );
      yield* yieldNow();
    }),
  ).toThrow();
});

const good = (program: () => Program): KillEverywhereResult => killEverywhere(program);

test("killing everywhere visits every task at every point, and says how many", () => {
  let runs = 0;
  const result = good(() => {
    runs++;
    return {
      *body() {
        spawn(sleep(2));
        yield* sleep(1);
      },
    };
  });
  // Steps of the two tasks: main, child, the clock jumps, main (which kills the child), child, main.
  expect(result.steps).toBeGreaterThanOrEqual(4);
  expect(result.points).toBeGreaterThan(result.steps - 2);
  expect(result.runs).toBe(runs);
  expect(result.runs).toBeGreaterThan(result.points);
  expect(result.reach).toBe(1);
});

test("killing everywhere finds a waiter and a timer that only a kill leaves behind", () => {
  const gate = new Coordinator({ held: true, name: "gate" });
  expect(() =>
    killEverywhere(() => ({
      *body() {
        spawn(new Leaky(gate));
        yield* sleep(1);
      },
      gates: [gate],
    })),
  ).toThrow(/undisturbed: broken invariant: gate has 1 waiters left/);
  expect(() =>
    killEverywhere(() => ({
      *body() {
        const task = spawn(new LeakyTimer(), { failure: "report" });
        yield* sleep(1);
        yield* task.killAndWait();
      },
    })),
  ).toThrow("undisturbed: broken invariant: 1 timers are armed and no task is left");
});

test("killing everywhere finds a lock that is lost when its owner is killed", () => {
  const careless = (release: boolean): (() => Program) => {
    return () => {
      const lock = new Coordinator({ name: "lock" });
      const worker = op(function* () {
        yield* lock.acquire();
        try {
          yield* sleep(1);
          if (!release) lock.release();
        } finally {
          if (release) lock.release();
        }
      });
      return {
        *body() {
          yield* spawn(worker()).settled();
        },
        check() {
          expect(lock.held).toBe(false);
        },
      };
    };
  };
  expect(() => killEverywhere(careless(false))).toThrow(
    /task 1 killed at point \d+: expected true to be false/,
  );
  killEverywhere(careless(true));
});

test("killing everywhere finds a task that sleeps through its kill, one that is stranded, and an endless run", () => {
  expect(() =>
    killEverywhere(() => ({
      *body() {
        spawn(new Deaf());
        yield* sleep(1);
      },
    })),
  ).toThrow();
  expect(() =>
    killEverywhere(() => {
      const signal = new Signal();
      return {
        *body() {
          yield* signal.wait();
        },
      };
    }),
  ).toThrow("undisturbed: broken invariant: stranded: main#1");
  expect(() =>
    killEverywhere(
      () => ({
        *body() {
          for (;;) yield* yieldNow();
        },
      }),
      { pointsMax: 100 },
    ),
  ).toThrow("more than 100 points");
});
