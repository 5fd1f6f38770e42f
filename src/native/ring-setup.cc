// io_uring_setup(2) with a fallback for every kernel since 5.11, and patience where memory is short.
#ifdef __linux__

#include <algorithm>
#include <ctime>

#include "ring.h"

namespace cooperator {

namespace {

// R_DISABLED so that restrictions can be registered before the first submission is possible; CLAMP so
// that a ring larger than the kernel allows becomes the largest one there is. Never SQPOLL: its thread
// keeps the credentials of the set-up, so a later setuid would not drop them (CVE-2024-22017).
constexpr uint32_t kAlways = IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP | IORING_SETUP_R_DISABLED;

// Best first. Each rung drops what a somewhat older kernel answers with EINVAL.
constexpr uint32_t kRungs[] = {
    // 6.6: no index array between the ring and the SQEs.
    kAlways | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
        IORING_SETUP_TASKRUN_FLAG | kernel::kSetupNoSqArray,
    // 6.1: completion work runs only inside our own enter, never in the middle of JavaScript.
    kAlways | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
        IORING_SETUP_TASKRUN_FLAG,
    // 6.0: it runs at any system call, but at least without interrupting us.
    kAlways | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_COOP_TASKRUN |
        IORING_SETUP_TASKRUN_FLAG,
    // 5.11, where EXT_ARG came.
    kAlways,
};

// ENOMEM is mostly RLIMIT_MEMLOCK, which is charged per user, and the charge of a ring that was closed a
// moment ago is released late (12 to 40 ms measured). So wait a little before settling for a smaller ring.
// More attempts would delay the start of a process that cannot have a ring anyhow.
constexpr int kMemoryAttemptsMax = 8;
constexpr int64_t kMemoryBackoffNs = 20000000;
constexpr uint32_t kSqEntriesMin = 64;
constexpr uint32_t kCqEntriesMin = 128;

// NODROP: completions that do not fit are kept, not lost. EXT_ARG: waiting with a timeout.
// SINGLE_MMAP: both rings in one mapping. All three are as old as 5.11.
constexpr uint32_t kFeaturesNeeded = IORING_FEAT_SINGLE_MMAP | IORING_FEAT_NODROP | IORING_FEAT_EXT_ARG;

int trySetup(const RingRequest& request, uint32_t sqEntries, uint32_t cqEntries, io_uring_params* params) {
  int result = -EINVAL;
  for (const uint32_t flags : kRungs) {
    if ((flags & request.without) != 0) continue;
    *params = io_uring_params{};
    params->flags = flags;
    params->cq_entries = cqEntries;
    result = kernel::setup(sqEntries, params);
    if (result != -EINVAL) return result;
  }
  return result;
}

}  // namespace

bool setupRing(const RingRequest& request, Ring* ring, SetupFailure* failure) {
  uint32_t sqEntries = request.sqEntries;
  uint32_t cqEntries = std::max(request.cqEntries, request.sqEntries);
  int result = -ENOMEM;
  for (int attempt = 0; attempt < kMemoryAttemptsMax; attempt++) {
    result = trySetup(request, sqEntries, cqEntries, &ring->params);
    if (result != -ENOMEM) break;
    // The same size once more, for the late release, and only then half of it.
    if (attempt > 0) {
      if (sqEntries > kSqEntriesMin) sqEntries = std::max(sqEntries / 2, kSqEntriesMin);
      if (cqEntries > kCqEntriesMin) cqEntries = std::max({cqEntries / 2, sqEntries, kCqEntriesMin});
    }
    sleepNs(kMemoryBackoffNs);
  }
  if (result < 0) {
    *failure = {-result, "io_uring_setup"};
    return false;
  }
  ring->fd = result;
  ring->enterFd = result;
  if ((ring->params.features & kFeaturesNeeded) != kFeaturesNeeded) {
    *failure = {EOPNOTSUPP, "io_uring_setup features"};
    return false;
  }
  return true;
}

bool openRing(RingRequest* request, Ring* ring, SetupFailure* failure) {
  if (setupRing(*request, ring, failure) && mapMemory(ring, failure) && registerAll(request, ring, failure)) {
    return true;
  }
  // Nothing was submitted, so closing the descriptors is all there is to undo; the caller drops the ring.
  unregisterRingDescriptor(ring);
  unmapMemory(ring);
  if (ring->fd >= 0) close(ring->fd);
  if (ring->eventfd >= 0) close(ring->eventfd);
  ring->fd = ring->eventfd = ring->enterFd = -1;
  return false;
}

int64_t nowNs() {
  timespec now = {};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * kNanosPerSecond + now.tv_nsec;
}

void sleepNs(int64_t duration) {
  const timespec time = {duration / kNanosPerSecond, duration % kNanosPerSecond};
  nanosleep(&time, nullptr);
}

}  // namespace cooperator

#endif
