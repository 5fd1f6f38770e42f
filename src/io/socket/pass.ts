/**
 * Descriptors that go from one process to another, or to another part of this one, over a unix socket (SCM_RIGHTS):
 * unix(7), cmsg(3). They travel with the first byte of what is sent, so there is always at least one.
 *
 * What has arrived is open here, whoever asked for it: it is held as descriptors of ours from the completion on, and
 * closed unless somebody takes it. Source: reliability hazard 17.
 */
import { brand, CoopError, UsageError } from "../../coordinator/errors.ts";
import { describeValue, type Operation } from "../../coordinator/operation.ts";
import { DONE } from "../../handle/handle.ts";
import * as abi from "../../native/layout.ts";
import { adoptReceived } from "../descriptor/adopt.ts";
import { Descriptor } from "../descriptor/descriptor.ts";
import type { Attached } from "../descriptor/inbox.ts";
import { File } from "../file/file.ts";
import type { Handle, IoOptions, Shots } from "../handle.ts";
import type { Io } from "../io.ts";
import { checkHandle, IoOperation, Kind, QUEUED } from "../io-operation.ts";
import { type Block, type Bytes, checkBytes, roundOf } from "../memory/memory.ts";
import { CONTROL_AT, headerAt, writeHeader } from "./message.ts";
import { noteReadError, noteSendError } from "./recv.ts";
import { socketFact } from "./socket-options.ts";
import type { Socket } from "./stream-socket.ts";

/** What the kernel takes in one message: SCM_MAX_FD. */
const PASSED_MAX = 253;
const NUMBER_BYTES = 4;
const CONTROL_BYTES = abi.CMSGHDR_SIZE + PASSED_MAX * NUMBER_BYTES + 4;

/** Queues a send of bytes with descriptors. @see {@link sendDescriptors} to wait. */
export function setupSendDescriptors(
  handle: Handle,
  socket: Descriptor,
  bytes: Bytes,
  descriptors: readonly Descriptor[],
  options?: IoOptions,
): void {
  sendOperation(socket, bytes, descriptors, options).setUp(handle);
}

/**
 * Sends bytes, at least one, and with the first of them 1 to 253 open descriptors, over a unix socket. They stay open
 * here; a close of one meanwhile ends the send. Gives the count of bytes, which may be short on a stream: the
 * descriptors have gone then, and {@link sendAll} sends the rest.
 *
 * @throws {UsageError} `COOP_ARGUMENT` when it is no unix socket; `COOP_UNREAD` when one of them has bytes that a killed
 * reader has received, which the receiver would not get: read them first. @throws {IoError} `EPIPE`, …; `ETOOMANYREFS`
 * when too many are under way.
 * @example yield* sendDescriptors(worker, Buffer.from("take this"), [connection]);
 */
export function sendDescriptors(
  socket: Descriptor,
  bytes: Bytes,
  descriptors: readonly Descriptor[],
  options?: IoOptions,
): Operation<number> {
  return sendOperation(socket, bytes, descriptors, options);
}

function sendOperation(
  socket: Descriptor,
  bytes: Bytes,
  descriptors: readonly Descriptor[],
  options: IoOptions | undefined,
): IoOperation<number> {
  checkBytes(bytes, "sendDescriptors");
  if (bytes.byteLength === 0) {
    throw new UsageError("COOP_ARGUMENT", "sendDescriptors sends at least one byte, which they travel with");
  }
  if (!Array.isArray(descriptors) || descriptors.length === 0 || descriptors.length > PASSED_MAX) {
    throw new UsageError("COOP_ARGUMENT", `sendDescriptors sends an array of 1 to ${PASSED_MAX} descriptors`);
  }
  for (const each of descriptors) {
    if (each instanceof Descriptor) continue;
    throw new UsageError(
      "COOP_DESCRIPTOR",
      `sendDescriptors sends open Files and Sockets, not ${describeValue(each)}`,
    );
  }
  return new IoOperation(SEND, socket, bytes, 0, [...descriptors], options);
}

