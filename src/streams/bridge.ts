/**
 * What stands between a stream of ours and a `Duplex` of Node: a task that lives as long as the two do, and under it
 * one that reads and one that writes.
 *
 * ```
 *   owner ─┬─ duplex ──┬─ reading: waits for demand, reads, pushes
 *          │           └─ writing: waits for a chunk or the end, writes, calls back
 *          └─ …
 *   destroy() ends `duplex`, which ends the two, closes the stream, and only then is the duplex closed
 *   a kill    destroys the duplex with the kill as the error, and goes the same way
 * ```
 *
 * Node's side runs outside of any task: what listeners spawn or ask for belongs to nobody's step. What a listener
 * throws while it is called from here ends the bridge, and so fails its owner.
 * Source: conformance S16, S17.
 */
import { UsageError } from "../coordinator/errors.ts";
import { type Operation, op } from "../coordinator/operation.ts";
import { Signal } from "../coordinator/signal.ts";
import { current } from "../coordinator/task/current.ts";
import { type KillCause, killedError } from "../coordinator/task/exit.ts";
import { defer, spawn } from "../coordinator/task/spawn.ts";
import type { Task } from "../coordinator/task/task.ts";
import { ENOTCONN, IoError } from "../io/errno.ts";
import { type ByteReader, checkCount } from "../io/stream/byte-stream.ts";
import { Bell } from "./bell.ts";
import { IdleTimer } from "./idle-timer.ts";
import { ReadBuffer } from "./read-buffer.ts";
import { closeEnd, closeEnds, disposeEnds, type Ends, endsOf } from "./source.ts";
import type { TaskDuplex } from "./task-duplex.ts";

export type Callback = (error?: Error | null) => void;

/**
 * Turns of Node's loop in which last words are waited for. A TLS layer that is in the middle of a write takes some
 * before it comes to them; more would only hold back the end.
 */
const FAREWELL_TURNS = 8;
/** Turns that a write under way has when the duplex is destroyed: one to begin in, one to hear of its end. */
const LAST_WRITE_TURNS = 3;

interface LastWord {
  readonly bytes: Uint8Array;
  readonly callback: Callback | null;
}

export class Bridge {
  readonly duplex: TaskDuplex;
  /** The directions that the duplex has. */
  readonly reads: boolean;
  readonly writes: boolean;
  /** Null while it is being spawned. */
  task: Task | null = null;
  /** Null until the stream is there. */
  ends: Ends | null;
  /** Demand for bytes, and work for the writer. */
  readonly demand = new Bell("somebody who reads the duplex");
  readonly work = new Bell("something to write to the duplex");
  /** Notified when the duplex is destroyed. */
  readonly over = new Signal({ name: "the end of the duplex" });
  readonly buffer = new ReadBuffer();
  /** Notified when "close" has been emitted. */
  readonly closed = new Signal({ name: "the close of a duplex" });
  /** What is to be written: null is the end. Valid while there is a callback. */
  private chunk: Uint8Array | null = null;
  private callback: Callback | null = null;
  /** What goes out before the end is said, although the duplex has been ended. */
  private readonly parting: LastWord[] = [];
  /** Notified when no more last words are waited for; null where none are. */
  farewell: Signal | null = null;
  private ending = false;
  private writing: { readonly sent?: number } | null = null;
  private timer: IdleTimer | null = null;
  /** What a listener threw where no task could be told at once. */
  thrown: { readonly error: unknown } | null = null;
  /** Whoever uses the duplex is done with it, and waits only for what is still to be written. */
  leaving = false;
  /** Its task has taken its first step. */
  started = false;
  bytesRead = 0;
  bytesWritten = 0;

  constructor(duplex: TaskDuplex, ends: Ends | null, reads: boolean, writes: boolean) {
    this.duplex = duplex;
    this.ends = ends;
    this.reads = reads;
    this.writes = writes;
  }

  /** Bytes of the write under way that are out. */
  get sent(): number {
    return this.bytesWritten + (this.writing?.sent ?? 0);
  }

