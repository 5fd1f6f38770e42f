// Sizes and field offsets, in bytes unless said otherwise, of what TypeScript writes for the kernel to read.
#ifdef __linux__

#include <linux/openat2.h>
#include <linux/time_types.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>

#include "kernel.h"
#include "layout.h"

// In C++ the flexible array of this struct begins at 8 instead of 0 with the headers of Debian 12, so it is
// never indexed here: entries are io_uring_buf, and the tail lies over the last two bytes of the first.
static_assert(offsetof(io_uring_buf_ring, tail) == offsetof(io_uring_buf, resv), "the tail has moved");

namespace cooperator {

namespace {

constexpr Constant kList[] = {
    // io_uring_sqe: size in bytes, fields as indexes of 32-bit words
    {"SQE_SIZE", sizeof(io_uring_sqe)},
    {"SQE_WORDS", sizeof(io_uring_sqe) / 4},
    {"SQE_WORD_OPCODE", offsetof(io_uring_sqe, opcode) / 4},
    {"SQE_FLAGS_SHIFT", offsetof(io_uring_sqe, flags) * 8},
    {"SQE_IOPRIO_SHIFT", offsetof(io_uring_sqe, ioprio) * 8},
    {"SQE_WORD_FD", offsetof(io_uring_sqe, fd) / 4},
    {"SQE_WORD_OFF", offsetof(io_uring_sqe, off) / 4},
    {"SQE_WORD_ADDR2", offsetof(io_uring_sqe, addr2) / 4},
    {"SQE_WORD_ADDR", offsetof(io_uring_sqe, addr) / 4},
    {"SQE_WORD_LEN", offsetof(io_uring_sqe, len) / 4},
    {"SQE_WORD_OP_FLAGS", offsetof(io_uring_sqe, rw_flags) / 4},
    {"SQE_WORD_USER_DATA", offsetof(io_uring_sqe, user_data) / 4},
    {"SQE_WORD_BUFFER", offsetof(io_uring_sqe, buf_index) / 4},
    {"SQE_PERSONALITY_SHIFT", (offsetof(io_uring_sqe, personality) - offsetof(io_uring_sqe, buf_index)) * 8},
    {"SQE_WORD_FILE_INDEX", offsetof(io_uring_sqe, file_index) / 4},
    {"SQE_WORD_ADDR3", offsetof(io_uring_sqe, addr3) / 4},
    // io_uring_cqe, likewise
    {"CQE_SIZE", sizeof(io_uring_cqe)},
    {"CQE_WORDS", sizeof(io_uring_cqe) / 4},
    {"CQE_WORD_USER_DATA", offsetof(io_uring_cqe, user_data) / 4},
    {"CQE_WORD_RES", offsetof(io_uring_cqe, res) / 4},
    {"CQE_WORD_FLAGS", offsetof(io_uring_cqe, flags) / 4},
    // An entry of a buffer group, and where the group's 16-bit tail lies over entry 0
    {"BUF_SIZE", sizeof(io_uring_buf)},
    {"BUF_ADDR", offsetof(io_uring_buf, addr)},
    {"BUF_LEN", offsetof(io_uring_buf, len)},
    {"BUF_BID", offsetof(io_uring_buf, bid)},
    {"BUF_TAIL", offsetof(io_uring_buf, resv)},
    // io_uring_recvmsg_out, in front of each datagram of a multishot RECVMSG
    {"RECVMSG_OUT_SIZE", sizeof(io_uring_recvmsg_out)},
    {"RECVMSG_OUT_NAMELEN", offsetof(io_uring_recvmsg_out, namelen)},
    {"RECVMSG_OUT_CONTROLLEN", offsetof(io_uring_recvmsg_out, controllen)},
    {"RECVMSG_OUT_PAYLOADLEN", offsetof(io_uring_recvmsg_out, payloadlen)},
    {"RECVMSG_OUT_FLAGS", offsetof(io_uring_recvmsg_out, flags)},
    // __kernel_timespec: two 64-bit numbers
    {"TIMESPEC_SIZE", sizeof(__kernel_timespec)},
    {"TIMESPEC_SEC", offsetof(__kernel_timespec, tv_sec)},
    {"TIMESPEC_NSEC", offsetof(__kernel_timespec, tv_nsec)},
    // iovec, msghdr, cmsghdr, ucred
    {"IOVEC_SIZE", sizeof(iovec)},
    {"IOVEC_BASE", offsetof(iovec, iov_base)},
    {"IOVEC_LEN", offsetof(iovec, iov_len)},
    {"MSGHDR_SIZE", sizeof(msghdr)},
    {"MSGHDR_NAME", offsetof(msghdr, msg_name)},
    {"MSGHDR_NAMELEN", offsetof(msghdr, msg_namelen)},
    {"MSGHDR_IOV", offsetof(msghdr, msg_iov)},
    {"MSGHDR_IOVLEN", offsetof(msghdr, msg_iovlen)},
    {"MSGHDR_CONTROL", offsetof(msghdr, msg_control)},
    {"MSGHDR_CONTROLLEN", offsetof(msghdr, msg_controllen)},
    {"MSGHDR_FLAGS", offsetof(msghdr, msg_flags)},
    {"CMSGHDR_SIZE", sizeof(cmsghdr)},
    {"CMSGHDR_LEN", offsetof(cmsghdr, cmsg_len)},
    {"CMSGHDR_LEVEL", offsetof(cmsghdr, cmsg_level)},
    {"CMSGHDR_TYPE", offsetof(cmsghdr, cmsg_type)},
    {"UCRED_SIZE", sizeof(ucred)},
    {"UCRED_PID", offsetof(ucred, pid)},
    {"UCRED_UID", offsetof(ucred, uid)},
    {"UCRED_GID", offsetof(ucred, gid)},
    // Socket addresses; the family is 16 bits at offset 0 in all of them
    {"SOCKADDR_FAMILY", offsetof(sockaddr, sa_family)},
    {"SOCKADDR_STORAGE_SIZE", sizeof(sockaddr_storage)},
    {"SOCKADDR_IN_SIZE", sizeof(sockaddr_in)},
    {"SOCKADDR_IN_PORT", offsetof(sockaddr_in, sin_port)},
    {"SOCKADDR_IN_ADDR", offsetof(sockaddr_in, sin_addr)},
    {"SOCKADDR_IN6_SIZE", sizeof(sockaddr_in6)},
    {"SOCKADDR_IN6_PORT", offsetof(sockaddr_in6, sin6_port)},
    {"SOCKADDR_IN6_FLOWINFO", offsetof(sockaddr_in6, sin6_flowinfo)},
    {"SOCKADDR_IN6_ADDR", offsetof(sockaddr_in6, sin6_addr)},
    {"SOCKADDR_IN6_SCOPE", offsetof(sockaddr_in6, sin6_scope_id)},
    {"SOCKADDR_UN_SIZE", sizeof(sockaddr_un)},
    {"SOCKADDR_UN_PATH", offsetof(sockaddr_un, sun_path)},
    // open_how of OPENAT2
    {"OPEN_HOW_SIZE", sizeof(open_how)},
    {"OPEN_HOW_FLAGS", offsetof(open_how, flags)},
    {"OPEN_HOW_MODE", offsetof(open_how, mode)},
    {"OPEN_HOW_RESOLVE", offsetof(open_how, resolve)},
    // statx, and the timestamps in it
    {"STATX_BYTES", sizeof(struct statx)},
    {"STATX_OFFSET_MASK", offsetof(struct statx, stx_mask)},
    {"STATX_OFFSET_BLKSIZE", offsetof(struct statx, stx_blksize)},
    {"STATX_OFFSET_NLINK", offsetof(struct statx, stx_nlink)},
    {"STATX_OFFSET_UID", offsetof(struct statx, stx_uid)},
    {"STATX_OFFSET_GID", offsetof(struct statx, stx_gid)},
    {"STATX_OFFSET_MODE", offsetof(struct statx, stx_mode)},
    {"STATX_OFFSET_INO", offsetof(struct statx, stx_ino)},
    {"STATX_OFFSET_SIZE", offsetof(struct statx, stx_size)},
    {"STATX_OFFSET_BLOCKS", offsetof(struct statx, stx_blocks)},
    {"STATX_OFFSET_ATIME", offsetof(struct statx, stx_atime)},
    {"STATX_OFFSET_BTIME", offsetof(struct statx, stx_btime)},
    {"STATX_OFFSET_CTIME", offsetof(struct statx, stx_ctime)},
    {"STATX_OFFSET_MTIME", offsetof(struct statx, stx_mtime)},
    {"STATX_OFFSET_RDEV_MAJOR", offsetof(struct statx, stx_rdev_major)},
    {"STATX_OFFSET_RDEV_MINOR", offsetof(struct statx, stx_rdev_minor)},
    {"STATX_OFFSET_DEV_MAJOR", offsetof(struct statx, stx_dev_major)},
    {"STATX_OFFSET_DEV_MINOR", offsetof(struct statx, stx_dev_minor)},
    {"STATX_TIMESTAMP_NSEC", offsetof(struct statx_timestamp, tv_nsec)},
    // inotify_event, in front of its name
    {"INOTIFY_SIZE", sizeof(inotify_event)},
    {"INOTIFY_WD", offsetof(inotify_event, wd)},
    {"INOTIFY_MASK", offsetof(inotify_event, mask)},
    {"INOTIFY_COOKIE", offsetof(inotify_event, cookie)},
    {"INOTIFY_LEN", offsetof(inotify_event, len)},
    // siginfo_t as WAITID fills it
    {"SIGINFO_SIZE", sizeof(siginfo_t)},
    {"SIGINFO_CODE", offsetof(siginfo_t, si_code)},
    {"SIGINFO_PID", offsetof(siginfo_t, si_pid)},
    {"SIGINFO_UID", offsetof(siginfo_t, si_uid)},
    {"SIGINFO_STATUS", offsetof(siginfo_t, si_status)},
};

}  // namespace

Constants structConstants() { return {kList, sizeof kList / sizeof kList[0]}; }

}  // namespace cooperator

#endif
