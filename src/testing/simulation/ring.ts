/** A ring in ordinary memory with a simulated kernel behind it, and the few system calls beside the ring. */

import type { UringSystem } from "../../io/driver/uring-driver.ts";
import { EAGAIN, EBADF, EBUSY, EINTR, EINVAL, ENOMEM } from "../../io/errno.ts";
import { encodeAddress } from "../../io/socket/address.ts";
import type { NativeRing } from "../../native/binding.ts";
import * as abi from "../../native/layout.ts";
import type { SharedView } from "../../native/native-types.ts";
import type { SimulatedKernel } from "./kernel.ts";
import { BufferGroup } from "./messages.ts";
import { Request } from "./request.ts";
import { SimulatedSocket } from "./sockets.ts";

const HEADER_BYTES = 64;
const SQ_HEAD = 0;
const SQ_TAIL = 4;
const SQ_FLAGS = 8;
const SQ_DROPPED = 12;
const CQ_HEAD = 16;
const CQ_TAIL = 20;
const CQ_FLAGS = 24;
const CQ_OVERFLOW = 28;
const ENOSYS = 38;
const EOPNOTSUPP = 95;
/** Failures of the system call in a row; it works at last. */
const FAILURES_MAX = 5;

export class SimulatedRing implements NativeRing {
  readonly fd = -1;
  readonly eventfd = -1;
  readonly features = 0;
  readonly setupFlags = 0;
  readonly sqEntries: number;
  readonly cqEntries: number;
  readonly opcodes: readonly number[];
  readonly canMuteEventfd = true;
  readonly ringMemory: ArrayBuffer;
  readonly sqeMemory: ArrayBuffer;
  readonly sqHeadOffset = SQ_HEAD;
  readonly sqTailOffset = SQ_TAIL;
  readonly sqFlagsOffset = SQ_FLAGS;
  readonly sqDroppedOffset = SQ_DROPPED;
  readonly cqHeadOffset = CQ_HEAD;
  readonly cqTailOffset = CQ_TAIL;
  readonly cqFlagsOffset = CQ_FLAGS;
  readonly cqOverflowOffset = CQ_OVERFLOW;
  readonly cqesOffset = HEADER_BYTES;
  private readonly kernel: SimulatedKernel;
  private readonly words: Int32Array;
  private readonly sqes: Int32Array;
  private failures = 0;

  /** Sizes are powers of two. */
  constructor(kernel: SimulatedKernel, sqEntries: number, cqEntries: number) {
    this.kernel = kernel;
    this.sqEntries = sqEntries;
    this.cqEntries = cqEntries;
    this.opcodes = kernel.opcodes;
    this.ringMemory = new ArrayBuffer(HEADER_BYTES + cqEntries * abi.CQE_SIZE);
    this.sqeMemory = new ArrayBuffer(sqEntries * abi.SQE_SIZE);
    this.words = new Int32Array(this.ringMemory);
    this.sqes = new Int32Array(this.sqeMemory);
  }

  /** Says that the kernel has something to do: the driver looks for it in its next turn. */
  interrupt(): void {
    this.words[SQ_FLAGS >> 2]! |= abi.SQ_TASKRUN;
  }

  flush(toSubmit: number): number {
    const { kernel, words } = this;
    const { dice } = kernel;
    let most = toSubmit;
    if (this.failures < FAILURES_MAX && kernel.strikes("enterFailure")) {
      this.failures++;
      if (toSubmit === 0 || dice.chance(0.5)) return -dice.pick([EAGAIN, EBUSY, EINTR, ENOMEM]);
      most = dice.next(toSubmit);
    } else this.failures = 0;
    for (let i = 0; i < most; i++) {
      const head = words[SQ_HEAD >> 2]!;
      const at = (head & (this.sqEntries - 1)) * abi.SQE_WORDS;
      kernel.take(new Request(this.sqes, at));
      // The kernel has read it: whoever looks at the place again has not written it.
      this.sqes.fill(-1, at, at + abi.SQE_WORDS);
      words[SQ_HEAD >> 2] = (head + 1) | 0;
    }
    kernel.endSubmission();
    kernel.run();
    this.post();
    return most;
  }

  /** As many completions as there is room for; the others stay in the kernel. */
  private post(): void {
    const { kernel, words, cqEntries } = this;
    const { due } = kernel;
    if (due.length === 0) {
      words[SQ_FLAGS >> 2] = 0;
      return;
    }
    let tail = words[CQ_TAIL >> 2]!;
    const room = cqEntries - ((tail - words[CQ_HEAD >> 2]!) | 0);
    for (const completion of due.splice(0, room)) {
      const at = (HEADER_BYTES >> 2) + (tail & (cqEntries - 1)) * abi.CQE_WORDS;
      words[at] = completion.low;
      words[at + 1] = completion.high;
      words[at + abi.CQE_WORD_RES] = completion.result;
      words[at + abi.CQE_WORD_FLAGS] = completion.flags;
      tail = (tail + 1) | 0;
      kernel.posted(completion);
    }
    words[CQ_TAIL >> 2] = tail;
    words[SQ_FLAGS >> 2] = due.length > 0 ? abi.SQ_CQ_OVERFLOW : 0;
  }

  enter(): number {
    return 0;
  }
  wait(): number {
    return 0;
  }
  registerBuffers(): number {
    return 0;
  }
  unregisterBuffers(): number {
    return 0;
  }
  registerBufferGroup(view: SharedView, entries: number, group: number): number {
    this.kernel.groups.set(group, new BufferGroup(view as Uint8Array, entries));
    return 0;
  }
  unregisterBufferGroup(): number {
    return 0;
  }
  syncCancelAll(): number {
    return 0;
  }
  watch(): number {
    return 0;
  }
  unwatch(): number {
    return 0;
  }
  ref(): number {
    return 0;
  }
  unref(): number {
    return 0;
  }
  close(): void {}
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
      if (socketOf(fd) === null) return -EBADF;
      const bytes =
        typeof value === "number" ? new Uint8Array(Int32Array.of(value).buffer) : (value as Uint8Array);
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
    // Changes to simulated files are not told of.
    inotifyOpen: () => -ENOSYS,
    inotifyAdd: () => -ENOSYS,
    inotifyRemove: () => -ENOSYS,
  };
}
