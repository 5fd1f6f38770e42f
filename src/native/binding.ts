/**
 * Loads the addon, checks that it and this side agree, and says in plain words why when it cannot.
 *
 * Nothing here has effects at import time: the first {@link loadBinding} does the work.
 */
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { UnsupportedError, UsageError } from "../coordinator/errors.ts";
import * as layout from "./layout.ts";
import type { NativeBinding, NativeRing, RingOptions } from "./native-types.ts";
import { describeSetupFailure, SetupError } from "./setup-failure.ts";

export type { NativeBinding, NativeRing, RingOptions, SetupFailure, SystemCalls } from "./native-types.ts";
export { describeSetupFailure, SetupError } from "./setup-failure.ts";

const require = createRequire(import.meta.url);

/** Both `src/native` and `dist/native` lie two levels below the package. */
const PACKAGE_ROOT = fileURLToPath(new URL("../../", import.meta.url));

let loaded: NativeBinding | null = null;

/**
 * The addon, loaded once per thread.
 *
 * @throws {UnsupportedError} `COOP_UNSUPPORTED` when there is none for this system, it was built for another
 * one, or Node runs under its permission model. `cause` is the error of the last attempt, if any.
 */
export function loadBinding(): NativeBinding {
  if (loaded !== null) return loaded;
  if (process.platform !== "linux") {
    throw new UnsupportedError(`io_uring is a Linux interface; this is ${process.platform}`);
  }
  // The ring opens files and sockets by itself, so Node's own checks would never see them.
  if ("permission" in process && process.permission !== undefined) {
    throw new UnsupportedError(
      "the native driver does not run under Node's permission model: io_uring bypasses its checks. " +
        "Tasks and time work; for io run without --permission",
    );
  }
  const binding = loadAddon();
  assertLayout(binding.layout());
  loaded = binding;
  return binding;
}

/**
 * Sets up a ring.
 *
 * @throws {UnsupportedError} `COOP_UNSUPPORTED` when the kernel refuses, naming likely causes; `cause` is a
 * {@link SetupError} with the errno and the step.
 * @throws {TypeError | RangeError} when an option is wrong.
 */
export function openRing(options: RingOptions): NativeRing {
  const ring = create(options);
  if ("step" in ring) {
    const cause = new SetupError(ring.errno, ring.step);
    throw new UnsupportedError(`no io_uring here: ${describeSetupFailure(ring.errno)}`, { cause });
  }
  return ring;
}

function create(options: RingOptions): ReturnType<NativeBinding["createRing"]> {
  const binding = loadBinding();
  try {
    return binding.createRing(options);
  } catch (error) {
    // It says which of the options it is, and what that can be.
    if (!hasCode(error, "ERR_OUT_OF_RANGE") && !hasCode(error, "ERR_INVALID_ARG_TYPE")) throw error;
    throw new UsageError("COOP_ARGUMENT", (error as Error).message, { cause: error });
  }
}

function loadAddon(): NativeBinding {
  // Who built it here did so on purpose, because the shipped one does not fit or is not the newest.
  const places = ["build/Release/cooperator.node", `prebuilds/linux-${process.arch}/cooperator.node`];
  let failure: unknown;
  for (const place of places) {
    try {
      return require(PACKAGE_ROOT + place) as NativeBinding;
    } catch (error) {
      // A file that is there and does not load says more than one that is not.
      if (failure === undefined || !hasCode(error, "MODULE_NOT_FOUND")) failure = error;
    }
  }
  if (hasCode(failure, "MODULE_NOT_FOUND")) {
    throw new UnsupportedError(
      `cooperator's native addon is missing for linux-${process.arch}: neither ${places.join(" nor ")} exists ` +
        `under ${PACKAGE_ROOT}. Build it with \`npm run build:native\` in that directory; it needs the package ` +
        "node-addon-api",
      { cause: failure },
    );
  }
  const reason = failure instanceof Error ? failure.message : String(failure);
  throw new UnsupportedError(
    hasCode(failure, "ERR_DLOPEN_DISABLED")
      ? `Node was told not to load native addons: ${reason}`
      : `cooperator's native addon does not load, probably because it was built for another system, C library ` +
          `or Node; rebuild it with \`npm run build:native\`: ${reason}`,
    { cause: failure },
  );
}

function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && "code" in error && error.code === code;
}

/** @internal Exported for its test. */
export function assertLayout(native: Readonly<Record<string, number>>): void {
  const differences: string[] = [];
  const ours = new Map<string, unknown>(
    Object.entries(layout).filter(([, value]) => typeof value === "number"),
  );
  for (const [name, value] of Object.entries(native)) {
    if (ours.get(name) !== value) differences.push(`${name} is ${value} there and ${ours.get(name)} here`);
    ours.delete(name);
  }
  for (const name of ours.keys()) differences.push(`${name} is not there`);
  if (differences.length === 0) return;
  throw new UnsupportedError(
    `cooperator's native addon is of another version than its JavaScript; rebuild it with ` +
      `\`npm run build:native\` (${differences.slice(0, 5).join(", ")})`,
  );
}
