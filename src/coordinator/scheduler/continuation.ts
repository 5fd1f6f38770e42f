/**
 * A waiter without a stack: a function that is called when its turn comes. It costs one small object where a
 * task costs a stack, and suits the steps of a driver or a protocol that need no waiting of their own.
 *
 * ```
 *   waiting ──── its turn ────▶ due ──── the loop calls it ────▶ done or failed
 *      │  in the FIFO            │  owns the coordinator
 *      └──── cancel ─────────────┴──▶ cancelled: the next in line has it
 * ```
 *
 * It queues in the same FIFO as tasks, and owns the coordinator from its turn until it has returned, so that
 * nobody gets in between. It runs from the loop and never inside `release`: a chain of any length needs no
 * native stack, and is paced by the turn. Source: seeds C-015, C-016, C-131, C-200 … C-202, X-24.
 */

import { Coordinated } from "../coordinated.ts";
import type { Coordinator } from "../coordinator.ts";
import { Embedded, EmbeddedList } from "../embedded-list.ts";
import { ClosedError, UsageError } from "../errors.ts";
import { describeValue, type Operation } from "../operation.ts";
import { given } from "../options.ts";
import { current, currentTask } from "../task/current.ts";
import type { Task } from "../task/task.ts";
import { Wait } from "../wait.ts";
import type { Callback } from "./callbacks.ts";
import type { Cooperator } from "./cooperator.ts";
import { addInflight, type Inflight } from "./inflight.ts";

export interface ContinueOptions {
  /** It may outlive the running task. Default: it is cancelled when that task ends. */
  readonly detached?: boolean;
}

const WAITING = 0;
const DUE = 1;
const DONE = 2;
const FAILED = 3;
const CANCELLED = 4;

/** The continuation whose function runs. */
let running: Continuation<unknown> | null = null;

/** A call that is to come. As an operation it waits for the result; see `Coordinator.continue`. */
export class Continuation<A> extends Coordinated implements Callback, Operation<A> {
  /** @internal */ readonly cooperator: Cooperator;
  /** @internal The task that made it, null when detached. */
  readonly maker: Task | null;
  /** @internal What it waits for and then owns; null for a signal. */
  coordinator: Coordinator | null;
  /** @internal */ readonly waiters: EmbeddedList<Coordinated> = new EmbeddedList();
  private readonly name: string;
  private state: 0 | 1 | 2 | 3 | 4 = WAITING;
  private fn: (() => A) | null;
  /** Its value, or what it threw. */
  private outcome: unknown = undefined;
  private observed = false;
  private readonly leash: Leash | null;

  /** @internal */
  constructor(fn: () => A, coordinator: Coordinator | null, name: string, options?: ContinueOptions) {
    super();
    checkCallback(fn);
    const task = current.task ?? (running === null ? currentTask("continue()") : running.maker);
    this.cooperator = task === null ? running!.cooperator : task.cooperator;
    this.maker = given(options, "detached") === true ? null : task;
    this.coordinator = coordinator;
    this.name = name;
    this.fn = fn;
    this.leash = this.maker === null ? null : new Leash(this as Continuation<unknown>);
    if (this.leash !== null) addInflight(this.maker!, this.leash);
  }

  /** It has neither run nor been cancelled. */
  get pending(): boolean {
    return this.state === WAITING || this.state === DUE;
  }

  /** Takes it back. True when it had not run, and then it never does. */
  cancel(): boolean {
    if (!this.pending) return false;
    const due = this.state === DUE;
    this.list?.remove(this);
    this.settle(CANCELLED, undefined);
    if (due) this.passOn();
    return true;
  }

  /**
   * Waits for it and gives what its function returned; throws what that threw.
   *
   * @throws {ClosedError} when it was cancelled.
   */
  result(): Operation<A> {
    return new ResultWait<A>(this);
  }

  [Symbol.iterator](): Iterator<unknown, A, any> {
    return this.result()[Symbol.iterator]();
  }

  /** @internal */
  describe(): string {
    return `continuation on ${this.name}`;
  }

  override grant(): void {
    this.satisfied = true;
    this.state = DUE;
    this.cooperator.callback(this as Callback);
  }