  /** Queues a chunk, or the end; Node asks for one at a time. */
  write(chunk: Uint8Array | null, callback: Callback): void {
    this.chunk = chunk;
    this.callback = callback;
    this.timer?.touch();
    this.work.ring();
  }

  /** The peer has ended, and so this side does: what has last words to say may need some turns for them. */
  holdEnd(): void {
    this.farewell = this.turns(FAREWELL_TURNS, "last words");
  }

  /**
   * Null when nothing is being written. Otherwise notified in some turns: what is written and destroyed at once goes out
   * as far as there is room for it, as it does over a net.Socket.
   */
  lastWrite(): Signal | null {
    return this.callback === null ? null : this.turns(LAST_WRITE_TURNS, "the last write of a duplex");
  }

  private turns(count: number, name: string): Signal {
    const over = new Signal({ name });
    let left = count;
    const next = (): void => {
      if (--left > 0) setImmediate(next);
      else over.notify();
    };
    setImmediate(next);
    return over;
  }

  /** The end is said now. Gives what has to go out before. */
  lastWords(): readonly LastWord[] {
    this.ending = true;
    return this.parting;
  }

  /** Takes bytes after the end of the duplex; false when the stream has been told of that already. */
  lastWord(bytes: Uint8Array, callback: Callback | null): boolean {
    if (this.ending || this.farewell === null || this.farewell.signaled) return false;
    this.parting.push({ bytes, callback });
    return true;
  }

  setTimeout(milliseconds: number): void {
    if (this.over.signaled) return;
    this.timer ??= new IdleTimer(this, this.task!.cooperator);
    this.timer.set(milliseconds);
  }

  timedOut(): void {
    try {
      this.duplex.emit("timeout");
    } catch (error) {
      this.thrown = { error };
      this.over.notify();
    }
  }

  /** The duplex is destroyed. */
  stop(): void {
    this.timer?.stop();
    this.over.notify();
    // It has no stream yet, and waits for one.
    if (this.ends === null) this.task?.kill("the duplex was destroyed");
  }

  /** Hands out what was read; 0 is the end. False when no more is wanted now. */
  received(count: number): boolean {
    const { duplex } = this;
    if (duplex.destroyed) return false;
    this.timer?.touch();
    this.bytesRead += count;
    const chunk = count === 0 ? null : this.buffer.take(count);
    const outer = current.task;
    current.task = null;
    try {
      const more = duplex.push(chunk);
      // Nobody may read any more, and yet the end is to be seen.
      if (chunk === null) duplex.read(0);
      return more;
    } finally {
      current.task = outer;
    }
  }

  /** The stream that was waited for is there. */
  connected(): void {
    const outer = current.task;
    current.task = null;
    try {
      this.duplex.opened(this.ends!);
      this.duplex.emit("connect");
      this.duplex.emit("ready");
    } finally {
      current.task = outer;
    }
  }

  /** The stream that was waited for must have what the duplex has said it has. */
  check(): void {
    if (this.reads && this.ends!.reader === null) throw lacks("read", "readable");
    if (this.writes && this.ends!.writer === null) throw lacks("written", "writable");
  }

  failed(error: unknown): void {
    this.duplex.destroy(asError(error));
  }

  /** The operation that does what was asked for last. */
  begin(): Operation<void> {
    const { chunk } = this;
    const { writer } = this.ends!;
    this.writing = null;
    if (chunk === null) return endOf(this);
    const operation = writer!.writeAll(chunk);
    this.writing = operation as { readonly sent?: number };
    return operation;
  }

  /** Tells Node what has become of it. */
  answer(failure: unknown): void {
    const { chunk } = this;
    const callback = this.callback!;
    this.callback = null;
    this.chunk = null;
    this.writing = null;
    this.timer?.touch();
    if (failure === null && chunk !== null) this.bytesWritten += chunk.length;
    const outer = current.task;
    current.task = null;
    try {
      callback(failure === null ? null : asError(failure));
    } finally {
      current.task = outer;
    }
  }

