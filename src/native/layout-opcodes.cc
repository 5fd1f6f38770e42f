// Opcodes: io_uring_enter(2).
#ifdef __linux__

#include "kernel.h"
#include "layout.h"

namespace cooperator {

namespace {

constexpr Constant kList[] = {
    {"OP_NOP", IORING_OP_NOP},
    {"OP_READV", IORING_OP_READV},
    {"OP_WRITEV", IORING_OP_WRITEV},
    {"OP_FSYNC", IORING_OP_FSYNC},
    {"OP_READ_FIXED", IORING_OP_READ_FIXED},
    {"OP_WRITE_FIXED", IORING_OP_WRITE_FIXED},
    {"OP_POLL_ADD", IORING_OP_POLL_ADD},
    {"OP_POLL_REMOVE", IORING_OP_POLL_REMOVE},
    {"OP_SYNC_FILE_RANGE", IORING_OP_SYNC_FILE_RANGE},
    {"OP_SENDMSG", IORING_OP_SENDMSG},
    {"OP_RECVMSG", IORING_OP_RECVMSG},
    {"OP_TIMEOUT", IORING_OP_TIMEOUT},
    {"OP_TIMEOUT_REMOVE", IORING_OP_TIMEOUT_REMOVE},
    {"OP_ACCEPT", IORING_OP_ACCEPT},
    {"OP_ASYNC_CANCEL", IORING_OP_ASYNC_CANCEL},
    {"OP_LINK_TIMEOUT", IORING_OP_LINK_TIMEOUT},
    {"OP_CONNECT", IORING_OP_CONNECT},
    {"OP_FALLOCATE", IORING_OP_FALLOCATE},
    {"OP_OPENAT", IORING_OP_OPENAT},
    {"OP_CLOSE", IORING_OP_CLOSE},
    {"OP_FILES_UPDATE", IORING_OP_FILES_UPDATE},
    {"OP_STATX", IORING_OP_STATX},
    {"OP_READ", IORING_OP_READ},
    {"OP_WRITE", IORING_OP_WRITE},
    {"OP_FADVISE", IORING_OP_FADVISE},
    {"OP_MADVISE", IORING_OP_MADVISE},
    {"OP_SEND", IORING_OP_SEND},
    {"OP_RECV", IORING_OP_RECV},
    {"OP_OPENAT2", IORING_OP_OPENAT2},
    {"OP_EPOLL_CTL", IORING_OP_EPOLL_CTL},
    {"OP_SPLICE", IORING_OP_SPLICE},
    {"OP_PROVIDE_BUFFERS", IORING_OP_PROVIDE_BUFFERS},
    {"OP_REMOVE_BUFFERS", IORING_OP_REMOVE_BUFFERS},
    {"OP_TEE", IORING_OP_TEE},
    {"OP_SHUTDOWN", IORING_OP_SHUTDOWN},
    {"OP_RENAMEAT", IORING_OP_RENAMEAT},
    {"OP_UNLINKAT", IORING_OP_UNLINKAT},
    {"OP_MKDIRAT", IORING_OP_MKDIRAT},
    {"OP_SYMLINKAT", IORING_OP_SYMLINKAT},
    {"OP_LINKAT", IORING_OP_LINKAT},
    {"OP_MSG_RING", IORING_OP_MSG_RING},
    {"OP_FSETXATTR", IORING_OP_FSETXATTR},
    {"OP_SETXATTR", IORING_OP_SETXATTR},
    {"OP_FGETXATTR", IORING_OP_FGETXATTR},
    {"OP_GETXATTR", IORING_OP_GETXATTR},
    {"OP_SOCKET", IORING_OP_SOCKET},
    {"OP_URING_CMD", IORING_OP_URING_CMD},
    {"OP_SEND_ZC", IORING_OP_SEND_ZC},
    {"OP_SENDMSG_ZC", IORING_OP_SENDMSG_ZC},
    {"OP_READ_MULTISHOT", kernel::kOpReadMultishot},
    {"OP_WAITID", kernel::kOpWaitid},
    {"OP_FUTEX_WAIT", kernel::kOpFutexWait},
    {"OP_FUTEX_WAKE", kernel::kOpFutexWake},
    {"OP_FUTEX_WAITV", kernel::kOpFutexWaitv},
    {"OP_FIXED_FD_INSTALL", kernel::kOpFixedFdInstall},
    {"OP_FTRUNCATE", kernel::kOpFtruncate},
    {"OP_BIND", kernel::kOpBind},
    {"OP_LISTEN", kernel::kOpListen},
    {"OP_RECV_ZC", kernel::kOpRecvZc},
    {"OP_EPOLL_WAIT", kernel::kOpEpollWait},
    {"OP_READV_FIXED", kernel::kOpReadvFixed},
    {"OP_WRITEV_FIXED", kernel::kOpWritevFixed},
    {"OP_PIPE", kernel::kOpPipe},
};

}  // namespace

Constants opcodeConstants() { return {kList, sizeof kList / sizeof kList[0]}; }

}  // namespace cooperator

#endif
