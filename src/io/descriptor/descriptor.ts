/**
 * An open file or socket.
 *
 * ```
 *   OPEN ──close / dispose──▶ CLOSING ──last operation done, CLOSE done──▶ CLOSED
 *    │                           no longer admitted from here: operations
 *    └──────────release (the number goes to the caller, nothing is closed)──▶ CLOSED
 * ```
 *
 * close(2) does not end an operation in flight, and a number may be reused the moment it is free; so closing
 * first cancels by descriptor, waits for every completion, and only then closes.
 * Source: seeds C-190; conformance R01 … R04; io_uring_cancelation(7).
 */
import { BusyError, ClosedError, UsageError } from "../../coordinator/errors.ts";
import { Listener } from "../../coordinator/listener.ts";
import { describeValue } from "../../coordinator/operation.ts";
import { Signal } from "../../coordinator/signal.ts";
import { CANCEL_ALL, CANCEL_FD, OP_ASYNC_CANCEL, OP_CLOSE } from "../../native/layout.ts";
import { DIRECT } from "../driver/driver.ts";
import { IoError, type IoErrorDetails } from "../errno.ts";
import type { Handle } from "../handle.ts";
import type { Io } from "../io.ts";
import { Kind } from "../io-operation.ts";
import { Entry } from "./entry.ts";
import { Inbox } from "./inbox.ts";

export type DescriptorKind = "file" | "directory" | "socket" | "watcher";

/** @internal In `brokenAt`: nothing more is sent because that was asked for. */
export const SENDING_ENDED = -2;

/** What works on a descriptor for longer than one operation, and is told of its close. */
export interface Dependent {
  /** @internal */
  descriptorClosing(): void;
  /**
   * @internal There is no ring any more, after a panic or at the end of the process: it closes what it has by
   * system calls.
   */
  abandoned?(): void;
}

export class Descriptor {
  readonly kind: DescriptorKind;
  /** @internal */ readonly io: Io;
  /** @internal Its place in the books. */
  readonly entry: Entry;
  /** @internal Operations in flight on it. */
  inflight = 0;
  /** @internal Notified when it is closed; null while it is open. */
  closing: Signal | null = null;
  /** @internal -errno of the close, 0 when it was good. */
  closeResult = 0;
  /** @internal -errno of a sync that has lost data: it stays. */
  syncError = 0;
  /** @internal Operations in flight that take bytes from it and give them to another descriptor. */
  feeding: Set<Handle> | null = null;
  /** @internal What stands on it and has to know when it begins to close. */
  dependents: Set<Dependent> | null = null;
  /** @internal What has come for whoever reads next. */
  readonly inbox: Inbox = new Inbox();
  /** @internal The last completion said that the socket has more to read. */
  hasMore = true;
  /**
   * @internal Bytes of a killed `sendAll` or `writeAll` that went out: the stream ends in the middle of
   * something. {@link SENDING_ENDED} after a shutdown, -1 while it is whole.
   */
  brokenAt = -1;
  /** @internal A stream: two readers would each get pieces, two writers would mix theirs. One of each at a time. */
  exclusive = false;
  /** @internal What it accepts are direct descriptors, unless the accept says something else. */
  acceptsDirect = false;
  /**
   * @internal What reads from the stream, or writes to it, where that is exclusive: an operation in flight, or
   * something that does so in several. Only that one sets it back.
   */
  reader: object | null = null;
  /** @internal */ writer: object | null = null;

  /** @internal Descriptors are made by operations, or by `adoptFile` and `adoptSocket`. */
  constructor(io: Io, number: number, kind: DescriptorKind, details?: IoErrorDetails) {
    this.io = io;
    this.kind = kind;
    this.entry = new Entry(this, io, number, kind, details);
  }

  /** @internal The number, -1 once it is closed or released. */
  get number(): number {
    return this.entry.number;
  }

  /** @internal What messages say about it: a path, an address. */
  get details(): IoErrorDetails | undefined {
    return this.entry.details;
  }

  set details(details: IoErrorDetails | undefined) {
    this.entry.details = details;
  }

  /** The descriptor number, -1 once it is closed or released. It stays ours: never close it elsewhere. */
  get fd(): number {
    return this.direct ? -1 : this.number;
  }

  /** True for a direct descriptor: it lies in the ring's own table, and nothing but the ring can use it. */
  get direct(): boolean {
    return this.number >= DIRECT;
  }

  get closed(): boolean {
    return this.closing !== null || this.number === -1;
  }

  get label(): string {
    return this.entry.label;
  }

  /**
   * Gives the number to the caller and forgets it.
   *
   * @throws {UsageError} `COOP_DESCRIPTOR` while something works on it; `COOP_UNREAD` when a killed reader has left
   * something here, which nobody would find with the number: read it first, or close the descriptor.
   */
  release(): number {
    this.checkOpen("release");
    this.checkOrdinary("release");
    if (this.inflight > 0) {
      throw new UsageError("COOP_DESCRIPTOR", `${this.label} has operations in flight; wait for them first`);
    }
    if (this.reader !== null || this.writer !== null || (this.dependents?.size ?? 0) > 0) {
      throw new UsageError(
        "COOP_DESCRIPTOR",
        `${this.label} is in use by a receiver, an acceptor or the like; end that first`,
      );
    }
    this.checkRead("release");
    const { number } = this;
    this.entry.forget();
    return number;
  }

