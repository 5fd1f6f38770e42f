// The io_uring system calls and every kernel constant that Debian 12's 6.1 header does not have yet.
//
// The names are our own: newer headers spell some of these as enumerators, which no #ifndef can see, so
// defining IORING_* here would break the build on the next distribution. See io_uring_setup(2),
// io_uring_enter(2), io_uring_register(2).
#pragma once

#include <cerrno>
#include <cstddef>
#include <cstdint>

#include <linux/io_uring.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace cooperator::kernel {

// io_uring_setup flags. NO_SQARRAY: 6.6.
constexpr uint32_t kSetupNoSqArray = 1u << 16;

// Opcodes 49..62, in the order the kernel added them (6.7 .. 6.16).
constexpr uint32_t kOpReadMultishot = 49;
constexpr uint32_t kOpWaitid = 50;
constexpr uint32_t kOpFutexWait = 51;
constexpr uint32_t kOpFutexWake = 52;
constexpr uint32_t kOpFutexWaitv = 53;
constexpr uint32_t kOpFixedFdInstall = 54;
constexpr uint32_t kOpFtruncate = 55;
constexpr uint32_t kOpBind = 56;
constexpr uint32_t kOpListen = 57;
constexpr uint32_t kOpRecvZc = 58;
constexpr uint32_t kOpEpollWait = 59;
constexpr uint32_t kOpReadvFixed = 60;
constexpr uint32_t kOpWritevFixed = 61;
constexpr uint32_t kOpPipe = 62;

// Flags carried in an SQE.
constexpr uint32_t kTimeoutMultishot = 1u << 6;
constexpr uint32_t kRecvSendBundle = 1u << 4;
constexpr uint32_t kAcceptDontwait = 1u << 1;
constexpr uint32_t kAcceptPollFirst = 1u << 2;
constexpr uint32_t kMsgRingFlagsPass = 1u << 1;
constexpr uint32_t kFixedFdNoCloexec = 1u << 0;

// Flags carried in a CQE.
constexpr uint32_t kCqeBufferMore = 1u << 4;

// Feature bits that tell the age of the kernel. MIN_TIMEOUT: 6.12.
constexpr uint32_t kFeatRecvSendBundle = 1u << 14;
constexpr uint32_t kFeatMinTimeout = 1u << 15;

// Flags of the futex operations, from linux/futex.h of 6.7.
constexpr uint32_t kFutexSizeU32 = 0x02;
constexpr uint32_t kFutexPrivate = 128;

/** @returns A ring descriptor (always close-on-exec), or -errno. */
inline int setup(uint32_t entries, io_uring_params* params) {
  const long result = syscall(__NR_io_uring_setup, entries, params);
  return result < 0 ? -errno : static_cast<int>(result);
}

/** @returns How many SQEs the kernel took, or -errno. */
inline int enter(int fd, uint32_t toSubmit, uint32_t minComplete, uint32_t flags,
                 const void* argument = nullptr, size_t size = 0) {
  const long result = syscall(__NR_io_uring_enter, fd, toSubmit, minComplete, flags, argument, size);
  return result < 0 ? -errno : static_cast<int>(result);
}

/** @returns What the operation returns, or -errno. */
inline int registerWith(int fd, uint32_t operation, const void* argument, uint32_t count) {
  const long result = syscall(__NR_io_uring_register, fd, operation, argument, count);
  return result < 0 ? -errno : static_cast<int>(result);
}

}  // namespace cooperator::kernel
