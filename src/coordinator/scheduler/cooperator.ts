/**
 * The scheduler: one per thread of control, nothing shared between two of them.
 *
 * It runs on any host. A host calls {@link Cooperator.turn} when it is asked to, and the driver and the
 * clock it plugs in give the turn its phases. Source: seeds C-120 … C-124; design D7, D14.
 */

import { dumpTree } from "../diagnosis/dump.ts";
import { checkInstrument, type Instrument, Probe, StallDetector } from "../diagnosis/instrument.ts";
import { type Report, reportToConsole } from "../diagnosis/report.ts";
import { showTrace } from "../diagnosis/trace.ts";
import { ClosedError, fault, InvariantError, UsageError } from "../errors.ts";
import { hurryTree } from "../kill/hurry.ts";
import { requestKill } from "../kill/kill.ts";
import type { Body } from "../operation.ts";
import { given, nameOf } from "../options.ts";
import { current } from "../task/current.ts";
import { CLEANUP_WAITS_MAX } from "../task/frame.ts";
import { Scope } from "../task/scope.ts";
import { type SpawnOptions, spawnInto } from "../task/spawn.ts";
import { step } from "../task/step.ts";
import type { Task } from "../task/task.ts";
import { BLOCKED, DRAINING, READY } from "../task/task-state.ts";
import { CALLBACKS_PER_TURN_MAX, type Callback, Callbacks, type PostOptions } from "./callbacks.ts";
import { checkCallback } from "./continuation.ts";
import type { CooperatorOptions, CooperatorStatistics, Driver, Host } from "./host.ts";
import { checkPriority, RunQueue } from "./run-queue.ts";
import type { Timers } from "./timers.ts";

export type { Report } from "../diagnosis/report.ts";
export type { CooperatorOptions, CooperatorStatistics, Driver, Host } from "./host.ts";

/** Steps in one batch before io and timers get their turn. Larger is faster and less fair. */
export const BATCH_STEPS_MAX = 256;
/** Steps between two looks at the clock. */
const CLOCK_STRIDE = 32;
/** Time one batch may take, in nanoseconds, before io, timers and the host get their turn. */
export const BATCH_TIME_MAX_NS = 1e6;

/** Clean-up that was cut short and gets stuck once more is cut again after this long. */
const HURRY_AGAIN_MS = 1;

/** The owner of every task that has no parent. */
class RootScope extends Scope {
  override childFailed(errors: readonly unknown[], child: Task): void {
    for (const error of errors) child.cooperator.report({ kind: "failure", task: child, where: "", error });
  }
}

class Counts {
  spawned = 0;
  done = 0;
  failed = 0;
  killed = 0;
  steps = 0;
  turns = 0;
  killsOverridden = 0;
}

export class Cooperator {
  readonly name: string;
  /** Monotonic nanoseconds. */
  readonly now: () => number;
  /** @internal */ readonly spawnSites: boolean;
  /** @internal */ readonly counts = new Counts();
  /** @internal The next task made ready goes to the front. */
  readyFirst = false;
  /** @internal Plugged in by `time/`. */
  timers: Timers | null = null;
  /** @internal Opened by `io/` at the first operation. */
  driver: Driver | null = null;
  /** @internal How to open one; null where there is no io. */
  openDriver: (() => Driver) | null = null;
  /** @internal Tools that listen; null where there are none. */
  probe: Probe | null = null;
  /** @internal Called before each step, for tests. */
  onStep: (() => void) | null = null;
  /** What is posted or due; null until the first. */
  private callbacks: Callbacks | null = null;
  private closed = false;
  private readonly host: Host;
  private readonly reporter: (report: Report) => void;
  private readonly queue: RunQueue;
  /** @internal Steps in one batch; 1 lets a test look at everything between two steps. */
  batchSteps = BATCH_STEPS_MAX;
  /** @internal Suspensions after which clean-up counts as a swallowed kill; fewer in tests. */
  cleanupWaitsMax = CLEANUP_WAITS_MAX;
  /** @internal Owns every task that has no parent. */
  readonly root: Scope = new RootScope();
  private lastId = 0;
  private inTurn = false;
  /** A turn is running and nobody listens: a spawn has nothing to do but to queue. One look instead of two. */
  private plain = false;
  private turnRequested = false;
  private broken: unknown = null;
  /** State of the generator behind {@link Cooperator.fairStart}; the same numbers in every run. */
  private fairness = 0x2545f491;

