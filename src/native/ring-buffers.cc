// Memory the kernel keeps between operations: fixed buffers and groups of provided buffers.
//
// The kernel pins the pages, so it never faults on them, but it knows nothing of the garbage collector: were
// the view collected, the same pages would hold other objects. Hence a strong reference until unregistered.
#ifdef __linux__

#include <sys/uio.h>

#include <new>

#include "arguments.h"
#include "ring-functions.h"
#include "ring.h"

namespace cooperator {

namespace {

// UIO_MAXIOV-like bound of the kernel (IORING_MAX_REG_BUFFERS), and its limit of 1 GiB for one buffer.
constexpr int64_t kFixedBuffersMax = 1 << 14;
constexpr int64_t kFixedBufferSizeMax = 1 << 30;
// Ring indexes are 16 bits wide; 32,768 is the largest power of two that fits.
constexpr int64_t kGroupEntriesMax = 1 << 15;

/**
 * Only shared memory will do: an ArrayBuffer can be detached or transferred, and its memory freed, while the
 * kernel still has it.
 */
bool sharedBytes(const Arguments& args, size_t index, Bytes* out) {
  if (!args.bytes(index, "view", out)) return false;
  bool plain = true;
  if (napi_is_arraybuffer(args.env, out->buffer, &plain) == napi_ok && !plain && out->data != nullptr) return true;
  throwTypeError(args.env, "%s must look at a non-empty SharedArrayBuffer", "view");
  return false;
}

bool fits(const Arguments& args, const Bytes& view, int64_t needed) {
  if (static_cast<uint64_t>(needed) <= view.length) return true;
  throwRangeError(args.env, "%s are beyond the view: bytes %.0f of %.0f", "buffers", static_cast<double>(needed),
                  static_cast<double>(view.length));
  return false;
}

void dropReference(napi_env env, napi_ref* reference) {
  if (*reference != nullptr) napi_delete_reference(env, *reference);
  *reference = nullptr;
}

}  // namespace

napi_value ringRegisterBuffers(napi_env env, napi_callback_info info) {
  const Arguments args(env, info);
  Ring* ring = static_cast<Ring*>(args.data);
  Bytes view = {};
  int64_t count = 0;
  int64_t size = 0;
  if (ring->fd < 0) return integer(env, -EBADF);
  if (!sharedBytes(args, 0, &view) || !args.integer(1, "count", 1, kFixedBuffersMax, &count) ||
      !args.integer(2, "sizeEach", 1, kFixedBufferSizeMax, &size) || !fits(args, view, count * size)) {
    return nullptr;
  }
  if (ring->fixedBuffers != nullptr) return integer(env, -EBUSY);
  iovec* vectors = new (std::nothrow) iovec[static_cast<size_t>(count)];
  if (vectors == nullptr) return integer(env, -ENOMEM);
  for (int64_t i = 0; i < count; i++) {
    vectors[i].iov_base = view.data + i * size;
    vectors[i].iov_len = static_cast<size_t>(size);
  }
  int result = -ENOMEM;
  if (napi_create_reference(env, args.values[0], 1, &ring->fixedBuffers) == napi_ok) {
    result = kernel::registerWith(ring->fd, IORING_REGISTER_BUFFERS, vectors, static_cast<uint32_t>(count));
  }
  delete[] vectors;
  if (result < 0) dropReference(env, &ring->fixedBuffers);
  return integer(env, result);
}

napi_value ringUnregisterBuffers(napi_env env, napi_callback_info info) {
  const Arguments args(env, info);
  Ring* ring = static_cast<Ring*>(args.data);
  if (ring->fd < 0) return integer(env, -EBADF);
  const int result = kernel::registerWith(ring->fd, IORING_UNREGISTER_BUFFERS, nullptr, 0);
  // Operations in flight keep the kernel's table alive past this call, and with it their own buffers; those
  // must be held by whoever submitted them.
  if (result >= 0) dropReference(env, &ring->fixedBuffers);
  return integer(env, result);
}

napi_value ringRegisterBufferGroup(napi_env env, napi_callback_info info) {
  const Arguments args(env, info);
  Ring* ring = static_cast<Ring*>(args.data);
  Bytes view = {};
  int64_t entries = 0;
  int64_t group = 0;
  if (ring->fd < 0) return integer(env, -EBADF);
  if (!sharedBytes(args, 0, &view) || !args.integer(1, "entries", 1, kGroupEntriesMax, &entries) ||
      !args.integer(2, "group", 0, Ring::kBufferGroupsMax - 1, &group) ||
      !fits(args, view, entries * static_cast<int64_t>(sizeof(io_uring_buf)))) {
    return nullptr;
  }
  napi_ref* reference = &ring->bufferGroups[group];
  if (*reference != nullptr) return integer(env, -EEXIST);
  io_uring_buf_reg registration = {};
  registration.ring_addr = reinterpret_cast<uint64_t>(view.data);
  registration.ring_entries = static_cast<uint32_t>(entries);
  registration.bgid = static_cast<uint16_t>(group);
  int result = -ENOMEM;
  if (napi_create_reference(env, args.values[0], 1, reference) == napi_ok) {
    result = kernel::registerWith(ring->fd, IORING_REGISTER_PBUF_RING, &registration, 1);
  }
  if (result < 0) dropReference(env, reference);
  return integer(env, result);
}

napi_value ringUnregisterBufferGroup(napi_env env, napi_callback_info info) {
  const Arguments args(env, info);
  Ring* ring = static_cast<Ring*>(args.data);
  int64_t group = 0;
  if (ring->fd < 0) return integer(env, -EBADF);
  if (!args.integer(0, "group", 0, Ring::kBufferGroupsMax - 1, &group)) return nullptr;
  io_uring_buf_reg registration = {};
  registration.bgid = static_cast<uint16_t>(group);
  const int result = kernel::registerWith(ring->fd, IORING_UNREGISTER_PBUF_RING, &registration, 1);
  if (result >= 0) dropReference(env, &ring->bufferGroups[group]);
  return integer(env, result);
}

void releaseBufferReferences(napi_env env, Ring* ring) {
  dropReference(env, &ring->fixedBuffers);
  for (napi_ref& group : ring->bufferGroups) dropReference(env, &group);
}

}  // namespace cooperator

#endif
