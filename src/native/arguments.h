// Reading and checking what JavaScript passed. Everything that can be wrong becomes a TypeError or a
// RangeError here, so that the rest of the addon only ever sees values it can use.
#pragma once

#include <node_api.h>

#include <cstddef>
#include <cstdint>

namespace cooperator {

/** The bytes under a TypedArray, Buffer or DataView at the time of the call. */
struct Bytes {
  uint8_t* data;
  size_t length;
  /** The ArrayBuffer or SharedArrayBuffer the view looks at. */
  napi_value buffer;
};

/** Up to four arguments and the pointer the function was created with. Missing arguments are `undefined`. */
struct Arguments {
  static constexpr size_t kMax = 4;
  napi_env env;
  napi_value values[kMax] = {};
  void* data = nullptr;

  /** `wanted`: how many to fetch; the hot calls fetch no more than they use. */
  Arguments(napi_env env, napi_callback_info info, size_t wanted = kMax) : env(env) {
    napi_get_cb_info(env, info, &wanted, values, nullptr, &data);
  }

  /** An integer in [low, high]; false after throwing. `what` is the parameter's name in the message. */
  bool integer(size_t index, const char* what, int64_t low, int64_t high, int64_t* out) const;
  /** As `integer`, for the 32-bit counts of the hot calls: the good case is inline. */
  bool count(size_t index, const char* what, uint32_t high, uint32_t* out) const {
    double value = 0;
    if (napi_get_value_double(env, values[index], &value) == napi_ok && value >= 0 && value <= high) {
      *out = static_cast<uint32_t>(value);
      if (*out == value) return true;
    }
    int64_t wrong = 0;
    return integer(index, what, 0, high, &wrong) && false;
  }
  /** A descriptor number: 0 .. 2^31-1, whether or not it is open. */
  bool descriptor(size_t index, int* out) const;
  bool boolean(size_t index, const char* what, bool* out) const;
  bool function(size_t index, const char* what) const;
  /** A view of any kind. An empty or detached one has `data == nullptr` and `length == 0`. */
  bool bytes(size_t index, const char* what, Bytes* out) const;
};

void throwTypeError(napi_env env, const char* format, const char* what);
void throwRangeError(napi_env env, const char* format, const char* what, double low, double high);

/** `value` as a JavaScript number; nullptr (undefined) only when the environment is being torn down. */
napi_value number(napi_env env, double value);
napi_value integer(napi_env env, int32_t value);

}  // namespace cooperator
