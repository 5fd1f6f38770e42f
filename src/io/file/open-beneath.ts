/**
 * openat2(2): opens what lies below a directory, whatever the path says.
 *
 * A server that joins a client's path to its own directory has to think of `..`, absolute paths, symbolic
 * links, and of somebody who exchanges a directory for a link in between. The kernel does it in one step.
 */

import { type Operation, op } from "../../coordinator/operation.ts";
import { given } from "../../coordinator/options.ts";
import * as abi from "../../native/layout.ts";
import { checkDescriptor, closeOrphan, type Descriptor } from "../descriptor/descriptor.ts";
import { EAGAIN, IoError } from "../errno.ts";
import type { Handle } from "../handle.ts";
import { IoOperation, Kind, QUEUED } from "../io-operation.ts";
import { requireOpcode } from "../require-opcode.ts";
import { NO_PATH, PathArgument, pathDetails, pinPaths, startOf } from "./at.ts";
import { File } from "./file.ts";
import { flagsOf, type OpenMode, type OpenOptions, permissionsOf } from "./open.ts";
import type { Path } from "./path.ts";

export interface OpenBeneathOptions extends Omit<OpenOptions, "at" | "noFollow"> {
  /** Follows symbolic links that stay below the directory. Default false: one in the path is `ELOOP`. */
  readonly symlinks?: boolean;
}

/**
 * Queues one try. The result is the file's number, for `adoptFile`; `-EAGAIN` asks for another try, since
 * something was being renamed. @see {@link openBeneath} to wait. openat2(2).
 */
export function setupOpenBeneath(
  handle: Handle,
  directory: Descriptor,
  path: Path,
  mode: OpenMode = "r",
  options?: OpenBeneathOptions,
): void {
  beneathOperation(directory, path, mode, options).setUp(handle);
}

/** Tries while others rename what is on the way. More would hide somebody who does it on purpose. */
const TRIES_MAX = 32;

/**
 * Opens a file that lies below `directory`. A path that leads out of it, by `..`, from the root or over a
 * link, is `EXDEV`; links at all are `ELOOP` unless they are asked for; so are those of /proc, always.
 *
 * @throws {IoError} with the path. @throws {UnsupportedError} before Linux 5.6.
 * @example using file = yield* openBeneath(served, request.path);
 */
export const openBeneath: (
  directory: Descriptor,
  path: Path,
  mode?: OpenMode,
  options?: OpenBeneathOptions,
) => Operation<File> = op(function* openBeneath(
  directory: Descriptor,
  path: Path,
  mode: OpenMode = "r",
  options?: OpenBeneathOptions,
) {
  for (let tries = 1; ; tries++) {
    try {
      return yield* beneathOperation(directory, path, mode, options);
    } catch (error) {
      if (!(error instanceof IoError) || error.errno !== -EAGAIN || tries === TRIES_MAX) throw error;
    }
  }
});

function beneathOperation(
  directory: Descriptor,
  path: Path,
  mode: OpenMode,
  options: OpenBeneathOptions | undefined,
): IoOperation<File> {
  checkDescriptor(directory, "openBeneath");
  const resolve =
    abi.RESOLVE_BENEATH |
    abi.RESOLVE_NO_MAGICLINKS |
    (given(options, "symlinks") === true ? 0 : abi.RESOLVE_NO_SYMLINKS);
  const flags = flagsOf(mode);
  // The kernel refuses permissions where nothing can be created.
  const permissions = (flags & abi.O_CREAT) === 0 ? 0 : permissionsOf(options);
  const argument = new BeneathArgument(path, flags, permissions, resolve);
  return new IoOperation(BENEATH, directory, null, 0, argument, options);
}

class BeneathArgument extends PathArgument {
  readonly permissions: number;
  readonly resolve: number;
  constructor(path: Path, flags: number, permissions: number, resolve: number) {
    super(path, NO_PATH, flags);
    this.permissions = permissions;
    this.resolve = resolve;
  }
}

const BENEATH: Kind<File> = new Kind({
  syscall: "openat2",
  setup(io, handle, operation) {
    requireOpcode(io, abi.OP_OPENAT2, "openat2", "5.6");
    const argument = operation.argument as BeneathArgument;
    const how = pinPaths(handle, argument, abi.OPEN_HOW_SIZE);
    const { bytes } = handle.argumentBlock();
    const view = new DataView(bytes.buffer, bytes.byteOffset, abi.OPEN_HOW_SIZE);
    view.setBigUint64(abi.OPEN_HOW_FLAGS, BigInt(argument.flags), true);
    view.setBigUint64(abi.OPEN_HOW_MODE, BigInt(argument.permissions), true);
    view.setBigUint64(abi.OPEN_HOW_RESOLVE, BigInt(argument.resolve), true);
    const path = how + abi.OPEN_HOW_SIZE;
    io.driver.submit(handle, abi.OP_OPENAT2, startOf(operation), path, abi.OPEN_HOW_SIZE, how, 0, 0, 0);
    return QUEUED;
  },
  convert: (result, operation, io) => new File(io, result, pathDetails(operation)),
  reclaim: closeOrphan,
  details: pathDetails,
});
