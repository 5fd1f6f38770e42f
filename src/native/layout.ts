/**
 * The numbers TypeScript shares with the kernel: where fields lie, what opcodes and flags are called. The
 * addon has the same names from the C headers, and the loader compares all of them before the first use.
 *
 * An SQE is 16 and a CQE 4 little-endian 32-bit words; `*_WORD_*` are indexes for an Int32Array over them.
 * Word 0 of an SQE holds `opcode | flags << SQE_FLAGS_SHIFT | ioprio << SQE_IOPRIO_SHIFT`, word 10
 * `buf_index | personality << SQE_PERSONALITY_SHIFT`. 64-bit fields take two words, the low one first.
 * All 16 words must be written for every SQE: the kernel acts on stale ones.
 */

export * from "./file-constants.ts";
export * from "./flags.ts";
export * from "./opcodes.ts";
export * from "./socket-constants.ts";

// io_uring_sqe: size in bytes, fields as indexes of 32-bit words.
export const SQE_SIZE = 64;
export const SQE_WORDS = 16;
export const SQE_WORD_OPCODE = 0;
export const SQE_FLAGS_SHIFT = 8;
export const SQE_IOPRIO_SHIFT = 16;
export const SQE_WORD_FD = 1;
export const SQE_WORD_OFF = 2;
export const SQE_WORD_ADDR2 = 2;
export const SQE_WORD_ADDR = 4;
export const SQE_WORD_LEN = 6;
export const SQE_WORD_OP_FLAGS = 7;
export const SQE_WORD_USER_DATA = 8;
export const SQE_WORD_BUFFER = 10;
export const SQE_PERSONALITY_SHIFT = 16;
export const SQE_WORD_FILE_INDEX = 11;
export const SQE_WORD_ADDR3 = 12;

// io_uring_cqe, likewise.
export const CQE_SIZE = 16;
export const CQE_WORDS = 4;
export const CQE_WORD_USER_DATA = 0;
export const CQE_WORD_RES = 2;
export const CQE_WORD_FLAGS = 3;

// An entry of a buffer group, and where the group's 16-bit tail lies over entry 0.
export const BUF_SIZE = 16;
export const BUF_ADDR = 0;
export const BUF_LEN = 8;
export const BUF_BID = 12;
export const BUF_TAIL = 14;

// io_uring_recvmsg_out, in front of each datagram of a multishot RECVMSG.
export const RECVMSG_OUT_SIZE = 16;
export const RECVMSG_OUT_NAMELEN = 0;
export const RECVMSG_OUT_CONTROLLEN = 4;
export const RECVMSG_OUT_PAYLOADLEN = 8;
export const RECVMSG_OUT_FLAGS = 12;

// __kernel_timespec: two 64-bit numbers.
export const TIMESPEC_SIZE = 16;
export const TIMESPEC_SEC = 0;
export const TIMESPEC_NSEC = 8;

// iovec, msghdr, cmsghdr, ucred.
export const IOVEC_SIZE = 16;
export const IOVEC_BASE = 0;
export const IOVEC_LEN = 8;
export const MSGHDR_SIZE = 56;
export const MSGHDR_NAME = 0;
export const MSGHDR_NAMELEN = 8;
export const MSGHDR_IOV = 16;
export const MSGHDR_IOVLEN = 24;
export const MSGHDR_CONTROL = 32;
export const MSGHDR_CONTROLLEN = 40;
export const MSGHDR_FLAGS = 48;
export const CMSGHDR_SIZE = 16;
export const CMSGHDR_LEN = 0;
export const CMSGHDR_LEVEL = 8;
export const CMSGHDR_TYPE = 12;
export const UCRED_SIZE = 12;
export const UCRED_PID = 0;
export const UCRED_UID = 4;
export const UCRED_GID = 8;

// Socket addresses; the family is 16 bits at offset 0 in all of them.
export const SOCKADDR_FAMILY = 0;
export const SOCKADDR_STORAGE_SIZE = 128;
export const SOCKADDR_IN_SIZE = 16;
export const SOCKADDR_IN_PORT = 2;
export const SOCKADDR_IN_ADDR = 4;
export const SOCKADDR_IN6_SIZE = 28;
export const SOCKADDR_IN6_PORT = 2;
export const SOCKADDR_IN6_FLOWINFO = 4;
export const SOCKADDR_IN6_ADDR = 8;
export const SOCKADDR_IN6_SCOPE = 24;
export const SOCKADDR_UN_SIZE = 110;
export const SOCKADDR_UN_PATH = 2;

// open_how of OPENAT2.
export const OPEN_HOW_SIZE = 24;
export const OPEN_HOW_FLAGS = 0;
export const OPEN_HOW_MODE = 8;
export const OPEN_HOW_RESOLVE = 16;

// statx, and the timestamps in it.
export const STATX_BYTES = 256;
export const STATX_OFFSET_MASK = 0;
export const STATX_OFFSET_BLKSIZE = 4;
export const STATX_OFFSET_NLINK = 16;
export const STATX_OFFSET_UID = 20;
export const STATX_OFFSET_GID = 24;
export const STATX_OFFSET_MODE = 28;
export const STATX_OFFSET_INO = 32;
export const STATX_OFFSET_SIZE = 40;
export const STATX_OFFSET_BLOCKS = 48;
export const STATX_OFFSET_ATIME = 64;
export const STATX_OFFSET_BTIME = 80;
export const STATX_OFFSET_CTIME = 96;
export const STATX_OFFSET_MTIME = 112;
export const STATX_OFFSET_RDEV_MAJOR = 128;
export const STATX_OFFSET_RDEV_MINOR = 132;
export const STATX_OFFSET_DEV_MAJOR = 136;
export const STATX_OFFSET_DEV_MINOR = 140;
export const STATX_TIMESTAMP_NSEC = 8;

// inotify_event, in front of its name.
export const INOTIFY_SIZE = 16;
export const INOTIFY_WD = 0;
export const INOTIFY_MASK = 4;
export const INOTIFY_COOKIE = 8;
export const INOTIFY_LEN = 12;

// siginfo_t as WAITID fills it.
export const SIGINFO_SIZE = 128;
export const SIGINFO_CODE = 8;
export const SIGINFO_PID = 16;
export const SIGINFO_UID = 20;
export const SIGINFO_STATUS = 24;
