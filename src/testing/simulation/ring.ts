/** A ring in ordinary memory with a simulated kernel behind it, and the few system calls beside the ring. */

import type { UringSystem } from "../../io/driver/uring-driver.ts";
import { EAGAIN, EBADF, EBUSY, EINTR, EINVAL, ENFILE, ENOMEM } from "../../io/errno.ts";
import { decodeAddress, encodeAddress } from "../../io/socket/address.ts";
import * as abi from "../../native/layout.ts";
import type { SharedView } from "../../native/native-types.ts";
import { DescriptorTable } from "./descriptor-table.ts";
import type { SimulatedKernel } from "./kernel.ts";
import { MemoryRing } from "./memory-ring.ts";
import { BufferGroup } from "./messages.ts";
import { openPipe, openSocket } from "./operations.ts";
import { Request } from "./request.ts";
import { SimulatedSocket, StreamSocket } from "./sockets.ts";

const ENOSYS = 38;
const ENOTSOCK = 88;
const EOPNOTSUPP = 95;
/** Failures of the system call in a row; it works at last. */
const FAILURES_MAX = 5;

export class SimulatedRing extends MemoryRing {
  private readonly kernel: SimulatedKernel;
  private failures = 0;

  /** Sizes are powers of two. */
  constructor(kernel: SimulatedKernel, sqEntries: number, cqEntries: number) {
    super(sqEntries, cqEntries, kernel.opcodes);
    this.kernel = kernel;
  }

  /** Says that the kernel has something to do: the driver looks for it in its next turn. */
  interrupt(): void {
    this.flags |= abi.SQ_TASKRUN;
  }

  flush(toSubmit: number): number {
    const { kernel } = this;
    const { dice } = kernel;
    let most = toSubmit;
    if (this.failures < FAILURES_MAX && kernel.strikes("enterFailure")) {
      this.failures++;
      if (toSubmit === 0 || dice.chance(0.5)) return -dice.pick([EAGAIN, EBUSY, EINTR, ENOMEM]);
      most = dice.next(toSubmit);
    } else this.failures = 0;
    for (let i = 0; i < most; i++) {
      kernel.take(new Request(this.sqes, this.first));
      this.advance();
    }
    kernel.endSubmission();
    kernel.run();
    this.post();
    return most;
  }

  /** As many completions as there is room for; the others stay in the kernel. */
  private post(): void {
    const { kernel } = this;
    const { due } = kernel;
    const count = Math.min(due.length, this.room);
    for (let i = 0; i < count; i++) {
      const completion = due[i]!;
      this.put(completion.low, completion.high, completion.result, completion.flags);
      kernel.posted(completion);
    }
    if (count > 0) due.splice(0, count);
    if (due.length > 0) kernel.overflows++;
    this.flags = due.length > 0 ? abi.SQ_CQ_OVERFLOW : 0;
  }

  override registerFiles(count: number): number {
    this.kernel.direct = new DescriptorTable(count, 0, ENFILE);
    return 0;
  }
  override registerBufferGroup(view: SharedView, entries: number, group: number): number {
    this.kernel.groups.set(group, new BufferGroup(view as Uint8Array, entries));
    return 0;
  }
}

/** System calls that a driver makes without its ring. */
export function simulatedCalls(kernel: SimulatedKernel): UringSystem["binding"] {
  const options = new Map<string, Uint8Array>();
  const socketOf = (fd: number): SimulatedSocket | null => {
    const file = kernel.descriptors.get(fd);
    return file instanceof SimulatedSocket ? file : null;
  };
  return {
    addressOf: (view) => kernel.memory.place(view),
    socketName(fd, peer, out) {
      const socket = socketOf(fd);
      const address = peer ? socket?.remote : socket?.local;
      if (address == null) return socket === null ? -EBADF : -EINVAL;
      return encodeAddress(address, out as Uint8Array);
    },
    setSocketOption(fd, level, name, value) {
      const socket = socketOf(fd);
      if (socket === null) return -EBADF;
      const bytes =
        typeof value === "number" ? new Uint8Array(Int32Array.of(value).buffer) : (value as Uint8Array);
      if (level === abi.SOL_SOCKET && name === abi.SO_LINGER && socket instanceof StreamSocket) {
        // On or off, and for how many seconds.
        const words = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
        socket.resets = words.getInt32(0, true) !== 0 && words.getInt32(4, true) === 0;
      }
      options.set(`${fd} ${level} ${name}`, bytes.slice());
      return 0;
    },
    getSocketOption(fd, level, name, out) {
      if (socketOf(fd) === null) return -EBADF;
      const value = options.get(`${fd} ${level} ${name}`);
      if (value === undefined) return -EOPNOTSUPP;
      (out as Uint8Array).set(value);
      return value.length;
    },
    closeFd(fd) {
      const file = kernel.descriptors.close(fd);
      if (file === null) return -EBADF;
      kernel.drop(file);
      return 0;
    },
    validFd: (fd) => kernel.descriptors.get(fd) !== null,
    socketNow: (domain, type) => openSocket(kernel, domain, type),
    bindNow(fd, bytes) {
      const address = decodeAddress(bytes as Uint8Array, bytes.byteLength);
      return address === null ? -EINVAL : (socketOf(fd)?.bind(address) ?? -ENOTSOCK);
    },
    listenNow(fd, backlog) {
      const socket = socketOf(fd);
      return socket instanceof StreamSocket ? socket.listen(backlog) : -EOPNOTSUPP;
    },
    pipeNow: (out) => openPipe(kernel, out as Uint8Array),
    // Changes to simulated files are not told of.
    inotifyOpen: () => -ENOSYS,
    inotifyAdd: () => -ENOSYS,
    inotifyRemove: () => -ENOSYS,
  };
}
