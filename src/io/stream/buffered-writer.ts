/** Collects small writes into large ones. */

import { BusyError, UsageError } from "../../coordinator/errors.ts";
import { describeValue, type Operation, op } from "../../coordinator/operation.ts";
import { checkOptions, given, type Known } from "../../coordinator/options.ts";
import { allocate, type Bytes, checkBytes } from "../memory/memory.ts";
import type { ByteWriter } from "./byte-stream.ts";

export interface BufferedWriterOptions {
  /** Bytes that are collected. Default 16 KiB. */
  readonly size?: number;
}

const SIZE_DEFAULT = 16 * 1024;
const KNOWN: Known<BufferedWriterOptions> = { size: true };

/**
 * Writes wait only when the buffer is full: then the stream's back-pressure is felt. Nothing is flushed at the
 * end by itself: whoever writes the last part calls `flush`. A flush that is cut short before anything went out
 * can be repeated; after that the stream itself is broken, and says so.
 */
export class BufferedWriter implements ByteWriter {
  /** @internal */ readonly sink: ByteWriter;
  /** @internal */ readonly buffer: Buffer;
  /** @internal */ used = 0;
  private writing = false;

  /** @throws {UsageError} `COOP_ARGUMENT` when the size is not a whole number from 1 up. */
  constructor(sink: ByteWriter, options?: BufferedWriterOptions) {
    checkOptions(options, "a BufferedWriter", KNOWN);
    const size = given(options, "size") ?? SIZE_DEFAULT;
    if (typeof sink?.writeAll !== "function") {
      throw new UsageError(
        "COOP_ARGUMENT",
        `a BufferedWriter writes to a Socket, a File, or what has a writeAll() like theirs, not ${describeValue(sink)}`,
      );
    }
    if (!Number.isSafeInteger(size) || size < 1) {
      throw new UsageError("COOP_ARGUMENT", `a size is a whole number from 1 up, not ${describeValue(size)}`);
    }
    this.sink = sink;
    this.buffer = allocate(size);
  }

  /** Bytes that have not been flushed. */
  get buffered(): number {
    return this.used;
  }

  /**
   * Writes all of `bytes`; text goes out as UTF-8. They are copied, and may be changed as soon as this is over.
   *
   * @throws {BusyError} when another task writes.
   */
  writeAll(bytes: Bytes | string): Operation<void> {
    return write(
      this,
      typeof bytes === "string" ? Buffer.from(bytes, "utf8") : checkBytes(bytes, "writeAll"),
    );
  }

  /** Writes what has been collected. */
  flush(): Operation<void> {
    return flush(this);
  }

  /** @internal */
  enter(what: string): void {
    if (this.writing) {
      throw new BusyError(`${what}: another task writes to this BufferedWriter; let one task do it`);
    }
    this.writing = true;
  }

  /** @internal */
  leave(): void {
    this.writing = false;
  }
}

const write = op(function* writeAll(writer: BufferedWriter, bytes: Bytes) {
  writer.enter("writeAll");
  try {
    checkBytes(bytes, "writeAll");
    const { buffer, sink } = writer;
    if (writer.used + bytes.length > buffer.length && writer.used > 0) yield* drain(writer);
    if (bytes.length >= buffer.length) {
      yield* sink.writeAll(bytes);
    } else {
      buffer.set(bytes, writer.used);
      writer.used += bytes.length;
    }
  } finally {
    writer.leave();
  }
});

const flush = op(function* flush(writer: BufferedWriter) {
  writer.enter("flush");
  try {
    yield* drain(writer);
  } finally {
    writer.leave();
  }
});

const drain = op(function* drain(writer: BufferedWriter) {
  if (writer.used === 0) return;
  const writing = writer.sink.writeAll(writer.buffer.subarray(0, writer.used));
  let over = false;
  try {
    yield* writing;
    over = true;
  } finally {
    // A kill may come when all of it is out already, and then it must not go out again.
    if (over || (writing as { readonly sent?: number }).sent === writer.used) writer.used = 0;
  }
});
