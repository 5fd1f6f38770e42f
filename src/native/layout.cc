// layout(): all shared constants in one plain object.
#ifdef __linux__

#include "layout.h"

#include "environment.h"

namespace cooperator {

napi_value layout(napi_env env, napi_callback_info) {
  napi_value object = nullptr;
  if (napi_create_object(env, &object) != napi_ok) return nullptr;
  const Constants parts[] = {opcodeConstants(), flagConstants(), structConstants(), fileConstants(),
                             socketConstants()};
  for (const Constants& part : parts) {
    for (size_t i = 0; i < part.count; i++) {
      napi_value value = nullptr;
      if (napi_create_double(env, part.list[i].value, &value) != napi_ok ||
          napi_set_named_property(env, object, part.list[i].name, value) != napi_ok) {
        return nullptr;
      }
    }
  }
  return object;
}

}  // namespace cooperator

#endif
