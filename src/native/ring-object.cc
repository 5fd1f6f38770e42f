// createRing: from an open ring to the plain object JavaScript works with.
#ifdef __linux__

#include <new>

#include "arguments.h"
#include "environment.h"
#include "ring-functions.h"
#include "ring.h"

namespace cooperator {

namespace {

void onFunctionFreed(napi_env, void* data, void*) { releaseRing(static_cast<Ring*>(data)); }
void onMemoryFreed(napi_env, void*, void* hint) { releaseRing(static_cast<Ring*>(hint)); }

bool setNumber(napi_env env, napi_value object, const char* name, double value) {
  napi_value property = nullptr;
  return napi_create_double(env, value, &property) == napi_ok &&
         napi_set_named_property(env, object, name, property) == napi_ok;
}

/** Each function holds one reference: taken out of the object, it must still find its ring. */
bool setFunction(napi_env env, napi_value object, const char* name, napi_callback call, Ring* ring) {
  napi_value function = nullptr;
  if (napi_create_function(env, name, NAPI_AUTO_LENGTH, call, ring, &function) != napi_ok) return false;
  if (napi_add_finalizer(env, function, ring, onFunctionFreed, nullptr, nullptr) != napi_ok) return false;
  retainRing(ring);
  return napi_set_named_property(env, object, name, function) == napi_ok;
}

bool setMemory(napi_env env, napi_value object, const char* name, uint8_t* data, size_t size, Ring* ring) {
  napi_value buffer = nullptr;
  if (napi_create_external_arraybuffer(env, data, size, onMemoryFreed, ring, &buffer) != napi_ok) return false;
  retainRing(ring);
  return napi_set_named_property(env, object, name, buffer) == napi_ok;
}

bool setFunctions(napi_env env, napi_value object, Ring* ring) {
  constexpr struct {
    const char* name;
    napi_callback call;
  } functions[] = {
      {"enter", ringEnter},
      {"flush", ringFlush},
      {"wait", ringWait},
      {"registerBuffers", ringRegisterBuffers},
      {"unregisterBuffers", ringUnregisterBuffers},
      {"registerBufferGroup", ringRegisterBufferGroup},
      {"unregisterBufferGroup", ringUnregisterBufferGroup},
      {"registerFiles", ringRegisterFiles},
      {"syncCancelAll", ringSyncCancelAll},
      {"watch", ringWatch},
      {"unwatch", ringUnwatch},
      {"ref", ringRef},
      {"unref", ringUnref},
      {"close", ringClose},
  };
  for (const auto& entry : functions) {
    if (!setFunction(env, object, entry.name, entry.call, ring)) return false;
  }
  return true;
}

/**
 * Whether the eventfd may be silenced while the thread is awake: whoever clears EVENTFD_DISABLED and then
 * finds SQ_TASKRUN clear must be certain of the next signal. On x86 the kernel sets one and reads the other
 * with a full barrier between; elsewhere, and before 6.12, nobody has shown that it does.
 */
bool canMuteEventfd(const io_uring_params& params) {
#if defined(__x86_64__)
  return (params.flags & IORING_SETUP_DEFER_TASKRUN) != 0 && (params.features & kernel::kFeatMinTimeout) != 0;
#else
  static_cast<void>(params);
  return false;
#endif
}

bool setOpcodes(napi_env env, napi_value object, const RingRequest& request) {
  napi_value list = nullptr;
  if (napi_create_array(env, &list) != napi_ok) return false;
  uint32_t length = 0;
  for (uint32_t op = 0; op < sizeof request.opcodes; op++) {
    if (request.opcodes[op] == 0) continue;
    napi_value value = nullptr;
    if (napi_create_uint32(env, op, &value) != napi_ok || napi_set_element(env, list, length++, value) != napi_ok) {
      return false;
    }
  }
  return napi_set_named_property(env, object, "opcodes", list) == napi_ok;
}

napi_value failureObject(napi_env env, const SetupFailure& failure) {
  napi_value object = nullptr;
  napi_value step = nullptr;
  if (napi_create_object(env, &object) != napi_ok || !setNumber(env, object, "errno", failure.error) ||
      napi_create_string_utf8(env, failure.step, NAPI_AUTO_LENGTH, &step) != napi_ok ||
      napi_set_named_property(env, object, "step", step) != napi_ok) {
    return nullptr;
  }
  return object;
}

}  // namespace

napi_value ringObject(napi_env env, Ring* ring, const RingRequest& request) {
  const io_uring_params& params = ring->params;
  napi_value object = nullptr;
  napi_value canMute = nullptr;
  const bool ok =
      napi_create_object(env, &object) == napi_ok && setNumber(env, object, "fd", ring->fd) &&
      setNumber(env, object, "eventfd", ring->eventfd) && setNumber(env, object, "features", params.features) &&
      setNumber(env, object, "setupFlags", params.flags) && setNumber(env, object, "sqEntries", params.sq_entries) &&
      setNumber(env, object, "cqEntries", params.cq_entries) &&
      setNumber(env, object, "sqHeadOffset", params.sq_off.head) &&
      setNumber(env, object, "sqTailOffset", params.sq_off.tail) &&
      setNumber(env, object, "sqFlagsOffset", params.sq_off.flags) &&
      setNumber(env, object, "sqDroppedOffset", params.sq_off.dropped) &&
      setNumber(env, object, "cqHeadOffset", params.cq_off.head) &&
      setNumber(env, object, "cqTailOffset", params.cq_off.tail) &&
      setNumber(env, object, "cqFlagsOffset", params.cq_off.flags) &&
      setNumber(env, object, "cqOverflowOffset", params.cq_off.overflow) &&
      setNumber(env, object, "cqesOffset", params.cq_off.cqes) &&
      napi_get_boolean(env, canMuteEventfd(params), &canMute) == napi_ok &&
      napi_set_named_property(env, object, "canMuteEventfd", canMute) == napi_ok &&
      setMemory(env, object, "ringMemory", ring->memory.ring, ring->memory.ringSize, ring) &&
      setMemory(env, object, "sqeMemory", ring->memory.sqes, ring->memory.sqesSize, ring) &&
      setOpcodes(env, object, request) && setFunctions(env, object, ring);
  return ok ? object : nullptr;
}

napi_value createRing(napi_env env, napi_callback_info info) {
  const Arguments args(env, info);
  RingRequest request = {};
  if (!readRequest(env, args.values[0], &request)) return nullptr;
  Ring* ring = new (std::nothrow) Ring;
  if (ring == nullptr) return failureObject(env, {ENOMEM, "malloc"});
  SetupFailure failure = {};
  if (!openRing(&request, ring, &failure)) {
    releaseRing(ring);
    return failureObject(env, failure);
  }
  adoptRing(static_cast<Environment*>(args.data), ring);
  if (request.ownedView != nullptr &&
      napi_create_reference(env, request.ownedView, 1, &ring->ownedView) == napi_ok) {
    ring->owned = request.owned;
    ring->ownedWords = request.ownedWords;
  }
  napi_value object = ringObject(env, ring, request);
  if (object != nullptr) return object;
  closeRing(env, ring, false);
  bool pending = false;
  if (napi_is_exception_pending(env, &pending) == napi_ok && pending) return nullptr;
  // Runtimes whose heap is sandboxed refuse memory from outside it.
  return failureObject(env, {EOPNOTSUPP, "external ArrayBuffer"});
}

}  // namespace cooperator

#endif
