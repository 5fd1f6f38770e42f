/**
 * The blocking form of an operation, level 1: takes a handle from the pool, submits, waits, converts the
 * result or throws. A kill cancels the operation and waits for all of its completions before the task
 * unwinds; what arrives after the kill is reclaimed.
 */
import { DeadlineError } from "../coordinator/errors.ts";
import type { Task } from "../coordinator/task.ts";
import { Wait } from "../coordinator/wait.ts";
import type { Descriptor } from "./descriptor.ts";
import { ETIMEDOUT, IoError, type IoErrorDetails } from "./errno.ts";
import type { Handle, IoOptions } from "./handle.ts";
import { type Io, ioOf } from "./io.ts";

/** A result that needed no operation: from `begin` to the `finish` that follows at once. */
let immediate = 0;

export abstract class IoWait<A> extends Wait<A> {
  protected readonly descriptor: Descriptor | null;
  protected readonly options: IoOptions | undefined;
  /** The handle in use while it waits. */
  protected handle: Handle | null = null;

  constructor(descriptor: Descriptor | null, options: IoOptions | undefined) {
    super();
    this.descriptor = descriptor;
    this.options = options;
  }

  /** The system call's name, for errors and dumps. */
  protected abstract get syscall(): string;
  /** Sets the operation up on `handle`; gives a result instead, from 0 up, when none is needed, else -1. */
  protected abstract setup(io: Io, handle: Handle): number;
  /** What the caller gets for a result from 0 up. */
  protected abstract convert(result: number, io: Io): A;

  override describe(): string {
    return this.descriptor === null ? this.syscall : `${this.syscall} on ${this.descriptor.label}`;
  }

  /** What the caller gets for -errno. */
  protected failed(result: number): A {
    if (this.descriptor !== null) this.descriptor.checkOpen(this.syscall);
    if (result === -ETIMEDOUT && this.options?.timeout !== undefined) {
      throw new DeadlineError(`${this.describe()} took longer than ${this.options.timeout}`);
    }
    throw new IoError(result, this.syscall, this.details());
  }

  protected details(): IoErrorDetails | undefined {
    return this.descriptor?.details;
  }

  protected override begin(task: Task): boolean {
    const io = ioOf(task.cooperator);
    const handle = io.take();
    let result: number;
    try {
      result = this.setup(io, handle);
    } catch (error) {
      io.give(handle);
      throw error;
    }
    if (result !== -1) {
      io.give(handle);
      immediate = result;
      return true;
    }
    handle.started(this);
    this.handle = handle;
    return false;
  }

  protected override finish(task: Task): A {
    const handle = this.handle;
    const io = ioOf(task.cooperator);
    if (handle === null) return this.convert(immediate, io);
    this.handle = null;
    const result = handle.outcome;
    io.give(handle);
    return result < 0 ? this.failed(result) : this.convert(result, io);
  }

  override abort(): boolean {
    this.handle!.abandon();
    return false;
  }

  override rollback(): void {
    const handle = this.handle!;
    this.handle = null;
    // Satisfied before the kill came: the result is here, and nobody will look at it.
    if (!handle.abandoned && handle.outcome >= 0) handle.reclaim?.(handle.io!, handle.outcome, handle);
    handle.io!.give(handle);
  }
}
