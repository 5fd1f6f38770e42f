// The only file that uses libuv: a poll handle on the ring's eventfd.
//
// An eventfd and not the ring itself, because with DEFER_TASKRUN the kernel posts completions only inside our
// own enter, and epoll on the ring descriptor is not woken dependably. See io_uring_register(2), eventfd(2).
#ifdef __linux__

#include "watch.h"

#include <uv.h>

#include <new>

#include "environment.h"

// Weak, so that the addon still loads in a runtime that has Node-API but no libuv; `watch` then says ENOSYS.
#pragma weak uv_poll_init
#pragma weak uv_poll_start
#pragma weak uv_close
#pragma weak uv_ref
#pragma weak uv_unref

namespace cooperator {

struct Watch {
  uv_poll_t poll;
  napi_env env;
  Environment* environment;
  napi_ref callback;
  napi_async_context context;
  int eventfd;
};

namespace {

/**
 * An exception of the callback becomes an 'uncaughtException', like one of any other event loop callback.
 * Failures to call at all mean that the thread is being terminated, and need no answer.
 */
void callBack(Watch* watch) {
  napi_value function = nullptr;
  napi_value receiver = nullptr;
  if (napi_get_reference_value(watch->env, watch->callback, &function) != napi_ok || function == nullptr) return;
  if (napi_get_global(watch->env, &receiver) != napi_ok) return;
  const napi_env env = watch->env;
  napi_make_callback(env, watch->context, receiver, function, 0, nullptr, nullptr);
  // `watch` may be closing from here on; it is freed by the loop, later.
  bool pending = false;
  napi_value error = nullptr;
  if (napi_is_exception_pending(env, &pending) != napi_ok || !pending) return;
  if (napi_get_and_clear_last_exception(env, &error) == napi_ok) napi_fatal_exception(env, error);
}

void onReadable(uv_poll_t* handle, int, int) {
  Watch* watch = static_cast<Watch*>(handle->data);
  // Before the callback: a completion that arrives while it runs must wake the loop again.
  uint64_t count = 0;
  while (read(watch->eventfd, &count, sizeof count) < 0 && errno == EINTR) {
  }
  napi_handle_scope scope = nullptr;
  if (napi_open_handle_scope(watch->env, &scope) != napi_ok) return;
  const napi_env env = watch->env;
  callBack(watch);
  napi_close_handle_scope(env, scope);
}

void releaseCallback(Watch* watch) {
  if (watch->callback != nullptr) napi_delete_reference(watch->env, watch->callback);
  if (watch->context != nullptr) napi_async_destroy(watch->env, watch->context);
}

// Only here, and not in stopWatch, which the callback itself may have called: Node is still inside it then.
void onClosed(uv_handle_t* handle) {
  Watch* watch = static_cast<Watch*>(handle->data);
  Environment* environment = watch->environment;
  napi_handle_scope scope = nullptr;
  const napi_status status = napi_open_handle_scope(watch->env, &scope);
  releaseCallback(watch);
  if (status == napi_ok) napi_close_handle_scope(watch->env, scope);
  delete watch;
  watchClosed(environment);
}

bool holdCallback(Watch* watch, napi_value callback) {
  napi_value name = nullptr;
  return napi_create_string_utf8(watch->env, "COOPERATOR_RING", NAPI_AUTO_LENGTH, &name) == napi_ok &&
         napi_async_init(watch->env, nullptr, name, &watch->context) == napi_ok &&
         napi_create_reference(watch->env, callback, 1, &watch->callback) == napi_ok;
}

}  // namespace

int startWatch(napi_env env, Ring* ring, napi_value callback) {
  if (ring->watch != nullptr) return -EALREADY;
  if (uv_poll_init == nullptr) return -ENOSYS;
  uv_loop_t* loop = nullptr;
  if (napi_get_uv_event_loop(env, &loop) != napi_ok) return -ENOSYS;
  Watch* watch = new (std::nothrow) Watch{};
  if (watch == nullptr) return -ENOMEM;
  watch->env = env;
  watch->environment = ring->environment;
  watch->eventfd = ring->eventfd;
  if (!holdCallback(watch, callback)) {
    releaseCallback(watch);
    delete watch;
    return -ENOMEM;
  }
  int result = uv_poll_init(loop, &watch->poll, ring->eventfd);
  if (result != 0) {
    releaseCallback(watch);
    delete watch;
    return result;
  }
  watch->poll.data = watch;
  ring->watch = watch;
  result = uv_poll_start(&watch->poll, UV_READABLE, onReadable);
  if (result != 0) stopWatch(ring);
  return result;
}

void stopWatch(Ring* ring) {
  Watch* watch = ring->watch;
  if (watch == nullptr) return;
  ring->watch = nullptr;
  watch->environment->closingWatches++;
  // Stops polling at once, so the eventfd may be closed right after; only the memory waits for the loop.
  uv_close(reinterpret_cast<uv_handle_t*>(&watch->poll), onClosed);
}

void holdLoop(Ring* ring, bool hold) {
  if (ring->watch == nullptr) return;
  uv_handle_t* handle = reinterpret_cast<uv_handle_t*>(&ring->watch->poll);
  if (hold) {
    uv_ref(handle);
  } else {
    uv_unref(handle);
  }
}

}  // namespace cooperator

#endif
