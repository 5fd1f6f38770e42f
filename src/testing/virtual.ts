/**
 * Programs on a virtual clock: time stands still while a task can run and jumps to the next timer when all
 * are blocked. Nothing sleeps, and a run is the same every time.
 *
 * When no task is ready, the first of these that can happen does: those who wait until all are blocked go on; the
 * clock jumps; clean-up that would wait for ever is cut short.
 */

import { deadlockError } from "../coordinator/diagnosis/deadlock.ts";
import { meetAgain } from "../coordinator/kill/kill.ts";
import type { Body } from "../coordinator/operation.ts";
import { checkOptions, type Known } from "../coordinator/options.ts";
import { Cooperator, type CooperatorStatistics, type Report } from "../coordinator/scheduler/cooperator.ts";
import type { Chooser } from "../coordinator/scheduler/run-queue.ts";
import type { Task } from "../coordinator/task/task.ts";
import { allTasks } from "../coordinator/task/walk.ts";
import { TimerQueue } from "../time/timer-queue.ts";
import { allBlocked, expectBlocked } from "./all-blocked.ts";
import { ambientSeed, checkSeed } from "./ambient-seed.ts";
import { Order } from "./order.ts";
import { type ClockOptions, VirtualClock } from "./virtual-clock.ts";

export interface VirtualOptions {
  /**
   * Tasks that are ready run in an order made of this seed; null is first come, first served. Default: the seed
   * of the `runSeeds` around, or null.
   */
  readonly seed?: number | null;
  /** Keep the ids of the tasks in the order of their steps, in `trace`. Default false. */
  readonly trace?: boolean;
  /** Reports every step in which the clock moves by more than this, in milliseconds. */
  readonly stallAfter?: number;
  /** Jump to the next timer when all tasks are blocked. Default true; without it only `advance` moves the clock. */
  readonly autojump?: boolean;
  /** A clock that also moves by itself. Its tasks are run with `runAsync`. */
  readonly clock?: ClockOptions;
}

const KNOWN: Known<VirtualOptions> = {
  seed: true,
  trace: true,
  stallAfter: true,
  autojump: true,
  clock: true,
};

/**
 * Turns of the host's own event loop, with nothing ready in between, before all promise jobs count as done: other
 * runtimes put some of their work off to the next one.
 */
const JOB_ROUNDS = 3;

function nextTurnOfHost(resolve: () => void): void {
  if (typeof setImmediate === "function") setImmediate(resolve);
  else setTimeout(resolve, 0);
}

/** A cooperator whose turns are run by hand, on a clock that only moves when told. */
export class VirtualRuntime {
  readonly cooperator: Cooperator;
  readonly timers: TimerQueue;
  /** What no task could be told of, in order. */
  readonly reports: Report[] = [];
  /** What made the order of ready tasks; null is first come, first served. */
  readonly seed: number | null;
  /** The id of the task of each step, when the options asked for it. */
  readonly trace: readonly number[];
  private readonly clock: VirtualClock;
  private readonly autojump: boolean;
  private panicked: unknown = null;

  constructor(options?: VirtualOptions) {
    checkOptions(options, "a virtual runtime", KNOWN);
    const clock = new VirtualClock(options?.clock);
    this.clock = clock;
    this.autojump = options?.autojump ?? true;
    const seed = options?.seed === undefined ? takeAmbientSeed() : options.seed;
    this.seed = seed === null ? null : checkSeed(seed, "the seed of a virtual runtime");
    const trace: number[] = [];
    this.trace = trace;
    const traced = options?.trace === true;
    this.cooperator = new Cooperator({
      host: { requestTurn() {}, panic: (error) => (this.panicked = (error as Error).cause ?? error) },
      name: "virtual",
      report: (report) => this.reports.push(report),
      now: () => clock.now(),
      ...(options?.stallAfter === undefined ? {} : { stallAfter: options.stallAfter }),
      chooser: this.seed === null && !traced ? this.chooser() : new Order(this.seed, traced ? trace : null),
    });
    this.timers = new TimerQueue(this.cooperator, { arm() {}, disarm() {} });
    this.cooperator.timers = this.timers;
    expectBlocked(this.cooperator);
  }

  /** @internal What picks when no seed does. */
  protected chooser(): Chooser | null {
    return null;
  }

  /** Virtual milliseconds since the start. */
  get now(): number {
    return this.clock.now() / 1e6;
  }

