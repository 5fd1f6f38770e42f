/**
 * Three priorities and one lock: the urgent task waits for one that nothing would ever run, were it not for ageing.
 * See docs/design/priorities.md for the bound.
 */
import { expect, test } from "vitest";
import {
  HIGH,
  LOW,
  NORMAL,
  type Operation,
  op,
  type Priority,
  self,
  spawn,
  yieldNow,
} from "../../src/coordinator/index.ts";
import { AGEING } from "../../src/coordinator/scheduler/run-queue.ts";
import { Channel, Mutex } from "../../src/sync/index.ts";
import { VirtualRuntime } from "../../src/testing/virtual.ts";
import { checked } from "../support/harness.ts";

const steps = op(function* (count: number) {
  for (let i = 0; i < count; i++) yield* yieldNow();
});

/** Always has something to do. */
const busy = op(function* () {
  for (;;) yield* yieldNow();
});

/**
 * A `LOW` task takes what a `HIGH` one then waits for, and has `left` steps to go; of the priorities in between, and of
 * `HIGH` itself if `rivals` says so, there is always somebody ready.
 *
 * @returns the steps of all from the moment the `HIGH` task began to wait until it went on.
 */
function inversion(
  left: number,
  rivals: readonly Priority[],
  hold: (during: Operation<unknown>) => Operation<unknown>,
  want: () => Operation<unknown>,
): number {
  const rt = new VirtualRuntime({ seed: null });
  let waited = 0;
  rt.run(function* () {
    spawn(hold(steps(left)), { priority: LOW });
    self().cooperator.setPriority(self(), LOW);
    // The LOW task has taken it.
    yield* yieldNow();
    const urgent = spawn(
      function* () {
        const before = rt.statistics().steps;
        yield* want();
        waited = rt.statistics().steps - before;
      },
      { priority: HIGH },
    );
    for (const priority of rivals) spawn(busy(), { priority, name: "busy" });
    self().cooperator.setPriority(self(), HIGH);
    yield* urgent.join();
  });
  checked(rt);
  return waited;
}

/** What the holder has left, and one step to release it in; each after at most so many of others. */
const bound = (left: number): number => (left + 1) * AGEING + 1;

function mutexInversion(left: number, rivals: readonly Priority[]): number {
  const mutex = new Mutex();
  return inversion(
    left,
    rivals,
    (during) => mutex.withLock(during),
    () => mutex.withLock(yieldNow()),
  );
}

test("T4 O5 an inversion of three priorities ends within 64 steps for each step that the holder has left", () => {
  for (const left of [0, 1, 5, 40]) {
    const waited = mutexInversion(left, [NORMAL]);
    expect(waited).toBeLessThanOrEqual(bound(left));
    // It is the ageing that ends it: without it the holder would not have run at all.
    expect(waited).toBeGreaterThan(left * (AGEING - 2));
  }
});

test("T4 O5 the same with work of the highest priority, and of both", () => {
  for (const rivals of [[HIGH], [HIGH, NORMAL], [HIGH, HIGH, NORMAL, NORMAL]] as const) {
    for (const left of [1, 10]) {
      // Once it is released the urgent task has its turn among its like.
      expect(mutexInversion(left, rivals)).toBeLessThanOrEqual(bound(left) + 2 * rivals.length + 2);
    }
  }
});

test("O5 the bound holds for waits that have no owner: a channel that a LOW task sends to", () => {
  const channel = new Channel<number>();
  const waited = inversion(
    10,
    [NORMAL],
    op(function* (during: Operation<unknown>) {
      yield* during;
      yield* channel.send(1);
    }),
    () => channel.receive(),
  );
  expect(waited).toBeLessThanOrEqual(bound(10));
});

test("O5 whoever holds what urgent work waits for can be raised by hand, and then waits for nobody", () => {
  const mutex = new Mutex();
  const waited = inversion(
    40,
    [NORMAL],
    (during) => mutex.withLock(during),
    () => {
      const { owner } = mutex;
      if (owner !== null) owner.cooperator.setPriority(owner, HIGH);
      return mutex.withLock(yieldNow());
    },
  );
  expect(waited).toBeLessThanOrEqual(2 * 40 + 4);
});
