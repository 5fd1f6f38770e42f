/** Conformance M: order, priorities and fairness; calls from outside; D19: what a broken rule does. */
import { Worker } from "node:worker_threads";
import { describe, expect, test } from "vitest";
import { invariant } from "../../src/coordinator/errors.ts";
import { CALLBACKS_PER_TURN_MAX, POSTS_MAX } from "../../src/coordinator/scheduler/callbacks.ts";
import { BATCH_STEPS_MAX } from "../../src/coordinator/scheduler/cooperator.ts";
import { AGEING } from "../../src/coordinator/scheduler/run-queue.ts";
import {
  Coordinator,
  HIGH,
  InvariantError,
  LOW,
  NORMAL,
  never,
  op,
  type Priority,
  run,
  self,
  spawn,
  yieldNow,
} from "../../src/index.ts";
import { VirtualRuntime } from "../../src/testing/virtual.ts";
import { sleep } from "../../src/time/index.ts";
import { checked, runChecked } from "../support/harness.ts";

const spin = op(function* (count: { steps: number }) {
  for (;;) {
    count.steps++;
    yield* yieldNow();
  }
});

test("M03 timers that are due are served after one batch, whoever yields for ever", () => {
  const rt = new VirtualRuntime({ seed: null });
  rt.run(function* () {
    const count = { steps: 0 };
    const spinners = [spawn(spin(count)), spawn(spin(count))];
    const sleeper = spawn(function* () {
      yield* sleep(5);
      return count.steps;
    });
    yield* yieldNow();
    rt.advance(5);
    const before = count.steps;
    expect((yield* sleeper.join()) - before).toBeLessThanOrEqual(2 * BATCH_STEPS_MAX);
    for (const spinner of spinners) spinner.kill();
  }).result;
  checked(rt);
});

test("M05 strictly by priority, first come first served within one", () => {
  const order: string[] = [];
  const rt = new VirtualRuntime({ seed: null });
  rt.run(function* () {
    for (const [name, priority] of [
      ["low 1", LOW],
      ["normal 1", NORMAL],
      ["high 1", HIGH],
      ["low 2", LOW],
      ["high 2", HIGH],
      ["normal 2", NORMAL],
    ] as const) {
      spawn(
        function* () {
          order.push(name);
        },
        { priority },
      );
    }
    yield* sleep(1);
  }).result;
  expect(order).toEqual(["high 1", "high 2", "normal 1", "normal 2", "low 1", "low 2"]);
  checked(rt);
});

test("M06 under a flood from above each lower priority has its share of 1,000,000 steps", () => {
  const rt = new VirtualRuntime({ seed: null });
  const counts = [0, 1, 2].map(() => ({ steps: 0 }));
  for (const priority of [HIGH, NORMAL, LOW]) {
    rt.cooperator.spawn(spin(counts[priority]!), { priority });
    rt.cooperator.spawn(spin(counts[priority]!), { priority });
  }
  while (rt.statistics().steps < 1_000_000) rt.cooperator.turn();
  const { steps } = rt.statistics();
  for (const lower of [NORMAL, LOW]) {
    const share = counts[lower]!.steps / steps;
    expect(share).toBeGreaterThan(0.9 / (AGEING + 1));
    expect(share).toBeLessThan(1.1 / (AGEING - 1));
  }
  rt.cooperator.kill();
  rt.drain();
  checked(rt);
});

