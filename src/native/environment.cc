// The life of an environment: its functions, and closing its rings when the thread ends.
#ifdef __linux__

#include "environment.h"

#include <new>

#include "watch.h"

namespace cooperator {

namespace {

void finishTeardown(Environment* environment) {
  if (!environment->tearingDown || environment->closingWatches > 0) return;
  napi_remove_async_cleanup_hook(environment->hook);
}

/**
 * Runs when the environment ends: the thread returns, is terminated, or throws. JavaScript no longer runs,
 * but its memory is still there, which is the point: the kernel must be done with it before it is freed.
 */
void onTeardown(napi_async_cleanup_hook_handle handle, void* data) {
  Environment* environment = static_cast<Environment*>(data);
  environment->hook = handle;
  environment->tearingDown = true;
  // No view can be touched any more, so the mappings go at once: Node does not promise to run the finalizers.
  while (environment->rings != nullptr) closeRing(environment->env, environment->rings, true);
  finishTeardown(environment);
}

void onEnvironmentFreed(napi_env, void* data, void*) { delete static_cast<Environment*>(data); }

}  // namespace

bool installEnvironment(napi_env env, napi_value exports) {
  Environment* environment = new (std::nothrow) Environment{env};
  if (environment == nullptr) {
    napi_throw_error(env, "ERR_MEMORY_ALLOCATION_FAILED", "no memory for cooperator's native part");
    return false;
  }
  if (napi_set_instance_data(env, environment, onEnvironmentFreed, nullptr) != napi_ok) {
    delete environment;
    return false;
  }
  if (napi_add_async_cleanup_hook(env, onTeardown, environment, &environment->hook) != napi_ok) return false;
  const napi_property_descriptor functions[] = {
      {"createRing", nullptr, createRing, nullptr, nullptr, nullptr, napi_enumerable, environment},
      {"addressOf", nullptr, addressOf, nullptr, nullptr, nullptr, napi_enumerable, environment},
      {"socketName", nullptr, socketName, nullptr, nullptr, nullptr, napi_enumerable, environment},
      {"setSocketOption", nullptr, setSocketOption, nullptr, nullptr, nullptr, napi_enumerable, environment},
      {"getSocketOption", nullptr, getSocketOption, nullptr, nullptr, nullptr, napi_enumerable, environment},
      {"closeFd", nullptr, closeFd, nullptr, nullptr, nullptr, napi_enumerable, environment},
      {"validFd", nullptr, validFd, nullptr, nullptr, nullptr, napi_enumerable, environment},
      {"socketNow", nullptr, socketNow, nullptr, nullptr, nullptr, napi_enumerable, environment},
      {"bindNow", nullptr, bindNow, nullptr, nullptr, nullptr, napi_enumerable, environment},
      {"listenNow", nullptr, listenNow, nullptr, nullptr, nullptr, napi_enumerable, environment},
      {"pipeNow", nullptr, pipeNow, nullptr, nullptr, nullptr, napi_enumerable, environment},
      {"inotifyOpen", nullptr, inotifyOpen, nullptr, nullptr, nullptr, napi_enumerable, environment},
      {"inotifyAdd", nullptr, inotifyAdd, nullptr, nullptr, nullptr, napi_enumerable, environment},
      {"inotifyRemove", nullptr, inotifyRemove, nullptr, nullptr, nullptr, napi_enumerable, environment},
      {"layout", nullptr, layout, nullptr, nullptr, nullptr, napi_enumerable, environment},
  };
  return napi_define_properties(env, exports, sizeof functions / sizeof functions[0], functions) == napi_ok;
}

void adoptRing(Environment* environment, Ring* ring) {
  ring->environment = environment;
  ring->next = environment->rings;
  if (ring->next != nullptr) ring->next->previous = ring;
  environment->rings = ring;
}

void forgetRing(Ring* ring) {
  if (ring->environment == nullptr) return;
  if (ring->previous != nullptr) {
    ring->previous->next = ring->next;
  } else {
    ring->environment->rings = ring->next;
  }
  if (ring->next != nullptr) ring->next->previous = ring->previous;
  ring->environment = nullptr;
  ring->previous = ring->next = nullptr;
}

void watchClosed(Environment* environment) {
  environment->closingWatches--;
  finishTeardown(environment);
}

bool ownsDescriptor(const Environment* environment, int fd) {
  for (const Ring* ring = environment->rings; ring != nullptr; ring = ring->next) {
    if (ring->fd == fd || ring->eventfd == fd) return true;
  }
  return false;
}

}  // namespace cooperator

#endif
