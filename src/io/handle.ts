/**
 * An io operation as a handle. What {@link BaseHandle} says holds; in addition:
 *
 * - `expected` counts completions that are still due: the operation's own, and one more after a cancel.
 *   The handle is done when it is 0, and not before: the kernel may write to the buffer until then.
 * - a result nobody will see (its task was killed, or ended) is given to `reclaim`: a descriptor is closed,
 *   received bytes go to the next reader. Source: seeds; conformance B09, P15.
 */

import { UsageError } from "../coordinator/errors.ts";
import { describeValue } from "../coordinator/operation.ts";
import { current } from "../coordinator/task/current.ts";
import type { Task } from "../coordinator/task/task.ts";
import { BLOCKED, RUNNING } from "../coordinator/task/task-state.ts";
import { Handle as BaseHandle, CANCELLING, DONE, SUBMITTED } from "../handle/handle.ts";
import { FILE_INDEX_ALLOC } from "../native/layout.ts";
import { nanoseconds } from "../time/duration.ts";
import type { Descriptor } from "./descriptor/descriptor.ts";
import { DIRECT, type IoDriver } from "./driver/driver.ts";
import { ECANCELED, EFAULT, EINTR, ENOENT, EPIPE, ETIMEDOUT } from "./errno.ts";
import type { Io } from "./io.ts";
import type { IoOperation, Kind } from "./io-operation.ts";
import { type Urgency, USUAL, urgencyOf } from "./io-priority.ts";
import { changed, checksumOf } from "./memory/checks.ts";
import { type Block, type Bytes, COPY, lengthOf, scatter } from "./memory/memory.ts";
import { OperationTimer } from "./operation-timer.ts";

/** Options of every operation. */
export interface IoOptions {
  /** Cancels the operation after this long: `"2 seconds"`, or milliseconds. */
  readonly timeout?: number | string;
}

/** Gives back what an operation produced for nobody. */
export type Reclaim = (io: Io, result: number, handle: Handle) => void;

/** Takes each completion of a multishot operation, the last one too; before the handle is finished. */
export interface Shots {
  /** @internal */
  arrived(result: number, flags: number): void;
}

/** Completions of an operation, as bits of `expected`. */
export const OWN_COMPLETION = 1;
export const OWN_CANCEL = 2;

/** What is unusual about an operation, as bits: the completion of a usual one looks at nothing else. */
const BLOCK = 1;
const COPY_OUT = 2;
const TIMER = 4;
const TIMED_OUT = 8;
const ABANDONED = 16;
const BACKGROUND = 32;
const CONTINUE = 64;
const CANCELLED = 128;
const SOURCE = 256;
const AT_ONCE = 512;
/** In a chain: before another, or after one. */
const LEADS = 1024;
const FOLLOWS = 2048;
/** Its chain was cut before it: what the kernel says of it means nothing. */
const SEVERED = 4096;
const WENT_ON = 8192;
/** Debug: its bytes must not change. */
const SEALED = 16384;
/** Its result is a place among the direct descriptors. */
const MAKES_DIRECT = 32768;

/** Outcome of a round after which another one has begun; no errno. */
export const GOES_ON = -0x4000_0000;

export class Handle extends BaseHandle {
  /** @internal Place in the driver's slab, -1 when it has none. */
  index = -1;
  /** @internal */ generation = 0;
  /** @internal Keeps its place between operations: it comes from the pool. */
  pooled = false;
  /** @internal Next idle handle of the pool. */
  nextFree: Handle | null = null;
  /** @internal Completions still due, as bits: a second one of a kind is nobody's. */
  expected = 0;
  private special = 0;
  /** @internal The io of the cooperator it was last used with. */
  io: Io | null = null;
  /** @internal What it works on. */
  descriptor: Descriptor | null = null;
  /** @internal The caller's bytes: held until the last completion. */
  bytes: Bytes | null = null;
  /** Our bytes, where the caller's cannot be handed to the kernel, or for a path or an address. */
  #room: Block | null = null;
  /** Descriptors it works on beside `descriptor`: where bytes come from, or what is passed on. */
  private sources: Descriptor[] | null = null;
  /** @internal Several of the caller's byte arrays, for the operations that take them. */
  parts: readonly Bytes[] | null = null;
  /** @internal How soon its task wants it. */
  urgency: Urgency = USUAL;
  /** @internal For a multishot operation: what its completions are for. */
  shots: Shots | null = null;
  /** @internal Number of the registered buffer, for opcodes that take one. */
  bufferIndex = 0;
  /** @internal Reads from the current position: what it got cannot be read again. */
  streaming = false;
  /** @internal What it is doing, or did last. */
  kind: Kind<unknown> | null = null;
  /** The operation to go on with after a short count. */
  private rest: IoOperation<unknown> | null = null;
  private timer: OperationTimer | null = null;
  /** @internal In a chain: the operation before, until that is over, and the one after. */
  leader: Handle | null = null;
  /** @internal */ follower: Handle | null = null;
  /** Of the bytes the kernel reads, in the debug mode. */
  private checksum = 0;
  /** Called at the end of an operation that belongs to no task. */
  private done: ((result: number) => void) | null = null;

