// One io_uring instance: its mapped memory, its descriptors, and what keeps it alive.
//
// A ring belongs to the JavaScript thread that created it. SINGLE_ISSUER makes the kernel enforce that.
#pragma once

#include <node_api.h>

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "kernel.h"

namespace cooperator {

struct Environment;
struct Watch;

/** What JavaScript asks for; see `createRing` in binding.ts. */
struct RingRequest {
  uint32_t sqEntries;
  uint32_t cqEntries;
  /** Set-up flags to do without: lets tests walk down the fallback chain on a new kernel. */
  uint32_t without;
  uint8_t sqeFlags;
  /** One byte per opcode, non-zero when allowed. Opcodes this kernel lacks are cleared by the set-up. */
  uint8_t opcodes[256];
  /** The account of open descriptors, null when JavaScript keeps none. */
  napi_value ownedView;
  const uint32_t* owned;
  size_t ownedWords;
};

/** Which step the kernel refused, and why. `step` is a string literal. */
struct SetupFailure {
  int error;
  const char* step;
};

/** The two mappings of a ring. They outlive the ring itself, see `sealMemory`. */
struct RingMemory {
  uint8_t* ring = nullptr;
  size_t ringSize = 0;
  uint8_t* sqes = nullptr;
  size_t sqesSize = 0;
};

struct Ring {
  /** Highest number of provided-buffer groups at a time; each costs one reference slot below. */
  static constexpr size_t kBufferGroupsMax = 64;

  Environment* environment = nullptr;
  Ring* previous = nullptr;
  Ring* next = nullptr;

  /** -1 once closed, which every call checks first. */
  int fd = -1;
  int eventfd = -1;
  /** What io_uring_enter is given: the index of the registered ring descriptor, else `fd`. */
  int enterFd = -1;
  uint32_t enterFlags = 0;
  /** Set once ENABLE_RINGS worked: before that nothing can be in flight. */
  bool enabled = false;

  io_uring_params params = {};
  RingMemory memory;

  /**
   * Functions and ArrayBuffers JavaScript still holds, plus one for the environment while the ring is
   * open. All on one thread; atomic because Node may free a backing store from another.
   */
  std::atomic<uint32_t> references{1};

  Watch* watch = nullptr;

  /** Keep registered memory from being collected while the kernel may still write to it. */
  napi_ref fixedBuffers = nullptr;
  napi_ref bufferGroups[kBufferGroupsMax] = {};

  /** One bit per descriptor number that JavaScript has to close; the reference keeps the memory. */
  const uint32_t* owned = nullptr;
  size_t ownedWords = 0;
  napi_ref ownedView = nullptr;

  uint32_t* at(uint32_t offset) const { return reinterpret_cast<uint32_t*>(memory.ring + offset); }
  uint32_t load(uint32_t offset) const { return __atomic_load_n(at(offset), __ATOMIC_ACQUIRE); }
  void store(uint32_t offset, uint32_t value) { __atomic_store_n(at(offset), value, __ATOMIC_RELEASE); }

  int enter(uint32_t toSubmit, uint32_t minComplete, uint32_t flags, const void* argument = nullptr,
            size_t size = 0) const {
    return kernel::enter(enterFd, toSubmit, minComplete, flags | enterFlags, argument, size);
  }
};

/** @returns false with an exception pending when the options are wrong. */
bool readRequest(napi_env env, napi_value options, RingRequest* request);

/** Sets a ring up and enables it. On failure everything is undone and `failure` says which step it was. */
bool openRing(RingRequest* request, Ring* ring, SetupFailure* failure);
/** Steps of `openRing`, in this order. */
bool setupRing(const RingRequest& request, Ring* ring, SetupFailure* failure);
bool mapMemory(Ring* ring, SetupFailure* failure);
bool registerAll(RingRequest* request, Ring* ring, SetupFailure* failure);

/** Gives the descriptor slot of `enterFd` back; it would keep the ring open until the thread ends. */
void unregisterRingDescriptor(Ring* ring);

/** Cancels what is in flight, waits for it within a bound, and gives everything back. Idempotent. */
void closeRing(napi_env env, Ring* ring, bool unmap);

/** Swaps the kernel's pages for private zero pages at the same addresses. */
void sealMemory(Ring* ring);
void unmapMemory(Ring* ring);

/** Forgets registered memory, when the kernel has forgotten it too. */
void releaseBufferReferences(napi_env env, Ring* ring);

/** Runs completion work the kernel has queued. @returns SQEs taken, or -errno. See ring-calls.cc. */
int flushRing(const Ring* ring, uint32_t toSubmit);

void retainRing(Ring* ring);
/** Drops one reference; the last one unmaps and frees. */
void releaseRing(Ring* ring);

/** Builds what JavaScript sees. @returns nullptr with an exception pending, or after teardown began. */
napi_value ringObject(napi_env env, Ring* ring, const RingRequest& request);

constexpr int64_t kNanosPerSecond = 1000000000;
/** CLOCK_MONOTONIC. */
int64_t nowNs();
void sleepNs(int64_t duration);

}  // namespace cooperator