  /** Moves the clock; timers that become due fire in the next turn. Time never goes back. */
  advance(milliseconds: number): void {
    if (typeof milliseconds !== "number") throw new RangeError("the clock is moved by milliseconds");
    this.clock.advance(milliseconds * 1e6);
  }

  /** Runs turns until no task is ready, nor waits until all are blocked. The clock does not jump. */
  settle(): void {
    while (this.turn() || allBlocked(this.cooperator)) {
      /* until nothing is ready */
    }
  }

  /** One turn of the scheduler; true when tasks are ready for another. */
  protected turn(): boolean {
    const more = this.cooperator.turn();
    if (this.panicked !== null) throw this.panicked;
    return more;
  }

  /** Moves the clock to the next timer. False when none is armed. */
  protected jump(): boolean {
    const { next } = this.timers;
    if (next === Number.POSITIVE_INFINITY) return false;
    this.clock.jumpTo(next);
    return true;
  }

  /** Runs turns, and jumps to the next timer whenever all tasks are blocked, until nothing can happen. */
  drain(): void {
    do this.settle();
    while (this.autojump ? this.jump() || this.cutCleanups() : this.timers.size === 0 && this.cutCleanups());
  }

  /**
   * Like {@link VirtualRuntime.drain}, for programs that the host has a part in: tasks that wait for promises, for
   * io, or for a clock that has a rate. Whenever no task is ready, promise jobs get their turn; then, while io is in
   * flight the clock does not jump. A promise that takes real time is not waited for.
   */
  async drainAsync(): Promise<void> {
    for (;;) {
      do this.settle();
      while (await this.letJobsRun());
      const { inflight, timers } = this.statistics();
      if ((inflight > 0 && this.ioIsReal) || this.timers.next <= this.clock.now()) continue;
      if (!this.autojump && timers > 0) {
        if (this.clock.rate === 0) return;
      } else if (!(this.autojump && this.jump()) && !this.cutCleanups()) return;
    }
  }

  /** What is in flight ends in real time, and not on this clock. */
  protected get ioIsReal(): boolean {
    return true;
  }

  /** Like {@link VirtualRuntime.run}, for programs with promises in them. */
  async runAsync<A>(body: Body<A>): Promise<Task<A>> {
    const task = this.start(body);
    await this.drainAsync();
    this.checkEnded();
    return task;
  }

  /** Lets all promise jobs run that are there, and those they make; true when a task is ready afterwards. */
  private async letJobsRun(): Promise<boolean> {
    for (let round = 0; round < JOB_ROUNDS; round++) {
      await new Promise<void>(nextTurnOfHost);
      if (this.cooperator.statistics().ready > 0) return true;
    }
    return false;
  }

  /**
   * Spawns `body` at the root, runs until nothing can happen any more, and gives the task. Without `autojump` it
   * may still live, and wait for the clock: `advance` and `drain` go on with it.
   *
   * @throws {DeadlockError} with the tree, when tasks are blocked and nothing can wake them.
   */
  run<A>(body: Body<A>): Task<A> {
    const task = this.start(body);
    this.drain();
    this.checkEnded();
    return task;
  }

  private start<A>(body: Body<A>): Task<A> {
    const task = this.cooperator.spawn(body, { name: "main", failure: "hold" });
    task.observe();
    return task;
  }

  private checkEnded(): void {
    // Without autojump it may be the clock that all wait for, and that is the caller's to move.
    if (this.cooperator.live === 0 || this.timers.size > 0) return;
    throw deadlockError(this.cooperator);
  }

  statistics(): CooperatorStatistics {
    return this.cooperator.statistics();
  }

  /** Nothing can wake anybody: clean-up that still waits will wait for ever, unless its kill is repeated. */
  protected cutCleanups(): boolean {
    let cut = false;
    for (const task of allTasks(this.cooperator.tasks())) if (meetAgain(task)) cut = true;
    return cut;
  }
}

/**
 * Runs `body` on a fresh virtual clock and gives its value; throws what it throws.
 *
 * @example const value = runVirtual(function* () { yield* sleep("1 hour"); return 42; });
 */
export function runVirtual<A>(body: Body<A>, options?: VirtualOptions): A {
  return new VirtualRuntime(options).run(body).result;
}

function takeAmbientSeed(): number | null {
  const ambient = ambientSeed();
  if (ambient.ordered) return null;
  ambient.taken++;
  return ambient.seed;
}
