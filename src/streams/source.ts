/** What a duplex can be made of: a stream of bytes, a pair of a reader and a writer, or an operation that gives one. */
import { UsageError } from "../coordinator/errors.ts";
import { describeValue, type Operation, op } from "../coordinator/operation.ts";
import type { ByteReader, ByteStream, ByteWriter } from "../io/stream/byte-stream.ts";

/** A reader and a writer that belong together: both ends of a pipe, standard input and output. */
export interface ReaderAndWriter {
  readonly reader: ByteReader;
  readonly writer: ByteWriter;
}

/** A `Socket`, a `File`, a `Pipe`, or whatever reads or writes as they do. */
export type StreamLike = ByteStream | ByteReader | ByteWriter | ReaderAndWriter;

export interface Ends {
  readonly reader: ByteReader | null;
  readonly writer: (ByteWriter & { end?: () => Operation<void> }) | null;
}

/** @internal True for what has to be run to have a stream. */
export function isOpening(source: unknown): source is Operation<StreamLike> {
  if (typeof source !== "object" || source === null || Array.isArray(source)) return false;
  return typeof (source as { [Symbol.iterator]?: unknown })[Symbol.iterator] === "function";
}

/**
 * @internal The two directions of a stream.
 *
 * @throws {UsageError} `COOP_ARGUMENT` when it has neither.
 */
export function endsOf(source: unknown): Ends {
  // What reads or writes by itself is no pair, whatever else it has by these names.
  const pair = reads(source) || writes(source) ? null : (source as Partial<ReaderAndWriter> | null);
  const reader = pair?.reader ?? source;
  const writer = pair?.writer ?? source;
  const ends = { reader: reads(reader) ? reader : null, writer: writes(writer) ? writer : null };
  if (ends.reader !== null || ends.writer !== null) return ends;
  throw new UsageError(
    "COOP_ARGUMENT",
    `a duplex is made of a Socket, a File, a Pipe, or what has a read() or a writeAll() like theirs, not ${describeValue(source)}`,
  );
}

function reads(value: unknown): value is ByteReader {
  return typeof (value as Partial<ByteReader> | null | undefined)?.read === "function";
}

function writes(value: unknown): value is ByteWriter {
  return typeof (value as Partial<ByteWriter> | null | undefined)?.writeAll === "function";
}

interface Closable {
  close?(): Operation<void>;
  [Symbol.dispose]?(): void;
}

/** @internal Closes both directions in whatever way they have, and waits for it where that can be done. */
export const closeEnds: (ends: Ends) => Operation<void> = op(function* closeEnds({ reader, writer }: Ends) {
  try {
    yield* closeEnd(reader);
  } finally {
    if ((writer as unknown) !== reader) yield* closeEnd(writer);
  }
});

/** @internal */
export const closeEnd: (end: ByteReader | ByteWriter | null) => Operation<void> = op(function* close(
  end: ByteReader | ByteWriter | null,
) {
  const closable = end as Closable | null;
  if (typeof closable?.close === "function") yield* closable.close();
  else closable?.[Symbol.dispose]?.();
});

/** @internal Begins to close, where there is a way to do that without waiting. */
export function disposeEnds({ reader, writer }: Ends): void {
  (reader as Closable | null)?.[Symbol.dispose]?.();
  (writer as Closable | null)?.[Symbol.dispose]?.();
}
