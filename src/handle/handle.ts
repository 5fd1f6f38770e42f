/**
 * The life of ONE pending operation, level 0: set it up, let it run, wait for it, look at the result.
 *
 * ```
 *            setup                     completed
 *   IDLE ────────────▶ SUBMITTED ────────────────────▶ DONE ─────┐
 *                          │                             ▲  setup│
 *                          │ cancel                      │       │
 *                          ▼              completed      │       │
 *                      CANCELLING ───────────────────────┘       │
 *                          ▲                                     │
 *                          └──────────── SUBMITTED ◀─────────────┘
 * ```
 *
 * | state      | coordinator | result  | no longer admitted from here          |
 * |------------|-------------|---------|---------------------------------------|
 * | IDLE       | free        | –       |                                       |
 * | SUBMITTED  | held        | –       | setup                                 |
 * | CANCELLING | held        | –       | setup; a second cancel changes nothing |
 * | DONE       | free        | number  |                                       |
 *
 * A handle belongs to the task that set it up. It is done only when the driver will not touch its memory any
 * more, and its task does not end before that. Source: seeds C-160 … C-169, X-30.
 */
import { Coordinator } from "../coordinator/coordinator.ts";
import { BusyError, UsageError } from "../coordinator/errors.ts";
import { Listener } from "../coordinator/listener.ts";
import { describeValue, type Operation } from "../coordinator/operation.ts";
import { addInflight, type Inflight, removeInflight } from "../coordinator/scheduler/inflight.ts";
import { current } from "../coordinator/task/current.ts";
import type { Task } from "../coordinator/task/task.ts";
import { Wait } from "../coordinator/wait.ts";
import { CompletionQueue } from "./completion-queue.ts";

export type HandleState = 0 | 1 | 2 | 3;
export const IDLE = 0;
export const SUBMITTED = 1;
export const CANCELLING = 2;
export const DONE = 3;

const stateNames = ["idle", "submitted", "cancelling", "done"] as const;

/**
 * A handle is an operation too: `yield* handle` waits until it is done and gives the result. A kill cancels
 * it, waits for its end, and then unwinds. One task waits for a handle that way; others use its coordinator.
 */
export abstract class Handle extends Wait<number> implements Inflight {
  /** @internal */ state: HandleState = IDLE;
  /** @internal The task that has to outlive it: the one that set it up. */
  owner: Task | null = null;
  /** @internal Bytes or another non-negative number, or -errno. */
  outcome = 0;
  /** Where it goes when it is done, beside all else; to be set while it is not pending. */
  queue: CompletionQueue<any> | null = null;
  private gate: Coordinator | null = null;
  /** The queue it was set up with. */
  private queuedFor: CompletionQueue<any> | null = null;

  /** `"idle"`, `"submitted"`, `"cancelling"` or `"done"`. */
  get status(): (typeof stateNames)[HandleState] {
    return stateNames[this.state];
  }

  /** True from setup until the operation is done. */
  get pending(): boolean {
    return this.state === SUBMITTED || this.state === CANCELLING;
  }

  /** Held while the operation is pending; for {@link coordinateWith} and {@link coordinateWithKill}. */
  get coordinator(): Coordinator {
    this.gate ??= new Coordinator({ held: this.pending, name: this.describe() });
    return this.gate;
  }

  /**
   * What the operation gave: a count or a descriptor, or -errno. Nothing is thrown for an errno here.
   *
   * @throws {UsageError} `COOP_NOT_ENDED` before it is done.
   */
  get result(): number {
    if (this.state !== DONE) {
      throw new UsageError("COOP_NOT_ENDED", `the ${this.describe()} is ${this.status}, it has no result`);
    }
    return this.outcome;
  }

  /** Waits until it is done, whatever happens: what clean-up needs after a `cancel`. */
  settled(): Operation<number> {
    return new Settled(this);
  }

