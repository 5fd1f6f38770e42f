/**
 * An append-only file with group commit: what many writers append while one batch is on its way to the device
 * becomes the next batch, with one write and one fsync for all of them.
 */
import { ClosedError, type Operation, op, Signal, shield } from "cooperator";
import { allocate, type File } from "cooperator/io";

/** Bytes written at a time; a longer batch takes several writes, and still one fsync. */
const CHUNK_BYTES = 256 * 1024;

class Batch {
  readonly lines: string[] = [];
  /** Notified when there is something to write. */
  readonly filled = new Signal({ name: "a line for the journal" });
  /** Notified when the lines are on the device, or never will be. */
  readonly settled = new Signal({ name: "durable batch" });
  taken = false;
  error: unknown = null;
}

export class Journal {
  /** Counted here, and compared with what is in the file at the end. */
  entries = 0;
  batches = 0;
  private readonly file: File;
  private readonly chunk = allocate(CHUNK_BYTES);
  private next = new Batch();
  private closed = false;

  constructor(file: File) {
    this.file = file;
  }

  /**
   * Waits until the line is on the device. A kill before its batch is written takes the line back; a kill
   * after that leaves it in the file.
   */
  append(line: string): Operation<void> {
    return append(this, line);
  }

  /** The body of the task that writes; only one may run. */
  run(): Operation<never> {
    return write(this);
  }

  /** Puts a line into the next batch. */
  add(line: string): Batch {
    if (this.closed) throw new ClosedError("the journal is closed");
    const batch = this.next;
    batch.lines.push(line);
    batch.filled.notify();
    return batch;
  }

  /** Waits for a batch to be filled, and starts the next one. Its lines may have been taken back meanwhile. */
  *take(): Generator<unknown, Batch, unknown> {
    const batch = this.next;
    yield* batch.filled.wait();
    batch.taken = true;
    this.next = new Batch();
    return batch;
  }

  *commit(batch: Batch): Generator<unknown, void, unknown> {
    const { chunk, file } = this;
    if (batch.lines.length === 0) return;
    let filled = 0;
    for (const line of batch.lines) {
      if (filled + line.length * 3 + 1 > chunk.length) {
        yield* file.writeAll(chunk.subarray(0, filled));
        filled = 0;
      }
      filled += chunk.write(`${line}\n`, filled);
    }
    yield* file.writeAll(chunk.subarray(0, filled));
    yield* file.sync({ dataOnly: true });
    this.batches++;
    this.entries += batch.lines.length;
  }

  close(): void {
    this.closed = true;
    this.next.error = new ClosedError("the journal is closed");
    this.next.settled.notify();
  }
}

const append = op(function* append(journal: Journal, line: string) {
  const batch = journal.add(line);
  try {
    yield* batch.settled.wait();
  } finally {
    // Reached with the batch still open by a kill only.
    if (!batch.taken && !batch.settled.signaled) batch.lines.splice(batch.lines.indexOf(line), 1);
  }
  if (batch.error !== null) throw batch.error;
});

const write = op(function* write(journal: Journal) {
  try {
    for (;;) {
      const batch = yield* journal.take();
      try {
        // A kill waits for the batch: it is in the file as a whole, or an error says that it is not.
        yield* shield(() => journal.commit(batch));
      } catch (error) {
        batch.error = error;
        throw error;
      } finally {
        batch.settled.notify();
      }
    }
  } finally {
    journal.close();
  }
});