  override describe(): string {
    const on = this.descriptor === null ? "" : ` on ${this.descriptor.label}`;
    return `${this.kind === null ? "io handle" : this.kind.syscall}${on}`;
  }

  /** @internal Nobody will see the result. */
  get abandoned(): boolean {
    return (this.special & ABANDONED) !== 0;
  }

  /** @internal Its result was there when it began: what it took was the first of what was kept. */
  get atOnce(): boolean {
    return (this.special & AT_ONCE) !== 0;
  }

  /** @internal Its own timeout has cancelled it. */
  get timedOut(): boolean {
    return (this.special & TIMED_OUT) !== 0;
  }

  /** @internal More than one round was needed. */
  get wentOn(): boolean {
    return (this.special & WENT_ON) !== 0;
  }

  /** @internal Ready for a new operation: first call of every setup. */
  prepare(
    io: Io,
    kind: Kind<unknown>,
    descriptor: Descriptor | null,
    options: IoOptions | undefined,
  ): IoDriver {
    this.checkIdle();
    if (descriptor !== null && (descriptor.io !== io || descriptor.closed)) {
      descriptor.checkUsable(io, kind.syscall);
    }
    if (descriptor !== null && !kind.direct) descriptor.checkOrdinary(kind.syscall);
    const { driver } = io;
    if (driver.inflight >= driver.limit && !kind.background) {
      throw new UsageError("COOP_LIMIT", `${driver.limit} operations are in flight; wait for some of them`);
    }
    this.special = 0;
    this.bufferIndex = 0;
    this.parts = null;
    this.urgency = urgencyOf(current.task);
    this.shots = null;
    this.io = io;
    this.kind = kind;
    this.descriptor = descriptor;
    if (options !== undefined) this.setTimeoutOf(options);
    return driver;
  }

  /** @internal Done without an operation. */
  immediate(result: number): void {
    this.special |= AT_ONCE;
    this.submitted();
    this.completed(result);
  }

  /** @internal The address of the caller's bytes, or of a block that stands for them. */
  pin(bytes: Bytes, fill: boolean): number {
    this.bytes = bytes;
    const { memory } = this.io!.driver;
    const address = memory.locate(bytes);
    if (address !== COPY) {
      if (fill && memory.checks) this.seal();
      return address;
    }
    const block = this.argument(bytes.byteLength);
    if (fill) block.bytes.set(bytes);
    else this.special |= COPY_OUT;
    return block.address;
  }

  /** @internal Debug: the kernel reads the caller's bytes where they are, and they have to stay as they are. */
  seal(): void {
    this.special |= SEALED;
    this.checksum = checksumOf(this.pinned);
  }

  private checkSeal(): void {
    this.special &= ~SEALED;
    if (checksumOf(this.pinned) === this.checksum) return;
    this.io!.cooperator.report({
      kind: "buffer",
      task: this.task ?? this.owner,
      where: this.describe(),
      error: changed(this.describe(), lengthOf(this.pinned)),
    });
  }

  private get pinned(): readonly Bytes[] {
    return this.parts ?? [this.bytes!];
  }

  /** @internal The block that {@link argument} has given for this operation. */
  argumentBlock(): Block {
    return this.#room!;
  }

  /** @internal A block of our own, for an argument the kernel reads or writes. */
  argument(size: number): Block {
    const block = this.io!.driver.memory.take(size);
    this.#room = block;
    this.special |= BLOCK;
    return block;
  }

