// The JavaScript functions of a ring; `data` is the Ring. All return -EBADF once it is closed.
#pragma once

#include <node_api.h>

#include <cstdint>

namespace cooperator {

/** Just below 2^53 ns (104 days), so that every accepted double is exact. */
constexpr int64_t kTimeoutNsMax = 9007199254740991;

napi_value ringEnter(napi_env env, napi_callback_info info);
napi_value ringFlush(napi_env env, napi_callback_info info);
napi_value ringWait(napi_env env, napi_callback_info info);
napi_value ringRegisterBuffers(napi_env env, napi_callback_info info);
napi_value ringUnregisterBuffers(napi_env env, napi_callback_info info);
napi_value ringRegisterBufferGroup(napi_env env, napi_callback_info info);
napi_value ringUnregisterBufferGroup(napi_env env, napi_callback_info info);
napi_value ringRegisterFiles(napi_env env, napi_callback_info info);
napi_value ringSyncCancelAll(napi_env env, napi_callback_info info);
napi_value ringWatch(napi_env env, napi_callback_info info);
napi_value ringUnwatch(napi_env env, napi_callback_info info);
napi_value ringRef(napi_env env, napi_callback_info info);
napi_value ringUnref(napi_env env, napi_callback_info info);
napi_value ringClose(napi_env env, napi_callback_info info);

}  // namespace cooperator
