/**
 * Operations as values. Each kind is one constant in a file of its own; all kinds share one class, so that
 * the code they run through sees one shape.
 *
 * The blocking form, level 1, takes a handle from the pool, submits, waits, and converts the result or
 * throws. A kill cancels the operation and waits for all of its completions before the task unwinds; what
 * arrives after the kill is reclaimed. The setup form, level 0, does the same with the caller's handle and
 * returns at once.
 */

import { CoopError, DeadlineError, UsageError } from "../coordinator/errors.ts";
import { describeValue } from "../coordinator/operation.ts";
import { notDelegated, SUSPENDED } from "../coordinator/suspended.ts";
import { current, currentTask } from "../coordinator/task/current.ts";
import type { Task } from "../coordinator/task/task.ts";
import { type Arm, inUse } from "../coordinator/wait.ts";
import { DONE } from "../handle/handle.ts";
import type { Descriptor } from "./descriptor/descriptor.ts";
import { EFAULT, EIO, ETIMEDOUT, IoError, type IoErrorDetails } from "./errno.ts";
import { GOES_ON, Handle, type IoOptions, type Reclaim } from "./handle.ts";
import { currentIo, type Io, ioOf } from "./io.ts";
import { type Bytes, lengthOf } from "./memory/memory.ts";

/** What the setup of a kind returns when it has queued the operation: no count, and no errno. */
export const QUEUED = -0x2000_0000;

export interface KindSource<A> {
  /** The system call's name, for errors and dumps. */
  readonly syscall: string;
  /**
   * Queues the operation and gives {@link QUEUED}, or gives a result when none is needed: from 0 up, or the
   * -errno of an error that is known already.
   */
  readonly setup: (io: Io, handle: Handle, operation: IoOperation<A>) => number;
  /** What the caller gets for a result from 0 up, or the `expected` one. */
  readonly convert: (result: number, operation: IoOperation<A>, io: Io) => A;
  /** What becomes of a result that nobody will see. */
  readonly reclaim?: Reclaim;
  /** What an error says about the operation, beside what the descriptor knows. */
  readonly details?: (operation: IoOperation<A>) => IoErrorDetails | undefined;
  /** Called when an operation has failed, whoever waits for it. */
  readonly failed?: (handle: Handle, result: number) => void;
  /** An -errno that is no failure for whoever waits: `convert` gets it. Default: none. */
  readonly expected?: number;
  /** What a result of 0 means. */
  readonly ended?: (handle: Handle) => number;
  /** Works on direct descriptors too. */
  readonly direct?: boolean;
  /**
   * Begun on behalf of no task: not refused at the limit of operations in flight, where nobody could be told. A
   * descriptor has one or two of them, which bounds them.
   */
  readonly background?: boolean;
  /** For kinds that write all of something: what becomes of the descriptor when only `sent` bytes went out. */
  readonly cutShort?: (operation: IoOperation<A>, sent: number) => void;
}

/** @throws {UsageError} `COOP_HANDLE` for what is no handle of io. */
export function checkHandle(value: unknown, what: string): asserts value is Handle {
  if (value instanceof Handle) return;
  throw new UsageError("COOP_HANDLE", `the setup of ${what} takes an io Handle, not ${describeValue(value)}`);
}

/** What one kind of operation does. */
export class Kind<A> {
  readonly syscall: string;
  readonly setup: (io: Io, handle: Handle, operation: IoOperation<A>) => number;
  readonly convert: (result: number, operation: IoOperation<A>, io: Io) => A;
  readonly reclaim: Reclaim | null;
  readonly details: ((operation: IoOperation<A>) => IoErrorDetails | undefined) | null;
  readonly failed: ((handle: Handle, result: number) => void) | null;
  /** 0 for none. */
  readonly expected: number;
  readonly ended: ((handle: Handle) => number) | null;
  readonly cutShort: ((operation: IoOperation<A>, sent: number) => void) | null;
  readonly direct: boolean;
  readonly background: boolean;

  constructor(source: KindSource<A>) {
    this.syscall = source.syscall;
    this.setup = source.setup;
    this.convert = source.convert;
    this.reclaim = source.reclaim ?? null;
    this.details = source.details ?? null;
    this.failed = source.failed ?? null;
    this.expected = source.expected ?? 0;
    this.ended = source.ended ?? null;
    this.cutShort = source.cutShort ?? null;
    this.direct = source.direct ?? false;
    this.background = source.background === true;
  }
}

export class IoOperation<A> implements Arm<A>, Iterator<unknown, A, unknown> {
  readonly kind: Kind<A>;
  readonly descriptor: Descriptor | null;
  readonly bytes: Bytes | null;
  /** A position, a flag, a backlog: whatever number the kind takes. */
  readonly number: number;
  /** A path, an address: whatever else it takes. */
  readonly argument: unknown;
  readonly options: IoOptions | undefined;
  /** Bytes that went out in rounds that are over, for kinds that write all of something. */
  sent = 0;
  /** How many bytes there are, for those kinds. */
  total = 0;
  /** The handle in use while it waits. */
  private handle: Handle | null = null;

  constructor(
    kind: Kind<A>,
    descriptor: Descriptor | null,
    bytes: Bytes | null,
    number: number,
    argument: unknown,
    options: IoOptions | undefined,
  ) {
    this.kind = kind;
    this.descriptor = descriptor;
    this.bytes = bytes;
    this.number = number;
    this.argument = argument;
    this.options = options;
  }

  [Symbol.iterator](): Iterator<unknown, A, unknown> {
    return this;
  }

  /** Iterator protocol, driven by `yield*`: the first call waits, the second gives the result. */
  next(): IteratorResult<unknown, A> {
    const { handle } = this;
    if (handle === null) return this.start();
    const { task } = handle;
    if (task !== current.task || task === null || handle.state !== DONE) throw this.misused(handle);
    return { done: true, value: this.take(handle) };
  }

