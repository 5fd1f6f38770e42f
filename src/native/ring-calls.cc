// The functions of a ring that enter the kernel. They carry the ring as their data pointer, so that a call
// needs no look-up: they are the one native call of a turn.
#ifdef __linux__

#include "arguments.h"
#include "ring-functions.h"
#include "ring.h"
#include "watch.h"

namespace cooperator {

namespace {

// The kernel runs at least 20 completions per round, so this is enough for a full completion queue, and a
// little more. Without a bound, a peer that sends as fast as we receive could keep the thread in here.
uint32_t roundsMax(const Ring* ring) { return ring->params.cq_entries / 20 + 4; }

// IORING_MAX_FIXED_FILES of the kernel.
constexpr int64_t kFilesMax = 1 << 20;

napi_value closed(napi_env env) { return integer(env, -EBADF); }

}  // namespace

/**
 * Submits, and posts every completion that is ready, without waiting.
 *
 * With DEFER_TASKRUN one enter runs only 20 completions when it need not wait for more, then leaves SQ_TASKRUN
 * set (and the eventfd silent) for the rest. Ways to get all of 200, measured on 6.18: entering again while
 * SQ_TASKRUN is set, 10 enters, 66 us; min_complete = 200 with a zero timeout, 79 us, because arming the
 * timer costs 15 us whether or not it waits (N = 1: 0.7 against 15.7 us). So the loop. An empty enter costs
 * 0.2 us, and the flag was never missing in 100,000 trials: with nothing to submit and neither flag set, the
 * kernel need not be entered.
 */
int flushRing(const Ring* ring, uint32_t toSubmit) {
  const uint32_t flagsOffset = ring->params.sq_off.flags;
  constexpr uint32_t kWork = IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW;
  if (toSubmit == 0 && (ring->load(flagsOffset) & kWork) == 0) return 0;
  const int submitted = ring->enter(toSubmit, 0, IORING_ENTER_GETEVENTS);
  if (submitted < 0) return submitted;
  for (uint32_t rounds = roundsMax(ring); rounds > 0; rounds--) {
    // Overflow means that the queue is full: more work now would only lengthen the kernel's list.
    if ((ring->load(flagsOffset) & kWork) != IORING_SQ_TASKRUN) break;
    if (ring->enter(0, 0, IORING_ENTER_GETEVENTS) < 0) break;
  }
  return submitted;
}

napi_value ringEnter(napi_env env, napi_callback_info info) {
  const Arguments args(env, info, 3);
  const Ring* ring = static_cast<const Ring*>(args.data);
  uint32_t toSubmit = 0;
  uint32_t minComplete = 0;
  uint32_t flags = 0;
  if (ring->fd < 0) return closed(env);
  // Other flags would change what the arguments mean, or which ring is entered.
  if (!args.count(0, "toSubmit", ring->params.sq_entries, &toSubmit) ||
      !args.count(1, "minComplete", ring->params.cq_entries, &minComplete) ||
      !args.count(2, "flags", IORING_ENTER_GETEVENTS, &flags)) {
    return nullptr;
  }
  return integer(env, ring->enter(toSubmit, minComplete, flags));
}

napi_value ringFlush(napi_env env, napi_callback_info info) {
  const Arguments args(env, info, 1);
  const Ring* ring = static_cast<const Ring*>(args.data);
  uint32_t toSubmit = 0;
  if (ring->fd < 0) return closed(env);
  if (!args.count(0, "toSubmit", ring->params.sq_entries, &toSubmit)) return nullptr;
  return integer(env, flushRing(ring, toSubmit));
}

napi_value ringWait(napi_env env, napi_callback_info info) {
  const Arguments args(env, info);
  const Ring* ring = static_cast<const Ring*>(args.data);
  uint32_t toSubmit = 0;
  uint32_t minComplete = 0;
  int64_t timeout = 0;
  if (ring->fd < 0) return closed(env);
  if (!args.count(0, "toSubmit", ring->params.sq_entries, &toSubmit) ||
      !args.count(1, "minComplete", ring->params.cq_entries, &minComplete) ||
      !args.integer(2, "timeoutNs", -kTimeoutNsMax, kTimeoutNsMax, &timeout)) {
    return nullptr;
  }
  __kernel_timespec time = {timeout / kNanosPerSecond, timeout % kNanosPerSecond};
  io_uring_getevents_arg argument = {};
  if (timeout >= 0) argument.ts = reinterpret_cast<uint64_t>(&time);
  return integer(env, ring->enter(toSubmit, minComplete, IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG, &argument,
                                  sizeof argument));
}

/** An empty table for direct descriptors: the kernel fills it, and empties it when the ring is closed. */
napi_value ringRegisterFiles(napi_env env, napi_callback_info info) {
  const Arguments args(env, info);
  const Ring* ring = static_cast<const Ring*>(args.data);
  int64_t count = 0;
  if (ring->fd < 0) return closed(env);
  if (!args.integer(0, "count", 1, kFilesMax, &count)) return nullptr;
  io_uring_rsrc_register table = {};
  table.nr = static_cast<uint32_t>(count);
  table.flags = IORING_RSRC_REGISTER_SPARSE;
  return integer(env, kernel::registerWith(ring->fd, IORING_REGISTER_FILES2, &table, sizeof table));
}

napi_value ringSyncCancelAll(napi_env env, napi_callback_info info) {
  const Arguments args(env, info);
  const Ring* ring = static_cast<const Ring*>(args.data);
  int64_t timeout = 0;
  if (ring->fd < 0) return closed(env);
  if (!args.integer(0, "timeoutNs", 0, kTimeoutNsMax, &timeout)) return nullptr;
  io_uring_sync_cancel_reg cancel = {};
  cancel.fd = -1;
  cancel.flags = IORING_ASYNC_CANCEL_ANY | IORING_ASYNC_CANCEL_ALL;
  cancel.timeout = {timeout / kNanosPerSecond, timeout % kNanosPerSecond};
  return integer(env, kernel::registerWith(ring->fd, IORING_REGISTER_SYNC_CANCEL, &cancel, 1));
}

napi_value ringWatch(napi_env env, napi_callback_info info) {
  const Arguments args(env, info);
  Ring* ring = static_cast<Ring*>(args.data);
  if (ring->fd < 0) return closed(env);
  if (!args.function(0, "callback")) return nullptr;
  return integer(env, startWatch(env, ring, args.values[0]));
}

napi_value ringUnwatch(napi_env env, napi_callback_info info) {
  const Arguments args(env, info);
  Ring* ring = static_cast<Ring*>(args.data);
  if (ring->fd < 0) return closed(env);
  stopWatch(ring);
  return integer(env, 0);
}

napi_value ringRef(napi_env env, napi_callback_info info) {
  const Arguments args(env, info);
  Ring* ring = static_cast<Ring*>(args.data);
  if (ring->fd < 0) return closed(env);
  holdLoop(ring, true);
  return integer(env, 0);
}

napi_value ringUnref(napi_env env, napi_callback_info info) {
  const Arguments args(env, info);
  Ring* ring = static_cast<Ring*>(args.data);
  if (ring->fd < 0) return closed(env);
  holdLoop(ring, false);
  return integer(env, 0);
}

napi_value ringClose(napi_env env, napi_callback_info info) {
  const Arguments args(env, info);
  closeRing(env, static_cast<Ring*>(args.data), false);
  return nullptr;
}

}  // namespace cooperator

#endif
