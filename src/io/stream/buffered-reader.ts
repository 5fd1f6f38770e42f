/**
 * Reads messages from a stream of bytes: lines, fixed lengths, up to a delimiter. Whatever arrived with a
 * message and belongs to the next one stays in the buffer.
 *
 * Bytes are consumed in the step that hands them out, so a kill, a timeout, an end or a limit in the middle of
 * a message consumes nothing: the same bytes are there for whoever reads next. Source: conformance S14.
 */

import { BusyError, UsageError } from "../../coordinator/errors.ts";
import { describeValue, type Operation, op } from "../../coordinator/operation.ts";
import { checkOptions, given, type Known } from "../../coordinator/options.ts";
import { allocate, type Bytes, checkBytes, countOfNone } from "../memory/memory.ts";
import { type ByteReader, checkCount } from "./byte-stream.ts";
import { IncompleteError, LimitError } from "./stream-errors.ts";

export interface BufferedReaderOptions {
  /** Bytes of the buffer; it grows for longer messages. Default 8 KiB. */
  readonly size?: number;
  /** Most bytes of one message: what a peer can make this side hold. Default 1 MiB. */
  readonly limit?: number;
}

export interface MessageOptions {
  /** Most bytes of this message, the delimiter included. Default, and at most: the reader's limit. */
  readonly limit?: number;
}

const SIZE_DEFAULT = 8 * 1024;
const LIMIT_DEFAULT = 1024 * 1024;
const KNOWN: Known<BufferedReaderOptions> = { size: true, limit: true };
const KNOWN_MESSAGE: Known<MessageOptions> = { limit: true };
const NEWLINE = 10;
const CARRIAGE_RETURN = 13;

/**
 * @example
 * const reader = new BufferedReader(socket);
 * for (let line = yield* reader.readLine(); line !== null; line = yield* reader.readLine()) handle(line);
 */
export class BufferedReader implements ByteReader {
  /** Most bytes of one message. */
  readonly limit: number;
  private readonly source: ByteReader;
  private readonly size: number;
  private buffer: Buffer | null = null;
  private start = 0;
  private stop = 0;
  private ended = false;
  private reading = false;

  /** @throws {UsageError} `COOP_ARGUMENT` when a size is not a whole number from 1 up, or above the limit. */
  constructor(source: ByteReader, options?: BufferedReaderOptions) {
    if (typeof source?.read !== "function") {
      throw new UsageError(
        "COOP_ARGUMENT",
        `a BufferedReader reads from a Socket, a File, or what has a read() like theirs, not ${describeValue(source)}`,
      );
    }
    checkOptions(options, "a BufferedReader", KNOWN);
    this.limit = whole(given(options, "limit") ?? LIMIT_DEFAULT, "a limit");
    this.size = Math.min(whole(given(options, "size") ?? SIZE_DEFAULT, "a size"), this.limit);
    this.source = source;
  }

  /** Bytes that have been received and not read. */
  get buffered(): number {
    return this.stop - this.start;
  }

  /**
   * Waits for exactly `length` bytes.
   *
   * @throws {IncompleteError} when the stream ends before that. @throws {LimitError} when they are too many.
   * @throws {BusyError} when another task reads.
   */
  readExactly(length: number): Operation<Buffer> {
    return readExactly(this, whole(length, "a length", 0));
  }

  /**
   * Waits for `length` bytes and gives a copy of them without consuming any: a header that says how long the
   * message is.
   *
   * @throws as {@link BufferedReader.readExactly}.
   */
  peek(length: number): Operation<Buffer> {
    return peek(this, whole(length, "a length", 0));
  }

  /**
   * Waits for the delimiter, and gives everything up to and with it. It may be in pieces when it arrives.
   *
   * @param delimiter Text, bytes, or one byte as a number.
   * @throws {IncompleteError} when the stream ends without one, also when it ends at once.
   * @throws {LimitError} when more bytes than `options.limit` come without one.
   */
  readUntil(delimiter: string | Uint8Array | number, options?: MessageOptions): Operation<Buffer> {
    return readUntil(this, delimiterOf(delimiter), this.limitOf(options));
  }

