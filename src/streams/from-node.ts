/**
 * Node's streams as ours: for what reads and writes bytes in a task, a `BufferedReader` say. Source: conformance S16,
 * U08.
 *
 * What a stream has told stays told: an error or an early close that comes while no task waits is thrown at the next
 * read or write. Listeners are there from the call until the end of the stream, of the adapter or of the task that made
 * it, whichever comes first, and are always the same few.
 */
import type { Readable, Writable } from "node:stream";
import { Embedded, EmbeddedList } from "../coordinator/embedded-list.ts";
import { BusyError, ClosedError, UsageError } from "../coordinator/errors.ts";
import { describeValue, type Operation, op } from "../coordinator/operation.ts";
import { addInflight, type Inflight, removeInflight } from "../coordinator/scheduler/inflight.ts";
import { currentTask } from "../coordinator/task/current.ts";
import type { Task } from "../coordinator/task/task.ts";
import { Wait } from "../coordinator/wait.ts";
import { type Bytes, checkBytes, countOfNone } from "../io/memory/memory.ts";
import type { ByteReader, ByteStream } from "../io/stream/byte-stream.ts";
import { Bell } from "./bell.ts";

/** What a Readable has in common with every other one. */
type Source = Readable & { readonly readableObjectMode: boolean };

/**
 * Reads the bytes of a Node stream in a task. The stream belongs to it from then on: it is destroyed by `close`, by
 * `using`, or with the running task at the latest.
 *
 * @throws {UsageError} `COOP_ARGUMENT` when it is no readable stream, or one of text or objects.
 * @example
 * using body = fromReadable(response);
 * const reader = new BufferedReader(body);
 */
export function fromReadable(readable: Readable): NodeReader {
  checkReadable(readable, "fromReadable()");
  return new NodeReader(readable as Source, currentTask("fromReadable()"));
}

/** Likewise a stream with both directions: a `Duplex`, a `net.Socket`, a `TLSSocket`. */
export function fromDuplex(duplex: Readable & Writable): NodeStream {
  checkReadable(duplex, "fromDuplex()");
  if (typeof duplex.write !== "function" || typeof duplex.end !== "function") {
    throw new UsageError("COOP_ARGUMENT", `fromDuplex() takes a Duplex, not ${describeValue(duplex)}`);
  }
  return new NodeStream(duplex as Source & Writable, currentTask("fromDuplex()"));
}

function checkReadable(value: unknown, what: string): void {
  const stream = value as Partial<Readable> | null;
  const parts = [stream?.read, stream?.on, stream?.destroy];
  if (parts.some((part) => typeof part !== "function")) {
    throw new UsageError(
      "COOP_ARGUMENT",
      `${what} takes a readable Node stream, not ${describeValue(value)}`,
    );
  }
  if (stream?.readableObjectMode === true || stream?.readableEncoding != null) {
    throw new UsageError(
      "COOP_ARGUMENT",
      `${what} takes a stream of bytes, and this one gives text or objects`,
    );
  }
}

/** A Node stream that a task reads; made by {@link fromReadable}. */
export class NodeReader extends Embedded implements ByteReader, Inflight {
  /** @internal */ readonly stream: Source;
  /** @internal Waits that end with the stream, whatever else they wait for. */
  readonly pending: EmbeddedList<Pending> = new EmbeddedList();
  /** @internal Rings when there may be something to read, or nothing any more. */
  readonly news: Bell = new Bell("bytes of a Node stream");
  /** @internal A task reads. */
  reading = false;
  private readonly owner: Task;
  /** The rest of a chunk that was longer than the caller's bytes. */
  private rest: Uint8Array | null = null;
  private failure: { readonly error: unknown } | null = null;
  private detached = false;
  /** @internal */ closed = false;
  private readonly onReadable = (): void => this.news.ring();
  private readonly onError = (error: unknown): void => {
    this.failure ??= { error };
    this.tell();
  };
  private readonly onClose = (): void => {
    this.closed = true;
    this.stream.off("error", this.onError);
    this.detach();
    this.tell();
  };

  /** @internal */
  constructor(stream: Source, owner: Task) {
    super();
    this.stream = stream;
    this.owner = owner;
    if (stream.errored != null) this.failure = { error: stream.errored };
    addInflight(owner, this);
    stream.on("error", this.onError);
    if (stream.closed) {
      this.onClose();
      return;
    }
    stream.on("readable", this.onReadable);
    stream.on("end", this.onReadable);
    stream.once("close", this.onClose);
  }

  /**
   * Waits for bytes and gives their count, 0 at the end and then at every call. A kill loses nothing.
   *
   * @throws {BusyError} when another task reads. @throws {ClosedError} when the stream was closed before its end.
   * @throws what the stream's `"error"` had.
   */
  read(into: Bytes): Operation<number> {
    return read(this, checkBytes(into, "read"));
  }

  /** Destroys the stream and waits until it is closed. */
  close(): Operation<void> {
    return new Closing(this);
  }

  /** Destroys the stream and does not wait. */
  [Symbol.dispose](): void {
    this.abandon();
  }

  /** @internal The task that made it is over, or wants it no more. */
  abandon(): void {
    this.detach();
    this.tell();
    this.stream.destroy();
  }