  /** The bridge's task has ended, and its stream is closed. Node hears of it in a call of its own. */
  ended(): void {
    const { duplex, thrown } = this;
    this.timer?.stop();
    // It was killed before its first step.
    if (!this.started && this.ends !== null) disposeEnds(this.ends);
    if (thrown !== null) {
      // The owner is told.
      duplex.on("error", ignore);
      duplex.destroy(asError(thrown.error));
    }
    process.nextTick(() => {
      const { callback } = this;
      this.callback = null;
      // What was being written when it was destroyed; Node's sockets make an error of it only where there is one.
      callback?.(duplex.errored);
      try {
        duplex.emit("close", duplex.errored !== null);
      } finally {
        this.closed.notify();
      }
    });
  }
}

/** The task between the two; `opening` gives the stream where there is none yet. */
export const bridging = op(function* duplex(bridge: Bridge, opening: Operation<unknown> | null) {
  defer(() => (bridge.ends === null ? undefined : closeEnds(bridge.ends)));
  bridge.started = true;
  if (opening !== null) {
    try {
      bridge.ends = endsOf(yield* opening);
      bridge.check();
    } catch (error) {
      bridge.failed(error);
      return;
    }
    bridge.connected();
  }
  if (bridge.reads) spawn(reading(bridge, bridge.ends!.reader!));
  if (bridge.writes) spawn(writing(bridge));
  yield* bridge.over.wait();
  const last = bridge.lastWrite();
  if (last !== null) yield* last.wait();
  if (bridge.thrown !== null) throw bridge.thrown.error;
});

const reading = op(function* reading(bridge: Bridge, reader: ByteReader) {
  const { buffer, demand } = bridge;
  try {
    yield* demand;
    for (;;) {
      let count: number;
      try {
        const room = buffer.room();
        count = checkCount(yield* reader.read(room), room);
      } catch (error) {
        bridge.failed(error);
        return;
      }
      demand.clear();
      const more = bridge.received(count);
      if (count === 0) return;
      if (!more) yield* demand;
    }
  } finally {
    buffer.giveBack();
  }
});

const writing = op(function* writing(bridge: Bridge) {
  for (;;) {
    yield* bridge.work;
    let failure: unknown = null;
    try {
      yield* bridge.begin();
    } catch (error) {
      failure = error;
    }
    bridge.answer(failure);
  }
});

/** Says that nothing more comes. A peer that is gone has no need to be told. */
const endOf = op(function* end(bridge: Bridge) {
  const { reader, writer } = bridge.ends!;
  if (bridge.farewell !== null) yield* bridge.farewell.wait();
  for (const { bytes, callback } of bridge.lastWords()) {
    yield* writer!.writeAll(bytes);
    callback?.(null);
  }
  if (writer?.end !== undefined) {
    try {
      yield* writer.end();
    } catch (error) {
      if (!(error instanceof IoError) || error.errno !== -ENOTCONN) throw error;
    }
  } else if ((writer as unknown) !== reader) yield* closeEnd(writer);
});

/** Destroys the duplex when its task is killed. */
export function destroyWhenKilled(bridge: Bridge, task: Task): void {
  task.onKill((cause: KillCause) => {
    // Nobody wants to know any more; an http request, say, has had its response, and would throw an error of its own.
    if (bridge.leaving) {
      bridge.duplex.destroy();
      return;
    }
    // Whoever has killed it knows: that nobody listens must not end the process.
    bridge.duplex.on("error", ignore);
    const { failure, reason } = cause;
    bridge.duplex.destroy(failure && reason instanceof Error ? reason : killedError(cause, task.label, []));
  });
}

function ignore(): void {}

function lacks(what: string, option: string): UsageError {
  return new UsageError(
    "COOP_ARGUMENT",
    `the stream that toDuplex() has waited for cannot be ${what}: say { ${option}: false }`,
  );
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error), { cause: error });
}