  constructor(options: CooperatorOptions) {
    this.host = options.host;
    this.name = nameOf(options, "cooperator");
    this.reporter = given(options, "report") ?? reportToConsole;
    const stallAfter = given(options, "stallAfter");
    if (stallAfter !== undefined && !(stallAfter > 0)) {
      throw new UsageError("COOP_DURATION", "stallAfter is a time in milliseconds above 0");
    }
    this.spawnSites = given(options, "spawnSites") === true;
    this.now = given(options, "now") ?? (() => performance.now() * 1e6);
    this.queue = new RunQueue(given(options, "chooser") ?? null);
    if (stallAfter !== undefined) this.needProbe().add(new StallDetector(this, stallAfter * 1e6));
  }

  /**
   * Installs hooks for a tool. While any is installed, dumps also say how long a task has been waiting.
   *
   * @returns takes it off again.
   * @example
   * const off = self().cooperator.instrument({ spawned: (task) => console.log(task.label) });
   */
  instrument(instrument: Instrument): () => void {
    checkInstrument(instrument);
    const probe = this.needProbe();
    probe.since ??= new WeakMap();
    const installed = probe.add(instrument);
    return () => probe.remove(installed);
  }

  private needProbe(): Probe {
    this.probe ??= new Probe(this);
    this.plain = false;
    return this.probe;
  }

  /** Spawns a task that has no parent. */
  spawn<A>(body: Body<A>, options?: SpawnOptions): Task<A> {
    this.checkOpen();
    return spawnInto(this, this.root, body, options);
  }

  /** Tasks without a parent, oldest first. */
  *tasks(): Generator<Task, void> {
    if (this.root.children !== null) yield* this.root.children;
  }

  /** Asks every task to stop. */
  kill(reason?: unknown): void {
    for (const task of [...this.tasks()]) requestKill(task, reason);
  }

  statistics(): CooperatorStatistics {
    const { counts } = this;
    return {
      spawned: counts.spawned,
      done: counts.done,
      failed: counts.failed,
      killed: counts.killed,
      live: this.live,
      ready: this.queue.length,
      steps: counts.steps,
      turns: counts.turns,
      timers: this.timers?.size ?? 0,
      inflight: this.driver?.inflight ?? 0,
      killsOverridden: counts.killsOverridden,
      callbacks: this.callbacks?.length ?? 0,
    };
  }

  /** Tasks that have not ended. */
  get live(): number {
    const { counts } = this;
    return counts.spawned - counts.done - counts.failed - counts.killed;
  }

  /**
   * One turn: run what is ready, a bounded batch; expire timers; submit and reap. Returns true when tasks
   * are ready for another.
   */
  turn(): boolean {
    if (this.inTurn) throw new UsageError("COOP_NESTED_TURN", "turn() was called from inside a turn");
    if (this.broken !== null) return false;
    this.inTurn = true;
    this.plain = this.probe === null;
    this.turnRequested = false;
    this.counts.turns++;
    const outerFault = fault.cooperator;
    fault.first = null;
    fault.cooperator = this;
    const outer = current.task;
    try {
      if (this.callbacks !== null) this.runCallbacks(CALLBACKS_PER_TURN_MAX, BATCH_TIME_MAX_NS);
      this.runBatch();
      current.task = null;
      if (fault.first !== null) throw fault.first;
      if (this.timers !== null) this.timers.expire();
      if (this.driver !== null) this.driver.flush();
    } catch (error) {
      this.stop(error);
    } finally {
      current.task = outer;
      fault.cooperator = outerFault;
      this.inTurn = false;
      this.plain = false;
    }
    return (
      this.queue.length > 0 ||
      (this.driver !== null && this.driver.backlog > 0) ||
      (this.callbacks !== null && this.callbacks.length > 0)
    );
  }

  /** @internal For tests, what decides what the next turn does; the places of ready tasks go into `places`. */
  schedule(places: Map<Task, number>): readonly unknown[] {
    return [this.queue.state(places), this.callbacks, this.fairness, this.readyFirst];
  }

  private runCallbacks(most: number, budget: number): void {
    current.task = null;
    this.callbacks!.run(most, this.now, budget);
  }

  /**
   * Calls `fn` in a turn of the loop, never inside this call: how timers, event listeners and messages of other
   * threads hand in work. Posts run in order; what one throws is reported.
   *
   * @returns false when {@link POSTS_MAX} calls are queued already: nothing was queued, try again later.
   * @throws {ClosedError} when the program is over. What was accepted before has run by then.
   * @throws {UsageError} `COOP_NOT_A_CALLBACK` for a generator or async function.
   */
  post(fn: () => void, options?: PostOptions): boolean {
    checkCallback(fn);
    this.checkOpen();
    const queued = this.needCallbacks().post(fn, given(options, "once") ?? false);
    if (!this.inTurn) this.wantTurn();
    return queued;
  }