  /** @internal Throws when what comes next is here, and not with the kernel. */
  checkRead(what: string): void {
    const { inbox } = this;
    if (!inbox.waiting) return;
    if (!inbox.filled) throw new IoError(inbox.error, what, this.details);
    throw new UsageError(
      "COOP_UNREAD",
      `${what}: ${this.label} has ${inbox.bytes} bytes that a killed reader has received; read them first`,
    );
  }

  /** Cancels what is in flight and closes, in the background: nobody waits. Harmless when it is closed. */
  [Symbol.dispose](): void {
    this.startClosing();
  }

  /** Cancels what is in flight, closes, and waits outside of the tree until it is closed. */
  async [Symbol.asyncDispose](): Promise<void> {
    const closed = this.startClosing();
    if (!closed.signaled) await new Promise<void>((resolve) => closed.waiters.push(new Listener(resolve)));
  }

  /** @internal */
  checkOpen(operation: string): void {
    if (this.closing === null && this.number !== -1) return;
    throw new ClosedError(`${operation}: ${this.label} is closed`);
  }

  /** @internal Throws unless an operation of `io` may use it now. */
  checkUsable(io: Io, operation: string): void {
    this.checkOpen(operation);
    if (this.io === io) return;
    throw new UsageError(
      "COOP_OTHER_COOPERATOR",
      `${operation}: ${this.label} belongs to another program; release() it there and adopt it here`,
    );
  }

  /** @internal Throws for a direct descriptor, which has no number that a system call could take. */
  checkOrdinary(operation: string): void {
    if (!this.direct) return;
    throw new UsageError(
      "COOP_DIRECT",
      `${operation}: ${this.label} is a direct descriptor, which only the ring can use; makeOrdinary() gives it a number`,
    );
  }

  /**
   * @internal A socket or an end of a pipe. The kernel takes no notice of a position there, and what was read "at" one
   * could not be read again.
   */
  get placeless(): boolean {
    return this.exclusive && !this.entry.borrowed;
  }

  /** @internal The error of a second reader, or writer. */
  busy(operation: string, what: "reader" | "writer"): BusyError {
    return new BusyError(
      `${operation}: ${this.label} has a ${what} already; a stream has one at a time, let one task do it or use a Mutex`,
    );
  }

  /** @internal Throws when a killed writer has left the stream in the middle of a message, or it was shut down. */
  checkWritable(operation: string): void {
    this.checkOpen(operation);
    if (this.brokenAt === -1) return;
    if (this.brokenAt === SENDING_ENDED) {
      throw new ClosedError(`${operation}: sending on ${this.label} was ended by a shutdown`);
    }
    throw new ClosedError(
      `${operation}: ${this.label} is broken, a writer was cut short after ${this.brokenAt} bytes of its message`,
    );
  }

  /** @internal Starts to close unless that has happened. The signal tells when it is done. */
  startClosing(): Signal {
    if (this.closing !== null) return this.closing;
    const closed = new Signal({ name: `close of ${this.label}` });
    this.closing = closed;
    this.entry.held = this;
    this.inbox.close();
    if (this.dependents !== null) for (const dependent of [...this.dependents]) dependent.descriptorClosing();
    if (this.number === -1) closed.notify();
    else if (this.inflight === 0) this.quiet();
    else {
      // The kernel finds an operation by the descriptor it writes to only.
      if (this.feeding !== null) for (const handle of this.feeding) handle.cancel();
      background(this.io, OP_ASYNC_CANCEL, this.number, CANCEL_FD | CANCEL_ALL, null);
    }
    return closed;
  }

  /** @internal Nothing is in flight any more. */
  quiet(): void {
    const { number } = this;
    if (this.entry.borrowed) {
      this.entry.forget();
      this.closing!.notify();
      return;
    }
    background(this.io, OP_CLOSE, number, 0, (result) => {
      // Whatever close(2) says, the number is free: it is never closed again.
      this.closeResult = result;
      this.closing!.notify();
    });
    this.entry.forget();
  }

  /** @internal */
  addDependent(dependent: Dependent): void {
    this.dependents ??= new Set();
    this.dependents.add(dependent);
    this.entry.held = this;
  }

  /** @internal */
  removeDependent(dependent: Dependent): void {
    this.dependents!.delete(dependent);
    this.entry.letGo(this);
  }
}

/** @internal @throws {UsageError} `COOP_DESCRIPTOR` for what is no descriptor. */
export function checkDescriptor(value: unknown, what: string): asserts value is Descriptor {
  if (value instanceof Descriptor) return;
  throw new UsageError(
    "COOP_DESCRIPTOR",
    `${what} takes an open File or Socket, not ${describeValue(value)}`,
  );
}

const BACKGROUND = new Kind<unknown>({
  syscall: "close",
  setup: () => 0,
  convert() {},
  background: true,
});

/** An operation that belongs to no task. */
function background(
  io: Io,
  opcode: number,
  fd: number,
  opFlags: number,
  done: ((result: number) => void) | null,
): void {
  const handle = io.take();
  handle.prepare(io, BACKGROUND, null, undefined);
  io.driver.submit(handle, opcode, fd, 0, 0, 0, opFlags, 0, 0);
  handle.startedInBackground(done);
  io.driver.onQueued?.();
}

/** @internal Closes a descriptor that was opened for a task that is gone. */
export function closeOrphan(io: Io, number: number): void {
  // Before the close: afterwards the number may be somebody else's.
  io.driver.disown(number);
  background(io, OP_CLOSE, number, 0, null);
}