  /** Asks for an early end. The operation may still succeed; it is done when `pending` is false. Idempotent. */
  abstract cancel(): void;

  /** Disposal cancels and does not wait. */
  [Symbol.dispose](): void {
    this.cancel();
  }

  /** Cancels, and waits outside of the tree until the operation is done. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.cancel();
    if (!this.pending) return;
    const { coordinator } = this;
    await new Promise<void>((resolve) => {
      coordinator.enqueue(
        new Listener(() => {
          coordinator.release();
          resolve();
        }),
      );
    });
  }

  /** @internal */
  abandon(): void {
    this.cancel();
  }

  protected override begin(): boolean {
    if (this.state === IDLE) {
      throw new UsageError("COOP_NOT_STARTED", `set the ${this.describe()} up before waiting for it`);
    }
    return this.state === DONE;
  }

  protected override finish(): number {
    return this.outcome;
  }

  override abort(): boolean {
    this.abandon();
    return false;
  }

  /** @internal */
  override get lingers(): boolean {
    return true;
  }

  /** @internal Throws unless the handle can be set up now. */
  checkIdle(): void {
    if (this.state === SUBMITTED || this.state === CANCELLING) {
      throw new BusyError(`the ${this.describe()} is still pending: a handle is for one operation at a time`);
    }
    const { queue } = this;
    if (queue !== null && !(queue instanceof CompletionQueue)) {
      throw new UsageError(
        "COOP_HANDLE",
        `the queue of a handle is a CompletionQueue or null, not ${describeValue(queue)}`,
      );
    }
  }

  /** @internal The operation has been handed over. */
  submitted(): void {
    this.state = SUBMITTED;
    const { gate } = this;
    if (gate !== null) {
      // Whoever won the last round and kept it has no part in this one.
      if (gate.list !== null) gate.list.remove(gate);
      gate.rearm();
    }
    if (this.queue !== this.queuedFor) this.changeQueue();
    if (this.queuedFor !== null) {
      this.queuedFor.forget(this);
      this.queuedFor.submitted();
    }
    const owner = current.task;
    this.owner = owner;
    if (owner !== null) addInflight(owner, this);
  }

  /** @internal The operation is over and its memory is free. */
  completed(result: number): void {
    this.state = DONE;
    this.outcome = result;
    const { owner } = this;
    if (owner !== null) {
      this.owner = null;
      removeInflight(owner, this);
    }
    if (this.queuedFor !== null) this.queuedFor.completed(this);
    if (this.task !== null) this.grant();
    if (this.gate?.held === true) this.gate.release();
  }

  private changeQueue(): void {
    this.queuedFor?.forget(this);
    this.queuedFor = this.queue;
  }
}

/** Waits for the end of a handle through its coordinator. */
class Settled extends Wait<number> {
  private readonly handle: Handle;
  /** Where it queues. */
  private gate: Coordinator | null = null;
  private orphaned = false;

  constructor(handle: Handle) {
    super();
    this.handle = handle;
  }

  override get killMode(): "ignore" {
    return "ignore";
  }

  override describe(): string {
    return this.handle.describe();
  }

  protected override begin(): boolean {
    const { handle } = this;
    if (handle.state === DONE) return true;
    if (handle.state === IDLE) {
      throw new UsageError("COOP_NOT_STARTED", `set the ${handle.describe()} up before waiting for it`);
    }
    this.orphaned = false;
    this.gate = handle.coordinator;
    this.gate.enqueue(this);
    return false;
  }

  protected override finish(): number {
    // Ownership of the coordinator came with the wake-up; waiting for a result is not taking anything.
    if (this.satisfied && !this.orphaned) this.gate!.release();
    return this.handle.result;
  }

  /** A task in front of it got the coordinator and ended without giving it back. */
  override fail(): void {
    this.orphaned = true;
    this.grant();
  }

  override moved(to: Coordinator): void {
    this.gate = to;
  }

  override abort(): boolean {
    return false;
  }
}
