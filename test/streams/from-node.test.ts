/** Node's streams in tasks: nothing is lost, nothing hangs, and no listener is left. */
import { Duplex, PassThrough, Readable, Writable } from "node:stream";
import { describe, expect, test } from "vitest";
import { BusyError, ClosedError, op, spawn, UsageError, yieldNow } from "../../src/coordinator/index.ts";
import { BufferedReader, BufferedWriter, IncompleteError } from "../../src/io/index.ts";
import { fromDuplex, fromReadable, toDuplex } from "../../src/streams/index.ts";
import { killEverywhereAsync } from "../../src/testing/index.ts";
import { VirtualRuntime } from "../../src/testing/virtual.ts";
import { sleep } from "../../src/time/sleep.ts";
import { checked } from "../support/harness.ts";
import { expectError, failureOf, nodeTurn, pattern, runIo, tcpPair, thrownBy } from "../support/io.ts";
import { expectNoUnhandledRejections } from "../support/rejections.ts";

expectNoUnhandledRejections();

async function runVirtual<A>(body: () => Generator<unknown, A>): Promise<A> {
  const rt = new VirtualRuntime();
  const main = await rt.runAsync(op(body)());
  const value = main.result;
  checked(rt);
  return value;
}

const listeners = (stream: Readable): number =>
  ["readable", "end", "error", "close", "data"].reduce((sum, event) => sum + stream.listenerCount(event), 0);

