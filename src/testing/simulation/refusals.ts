/**
 * Errors that belong to an operation, as its manual page lists them: rights, limits, quotas, other users of the machine.
 * A simulated kernel gives one although nothing in its own world explains it. Whatever means that something has
 * been done all the same is not among them.
 */
import { ECONNABORTED, EDQUOT, EPROTO } from "../../io/errno.ts";
import * as abi from "../../native/layout.ts";

const EPERM = 1;
const EACCES = 13;
const EBUSY = 16;
const EXDEV = 18;
const ETXTBSY = 26;
const EFBIG = 27;
const EROFS = 30;
const ENAMETOOLONG = 36;
const ELOOP = 40;
const EAFNOSUPPORT = 97;
const EADDRINUSE = 98;
const EADDRNOTAVAIL = 99;
const ENETUNREACH = 101;
const ESTALE = 116;

const WRITES = [EDQUOT, EFBIG, EPERM, ESTALE];
const NAMES = [EACCES, EPERM, EROFS, ELOOP, EDQUOT, ESTALE];

/** Positive, by opcode: of reads and writes, those of files alone. */
export const FILE_REFUSALS: ReadonlyMap<number, readonly number[]> = new Map([
  [abi.OP_WRITE, WRITES],
  [abi.OP_WRITEV, WRITES],
  [abi.OP_WRITE_FIXED, WRITES],
  [abi.OP_READ, [ESTALE]],
  [abi.OP_READV, [ESTALE]],
  [abi.OP_READ_FIXED, [ESTALE]],
]);

/** Positive, by opcode. */
export const REFUSALS: ReadonlyMap<number, readonly number[]> = new Map([
  [abi.OP_OPENAT, [...NAMES, ETXTBSY, ENAMETOOLONG]],
  [abi.OP_MKDIRAT, NAMES],
  [abi.OP_UNLINKAT, [...NAMES, EBUSY]],
  [abi.OP_RENAMEAT, [...NAMES, EBUSY, EXDEV]],
  [abi.OP_STATX, [EACCES, ELOOP, ESTALE]],
  [abi.OP_FSYNC, [EDQUOT, EROFS]],
  [abi.OP_FTRUNCATE, [EFBIG, EPERM]],
  [abi.OP_FALLOCATE, [EFBIG, EPERM, EDQUOT]],
  [abi.OP_SOCKET, [EACCES, EAFNOSUPPORT]],
  [abi.OP_BIND, [EACCES, EADDRINUSE, EADDRNOTAVAIL]],
  [abi.OP_LISTEN, [EADDRINUSE]],
  [abi.OP_CONNECT, [EACCES, EPERM, EADDRNOTAVAIL, ENETUNREACH]],
  [abi.OP_ACCEPT, [ECONNABORTED, EPROTO, EPERM]],
  [abi.OP_SEND, [EPERM, EACCES, ENETUNREACH]],
  [abi.OP_SENDMSG, [EPERM, EACCES, ENETUNREACH]],
]);
