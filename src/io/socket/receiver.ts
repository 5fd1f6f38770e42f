/**
 * Multishot receive: one submission for many arrivals, into buffers of a {@link BufferRing}. While nothing
 * arrives the connection holds no buffer at all.
 *
 * ```
 *   IDLE ──read() finds nothing──▶ ARMED ──most buffers held: cancel──▶ STOPPING ──last completion──▶ IDLE
 *     ▲                              │ └──last completion, nobody waits──────────────────────────────▲
 *     │                              └──no buffer (ENOBUFS)──▶ STARVING ──a buffer is given back──▶ ARMED
 *     └── the end, or an error: for ever
 * ```
 *
 * Bytes leave the receiver in the step that hands them out: a kill of the reader loses nothing. What is left
 * when the receiver is closed is kept on the socket for its next reader.
 */

import { BusyError, ClosedError, UsageError } from "../../coordinator/errors.ts";
import { describeValue, type Operation } from "../../coordinator/operation.ts";
import { checkOptions, given, type Known } from "../../coordinator/options.ts";
import { Signal } from "../../coordinator/signal.ts";
import { Wait } from "../../coordinator/wait.ts";
import {
  CQE_BUFFER,
  CQE_BUFFER_SHIFT,
  OP_RECV,
  RECV_MULTISHOT,
  RECVSEND_POLL_FIRST,
  SQE_BUFFER_SELECT,
  SQE_FLAGS_SHIFT,
} from "../../native/layout.ts";
import { checkDescriptor, type Dependent } from "../descriptor/descriptor.ts";
import { ECANCELED, ENOBUFS, IoError } from "../errno.ts";
import type { Handle, Shots } from "../handle.ts";
import { Kind } from "../io-operation.ts";
import { BufferRing, Starving } from "../memory/buffer-ring.ts";
import { type Bytes, checkBytes, countOfNone } from "../memory/memory.ts";
import type { ByteReader } from "../stream/byte-stream.ts";
import { noteReadError } from "./recv.ts";
import type { Socket } from "./stream-socket.ts";

export interface ReceiverOptions {
  /** Buffers that may be full and not read; with that many the kernel is asked to stop. Default 16. */
  readonly held?: number;
}

const KNOWN: Known<ReceiverOptions> = { held: true };
const HELD_DEFAULT = 16;

const RECEIVE_ALL = new Kind<unknown>({
  syscall: "recv",
  direct: true,
  setup: () => 0,
  convert() {},
  background: true,
  failed: noteReadError,
});

/** Receives from a stream socket; while it exists nothing else does. `using` gives the socket back. */
export class Receiver extends Starving implements ByteReader, Shots, Dependent {
  private readonly socket: Socket;
  private readonly ring: BufferRing;
  private readonly heldMax: number;
  /** Buffers that are full, oldest first: number and count. */
  private readonly full: { readonly id: number; readonly count: number }[] = [];
  /** Bytes of the oldest that have been handed out. */
  private offset = 0;
  private handle: Handle | null = null;
  private ended = false;
  private error = 0;
  private stopped = false;
  private waiter: Read | null = null;
  /** Notified when the socket is free again. */
  private readonly over = new Signal({ name: "the end of a receiver" });

  /** @throws {BusyError} when the socket has a reader. @throws {ClosedError} when it is closed. */
  constructor(socket: Socket, ring: BufferRing, options?: ReceiverOptions) {
    super();
    checkOptions(options, "a Receiver", KNOWN);
    const held = given(options, "held") ?? HELD_DEFAULT;
    if (!Number.isSafeInteger(held) || held < 1) {
      throw new UsageError("COOP_ARGUMENT", "held is a number of buffers from 1 up");
    }
    checkDescriptor(socket, "receive");
    if (!(ring instanceof BufferRing)) {
      throw new UsageError("COOP_ARGUMENT", `a Receiver takes a BufferRing, not ${describeValue(ring)}`);
    }
    socket.checkUsable(ring.io, "receive");
    if (socket.reader !== null) throw socket.busy("receive", "reader");
    ring.enter();
    this.socket = socket;
    this.ring = ring;
    this.heldMax = held;
    socket.addDependent(this);
    // Stands there, so that nothing else receives meanwhile.
    socket.reader = this;
  }

  /** As `recv`: waits for bytes and gives their count, 0 at the end. One task at a time. */
  read(into: Bytes): Operation<number> {
    return new Read(this, checkBytes(into, "read"));
  }

  /** Gives the socket back, with what has arrived and was not read, and waits until it can be received from. */
  release(): Operation<void> {
    this[Symbol.dispose]();
    return this.over.wait();
  }

  /** Begins to give the socket back, as {@link release} does. */
  [Symbol.dispose](): void {
    if (this.stopped) return;
    this.stopped = true;
    this.socket.removeDependent(this);
    this.list?.remove(this);
    this.handle?.cancel();
    for (const { id, count } of this.full.splice(0)) this.keep(id, count);
    const { waiter } = this;
    this.waiter = null;
    waiter?.grant();
    if (this.handle === null) this.free();
  }

