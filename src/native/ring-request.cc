// Reading the options of createRing.
#ifdef __linux__

#include "arguments.h"
#include "ring.h"

namespace cooperator {

namespace {

// The kernel's own limits; see io_uring_setup(2).
constexpr uint32_t kSqEntriesMax = 32768;
constexpr uint32_t kCqEntriesMax = 65536;
// Every SQE flag up to CQE_SKIP_SUCCESS, the last one of 6.18.
constexpr uint32_t kSqeFlagsAll = 0x7f;

/** A property of the object itself: what somebody put on Object.prototype does not count. */
bool ownProperty(napi_env env, napi_value object, const char* name, napi_value* out, bool* has) {
  napi_value key = nullptr;
  return napi_create_string_utf8(env, name, NAPI_AUTO_LENGTH, &key) == napi_ok &&
         napi_has_own_property(env, object, key, has) == napi_ok &&
         (!*has || napi_get_property(env, object, key, out) == napi_ok);
}

/** Leaves `out` alone when the property is absent and `low` permits that, which is when `low` is 0. */
bool readNumber(napi_env env, napi_value object, const char* name, uint32_t low, uint32_t high, uint32_t* out) {
  napi_value value = nullptr;
  bool has = false;
  if (!ownProperty(env, object, name, &value, &has)) return false;
  if (!has && low == 0) return true;
  double number = 0;
  if (!has || napi_get_value_double(env, value, &number) != napi_ok) {
    throwTypeError(env, "%s must be a number", name);
    return false;
  }
  if (!(number >= low && number <= high) || static_cast<uint32_t>(number) != number) {
    throwRangeError(env, "%s must be an integer from %.0f to %.0f", name, low, high);
    return false;
  }
  *out = static_cast<uint32_t>(number);
  return true;
}

bool readOpcodes(napi_env env, napi_value object, RingRequest* request) {
  napi_value list = nullptr;
  bool has = false;
  bool isArray = false;
  if (!ownProperty(env, object, "opcodes", &list, &has)) return false;
  if (!has || napi_is_array(env, list, &isArray) != napi_ok || !isArray) {
    throwTypeError(env, "%s must be an array of opcodes", "opcodes");
    return false;
  }
  uint32_t length = 0;
  if (napi_get_array_length(env, list, &length) != napi_ok) return false;
  if (length > sizeof request->opcodes) {
    throwRangeError(env, "%s has too many elements: %.0f of at most %.0f", "opcodes", length,
                    sizeof request->opcodes);
    return false;
  }
  for (uint32_t i = 0; i < length; i++) {
    napi_value value = nullptr;
    double op = -1;
    if (napi_get_element(env, list, i, &value) != napi_ok) return false;
    if (napi_get_value_double(env, value, &op) != napi_ok || !(op >= 0 && op <= 255) ||
        static_cast<uint8_t>(op) != op) {
      throwTypeError(env, "%s must hold integers from 0 to 255", "opcodes");
      return false;
    }
    request->opcodes[static_cast<uint8_t>(op)] = 1;
  }
  return true;
}

/** Shared memory, because it is read when no JavaScript runs any more: it can be neither detached nor moved. */
bool readOwned(napi_env env, napi_value object, RingRequest* request) {
  napi_value view = nullptr;
  bool has = false;
  if (!ownProperty(env, object, "owned", &view, &has)) return false;
  if (!has) return true;
  bool is = false;
  napi_typedarray_type type = static_cast<napi_typedarray_type>(-1);
  size_t elements = 0;
  void* data = nullptr;
  napi_value buffer = nullptr;
  bool plain = true;
  if (napi_is_typedarray(env, view, &is) == napi_ok && is &&
      napi_get_typedarray_info(env, view, &type, &elements, &data, &buffer, nullptr) == napi_ok &&
      type == napi_int32_array && napi_is_arraybuffer(env, buffer, &plain) == napi_ok && !plain) {
    request->ownedView = view;
    request->owned = static_cast<const uint32_t*>(data);
    request->ownedWords = elements;
    return true;
  }
  throwTypeError(env, "%s must be an Int32Array on a SharedArrayBuffer", "owned");
  return false;
}

}  // namespace

bool readRequest(napi_env env, napi_value options, RingRequest* request) {
  napi_valuetype type = napi_undefined;
  if (napi_typeof(env, options, &type) != napi_ok || type != napi_object) {
    throwTypeError(env, "%s must be an object", "options");
    return false;
  }
  uint32_t sqeFlags = kSqeFlagsAll;
  if (!readNumber(env, options, "sqEntries", 1, kSqEntriesMax, &request->sqEntries) ||
      !readNumber(env, options, "cqEntries", 1, kCqEntriesMax, &request->cqEntries) ||
      !readNumber(env, options, "sqeFlags", 0, kSqeFlagsAll, &sqeFlags) ||
      !readNumber(env, options, "without", 0, UINT32_MAX, &request->without) ||
      !readOpcodes(env, options, request) || !readOwned(env, options, request)) {
    return false;
  }
  request->sqeFlags = static_cast<uint8_t>(sqeFlags);
  return true;
}

}  // namespace cooperator

#endif
