// Ending a ring so that the kernel no longer writes to any memory of this process.
#ifdef __linux__

#include <algorithm>

#include "environment.h"
#include "ring.h"
#include "watch.h"

namespace cooperator {

namespace {

// Long enough for a disk to finish a write that cannot be cancelled; longer would look like a hang.
constexpr int64_t kQuiesceNs = 1 * kNanosPerSecond;
// How long one wait lasts before cancelling again: an operation may have started only after the last cancel,
// such as the next of a chain.
constexpr int64_t kSliceNs = 5000000;
// Where the drain below is refused: how many times in a row there must be nothing to cancel.
constexpr int kQuietRounds = 2;

// Nobody reads these completions but the loop below, which ignores all others.
constexpr uint64_t kCancelMark = UINT64_MAX;
constexpr uint64_t kDrainMark = UINT64_MAX - 1;

struct Progress {
  bool drainSubmitted = false;
  bool drained = false;
  bool drainRefused = false;
  /** What the last cancel found: a count, or -errno. */
  int found = 0;
  int quietRounds = 0;
};

/** Queues one SQE and submits it; when the kernel takes none for now, the next call submits it as well. */
int submitOne(Ring* ring, uint8_t opcode, uint8_t flags, uint32_t opFlags, uint64_t userData) {
  const io_uring_params& params = ring->params;
  const uint32_t tail = ring->load(params.sq_off.tail);
  const uint32_t queued = tail - ring->load(params.sq_off.head);
  if (queued == params.sq_entries) return ring->enter(queued, 0, IORING_ENTER_GETEVENTS);
  io_uring_sqe* sqe =
      reinterpret_cast<io_uring_sqe*>(ring->memory.sqes) + (tail & (params.sq_entries - 1));
  *sqe = io_uring_sqe{};
  sqe->opcode = opcode;
  sqe->flags = flags;
  sqe->fd = -1;
  sqe->cancel_flags = opFlags;
  sqe->user_data = userData;
  ring->store(params.sq_off.tail, tail + 1);
  return ring->enter(queued + 1, 0, IORING_ENTER_GETEVENTS);
}

void reap(Ring* ring, Progress* progress) {
  const io_uring_params& params = ring->params;
  uint32_t head = ring->load(params.cq_off.head);
  const uint32_t tail = ring->load(params.cq_off.tail);
  const io_uring_cqe* cqes = reinterpret_cast<const io_uring_cqe*>(ring->at(params.cq_off.cqes));
  for (; head != tail; head++) {
    const io_uring_cqe& cqe = cqes[head & (params.cq_entries - 1)];
    if (cqe.user_data == kDrainMark) {
      (cqe.res < 0 ? progress->drainRefused : progress->drained) = true;
    } else if (cqe.user_data == kCancelMark) {
      progress->found = cqe.res;
    }
  }
  ring->store(params.cq_off.head, head);
}

/** Cancels all that can be found. Since 6.0 there is a call for it, which no drain can hold up. */
void cancelAll(Ring* ring, Progress* progress) {
  constexpr uint32_t kAnyAll = IORING_ASYNC_CANCEL_ANY | IORING_ASYNC_CANCEL_ALL;
  if ((ring->params.flags & IORING_SETUP_SINGLE_ISSUER) != 0) {
    io_uring_sync_cancel_reg cancel = {};
    cancel.fd = -1;
    cancel.flags = kAnyAll;
    // Waits this long for operations that are running in a kernel thread.
    cancel.timeout = {0, kSliceNs};
    progress->found = kernel::registerWith(ring->fd, IORING_REGISTER_SYNC_CANCEL, &cancel, 1);
  } else if (!progress->drainSubmitted) {
    submitOne(ring, IORING_OP_ASYNC_CANCEL, 0, kAnyAll, kCancelMark);
  }
  flushRing(ring, 0);
  reap(ring, progress);
  if (progress->found == -ENOENT) progress->found = 0;
}

void waitSlice(Ring* ring, int64_t left) {
  __kernel_timespec time = {0, std::min(left, kSliceNs)};
  io_uring_getevents_arg argument = {};
  argument.ts = reinterpret_cast<uint64_t>(&time);
  ring->enter(0, 1, IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG, &argument, sizeof argument);
}

/**
 * Cancels everything and waits until the kernel is done with all of it.
 *
 * Cancelling alone proves nothing: direct disk io and reads that wait for a page cannot be found by a cancel
 * and complete later. A drained NOP can: it completes only when every request before it has. It holds up all
 * later SQEs, cancels included, so it comes last. The kernel refuses it (EOPNOTSUPP) on a ring that ever used
 * CQE_SKIP_SUCCESS; there, finding nothing to cancel must do.
 *
 * @returns false when the deadline passed first.
 */
bool quiesce(Ring* ring) {
  const int64_t deadline = nowNs() + kQuiesceNs;
  Progress progress;
  // What was queued but never submitted stays unsubmitted: the kernel reads the tail only inside enter.
  ring->store(ring->params.sq_off.tail, ring->load(ring->params.sq_off.head));
  for (;;) {
    cancelAll(ring, &progress);
    if (progress.found == 0 && !progress.drainSubmitted) {
      progress.drainSubmitted = true;
      submitOne(ring, IORING_OP_NOP, IOSQE_IO_DRAIN, 0, kDrainMark);
      flushRing(ring, 0);
      reap(ring, &progress);
    }
    if (progress.drained) return true;
    progress.quietRounds = progress.found == 0 ? progress.quietRounds + 1 : 0;
    if (progress.drainRefused && progress.quietRounds >= kQuietRounds) return true;
    // Running operations are worth another round; any other error means that this kernel cannot cancel so.
    if (progress.found < 0 && progress.found != -ETIME && progress.found != -EALREADY &&
        progress.found != -EINTR) {
      return false;
    }
    const int64_t left = deadline - nowNs();
    if (left <= 0) return false;
    const bool draining = progress.drainSubmitted && !progress.drainRefused;
    if (draining || progress.found < 0) waitSlice(ring, left);
    reap(ring, &progress);
  }
}

/**
 * Closes what JavaScript has left open and can no longer close: a worker that is terminated would leave it open as
 * long as the process lives.
 */
void closeDescriptors(const Ring* ring) {
  for (size_t i = 0; i < ring->ownedWords; i++) {
    for (uint32_t bits = ring->owned[i]; bits != 0; bits &= bits - 1) {
      const int fd = static_cast<int>(i * 32) + __builtin_ctz(bits);
      // Whoever writes last words needs these.
      if (fd > STDERR_FILENO) close(fd);
    }
  }
}

}  // namespace

void closeRing(napi_env env, Ring* ring, bool unmap) {
  if (ring->fd < 0) return;
  const bool quiet = !ring->enabled || quiesce(ring);
  // The flag says that there is no JavaScript any more.
  if (unmap) closeDescriptors(ring);
  if (ring->ownedView != nullptr) napi_delete_reference(env, ring->ownedView);
  ring->ownedView = nullptr;
  ring->ownedWords = 0;
  unregisterRingDescriptor(ring);
  stopWatch(ring);
  if (unmap) {
    unmapMemory(ring);
  } else {
    sealMemory(ring);
  }
  close(ring->fd);
  close(ring->eventfd);
  ring->fd = ring->eventfd = ring->enterFd = -1;
  // Registered memory the kernel may still write to is leaked on purpose: losing it is better than letting a
  // late completion overwrite whatever lives there next.
  if (quiet) releaseBufferReferences(env, ring);
  forgetRing(ring);
  releaseRing(ring);
}

}  // namespace cooperator

#endif