  /** @internal Queues a call that exists anyway, such as a continuation whose turn has come. */
  callback(callback: Callback): void {
    this.needCallbacks().push(callback);
    if (!this.inTurn) this.wantTurn();
  }

  private needCallbacks(): Callbacks {
    this.callbacks ??= new Callbacks((fn, error) => {
      this.report({ kind: "callback", task: null, where: fn.name, error });
    });
    return this.callbacks;
  }

  /** @internal The program is over: runs what was posted, and takes no more. */
  close(): void {
    if (this.closed) return;
    this.closed = true;
    if (this.callbacks === null || this.broken !== null) return;
    const outer = current.task;
    try {
      this.runCallbacks(this.callbacks.length, Number.POSITIVE_INFINITY);
    } finally {
      current.task = outer;
    }
  }

  private checkOpen(): void {
    if (this.broken !== null) throw new ClosedError(`${this.name} has stopped`, { cause: this.broken });
    if (this.closed) throw new ClosedError(`${this.name} is over`);
  }

  private runBatch(): void {
    const { queue, counts, batchSteps } = this;
    let end = 0;
    for (let steps = 1; steps <= batchSteps; steps++) {
      if (this.onStep !== null) this.onStep();
      const task = queue.shift();
      if (task === null) return;
      counts.steps++;
      if (this.probe === null) step(task);
      else this.probe.step(task);
      if (fault.first !== null) return;
      if (steps % CLOCK_STRIDE !== 0) continue;
      const now = this.now();
      if (end === 0) end = now + BATCH_TIME_MAX_NS;
      else if (now > end) return;
    }
  }

  /** @internal The task may run again. */
  ready(task: Task): void {
    if (task.state !== BLOCKED && task.state !== DRAINING) return;
    task.state = READY;
    if (this.readyFirst) this.queue.unshift(task);
    else this.queue.push(task);
    if (!this.inTurn) this.wantTurn();
  }

  /** @internal A task that has just been made is ready for the first time. */
  admit(task: Task): void {
    task.state = READY;
    this.queue.push(task);
    if (!this.plain) this.admitted(task);
  }

  private admitted(task: Task): void {
    if (this.probe !== null) this.probe.spawned(task);
    if (!this.inTurn) this.wantTurn();
  }

  private wantTurn(): void {
    if (this.turnRequested) return;
    this.turnRequested = true;
    this.host.requestTurn();
  }

  /** @internal Takes a `ready` back. */
  unready(task: Task): void {
    this.queue.remove(task);
  }

  /** Changes a task's CPU priority; one that is ready moves to the end of its new priority. */
  setPriority(task: Task, priority: 0 | 1 | 2): void {
    checkPriority(priority);
    const queued = task.state === READY && this.queue.remove(task);
    task.priority = priority;
    if (queued) this.queue.push(task);
  }

  /** @internal */
  nextId(): number {
    return ++this.lastId;
  }

  /**
   * @internal Where a fair wait for one of `count` begins to look. Not a plain rotation: tasks that wait in
   * turn would keep their places in it for ever.
   */
  fairStart(count: number): number {
    let state = this.fairness;
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    this.fairness = state;
    return (state >>> 0) % count;
  }

  /** @internal Time for the clean-up of `task`'s subtree is over. */
  hurry(task: Task): void {
    if (hurryTree(task)) this.requireTimers().after(HURRY_AGAIN_MS, () => this.hurry(task));
  }

  /** @internal */
  report(report: Report): void {
    showTrace(report.error);
    try {
      this.reporter(report);
    } catch (error) {
      reportToConsole({ ...report, kind: "hook", error });
    }
  }

  /** @internal */
  requireTimers(): Timers {
    if (this.timers === null) {
      throw new UsageError("COOP_NO_CLOCK", `${this.name} has no clock: a timeout needs one`);
    }
    return this.timers;
  }

  /** @internal Tasks of different cooperators share nothing. */
  checkThread(other: Cooperator): void {
    if (other !== this) {
      throw new UsageError("COOP_OTHER_COOPERATOR", `the task belongs to ${this.name}, not to ${other.name}`);
    }
  }

  /** @internal What the tree looked like when a rule was found broken. */
  dumpInto(error: InvariantError): void {
    if (error.dump !== undefined) return;
    try {
      Object.defineProperty(error, "dump", { value: dumpTree(this.tasks()), enumerable: true });
    } catch {
      // A tree that is broken may not be printable; the error itself matters more.
    }
  }

  private stop(error: unknown): void {
    const broken =
      error instanceof InvariantError ? error : new InvariantError("the scheduler failed", { cause: error });
    this.broken = broken;
    this.dumpInto(broken);
    this.host.panic(broken);
  }
}