  /** @internal */
  override fail(error: unknown): void {
    this.settle(FAILED, error);
  }

  /** @internal */
  override moved(to: Coordinator): void {
    this.coordinator = to;
  }

  /** @internal */
  run(): void {
    const fn = this.fn!;
    const outer = running;
    running = this as Continuation<unknown>;
    let state: typeof DONE | typeof FAILED = DONE;
    let outcome: unknown;
    try {
      outcome = fn();
      checkResult(outcome);
    } catch (error) {
      state = FAILED;
      outcome = error;
    }
    running = outer;
    // Ended before it lets go: whoever is next finds nothing half done.
    this.settle(state, outcome);
    this.passOn();
  }

  /** @internal Its maker has ended. */
  abandon(): void {
    if (this.cancel()) return;
    this.leash!.list?.remove(this.leash!);
    this.reportUnobserved();
  }

  /** @internal */
  take(): A {
    this.observe();
    if (this.state === DONE) return this.outcome as A;
    if (this.state === FAILED) throw this.outcome;
    throw new ClosedError(`the ${this.describe()} was cancelled before it ran`);
  }

  private settle(state: typeof DONE | typeof FAILED | typeof CANCELLED, outcome: unknown): void {
    this.state = state;
    this.outcome = outcome;
    this.fn = null;
    if (this.waiters.length > 0) this.observe();
    for (let node = this.waiters.shift(); node !== null; node = this.waiters.shift()) node.grant();
    // A failure that nobody has looked at yet stays with the maker, who may still do so.
    if (state !== FAILED || this.observed) this.leash?.list?.remove(this.leash);
    else if (this.leash === null) this.reportUnobserved();
  }

  private observe(): void {
    this.observed = true;
    this.leash?.list?.remove(this.leash);
  }

  private reportUnobserved(): void {
    if (this.state !== FAILED || this.observed) return;
    this.observed = true;
    const { maker: task, outcome: error } = this;
    this.cooperator.report({ kind: "callback", task, where: this.describe(), error });
  }

  private passOn(): void {
    const { coordinator } = this;
    if (coordinator !== null && coordinator.held && coordinator.owner === null) coordinator.release();
  }
}

/** Ties a continuation to the task that made it; a node of its own, since the other is in a FIFO. */
class Leash extends Embedded implements Inflight {
  private readonly continuation: Continuation<unknown>;
  constructor(continuation: Continuation<unknown>) {
    super();
    this.continuation = continuation;
  }
  abandon(): void {
    this.continuation.abandon();
  }
}

class ResultWait<A> extends Wait<A> {
  private readonly continuation: Continuation<A>;
  constructor(continuation: Continuation<A>) {
    super();
    this.continuation = continuation;
  }
  override describe(): string {
    return this.continuation.describe();
  }
  override awaitedTasks(): readonly Task[] {
    const owner = this.continuation.coordinator?.owner ?? null;
    return owner === null ? [] : [owner];
  }
  protected override begin(task: Task): boolean {
    this.continuation.cooperator.checkThread(task.cooperator);
    if (!this.continuation.pending) return true;
    this.continuation.waiters.push(this);
    return false;
  }
  protected override finish(): A {
    return this.continuation.take();
  }
  override abort(): boolean {
    this.list?.remove(this);
    return true;
  }
}

/** @internal Throws for what is no plain function. */
export function checkCallback(fn: unknown): void {
  if (typeof fn === "function" && Object.prototype.toString.call(fn) === "[object Function]") return;
  throw new UsageError(
    "COOP_NOT_A_CALLBACK",
    `a callback cannot wait: give a plain function, not ${describeValue(fn)}`,
  );
}

/** Something that has to be waited for was made and would never be run. */
function checkResult(value: unknown): void {
  if (typeof value !== "object" || value === null) return;
  const waits =
    value instanceof Wait ||
    typeof (value as { then?: unknown }).then === "function" ||
    (typeof (value as { next?: unknown }).next === "function" && Symbol.iterator in value);
  if (!waits) return;
  throw new UsageError(
    "COOP_CALLBACK_WAITS",
    `a continuation cannot wait, and returned ${describeValue(value)}: spawn a task for what has to wait`,
  );
}
