/** The life of a handle: states, waits, results, and who has to wait for whom. */
import { describe, expect, test } from "vitest";
import {
  BusyError,
  Coordinator,
  coordinateWith,
  coordinateWithKill,
  never,
  op,
  self,
  shield,
  spawn,
  UsageError,
  yieldNow,
} from "../../src/coordinator/index.ts";
import { Handle as BaseHandle } from "../../src/handle/index.ts";
import { VirtualRuntime } from "../../src/testing/virtual.ts";
import { Handle as Timer } from "../../src/time/handle.ts";
import { checked, exhaustive, runChecked } from "../support/harness.ts";
import { expectError, failureOf, thrownBy } from "../support/io.ts";

/** A handle whose driver is the test. */
class TestHandle extends BaseHandle {
  cancels = 0;
  override describe(): string {
    return "test operation";
  }
  setup(): void {
    this.checkIdle();
    this.submitted();
  }
  cancel(): void {
    if (this.pending) this.cancels++;
  }
}

describe("the states of a handle", () => {
  test("idle, submitted, done, and again", () => {
    runChecked(function* () {
      const handle = new TestHandle();
      expect([handle.status, handle.pending]).toEqual(["idle", false]);
      expect(handle.coordinator.held).toBe(false);
      for (const result of [7, 0, -104]) {
        handle.setup();
        expect([handle.status, handle.pending]).toEqual(["submitted", true]);
        expect(handle.coordinator.held).toBe(true);
        handle.completed(result);
        expect([handle.status, handle.pending, handle.result]).toEqual(["done", false, result]);
        expect(handle.coordinator.held).toBe(false);
      }
    });
  });

  test("the coordinator may be asked for at any time, and is always the same", () => {
    runChecked(function* () {
      const handle = new TestHandle();
      handle.setup();
      const { coordinator } = handle;
      expect(coordinator.held).toBe(true);
      handle.completed(1);
      expect(coordinator.held).toBe(false);
      handle.setup();
      expect(coordinator.held).toBe(true);
      expect(handle.coordinator).toBe(coordinator);
      handle.completed(2);
    });
  });

  test("there is no result before it is done", () => {
    runChecked(function* () {
      const handle = new TestHandle();
      expectError(
        thrownBy(() => handle.result),
        UsageError,
        "COOP_NOT_ENDED",
        /the test operation is idle, it has no result/,
      );
      handle.setup();
      expect(thrownBy(() => handle.result).message).toMatch(/is submitted/);
      handle.completed(3);
      expect(handle.result).toBe(3);
    });
  });

  test("a pending one takes no second operation", () => {
    runChecked(function* () {
      const handle = new TestHandle();
      handle.setup();
      expectError(
        thrownBy(() => handle.setup()),
        BusyError,
        "COOP_BUSY",
        /still pending: a handle is for one operation at a time/,
      );
      handle.completed(0);
      handle.setup();
      handle.completed(0);
    });
  });

  test("one that was never set up cannot be waited for", () => {
    runChecked(function* () {
      const handle = new TestHandle();
      for (const wait of [() => handle, () => handle.settled()]) {
        expectError(
          yield* failureOf(wait),
          UsageError,
          "COOP_NOT_STARTED",
          /set the test operation up before waiting for it/,
        );
      }
      // And can be set up after that.
      handle.setup();
      handle.completed(4);
      expect(yield* handle).toBe(4);
    });
  });
});

