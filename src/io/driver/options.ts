/** What may be asked of a ring when it is made, and what it may do. */
import { UsageError } from "../../coordinator/errors.ts";
import { describeValue } from "../../coordinator/operation.ts";
import type { Known } from "../../coordinator/options.ts";
import * as abi from "../../native/layout.ts";
import { FileGate } from "../file/file-gate.ts";

/** Submissions that fit into one turn. What does not fit waits in a backlog. */
export const SQ_ENTRIES = 1024;
/** Completions that fit before the kernel keeps them itself. */
export const CQ_ENTRIES = 8192;
/** The most places in a table of direct descriptors. */
const TABLE_MAX = 1 << 20;

/** What the kernel is allowed to do on this ring; everything else completes with -EACCES. */
export const OPCODES: readonly number[] = [
  abi.OP_NOP,
  abi.OP_READ,
  abi.OP_WRITE,
  abi.OP_READ_FIXED,
  abi.OP_WRITE_FIXED,
  abi.OP_READV,
  abi.OP_WRITEV,
  abi.OP_FSYNC,
  abi.OP_SYNC_FILE_RANGE,
  abi.OP_FALLOCATE,
  abi.OP_FTRUNCATE,
  abi.OP_FADVISE,
  abi.OP_OPENAT,
  abi.OP_OPENAT2,
  abi.OP_CLOSE,
  abi.OP_FILES_UPDATE,
  abi.OP_FIXED_FD_INSTALL,
  abi.OP_STATX,
  abi.OP_RENAMEAT,
  abi.OP_UNLINKAT,
  abi.OP_MKDIRAT,
  abi.OP_LINKAT,
  abi.OP_SYMLINKAT,
  abi.OP_FSETXATTR,
  abi.OP_SETXATTR,
  abi.OP_FGETXATTR,
  abi.OP_GETXATTR,
  abi.OP_PIPE,
  abi.OP_SPLICE,
  abi.OP_TEE,
  abi.OP_POLL_ADD,
  abi.OP_WAITID,
  abi.OP_FUTEX_WAIT,
  abi.OP_FUTEX_WAKE,
  abi.OP_SOCKET,
  abi.OP_BIND,
  abi.OP_LISTEN,
  abi.OP_ACCEPT,
  abi.OP_CONNECT,
  abi.OP_RECV,
  abi.OP_SEND,
  abi.OP_SENDMSG,
  abi.OP_RECVMSG,
  abi.OP_SHUTDOWN,
  abi.OP_TIMEOUT,
  abi.OP_TIMEOUT_REMOVE,
  abi.OP_ASYNC_CANCEL,
];

export interface UringOptions {
  readonly sqEntries?: number;
  readonly cqEntries?: number;
  readonly opcodes?: readonly number[];
  /**
   * Reads, writes and syncs of files with the kernel at a time; what is above waits in order. Reads that wait
   * for somebody, on pipes and terminals opened as files, count too. Costs a few look-ups per operation.
   * Default: no limit.
   */
  readonly fileOperationsMax?: number;
  /**
   * Debug: reports bytes that are changed while a write or a send of them is in flight, and pooled buffers that are
   * written to after their release; those have memory of their own for each lease then. Costs a look at every byte
   * that goes out. Default false.
   */
  readonly checkBuffers?: boolean;
  /**
   * Direct descriptors at a time: the size of the ring's table of files, which is made when the first is opened. Not
   * more than RLIMIT_NOFILE allows, nor than 1,048,576. Default: 65,536, or as many as are allowed.
   */
  readonly directDescriptors?: number;
}

/** The names of all of them. */
export const RING_OPTIONS: Known<UringOptions> = {
  sqEntries: true,
  cqEntries: true,
  opcodes: true,
  fileOperationsMax: true,
  checkBuffers: true,
  directDescriptors: true,
};

/** The size that was asked for, if it is one. */
export function tableSizeOf(size: number | undefined): number | undefined {
  if (size === undefined || (Number.isInteger(size) && size >= 1 && size <= TABLE_MAX)) return size;
  throw new UsageError(
    "COOP_ARGUMENT",
    `directDescriptors is a number from 1 to ${TABLE_MAX}, not ${describeValue(size)}`,
  );
}

/** The limit on file operations that was asked for. */
export function fileGateOf(limit: number | undefined): FileGate | null {
  if (limit === undefined) return null;
  if (Number.isInteger(limit) && limit >= 1) return new FileGate(limit);
  throw new UsageError(
    "COOP_ARGUMENT",
    `fileOperationsMax is a number from 1 up, not ${describeValue(limit)}`,
  );
}
