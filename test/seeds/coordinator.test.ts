/** The seed's CoordinatorTest, on the virtual clock. */
import { expect, test } from "vitest";
import { Coordinator, spawn, yieldNow } from "../../src/coordinator/index.ts";
import { runChecked } from "../support/harness.ts";

test("CoordinatorTest StartsUnheld", () => {
  const gate = new Coordinator();
  expect([gate.held, gate.owner, gate.waiting]).toEqual([false, null, 0]);
});

test("CoordinatorTest TryAcquireSucceeds", () => {
  const gate = new Coordinator();
  expect(gate.tryAcquire()).toBe(true);
  expect(gate.held).toBe(true);
  gate.release();
  expect(gate.held).toBe(false);
});

test("CoordinatorTest TryAcquireFails: a child sees it held", () => {
  const gate = new Coordinator();
  runChecked(function* () {
    expect(gate.tryAcquire()).toBe(true);
    const child = spawn(function* () {
      return gate.tryAcquire();
    });
    expect(yield* child.join()).toBe(false);
    gate.release();
  }, gate);
});

test("CoordinatorTest AcquireBlocks: 0, 1, 2, 3 with a release that switches", () => {
  const gate = new Coordinator();
  const order: number[] = [];
  runChecked(function* () {
    yield* gate.acquire();
    const child = spawn(
      function* () {
        order.push(0);
        yield* gate.acquire();
        order.push(2);
        gate.release();
      },
      { start: "now" },
    );
    order.push(1);
    expect(gate.waiting).toBe(1);
    yield* gate.handOff();
    order.push(3);
    yield* child.join();
  }, gate);
  expect(order).toEqual([0, 1, 2, 3]);
});

test("CoordinatorTest Flash: the child passes the barrier after the release, and keeps nothing", () => {
  const gate = new Coordinator();
  runChecked(function* () {
    yield* gate.acquire();
    let passed = false;
    const child = spawn(function* () {
      yield* gate.flash();
      passed = true;
    });
    yield* yieldNow();
    expect([passed, gate.waiting]).toEqual([false, 1]);
    gate.release();
    yield* child.join();
    expect([passed, gate.held]).toEqual([true, false]);
  }, gate);
});
