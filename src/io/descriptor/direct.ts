/**
 * Direct descriptors: open files in the ring's own table instead of the process's. They do not count against
 * RLIMIT_NOFILE one by one, an operation on one spares the kernel a look-up that is shared with other threads, and
 * nobody but the ring can use them. Source: seeds C-190, C-191; conformance R11; io_uring_register_files(3).
 *
 * A number stands for each here as for all others; see `DIRECT`. Closing follows the same rule: what is in flight ends
 * first, on the file that it began with.
 */
import { UsageError } from "../../coordinator/errors.ts";
import type { Operation } from "../../coordinator/operation.ts";
import { FILE_INDEX_ALLOC, OP_FILES_UPDATE, OP_FIXED_FD_INSTALL } from "../../native/layout.ts";
import { DIRECT } from "../driver/driver.ts";
import type { IoOptions } from "../handle.ts";
import { IoOperation, Kind, QUEUED } from "../io-operation.ts";
import { allocate } from "../memory/memory.ts";
import { requireOpcode } from "../require-opcode.ts";
import { closeOrphan, type Descriptor } from "./descriptor.ts";

/** Options of what opens a descriptor. */
export interface DirectOptions extends IoOptions {
  /** A direct descriptor: it lies in the ring's own table, and nothing but the ring can use it. Default false. */
  readonly direct?: boolean;
}

/**
 * Gives a direct descriptor a number of the process, close-on-exec, in the place of the one it had: for socket options,
 * addresses, and other libraries. Everything else about it stays as it is. Does nothing when it has one.
 *
 * @throws {UsageError} `COOP_DESCRIPTOR` while something works on it. @throws {UnsupportedError} before Linux 6.8.
 * @throws {IoError} `EMFILE` when the process has no number left.
 */
export function makeOrdinary(descriptor: Descriptor, options?: IoOptions): Operation<void> {
  return new IoOperation(INSTALL, descriptor, null, 0, null, options);
}

/**
 * Moves a descriptor to the ring's own table. Does nothing when it is there.
 *
 * @throws {UsageError} `COOP_DESCRIPTOR` while something works on it, or when it is borrowed. @throws {IoError}
 * `ENFILE` when the table is full.
 */
export function makeDirect(descriptor: Descriptor, options?: IoOptions): Operation<void> {
  return new IoOperation(REGISTER, descriptor, allocate(NUMBER_BYTES), 0, null, options);
}

/** Of the array of one descriptor that the kernel reads, and writes the place to. */
const NUMBER_BYTES = 4;
/** Instead of a count of descriptors that were moved. */
const THERE_ALREADY = 0;

const INSTALL: Kind<void> = new Kind<void>({
  syscall: "fixed_fd_install",
  direct: true,
  setup(io, handle, { descriptor }) {
    if (!descriptor!.direct) return descriptor!.number;
    requireOpcode(io, OP_FIXED_FD_INSTALL, "makeOrdinary", "6.8");
    checkQuiet(descriptor!, "makeOrdinary");
    io.driver.submit(handle, OP_FIXED_FD_INSTALL, descriptor!.number, 0, 0, 0, 0, 0, 0);
    return QUEUED;
  },
  convert(number, { descriptor }) {
    if (number !== descriptor!.number) move(descriptor!, number, "makeOrdinary");
  },
  reclaim(io, number, handle) {
    if (number !== handle.descriptor!.number) closeOrphan(io, number);
  },
});

const REGISTER: Kind<void> = new Kind<void>({
  syscall: "files_update",
  direct: true,
  setup(io, handle, { descriptor, bytes }) {
    if (descriptor!.direct) return THERE_ALREADY;
    io.driver.openTable();
    checkQuiet(descriptor!, "makeDirect");
    numberIn(bytes!)[0] = descriptor!.number;
    io.driver.submit(handle, OP_FILES_UPDATE, -1, handle.pin(bytes!, true), 1, FILE_INDEX_ALLOC, 0, 0, 0);
    return QUEUED;
  },
  convert(count, { descriptor, bytes }) {
    if (count !== THERE_ALREADY) move(descriptor!, DIRECT + numberIn(bytes!)[0]!, "makeDirect");
  },
  reclaim(io, count, handle) {
    if (count !== THERE_ALREADY) closeOrphan(io, DIRECT + numberIn(handle.bytes!)[0]!);
  },
});

function numberIn(bytes: Uint8Array): Int32Array {
  return new Int32Array(bytes.buffer, bytes.byteOffset, 1);
}

/** What is queued with the old number would find another file under it, later. */
function checkQuiet(descriptor: Descriptor, what: string): void {
  if (descriptor.inflight === 0 && !descriptor.entry.borrowed) return;
  throw new UsageError(
    "COOP_DESCRIPTOR",
    `${what}: ${descriptor.label} ${descriptor.inflight > 0 ? "has operations in flight; wait for them first" : "is borrowed"}`,
  );
}

function move(descriptor: Descriptor, number: number, what: string): void {
  try {
    descriptor.checkOpen(what);
    checkQuiet(descriptor, what);
  } catch (error) {
    // It was closed, or something was begun on it, meanwhile.
    closeOrphan(descriptor.io, number);
    throw error;
  }
  descriptor.entry.renumber(number);
}
