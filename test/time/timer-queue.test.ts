import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Cooperator } from "../../src/coordinator/index.ts";
import { type Alarm, FIRED_PER_TURN_MAX, type Timed, TimerQueue } from "../../src/time/timer-queue.ts";

class Timer implements Timed {
  deadline = 0;
  order = 0;
  heapIndex = -1;
  readonly id: number;
  private readonly fired: number[];
  constructor(id: number, fired: number[]) {
    this.id = id;
    this.fired = fired;
  }
  fire(): void {
    expect(this.heapIndex).toBe(-1);
    this.fired.push(this.id);
  }
}

/** A queue on a clock that is set by hand; what it asks of the host's one alarm is written down. */
class Bench {
  time = 0;
  readonly fired: number[] = [];
  readonly alarm: (number | null)[] = [];
  readonly queue: TimerQueue;
  constructor() {
    const cooperator = new Cooperator({
      host: {
        requestTurn() {},
        panic(error) {
          throw error;
        },
      },
      now: () => this.time,
    });
    const alarm: Alarm = {
      arm: (deadline) => this.alarm.push(deadline),
      disarm: () => this.alarm.push(null),
    };
    this.queue = new TimerQueue(cooperator, alarm);
    cooperator.timers = this.queue;
  }
  timer(id: number): Timer {
    return new Timer(id, this.fired);
  }
}

// ---------------------------------------------------------------------------------------------------------
// Against a list

/** Enough for a heap of four levels, in which a removal may have to sift up as well as down. */
const TIMERS = 40;

type Action =
  | { readonly kind: "arm"; readonly timer: number; readonly delay: number }
  | { readonly kind: "disarm"; readonly timer: number }
  | { readonly kind: "advance"; readonly by: number };

const action: fc.Arbitrary<Action> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant("arm" as const),
      timer: fc.nat(TIMERS - 1),
      delay: fc.oneof(
        fc.nat(5),
        { weight: 3, arbitrary: fc.nat(200) },
        fc.constant(Number.POSITIVE_INFINITY),
      ),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("disarm" as const), timer: fc.nat(TIMERS - 1) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("advance" as const), by: fc.nat(20) }) },
);

function compare(actions: readonly Action[]): void {
  const bench = new Bench();
  const { queue, fired } = bench;
  const timers = Array.from({ length: TIMERS }, (_, id) => bench.timer(id));
  /** Armed timers in the order of arming. */
  let model: { id: number; deadline: number }[] = [];
  for (const step of actions) {
    if (step.kind === "arm") {
      const deadline = bench.time + step.delay;
      queue.arm(timers[step.timer]!, deadline);
      model = model.filter(({ id }) => id !== step.timer);
      if (deadline !== Number.POSITIVE_INFINITY) model.push({ id: step.timer, deadline });
    } else if (step.kind === "disarm") {
      expect(queue.disarm(timers[step.timer]!)).toBe(model.some(({ id }) => id === step.timer));
      model = model.filter(({ id }) => id !== step.timer);
    } else {
      bench.time += step.by;
      fired.length = 0;
      const due = model.filter(({ deadline }) => deadline <= bench.time);
      model = model.filter(({ deadline }) => deadline > bench.time);
      // A stable sort: equal deadlines stay in the order of arming.
      due.sort((a, b) => a.deadline - b.deadline);
      expect(queue.expire()).toBe(due.length);
      expect(fired).toEqual(due.map(({ id }) => id));
    }
    queue.validate();
    expect(queue.size).toBe(model.length);
    expect(queue.next).toBe(Math.min(...model.map(({ deadline }) => deadline)));
    const armed = new Set(model.map(({ id }) => id));
    const misplaced = timers.filter(({ id, heapIndex }) => (heapIndex !== -1) !== armed.has(id));
    if (misplaced.length > 0) throw new Error("a timer is armed and does not know, or the other way round");
  }
}

test("agrees with a list under random arming, disarming and advancing", () => {
  fc.assert(fc.property(fc.array(action, { minLength: 20, maxLength: 200, size: "max" }), compare), {
    numRuns: 150,
    seed: 7,
  });
});

test("negative control: the comparison notices a disarm that does not restore the heap", () => {
  const prototype = TimerQueue.prototype as unknown as { siftUp: (...args: unknown[]) => void };
  const original = prototype.siftUp;
  // Only wrong where it matters: a timer that replaces a removed one is left where it is put.
  prototype.siftUp = function lazy(this: { heap: Timed[] }, ...args: unknown[]) {
    const [timer, index] = args as [Timed, number];
    if (index === this.heap.length) original.apply(this, args);
    else {
      this.heap[index] = timer;
      timer.heapIndex = index;
    }
  } as typeof original;
  try {
    expect(() =>
      fc.assert(fc.property(fc.array(action, { minLength: 20, maxLength: 200, size: "max" }), compare), {
        numRuns: 150,
        seed: 7,
        endOnFailure: true,
      }),
    ).toThrow(/Property failed/);
  } finally {
    prototype.siftUp = original;
  }
});

