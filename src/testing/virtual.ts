/**
 * Programs on a virtual clock: time stands still while a task can run and jumps to the next timer when all
 * are blocked. Nothing sleeps, and a run is the same every time.
 */
import { Cooperator, type CooperatorStatistics, type Report } from "../coordinator/cooperator.ts";
import { deadlockError } from "../coordinator/deadlock.ts";
import { meetAgain } from "../coordinator/kill.ts";
import type { Body } from "../coordinator/operation.ts";
import type { Chooser } from "../coordinator/run-queue.ts";
import type { Task } from "../coordinator/task.ts";
import { allTasks } from "../coordinator/walk.ts";
import { TimerQueue } from "../time/timer-queue.ts";
import { ambientSeed } from "./ambient-seed.ts";
import { Order } from "./order.ts";

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
}

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
  private time = 0;
  private panicked: unknown = null;

  constructor(options?: VirtualOptions) {
    this.seed = options?.seed === undefined ? takeAmbientSeed() : options.seed;
    const trace: number[] = [];
    this.trace = trace;
    const traced = options?.trace === true;
    this.cooperator = new Cooperator({
      host: { requestTurn() {}, panic: (error) => (this.panicked = (error as Error).cause ?? error) },
      name: "virtual",
      report: (report) => this.reports.push(report),
      now: () => this.time,
      ...(options?.stallAfter === undefined ? {} : { stallAfter: options.stallAfter }),
      chooser: this.seed === null && !traced ? this.chooser() : new Order(this.seed, traced ? trace : null),
    });
    this.timers = new TimerQueue(this.cooperator, { arm() {}, disarm() {} });
    this.cooperator.timers = this.timers;
  }

  /** @internal What picks when no seed does. */
  protected chooser(): Chooser | null {
    return null;
  }

  /** Virtual milliseconds since the start. */
  get now(): number {
    return this.time / 1e6;
  }

  /** Moves the clock; timers that become due fire in the next turn. Time never goes back. */
  advance(milliseconds: number): void {
    if (!(milliseconds >= 0)) throw new RangeError("time does not go back");
    this.time += milliseconds * 1e6;
  }

  /** Runs turns until no task is ready. Time stands still. */
  settle(): void {
    while (this.turn()) {
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
    this.time = Math.max(this.time, next);
    return true;
  }

  /** Runs turns, and jumps to the next timer whenever all tasks are blocked, until nothing can happen. */
  drain(): void {
    do this.settle();
    while (this.jump() || this.cutCleanups());
  }

  /**
   * Like {@link VirtualRuntime.drain}, for programs with promises in them: whenever no task is ready, the promise
   * jobs of the language get their turn before the clock jumps. What takes real time is not waited for.
   */
  async drainAsync(): Promise<void> {
    do {
      do this.settle();
      while (await this.letJobsRun());
    } while (this.jump() || this.cutCleanups());
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
   * Spawns `body` at the root, runs until nothing can happen any more, and gives the task.
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
    if (this.cooperator.live === 0) return;
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
  ambient.taken++;
  return ambient.seed;
}
