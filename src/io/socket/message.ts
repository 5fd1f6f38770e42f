/** sendmsg(2), recvmsg(2): one message with an address. */
import { UsageError } from "../../coordinator/errors.ts";
import type { Operation } from "../../coordinator/operation.ts";
import { DONE } from "../../handle/handle.ts";
import {
  IOVEC_BASE,
  IOVEC_LEN,
  IOVEC_SIZE,
  MSG_NOSIGNAL,
  MSG_TRUNC,
  MSGHDR_CONTROL,
  MSGHDR_CONTROLLEN,
  MSGHDR_FLAGS,
  MSGHDR_IOV,
  MSGHDR_IOVLEN,
  MSGHDR_NAME,
  MSGHDR_NAMELEN,
  MSGHDR_SIZE,
  OP_RECVMSG,
  OP_SENDMSG,
} from "../../native/layout.ts";
import type { Descriptor } from "../descriptor/descriptor.ts";
import type { Kept } from "../descriptor/inbox.ts";
import type { Handle, IoOptions, Shots } from "../handle.ts";
import type { Io } from "../io.ts";
import { checkHandle, IoOperation, Kind, QUEUED } from "../io-operation.ts";
import { type Block, type Bytes, COPY, checkBytes } from "../memory/memory.ts";
import {
  type Address,
  type AddressLike,
  addressDetails,
  decodeAddress,
  encodeAddress,
  parseAddress,
} from "./address.ts";
import { SOCKADDR_ROOM } from "./bind.ts";
import { keepReceived, noteReadError, noteSendError } from "./recv.ts";

/** A datagram that has been received. */
export interface Received {
  /** Bytes written to the buffer; 0 for a datagram without any. */
  readonly count: number;
  /** The sender, null when it has no address. */
  readonly from: Address | null;
  /** It was longer than the buffer, and the rest of it is gone. */
  readonly truncated: boolean;
}

/** Queues a receive; {@link receivedBy} tells more than its count. @see {@link receiveFrom} to wait. recvmsg(2). */
export function setupReceiveFrom(handle: Handle, socket: Descriptor, into: Bytes, options?: IoOptions): void {
  receiveOperation(socket, into, options).setUp(handle);
}

/**
 * Waits for a datagram. One that arrives for a task that was killed is what the next one gets.
 *
 * @throws {IoError} what recvmsg(2) says, for instance `ECONNREFUSED` when a datagram sent before could not be
 * delivered. The socket can be used on.
 */
export function receiveFrom(socket: Descriptor, into: Bytes, options?: IoOptions): Operation<Received> {
  return receiveOperation(socket, into, options);
}

/**
 * What a handle's `setupReceiveFrom` has received.
 *
 * @throws {UsageError} `COOP_NOT_ENDED` unless it has received something.
 */
export function receivedBy(handle: Handle): Received {
  checkHandle(handle, "receiveFrom");
  const { shots } = handle;
  if (shots instanceof Envelope && handle.state === DONE && handle.outcome >= 0) {
    return shots.received(handle.outcome);
  }
  throw new UsageError("COOP_NOT_ENDED", "the handle has received no datagram");
}

/** Queues a send of one datagram; without an address to the peer of the socket. sendmsg(2). */
export function setupSendTo(
  handle: Handle,
  socket: Descriptor,
  bytes: Bytes,
  address: AddressLike | null,
  options?: IoOptions,
): void {
  sendOperation(socket, bytes, address, options).setUp(handle);
}

/**
 * Sends one datagram, of which either all goes out or nothing, and gives its length. An empty one is one too.
 *
 * @throws {IoError} with the address: `EMSGSIZE` when it is too long, `EDESTADDRREQ`, …
 */
export function sendTo(
  socket: Descriptor,
  bytes: Bytes,
  address: AddressLike | null,
  options?: IoOptions,
): Operation<number> {
  return sendOperation(socket, bytes, address, options);
}

function receiveOperation(socket: Descriptor, into: Bytes, options: IoOptions | undefined) {
  return new IoOperation(RECEIVE, socket, checkBytes(into, "receiveFrom"), 0, new Envelope(), options);
}

function sendOperation(
  socket: Descriptor,
  bytes: Bytes,
  address: AddressLike | null,
  options: IoOptions | undefined,
) {
  const to = address === null ? null : parseAddress(address);
  return new IoOperation(SEND_TO, socket, checkBytes(bytes, "sendTo"), 0, to, options);
}

/** What a completion says beside the count; read while the block is still ours. */
class Envelope implements Shots {
  from: Address | null = null;
  truncated = false;
  /** The datagram it took from what is kept, whole. */
  kept: Kept | null = null;
  #block: Block | null = null;
  private at = 0;

  /** The header lies in `block` from `at`. */
  open(block: Block, at: number): void {
    this.#block = block;
    this.at = at;
  }

  arrived(result: number): void {
    const block = this.#block!;
    this.#block = null;
    if (result < 0) return;
    const view = block.view();
    this.truncated = (view.getInt32(this.at + MSGHDR_FLAGS, true) & MSG_TRUNC) !== 0;
    const length = view.getUint32(this.at + MSGHDR_NAMELEN, true);
    const name = this.at + NAME_AT;
    this.from = decodeAddress(
      block.bytes.subarray(name, name + SOCKADDR_ROOM),
      Math.min(length, SOCKADDR_ROOM),
    );
  }

  received(count: number): Received {
    return { count, from: this.from, truncated: this.truncated };
  }
}

