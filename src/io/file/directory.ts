/** An open directory: where paths begin, and what can be synced so that names survive a power failure. */

import type { Operation } from "../../coordinator/operation.ts";
import { given } from "../../coordinator/options.ts";
import { O_CLOEXEC, O_DIRECTORY, O_RDONLY, OP_OPENAT } from "../../native/layout.ts";
import { close } from "../descriptor/close.ts";
import { closeOrphan, Descriptor } from "../descriptor/descriptor.ts";
import type { IoErrorDetails } from "../errno.ts";
import type { IoOptions } from "../handle.ts";
import type { Io } from "../io.ts";
import { IoOperation, Kind, QUEUED } from "../io-operation.ts";
import { type AtOptions, NO_PATH, PathArgument, pathDetails, pinPaths, startOf } from "./at.ts";
import type { File } from "./file.ts";
import { type FsyncOptions, fsync } from "./fsync.ts";
import { type MkdirOptions, mkdir } from "./mkdir.ts";
import { type OpenMode, type OpenOptions, open } from "./open.ts";
import { type OpenBeneathOptions, openBeneath } from "./open-beneath.ts";
import type { Path } from "./path.ts";
import { type RenameOptions, rename } from "./rename.ts";
import { type FileStat, type StatOptions, stat } from "./stat.ts";
import { rmdir, unlink } from "./unlink.ts";

/**
 * An open directory; `using directory = yield* openDirectory(path)` closes it however the block ends. Its
 * methods are the operations of this folder with `at`: relative paths begin here, others do not care.
 */
export class Directory extends Descriptor {
  /** @internal */
  constructor(io: Io, number: number, details?: IoErrorDetails) {
    super(io, number, "directory", details);
  }
  /** See {@link open}. The path may lead anywhere: {@link openBeneath} is for paths of strangers. */
  open(path: Path, mode?: OpenMode, options?: OpenOptions): Operation<File> {
    return open(path, mode, { ...options, at: this });
  }
  /** See {@link openBeneath}. */
  openBeneath(path: Path, mode?: OpenMode, options?: OpenBeneathOptions): Operation<File> {
    return openBeneath(this, path, mode, options);
  }
  /** See {@link stat}. */
  stat(path: Path, options?: StatOptions): Operation<FileStat> {
    return stat(path, { ...options, at: this });
  }
  /** See {@link mkdir}. */
  mkdir(path: Path, options?: MkdirOptions): Operation<void> {
    return mkdir(path, { ...options, at: this });
  }
  /** See {@link rename}. */
  rename(from: Path, to: Path, options?: RenameOptions): Operation<void> {
    return rename(from, to, { ...options, at: this });
  }
  /** See {@link unlink}. */
  unlink(path: Path, options?: IoOptions): Operation<void> {
    return unlink(path, { ...options, at: this });
  }
  /** See {@link rmdir}. */
  rmdir(path: Path, options?: IoOptions): Operation<void> {
    return rmdir(path, { ...options, at: this });
  }
  /** Waits until the names in it are on the device. See {@link fsync}. */
  sync(options?: FsyncOptions): Operation<void> {
    return fsync(this, options);
  }
  /** See {@link close}. */
  close(): Operation<void> {
    return close(this);
  }
}

/**
 * Opens a directory. One that is opened after the task was killed is closed.
 *
 * @throws {IoError} with the path: `ENOENT`, `ENOTDIR`, `EACCES`, …
 */
export function openDirectory(path: Path, options?: AtOptions): Operation<Directory> {
  return new IoOperation(
    OPEN_DIRECTORY,
    given(options, "at") ?? null,
    null,
    0,
    new PathArgument(path, NO_PATH, 0),
    options,
  );
}

const OPEN_DIRECTORY: Kind<Directory> = new Kind({
  syscall: "open",
  setup(io, handle, operation) {
    const address = pinPaths(handle, operation.argument as PathArgument);
    const flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
    io.driver.submit(handle, OP_OPENAT, startOf(operation), address, 0, 0, flags, 0, 0);
    return QUEUED;
  },
  convert: (result, operation, io) => new Directory(io, result, pathDetails(operation)),
  reclaim: closeOrphan,
  details: pathDetails,
});