describe("S16 a Readable in a task", () => {
  test("S16 its bytes, in whatever pieces they come and are asked for, and the end at every call", async () => {
    const text = await runVirtual(function* () {
      const reader = fromReadable(
        Readable.from([Buffer.from("one\ntw"), Buffer.from("o\nthree"), Buffer.alloc(0)], {
          objectMode: false,
        }),
      );
      const lines = new BufferedReader(reader, { size: 4 });
      const got: (string | null)[] = [];
      for (let i = 0; i < 4; i++) got.push(yield* lines.readLine());
      expect(yield* reader.read(Buffer.alloc(1))).toBe(0);
      return got;
    });
    expect(text).toEqual(["one", "two", "three", null]);
  });

  test("S16 no listener is left: after the end, after close, after the task", async () => {
    await runVirtual(function* () {
      const whole = new PassThrough();
      const before = listeners(whole);
      const reader = fromReadable(whole);
      whole.end("x");
      expect(yield* reader.read(Buffer.alloc(8))).toBe(1);
      expect(yield* reader.read(Buffer.alloc(8))).toBe(0);
      yield* sleep(1);
      expect(listeners(whole)).toBe(before);

      const cut = new PassThrough();
      const other = fromReadable(cut);
      yield* other.close();
      expect([cut.destroyed, cut.closed, listeners(cut)]).toEqual([true, true, before]);
      yield* other.close();

      const left = new PassThrough();
      yield* spawn(function* () {
        fromReadable(left);
      }).join();
      yield* sleep(1);
      expect([left.destroyed, listeners(left)]).toEqual([true, before]);

      const used = new PassThrough();
      {
        using _ = fromReadable(used);
      }
      yield* sleep(1);
      expect([used.destroyed, listeners(used)]).toEqual([true, before]);
    });
  });

  test("S16 an error is told to the reader, also one that came while nobody waited", async () => {
    await runVirtual(function* () {
      for (const early of [true, false]) {
        const stream = new PassThrough();
        const reader = fromReadable(stream);
        const waiting = early ? null : spawn(reader.read(Buffer.alloc(1)), { failure: "hold" });
        yield* yieldNow();
        stream.destroy(new Error("broken"));
        yield* sleep(1);
        const failure = yield* failureOf(waiting === null ? reader.read(Buffer.alloc(1)) : waiting.join());
        expect(failure.message).toBe("broken");
        expect((yield* failureOf(reader.read(Buffer.alloc(1)))).message).toBe("broken");
      }
    });
  });

  test("S16 a close before the end is no end", async () => {
    await runVirtual(function* () {
      const stream = new PassThrough();
      const reader = fromReadable(stream);
      stream.write("half a ");
      const lines = new BufferedReader(reader);
      const waiting = spawn(lines.readLine(), { failure: "hold" });
      yield* sleep(1);
      stream.destroy();
      expectError(yield* failureOf(waiting.join()), ClosedError, "COOP_CLOSED", /before its end/);
      const ended = new PassThrough();
      ended.end("half a ");
      const other = new BufferedReader(fromReadable(ended));
      expect(yield* failureOf(other.readExactly(10))).toBeInstanceOf(IncompleteError);
    });
  });

  test("S16 one that had ended, failed or been closed before it was taken", async () => {
    await runVirtual(function* () {
      const ended = new PassThrough();
      ended.end();
      ended.resume();
      const failed = new PassThrough();
      failed.on("error", () => {});
      failed.destroy(new Error("long ago"));
      const closed = new PassThrough();
      closed.destroy();
      yield* sleep(1);
      expect(yield* fromReadable(ended).read(Buffer.alloc(1))).toBe(0);
      expect((yield* failureOf(fromReadable(failed).read(Buffer.alloc(1)))).message).toBe("long ago");
      expect((yield* failureOf(fromReadable(closed).read(Buffer.alloc(1)))).code).toBe("COOP_CLOSED");
    });
  });

  test("S03 S16 a second reader is told so", async () => {
    await runVirtual(function* () {
      const stream = new PassThrough();
      const reader = fromReadable(stream);
      const first = spawn(reader.read(Buffer.alloc(1)));
      yield* yieldNow();
      expect(yield* failureOf(reader.read(Buffer.alloc(1)))).toBeInstanceOf(BusyError);
      stream.write("x");
      expect(yield* first.join()).toBe(1);
    });
  });

  test("S16 POL12 a killed reader loses nothing, wherever the kill comes", async () => {
    const { runs } = await killEverywhereAsync(() => {
      const stream = new PassThrough();
      const got: string[] = [];
      return {
        body: function* () {
          const reader = fromReadable(stream);
          const into = Buffer.alloc(2);
          const first = spawn(
            function* () {
              got.push(String(into.subarray(0, yield* reader.read(into))));
            },
            { failure: "hold" },
          );
          spawn(function* () {
            yield* yieldNow();
            stream.write("abc");
            stream.end("de");
          });
          yield* first.settled();
          for (let count = -1; count !== 0; ) {
            count = yield* reader.read(into);
            got.push(String(into.subarray(0, count)));
          }
        },
        check: ({ main }) => {
          expect(stream.destroyed || listeners(stream) === 0).toBe(true);
          if (main.exit!.status === "done") expect(got.join("")).toBe("abcde");
        },
      };
    });
    expect(runs).toBeGreaterThan(10);
  });

  test("S16 what is no stream of bytes", async () => {
    await runVirtual(function* () {
      for (const wrong of [
        null,
        1,
        {},
        { read() {}, on() {} },
        new Writable(),
        Readable.from([1]),
        new PassThrough().setEncoding("utf8"),
      ]) {
        expectError(
          thrownBy(() => fromReadable(wrong as never)),
          UsageError,
          "COOP_ARGUMENT",
          /fromReadable\(\)/,
        );
      }
      expectError(
        thrownBy(() => fromDuplex(Readable.from(["x"], { objectMode: false }) as never)),
        UsageError,
        "COOP_ARGUMENT",
        /Duplex/,
      );
      expect((yield* failureOf(() => fromReadable(new PassThrough()).read("x" as never))).code).toBe(
        "COOP_BUFFER",
      );
    });
    expect(thrownBy(() => fromReadable(new PassThrough())).code).toBe("COOP_NO_TASK");
  });
});

/** A Duplex whose writes wait until they are let go. */
class Slow extends Duplex {
  readonly written: string[] = [];
  go: (() => void) | null = null;
  constructor() {
    super({ allowHalfOpen: true });
  }
  override _read(): void {}
  override _write(chunk: Buffer, _encoding: string, callback: (error?: Error | null) => void): void {
    this.go = () => {
      this.written.push(String(chunk));
      callback();
    };
  }
}

