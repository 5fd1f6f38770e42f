/** Large amounts from one descriptor to another, with never more than two buffers on the way. */

import { type Operation, op } from "../../coordinator/operation.ts";
import { checkOptions, given, type Known, pick } from "../../coordinator/options.ts";
import { checkDescriptor, type Descriptor } from "../descriptor/descriptor.ts";
import { EINVAL, ENOENT, IoError } from "../errno.ts";
import { Handle } from "../handle.ts";
import { allocate } from "../memory/memory.ts";
import { sendAllAs } from "../socket/send.ts";
import { byteOf } from "../stream/position.ts";
import { read, setupRead } from "../stream/read.ts";
import { writeAll, writeAllAs } from "../stream/write.ts";
import { open } from "./open.ts";
import type { Path } from "./path.ts";
import { openPipe, type Pipe } from "./pipe.ts";
import { advise } from "./range.ts";
import { splice, spliceAs } from "./splice.ts";
import { type StatOptions, stat } from "./stat.ts";

export interface CopyFileOptions {
  /** An open directory: where relative paths begin. */
  readonly at?: Descriptor;
  /** `EEXIST` when there is something at `to` already. Default false: it is emptied. */
  readonly exclusive?: boolean;
}

const COPY_OPTIONS: Known<CopyFileOptions> = { at: true, exclusive: true };

/**
 * Bytes of one of the two buffers of a copy. Each write of a growing file goes through a thread of the kernel, so small
 * ones cost more than the copy itself: 64 KiB twice as much as this. Twice this is five times as slow per byte (ext4 on
 * Linux 6.18; dd shows the same).
 */
const COPY_BYTES = 1024 * 1024;

/**
 * Copies a file, with its permissions, and gives its size. The next part is read while one is written. Cut
 * short by a kill or an error, `to` holds the beginning. A file is not copied to itself, by whatever name.
 *
 * @throws {IoError} with the path: `ENOENT`, `EISDIR`, `ENOSPC`, …
 */
export const copyFile: (from: Path, to: Path, options?: CopyFileOptions) => Operation<number> = op(
  function* copyFile(from: Path, to: Path, options?: CopyFileOptions) {
    checkOptions(options, "copyFile", COPY_OPTIONS);
    const at = pick(options, "at");
    const source = yield* open(from, "r", at);
    try {
      const { permissions, size, inode, device } = yield* stat(source);
      // Opening the source itself for writing would empty it.
      const there = given(options, "exclusive") === true ? null : yield* statIfThere(to, at);
      if (there !== null && there.inode === inode && there.device === device) return size;
      if (size > COPY_BYTES) yield* advise(source, { advice: "sequential" });
      const mode = given(options, "exclusive") === true ? "wx" : "w";
      const target = yield* open(to, mode, { ...at, permissions: permissions & 0o777 });
      try {
        return yield* copyThrough(source, target, Math.min(size + 1, COPY_BYTES));
      } finally {
        target[Symbol.dispose]();
      }
    } finally {
      source[Symbol.dispose]();
    }
  },
);

const statIfThere = op(function* statIfThere(path: Path, at: StatOptions) {
  try {
    return yield* stat(path, at);
  } catch (error) {
    if (error instanceof IoError && error.errno === -ENOENT) return null;
    throw error;
  }
});

/**
 * Copies what is left of `from`, from where both stand, and gives the count. When it is cut short `from` has
 * been read further than `to` was written.
 */
export const copyRest: (from: Descriptor, to: Descriptor) => Operation<number> = op(function* copyRest(
  from: Descriptor,
  to: Descriptor,
) {
  checkDescriptor(from, "copyRest");
  checkDescriptor(to, "copyRest");
  return yield* copyThrough(from, to, COPY_BYTES);
});

const copyThrough = op(function* copyThrough(from: Descriptor, to: Descriptor, size: number) {
  let full = allocate(size);
  let count = yield* read(from, full);
  if (count === 0) return 0;
  let next = allocate(size);
  const reading = new Handle();
  let total = 0;
  try {
    while (count > 0) {
      setupRead(reading, from, next);
      yield* writeAll(to, full.subarray(0, count));
      total += count;
      count = yield* reading;
      if (count < 0) throw new IoError(count, "read", from.details);
      [full, next] = [next, full];
    }
    return total;
  } finally {
    // The write has failed or was killed: what was being read for the next one is of no use.
    if (reading.pending) {
      reading.cancel();
      yield* reading.settled();
    }
  }
});

