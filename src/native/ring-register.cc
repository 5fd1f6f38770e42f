// What is registered with a ring while it is still disabled: wake-up, allowlist, cheap descriptor.
#ifdef __linux__

#include <sys/eventfd.h>

#include <cstdlib>
#include <cstring>

#include "ring.h"

namespace cooperator {

namespace {

constexpr uint32_t kProbeOpsMax = 256;

bool refuse(SetupFailure* failure, int result, const char* step) {
  *failure = {-result, step};
  return false;
}

bool registerEventfd(Ring* ring, SetupFailure* failure) {
  ring->eventfd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (ring->eventfd < 0) return refuse(failure, -errno, "eventfd");
  const int result = kernel::registerWith(ring->fd, IORING_REGISTER_EVENTFD, &ring->eventfd, 1);
  return result >= 0 || refuse(failure, result, "register eventfd");
}

/** Clears the opcodes this kernel does not know: it would refuse the whole allowlist because of one. */
bool keepSupported(const Ring* ring, RingRequest* request, SetupFailure* failure) {
  constexpr size_t size = sizeof(io_uring_probe) + kProbeOpsMax * sizeof(io_uring_probe_op);
  alignas(io_uring_probe) uint8_t storage[size] = {};
  const int result = kernel::registerWith(ring->fd, IORING_REGISTER_PROBE, storage, kProbeOpsMax);
  if (result < 0) return refuse(failure, result, "register probe");
  const io_uring_probe* probe = reinterpret_cast<const io_uring_probe*>(storage);
  for (uint32_t op = 0; op < kProbeOpsMax; op++) {
    io_uring_probe_op answer = {};
    memcpy(&answer, storage + sizeof(io_uring_probe) + op * sizeof answer, sizeof answer);
    if (op > probe->last_op || (answer.flags & IO_URING_OP_SUPPORTED) == 0) request->opcodes[op] = 0;
  }
  return true;
}

/**
 * From here on the kernel refuses every other opcode and register operation with EACCES, so that an SQE
 * overwritten by a bug cannot do more than the library itself can.
 */
bool restrictRing(const Ring* ring, RingRequest* request, SetupFailure* failure) {
  // Closing a ring needs these two, whatever the caller's policy says.
  request->opcodes[IORING_OP_NOP] = 1;
  request->opcodes[IORING_OP_ASYNC_CANCEL] = 1;
  if (!keepSupported(ring, request, failure)) return false;

  io_uring_restriction list[kProbeOpsMax + 16] = {};
  uint32_t used = 0;
  for (uint32_t op = 0; op < kProbeOpsMax; op++) {
    if (request->opcodes[op] == 0) continue;
    list[used].opcode = IORING_RESTRICTION_SQE_OP;
    list[used++].sqe_op = static_cast<uint8_t>(op);
  }
  list[used].opcode = IORING_RESTRICTION_SQE_FLAGS_ALLOWED;
  list[used++].sqe_flags = request->sqeFlags | IOSQE_IO_DRAIN;

  // A kernel too old for one of these refuses the list as a whole; 6.0, which SINGLE_ISSUER proves, has all.
  constexpr uint8_t kBasic[] = {IORING_REGISTER_BUFFERS, IORING_UNREGISTER_BUFFERS};
  constexpr uint8_t kModern[] = {IORING_REGISTER_SYNC_CANCEL, IORING_REGISTER_PBUF_RING,
                                 IORING_UNREGISTER_PBUF_RING, IORING_UNREGISTER_RING_FDS,
                                 IORING_REGISTER_FILES2};
  const auto allow = [&](uint8_t operation) {
    list[used].opcode = IORING_RESTRICTION_REGISTER_OP;
    list[used++].register_op = operation;
  };
  for (const uint8_t operation : kBasic) allow(operation);
  if ((ring->params.flags & IORING_SETUP_SINGLE_ISSUER) != 0) {
    for (const uint8_t operation : kModern) allow(operation);
  }
  const int result = kernel::registerWith(ring->fd, IORING_REGISTER_RESTRICTIONS, list, used);
  return result >= 0 || refuse(failure, result, "register restrictions");
}

/**
 * Spares io_uring_enter the look-up and reference count of a descriptor in a table shared with other
 * threads: 15 % of an empty enter and 7 to 14 % of one with a single NOP, measured on 6.18. A thread has
 * 16 such slots, so failing is normal and means the plain descriptor.
 */
void registerRingDescriptor(Ring* ring) {
  // Unregistering must be possible later, or the slot would keep the ring open until the thread ends.
  if ((ring->params.flags & IORING_SETUP_SINGLE_ISSUER) == 0) return;
  io_uring_rsrc_update update = {};
  update.offset = UINT32_MAX;
  update.data = static_cast<uint64_t>(ring->fd);
  if (kernel::registerWith(ring->fd, IORING_REGISTER_RING_FDS, &update, 1) != 1) return;
  ring->enterFd = static_cast<int>(update.offset);
  ring->enterFlags = IORING_ENTER_REGISTERED_RING;
}

}  // namespace

void unregisterRingDescriptor(Ring* ring) {
  if ((ring->enterFlags & IORING_ENTER_REGISTERED_RING) == 0) return;
  io_uring_rsrc_update update = {};
  update.offset = static_cast<uint32_t>(ring->enterFd);
  kernel::registerWith(ring->fd, IORING_UNREGISTER_RING_FDS, &update, 1);
  ring->enterFd = ring->fd;
  ring->enterFlags = 0;
}

bool registerAll(RingRequest* request, Ring* ring, SetupFailure* failure) {
  if (!registerEventfd(ring, failure) || !restrictRing(ring, request, failure)) return false;
  registerRingDescriptor(ring);
  int result = kernel::registerWith(ring->fd, IORING_REGISTER_ENABLE_RINGS, nullptr, 0);
  if (result < 0) return refuse(failure, result, "enable");
  // A sandbox may allow io_uring_setup and still forbid io_uring_enter: find out now.
  result = ring->enter(0, 0, IORING_ENTER_GETEVENTS);
  if (result < 0) return refuse(failure, result, "io_uring_enter");
  ring->enabled = true;
  return true;
}

}  // namespace cooperator

#endif