describe("waiting for a handle", () => {
  test("gives the result, at once when it is there, and as often as asked", () => {
    runChecked(function* () {
      const handle = new TestHandle();
      handle.setup();
      const waiter = spawn(handle);
      yield* yieldNow();
      expect(waiter.status).toBe("blocked");
      handle.completed(-5);
      // An errno is a result like any other.
      expect(yield* waiter.join()).toBe(-5);
      expect(yield* handle).toBe(-5);
      expect(yield* handle.settled()).toBe(-5);
    });
  });

  test("one task waits with yield*; others take the coordinator or settled()", () => {
    runChecked(function* () {
      const handle = new TestHandle();
      handle.setup();
      const order: string[] = [];
      const first = spawn(handle, { name: "first" });
      yield* yieldNow();
      expectError(yield* failureOf(handle), UsageError, "COOP_OPERATION_USED", /already waiting/);
      const settlers = ["a", "b", "c"].map((name) =>
        spawn(
          op(function* () {
            order.push(`${name} ${yield* handle.settled()}`);
          })(),
        ),
      );
      const acquirer = spawn(function* () {
        const { index } = yield* coordinateWith(handle.coordinator);
        order.push(`acquirer ${index}`);
        handle.coordinator.release();
      });
      yield* yieldNow();
      handle.completed(9);
      for (const task of [...settlers, acquirer]) yield* task.join();
      expect(yield* first.join()).toBe(9);
      expect(order).toEqual(["a 9", "b 9", "c 9", "acquirer 0"]);
      expect(handle.coordinator.held).toBe(false);
    });
  });

  test("settled() is not ended by a kill: it is for clean-up", () => {
    runChecked(function* () {
      const handle = new TestHandle();
      let result = 0;
      const task = spawn(function* () {
        handle.setup();
        try {
          yield* never();
        } finally {
          handle.cancel();
          result = yield* handle.settled();
        }
      });
      yield* yieldNow();
      task.kill();
      yield* yieldNow();
      yield* yieldNow();
      expect([task.status, handle.cancels]).toEqual(["blocked", 1]);
      handle.completed(-125);
      expect((yield* task.settled()).status).toBe("killed");
      expect(result).toBe(-125);
    });
  });

  test("a kill of `yield* handle` cancels it, waits for its end, and then unwinds", () => {
    runChecked(function* () {
      const handle = new TestHandle();
      const events: string[] = [];
      const task = spawn(function* () {
        handle.setup();
        try {
          yield* handle;
        } finally {
          events.push(`unwinding, ${handle.status}`);
        }
      });
      yield* yieldNow();
      task.kill();
      yield* yieldNow();
      expect([handle.cancels, events.length]).toEqual([1, 0]);
      handle.completed(12);
      expect((yield* task.settled()).status).toBe("killed");
      expect(events).toEqual(["unwinding, done"]);
      // The result stays for whoever has the handle.
      expect(handle.result).toBe(12);
      expect(yield* handle).toBe(12);
    });
  });

  test("a kill of one that has just been satisfied leaves the result", () => {
    runChecked(function* () {
      const handle = new TestHandle();
      handle.setup();
      const task = spawn(handle);
      yield* yieldNow();
      handle.completed(3);
      task.kill();
      expect((yield* task.settled()).status).toBe("killed");
      expect(handle.cancels).toBe(0);
      expect(yield* handle).toBe(3);
    });
  });

  test("several are lined up and waited for once: the leftmost that is done wins", () => {
    runChecked(function* () {
      const handles = [new TestHandle(), new TestHandle(), new TestHandle()];
      for (const handle of handles) handle.setup();
      const waiter = spawn(function* () {
        return yield* coordinateWith(...handles.map((handle) => handle.coordinator));
      });
      yield* yieldNow();
      handles[2].completed(1);
      handles[1].completed(1);
      expect((yield* waiter.join()).index).toBe(1);
      // The loser was passed on.
      expect(handles[2].coordinator.held).toBe(false);
      handles[0].completed(0);
    });
  });
});

describe("a task does not end before its operations have", () => {
  test("it asks them to stop, and waits", () => {
    runChecked(function* () {
      const handles = [new TestHandle(), new TestHandle()];
      const task = spawn(function* () {
        for (const handle of handles) handle.setup();
        return "value";
      });
      yield* yieldNow();
      yield* yieldNow();
      expect([task.status, handles.map(({ cancels }) => cancels)]).toEqual(["blocked", [1, 1]]);
      handles[1].completed(-125);
      yield* yieldNow();
      expect(task.exit).toBeNull();
      handles[0].completed(5);
      expect(yield* task.join()).toBe("value");
      expect(handles[0].result).toBe(5);
    });
  });

  test("nor does a killed or failed one", () => {
    for (const how of ["kill", "fail"]) {
      runChecked(function* () {
        const handle = new TestHandle();
        const task = spawn(
          function* () {
            handle.setup();
            if (how === "fail") throw new Error("failed");
            yield* never();
          },
          { failure: "hold" },
        );
        yield* yieldNow();
        if (how === "kill") task.kill();
        yield* yieldNow();
        yield* yieldNow();
        expect(task.exit).toBeNull();
        handle.completed(0);
        expect((yield* task.settled()).status).toBe(how === "kill" ? "killed" : "failed");
      });
    }
  });

  test("a handle that is set up by another task is that task's from then on", () => {
    runChecked(function* () {
      const handle = new TestHandle();
      const first = spawn(function* () {
        handle.setup();
        yield* handle;
      });
      yield* yieldNow();
      handle.completed(1);
      yield* first.join();
      const second = spawn(function* () {
        handle.setup();
        yield* yieldNow();
      });
      yield* yieldNow();
      expect(handle.owner).toBe(second);
      handle.completed(2);
      yield* second.join();
    });
  });

  test("the coordinator of a handle outlives the task that had acquired it", () => {
    runChecked(function* () {
      const handle = new TestHandle();
      handle.setup();
      const winner = op(function* () {
        yield* coordinateWith(handle.coordinator);
        yield* yieldNow();
        yield* yieldNow();
        yield* yieldNow();
      });
      const first = spawn(winner());
      yield* yieldNow();
      handle.completed(1);
      yield* yieldNow();
      // The first has it now, and somebody waits for it to be given back, which never happens.
      const second = spawn(coordinateWith(handle.coordinator), { failure: "hold" });
      yield* yieldNow();
      handle.setup();
      const settler = spawn(handle.settled());
      yield* yieldNow();
      yield* first.join();
      yield* yieldNow();
      handle.completed(2);
      // The second has it now, and ends without giving it back either.
      expect(yield* settler.join()).toBe(2);
      expect(yield* second.join()).toMatchObject({ index: 0 });
      // For the next round none of that counts.
      handle.setup();
      handle.completed(3);
      expect(yield* handle.settled()).toBe(3);
      yield* coordinateWith(handle.coordinator);
      handle.coordinator.release();
    });
  });
});

