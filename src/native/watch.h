// Waking the event loop when the kernel has completions for a ring.
#pragma once

#include <node_api.h>

#include "ring.h"

namespace cooperator {

/** @returns 0, or -errno. The callback must be a function. */
int startWatch(napi_env env, Ring* ring, napi_value callback);
/** Does nothing when there is no watch. The callback is not called after this. */
void stopWatch(Ring* ring);
/** Whether the watch keeps the event loop alive; it does at first. */
void holdLoop(Ring* ring, bool hold);

}  // namespace cooperator