describe("S16 a Duplex in a task", () => {
  test("S16 bytes there and back, and the ends of both directions", async () => {
    await runVirtual(function* () {
      const stream = fromDuplex(new PassThrough());
      const writer = new BufferedWriter(stream);
      const sent = spawn(function* () {
        yield* writer.writeAll("hello\n");
        yield* writer.writeAll(pattern(100_000));
        yield* writer.flush();
        yield* stream.end();
        yield* stream.end();
      });
      const reader = new BufferedReader(stream);
      expect(yield* reader.readLine()).toBe("hello");
      expect((yield* reader.readExactly(100_000)).equals(pattern(100_000))).toBe(true);
      expect(yield* stream.read(Buffer.alloc(1))).toBe(0);
      yield* sent.join();
      yield* stream.close();
      expect((yield* failureOf(stream.writeAll(Buffer.from("x")))).code).toBe("COOP_CLOSED");
      // That has been said, and heard.
      yield* stream.end();
    });
  });

  test("S04 S16 writes of several tasks go out one after the other, whole", async () => {
    await runVirtual(function* () {
      const slow = new Slow();
      const stream = fromDuplex(slow);
      const tasks = ["first", "second", "third"].map((text) => spawn(stream.writeAll(Buffer.from(text))));
      yield* sleep(1);
      expect(tasks.map(({ status }) => status)).toEqual(["blocked", "blocked", "blocked"]);
      for (let i = 0; i < 3; i++) {
        slow.go!();
        yield* sleep(1);
      }
      for (const task of tasks) yield* task.join();
      expect(slow.written).toEqual(["first", "second", "third"]);
    });
  });

  test("S16 a killed write has been handed over as a whole, and its bytes are the caller's again", async () => {
    await runVirtual(function* () {
      const slow = new Slow();
      const stream = fromDuplex(slow);
      const writer = new BufferedWriter(stream);
      const bytes = Buffer.from("as it was");
      const flushing = spawn(function* () {
        yield* writer.writeAll(bytes);
        yield* writer.flush();
      });
      yield* sleep(1);
      yield* flushing.killAndWait();
      bytes.fill(0);
      const again = spawn(writer.flush());
      slow.go!();
      yield* again.join();
      expect(slow.written).toEqual(["as it was"]);
    });
  });

  test("S16 what the stream says of a write, and a stream that is closed under it", async () => {
    await runVirtual(function* () {
      const failing = new Duplex({
        read() {},
        write: (_chunk, _encoding, callback) => callback(new Error("no room")),
      });
      expect((yield* failureOf(fromDuplex(failing).writeAll(Buffer.from("x")))).message).toBe("no room");
      // A stream that never calls back.
      const silent = new Duplex({ read() {}, write() {}, destroy: (_error, callback) => callback(null) });
      const stream = fromDuplex(silent);
      const writing = spawn(stream.writeAll(Buffer.from("x")), { failure: "hold" });
      const ending = spawn(stream.end(), { failure: "hold" });
      yield* sleep(1);
      silent.destroy();
      expect((yield* failureOf(writing.join())).code).toBe("COOP_CLOSED");
      expect(["COOP_CLOSED", "ERR_STREAM_PREMATURE_CLOSE", "ERR_STREAM_DESTROYED"]).toContain(
        (yield* failureOf(ending.join())).code,
      );
    });
  });

  test("S16 there and back again: a socket as a duplex as a stream", async () => {
    await runIo(function* () {
      const { near, far } = yield* tcpPair();
      const stream = fromDuplex(toDuplex(near, { allowHalfOpen: true }));
      const other = fromDuplex(toDuplex(far, { allowHalfOpen: true }));
      const sent = spawn(function* () {
        yield* stream.writeAll(pattern(300_000));
        yield* stream.end();
      });
      expect((yield* new BufferedReader(other).readExactly(300_000)).equals(pattern(300_000))).toBe(true);
      yield* sent.join();
      yield* other.close();
      yield* stream.close();
      yield* nodeTurn();
      expect([near.closed, far.closed]).toEqual([true, true]);
    });
  });

  test("S16 web streams, both ways", async () => {
    await runIo(function* () {
      const { near, far } = yield* tcpPair();
      const { readable, writable } = Duplex.toWeb(toDuplex(near, { allowHalfOpen: true }));
      const back = toDuplex(far, { allowHalfOpen: true });
      back.pipe(back);
      const body = fromReadable(Readable.fromWeb(readable as never));
      const writer = (writable as WritableStream<Uint8Array>).getWriter();
      void writer.write(pattern(1000)).then(() => writer.close());
      expect((yield* new BufferedReader(body).readExactly(1000)).equals(pattern(1000))).toBe(true);
      expect(yield* body.read(Buffer.alloc(1))).toBe(0);
      yield* back.settled();
    });
  });
});