const IOV_AT = MSGHDR_SIZE;
const NAME_AT = IOV_AT + IOVEC_SIZE;
const MESSAGE_BYTES = NAME_AT + SOCKADDR_ROOM;
const TWO_32 = 4294967296;

const RECEIVE: Kind<Received> = new Kind({
  syscall: "recvmsg",
  direct: true,
  setup(io, handle, operation) {
    const socket = operation.descriptor!;
    const envelope = operation.argument as Envelope;
    const into = checkBytes(operation.bytes, "receiveFrom");
    handle.shots = envelope;
    if (socket.exclusive) {
      // Bytes of a stream: one reader, and what is kept has no boundaries.
      if (socket.reader !== null && !handle.follows(socket.reader))
        throw socket.busy("receiveFrom", "reader");
      if (into.byteLength === 0) return 0;
      if (socket.inbox.waiting) return socket.inbox.take(into);
      socket.reader = handle;
    }
    const kept = socket.inbox.takeMessage();
    if (kept !== null) {
      const count = Math.min(kept.bytes.length, into.length);
      into.set(kept.bytes.subarray(0, count));
      envelope.kept = kept;
      envelope.from = kept.from;
      envelope.truncated = kept.truncated || count < kept.bytes.length;
      return count;
    }
    const block = writeHeader(io, handle, into, null, true);
    envelope.open(block, headerAt);
    io.driver.submit(handle, OP_RECVMSG, socket.number, block.address + headerAt, 1, 0, 0, 0, 0);
    return QUEUED;
  },
  convert: (count, operation) => (operation.argument as Envelope).received(count),
  reclaim(io, count, handle) {
    const envelope = handle.shots as Envelope;
    const socket = handle.descriptor!;
    if (socket.exclusive) {
      keepReceived(io, count, handle);
      return;
    }
    if (handle.atOnce) {
      socket.inbox.putBackMessage(envelope.kept!);
      return;
    }
    const bytes = handle.bytes!;
    // A buffer that was detached meanwhile has taken its bytes with it.
    if (bytes.byteLength < count) return;
    socket.inbox.keepMessage(bytes.subarray(0, count), envelope.from, envelope.truncated);
  },
  failed: noteReadError,
  ended: (handle) => (handle.descriptor!.exclusive ? handle.descriptor!.inbox.ended() : 0),
});

const SEND_TO: Kind<number> = new Kind({
  syscall: "sendmsg",
  direct: true,
  setup(io, handle, operation) {
    const socket = operation.descriptor!;
    const bytes = checkBytes(operation.bytes, "sendTo");
    if (socket.exclusive) {
      if (socket.writer !== null && !handle.follows(socket.writer)) throw socket.busy("sendTo", "writer");
      socket.checkWritable("sendTo");
    }
    const block = writeHeader(io, handle, bytes, operation.argument as Address | null, false);
    io.driver.submit(handle, OP_SENDMSG, socket.number, block.address + headerAt, 1, 0, MSG_NOSIGNAL, 0, 0);
    if (socket.exclusive) socket.writer = handle;
    return QUEUED;
  },
  convert: (count) => count,
  failed: noteSendError,
  details: (operation) =>
    operation.argument === null
      ? operation.descriptor?.details
      : addressDetails(operation.argument as Address),
});

/** @internal Where {@link writeHeader} has put the header in its block. */
export let headerAt = 0;

/** @internal Where control data begins, behind the header. */
export const CONTROL_AT: number = MESSAGE_BYTES;

/**
 * @internal A msghdr with its iovec, its address and `control` bytes of control data, behind the bytes where those
 * have to be copied.
 */
export function writeHeader(
  io: Io,
  handle: Handle,
  bytes: Bytes,
  to: Address | null,
  receive: boolean,
  control = 0,
): Block {
  const { memory } = io.driver;
  const length = bytes.byteLength;
  const found = length === 0 ? 0 : memory.locate(bytes);
  const at = found === COPY ? Math.ceil(length / 8) * 8 : 0;
  const block = handle.argument(at + MESSAGE_BYTES + control);
  const address = found === COPY ? block.address : found;
  handle.bytes = bytes;
  if (found === COPY) {
    if (receive) handle.copyOut();
    else block.bytes.set(bytes);
  } else if (!receive && memory.checks) handle.seal();
  block.bytes.fill(0, at, at + NAME_AT);
  const view = block.view();
  let nameLength = SOCKADDR_ROOM;
  if (!receive) {
    const name = at + NAME_AT;
    nameLength = to === null ? 0 : encodeAddress(to, block.bytes.subarray(name, name + SOCKADDR_ROOM));
  }
  if (nameLength > 0) setAddress(view, at + MSGHDR_NAME, block.address + at + NAME_AT);
  view.setUint32(at + MSGHDR_NAMELEN, nameLength, true);
  setAddress(view, at + MSGHDR_IOV, block.address + at + IOV_AT);
  view.setUint32(at + MSGHDR_IOVLEN, 1, true);
  setAddress(view, at + IOV_AT + IOVEC_BASE, address);
  view.setUint32(at + IOV_AT + IOVEC_LEN, length, true);
  if (control > 0) {
    setAddress(view, at + MSGHDR_CONTROL, block.address + at + CONTROL_AT);
    view.setUint32(at + MSGHDR_CONTROLLEN, control, true);
  }
  headerAt = at;
  return block;
}

function setAddress(view: DataView, at: number, address: number): void {
  view.setUint32(at, address % TWO_32, true);
  view.setUint32(at + 4, Math.floor(address / TWO_32), true);
}
