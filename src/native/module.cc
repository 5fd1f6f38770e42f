// The addon's entry point. Elsewhere than on Linux it loads and says that it can do nothing.
#include <napi.h>

#ifdef __linux__
#include "environment.h"
#endif

namespace {

Napi::Object init(Napi::Env env, Napi::Object exports) {
#ifdef __linux__
  cooperator::installEnvironment(env, exports);
#else
  exports.Set("unsupported", Napi::String::New(env, "io_uring is a Linux interface"));
#endif
  return exports;
}

}  // namespace

NODE_API_MODULE(cooperator, init)
