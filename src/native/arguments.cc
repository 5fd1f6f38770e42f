#ifdef __linux__

#include "arguments.h"

#include <cstdio>

namespace cooperator {

namespace {

size_t elementSize(napi_typedarray_type type) {
  switch (type) {
    case napi_int8_array:
    case napi_uint8_array:
    case napi_uint8_clamped_array:
      return 1;
    case napi_int16_array:
    case napi_uint16_array:
      return 2;
    case napi_int32_array:
    case napi_uint32_array:
    case napi_float32_array:
      return 4;
    case napi_float64_array:
    case napi_bigint64_array:
    case napi_biguint64_array:
      return 8;
  }
  // Kinds that came after this build, such as Float16Array: their size is not ours to guess.
  return 0;
}

}  // namespace

bool Arguments::integer(size_t index, const char* what, int64_t low, int64_t high, int64_t* out) const {
  double value = 0;
  if (napi_get_value_double(env, values[index], &value) != napi_ok) {
    throwTypeError(env, "%s must be a number", what);
    return false;
  }
  // Written so that NaN and the infinities fail before the conversion, which they would make undefined.
  if (!(value >= static_cast<double>(low) && value <= static_cast<double>(high)) ||
      static_cast<double>(static_cast<int64_t>(value)) != value) {
    throwRangeError(env, "%s must be an integer from %.0f to %.0f", what, static_cast<double>(low),
                    static_cast<double>(high));
    return false;
  }
  *out = static_cast<int64_t>(value);
  return true;
}

bool Arguments::descriptor(size_t index, int* out) const {
  int64_t value = 0;
  if (!integer(index, "fd", 0, INT32_MAX, &value)) return false;
  *out = static_cast<int>(value);
  return true;
}

bool Arguments::boolean(size_t index, const char* what, bool* out) const {
  if (napi_get_value_bool(env, values[index], out) == napi_ok) return true;
  throwTypeError(env, "%s must be a boolean", what);
  return false;
}

bool Arguments::function(size_t index, const char* what) const {
  napi_valuetype type = napi_undefined;
  if (napi_typeof(env, values[index], &type) == napi_ok && type == napi_function) return true;
  throwTypeError(env, "%s must be a function", what);
  return false;
}

bool Arguments::bytes(size_t index, const char* what, Bytes* out) const {
  *out = Bytes{nullptr, 0, nullptr};
  void* data = nullptr;
  bool is = false;
  if (napi_is_typedarray(env, values[index], &is) == napi_ok && is) {
    // Node leaves the type alone for kinds it cannot name; start from one that has no size.
    napi_typedarray_type type = static_cast<napi_typedarray_type>(-1);
    size_t elements = 0;
    const napi_status status =
        napi_get_typedarray_info(env, values[index], &type, &elements, &data, &out->buffer, nullptr);
    const size_t size = elementSize(type);
    if (status == napi_ok && size != 0) {
      out->length = elements * size;
      // A detached view reports its old offset on top of a null pointer: trust the length only.
      out->data = out->length == 0 ? nullptr : static_cast<uint8_t*>(data);
      return true;
    }
  } else if (napi_is_dataview(env, values[index], &is) == napi_ok && is) {
    size_t length = 0;
    if (napi_get_dataview_info(env, values[index], &length, &data, &out->buffer, nullptr) == napi_ok) {
      out->length = length;
      out->data = length == 0 ? nullptr : static_cast<uint8_t*>(data);
      return true;
    }
  }
  throwTypeError(env, "%s must be a TypedArray, Buffer or DataView of a known kind", what);
  return false;
}

void throwTypeError(napi_env env, const char* format, const char* what) {
  bool pending = false;
  if (napi_is_exception_pending(env, &pending) != napi_ok || pending) return;
  char message[160];
  snprintf(message, sizeof message, format, what);
  napi_throw_type_error(env, "ERR_INVALID_ARG_TYPE", message);
}

void throwRangeError(napi_env env, const char* format, const char* what, double low, double high) {
  char message[160];
  snprintf(message, sizeof message, format, what, low, high);
  napi_throw_range_error(env, "ERR_OUT_OF_RANGE", message);
}

napi_value number(napi_env env, double value) {
  napi_value result = nullptr;
  napi_create_double(env, value, &result);
  return result;
}

napi_value integer(napi_env env, int32_t value) {
  napi_value result = nullptr;
  napi_create_int32(env, value, &result);
  return result;
}

}  // namespace cooperator

#endif
