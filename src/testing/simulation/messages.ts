/** Messages with a header, and receives into provided buffers, in a simulated kernel. */

import { EFAULT, EINVAL, ENOBUFS } from "../../io/errno.ts";
import { decodeAddress, encodeAddress } from "../../io/socket/address.ts";
import * as abi from "../../native/layout.ts";
import type { SimulatedKernel } from "./kernel.ts";
import { BLOCKED } from "./open-file.ts";
import type { Request } from "./request.ts";
import { DatagramSocket, SimulatedSocket } from "./sockets.ts";

const ENOTSOCK = 88;
const EOPNOTSUPP = 95;

/** The parts of a message that a msghdr names; it has one iovec here. */
class Message {
  readonly header: DataView;
  readonly bytes: Uint8Array;
  readonly name: Uint8Array | null;

  constructor(header: DataView, bytes: Uint8Array, name: Uint8Array | null) {
    this.header = header;
    this.bytes = bytes;
    this.name = name;
  }
}

function messageOf({ memory }: SimulatedKernel, { address }: Request): Message | null {
  const header = viewOf(memory.at(address, abi.MSGHDR_SIZE));
  if (header === null) return null;
  const vector = viewOf(memory.at(pointer(header, abi.MSGHDR_IOV), abi.IOVEC_SIZE));
  if (vector === null) return null;
  const length = Number(vector.getBigUint64(abi.IOVEC_LEN, true));
  const bytes = length === 0 ? NOTHING : memory.at(pointer(vector, abi.IOVEC_BASE), length);
  const nameLength = header.getUint32(abi.MSGHDR_NAMELEN, true);
  const name = nameLength === 0 ? null : memory.at(pointer(header, abi.MSGHDR_NAME), nameLength);
  return bytes === null ? null : new Message(header, bytes, name);
}

const NOTHING = new Uint8Array(0);

function viewOf(bytes: Uint8Array | null): DataView | null {
  return bytes === null ? null : new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function pointer(view: DataView, at: number): number {
  return Number(view.getBigUint64(at, true));
}

export function sendMessage(kernel: SimulatedKernel, request: Request): number {
  const { file } = request;
  if (!(file instanceof SimulatedSocket)) return -ENOTSOCK;
  const message = messageOf(kernel, request);
  if (message === null) return -EFAULT;
  if (!(file instanceof DatagramSocket)) return -EOPNOTSUPP;
  const { bytes, name } = message;
  if (name === null) return file.write(bytes);
  const to = decodeAddress(name.slice(), name.length);
  return to === null ? -EINVAL : file.sendTo(bytes, to);
}

export function receiveMessage(kernel: SimulatedKernel, request: Request): number {
  const { file } = request;
  if (!(file instanceof SimulatedSocket)) return -ENOTSOCK;
  const message = messageOf(kernel, request);
  if (message === null) return -EFAULT;
  if (!(file instanceof DatagramSocket)) return -EOPNOTSUPP;
  const datagram = file.take();
  if (typeof datagram === "number") return datagram;
  const { header, bytes, name } = message;
  const count = Math.min(bytes.length, datagram.bytes.length);
  bytes.set(datagram.bytes.subarray(0, count));
  const known = datagram.from !== null && name !== null;
  header.setUint32(abi.MSGHDR_NAMELEN, known ? encodeAddress(datagram.from!, name!) : 0, true);
  header.setInt32(abi.MSGHDR_FLAGS, count < datagram.bytes.length ? abi.MSG_TRUNC : 0, true);
  return count;
}

/** A ring of buffers that receives take from. */
export class BufferGroup {
  private readonly view: DataView;
  private readonly entries: number;
  private head = 0;

  constructor(ring: Uint8Array, entries: number) {
    this.view = viewOf(ring)!;
    this.entries = entries;
  }

  /** Where the next buffer's record lies, -1 when there is none. */
  get next(): number {
    const tail = this.view.getUint16(abi.BUF_TAIL, true);
    return tail === this.head ? -1 : (this.head & (this.entries - 1)) * abi.BUF_SIZE;
  }

  bytes(at: number, kernel: SimulatedKernel): Uint8Array | null {
    return kernel.memory.at(
      pointer(this.view, at + abi.BUF_ADDR),
      this.view.getUint32(at + abi.BUF_LEN, true),
    );
  }

  /** Takes the next buffer away: its number. */
  take(at: number): number {
    this.head = (this.head + 1) & 0xffff;
    return this.view.getUint16(at + abi.BUF_BID, true);
  }
}

/** A receive that takes its buffers from a group, once or again and again. */
export function receiveSelected(kernel: SimulatedKernel, request: Request): number {
  const file = request.file as SimulatedSocket;
  const group = kernel.groups.get(request.bufferIndex);
  if (group === undefined) return -ENOBUFS;
  for (;;) {
    const at = group.next;
    if (at === -1) return -ENOBUFS;
    const into = group.bytes(at, kernel);
    if (into === null) return -EFAULT;
    const short = into.length > 1 && kernel.strikes("shortRead");
    const count = file.read(short ? into.subarray(0, kernel.dice.between(1, into.length - 1)) : into, -1);
    if (count === BLOCKED || count <= 0) return count;
    const flags = abi.CQE_BUFFER | (group.take(at) << abi.CQE_BUFFER_SHIFT);
    if (!request.multishot || kernel.strikes("multishotEnd")) {
      request.lastFlags = flags;
      return count;
    }
    kernel.shot(request, count, flags);
  }
}
