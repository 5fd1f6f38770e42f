/**
 * What buffered readers, writers and protocols need of a stream of bytes. Sockets, files and the ends of pipes
 * have it, and so has whatever wraps one of them.
 */
import { UsageError } from "../../coordinator/errors.ts";
import { describeValue, type Operation } from "../../coordinator/operation.ts";
import type { IoOptions } from "../handle.ts";
import type { Bytes } from "../memory/memory.ts";

export interface ByteReader {
  /** Waits for bytes and gives their count, at least 1, or 0 at the end, and then at every call. */
  read(into: Bytes, options?: IoOptions): Operation<number>;
}

export interface ByteWriter {
  /**
   * Writes all of `bytes`. What is cut short in the middle breaks the stream for further writes. The operation may
   * tell in a number `sent` how many bytes went out before a kill: those of sockets and files do.
   */
  writeAll(bytes: Bytes, options?: IoOptions): Operation<void>;
}

export interface ByteStream extends ByteReader, ByteWriter {
  /** Nothing more is written: the other side reads the end. */
  end(options?: IoOptions): Operation<void>;
}

/**
 * @internal What somebody's `read` of `into` gave: another count would be bytes that nobody has read.
 *
 * @throws {UsageError} `COOP_ARGUMENT`.
 */
export function checkCount(count: number, into: Bytes): number {
  if (Number.isInteger(count) && count >= 0 && count <= into.length) return count;
  throw new UsageError(
    "COOP_ARGUMENT",
    `a read gives the count of its bytes, from 0 to ${into.length}, not ${describeValue(count)}`,
  );
}
