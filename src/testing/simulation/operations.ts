/** What the operations do in a simulated kernel, by opcode: one attempt of each. */

import { EBADF, EFAULT, EINTR, EINVAL, EIO, EMFILE, ENFILE, ENOENT, ENOSPC } from "../../io/errno.ts";
import { type Address, decodeAddress } from "../../io/socket/address.ts";
import * as abi from "../../native/layout.ts";
import { ByteQueue } from "./byte-queue.ts";
import type { DescriptorTable } from "./descriptor-table.ts";
import { type Inode, RegularFile } from "./files.ts";
import type { SimulatedKernel } from "./kernel.ts";
import { receiveMessage, receiveSelected, sendMessage } from "./messages.ts";
import { BLOCKED, type OpenFile } from "./open-file.ts";
import { PipeReader, PipeWriter } from "./pipes.ts";
import type { Request } from "./request.ts";
import { DatagramSocket, SimulatedSocket, StreamSocket } from "./sockets.ts";

const ENOTSOCK = 88;
const EOPNOTSUPP = 95;
const ENOTDIR = 20;
const ESPIPE = 29;
const S_IFREG = 0o100000;
const S_IFDIR = 0o040000;

type Operation = (kernel: SimulatedKernel, request: Request) => number;

/** A result, -errno, or BLOCKED. */
export function operate(kernel: SimulatedKernel, request: Request): number {
  const operation = OPERATIONS.get(request.opcode);
  if (operation === undefined || !kernel.opcodes.includes(request.opcode)) return -EINVAL;
  return operation(kernel, request);
}

function read(kernel: SimulatedKernel, request: Request, into: Uint8Array): number {
  const { length } = into;
  const short = length > 1 && kernel.strikes("shortRead");
  const part = short ? into.subarray(0, kernel.dice.between(1, length - 1)) : into;
  return request.file!.read(part, request.offset);
}

function write(kernel: SimulatedKernel, request: Request, from: Uint8Array): number {
  const { length } = from;
  const short = length > 1 && kernel.strikes("shortWrite");
  const part = short ? from.subarray(0, kernel.dice.between(1, length - 1)) : from;
  return request.file!.write(part, request.offset);
}

const readBytes: Operation = (kernel, request) => {
  const into = kernel.memory.at(request.address, request.length);
  return into === null ? -EFAULT : read(kernel, request, into);
};

const writeBytes: Operation = (kernel, request) => {
  const from = kernel.memory.at(request.address, request.length);
  return from === null ? -EFAULT : write(kernel, request, from);
};

/** As the vectored operations do it: one part after the other, until one is short. */
function vectored(each: (kernel: SimulatedKernel, request: Request, part: Uint8Array) => number): Operation {
  return (kernel, request) => {
    let done = 0;
    for (let i = 0; i < request.length; i++) {
      const entry = kernel.memory.at(request.address + i * abi.IOVEC_SIZE, abi.IOVEC_SIZE);
      if (entry === null) return -EFAULT;
      const view = new DataView(entry.buffer, entry.byteOffset, abi.IOVEC_SIZE);
      const length = Number(view.getBigUint64(abi.IOVEC_LEN, true));
      const part = kernel.memory.at(Number(view.getBigUint64(abi.IOVEC_BASE, true)), length);
      if (part === null) return -EFAULT;
      const at =
        request.offset < 0 ? request : Object.create(request, { offset: { value: request.offset + done } });
      const result = each(kernel, at as Request, part);
      if (result < 0) return done > 0 ? done : result;
      done += result;
      if (result < length) break;
    }
    return done;
  };
}

const recv: Operation = (kernel, request) => {
  if (!(request.file instanceof SimulatedSocket)) return -ENOTSOCK;
  if (request.selectsBuffer) return receiveSelected(kernel, request);
  const into = kernel.memory.at(request.address, request.length);
  if (into === null) return -EFAULT;
  // A datagram comes whole.
  return request.file.stream ? read(kernel, request, into) : request.file.read(into, -1);
};

const send: Operation = (kernel, request) => {
  const { file } = request;
  if (!(file instanceof SimulatedSocket)) return -ENOTSOCK;
  const bytes = kernel.memory.at(request.address, request.length);
  if (bytes === null) return -EFAULT;
  if (!file.stream) return file.write(bytes, -1);
  const rest = bytes.subarray(request.done);
  const result = write(kernel, request, rest);
  if (result === BLOCKED) return BLOCKED;
  if (result < 0) return request.done > 0 ? request.done : result;
  request.done += result;
  // With MSG_WAITALL the kernel goes on, but it may also give up early.
  const all = (request.opFlags & abi.MSG_WAITALL) !== 0 && !kernel.strikes("shortWrite");
  return all && result < rest.length ? BLOCKED : request.done;
};

