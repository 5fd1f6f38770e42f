// Small synchronous calls that io_uring has no opcode for on every kernel, and the address of a view.
#ifdef __linux__

#include <fcntl.h>
#include <limits.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>

#include "arguments.h"
#include "environment.h"

namespace cooperator {

namespace {

// No option is longer; the kernel refuses more than a page for most.
constexpr size_t kOptionBytesMax = 4096;

napi_value result(napi_env env, int value) { return integer(env, value < 0 ? -errno : value); }

struct OptionName {
  int fd;
  int64_t level;
  int64_t name;
};

bool readOption(const Arguments& args, OptionName* out) {
  return args.descriptor(0, &out->fd) && args.integer(1, "level", INT32_MIN, INT32_MAX, &out->level) &&
         args.integer(2, "name", INT32_MIN, INT32_MAX, &out->name);
}

}  // namespace

napi_value addressOf(napi_env env, napi_callback_info info) {
  const Arguments args(env, info);
  Bytes view = {};
  if (!args.bytes(0, "view", &view)) return nullptr;
  // User addresses have 47 bits (56 at most), which a double holds exactly.
  return number(env, static_cast<double>(reinterpret_cast<uintptr_t>(view.data)));
}

napi_value socketName(napi_env env, napi_callback_info info) {
  const Arguments args(env, info);
  int fd = -1;
  bool peer = false;
  Bytes out = {};
  if (!args.descriptor(0, &fd) || !args.boolean(1, "peer", &peer) || !args.bytes(2, "out", &out)) return nullptr;
  sockaddr_storage address = {};
  socklen_t length = sizeof address;
  sockaddr* where = reinterpret_cast<sockaddr*>(&address);
  const int status = peer ? getpeername(fd, where, &length) : getsockname(fd, where, &length);
  if (status < 0) return result(env, status);
  const uint8_t* bytes = reinterpret_cast<const uint8_t*>(&address);
  std::copy_n(bytes, std::min({static_cast<size_t>(length), sizeof address, out.length}), out.data);
  return integer(env, static_cast<int32_t>(length));
}

napi_value setSocketOption(napi_env env, napi_callback_info info) {
  const Arguments args(env, info);
  OptionName option = {};
  if (!readOption(args, &option)) return nullptr;
  napi_valuetype type = napi_undefined;
  const int level = static_cast<int>(option.level);
  const int name = static_cast<int>(option.name);
  if (napi_typeof(env, args.values[3], &type) == napi_ok && type == napi_number) {
    int64_t value = 0;
    // Unsigned options such as SO_MARK use the upper half too.
    if (!args.integer(3, "value", INT32_MIN, UINT32_MAX, &value)) return nullptr;
    const uint32_t word = static_cast<uint32_t>(value);
    return result(env, setsockopt(option.fd, level, name, &word, sizeof word));
  }
  Bytes value = {};
  if (!args.bytes(3, "value", &value)) return nullptr;
  const size_t length = std::min(value.length, kOptionBytesMax);
  return result(env, setsockopt(option.fd, level, name, value.data, static_cast<socklen_t>(length)));
}

napi_value getSocketOption(napi_env env, napi_callback_info info) {
  const Arguments args(env, info);
  OptionName option = {};
  Bytes out = {};
  if (!readOption(args, &option) || !args.bytes(3, "out", &out)) return nullptr;
  socklen_t length = static_cast<socklen_t>(std::min(out.length, kOptionBytesMax));
  const int status =
      getsockopt(option.fd, static_cast<int>(option.level), static_cast<int>(option.name), out.data, &length);
  return result(env, status < 0 ? status : static_cast<int>(length));
}

napi_value closeFd(napi_env env, napi_callback_info info) {
  const Arguments args(env, info);
  int fd = -1;
  if (!args.descriptor(0, &fd)) return nullptr;
  // The number would soon name another file, which the ring would then poll and close as its own.
  if (ownsDescriptor(static_cast<const Environment*>(args.data), fd)) return integer(env, -EBUSY);
  // Linux gives the number up even when it reports EINTR, so this is never repeated; see close(2).
  return result(env, close(fd));
}

napi_value validFd(napi_env env, napi_callback_info info) {
  const Arguments args(env, info);
  int fd = -1;
  if (!args.descriptor(0, &fd)) return nullptr;
  napi_value valid = nullptr;
  napi_get_boolean(env, fcntl(fd, F_GETFD) >= 0, &valid);
  return valid;
}

napi_value socketNow(napi_env env, napi_callback_info info) {
  const Arguments args(env, info);
  int64_t domain = 0;
  int64_t type = 0;
  if (!args.integer(0, "domain", 0, INT32_MAX, &domain) || !args.integer(1, "type", 0, INT32_MAX, &type)) return nullptr;
  return result(env, socket(static_cast<int>(domain), static_cast<int>(type), 0));
}

napi_value bindNow(napi_env env, napi_callback_info info) {
  const Arguments args(env, info);
  int fd = -1;
  Bytes address = {};
  if (!args.descriptor(0, &fd) || !args.bytes(1, "address", &address)) return nullptr;
  sockaddr_storage copy = {};
  if (address.length > sizeof copy) return integer(env, -EINVAL);
  std::copy_n(address.data, address.length, reinterpret_cast<uint8_t*>(&copy));
  return result(env, bind(fd, reinterpret_cast<sockaddr*>(&copy), static_cast<socklen_t>(address.length)));
}

napi_value listenNow(napi_env env, napi_callback_info info) {
  const Arguments args(env, info);
  int fd = -1;
  int64_t backlog = 0;
  if (!args.descriptor(0, &fd) || !args.integer(1, "backlog", 0, INT32_MAX, &backlog)) return nullptr;
  return result(env, listen(fd, static_cast<int>(backlog)));
}

napi_value pipeNow(napi_env env, napi_callback_info info) {
  const Arguments args(env, info);
  Bytes out = {};
  if (!args.bytes(0, "out", &out)) return nullptr;
  int ends[2] = {};
  if (out.length < sizeof ends) return integer(env, -EFAULT);
  const int status = pipe2(ends, O_CLOEXEC);
  if (status == 0) std::copy_n(reinterpret_cast<const uint8_t*>(ends), sizeof ends, out.data);
  return result(env, status);
}

napi_value inotifyOpen(napi_env env, napi_callback_info info) {
  const Arguments args(env, info, 0);
  // Non-blocking, so that a ring waits for it by polling and not in a thread of its own.
  return result(env, inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
}

napi_value inotifyAdd(napi_env env, napi_callback_info info) {
  const Arguments args(env, info);
  int fd = -1;
  Bytes path = {};
  int64_t mask = 0;
  if (!args.descriptor(0, &fd) || !args.bytes(1, "path", &path)) return nullptr;
  if (!args.integer(2, "mask", 0, UINT32_MAX, &mask)) return nullptr;
  // A copy, for its NUL.
  char name[PATH_MAX];
  if (path.length >= sizeof name) return integer(env, -ENAMETOOLONG);
  std::copy_n(path.data, path.length, name);
  name[path.length] = '\0';
  return result(env, inotify_add_watch(fd, name, static_cast<uint32_t>(mask)));
}

napi_value inotifyRemove(napi_env env, napi_callback_info info) {
  const Arguments args(env, info);
  int fd = -1;
  int64_t watch = 0;
  if (!args.descriptor(0, &fd) || !args.integer(1, "watch", INT32_MIN, INT32_MAX, &watch)) return nullptr;
  return result(env, inotify_rm_watch(fd, static_cast<int>(watch)));
}

}  // namespace cooperator

#endif
