/**
 * What an operation needs of a driver: the operations are written once, against this. There is one, on io_uring;
 * simulations replace the ring below it, so that they run the driver too.
 */
import type { Driver } from "../../coordinator/scheduler/cooperator.ts";
import type { SystemCalls } from "../../native/binding.ts";
import type { Handle } from "../handle.ts";
import type { Memory } from "../memory/memory.ts";

/**
 * Numbers from here up are direct descriptors: places in the ring's own table of files, which the process does not see.
 * They are descriptors in all other respects; the driver tells the kernel what they are.
 */
export const DIRECT = 1 << 30;

export interface DriverStatistics {
  readonly submitted: number;
  /** Operations whose last completion has been seen. `submitted = completed + inflight`. */
  readonly completed: number;
  readonly inflight: number;
  readonly cancels: number;
  /** Completions for operations that are over; ignored. */
  readonly stale: number;
  /** Native calls that entered the kernel or might have. */
  readonly flushes: number;
  /** Submissions the kernel asked to repeat. */
  readonly retries: number;
  readonly backlog: number;
}

export interface IoDriver extends Driver {
  readonly name: string;
  /** Its descriptors are none of this process: no system call may be given one. */
  readonly simulated: boolean;
  readonly memory: Memory;
  /** What is no operation, or not on every kernel: see {@link lacks}. */
  readonly calls: SystemCalls;
  /** Operations in flight at once; above it every setup is refused. */
  readonly limit: number;
  /**
   * Queues one operation for the next submission; never fails for want of room. The numbers are the fields
   * of an io_uring_sqe, whatever the driver makes of them.
   *
   * @param fd Descriptor, direct or not, or what the opcode takes in its place.
   * @param address Memory address, or the opcode's first 64-bit argument.
   * @param offset File offset, -1 for the current position, or the opcode's second 64-bit argument.
   * @param ioprio The `ioprio` field: flags of socket operations, priority of file ones.
   * @param extra Word 11: file index, or the opcode's own.
   */
  submit(
    handle: Handle,
    opcode: number,
    fd: number,
    address: number,
    length: number,
    offset: number,
    opFlags: number,
    ioprio: number,
    extra: number,
  ): void;
  /**
   * Sets two more words of the operation that was just submitted: a 64-bit number that is no exact double,
   * or an address beyond those {@link submit} takes.
   */
  setWide(word: number, low: number, high: number): void;
  /**
   * Makes the table of direct descriptors unless there is one.
   *
   * @throws {UnsupportedError} when the kernel refuses.
   */
  openTable(): void;
  /** Operations that one chain may have. */
  readonly chainMax: number;
  /**
   * What is submitted from here to {@link endChain} is one chain: the kernel begins an operation when the one before
   * it has succeeded in full, and ends those after one that has not with -ECANCELED. Nothing else may be queued
   * meanwhile.
   */
  beginChain(): void;
  endChain(): void;
  /** Instead of `endChain`: nothing of it was submitted. */
  dropChain(): void;
  /** Called when something was queued that may be outside of a turn: a cancel, a close. */
  onQueued: (() => void) | null;
  /** Asks for the end of `handle`'s operation; one more completion is then due. */
  cancel(handle: Handle): void;
  /** Takes the place of an idle handle back. */
  forget(handle: Handle): void;
  /** True when the kernel and the sandbox allow the opcode. */
  supports(opcode: number): boolean;
  /** The kernel does not know the opcode. False for one that it knows and this ring was not allowed. */
  lacks(opcode: number): boolean;
  /** Takes note of a descriptor that is ours to close: should the thread be ended, it is closed then. Idempotent. */
  own(fd: number): void;
  /** It is not, any more. */
  disown(fd: number): void;
  /** Registers fixed buffers, `count` times `size` bytes from the start of `arena`. Returns 0 or -errno. */
  registerBuffers(arena: Uint8Array<SharedArrayBuffer>, count: number, size: number): number;
  unregisterBuffers(): void;
  /** Registers a ring of provided buffers: `count` entries from the start of `ring`, a page. Returns 0 or -errno. */
  registerBufferGroup(ring: Uint8Array<SharedArrayBuffer>, count: number, group: number): number;
  /** The kernel takes no more from it. */
  unregisterBufferGroup(group: number): void;
  /** Open, and no descriptor of the driver's own. */
  validDescriptor(fd: number): boolean;
  /** Gives everything back. Operations in flight are cancelled and waited for. */
  close(): void;
  statistics(): DriverStatistics;
}
