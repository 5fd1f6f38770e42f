/** A file: the operations of this folder as methods. */
import type { Operation } from "../coordinator/operation.ts";
import { close } from "./close.ts";
import { Descriptor } from "./descriptor.ts";
import type { IoErrorDetails } from "./errno.ts";
import { type FsyncOptions, fsync } from "./fsync.ts";
import type { Io } from "./io.ts";
import type { Bytes } from "./memory.ts";
import { type ReadOptions, read } from "./read.ts";
import { type WriteOptions, write, writeAll } from "./write.ts";

/** An open file; `using file = yield* open(path)` closes it however the block ends. */
export class File extends Descriptor {
  /** @internal */
  constructor(io: Io, number: number, details?: IoErrorDetails) {
    super(io, number, "file", details);
  }
  /** See {@link read}. */
  read(into: Bytes, options?: ReadOptions): Operation<number> {
    return read(this, into, options);
  }
  /** See {@link write}. */
  write(bytes: Bytes, options?: WriteOptions): Operation<number> {
    return write(this, bytes, options);
  }
  /** See {@link writeAll}. */
  writeAll(bytes: Bytes, options?: WriteOptions): Operation<void> {
    return writeAll(this, bytes, options);
  }
  /** See {@link fsync}. */
  sync(options?: FsyncOptions): Operation<void> {
    return fsync(this, options);
  }
  /** See {@link close}. */
  close(): Operation<void> {
    return close(this);
  }
}
