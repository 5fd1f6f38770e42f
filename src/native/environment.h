// What one JavaScript environment (the main thread or one worker) owns. There are no globals in this addon:
// several environments load it at once.
#pragma once

#include <node_api.h>

#include "ring.h"

namespace cooperator {

struct Environment {
  napi_env env;
  /** Open rings, newest first. */
  Ring* rings = nullptr;
  /** Loop handles whose close callback has not run yet; teardown waits for them. */
  int closingWatches = 0;
  napi_async_cleanup_hook_handle hook = nullptr;
  bool tearingDown = false;
};

/** Adds the environment's functions to `exports`. @returns false with an exception pending. */
bool installEnvironment(napi_env env, napi_value exports);

void adoptRing(Environment* environment, Ring* ring);
void forgetRing(Ring* ring);

/** Called when a loop handle is gone; the last one lets a waiting teardown go on. */
void watchClosed(Environment* environment);

/** Whether `fd` belongs to an open ring of this environment, and so may not be closed by number. */
bool ownsDescriptor(const Environment* environment, int fd);

/** JavaScript functions defined elsewhere; `data` is the Environment. */
napi_value createRing(napi_env env, napi_callback_info info);
napi_value addressOf(napi_env env, napi_callback_info info);
napi_value socketName(napi_env env, napi_callback_info info);
napi_value setSocketOption(napi_env env, napi_callback_info info);
napi_value getSocketOption(napi_env env, napi_callback_info info);
napi_value closeFd(napi_env env, napi_callback_info info);
napi_value validFd(napi_env env, napi_callback_info info);
napi_value socketNow(napi_env env, napi_callback_info info);
napi_value bindNow(napi_env env, napi_callback_info info);
napi_value listenNow(napi_env env, napi_callback_info info);
napi_value pipeNow(napi_env env, napi_callback_info info);
napi_value inotifyOpen(napi_env env, napi_callback_info info);
napi_value inotifyAdd(napi_env env, napi_callback_info info);
napi_value inotifyRemove(napi_env env, napi_callback_info info);
napi_value layout(napi_env env, napi_callback_info info);

}  // namespace cooperator
