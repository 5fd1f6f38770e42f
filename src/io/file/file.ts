/** A file: the operations of this folder as methods. */
import type { Operation } from "../../coordinator/operation.ts";
import { close } from "../descriptor/close.ts";
import { Descriptor } from "../descriptor/descriptor.ts";
import type { IoErrorDetails } from "../errno.ts";
import type { IoOptions } from "../handle.ts";
import type { Io } from "../io.ts";
import type { Bytes } from "../memory/memory.ts";
import { type ReadOptions, read } from "../stream/read.ts";
import { type WriteOptions, write, writeAll } from "../stream/write.ts";
import { type FsyncOptions, fsync } from "./fsync.ts";
import { type PollOptions, poll, type Readiness } from "./poll.ts";
import {
  type AdviseOptions,
  type AllocateOptions,
  advise,
  fallocate,
  type SyncRangeOptions,
  syncRange,
  truncate,
} from "./range.ts";
import { type FileStat, stat } from "./stat.ts";
import { readv, writev, writevAll } from "./vector.ts";
import { getXattr, type SetXattrOptions, setXattr } from "./xattr.ts";

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
  /** See {@link readv}. */
  readv(parts: readonly Bytes[], options?: ReadOptions): Operation<number> {
    return readv(this, parts, options);
  }
  /** See {@link write}. */
  write(bytes: Bytes, options?: WriteOptions): Operation<number> {
    return write(this, bytes, options);
  }
  /** See {@link writeAll}. */
  writeAll(bytes: Bytes, options?: WriteOptions): Operation<void> {
    return writeAll(this, bytes, options);
  }
  /** See {@link writev}. */
  writev(parts: readonly Bytes[], options?: WriteOptions): Operation<number> {
    return writev(this, parts, options);
  }
  /** See {@link writevAll}. */
  writevAll(parts: readonly Bytes[], options?: WriteOptions): Operation<void> {
    return writevAll(this, parts, options);
  }
  /** See {@link fsync}. */
  sync(options?: FsyncOptions): Operation<void> {
    return fsync(this, options);
  }
  /** See {@link syncRange}. */
  syncRange(options?: SyncRangeOptions): Operation<void> {
    return syncRange(this, options);
  }
  /** See {@link stat}. */
  stat(options?: IoOptions): Operation<FileStat> {
    return stat(this, options);
  }
  /** See {@link truncate}. */
  truncate(size: number, options?: IoOptions): Operation<void> {
    return truncate(this, size, options);
  }
  /** See {@link fallocate}. */
  allocate(options: AllocateOptions): Operation<void> {
    return fallocate(this, options);
  }
  /** See {@link advise}. */
  advise(options: AdviseOptions): Operation<void> {
    return advise(this, options);
  }
  /** See {@link getXattr}. */
  getXattr(name: string, options?: IoOptions): Operation<Buffer | null> {
    return getXattr(this, name, options);
  }
  /** See {@link setXattr}. */
  setXattr(name: string, value: Bytes, options?: SetXattrOptions): Operation<void> {
    return setXattr(this, name, value, options);
  }
  /** See {@link poll}. */
  poll(options?: PollOptions): Operation<Readiness> {
    return poll(this, options);
  }
  /** See {@link close}. */
  close(): Operation<void> {
    return close(this);
  }
}
