/**
 * Flags of the rings, of SQEs and of CQEs: io_uring_setup(2), io_uring_enter(2). Linux numbers, the same on
 * every architecture.
 */

// io_uring_setup.
export const SETUP_CQSIZE = 8;
export const SETUP_CLAMP = 0x10;
export const SETUP_R_DISABLED = 0x40;
export const SETUP_SUBMIT_ALL = 0x80;
export const SETUP_COOP_TASKRUN = 0x100;
export const SETUP_TASKRUN_FLAG = 0x200;
export const SETUP_SINGLE_ISSUER = 0x1000;
export const SETUP_DEFER_TASKRUN = 0x2000;
export const SETUP_NO_SQARRAY = 0x10000;

// io_uring_params.features.
export const FEAT_SINGLE_MMAP = 1;
export const FEAT_NODROP = 2;
export const FEAT_SUBMIT_STABLE = 4;
export const FEAT_RW_CUR_POS = 8;
export const FEAT_FAST_POLL = 0x20;
export const FEAT_EXT_ARG = 0x100;
export const FEAT_CQE_SKIP = 0x800;
export const FEAT_LINKED_FILE = 0x1000;
export const FEAT_RECVSEND_BUNDLE = 0x4000;
export const FEAT_MIN_TIMEOUT = 0x8000;

// io_uring_enter and the flag words in ring memory.
export const ENTER_GETEVENTS = 1;
export const SQ_CQ_OVERFLOW = 2;
export const SQ_TASKRUN = 4;
export const CQ_EVENTFD_DISABLED = 1;

// io_uring_sqe.flags.
export const SQE_FIXED_FILE = 1;
export const SQE_IO_DRAIN = 2;
export const SQE_IO_LINK = 4;
export const SQE_IO_HARDLINK = 8;
export const SQE_ASYNC = 0x10;
export const SQE_BUFFER_SELECT = 0x20;
export const SQE_CQE_SKIP_SUCCESS = 0x40;

// io_uring_cqe.flags.
export const CQE_BUFFER = 1;
export const CQE_MORE = 2;
export const CQE_SOCK_NONEMPTY = 4;
export const CQE_NOTIF = 8;
export const CQE_BUF_MORE = 0x10;
export const CQE_BUFFER_SHIFT = 16;

// ASYNC_CANCEL.
export const CANCEL_ALL = 1;
export const CANCEL_FD = 2;
export const CANCEL_ANY = 4;
export const CANCEL_FD_FIXED = 8;

// TIMEOUT, TIMEOUT_REMOVE, LINK_TIMEOUT.
export const TIMEOUT_ABS = 1;
export const TIMEOUT_UPDATE = 2;
export const TIMEOUT_BOOTTIME = 4;
export const TIMEOUT_REALTIME = 8;
export const TIMEOUT_ETIME_SUCCESS = 0x20;
export const LINK_TIMEOUT_UPDATE = 0x10;
export const TIMEOUT_MULTISHOT = 0x40;

// POLL_ADD, POLL_REMOVE: flags in len.
export const POLL_ADD_MULTI = 1;
export const POLL_UPDATE_EVENTS = 2;
export const POLL_UPDATE_USER_DATA = 4;
export const POLL_ADD_LEVEL = 8;

// ACCEPT, SEND, RECV, SENDMSG, RECVMSG: flags in ioprio.
export const ACCEPT_MULTISHOT = 1;
export const ACCEPT_DONTWAIT = 2;
export const ACCEPT_POLL_FIRST = 4;
export const RECVSEND_POLL_FIRST = 1;
export const RECV_MULTISHOT = 2;
export const RECVSEND_FIXED_BUF = 4;
export const RECVSEND_BUNDLE = 0x10;

// MSG_RING, FIXED_FD_INSTALL, direct descriptors.
export const MSG_RING_DATA = 0;
export const MSG_RING_SEND_FD = 1;
export const MSG_RING_CQE_SKIP = 1;
export const MSG_RING_FLAGS_PASS = 2;
export const FIXED_FD_NO_CLOEXEC = 1;
export const FILE_INDEX_ALLOC = 0xffff_ffff;

// FUTEX_WAIT, FUTEX_WAKE.
export const FUTEX_SIZE_U32 = 2;
export const FUTEX_PRIVATE = 0x80;