const SEND: Kind<number> = new Kind({
  syscall: "sendmsg",
  setup(io, handle, operation) {
    const socket = operation.descriptor!;
    const passed = operation.argument as readonly Descriptor[];
    checkUnix(io, socket, "sendDescriptors");
    if (socket.writer !== null) throw socket.busy("sendDescriptors", "writer");
    if (socket.brokenAt !== -1) socket.checkWritable("sendDescriptors");
    const length = abi.CMSGHDR_SIZE + passed.length * NUMBER_BYTES;
    const block = writeHeader(io, handle, operation.bytes!, null, false, Math.ceil(length / 8) * 8);
    const at = headerAt + CONTROL_AT;
    const view = block.view();
    view.setUint32(at + abi.CMSGHDR_LEN, length, true);
    view.setUint32(at + abi.CMSGHDR_LEN + 4, 0, true);
    view.setInt32(at + abi.CMSGHDR_LEVEL, abi.SOL_SOCKET, true);
    view.setInt32(at + abi.CMSGHDR_TYPE, abi.SCM_RIGHTS, true);
    let number = at + abi.CMSGHDR_SIZE;
    for (const each of passed) {
      each.checkUsable(io, "sendDescriptors");
      each.checkOrdinary("sendDescriptors");
      each.checkRead("sendDescriptors");
      // The kernel looks the number up each time it tries: it must not be somebody else's by then.
      handle.takeFrom(each);
      view.setInt32(number, each.number, true);
      number += NUMBER_BYTES;
    }
    const address = block.address + headerAt;
    io.driver.submit(handle, abi.OP_SENDMSG, socket.number, address, 1, 0, abi.MSG_NOSIGNAL, 0, 0);
    if (socket.exclusive) socket.writer = handle;
    return QUEUED;
  },
  convert: (count) => count,
  failed: noteSendError,
});

/** Elsewhere the kernel sends the bytes and says nothing about the rest. */
function checkUnix(io: Io, socket: Descriptor, what: string): void {
  if (socketFact(io, socket.number, abi.SO_DOMAIN) === abi.AF_UNIX) return;
  throw new UsageError("COOP_ARGUMENT", `${what} works on unix sockets; ${socket.label} is none`);
}

/** Descriptors were sent, and have not all arrived: those that have are closed. */
export class DescriptorsLostError extends CoopError {
  static override readonly brand = "DescriptorsLostError";
  /** Bytes that came with them, and are in the buffer. */
  readonly count: number;
  constructor(count: number) {
    super(
      "COOP_DESCRIPTORS_LOST",
      "not all descriptors that were passed could be received, and the others are closed; " +
        "this process has as many open as it may (`ulimit -n`), or the sender's credentials took the room",
    );
    this.count = count;
  }
}

brand(DescriptorsLostError);

/**
 * Bytes, and the descriptors that came with the first of them. `using received = …` closes those that nobody took.
 */
export class ReceivedDescriptors {
  /** Bytes in the buffer; 0 at the end of the stream. */
  readonly count: number;
  private readonly files: File[];

  /** @internal */
  constructor(count: number, files: File[]) {
    this.count = count;
    this.files = files;
  }

  /** Descriptors that nobody has taken. */
  get remaining(): number {
    return this.files.length;
  }

  /** The next one, in the order in which they were sent, and from now on the caller's to close; null after the last. */
  take(): File | Socket | null {
    const file = this.files.shift();
    if (file === undefined) return null;
    file.checkOpen("take");
    return adoptReceived(file);
  }

  [Symbol.dispose](): void {
    for (const file of this.files.splice(0)) file[Symbol.dispose]();
  }
}

/** Queues a receive of bytes with descriptors; {@link descriptorsOf} gives them. @see {@link receiveDescriptors}. */
export function setupReceiveDescriptors(
  handle: Handle,
  socket: Socket,
  into: Bytes,
  options?: IoOptions,
): void {
  receiveOperation(socket, into, options).setUp(handle);
}

/**
 * What a handle's `setupReceiveDescriptors` has received; to be called once.
 *
 * @throws {UsageError} `COOP_NOT_ENDED` unless it has received something nobody took over.
 * @throws {DescriptorsLostError} as {@link receiveDescriptors}.
 */
export function descriptorsOf(handle: Handle): ReceivedDescriptors {
  checkHandle(handle, "receiveDescriptors");
  const { shots } = handle;
  if (shots instanceof Arrival && handle.state === DONE && handle.outcome >= 0) {
    handle.shots = null;
    return shots.received(handle.outcome);
  }
  throw new UsageError(
    "COOP_NOT_ENDED",
    "the handle has received no descriptors, or they have been taken over",
  );
}

/**
 * Waits for bytes on a unix stream, and for the descriptors that came with them: none, or up to 253. They are not
 * inherited by child processes. A kill loses nothing: bytes and descriptors are what the next one gets that receives
 * descriptors; a plain `recv` gets the bytes, and they are closed, as by the kernel.
 *
 * @throws {DescriptorsLostError} when they could not all be received; none of them is open then.
 * @throws {BusyError} when another task receives. @throws {IoError} what recvmsg(2) says.
 * @example
 * using received = yield* receiveDescriptors(socket, buffer);
 * const connection = received.take();
 */
