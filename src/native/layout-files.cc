// Constants of file, poll and process operations. Some differ between x64 and arm64.
#ifdef __linux__

#include <fcntl.h>
#include <linux/openat2.h>
#include <poll.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>

#include "kernel.h"
#include "layout.h"

namespace cooperator {

namespace {

constexpr Constant kList[] = {
    // open(2), openat2(2)
    {"O_RDONLY", O_RDONLY},
    {"O_WRONLY", O_WRONLY},
    {"O_RDWR", O_RDWR},
    {"O_CREAT", O_CREAT},
    {"O_EXCL", O_EXCL},
    {"O_NOCTTY", O_NOCTTY},
    {"O_TRUNC", O_TRUNC},
    {"O_APPEND", O_APPEND},
    {"O_NONBLOCK", O_NONBLOCK},
    {"O_DSYNC", O_DSYNC},
    {"O_SYNC", O_SYNC},
    {"O_DIRECT", O_DIRECT},
    {"O_DIRECTORY", O_DIRECTORY},
    {"O_NOFOLLOW", O_NOFOLLOW},
    {"O_NOATIME", O_NOATIME},
    {"O_CLOEXEC", O_CLOEXEC},
    {"O_PATH", O_PATH},
    {"O_TMPFILE", O_TMPFILE},
    {"RESOLVE_NO_XDEV", RESOLVE_NO_XDEV},
    {"RESOLVE_NO_MAGICLINKS", RESOLVE_NO_MAGICLINKS},
    {"RESOLVE_NO_SYMLINKS", RESOLVE_NO_SYMLINKS},
    {"RESOLVE_BENEATH", RESOLVE_BENEATH},
    {"RESOLVE_IN_ROOT", RESOLVE_IN_ROOT},
    {"RESOLVE_CACHED", RESOLVE_CACHED},
    // The *at calls
    {"AT_FDCWD", AT_FDCWD},
    {"AT_SYMLINK_NOFOLLOW", AT_SYMLINK_NOFOLLOW},
    {"AT_REMOVEDIR", AT_REMOVEDIR},
    {"AT_SYMLINK_FOLLOW", AT_SYMLINK_FOLLOW},
    {"AT_NO_AUTOMOUNT", AT_NO_AUTOMOUNT},
    {"AT_EMPTY_PATH", AT_EMPTY_PATH},
    {"RENAME_NOREPLACE", RENAME_NOREPLACE},
    {"RENAME_EXCHANGE", RENAME_EXCHANGE},
    // statx(2)
    {"STATX_TYPE", STATX_TYPE},
    {"STATX_MODE", STATX_MODE},
    {"STATX_NLINK", STATX_NLINK},
    {"STATX_UID", STATX_UID},
    {"STATX_GID", STATX_GID},
    {"STATX_ATIME", STATX_ATIME},
    {"STATX_MTIME", STATX_MTIME},
    {"STATX_CTIME", STATX_CTIME},
    {"STATX_INO", STATX_INO},
    {"STATX_SIZE", STATX_SIZE},
    {"STATX_BLOCKS", STATX_BLOCKS},
    {"STATX_BASIC_STATS", STATX_BASIC_STATS},
    {"STATX_BTIME", STATX_BTIME},
    // fsync, sync_file_range(2), fallocate(2), posix_fadvise(2)
    {"FSYNC_DATASYNC", IORING_FSYNC_DATASYNC},
    {"SYNC_FILE_RANGE_WAIT_BEFORE", SYNC_FILE_RANGE_WAIT_BEFORE},
    {"SYNC_FILE_RANGE_WRITE", SYNC_FILE_RANGE_WRITE},
    {"SYNC_FILE_RANGE_WAIT_AFTER", SYNC_FILE_RANGE_WAIT_AFTER},
    {"FALLOC_FL_KEEP_SIZE", FALLOC_FL_KEEP_SIZE},
    {"FALLOC_FL_PUNCH_HOLE", FALLOC_FL_PUNCH_HOLE},
    {"FALLOC_FL_COLLAPSE_RANGE", FALLOC_FL_COLLAPSE_RANGE},
    {"FALLOC_FL_ZERO_RANGE", FALLOC_FL_ZERO_RANGE},
    {"FALLOC_FL_INSERT_RANGE", FALLOC_FL_INSERT_RANGE},
    {"POSIX_FADV_NORMAL", POSIX_FADV_NORMAL},
    {"POSIX_FADV_RANDOM", POSIX_FADV_RANDOM},
    {"POSIX_FADV_SEQUENTIAL", POSIX_FADV_SEQUENTIAL},
    {"POSIX_FADV_WILLNEED", POSIX_FADV_WILLNEED},
    {"POSIX_FADV_DONTNEED", POSIX_FADV_DONTNEED},
    {"POSIX_FADV_NOREUSE", POSIX_FADV_NOREUSE},
    // splice(2), setxattr(2)
    {"SPLICE_F_MOVE", SPLICE_F_MOVE},
    {"SPLICE_F_NONBLOCK", SPLICE_F_NONBLOCK},
    {"SPLICE_F_MORE", SPLICE_F_MORE},
    {"SPLICE_F_FD_IN_FIXED", SPLICE_F_FD_IN_FIXED},
    {"XATTR_CREATE", XATTR_CREATE},
    {"XATTR_REPLACE", XATTR_REPLACE},
    // poll(2)
    {"POLLIN", POLLIN},
    {"POLLPRI", POLLPRI},
    {"POLLOUT", POLLOUT},
    {"POLLERR", POLLERR},
    {"POLLHUP", POLLHUP},
    {"POLLNVAL", POLLNVAL},
    {"POLLRDHUP", POLLRDHUP},
    // waitid(2)
    {"P_ALL", P_ALL},
    {"P_PID", P_PID},
    {"P_PGID", P_PGID},
    {"P_PIDFD", 3},
    {"WNOHANG", WNOHANG},
    {"WSTOPPED", WSTOPPED},
    {"WEXITED", WEXITED},
    {"WCONTINUED", WCONTINUED},
    {"WNOWAIT", WNOWAIT},
    {"CLD_EXITED", CLD_EXITED},
    {"CLD_KILLED", CLD_KILLED},
    {"CLD_DUMPED", CLD_DUMPED},
    {"CLD_TRAPPED", CLD_TRAPPED},
    {"CLD_STOPPED", CLD_STOPPED},
    {"CLD_CONTINUED", CLD_CONTINUED},
};

}  // namespace

Constants fileConstants() { return {kList, sizeof kList / sizeof kList[0]}; }

}  // namespace cooperator

#endif