  /**
   * The next line without its `\n` or `\r\n`, as UTF-8 text; null at the end. What follows the last newline
   * is a line unless it is empty.
   *
   * @throws {LimitError} when the line is longer than `options.limit`.
   */
  readLine(options?: MessageOptions): Operation<string | null> {
    return readLine(this, this.limitOf(options));
  }

  /** What is in the buffer, or else what comes next: this reader is a stream of bytes itself. */
  read(into: Bytes): Operation<number> {
    return readSome(this, checkBytes(into, "read"));
  }

  /** @internal Waits for more bytes; false at the end. */
  fill(needed: number): Operation<boolean> {
    return fill(this, needed);
  }

  /** @internal */
  enter(what: string): void {
    if (this.reading) {
      throw new BusyError(`${what}: another task reads from this BufferedReader; let one task do it`);
    }
    this.reading = true;
  }

  /** @internal */
  leave(): void {
    this.reading = false;
  }

  /** @internal Where `needle` begins at or after `from`, counted from the first unread byte; -1 when nowhere. */
  find(needle: Uint8Array | number, from: number): number {
    if (this.buffer === null) return -1;
    const at = this.buffer.subarray(0, this.stop).indexOf(needle, this.start + from);
    return at === -1 ? -1 : at - this.start;
  }

  /** @internal The byte at place `at`. */
  byteAt(at: number): number {
    return this.buffer![this.start + at]!;
  }

  /** @internal Consumes `length` bytes and gives a copy of them. */
  take(length: number): Buffer {
    const taken = this.copyOf(length);
    this.consume(length);
    return taken;
  }

  /** @internal A copy of the first `length` bytes. */
  copyOf(length: number): Buffer {
    const copy = Buffer.allocUnsafeSlow(length);
    if (length > 0) this.buffer!.copy(copy, 0, this.start, this.start + length);
    return copy;
  }

  /** @internal Consumes `length` bytes and gives the first `wanted` of them as text. */
  takeText(wanted: number, length: number): string {
    const text = wanted === 0 ? "" : this.buffer!.toString("utf8", this.start, this.start + wanted);
    this.consume(length);
    return text;
  }

  /** @internal */
  takeInto(into: Bytes): number {
    const count = Math.min(into.length, this.buffered);
    into.set(this.buffer!.subarray(this.start, this.start + count));
    this.consume(count);
    return count;
  }

  /** @internal Room behind what is there, for messages of up to `needed` bytes. */
  room(needed: number): Buffer {
    const { buffered } = this;
    const wanted = Math.min(Math.max(this.size, needed), this.limit);
    if (this.buffer === null) this.buffer = allocate(wanted);
    else if (this.stop === this.buffer.length || this.start + needed > this.buffer.length) {
      const length =
        needed <= this.buffer.length && buffered < this.buffer.length
          ? this.buffer.length
          : Math.min(Math.max(needed, this.buffer.length * 2), this.limit);
      const target = length === this.buffer.length ? this.buffer : allocate(length);
      this.buffer.copy(target, 0, this.start, this.stop);
      this.buffer = target;
      this.start = 0;
      this.stop = buffered;
    }
    return this.buffer.subarray(this.stop);
  }

  /** @internal Bytes have come; 0 is the end. */
  filled(count: number): boolean {
    this.stop += count;
    if (count === 0) this.ended = true;
    return count > 0;
  }

  /** @internal */
  get atEnd(): boolean {
    return this.ended;
  }

  /** @internal */
  get origin(): ByteReader {
    return this.source;
  }

  private consume(length: number): void {
    this.start += length;
    if (this.start !== this.stop) return;
    this.start = 0;
    this.stop = 0;
    // One long message must not cost its memory for the rest of the connection.
    if (this.buffer !== null && this.buffer.length > this.size) this.buffer = null;
  }

  private limitOf(options: MessageOptions | undefined): number {
    checkOptions(options, "a message", KNOWN_MESSAGE);
    const limit = given(options, "limit");
    return limit === undefined ? this.limit : Math.min(whole(limit, "a limit"), this.limit);
  }
}