const accept: Operation = (kernel, request) => {
  const listener = request.file;
  if (!(listener instanceof StreamSocket) || listener.pending === null) return -EINVAL;
  for (;;) {
    if (listener.pending.length === 0) return BLOCKED;
    const table = tableFor(kernel, request);
    // The process is asked for a number before a connection is taken, the table of the ring only afterwards.
    if (!request.opensDirect && !table.hasRoom(1)) return -EMFILE;
    const number = keep(kernel, table, listener.pending.shift()!);
    kernel.network.onRoom();
    if (number < 0) return number;
    if (!request.multishot || kernel.strikes("multishotEnd")) return number;
    kernel.shot(request, number);
  }
};

const connect: Operation = (kernel, request) => {
  const { file } = request;
  if (!(file instanceof SimulatedSocket)) return -ENOTSOCK;
  const address = addressAt(kernel, request);
  return address === null ? -EINVAL : file.connect(address);
};

const bind: Operation = (kernel, request) => {
  const { file } = request;
  if (!(file instanceof SimulatedSocket)) return -ENOTSOCK;
  const address = addressAt(kernel, request);
  return address === null ? -EINVAL : file.bind(address);
};

function addressAt(kernel: SimulatedKernel, { address, offset }: Request): Address | null {
  const bytes = kernel.memory.at(address, offset);
  return bytes === null ? null : decodeAddress(bytes.slice(), offset);
}

const listen: Operation = (_kernel, { file, length }) =>
  file instanceof StreamSocket ? file.listen(length) : -EOPNOTSUPP;

const shutdown: Operation = (_kernel, { file, length }) =>
  file instanceof SimulatedSocket ? file.shutdown(length) : -ENOTSOCK;

const socket: Operation = (kernel, request) =>
  openSocket(kernel, request.fd, request.offset, tableFor(kernel, request));

/** socket(2). */
export function openSocket(
  kernel: SimulatedKernel,
  domain: number,
  type: number,
  descriptors: DescriptorTable = kernel.descriptors,
): number {
  const { network } = kernel;
  if (domain !== abi.AF_INET && domain !== abi.AF_INET6 && domain !== abi.AF_UNIX) return -EINVAL;
  const stream = (type & 0xf) === abi.SOCK_STREAM;
  return descriptors.open(stream ? new StreamSocket(network, domain) : new DatagramSocket(network, domain));
}

const pipe: Operation = (kernel, { address }) => {
  const into = kernel.memory.at(address, 8);
  return into === null ? -EFAULT : openPipe(kernel, into);
};

/** pipe2(2): puts both numbers into the first 8 bytes of `into`. */
export function openPipe(kernel: SimulatedKernel, into: Uint8Array): number {
  if (!kernel.descriptors.hasRoom(2)) return -EMFILE;
  const reader = new PipeReader(new ByteQueue(kernel.bufferBytes));
  const view = new DataView(into.buffer, into.byteOffset, 8);
  view.setInt32(0, kernel.descriptors.open(reader), true);
  view.setInt32(4, kernel.descriptors.open(new PipeWriter(reader)), true);
  return 0;
}

const close: Operation = (kernel, { fd, extra }) => {
  const file = extra === 0 ? kernel.descriptors.close(fd) : kernel.direct.close(extra - 1);
  if (file === null) {
    kernel.badDescriptors++;
    return -EBADF;
  }
  kernel.drop(file);
  return kernel.strikes("close") ? -kernel.dice.pick([EIO, ENOSPC, EINTR]) : 0;
};

/** Where what a request opens has its number. */
function tableFor(kernel: SimulatedKernel, request: Request): DescriptorTable {
  return request.opensDirect ? kernel.direct : kernel.descriptors;
}

/** Opens it, or drops it: nobody else has it. */
function keep(kernel: SimulatedKernel, table: DescriptorTable, file: OpenFile): number {
  const number = table.open(file);
  if (number >= 0) return number;
  file.references++;
  kernel.drop(file);
  return number;
}

const install: Operation = (kernel, { file }) => kernel.descriptors.open(file!);

const filesUpdate: Operation = (kernel, { address, length, offset }) => {
  const into = kernel.memory.at(address, 4);
  if (into === null) return -EFAULT;
  if (length !== 1 || offset !== abi.FILE_INDEX_ALLOC) return -EINVAL;
  const view = new DataView(into.buffer, into.byteOffset, 4);
  const file = kernel.descriptors.get(view.getInt32(0, true));
  if (file === null) return -EBADF;
  const place = kernel.direct.open(file);
  if (place < 0) return place;
  view.setInt32(0, place, true);
  return 1;
};

const poll: Operation = (_kernel, { file, opFlags }) => {
  const ready = file!.ready() & (opFlags | abi.POLLERR | abi.POLLHUP);
  return ready === 0 ? BLOCKED : ready;
};

const open: Operation = (kernel, request) => {
  const start = directoryOf(request);
  if (typeof start === "number") return start;
  const table = tableFor(kernel, request);
  if (!table.hasRoom(1)) return -(request.opensDirect ? ENFILE : EMFILE);
  const path = kernel.memory.text(request.address);
  const opened = kernel.files.open(start, path, request.opFlags, request.length);
  return typeof opened === "number" ? opened : table.open(opened);
};

const mkdir: Operation = (kernel, request) => {
  const start = directoryOf(request);
  if (typeof start === "number") return start;
  return kernel.files.mkdir(start, kernel.memory.text(request.address), request.length);
};