test("validate sees a wrong index and a wrong order", () => {
  for (const damage of [
    (timers: Timer[]) => (timers[3]!.heapIndex = 7),
    (timers: Timer[]) => (timers[9]!.deadline = -1),
    (timers: Timer[]) => (timers[0]!.deadline = 1e9),
  ]) {
    const bench = new Bench();
    const timers = Array.from({ length: 10 }, (_, id) => bench.timer(id));
    for (const timer of timers) bench.queue.arm(timer, 10 + timer.id);
    bench.queue.validate();
    damage(timers);
    expect(() => bench.queue.validate()).toThrow(/a timer is not where it thinks|timers are out of order/);
  }
});

test("a thousand timers with equal deadlines fire in the order of arming, whoever leaves meanwhile", () => {
  const bench = new Bench();
  const timers = Array.from({ length: 1000 }, (_, id) => bench.timer(id));
  for (const timer of timers) bench.queue.arm(timer, 50);
  for (let i = 0; i < 1000; i += 3) bench.queue.disarm(timers[i]!);
  bench.queue.validate();
  bench.time = 50;
  bench.queue.expire();
  expect(bench.fired).toEqual(timers.map(({ id }) => id).filter((id) => id % 3 !== 0));
});

test("fires never early and at the very nanosecond", () => {
  const bench = new Bench();
  bench.queue.arm(bench.timer(1), 1000);
  bench.time = 999;
  expect(bench.queue.expire()).toBe(0);
  bench.time = 1000;
  expect(bench.queue.expire()).toBe(1);
});

test("a timer may arm itself again and disarm others while it fires", () => {
  const bench = new Bench();
  const victim = bench.timer(9);
  let rounds = 0;
  class Again extends Timer {
    override fire(): void {
      super.fire();
      bench.queue.disarm(victim);
      if (++rounds < 3) bench.queue.arm(this, bench.time + 10);
    }
  }
  bench.queue.arm(new Again(1, bench.fired), 10);
  bench.queue.arm(victim, 10);
  for (const at of [10, 20, 30, 40]) {
    bench.time = at;
    bench.queue.expire();
    bench.queue.validate();
  }
  expect(bench.fired).toEqual([1, 1, 1]);
});

test("a turn fires a bounded number; the rest are due in the next", () => {
  const bench = new Bench();
  const count = FIRED_PER_TURN_MAX * 2 + 5;
  for (let id = 0; id < count; id++) bench.queue.arm(bench.timer(id), 10);
  bench.time = 10;
  expect(bench.queue.expire()).toBe(FIRED_PER_TURN_MAX);
  // The alarm asks for the next turn at once.
  expect(bench.alarm.at(-1)).toBe(10);
  expect(bench.queue.expire()).toBe(FIRED_PER_TURN_MAX);
  expect(bench.queue.expire()).toBe(5);
  expect(bench.fired).toEqual(Array.from({ length: count }, (_, id) => id));
});

describe("the host's one alarm", () => {
  test("is set for the earliest, moved only when an earlier one comes, and taken off when none is left", () => {
    const bench = new Bench();
    const [a, b, c] = [bench.timer(1), bench.timer(2), bench.timer(3)] as const;
    bench.queue.expire();
    expect(bench.alarm).toEqual([]);
    bench.queue.arm(a, 100);
    bench.queue.expire();
    bench.queue.arm(b, 200);
    bench.queue.expire();
    expect(bench.alarm).toEqual([100]);
    bench.queue.arm(c, 50);
    bench.queue.expire();
    expect(bench.alarm).toEqual([100, 50]);
    bench.time = 50;
    bench.queue.expire();
    expect(bench.alarm).toEqual([100, 50, 100]);
    bench.queue.disarm(a);
    bench.queue.disarm(b);
    bench.queue.expire();
    expect(bench.alarm).toEqual([100, 50, 100, null]);
    bench.queue.expire();
    expect(bench.alarm).toHaveLength(4);
  });

  test("is never set for a time that never comes", () => {
    const bench = new Bench();
    bench.queue.arm(bench.timer(1), Number.POSITIVE_INFINITY);
    bench.queue.expire();
    expect(bench.alarm).toEqual([]);
    expect(bench.queue.size).toBe(0);
  });

  test("always covers the earliest timer after a turn", () => {
    fc.assert(
      fc.property(fc.array(action, { maxLength: 80 }), (actions) => {
        const bench = new Bench();
        const timers = Array.from({ length: TIMERS }, (_, id) => bench.timer(id));
        for (const step of actions) {
          if (step.kind === "arm") bench.queue.arm(timers[step.timer]!, bench.time + step.delay);
          else if (step.kind === "disarm") bench.queue.disarm(timers[step.timer]!);
          else bench.time += step.by;
          bench.queue.expire();
          const set = bench.alarm.at(-1) ?? Number.POSITIVE_INFINITY;
          expect(set).toBeLessThanOrEqual(bench.queue.next);
        }
      }),
      { numRuns: 200, seed: 9 },
    );
  });
});

test("a kernel timeout releases its coordinator once and calls back in the same turn", () => {
  const bench = new Bench();
  let called = 0;
  const timeout = bench.queue.after("1 us", () => called++);
  expect(timeout.coordinator.held).toBe(true);
  bench.time = 999;
  bench.queue.expire();
  expect(called).toBe(0);
  bench.time = 1000;
  bench.queue.expire();
  expect([called, timeout.coordinator.held]).toEqual([1, false]);
  timeout.disarm();
  const other = bench.queue.after(5);
  other.disarm();
  other.disarm();
  expect(bench.queue.size).toBe(0);
});