export interface SendFileOptions {
  /** Byte of the file to begin at. Default 0. */
  readonly position?: number;
  /** Bytes to send. Default: up to the end. */
  readonly length?: number;
}

const SEND_OPTIONS: Known<SendFileOptions> = { position: true, length: true };

/** What a pipe holds by default. */
const PIPE_BYTES = 64 * 1024;

/**
 * Sends a part of a file to a socket or a pipe, and gives how many bytes went out: fewer than asked for when
 * the file ends. They stay inside the kernel, spliced through a pipe; those of a file that cannot be spliced go
 * through a buffer. The receiver's pace is the pace of reading.
 *
 * Cut short after some bytes went out, the stream ends in the middle of something and is broken, as after
 * `sendAll`.
 */
export const sendFile: (to: Descriptor, file: Descriptor, options?: SendFileOptions) => Operation<number> =
  op(function* sendFile(to: Descriptor, file: Descriptor, options?: SendFileOptions) {
    checkOptions(options, "sendFile", SEND_OPTIONS);
    const from = byteOf(given(options, "position") ?? 0, "a position");
    const length = byteOf(given(options, "length") ?? Number.MAX_SAFE_INTEGER - from, "a length");
    checkDescriptor(to, "sendFile");
    checkDescriptor(file, "sendFile");
    to.checkWritable("sendFile");
    if (to.writer !== null) throw to.busy("sendFile", "writer");
    // Stands on the stream from the first byte to the last, so that nobody writes in between.
    const sending = new Sending(to, file, from, length);
    if (to.exclusive) to.writer = sending;
    try {
      const pipe = yield* openPipe();
      try {
        return yield* sendThroughPipe(sending, pipe);
      } catch (error) {
        // Some files cannot be spliced; nothing has been taken from them then.
        if (!(error instanceof NoSplice)) throw error;
        return yield* sendThroughBuffer(sending);
      } finally {
        pipe[Symbol.dispose]();
      }
    } finally {
      if (to.writer === sending) to.writer = null;
      if (sending.cut) to.brokenAt = sending.sent;
    }
  });

/** What is sent, and how far that is. */
class Sending {
  readonly to: Descriptor;
  readonly file: Descriptor;
  readonly from: number;
  readonly length: number;
  sent = 0;
  /** Some of it went out, perhaps, and more has to follow. */
  cut = false;
  constructor(to: Descriptor, file: Descriptor, from: number, length: number) {
    this.to = to;
    this.file = file;
    this.from = from;
    this.length = length;
  }
}

/** The file cannot be spliced: found out at its first bytes. */
class NoSplice extends Error {}

const sendThroughPipe = op(function* sendThroughPipe(sending: Sending, pipe: Pipe) {
  const { to, file, from, length } = sending;
  let inPipe = 0;
  while (sending.sent < length) {
    const most = Math.min(PIPE_BYTES, length - sending.sent);
    inPipe = yield* fill(file, pipe, from + sending.sent, most, sending.sent === 0);
    if (inPipe === 0) break;
    while (inPipe > 0) {
      const more = sending.sent + inPipe < length;
      // Nobody knows how much of it a kill lets through.
      sending.cut = true;
      try {
        const count = yield* spliceAs(sending, pipe.reader, to, { length: inPipe, more });
        inPipe -= count;
        sending.sent += count;
      } catch (error) {
        sending.cut = sending.sent > 0;
        throw error;
      }
    }
  }
  sending.cut = false;
  return sending.sent;
});

const fill = op(function* fill(file: Descriptor, pipe: Pipe, position: number, most: number, first: boolean) {
  try {
    return yield* splice(file, pipe.writer, { length: most, fromPosition: position });
  } catch (error) {
    if (first && error instanceof IoError && error.errno === -EINVAL) throw new NoSplice();
    throw error;
  }
});

const sendThroughBuffer = op(function* sendThroughBuffer(sending: Sending) {
  const { to, file, from, length } = sending;
  const buffer = allocate(Math.min(PIPE_BYTES, length));
  const writeAs = to.kind === "socket" ? sendAllAs : writeAllAs;
  while (sending.sent < length) {
    const into = buffer.subarray(0, Math.min(buffer.length, length - sending.sent));
    const count = yield* read(file, into, { position: from + sending.sent });
    if (count === 0) break;
    yield* writeAs(sending, to, into.subarray(0, count));
    sending.sent += count;
    sending.cut = true;
  }
  sending.cut = false;
  return sending.sent;
});