const unlink: Operation = (kernel, request) => {
  const start = directoryOf(request);
  if (typeof start === "number") return start;
  const directory = (request.opFlags & abi.AT_REMOVEDIR) !== 0;
  return kernel.files.unlink(start, kernel.memory.text(request.address), directory);
};

const rename: Operation = (kernel, request) => {
  const start = directoryOf(request);
  if (typeof start === "number") return start;
  const { memory } = kernel;
  return kernel.files.rename(
    start,
    memory.text(request.address),
    memory.text(request.offset),
    request.opFlags,
  );
};

/** Where a path begins. */
function directoryOf({ fd, file }: Request): string | number {
  if (fd === abi.AT_FDCWD) return "/";
  if (!(file instanceof RegularFile)) return -EBADF;
  return file.inode.directory ? file.path : -ENOTDIR;
}

const statx: Operation = (kernel, request) => {
  const { file, opFlags, address, offset } = request;
  const into = kernel.memory.at(offset, abi.STATX_BYTES);
  if (into === null) return -EFAULT;
  if ((opFlags & abi.AT_EMPTY_PATH) !== 0) {
    if (file instanceof RegularFile) writeStat(into, file.inode);
    else into.fill(0);
    return 0;
  }
  const start = directoryOf(request);
  if (typeof start === "number") return start;
  const inode = kernel.files.find(start, kernel.memory.text(address));
  if (inode === null) return -ENOENT;
  writeStat(into, inode);
  return 0;
};

function writeStat(into: Uint8Array, inode: Inode): void {
  into.fill(0);
  const view = new DataView(into.buffer, into.byteOffset, abi.STATX_BYTES);
  view.setUint32(abi.STATX_OFFSET_MASK, abi.STATX_BASIC_STATS, true);
  view.setUint32(abi.STATX_OFFSET_BLKSIZE, 4096, true);
  view.setUint32(abi.STATX_OFFSET_NLINK, 1, true);
  view.setUint16(abi.STATX_OFFSET_MODE, (inode.directory ? S_IFDIR : S_IFREG) | inode.permissions, true);
  view.setBigUint64(abi.STATX_OFFSET_INO, BigInt(inode.number), true);
  view.setBigUint64(abi.STATX_OFFSET_SIZE, BigInt(inode.size), true);
  view.setBigUint64(abi.STATX_OFFSET_BLOCKS, BigInt(Math.ceil(inode.size / 512)), true);
}

const truncate: Operation = (_kernel, { file, offset }) => onInode(file, (inode) => inode.resize(offset));

const allocate: Operation = (_kernel, { file, offset, address, length }) =>
  onInode(file, (inode) => {
    // Length of the range in `address`, mode in `length`.
    if ((length & abi.FALLOC_FL_KEEP_SIZE) === 0) inode.resize(Math.max(inode.size, offset + address));
  });

const onRegular: Operation = (_kernel, { file }) => onInode(file, () => {});

function onInode(file: OpenFile | null, change: (inode: Inode) => void): number {
  if (!(file instanceof RegularFile)) return -ESPIPE;
  change(file.inode);
  return 0;
}

const OPERATIONS: ReadonlyMap<number, Operation> = new Map([
  [abi.OP_NOP, () => 0],
  [abi.OP_READ, readBytes],
  [abi.OP_WRITE, writeBytes],
  [abi.OP_READ_FIXED, readBytes],
  [abi.OP_WRITE_FIXED, writeBytes],
  [abi.OP_READV, vectored(read)],
  [abi.OP_WRITEV, vectored(write)],
  [abi.OP_RECV, recv],
  [abi.OP_SEND, send],
  [abi.OP_SENDMSG, sendMessage],
  [abi.OP_RECVMSG, receiveMessage],
  [abi.OP_ACCEPT, accept],
  [abi.OP_CONNECT, connect],
  [abi.OP_BIND, bind],
  [abi.OP_LISTEN, listen],
  [abi.OP_SHUTDOWN, shutdown],
  [abi.OP_SOCKET, socket],
  [abi.OP_PIPE, pipe],
  [abi.OP_CLOSE, close],
  [abi.OP_FIXED_FD_INSTALL, install],
  [abi.OP_FILES_UPDATE, filesUpdate],
  [abi.OP_POLL_ADD, poll],
  [abi.OP_OPENAT, open],
  [abi.OP_MKDIRAT, mkdir],
  [abi.OP_UNLINKAT, unlink],
  [abi.OP_RENAMEAT, rename],
  [abi.OP_STATX, statx],
  [abi.OP_FSYNC, onRegular],
  [abi.OP_FTRUNCATE, truncate],
  [abi.OP_FALLOCATE, allocate],
  [abi.OP_FADVISE, onRegular],
  [abi.OP_SYNC_FILE_RANGE, onRegular],
]);

/** What a simulated kernel can do; cancels, which are no operations, too. */
export const SIMULATED_OPCODES: readonly number[] = [...OPERATIONS.keys(), abi.OP_ASYNC_CANCEL];
