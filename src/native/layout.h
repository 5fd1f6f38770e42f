// The numbers TypeScript shares with the kernel, as the C++ compiler sees them. layout.ts has the same
// names; the loader refuses to start when one differs, is missing, or is too many.
#pragma once

#include <cstddef>

namespace cooperator {

struct Constant {
  const char* name;
  double value;
};

struct Constants {
  const Constant* list;
  size_t count;
};

Constants opcodeConstants();
Constants flagConstants();
Constants structConstants();
Constants fileConstants();
Constants socketConstants();

}  // namespace cooperator