describe("M07 a low task holds what a high one waits for, and the middle floods", () => {
  // Priorities are not inherited. Ageing bounds the time instead: each step of the holder that is left costs at
  // most AGEING steps of others per priority above it.
  test.each([1, 2, 5, 20])("M07 with %i steps left in the lock, the wait is within the bound", (left) => {
    const rt = new VirtualRuntime({ seed: null });
    const lock = new Coordinator({ name: "lock" });
    const count = { steps: 0 };
    rt.run(function* () {
      spawn(
        function* holder() {
          yield* lock.acquire();
          for (let i = 0; i < left; i++) yield* yieldNow();
          lock.release();
        },
        { priority: LOW },
      );
      yield* sleep(0);
      while (!lock.held) yield* yieldNow();
      const flood = [1, 2, 3].map(() => spawn(spin(count), { priority: NORMAL }));
      const high = spawn(
        function* () {
          const before = rt.statistics().steps;
          yield* lock.acquire();
          lock.release();
          return rt.statistics().steps - before;
        },
        { priority: HIGH },
      );
      const waited = yield* high.join();
      expect(waited).toBeLessThanOrEqual((left + 1) * AGEING + 2);
      // It does wait: inheritance would make it a handful of steps.
      expect(waited).toBeGreaterThan(left * (AGEING - 2));
      for (const task of flood) task.kill();
    }).result;
    checked(rt, lock);
  });
});

test("M09 a chain of 500,000 hand-overs needs no stack and keeps to the turn's budget", () => {
  const rt = new VirtualRuntime({ seed: null });
  const gate = new Coordinator();
  rt.run(function* () {
    const before = rt.statistics();
    const player = op(function* () {
      for (let i = 0; i < 250_000; i++) {
        yield* gate.acquire();
        // The other one is in the queue by then: the release hands it over.
        yield* yieldNow();
        gate.release();
      }
    });
    for (const task of [spawn(player()), spawn(player())]) yield* task.join();
    const after = rt.statistics();
    const steps = after.steps - before.steps;
    expect(steps).toBeGreaterThanOrEqual(999_990);
    expect(after.turns - before.turns).toBeGreaterThanOrEqual(steps / BATCH_STEPS_MAX - 1);
  }).result;
  checked(rt, gate);
});

test("M10 no call from outside is lost while the loop goes idle", async () => {
  const messages = 3_000;
  const worker = new Worker(
    `const { parentPort } = require("node:worker_threads");
     parentPort.on("message", (n) => parentPort.postMessage(n));`,
    { eval: true },
  );
  try {
    const received = await run(function* () {
      const { cooperator } = self();
      let gate = new Coordinator({ held: true });
      let last = -1;
      worker.on("message", (n: number) =>
        cooperator.post(() => {
          last = n;
          gate.release();
        }),
      );
      // One message at a time: every one of them finds the loop asleep, or about to be.
      for (let i = 0; i < messages; i++) {
        gate = new Coordinator({ held: true });
        worker.postMessage(i);
        yield* gate.acquire();
        expect(last).toBe(i);
      }
      return last + 1;
    });
    expect(received).toBe(messages);
  } finally {
    await worker.terminate();
  }
}, 60_000);