  /** @internal */
  descriptorClosing(): void {
    this[Symbol.dispose]();
  }

  /** @internal A completion: bytes, the end, or an error. */
  arrived(result: number, flags: number): void {
    const { ring } = this;
    const id = flags >>> CQE_BUFFER_SHIFT;
    const hasBuffer = (flags & CQE_BUFFER) !== 0;
    if (hasBuffer) ring.taken();
    if (result <= 0) {
      if (hasBuffer) ring.give(id);
      if (result === 0 && this.socket.inbox.ended() === 0) this.ended = true;
      return;
    }
    if (this.stopped) {
      this.keep(id, result);
      return;
    }
    this.full.push({ id, count: result });
    if (this.full.length >= this.heldMax) this.handle?.cancel();
    this.waiter?.grant();
  }

  /** @internal There is a buffer again. */
  override fed(): void {
    if (this.handle === null) this.arm();
  }

  /** @internal Whether a read can end at once; throws when it may not begin. */
  ready(into: Bytes): boolean {
    if (this.waiter !== null) {
      throw new BusyError("read: another task reads from this receiver; let one task do it");
    }
    const { socket } = this;
    return (
      into.byteLength === 0 ||
      this.stopped ||
      this.full.length > 0 ||
      this.ended ||
      this.error !== 0 ||
      socket.inbox.waiting ||
      socket.closed
    );
  }

  /** @internal The next bytes, which are there. */
  take(into: Bytes): number {
    const { full, socket } = this;
    socket.checkOpen("read");
    if (this.stopped) throw new ClosedError("read: the receiver is closed");
    if (into.byteLength === 0) return countOfNone(into, "read");
    if (socket.inbox.filled) return socket.inbox.take(into);
    const first = full[0];
    if (first !== undefined) {
      const count = Math.min(first.count - this.offset, into.byteLength);
      into.set(this.ring.bytes(first.id, this.offset, this.offset + count));
      this.offset += count;
      if (this.offset === first.count) {
        this.offset = 0;
        full.shift();
        this.ring.give(first.id);
      }
      return count;
    }
    if (this.ended) return 0;
    const error = socket.inbox.error === 0 ? this.error : socket.inbox.error;
    this.error = 0;
    throw new IoError(error, "recv", socket.details);
  }

  /** @internal */
  wait(waiter: Read): void {
    this.waiter = waiter;
    if (this.handle === null) this.arm();
  }

  /** @internal */
  leave(): void {
    this.waiter = null;
    this.list?.remove(this);
  }

  private arm(): void {
    const { socket, ring } = this;
    const { io } = ring;
    const handle = io.take();
    handle.prepare(io, RECEIVE_ALL, socket, undefined);
    handle.shots = this;
    handle.bufferIndex = ring.group;
    const opcode = OP_RECV | (SQE_BUFFER_SELECT << SQE_FLAGS_SHIFT);
    const how = socket.hasMore ? RECV_MULTISHOT : RECV_MULTISHOT | RECVSEND_POLL_FIRST;
    io.driver.submit(handle, opcode, socket.number, 0, 0, 0, 0, how, 0);
    this.handle = handle;
    handle.startedInBackground((result) => this.done(result));
    io.driver.onQueued?.();
  }

  /** The last completion is in: whatever ended it, it goes on unless that was for good. */
  private done(result: number): void {
    this.handle = null;
    if (this.stopped) {
      this.free();
      return;
    }
    if (result < 0 && result !== -ECANCELED && result !== -ENOBUFS) this.error = result;
    const { waiter } = this;
    if (waiter === null) return;
    if (this.ended || this.error !== 0 || this.full.length > 0) waiter.grant();
    else if (result !== -ENOBUFS || !this.ring.starve(this)) this.arm();
  }

  private free(): void {
    if (this.socket.reader === this) this.socket.reader = null;
    this.ring.leave();
    this.over.notify();
  }

  private keep(id: number, count: number): void {
    this.socket.inbox.keep(this.ring.bytes(id, this.offset, count));
    this.offset = 0;
    this.ring.give(id);
  }
}

class Read extends Wait<number> {
  private readonly receiver: Receiver;
  private readonly into: Bytes;
  constructor(receiver: Receiver, into: Bytes) {
    super();
    this.receiver = receiver;
    this.into = into;
  }

  override describe(): string {
    return "bytes from a receiver";
  }

  protected override begin(): boolean {
    if (this.receiver.ready(this.into)) return true;
    this.receiver.wait(this);
    return false;
  }

  /** The bytes are taken now and not when they came: until then they are nobody's, whatever happens. */
  protected override finish(): number {
    this.receiver.leave();
    return this.receiver.take(this.into);
  }

  override abort(): boolean {
    this.receiver.leave();
    return true;
  }

  override rollback(): void {
    this.receiver.leave();
  }
}
