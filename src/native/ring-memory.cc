// Mapping a ring into the process, and the two ways out of it.
#ifdef __linux__

#include <sys/mman.h>

#include <algorithm>

#include "ring.h"

namespace cooperator {

namespace {

uint8_t* mapRegion(int fd, size_t size, off_t offset) {
  void* address = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, offset);
  if (address == MAP_FAILED) return nullptr;
  // A forked child must not write into our rings, nor keep them alive until it calls exec.
  madvise(address, size, MADV_DONTFORK);
  return static_cast<uint8_t*>(address);
}

void sealRegion(uint8_t* address, size_t size) {
  if (address == nullptr) return;
  mmap(address, size, PROT_READ | PROT_WRITE, MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

}  // namespace

bool mapMemory(Ring* ring, SetupFailure* failure) {
  const io_uring_params& params = ring->params;
  RingMemory& memory = ring->memory;
  const bool hasArray = (params.flags & kernel::kSetupNoSqArray) == 0;
  const size_t cqEnd = params.cq_off.cqes + params.cq_entries * sizeof(io_uring_cqe);
  const size_t arrayEnd = hasArray ? params.sq_off.array + params.sq_entries * sizeof(uint32_t) : 0;
  memory.ringSize = std::max(cqEnd, arrayEnd);
  memory.sqesSize = params.sq_entries * sizeof(io_uring_sqe);
  memory.ring = mapRegion(ring->fd, memory.ringSize, IORING_OFF_SQ_RING);
  if (memory.ring != nullptr) {
    memory.sqes = mapRegion(ring->fd, memory.sqesSize, static_cast<off_t>(IORING_OFF_SQES));
  }
  if (memory.sqes == nullptr) {
    *failure = {errno, "mmap"};
    return false;
  }
  // On older kernels each SQ position names an SQE by index; slot i always holding SQE i makes the array
  // invisible to TypeScript, which then fills SQEs the same way on all kernels.
  if (hasArray) {
    uint32_t* array = ring->at(params.sq_off.array);
    for (uint32_t i = 0; i < params.sq_entries; i++) array[i] = i;
  }
  return true;
}

/**
 * A view that JavaScript still holds then reads zeroes, which look like an empty ring, instead of ending
 * the process with SIGSEGV. It must be more than closing the descriptor: a mapping keeps the ring's file
 * open, so the kernel would neither cancel what is left nor return the locked-memory charge.
 */
void sealMemory(Ring* ring) {
  sealRegion(ring->memory.ring, ring->memory.ringSize);
  sealRegion(ring->memory.sqes, ring->memory.sqesSize);
}

void unmapMemory(Ring* ring) {
  if (ring->memory.ring != nullptr) munmap(ring->memory.ring, ring->memory.ringSize);
  if (ring->memory.sqes != nullptr) munmap(ring->memory.sqes, ring->memory.sqesSize);
  ring->memory = RingMemory{};
}

void retainRing(Ring* ring) { ring->references.fetch_add(1, std::memory_order_relaxed); }

void releaseRing(Ring* ring) {
  if (ring->references.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  unmapMemory(ring);
  delete ring;
}

}  // namespace cooperator

#endif