describe("M11 calls that are posted from outside", () => {
  test("M11 run in order, in a later turn, as nobody's step", () => {
    const log: string[] = [];
    const rt = new VirtualRuntime();
    rt.run(function* () {
      const { cooperator } = self();
      for (const name of ["one", "two", "three"]) {
        expect(cooperator.post(() => log.push(name))).toBe(true);
      }
      cooperator.post(() => expect(() => self()).toThrow());
      expect(log).toEqual([]);
      yield* sleep(1);
    }).result;
    expect(log).toEqual(["one", "two", "three"]);
    checked(rt);
  });

  test("M11 with `once` the same function is queued once until it has begun to run", () => {
    let calls = 0;
    let again = true;
    const rt = new VirtualRuntime();
    rt.run(function* () {
      const { cooperator } = self();
      const look = (): void => {
        calls++;
        // From inside it is a new request.
        if (again) cooperator.post(look, { once: true });
        again = false;
      };
      for (let i = 0; i < 100; i++) expect(cooperator.post(look, { once: true })).toBe(true);
      yield* sleep(1);
      expect(calls).toBe(2);
      cooperator.post(look, { once: true });
      cooperator.post(look);
      yield* sleep(1);
      expect(calls).toBe(4);
    }).result;
    checked(rt);
  });

  test("M11 one that throws is reported, and the next ones run", () => {
    const rt = new VirtualRuntime();
    const error = new Error("posted");
    let ran = false;
    rt.cooperator.post(function crash() {
      throw error;
    });
    rt.cooperator.post(() => {
      ran = true;
    });
    rt.settle();
    expect(ran).toBe(true);
    expect(rt.reports.splice(0)).toEqual([{ kind: "callback", task: null, where: "crash", error }]);
    checked(rt);
  });

  test("M11 one that posts itself for ever starves neither tasks nor timers", () => {
    const rt = new VirtualRuntime();
    let calls = 0;
    let stop = false;
    const again = (): void => {
      calls++;
      if (!stop) rt.cooperator.post(again);
    };
    rt.cooperator.post(again);
    rt.run(function* () {
      for (let i = 0; i < 10; i++) yield* yieldNow();
      expect(calls).toBeLessThanOrEqual(12 * CALLBACKS_PER_TURN_MAX);
      stop = true;
    }).result;
    checked(rt);
  });

  test("M11 the queue is bounded: a producer that is too fast is told", () => {
    const rt = new VirtualRuntime();
    let ran = 0;
    const call = (): void => {
      ran++;
    };
    for (let i = 0; i < POSTS_MAX; i++) expect(rt.cooperator.post(call)).toBe(true);
    expect(rt.cooperator.post(call)).toBe(false);
    expect(rt.statistics().callbacks).toBe(POSTS_MAX);
    rt.settle();
    expect(ran).toBe(POSTS_MAX);
    expect(rt.cooperator.post(call)).toBe(true);
    rt.settle();
    checked(rt);
  });

  test("M11 after the program has ended it is refused; what was accepted before has run", async () => {
    const log: string[] = [];
    const cooperator = await run(function* () {
      const mine = self().cooperator;
      mine.post(() => {
        log.push("accepted");
        mine.post(() => log.push("by a call"));
      });
      return mine;
    });
    expect(log[0]).toBe("accepted");
    const ended = expect.objectContaining({ code: "COOP_CLOSED" });
    expect(() => cooperator.post(() => log.push("BAD"))).toThrow(ended);
    expect(() => cooperator.spawn(never())).toThrow(ended);
  });

  test("M11 what cannot be called is refused", () => {
    const rt = new VirtualRuntime();
    for (const bad of [null, 7, function* () {}, async () => {}] as never[]) {
      expect(() => rt.cooperator.post(bad)).toThrow(expect.objectContaining({ code: "COOP_NOT_A_CALLBACK" }));
    }
    checked(rt);
  });
});

describe("D19 a broken rule of the runtime's own", () => {
  const breaks = function* (): Generator<unknown, string, any> {
    yield* yieldNow();
    try {
      invariant(false, "the test broke it");
    } catch {
      // Nobody can go on as if nothing had happened.
    }
    return "BAD";
  };

  test("D19 stops everything with a dump, whoever catches the error", async () => {
    const error = await run(
      function* main() {
        spawn(never(), { name: "bystander", priority: 2 as Priority });
        yield* yieldNow();
        return yield* breaks();
      },
      { name: "main" },
    ).catch((error: unknown) => error);
    expect(error).toBeInstanceOf(InvariantError);
    const { code, message, dump } = error as InvariantError;
    expect(code).toBe("COOP_INVARIANT");
    expect(message).toBe("the test broke it (a bug in cooperator, please report it)");
    expect(dump).toBe("main#1: running in main\n  bystander#2: ready [low]");
  });

  test("D19 after it the cooperator takes nothing more", () => {
    const rt = new VirtualRuntime();
    rt.cooperator.spawn(breaks);
    expect(() => rt.settle()).toThrow(InvariantError);
    const stopped = expect.objectContaining({ code: "COOP_CLOSED" });
    expect(() => rt.cooperator.spawn(never())).toThrow(stopped);
    expect(() => rt.cooperator.post(() => {})).toThrow(stopped);
    expect(rt.cooperator.turn()).toBe(false);
  });

  test("D19 an invariant error of the user's own is an error like any other", () => {
    runChecked(function* () {
      const child = spawn(
        function* () {
          yield* yieldNow();
          throw new InvariantError("mine");
        },
        { failure: "hold" },
      );
      expect((yield* child.settled()).status).toBe("failed");
    });
  });
});