export function receiveDescriptors(
  socket: Socket,
  into: Bytes,
  options?: IoOptions,
): Operation<ReceivedDescriptors> {
  return receiveOperation(socket, into, options);
}

function receiveOperation(socket: Socket, into: Bytes, options: IoOptions | undefined) {
  checkBytes(into, "receiveDescriptors");
  if (into.byteLength === 0) {
    throw new UsageError("COOP_BUFFER", "receiveDescriptors needs room for at least one byte");
  }
  return new IoOperation(RECEIVE, socket, into, 0, new Arrival(), options);
}

/** What came beside the bytes; read while the block is still ours. */
class Arrival implements Shots, Attached {
  private io: Io | null = null;
  #block: Block | null = null;
  private at = 0;
  private files: File[] = [];
  private lost = false;

  open(io: Io, block: Block, at: number): void {
    this.io = io;
    this.#block = block;
    this.at = at;
  }

  arrived(result: number): void {
    const block = this.#block!;
    this.#block = null;
    if (result < 0) return;
    const view = block.view();
    this.lost = (view.getInt32(this.at + abi.MSGHDR_FLAGS, true) & abi.MSG_CTRUNC) !== 0;
    const begin = this.at + CONTROL_AT;
    const end = begin + Math.min(view.getUint32(this.at + abi.MSGHDR_CONTROLLEN, true), CONTROL_BYTES);
    for (let at = begin; at + abi.CMSGHDR_SIZE <= end; ) {
      const length = view.getUint32(at + abi.CMSGHDR_LEN, true);
      if (length < abi.CMSGHDR_SIZE) break;
      const rights =
        view.getInt32(at + abi.CMSGHDR_LEVEL, true) === abi.SOL_SOCKET &&
        view.getInt32(at + abi.CMSGHDR_TYPE, true) === abi.SCM_RIGHTS;
      const last = Math.min(at + length, end) - NUMBER_BYTES;
      for (let number = at + abi.CMSGHDR_SIZE; rights && number <= last; number += NUMBER_BYTES) {
        this.files.push(new File(this.io!, view.getInt32(number, true)));
      }
      at += Math.ceil(length / 8) * 8;
    }
  }

  received(count: number): ReceivedDescriptors {
    if (this.lost) {
      this.drop();
      throw new DescriptorsLostError(count);
    }
    return new ReceivedDescriptors(count, this.files.splice(0));
  }

  /** What an earlier one has left. */
  inherit(from: Arrival): void {
    this.files = from.files;
    this.lost = from.lost;
  }

  drop(): void {
    for (const file of this.files.splice(0)) file[Symbol.dispose]();
  }
}

const RECEIVE: Kind<ReceivedDescriptors> = new Kind({
  syscall: "recvmsg",
  setup(io, handle, operation) {
    const socket = operation.descriptor!;
    const arrival = operation.argument as Arrival;
    const into = operation.bytes!;
    checkUnix(io, socket, "receiveDescriptors");
    if (!socket.exclusive) {
      throw new UsageError("COOP_ARGUMENT", `receiveDescriptors works on streams; ${socket.label} is none`);
    }
    if (socket.reader !== null) throw socket.busy("receiveDescriptors", "reader");
    handle.shots = arrival;
    if (socket.inbox.waiting) {
      const kept = socket.inbox.detach();
      if (kept instanceof Arrival) arrival.inherit(kept);
      return socket.inbox.take(into);
    }
    const part = roundOf(io.driver.memory, into);
    const block = writeHeader(io, handle, part, null, true, CONTROL_BYTES);
    arrival.open(io, block, headerAt);
    const address = block.address + headerAt;
    io.driver.submit(handle, abi.OP_RECVMSG, socket.number, address, 1, 0, abi.MSG_CMSG_CLOEXEC, 0, 0);
    socket.reader = handle;
    return QUEUED;
  },
  convert: (count, operation) => (operation.argument as Arrival).received(count),
  reclaim(_io, count, handle) {
    const arrival = handle.shots as Arrival;
    const { inbox } = handle.descriptor!;
    const bytes = handle.bytes!;
    // A buffer that was detached meanwhile has taken its bytes with it.
    if (bytes.byteLength < count) arrival.drop();
    else if (handle.atOnce) inbox.putBack(bytes.subarray(0, count), arrival);
    else inbox.keep(bytes.subarray(0, count), arrival);
  },
  failed: noteReadError,
  ended: (handle) => handle.descriptor!.inbox.ended(),
});