  /** @internal Its result is a new direct descriptor. @returns What tells the kernel to find a place for it. */
  makeDirect(): number {
    this.io!.driver.openTable();
    this.special |= MAKES_DIRECT;
    return FILE_INDEX_ALLOC;
  }

  /** @internal It works on this descriptor too: a close of it ends the operation, and waits for its end. */
  takeFrom(source: Descriptor): void {
    this.sources ??= [];
    this.sources.push(source);
    this.special |= SOURCE;
    source.inflight++;
    source.feeding ??= new Set();
    source.feeding.add(this);
  }

  private leaveSources(): void {
    const sources = this.sources!;
    this.sources = null;
    for (const source of sources) {
      source.feeding!.delete(this);
      if (source.reader === this) source.reader = null;
      if (--source.inflight === 0 && source.closing !== null) source.quiet();
    }
  }

  /** @internal What the kernel writes to the block is copied to the caller's bytes at the end. */
  copyOut(): void {
    this.special |= COPY_OUT;
  }

  /** @internal Handed to the driver by a setup form. */
  started(): void {
    this.expected = OWN_COMPLETION;
    if (this.descriptor !== null) this.descriptor.inflight++;
    this.submitted();
    const { owner } = this;
    if (owner !== null && owner.cooperator.probe !== null) owner.cooperator.probe.submitted(owner);
    if ((this.special & TIMER) !== 0) this.timer!.start();
  }

  /** @internal Handed to the driver by a blocking form: `task` waits for it. */
  block(task: Task): void {
    this.queued(task);
    task.wait = this;
    task.state = BLOCKED;
  }

  /** @internal Handed to the driver as what `task` waits for, among other things perhaps. */
  queued(task: Task): void {
    this.expected = OWN_COMPLETION;
    if (this.descriptor !== null) this.descriptor.inflight++;
    this.state = SUBMITTED;
    this.task = task;
    this.satisfied = false;
    this.aborting = false;
    const { probe } = task.cooperator;
    if (probe !== null) probe.submitted(task);
    if ((this.special & TIMER) !== 0) this.timer!.start();
  }

  /** @internal Done at once, without the driver, for a `task` that has not looked yet. */
  resolved(task: Task, result: number): void {
    this.state = DONE;
    this.outcome = result;
    this.task = task;
    this.satisfied = true;
    this.aborting = false;
    this.special |= AT_ONCE;
  }

