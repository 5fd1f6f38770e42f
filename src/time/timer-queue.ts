/**
 * All timers of a cooperator in one heap, and at most one alarm of the host for the earliest.
 *
 * Arming and disarming cost O(log n) and no system call; equal deadlines fire in the order of arming.
 * A timer never fires early: it is compared with the same clock its deadline was made of.
 * Source: seeds C-155, X-50; design §4 (timers).
 */

import { Coordinator } from "../coordinator/coordinator.ts";
import { invariant } from "../coordinator/errors.ts";
import type { Cooperator } from "../coordinator/scheduler/cooperator.ts";
import type { Timeout, Timers } from "../coordinator/scheduler/timers.ts";
import { nanoseconds } from "./duration.ts";

/** What sits in the heap. The fields belong to the queue while `heapIndex` is not -1. */
export interface Timed {
  /** @internal Nanoseconds of the cooperator's clock. */
  deadline: number;
  /** @internal Order of arming, for equal deadlines. */
  order: number;
  /** @internal Place in the heap, -1 when not armed. */
  heapIndex: number;
  /** @internal Called once, after the timer has left the heap. */
  fire(): void;
}

/** The host's one timer. */
export interface Alarm {
  /** Asks for a turn at `deadline` or a little later; replaces an earlier request. */
  arm(deadline: number): void;
  /** Takes the request back. */
  disarm(): void;
}

/** Timers fired in one turn before tasks get to run. Larger delays tasks more when many are due at once. */
export const FIRED_PER_TURN_MAX = 1024;

/** Children per node: 4 makes the heap shallow, and siblings share cache lines. */
const ARITY = 4;

export class TimerQueue implements Timers {
  private readonly heap: Timed[] = [];
  private readonly cooperator: Cooperator;
  private readonly alarm: Alarm;
  private order = 0;
  /** What the alarm is set to, Infinity when it is not. */
  private armedFor = Number.POSITIVE_INFINITY;

  constructor(cooperator: Cooperator, alarm: Alarm) {
    this.cooperator = cooperator;
    this.alarm = alarm;
  }

  get size(): number {
    return this.heap.length;
  }

  /** The earliest deadline, Infinity when there is none. */
  get next(): number {
    return this.heap.length === 0 ? Number.POSITIVE_INFINITY : this.heap[0]!.deadline;
  }

  nanoseconds(duration: number | string): number {
    return nanoseconds(duration);
  }

  after(duration: number | string, onFire?: () => void): Timeout {
    return this.at(this.cooperator.now() + nanoseconds(duration), onFire);
  }

  at(deadline: number, onFire?: () => void): Timeout {
    const timeout = new CoordinatorTimeout(this, onFire ?? null);
    this.arm(timeout, deadline);
    return timeout;
  }

  /** The clock, in nanoseconds. */
  now(): number {
    return this.cooperator.now();
  }

  /** Arms `timer` for `deadline`; one that is armed already is moved. Infinity never fires. */
  arm(timer: Timed, deadline: number): void {
    if (timer.heapIndex !== -1) this.disarm(timer);
    timer.deadline = deadline;
    timer.order = this.order++;
    if (deadline === Number.POSITIVE_INFINITY) return;
    this.siftUp(timer, this.heap.length);
  }

  /** Takes `timer` off. Returns false when it was not armed. */
  disarm(timer: Timed): boolean {
    const index = timer.heapIndex;
    if (index === -1) return false;
    timer.heapIndex = -1;
    const last = this.heap.pop()!;
    if (last !== timer) {
      if (index > 0 && before(last, this.heap[parentOf(index)]!)) this.siftUp(last, index);
      else this.siftDown(last, index);
    }
    return true;
  }

  expire(): number {
    let fired = 0;
    if (this.heap.length > 0) {
      const now = this.cooperator.now();
      for (; fired < FIRED_PER_TURN_MAX; fired++) {
        const timer = this.heap[0];
        if (timer === undefined || timer.deadline > now) break;
        this.disarm(timer);
        timer.fire();
      }
      if (now >= this.armedFor) this.armedFor = Number.POSITIVE_INFINITY;
    }
    // An alarm for a timer that is gone costs one idle wake-up at most; it is not worth a call to move it.
    const next = this.next;
    if (next < this.armedFor) {
      this.armedFor = next;
      this.alarm.arm(next);
    } else if (next === Number.POSITIVE_INFINITY && this.armedFor !== next) {
      this.armedFor = next;
      this.alarm.disarm();
    }
    return fired;
  }

  /** The host's alarm went off, early by its own clock perhaps: the next `expire` sets it again if need be. */
  alarmFired(): void {
    this.armedFor = Number.POSITIVE_INFINITY;
  }

  /** What is armed, in the order of firing. For tests. */
  armed(): Timed[] {
    return [...this.heap].sort((a, b) => (before(a, b) ? -1 : 1));
  }

  /** Checks order and indexes. O(n), for tests. */
  validate(): void {
    for (let i = 0; i < this.heap.length; i++) {
      invariant(this.heap[i]!.heapIndex === i, "a timer is not where it thinks");
      if (i > 0) invariant(!before(this.heap[i]!, this.heap[parentOf(i)]!), "timers are out of order");
    }
  }

  private siftUp(timer: Timed, from: number): void {
    const { heap } = this;
    let index = from;
    while (index > 0) {
      const parent = parentOf(index);
      const above = heap[parent]!;
      if (!before(timer, above)) break;
      heap[index] = above;
      above.heapIndex = index;
      index = parent;
    }
    heap[index] = timer;
    timer.heapIndex = index;
  }

  private siftDown(timer: Timed, from: number): void {
    const { heap } = this;
    const { length } = heap;
    let index = from;
    for (;;) {
      const first = index * ARITY + 1;
      if (first >= length) break;
      let least = first;
      const end = Math.min(first + ARITY, length);
      for (let child = first + 1; child < end; child++) {
        if (before(heap[child]!, heap[least]!)) least = child;
      }
      const below = heap[least]!;
      if (!before(below, timer)) break;
      heap[index] = below;
      below.heapIndex = index;
      index = least;
    }
    heap[index] = timer;
    timer.heapIndex = index;
  }
}

function parentOf(index: number): number {
  return ((index - 1) / ARITY) | 0;
}

function before(a: Timed, b: Timed): boolean {
  return a.deadline < b.deadline || (a.deadline === b.deadline && a.order < b.order);
}

/** A timeout for the kernel: a coordinator that is released when the time is up. */
class CoordinatorTimeout implements Timeout, Timed {
  deadline = 0;
  order = 0;
  heapIndex = -1;
  readonly coordinator: Coordinator = new Coordinator({ held: true, name: "timeout" });
  private readonly queue: TimerQueue;
  private readonly onFire: (() => void) | null;

  constructor(queue: TimerQueue, onFire: (() => void) | null) {
    this.queue = queue;
    this.onFire = onFire;
  }

  fire(): void {
    this.coordinator.release();
    this.onFire?.();
  }

  disarm(): void {
    this.queue.disarm(this);
  }
}

/** @internal The queue that `time/` has plugged into a cooperator. */
export function timerQueueOf(cooperator: Cooperator): TimerQueue {
  return cooperator.requireTimers() as TimerQueue;
}
