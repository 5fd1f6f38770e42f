// The addon's entry point. Elsewhere than on Linux it loads and says that it can do nothing.
#include <node_api.h>

#ifdef __linux__

#include "environment.h"

NAPI_MODULE_INIT() {
  if (!cooperator::installEnvironment(env, exports)) return nullptr;
  return exports;
}

#else

NAPI_MODULE_INIT() {
  napi_value reason;
  if (napi_create_string_utf8(env, "io_uring is a Linux interface", NAPI_AUTO_LENGTH, &reason) == napi_ok) {
    napi_set_named_property(env, exports, "unsupported", reason);
  }
  return exports;
}

#endif
