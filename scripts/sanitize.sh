#!/usr/bin/env bash
# The addon's tests with the address and undefined-behaviour sanitizers under the real Node, and a small program
# under valgrind. Works on a copy, so that the addon that is built here stays as it is.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

asan="$(gcc -print-file-name=libasan.so) $(gcc -print-file-name=libubsan.so)"
# Node itself leaks at exit by design, and V8 has handlers of its own for SIGSEGV.
export ASAN_OPTIONS=detect_leaks=0:handle_segv=0:abort_on_error=0:exitcode=86
export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
flags="-fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer -g -O1 -Wno-error"

echo "== control: a library that writes behind its memory is caught"
cat >control.c <<'C'
#include <stdlib.h>
__attribute__((constructor)) static void overflow(void) {
  volatile int size = 8;
  volatile char *memory = malloc(size);
  memory[size] = 1;
}
C
gcc $flags -shared -fPIC -o control.node control.c
code=0
LD_PRELOAD="$asan" node -e 'process.dlopen({ exports: {} }, process.argv[1])' "$work/control.node" >control.log 2>&1 || code=$?
grep -q heap-buffer-overflow control.log || { echo "the sanitizer saw nothing (exit code $code)"; exit 1; }

echo "== the native tests with the sanitizers"
cp -r "$root"/{src,test,dist,binding.gyp,package.json,vitest.config.ts,tsconfig.json,tsconfig.build.json} .
ln -s "$root/node_modules" node_modules
CXXFLAGS="$flags" LDFLAGS="-fsanitize=address,undefined" npm run --silent build:native >build.log 2>&1 ||
  { cat build.log; exit 1; }
LD_PRELOAD="$asan" node node_modules/vitest/vitest.mjs run --reporter=dot --testTimeout=120000 "${@:-test/native}"

if ! command -v valgrind >/dev/null; then
  echo "valgrind is not installed: its part is left out"
  exit 0
fi
echo "== a program under valgrind"
cp -r "$root/build" valgrind-build
rm -rf build && mv valgrind-build build
valgrind --quiet --error-exitcode=9 --undef-value-errors=no --smc-check=all-non-file \
  node --jitless test/native/smoke/program.mjs