const fill = op(function* fill(reader: BufferedReader, needed: number) {
  if (reader.atEnd) return false;
  const room = reader.room(needed);
  return reader.filled(checkCount(yield* reader.origin.read(room), room));
});

const readExactly = op(function* readExactly(reader: BufferedReader, length: number) {
  reader.enter("readExactly");
  try {
    yield* filled(reader, length);
    return reader.take(length);
  } finally {
    reader.leave();
  }
});

const peek = op(function* peek(reader: BufferedReader, length: number) {
  reader.enter("peek");
  try {
    yield* filled(reader, length);
    return reader.copyOf(length);
  } finally {
    reader.leave();
  }
});

/** Waits until there are `length` bytes. */
const filled = op(function* filled(reader: BufferedReader, length: number) {
  if (length > reader.limit) throw tooLong("a message", reader.limit);
  while (reader.buffered < length) {
    if (yield* reader.fill(length)) continue;
    throw new IncompleteError(
      `the stream ended after ${reader.buffered} of ${length} bytes`,
      reader.buffered,
    );
  }
});

const readUntil = op(function* readUntil(
  reader: BufferedReader,
  delimiter: Uint8Array | number,
  limit: number,
) {
  const length = typeof delimiter === "number" ? 1 : delimiter.length;
  reader.enter("readUntil");
  try {
    for (let from = 0; ; ) {
      const at = reader.find(delimiter, from);
      if (at !== -1 && at + length <= limit) return reader.take(at + length);
      if (at !== -1 || reader.buffered >= limit) throw tooLong("a message", limit);
      // The delimiter may have begun at the end of what is there.
      from = Math.max(0, reader.buffered - length + 1);
      if (yield* reader.fill(reader.buffered + 1)) continue;
      throw new IncompleteError(
        `the stream ended after ${reader.buffered} bytes without the delimiter`,
        reader.buffered,
      );
    }
  } finally {
    reader.leave();
  }
});

const readLine = op(function* readLine(reader: BufferedReader, limit: number) {
  reader.enter("readLine");
  try {
    for (let from = 0; ; ) {
      const at = reader.find(NEWLINE, from);
      if (at !== -1 && at < limit) {
        const text = at > 0 && reader.byteAt(at - 1) === CARRIAGE_RETURN ? at - 1 : at;
        return reader.takeText(text, at + 1);
      }
      if (at !== -1 || reader.buffered >= limit) throw tooLong("a line", limit);
      from = reader.buffered;
      if (yield* reader.fill(reader.buffered + 1)) continue;
      return reader.buffered === 0 ? null : reader.takeText(reader.buffered, reader.buffered);
    }
  } finally {
    reader.leave();
  }
});

const readSome = op(function* read(reader: BufferedReader, into: Bytes) {
  reader.enter("read");
  try {
    if (into.length === 0) return countOfNone(into, "read");
    if (reader.buffered > 0) return reader.takeInto(into);
    if (reader.atEnd) return 0;
    const count = checkCount(yield* reader.origin.read(into), into);
    if (count === 0) reader.filled(0);
    return count;
  } finally {
    reader.leave();
  }
});

function tooLong(what: string, limit: number): LimitError {
  return new LimitError(`${what} is longer than ${limit} bytes, which is as long as it may be`, limit);
}

function delimiterOf(delimiter: string | Uint8Array | number): Uint8Array | number {
  if (typeof delimiter === "number" && Number.isInteger(delimiter) && delimiter >= 0 && delimiter <= 255) {
    return delimiter;
  }
  const bytes = typeof delimiter === "string" ? Buffer.from(delimiter, "utf8") : delimiter;
  if (bytes instanceof Uint8Array && bytes.length > 0) return Uint8Array.from(bytes);
  throw new UsageError(
    "COOP_ARGUMENT",
    `a delimiter is a text, bytes, or one byte as a number, and not empty; not ${describeValue(delimiter)}`,
  );
}

function whole(value: number, what: string, least = 1): number {
  if (Number.isSafeInteger(value) && value >= least) return value;
  throw new UsageError(
    "COOP_ARGUMENT",
    `${what} is a whole number from ${least} up, not ${describeValue(value)}`,
  );
}
