/** The seed's ContinuationTest. Mixed waiters keep strict order here, which they do not in the seed. */
import { expect, test } from "vitest";
import { Coordinator, spawn, yieldNow } from "../../src/coordinator/index.ts";
import { sleep } from "../../src/time/index.ts";
import { runChecked } from "../support/harness.ts";
import { thrownBy } from "../support/thrown.ts";

test("ContinuationTest FiresOnReleaseAndAwaitReturns", () => {
  const gate = new Coordinator({ held: true });
  runChecked(function* () {
    let fired = false;
    const continuation = gate.continue(() => {
      fired = true;
      return 42;
    });
    yield* yieldNow();
    expect(fired).toBe(false);
    gate.release();
    expect(fired).toBe(false);
    expect(yield* continuation).toBe(42);
  }, gate);
});

test("ContinuationTest CancelPreventsFire: true the first time, and not after it has fired", () => {
  const gate = new Coordinator({ held: true });
  runChecked(function* () {
    const cancelled = gate.continue(() => expect.unreachable());
    const fires = gate.continue(() => 1);
    expect([cancelled.cancel(), cancelled.cancel()]).toEqual([true, false]);
    gate.release();
    yield* fires;
    expect(fires.cancel()).toBe(false);
  }, gate);
});

test("ContinuationTest VoidContinuation", () => {
  const gate = new Coordinator();
  runChecked(function* () {
    expect(yield* gate.continue(() => {})).toBe(undefined);
  }, gate);
});

test("ContinuationTest DropWhilePendingCancels: the end of its maker, waiting or due", () => {
  const gate = new Coordinator({ held: true });
  runChecked(function* () {
    yield* spawn(function* () {
      gate.continue(() => expect.unreachable());
    }).join();
    expect(gate.waiting).toBe(0);
    yield* spawn(function* () {
      gate.continue(() => expect.unreachable());
      gate.release();
      expect(gate.held).toBe(true);
    }).join();
    expect(gate.held).toBe(false);
    yield* sleep(1);
  }, gate);
});

// In the seed the contexts behind a continuation stay asleep until somebody releases again, and others barge in.
test("ContinuationTest MixedContextAndContinuationWaiters: strictly first come, first served", () => {
  const gate = new Coordinator({ held: true });
  const order: string[] = [];
  runChecked(function* () {
    for (const name of ["a", "b", "c", "d", "e", "f"]) {
      if ("ace".includes(name)) {
        spawn(function* () {
          yield* gate.acquire();
          order.push(name);
          yield* yieldNow();
          gate.release();
        });
        yield* yieldNow();
      } else gate.continue(() => order.push(name));
    }
    gate.release();
    for (let i = 0; i < 50; i++) {
      if (gate.waiting > 0) expect(gate.tryAcquire()).toBe(false);
      yield* yieldNow();
    }
    yield* sleep(1);
  }, gate);
  expect(order).toEqual(["a", "b", "c", "d", "e", "f"]);
  expect(gate.held).toBe(false);
});

test("ContinuationTest DetachedFiresAndFrees: without its maker, and nothing of it is left", () => {
  const gate = new Coordinator({ held: true });
  let fired = false;
  runChecked(function* () {
    yield* spawn(function* () {
      gate.continue(
        () => {
          fired = true;
        },
        { detached: true },
      );
    }).join();
    gate.release();
    yield* sleep(1);
  }, gate);
  expect([fired, gate.held]).toEqual([true, false]);
});

test("ContinuationTest DetachedChain", () => {
  const gate = new Coordinator();
  const order: number[] = [];
  runChecked(function* () {
    yield* spawn(function* () {
      const link = (n: number) => (): void => {
        order.push(n);
        if (n < 100) gate.continue(link(n + 1), { detached: true });
      };
      gate.continue(link(1), { detached: true });
    }).join();
    yield* sleep(1);
  }, gate);
  expect(order).toEqual(Array.from({ length: 100 }, (_, i) => i + 1));
});

// A death test in the seed: the assertion is an answer here. The owner's end breaks what waits.
test("ContinuationTest LeakedWaiterTripsAssert: a waiter whose owner is gone is told, not leaked", () => {
  const gate = new Coordinator();
  runChecked(function* () {
    const owner = spawn(gate.acquire());
    yield* yieldNow();
    const waiter = gate.continue(() => expect.unreachable());
    expect(yield* thrownBy(waiter)).toMatchObject({ code: "COOP_OWNER_ENDED" });
    yield* owner.join();
  }, gate);
});

// A death test in the seed as well; here a typed error, and the coordinator is free.
test("ContinuationTest SuspendInsideThunkAsserts", () => {
  const gate = new Coordinator();
  runChecked(function* () {
    const waits = gate.continue(() => sleep(1));
    expect(yield* thrownBy(waits)).toMatchObject({ code: "COOP_CALLBACK_WAITS" });
    expect(gate.held).toBe(false);
  }, gate);
});