describe("a timer is a handle", () => {
  test("0 when the time was up, -125 when it was cancelled first", () => {
    runChecked(function* () {
      const timer = new Timer();
      timer.setup("2 seconds");
      expect(timer.status).toBe("submitted");
      expect(yield* timer).toBe(0);
      timer.setup(1000);
      expect(thrownBy(() => timer.setup(1)).code).toBe("COOP_BUSY");
      timer.cancel();
      timer.cancel();
      expect([timer.status, timer.result]).toEqual(["done", -125]);
      for (const bad of [-1, Number.NaN, "soon", null]) {
        expectError(
          thrownBy(() => timer.setup(bad as never)),
          UsageError,
          "COOP_DURATION",
          /is not a duration: give milliseconds from 0 up/,
        );
      }
      expect(timer.result).toBe(-125);
    });
  });

  test("outside of a task there is nobody it could belong to", () => {
    expect(thrownBy(() => new Timer().setup(1)).code).toBe("COOP_NO_TASK");
  });

  test("the level 0 loop of the documentation: an operation, a timer, a kill", () => {
    const ends: string[] = [];
    const body = (how: "done" | "late" | "kill") => {
      const rt = new VirtualRuntime();
      const handle = new TestHandle();
      const task = rt.cooperator.spawn(
        op(function* () {
          const timer = new Timer();
          handle.setup();
          timer.setup("2 seconds");
          const first = yield* coordinateWithKill(handle.coordinator, timer.coordinator);
          if (first.killed || first.coordinator === timer.coordinator) {
            handle.cancel();
            ends.push(`${how}: ${first.index} ${yield* handle.settled()}`);
          } else ends.push(`${how}: ${first.index} ${handle.result}`);
        })(),
        { failure: "hold" },
      );
      rt.settle();
      if (how === "done") handle.completed(3);
      if (how === "late") {
        rt.advance(2000);
        rt.settle();
        handle.completed(-125);
      }
      if (how === "kill") {
        task.kill();
        rt.settle();
        handle.completed(2);
      }
      rt.settle();
      expect(task.exit?.status).toBe(how === "kill" ? "killed" : "done");
      checked(rt);
    };
    body("done");
    body("late");
    body("kill");
    expect(ends).toEqual(["done: 0 3", "late: 1 -125", "kill: -1 2"]);
  });

  test("kills at every point of a program of timers leave none armed", () => {
    const { points } = exhaustive(() => ({
      *body() {
        const lapping = op(function* (length: number) {
          const timer = new Timer();
          const other = new Timer();
          for (let i = 0; i < 3; i++) {
            timer.setup(length);
            other.setup(length * 2);
            const gate = new Coordinator({ held: true, name: "never" });
            yield* coordinateWith(gate, timer.coordinator);
            timer.coordinator.release();
            other.cancel();
            yield* shield(other.settled());
          }
        });
        const tasks = [spawn(lapping(3)), spawn(lapping(5))];
        for (const task of tasks) yield* task.settled();
        expect(self().name).toBe("main");
      },
    }));
    expect(points).toBeGreaterThan(15);
  });
});
