/** A timer as a handle: set up, lined up with other operations, waited for, stopped. */
import { describe, expect, test } from "vitest";
import {
  Cooperator,
  Coordinator,
  coordinateWith,
  coordinateWithKill,
  spawn,
  yieldNow,
} from "../../src/coordinator/index.ts";
import { killEverywhere } from "../../src/testing/kill-everywhere.ts";
import { VirtualRuntime } from "../../src/testing/virtual.ts";
import { Handle } from "../../src/time/handle.ts";
import { now, sleep } from "../../src/time/sleep.ts";
import { checked, runChecked } from "../support/harness.ts";

const ECANCELED = -125;

test("goes from idle to submitted to done, and gives 0 when the time was up", () => {
  runChecked(function* () {
    const timer = new Handle();
    expect([timer.status, timer.pending, timer.coordinator.held]).toEqual(["idle", false, false]);
    expect(() => timer.result).toThrow(expect.objectContaining({ code: "COOP_NOT_ENDED" }));
    timer.setup("10 millis");
    expect([timer.status, timer.pending, timer.coordinator.held]).toEqual(["submitted", true, true]);
    expect(yield* timer).toBe(0);
    expect(now()).toBe(10);
    expect([timer.status, timer.pending, timer.result, timer.coordinator.held]).toEqual([
      "done",
      false,
      0,
      false,
    ]);
    // A second look costs nothing.
    expect(yield* timer).toBe(0);
    expect(yield* timer.settled()).toBe(0);
  });
});

test("may be set up again once it is done, and not before", () => {
  runChecked(function* () {
    const timer = new Handle();
    for (let round = 1; round <= 3; round++) {
      timer.setup(10);
      expect(() => timer.setup(5)).toThrow(expect.objectContaining({ code: "COOP_BUSY" }));
      expect(yield* timer).toBe(0);
      expect(now()).toBe(10 * round);
    }
  });
});

describe("cancel", () => {
  test("ends it at once with -ECANCELED; harmless before, and again, and after", () => {
    const rt = new VirtualRuntime();
    rt.run(function* () {
      const timer = new Handle();
      timer.cancel();
      expect(timer.status).toBe("idle");
      timer.setup("1 hour");
      const waiter = spawn(function* () {
        return yield* timer.settled();
      });
      yield* yieldNow();
      timer.cancel();
      timer.cancel();
      expect(rt.timers.size).toBe(0);
      expect(timer.result).toBe(ECANCELED);
      expect(yield* waiter.join()).toBe(ECANCELED);
      expect(yield* timer).toBe(ECANCELED);
      expect(rt.now).toBe(0);
    }).result;
    checked(rt);
  });
});

describe("lined up with others", () => {
  test("wins or loses by its place and its time", () => {
    runChecked(function* () {
      const gate = new Coordinator({ held: true });
      const [slow, fast] = [new Handle(), new Handle()];
      slow.setup(20);
      fast.setup(10);
      const first = yield* coordinateWith(gate, slow.coordinator, fast.coordinator);
      expect([first.index, now(), fast.result]).toEqual([2, 10, 0]);
      fast.coordinator.release();
      const second = yield* coordinateWith(gate, slow.coordinator);
      expect([second.index, now()]).toEqual([1, 20]);
    });
  });

  test("a kill leaves it running: the task decides what that means", () => {
    const rt = new VirtualRuntime();
    const log: unknown[] = [];
    rt.run(function* () {
      const task = spawn(function* () {
        const timer = new Handle();
        timer.setup("1 hour");
        const { killed } = yield* coordinateWithKill(timer.coordinator);
        log.push(killed, timer.status);
        timer.cancel();
        log.push(yield* timer.settled());
      });
      yield* sleep(5);
      expect((yield* task.killAndWait()).status).toBe("killed");
      expect(rt.now).toBe(5);
    }).result;
    expect(log).toEqual([true, "submitted", ECANCELED]);
    checked(rt);
  });
});

test("a kill of a task that waits for it stops it, and the task that leaves it behind stops it, too", () => {
  const rt = new VirtualRuntime();
  rt.run(function* () {
    const timer = new Handle();
    const waiting = spawn(function* () {
      timer.setup("1 hour");
      yield* timer;
    });
    const leaving = spawn(function* () {
      new Handle().setup("1 hour");
    });
    yield* leaving.join();
    expect(rt.timers.size).toBe(1);
    waiting.kill();
    yield* waiting.settled();
    expect(timer.result).toBe(ECANCELED);
    expect(rt.timers.size).toBe(0);
    expect(rt.now).toBe(0);
  }).result;
  checked(rt);
});

describe("misuse", () => {
  test("without a task, with no duration, not set up", () => {
    expect(() => new Handle().setup(5)).toThrow(expect.objectContaining({ code: "COOP_NO_TASK" }));
    runChecked(function* () {
      const timer = new Handle();
      expect(() => timer.setup("soon")).toThrow(expect.objectContaining({ code: "COOP_DURATION" }));
      expect(timer.status).toBe("idle");
      for (const wait of [() => timer, () => timer.settled()]) {
        let code = "";
        try {
          yield* wait();
        } catch (error) {
          code = (error as { code: string }).code;
        }
        expect(code).toBe("COOP_NOT_STARTED");
      }
    });
  });
});

test("without a clock it is not set up, and its task ends like any other", () => {
  let panicked: unknown = null;
  const cooperator = new Cooperator({
    host: { requestTurn() {}, panic: (error) => (panicked = error) },
    report() {},
  });
  const timer = new Handle();
  const task = cooperator.spawn(
    function* () {
      timer.setup(5);
    },
    { failure: "hold" },
  );
  while (cooperator.turn()) {}
  expect(panicked).toBe(null);
  expect(task.exit).toMatchObject({ status: "failed", error: { code: "COOP_NO_CLOCK" } });
  expect(timer.status).toBe("idle");
});

test("wherever a kill strikes, no timer is left", () => {
  const { reach, runs } = killEverywhere(() => ({
    body: function* () {
      for (let i = 0; i < 2; i++) {
        spawn(function* () {
          const [a, b] = [new Handle(), new Handle()];
          a.setup(5);
          b.setup(7);
          yield* coordinateWithKill(b.coordinator, a.coordinator);
          yield* b;
          a.setup(3);
        });
      }
      yield* sleep(20);
    },
  }));
  expect(reach).toBe(1);
  expect(runs).toBeGreaterThan(15);
});