  /** @internal Its setup has thrown after {@link prepare}: nothing was queued. */
  unprepare(): void {
    if (this.#room !== null) this.io!.driver.memory.give(this.#room);
    this.#room = null;
    if (this.sources !== null) this.leaveSources();
    this.special = 0;
    this.bytes = null;
    this.parts = null;
  }

  /** @internal Others wait for its success, and with them for all of what it was asked to do. */
  get leads(): boolean {
    return (this.special & LEADS) !== 0;
  }

  /** @internal Takes its place in a chain, after `prepare`: behind `leader`, and in front of others or not. */
  join(leader: Handle | null, leads: boolean): void {
    this.leader = leader;
    this.special |= (leader === null ? 0 : FOLLOWS) | (leads ? LEADS : 0);
  }

  /** @internal Begins later than `other`, in the same chain. */
  follows(other: object): boolean {
    let leader: Handle | null = this.leader;
    while (leader !== null && leader !== other) ({ leader } = leader);
    return leader !== null;
  }

  /** @internal It will not have been begun, whatever the kernel says. */
  sever(): void {
    this.special |= SEVERED;
  }

  /** @internal The chain was not submitted; this one had been queued, or was done at once, or neither. */
  unchain(queued: boolean, result: number, bytes: Bytes | null): void {
    const { descriptor } = this;
    if (queued) this.kind!.failed?.(this, -ECANCELED);
    else if (result >= 0) {
      this.special |= AT_ONCE;
      this.bytes ??= bytes;
      this.reclaim(result);
    }
    if (descriptor !== null) {
      if (descriptor.reader === this) descriptor.reader = null;
      if (descriptor.writer === this) descriptor.writer = null;
    }
    this.leader = null;
    this.follower = null;
    this.unprepare();
    this.io!.driver.forget(this);
  }

  /** It is over, and the turn of the next one has come, unless the kernel has ended that too. */
  private leaveChain(): void {
    const { leader, follower } = this;
    this.leader = null;
    this.follower = null;
    if (leader !== null) leader.follower = follower;
    if (follower === null) return;
    follower.leader = leader;
    // Completions come in any order: this one was ended, and the one that has broken the chain is not told of yet.
    if (leader !== null) return;
    // A cancel, or the close of its descriptor, that came before its turn did not find it.
    const closing = follower.descriptor !== null && follower.descriptor.closing !== null;
    if (follower.state === CANCELLING || (follower.pending && closing)) follower.cancelNow();
  }

  /** It goes on alone: the kernel has ended those after it, and what they have claimed is not theirs. */
  private outlastChain(descriptor: Descriptor): void {
    for (let handle = this.follower; handle !== null; handle = handle.follower) {
      handle.kind!.failed?.(handle, -ECANCELED);
      if (descriptor.writer === handle) descriptor.writer = this;
    }
  }

  private cancelNow(): void {
    // A close of which nothing is expected here cannot be cancelled.
    if ((this.expected & OWN_COMPLETION) === 0 || (this.expected & OWN_CANCEL) !== 0) return;
    this.state = CANCELLING;
    this.special |= CANCELLED;
    this.expected |= OWN_CANCEL;
    const { driver } = this.io!;
    driver.cancel(this);
    driver.onQueued?.();
  }

  /** @internal A cancel has come to its end before the operation. One of a chain may not have begun by then. */
  cancelEnded(result: number): void {
    if (result === -ENOENT && (this.special & FOLLOWS) !== 0 && this.leader === null) this.cancelNow();
  }

  /** @internal Nobody looks at its result: it is reclaimed now, or when it comes. */
  forsake(): void {
    if (this.pending) this.abandon();
    else if (this.state === DONE && this.outcome >= 0) {
      this.reclaim(this.outcome);
      this.outcome = -ECANCELED;
    }
  }

  /** @internal The blocking form was not run with `yield*`: `task` goes on without it, and nobody waits. */
  disown(task: Task): void {
    task.wait = null;
    task.state = RUNNING;
    this.task = null;
    this.special |= BACKGROUND;
    this.abandon();
  }

  /** @internal A short count does not end it: `operation` goes on with the rest. */
  continueWith(operation: IoOperation<unknown>): void {
    this.rest = operation;
    this.special |= CONTINUE;
  }

  /** @internal Handed to the driver on behalf of no task. */
  startedInBackground(done: ((result: number) => void) | null): void {
    this.expected = OWN_COMPLETION;
    if (this.descriptor !== null) this.descriptor.inflight++;
    this.state = SUBMITTED;
    this.done = done;
    this.special |= BACKGROUND;
  }

  /** Asks for an early end. A count or -errno, -125 (ECANCELED) if the cancel was in time, comes all the same. */
  cancel(): void {
    if (this.state === SUBMITTED) this.cancelNow();
  }

  /** @internal */
  override abandon(): void {
    this.special |= ABANDONED;
    this.cancel();
  }

  /** @internal */
  timeUp(): void {
    this.special |= TIMED_OUT;
    this.cancel();
  }

  /** @internal All completions are in. */
  finished(result: number): void {
    let outcome = result;
    if (result <= 0 && this.kind !== null) outcome = this.note(this.kind, result);
    if (this.special !== 0) {
      outcome = this.settle(outcome);
      if ((this.special & CONTINUE) !== 0) {
        outcome = this.goOn(outcome);
        if (outcome === GOES_ON) return;
      }
    }
    const { probe } = this.io!.cooperator;
    if (probe !== null) {
      const task = this.task ?? this.owner;
      if (task !== null) probe.completed(task);
    }
    const { descriptor } = this;
    if (descriptor !== null) {
      // The bytes of a blocking read are not its task's before that has seen them: until then, see `Io.give`.
      if (descriptor.reader === this) {
        if (!this.pooled || (this.special & BACKGROUND) !== 0) descriptor.reader = null;
      } else if (descriptor.writer === this) descriptor.writer = null;
      if (--descriptor.inflight === 0 && descriptor.closing !== null) descriptor.quiet();
    }
    if (!this.pooled || (this.special & BACKGROUND) !== 0) {
      this.ended(outcome);
      return;
    }
    this.state = DONE;
    this.outcome = outcome;
    this.grant();
  }

  /** What an error, or an end, says about the descriptor, and what the caller gets. */
  private note(kind: Kind<unknown>, told: number): number {
    const result = (this.special & SEVERED) === 0 ? told : -ECANCELED;
    if (result < 0) {
      if (kind.failed !== null) kind.failed(this, result);
      return result;
    }
    return kind.ended === null ? 0 : kind.ended(this);
  }

  /** @internal The kill won over a result that nobody will look at now. */
  override rollback(): void {
    // A handle of the user's keeps its result; one of the pool was in use by a blocking form.
    if (!this.pooled) return;
    this.task = null;
    if (!this.abandoned && this.outcome >= 0) this.reclaim(this.outcome);
    this.io!.give(this);
  }

  private reclaim(result: number): void {
    const { kind } = this;
    if (kind !== null && kind.reclaim !== null) kind.reclaim(this.io!, result, this);
  }

  /** Goes on after a short count, or gives the outcome: an errno unless all went out. */
  private goOn(result: number): number {
    const operation = this.rest!;
    const descriptor = this.descriptor!;
    let outcome = operation.advance(result);
    if ((this.special & (LEADS | FOLLOWS)) !== 0) {
      if (outcome === GOES_ON) this.outlastChain(descriptor);
      this.leaveChain();
    }
    if (outcome === GOES_ON) {
      if (this.timedOut) outcome = -ETIMEDOUT;
      else if (this.state !== SUBMITTED || descriptor.closed) outcome = -ECANCELED;
      // Another writer has been cut short on the same stream.
      else if (descriptor.brokenAt !== -1) outcome = -EPIPE;
      else {
        this.special |= WENT_ON;
        operation.queueRest(this.io!, this);
        this.expected = OWN_COMPLETION;
        return GOES_ON;
      }
    }
    this.rest = null;
    if (this.timer !== null) this.timer.stop();
    operation.stopped();
    return outcome;
  }

  private ended(outcome: number): void {
    if ((this.special & BACKGROUND) === 0) {
      this.completed(outcome);
      return;
    }
    const { done } = this;
    this.done = null;
    this.state = DONE;
    this.io!.give(this);
    done?.(outcome);
  }

  private settle(result: number): number {
    const { special } = this;
    let outcome = result;
    if ((special & SEALED) !== 0) this.checkSeal();
    if ((special & (TIMER | CONTINUE)) === TIMER) this.timer!.stop();
    if ((special & SOURCE) !== 0) this.leaveSources();
    if ((special & (LEADS | FOLLOWS)) !== 0 && (special & CONTINUE) === 0) this.leaveChain();
    // A cancel that had to interrupt a kernel thread.
    if ((special & CANCELLED) !== 0 && outcome === -EINTR) outcome = -ECANCELED;
    if ((special & TIMED_OUT) !== 0 && outcome === -ECANCELED) outcome = -ETIMEDOUT;
    if ((special & MAKES_DIRECT) !== 0 && outcome >= 0) outcome += DIRECT;
    if ((special & BLOCK) !== 0) {
      const block = this.#room!;
      this.#room = null;
      if ((special & COPY_OUT) !== 0 && outcome > 0) outcome = this.copy(block, outcome);
      this.io!.driver.memory.give(block);
    }
    if ((special & ABANDONED) !== 0 && outcome >= 0 && this.kind !== null && this.kind.reclaim !== null) {
      this.reclaim(outcome);
      outcome = -ECANCELED;
    }
    return outcome;
  }

  private copy(block: Block, count: number): number {
    if (this.parts !== null) return scatter(block.bytes, this.parts, count);
    const bytes = this.bytes!;
    // The caller may have detached its buffer meanwhile; the bytes have nowhere to go.
    if (bytes.byteLength < count) return -EFAULT;
    bytes.set(count === block.bytes.byteLength ? block.bytes : block.bytes.subarray(0, count));
    return count;
  }

  private setTimeoutOf(options: IoOptions | null): void {
    // A position in its place, as Node has it, would be read over.
    if (typeof options !== "object") {
      throw new UsageError("COOP_OPTIONS", `options are an object, not ${describeValue(options)}`);
    }
    // Not by `given`, for the same reason as in `positionOf`.
    const timeout = options?.timeout;
    if (timeout !== undefined && Object.hasOwn(options!, "timeout")) this.setTimeout(nanoseconds(timeout));
  }

  private setTimeout(length: number): void {
    this.timer ??= new OperationTimer(this);
    this.timer.length = length;
    this.special |= TIMER;
  }
}
