/**
 * Opcodes of SQEs (io_uring_enter(2)) and the ones a ring of ours may use.
 *
 * Kernel 6.1 has those up to SENDMSG_ZC; a ring's own `opcodes` says what the running kernel knows.
 */

export const OP_NOP = 0;
export const OP_READV = 1;
export const OP_WRITEV = 2;
export const OP_FSYNC = 3;
export const OP_READ_FIXED = 4;
export const OP_WRITE_FIXED = 5;
export const OP_POLL_ADD = 6;
export const OP_POLL_REMOVE = 7;
export const OP_SYNC_FILE_RANGE = 8;
export const OP_SENDMSG = 9;
export const OP_RECVMSG = 10;
export const OP_TIMEOUT = 11;
export const OP_TIMEOUT_REMOVE = 12;
export const OP_ACCEPT = 13;
export const OP_ASYNC_CANCEL = 14;
export const OP_LINK_TIMEOUT = 15;
export const OP_CONNECT = 16;
export const OP_FALLOCATE = 17;
export const OP_OPENAT = 18;
export const OP_CLOSE = 19;
export const OP_FILES_UPDATE = 20;
export const OP_STATX = 21;
export const OP_READ = 22;
export const OP_WRITE = 23;
export const OP_FADVISE = 24;
export const OP_MADVISE = 25;
export const OP_SEND = 26;
export const OP_RECV = 27;
export const OP_OPENAT2 = 28;
export const OP_EPOLL_CTL = 29;
export const OP_SPLICE = 30;
export const OP_PROVIDE_BUFFERS = 31;
export const OP_REMOVE_BUFFERS = 32;
export const OP_TEE = 33;
export const OP_SHUTDOWN = 34;
export const OP_RENAMEAT = 35;
export const OP_UNLINKAT = 36;
export const OP_MKDIRAT = 37;
export const OP_SYMLINKAT = 38;
export const OP_LINKAT = 39;
export const OP_MSG_RING = 40;
export const OP_FSETXATTR = 41;
export const OP_SETXATTR = 42;
export const OP_FGETXATTR = 43;
export const OP_GETXATTR = 44;
export const OP_SOCKET = 45;
export const OP_URING_CMD = 46;
export const OP_SEND_ZC = 47;
export const OP_SENDMSG_ZC = 48;
export const OP_READ_MULTISHOT = 49;
export const OP_WAITID = 50;
export const OP_FUTEX_WAIT = 51;
export const OP_FUTEX_WAKE = 52;
export const OP_FUTEX_WAITV = 53;
export const OP_FIXED_FD_INSTALL = 54;
export const OP_FTRUNCATE = 55;
export const OP_BIND = 56;
export const OP_LISTEN = 57;
export const OP_RECV_ZC = 58;
export const OP_EPOLL_WAIT = 59;
export const OP_READV_FIXED = 60;
export const OP_WRITEV_FIXED = 61;
export const OP_PIPE = 62;

/**
 * What a ring should be created with. Left out on purpose: EPOLL_CTL, EPOLL_WAIT and URING_CMD, which reach
 * beyond the library's own descriptors; MADVISE, which at a wrong address empties the heap; PROVIDE_BUFFERS,
 * REMOVE_BUFFERS, FUTEX_WAITV and the zero-copy sends and receives, which nothing here uses.
 */
export const ALLOWED_OPCODES: readonly number[] = [
  OP_NOP,
  OP_READV,
  OP_WRITEV,
  OP_FSYNC,
  OP_READ_FIXED,
  OP_WRITE_FIXED,
  OP_POLL_ADD,
  OP_POLL_REMOVE,
  OP_SYNC_FILE_RANGE,
  OP_SENDMSG,
  OP_RECVMSG,
  OP_TIMEOUT,
  OP_TIMEOUT_REMOVE,
  OP_ACCEPT,
  OP_ASYNC_CANCEL,
  OP_LINK_TIMEOUT,
  OP_CONNECT,
  OP_FALLOCATE,
  OP_OPENAT,
  OP_CLOSE,
  OP_FILES_UPDATE,
  OP_STATX,
  OP_READ,
  OP_WRITE,
  OP_FADVISE,
  OP_SEND,
  OP_RECV,
  OP_OPENAT2,
  OP_SPLICE,
  OP_TEE,
  OP_SHUTDOWN,
  OP_RENAMEAT,
  OP_UNLINKAT,
  OP_MKDIRAT,
  OP_SYMLINKAT,
  OP_LINKAT,
  OP_MSG_RING,
  OP_FSETXATTR,
  OP_SETXATTR,
  OP_FGETXATTR,
  OP_GETXATTR,
  OP_SOCKET,
  OP_READ_MULTISHOT,
  OP_WAITID,
  OP_FUTEX_WAIT,
  OP_FUTEX_WAKE,
  OP_FIXED_FD_INSTALL,
  OP_FTRUNCATE,
  OP_BIND,
  OP_LISTEN,
  OP_READV_FIXED,
  OP_WRITEV_FIXED,
  OP_PIPE,
];
