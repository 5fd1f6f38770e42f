/**
 * Runnable tasks: three priorities, first in first out inside each.
 *
 * A higher priority goes first, but after {@link AGEING} steps in a row from above a waiting lower one the
 * lower one gets a step: priorities order work, they never starve it.
 */
import { UsageError } from "../errors.ts";
import type { Task } from "../task/task.ts";

/** 0 before 1 before 2. */
export type Priority = 0 | 1 | 2;
export const HIGH: Priority = 0;
export const NORMAL: Priority = 1;
export const LOW: Priority = 2;

/** @internal Throws for what is none. */
export function checkPriority(priority: unknown): void {
  if (priority === HIGH || priority === NORMAL || priority === LOW) return;
  throw new UsageError("COOP_PRIORITY", "a priority is HIGH (0), NORMAL (1) or LOW (2)");
}

/** Steps from above before a waiting lower priority gets one. Larger is stricter, and starves longer. */
export const AGEING = 64;

/** Ready tasks of a priority that a chooser is shown, oldest first. More make a step of a test dearer. */
const CANDIDATES_MAX = 64;

/** Who goes next where the order is nobody's promise: a test's seed, or its search through all orders. */
export interface Chooser {
  /** One of `candidates`, oldest first, never empty; the array is only good for the call. */
  choose(candidates: readonly Task[]): Task;
}

class Level {
  head: Task | null = null;
  tail: Task | null = null;
  /** Steps taken from higher levels while this one waited. */
  passedOver = 0;
}

export class RunQueue {
  private readonly high = new Level();
  private readonly normal = new Level();
  private readonly low = new Level();
  private readonly levels: readonly Level[] = [this.high, this.normal, this.low];
  private count = 0;
  /** Takes the place of first come, first served. Null outside tests. */
  private readonly chooser: Chooser | null;
  /** Tasks that were put in front, which is a promise that no chooser breaks. */
  private readonly inFront = new Set<Task>();

  constructor(chooser: Chooser | null = null) {
    this.chooser = chooser;
  }

  get length(): number {
    return this.count;
  }

  push(task: Task): void {
    const level = this.levelOf(task.priority);
    task.runNext = null;
    if (level.tail === null) level.head = task;
    else level.tail.runNext = task;
    level.tail = task;
    this.count++;
  }

  /** Puts the task in front of its priority. */
  unshift(task: Task): void {
    if (this.chooser !== null) this.inFront.add(task);
    this.putFirst(this.levelOf(task.priority), task);
  }

  shift(): Task | null {
    if (this.count === 0) return null;
    const { high, normal, low } = this;
    if (high.head === null && low.head === null) return this.take(normal);
    if (low.head !== null && (high.head !== null || normal.head !== null) && ++low.passedOver >= AGEING) {
      return this.take(low);
    }
    if (normal.head !== null && high.head !== null && ++normal.passedOver >= AGEING) return this.take(normal);
    return this.take(high.head !== null ? high : normal.head !== null ? normal : low);
  }

  /** Takes a task out of the middle. O(n): only a change of priority needs it. */
  remove(task: Task): boolean {
    const level = this.levelOf(task.priority);
    let before: Task | null = null;
    for (let at = level.head; at !== null; before = at, at = at.runNext) {
      if (at !== task) continue;
      if (before === null) level.head = task.runNext;
      else before.runNext = task.runNext;
      if (level.tail === task) level.tail = before;
      task.runNext = null;
      this.count--;
      if (this.chooser !== null) this.inFront.delete(task);
      return true;
    }
    return false;
  }

  /**
   * For tests, what decides who goes next, beside the chooser, which may take any: how long who has been passed over,
   * and for each task that is ready how many of those that let others go first, or went in front, come before it.
   */
  state(places: Map<Task, number>): readonly number[] {
    const inFront = this.inFront.size > 0;
    return this.levels.map((level) => {
      let place = 0;
      for (let at = level.head; at !== null; at = at.runNext) {
        const kept = inFront || (at.wait !== null && at.wait.letsOthersFirst);
        if (kept) place++;
        places.set(at, place);
        if (kept) place++;
      }
      return level.passedOver;
    });
  }

  private putFirst(level: Level, task: Task): void {
    task.runNext = level.head;
    level.head = task;
    if (level.tail === null) level.tail = task;
    this.count++;
  }

  private take(level: Level): Task {
    if (this.chooser !== null) this.arrange(level, this.chooser);
    const task = level.head!;
    level.head = task.runNext;
    if (level.head === null) level.tail = null;
    level.passedOver = 0;
    task.runNext = null;
    this.count--;
    return task;
  }

  /** Brings the chosen task to the head. One that lets others go first is no candidate before they have gone. */
  private arrange(level: Level, chooser: Chooser): void {
    const head = level.head!;
    const candidates = [head];
    if (!this.inFront.delete(head)) {
      let seen = 1;
      for (let at = head.runNext; at !== null && seen++ < CANDIDATES_MAX; at = at.runNext) {
        if (at.wait === null || !at.wait.letsOthersFirst) candidates.push(at);
      }
    }
    const chosen = chooser.choose(candidates);
    if (chosen !== head && this.remove(chosen)) this.putFirst(level, chosen);
  }

  private levelOf(priority: Priority): Level {
    return this.levels[priority]!;
  }
}
