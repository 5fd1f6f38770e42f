/** Pipes of a simulated kernel. */
import { EBADF, EPIPE } from "../../io/errno.ts";
import * as abi from "../../native/layout.ts";
import type { ByteQueue } from "./byte-queue.ts";
import { BLOCKED, OpenFile } from "./open-file.ts";

export class PipeReader extends OpenFile {
  readonly kind = "pipe";
  readonly queue: ByteQueue;
  /** Null when there will be no more bytes. */
  writer: PipeWriter | null = null;

  constructor(queue: ByteQueue) {
    super();
    this.queue = queue;
  }

  read(into: Uint8Array): number {
    const count = Math.min(into.length, this.queue.length);
    if (count === 0) return this.writer === null ? 0 : BLOCKED;
    this.queue.take(into.subarray(0, count));
    this.writer?.changed();
    return count;
  }

  write(): number {
    return -EBADF;
  }

  ready(): number {
    return (this.queue.length > 0 ? abi.POLLIN : 0) | (this.writer === null ? abi.POLLHUP : 0);
  }

  override released(): void {
    const { writer } = this;
    if (writer === null) return;
    writer.reader = null;
    writer.changed();
  }
}

export class PipeWriter extends OpenFile {
  readonly kind = "pipe";
  reader: PipeReader | null;

  constructor(reader: PipeReader) {
    super();
    this.reader = reader;
    reader.writer = this;
  }

  read(): number {
    return -EBADF;
  }

  write(from: Uint8Array): number {
    const { reader } = this;
    if (reader === null) return -EPIPE;
    const count = Math.min(from.length, reader.queue.room);
    if (count === 0) return BLOCKED;
    reader.queue.put(from.subarray(0, count));
    reader.changed();
    return count;
  }

  ready(): number {
    if (this.reader === null) return abi.POLLERR;
    return this.reader.queue.room > 0 ? abi.POLLOUT : 0;
  }

  override released(): void {
    const { reader } = this;
    if (reader === null) return;
    reader.writer = null;
    reader.changed();
  }
}