  /** @internal Copies what is there; -1 when nothing is and more may come. */
  take(into: Bytes): number {
    const { stream } = this;
    const chunk = this.rest ?? (stream.read() as Uint8Array | null);
    if (chunk !== null) {
      const count = Math.min(chunk.length, into.length);
      into.set(count === chunk.length ? chunk : chunk.subarray(0, count));
      this.rest = count === chunk.length ? null : chunk.subarray(count);
      return count;
    }
    if (stream.readableEnded) return 0;
    this.check("read");
    return -1;
  }

  /** @internal Throws when nothing more can happen on the stream. */
  check(what: string): void {
    if (this.failure !== null) throw this.failure.error;
    if (this.stream.destroyed) throw new ClosedError(`${what}: the Node stream was closed before its end`);
  }

  private tell(): void {
    this.news.ring();
    for (let wait = this.pending.shift(); wait !== null; wait = this.pending.shift()) wait.grant();
  }

  /** Idempotent. An error that comes between this and the close is nobody's. */
  private detach(): void {
    if (this.detached) return;
    this.detached = true;
    const { stream, owner } = this;
    stream.off("readable", this.onReadable);
    stream.off("end", this.onReadable);
    removeInflight(owner, this);
  }
}

const read = op(function* read(reader: NodeReader, into: Bytes) {
  if (reader.reading) {
    throw new BusyError("read: another task reads from this Node stream; let one task do it");
  }
  if (into.length === 0) return countOfNone(into, "read");
  reader.reading = true;
  try {
    for (;;) {
      reader.news.clear();
      const count = reader.take(into);
      if (count >= 0) return count;
      yield* reader.news;
    }
  } finally {
    reader.reading = false;
  }
});

/** A Node stream with both directions, for tasks; made by {@link fromDuplex}. */
export class NodeStream extends NodeReader implements ByteStream {
  declare readonly stream: Source & Writable;

  /**
   * Writes a copy of all of `bytes`, and waits until the stream has passed it on. It is handed over as a whole: a kill
   * while it waits does not cut it short.
   *
   * @throws {ClosedError} when the stream is closed. @throws what the stream says.
   */
  writeAll(bytes: Bytes): Operation<void> {
    return new Writing(this, checkBytes(bytes, "writeAll"));
  }

  /** Says that nothing more is written, and waits until all has been passed on. */
  end(): Operation<void> {
    return new Ending(this);
  }
}

/** A wait that ends when the stream does. */
abstract class Pending extends Wait<void> {
  protected readonly adapter: NodeReader;

  constructor(adapter: NodeReader) {
    super();
    this.adapter = adapter;
  }

  override abort(): boolean {
    this.list?.remove(this);
    return true;
  }
}

/** What Node calls back. */
abstract class Called extends Pending {
  private called = false;
  private failure: Error | null = null;
  protected readonly onDone = (error?: Error | null): void => {
    this.called = true;
    this.failure = error ?? null;
    if (this.list?.remove(this) === true) this.grant();
  };

  protected abstract readonly what: string;
  protected abstract request(stream: Writable): void;

  override describe(): string {
    return `${this.what} of a Node stream`;
  }

  protected override begin(): boolean {
    const { adapter } = this;
    adapter.check(this.what);
    this.called = false;
    this.failure = null;
    this.request((adapter as NodeStream).stream);
    if (this.called) return true;
    adapter.pending.push(this);
    return false;
  }

  protected override finish(): void {
    if (this.failure !== null) throw this.failure;
    if (!this.called) this.adapter.check(this.what);
  }
}

class Writing extends Called {
  protected readonly what = "writeAll";
  private readonly bytes: Bytes;
  /** Bytes that are the stream's: what a `BufferedWriter` asks for after a kill. */
  sent = 0;

  constructor(adapter: NodeReader, bytes: Bytes) {
    super(adapter);
    this.bytes = bytes;
  }

  protected override begin(): boolean {
    const { stream } = this.adapter as NodeStream;
    if (stream.writableEnded && !stream.destroyed) {
      throw new ClosedError("writeAll: the Node stream has been ended");
    }
    return super.begin();
  }

  protected override request(stream: Writable): void {
    this.sent = checkBytes(this.bytes, "writeAll").length;
    if (this.sent === 0) {
      this.onDone();
      return;
    }
    // The caller may use its bytes again after a kill, and the stream still has them then.
    stream.write(Buffer.from(this.bytes), this.onDone);
  }
}

class Ending extends Called {
  protected readonly what = "end";

  protected override begin(): boolean {
    if ((this.adapter as NodeStream).stream.writableFinished) return true;
    return super.begin();
  }

  protected override request(stream: Writable): void {
    stream.end(this.onDone);
  }

  protected override finish(): void {
    if (!(this.adapter as NodeStream).stream.writableFinished) super.finish();
  }
}

class Closing extends Pending {
  override get killMode(): "ignore" {
    return "ignore";
  }

  override describe(): string {
    return "close of a Node stream";
  }

  protected override begin(): boolean {
    const { adapter } = this;
    if (adapter.closed) return true;
    adapter.stream.destroy();
    adapter.pending.push(this);
    return false;
  }

  protected override finish(): void {}
}
