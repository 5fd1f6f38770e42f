/** Whole files at once: from the first byte to the last, whatever size the file system claims. */

import { UsageError } from "../../coordinator/errors.ts";
import { describeValue, type Operation, op } from "../../coordinator/operation.ts";
import { checkOptions, given, type Known, pick } from "../../coordinator/options.ts";
import { checkDescriptor, type Descriptor } from "../descriptor/descriptor.ts";
import { EOVERFLOW, IoError } from "../errno.ts";
import { allocate, TRANSFER_MAX } from "../memory/memory.ts";
import { read } from "../stream/read.ts";
import { open } from "./open.ts";
import type { Path } from "./path.ts";
import { stat } from "./stat.ts";

export interface ReadFileOptions {
  /** An open directory: where a relative path begins. */
  readonly at?: Descriptor;
  /** More bytes than this are `EOVERFLOW`. Default and most: 2 GiB less a page. */
  readonly limit?: number;
}

const KNOWN: Known<ReadFileOptions> = { at: true, limit: true };
/** Bytes of one read. */
const CHUNK_BYTES = 256 * 1024;
/** Room for a file that claims to be empty: those of /proc, pipes, devices. */
const UNKNOWN_BYTES = 8 * 1024;

/**
 * All bytes of a file, a pipe or a file of /proc. It reads until the end and not to the size that is claimed,
 * so files that grow, shrink or have no size are read as they are.
 *
 * @throws {IoError} with the path: `ENOENT`, `EISDIR`, …; `EOVERFLOW` when there are more than `limit` bytes.
 */
export const readFile: (path: Path, options?: ReadFileOptions) => Operation<Buffer> = op(function* readFile(
  path: Path,
  options?: ReadFileOptions,
) {
  checkOptions(options, "readFile", KNOWN);
  const limit = given(options, "limit") ?? TRANSFER_MAX;
  checkLimit(limit);
  const file = yield* open(path, "r", pick(options, "at"));
  try {
    return yield* readToEnd(file, limit);
  } finally {
    file[Symbol.dispose]();
  }
});

/** As {@link readFile}, as text. Bytes that are no UTF-8 become U+FFFD. */
export const readTextFile: (path: Path, options?: ReadFileOptions) => Operation<string> = op(
  function* readTextFile(path: Path, options?: ReadFileOptions) {
    const bytes = yield* readFile(path, options);
    return bytes.toString("utf8");
  },
);

/**
 * What is left of an open file, from where it stands. Cut short, what has come of a stream is what the next reader
 * gets.
 *
 * @throws {IoError} `EOVERFLOW` when there are more than `limit` bytes.
 */
export const readToEnd: (file: Descriptor, limit?: number) => Operation<Buffer> = op(function* readToEnd(
  file: Descriptor,
  limit: number = TRANSFER_MAX,
) {
  checkLimit(limit);
  checkDescriptor(file, "readToEnd");
  // A direct descriptor has no number to ask with.
  const size = file.direct ? 0 : (yield* stat(file)).size;
  // One byte more than is claimed: the read that finds the end needs room too.
  let into: Buffer = Buffer.alloc(size === 0 ? UNKNOWN_BYTES : Math.min(size, limit) + 1);
  const chunk = allocate(Math.min(into.length, CHUNK_BYTES));
  let length = 0;
  let over = false;
  try {
    for (;;) {
      const count = yield* read(file, chunk);
      over = count === 0;
      if (over) return into.subarray(0, length);
      if (length + count > into.length) into = grown(into, length + count, limit + CHUNK_BYTES);
      into.set(chunk.subarray(0, count), length);
      length += count;
      if (length > limit) throw new IoError(-EOVERFLOW, "read", file.details);
    }
  } finally {
    // Bytes of a stream can be read once.
    if (!over && file.exclusive) file.inbox.putBack(into.subarray(0, length));
  }
});

function grown(bytes: Buffer, needed: number, limit: number): Buffer {
  const more = Buffer.alloc(Math.min(Math.max(bytes.length * 2, needed), limit));
  more.set(bytes);
  return more;
}

function checkLimit(limit: number): void {
  if (Number.isInteger(limit) && limit >= 0 && limit <= TRANSFER_MAX) return;
  throw new UsageError(
    "COOP_ARGUMENT",
    `a limit is from 0 to ${TRANSFER_MAX} bytes, not ${describeValue(limit)}`,
  );
}