  private take(handle: Handle): A {
    this.handle = null;
    handle.task = null;
    const { outcome } = handle;
    const io = handle.io!;
    io.give(handle);
    if (outcome < 0 && outcome !== this.kind.expected) throw this.error(outcome, handle.timedOut);
    return this.kind.convert(outcome, this, io);
  }

  private start(): IteratorResult<unknown, A> {
    const task = currentTask("yield*");
    // A pending kill is met before anything is started.
    if (task.doomed !== null) return SUSPENDED;
    const io = ioOf(task.cooperator);
    const handle = io.take();
    const result = this.queue(io, handle);
    if (result !== QUEUED) {
      io.give(handle);
      if (result < 0) throw this.error(result, false);
      return { done: true, value: this.kind.convert(result, this, io) };
    }
    handle.block(task);
    this.handle = handle;
    return SUSPENDED;
  }

  /** Queues the operation on a handle of the pool: gives QUEUED, or a result when it is done at once. */
  private queue(io: Io, handle: Handle): number {
    const { kind } = this;
    if (this.sent !== 0) this.sent = 0;
    try {
      handle.prepare(io, kind as Kind<unknown>, this.descriptor, this.options);
      return kind.setup(io, handle, this);
    } catch (error) {
      handle.unprepare();
      io.give(handle);
      throw this.explain(error);
    }
  }

  /** @internal */
  describe(): string {
    return `${this.kind.syscall}${this.descriptor === null ? "" : ` on ${this.descriptor.label}`}`;
  }

  /** @internal */
  get waiter(): Handle {
    return this.handle!;
  }

  /** @internal */
  enlist(task: Task): boolean {
    if (this.handle !== null) throw inUse();
    const io = ioOf(task.cooperator);
    const handle = io.take();
    const result = this.queue(io, handle);
    this.handle = handle;
    if (result === QUEUED) {
      handle.queued(task);
      return false;
    }
    // Reclaimed from these bytes when the task is killed before it sees the result.
    handle.bytes = this.bytes;
    handle.resolved(task, result);
    return true;
  }

  /** @internal */
  conclude(): A {
    return this.take(this.handle!);
  }

  /** @internal */
  forgo(): void {
    const { handle } = this;
    this.handle = null;
    // The outer wait was iterated over by hand, and has not waited.
    if (handle !== null && handle.pending) handle.disown(handle.task!);
  }

  /** @internal */
  get lingers(): boolean {
    return true;
  }

  return(value?: unknown): IteratorResult<unknown, A> {
    const { handle } = this;
    if (handle !== null && handle.task === current.task && handle.task?.wait === handle) {
      handle.disown(handle.task);
    }
    this.handle = null;
    return { done: true, value: value as A };
  }

  throw(error?: unknown): IteratorResult<unknown, A> {
    this.handle = null;
    throw error;
  }

  /** @internal The setup form: queues the operation on the caller's handle. */
  setUp(handle: Handle): void {
    const io = currentIo(`the setup of ${this.kind.syscall}`);
    checkHandle(handle, this.kind.syscall);
    let result: number;
    let prepared = false;
    try {
      handle.prepare(io, this.kind as Kind<unknown>, this.descriptor, this.options);
      prepared = true;
      result = this.kind.setup(io, handle, this);
    } catch (error) {
      // A handle that is still busy with another operation is left alone.
      if (prepared) handle.unprepare();
      throw this.explain(error);
    }
    if (result === QUEUED) handle.started();
    else handle.immediate(result);
  }

  /** It was resumed by somebody other than the scheduler, which has then got nothing. */
  private misused(handle: Handle): UsageError {
    const { task } = handle;
    if (task === null || task !== current.task) return inUse();
    this.handle = null;
    handle.disown(task);
    return notDelegated();
  }

  /** @internal What a setup threw. Something that is no descriptor shows up as a TypeError from deep inside. */
  explain(error: unknown): unknown {
    const { descriptor, kind } = this;
    if (error instanceof CoopError || typeof descriptor?.checkOpen === "function") return error;
    return new UsageError(
      "COOP_DESCRIPTOR",
      `${kind.syscall} takes an open File or Socket, not ${describeValue(descriptor)}`,
      { cause: error },
    );
  }

  /** @internal The error of a result below 0. A connection can time out too, and that is another thing. */
  error(result: number, timedOut: boolean): Error {
    const { descriptor, kind, options } = this;
    if (descriptor !== null) descriptor.checkOpen(kind.syscall);
    if (result === -ETIMEDOUT && timedOut) {
      const on = descriptor === null ? "" : ` on ${descriptor.label}`;
      return new DeadlineError(`${kind.syscall}${on} took longer than ${options!.timeout}`);
    }
    return new IoError(result, kind.syscall, kind.details?.(this) ?? descriptor?.details);
  }

  /** @internal One round is over. Gives the outcome, or GOES_ON when bytes are left. */
  advance(result: number): number {
    if (result < 0) return result;
    this.sent += result;
    if (this.sent >= this.total) return result;
    // The rest is gone when the caller has detached its buffer; nothing at all never comes to an end.
    const length = this.bytes === null ? lengthOf(this.argument as readonly Bytes[]) : this.bytes.byteLength;
    if (length !== this.total) return -EFAULT;
    return result === 0 ? -EIO : GOES_ON;
  }

  /** @internal */
  queueRest(io: Io, handle: Handle): void {
    this.kind.setup(io, handle, this);
  }

  /** @internal The last round is over. */
  stopped(): void {
    const { sent, kind } = this;
    if (sent > 0 && sent < this.total) kind.cutShort?.(this, sent);
  }
}
