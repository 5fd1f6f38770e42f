/** Who owns a duplex, and what ends it: kills, owners, listeners that throw. Nothing is left behind. */
import { once as onceEvent } from "node:events";
import { type Duplex, PassThrough, pipeline } from "node:stream";
import { pipeline as pipelinePromise } from "node:stream/promises";
import { describe, expect, test } from "vitest";
import { consume, once, until as untilPromise } from "../../src/async/index.ts";
import {
  type Body,
  ClosedError,
  group,
  never,
  type Operation,
  op,
  type Report,
  self,
  spawn,
  UsageError,
  yieldNow,
} from "../../src/coordinator/index.ts";
import {
  allocate,
  BufferedReader,
  type ByteReader,
  connect,
  listen,
  open,
  openPipe,
  readFile,
  type Socket,
  serve,
} from "../../src/io/index.ts";
import { type TaskDuplex, toDuplex } from "../../src/streams/index.ts";
import { sleep } from "../../src/time/sleep.ts";
import {
  expectError,
  failureOf,
  freshPath,
  ioCounts,
  nodeTurn,
  pattern,
  runIo,
  stop,
  tcpPair,
  thrownBy,
  unixPair,
  until,
} from "../support/io.ts";
import { closed } from "../support/node-streams.ts";
import { expectNoUnhandledRejections } from "../support/rejections.ts";
import { killAtEveryStepAsync, simulatedPair } from "../support/simulated.ts";

expectNoUnhandledRejections();

/** Writes down the last events of a duplex, and how often each came. */
function lastEvents(duplex: Duplex): string[] {
  const log: string[] = [];
  duplex.on("error", (error) => log.push(`error ${error.name}`));
  duplex.on("close", () => log.push("close"));
  return log;
}

const closing = (duplex: Duplex): Operation<void> => untilPromise(closed(duplex));

describe("S16 the owner of a duplex", () => {
  test("S16 a kill of the owner destroys it with the kill as its error, and its socket is closed", async () => {
    await runIo(function* () {
      const { near, far } = yield* tcpPair();
      let duplex!: Duplex;
      const owner = spawn(function* () {
        duplex = toDuplex(near);
        yield* never();
      });
      yield* nodeTurn();
      const log = lastEvents(duplex);
      owner.kill("no longer wanted");
      yield* closing(duplex);
      expect(log).toEqual(["error KilledError", "close"]);
      expect(duplex.errored).toMatchObject({ code: "COOP_KILLED", reason: "no longer wanted" });
      expect(near.closed).toBe(true);
      expect(yield* far.recv(Buffer.alloc(1))).toBe(0);
      yield* far.close();
    });
  });

  test("S16 a kill needs no listener for its error", async () => {
    await runIo(function* () {
      const { near, far } = yield* tcpPair();
      const owner = spawn(function* () {
        toDuplex(near);
        yield* never();
      });
      yield* nodeTurn();
      yield* stop(owner);
      yield* nodeTurn();
      yield* far.close();
    });
  });

  test("S16 a kill of one that is on its way out is no error", async () => {
    await runIo(function* () {
      const { near, far } = yield* tcpPair();
      let duplex!: TaskDuplex;
      const owner = spawn(function* () {
        duplex = toDuplex(near);
        yield* never();
      });
      yield* nodeTurn();
      const log = lastEvents(duplex);
      // More than goes out while nobody reads.
      duplex.write(Buffer.alloc(32 << 20));
      duplex.destroySoon();
      yield* nodeTurn();
      expect(duplex.destroyed).toBe(false);
      owner.kill("no longer wanted");
      yield* closing(duplex);
      expect(log).toEqual(["close"]);
      expect(near.closed).toBe(true);
      yield* far.close();
    });
  });

  test("S16 the end of the owner's body ends it", async () => {
    await runIo(function* () {
      const { near, far } = yield* tcpPair();
      const duplex = yield* spawn(function* () {
        return toDuplex(near);
      }).join();
      expect(duplex.destroyed).toBe(true);
      expect(near.closed).toBe(true);
      yield* far.close();
    });
  });

  test("S16 a group waits for it", async () => {
    await runIo(function* () {
      const { near, far } = yield* tcpPair();
      const log: string[] = [];
      spawn(function* () {
        yield* sleep(5);
        yield* far.sendAll(Buffer.from("all there is"));
        yield* far.close();
      });
      yield* group(function* (g) {
        const duplex = toDuplex(near, { owner: g });
        duplex.on("data", (chunk) => log.push(String(chunk)));
        duplex.on("close", () => log.push("close"));
      });
      yield* nodeTurn();
      expect(log).toEqual(["all there is", "close"]);
    });
  });

  test("S16 one that takes no more children is told so, and the stream stays the caller's", async () => {
    await runIo(function* () {
      const { near, far } = yield* tcpPair();
      const ended = spawn(function* () {});
      yield* ended.join();
      expectError(
        thrownBy(() => toDuplex(near, { owner: ended })),
        ClosedError,
        "COOP_CLOSED",
        /has ended/,
      );
      expect(near.closed).toBe(false);
      yield* near.close();
      yield* far.close();
    });
  });

  test("S16 settled() waits for the stream, and is a listener for the error", async () => {
    await runIo(function* () {
      const { near, far } = yield* tcpPair();
      const duplex = toDuplex(near);
      far.setOption("linger", 0);
      yield* far.close();
      expect(yield* duplex.settled()).toMatchObject({ code: "ECONNRESET", syscall: "recv" });
      expect(near.closed).toBe(true);
      expect(duplex.listenerCount("error")).toBe(0);
      const good = yield* tcpPair();
      const other = toDuplex(good.near);
      yield* good.far.close();
      expect(yield* other.settled()).toBe(null);
    });
  });

  test("S16 what a listener throws fails the owner, whichever event it listens to", async () => {
    const broken: Readonly<Record<string, (duplex: Duplex, far: Socket) => Operation<unknown>>> = {
      data: op(function* (duplex: Duplex, far: Socket) {
        duplex.on("data", () => {
          throw new Error("in data");
        });
        yield* far.sendAll(Buffer.from("x"));
      }),
      timeout: op(function* (duplex: Duplex) {
        (duplex as Duplex & { setTimeout(milliseconds: number): void }).setTimeout(5);
        duplex.on("timeout", () => {
          throw new Error("in timeout");
        });
      }),
      drain: op(function* (duplex: Duplex, far: Socket) {
        duplex.on("drain", () => {
          throw new Error("in drain");
        });
        duplex.write(Buffer.alloc(1 << 20));
        const into = allocate(65536);
        for (let left = 1 << 20; left > 0; ) left -= yield* far.recv(into);
      }),
    };
    for (const [event, provoke] of Object.entries(broken)) {
      await runIo(function* () {
        const { near, far } = yield* tcpPair();
        let duplex!: Duplex;
        const owner = spawn(
          function* () {
            duplex = toDuplex(near);
            yield* provoke(duplex, far);
            yield* never();
          },
          { failure: "hold" },
        );
        expect((yield* failureOf(owner.join())).message).toBe(`in ${event}`);
        expect(duplex.destroyed).toBe(true);
        expect(near.closed).toBe(true);
        yield* far.close();
      });
    }
  });

  test("S12 S16 a listener that throws ends its connection, and no other", async () => {
    const reports: Report[] = [];
    await runIo(
      function* () {
        using listener = yield* listen("127.0.0.1:0");
        const serving = spawn(
          serve(listener, function* (socket) {
            const duplex = toDuplex(socket, { allowHalfOpen: true });
            duplex.on("data", (chunk: Buffer) => {
              if (String(chunk) === "bad") throw new Error("a bad request");
              duplex.end(chunk);
            });
            yield* duplex.settled();
          }),
        );
        const ask = op(function* (text: string) {
          using socket = yield* connect(listener.localAddress!);
          yield* socket.sendAll(Buffer.from(text));
          const into = Buffer.alloc(16);
          try {
            return String(into.subarray(0, yield* socket.recv(into)));
          } catch (error) {
            return (error as { code: string }).code;
          }
        });
        expect(["", "ECONNRESET"]).toContain(yield* ask("bad"));
        expect(yield* ask("good")).toBe("good");
        yield* stop(serving);
      },
      { report: (report) => reports.push(report) },
    );
    expect(reports.map(({ error }) => (error as Error).message)).toEqual(["a bad request"]);
  });

  test("S16 listeners run outside of any task", async () => {
    await runIo(function* () {
      const { near, far } = yield* tcpPair();
      const duplex = toDuplex(near);
      const codes: string[] = [];
      duplex.once("data", () => codes.push(thrownBy(() => self()).code));
      duplex.write("x", () => codes.push(thrownBy(() => self()).code));
      yield* far.sendAll(Buffer.from("x"));
      yield* until(() => codes.length === 2);
      expect(codes).toEqual(["COOP_NO_TASK", "COOP_NO_TASK"]);
      yield* far.close();
      yield* duplex.settled();
    });
  });

  test("S16 an AbortSignal destroys it, also one that was aborted before", async () => {
    await runIo(function* () {
      for (const before of [false, true]) {
        const { near, far } = yield* tcpPair();
        const controller = new AbortController();
        if (before) controller.abort(new Error("stop"));
        const duplex = toDuplex(near, { signal: controller.signal });
        if (!before) controller.abort(new Error("stop"));
        expect(yield* duplex.settled()).toMatchObject({ code: "ABORT_ERR", cause: { message: "stop" } });
        expect(near.closed).toBe(true);
        yield* far.close();
      }
    });
  });
});

describe("S16 what a duplex is made of", () => {
  test("S16 an operation that gives a stream: it can be written to at once", async () => {
    await runIo(function* () {
      using listener = yield* listen("127.0.0.1:0");
      const duplex = toDuplex(connect(listener.localAddress!));
      const log: string[] = [];
      for (const event of ["connect", "ready", "finish", "end", "close"])
        duplex.on(event, () => log.push(event));
      expect([duplex.connecting, duplex.pending, duplex.remoteAddress]).toEqual([true, true, undefined]);
      duplex.setNoDelay().setKeepAlive(true, 1000).setTimeout(60_000);
      duplex.resume();
      duplex.end("before there is a connection");
      const far = yield* listener.accept();
      const reader = new BufferedReader(far);
      expect(yield* reader.readLine()).toBe("before there is a connection");
      yield* far.close();
      expect(yield* duplex.settled()).toBe(null);
      yield* nodeTurn();
      expect(log).toEqual(["connect", "ready", "finish", "end", "close"]);
      expect(duplex.connecting).toBe(false);
    });
  });

  test("S16 one that fails destroys it with its error", async () => {
    await runIo(function* () {
      const listener = yield* listen("127.0.0.1:0");
      const address = listener.localAddress!;
      yield* listener.close();
      const duplex = toDuplex(connect(address));
      let written: Error | null | undefined = null;
      duplex.write("x", (error) => (written = error));
      expect(yield* duplex.settled()).toMatchObject({ code: "ECONNREFUSED" });
      yield* nodeTurn();
      expect(written).toMatchObject({ code: "ECONNREFUSED" });
    });
  });

  test("S16 one that is destroyed meanwhile is not waited for", async () => {
    await runIo(function* () {
      let cleaned = false;
      const duplex = toDuplex(
        (function* (): Generator<unknown, Socket> {
          try {
            yield* never();
          } finally {
            cleaned = true;
          }
          throw new Error("not reached");
        })(),
      );
      const log = lastEvents(duplex);
      duplex.setTimeout(60_000);
      yield* nodeTurn();
      duplex.destroy();
      expect(yield* duplex.settled()).toBe(null);
      yield* nodeTurn();
      expect([cleaned, log]).toEqual([true, ["close"]]);
      const early = toDuplex(connect("127.0.0.1:1"));
      early.destroy(new Error("never mind"));
      expect(yield* early.settled()).toMatchObject({ message: "never mind" });
    });
  });

  test("S16 an operation that gives no stream, or one without a direction", async () => {
    await runIo(function* () {
      const nothing = toDuplex(
        (function* (): Generator<unknown, never> {
          return 42 as never;
        })(),
      );
      expectError(yield* nothing.settled(), UsageError, "COOP_ARGUMENT", /not the number 42/);
      const { reader, writer } = yield* openPipe();
      const oneWay = toDuplex(
        (function* (): Generator<unknown, { read: (into: Uint8Array) => Operation<number> }> {
          return { read: (into) => reader.read(into) };
        })(),
      );
      expectError(yield* oneWay.settled(), UsageError, "COOP_ARGUMENT", /writable: false/);
      yield* reader.close();
      yield* writer.close();
    });
  });

  test("S16 a pipe: what is written comes back, and the end too", async () => {
    await runIo(function* () {
      const duplex = toDuplex(yield* openPipe(), { allowHalfOpen: true });
      duplex.end(pattern(200_000));
      const chunks: Buffer[] = [];
      duplex.on("data", (chunk: Buffer) => chunks.push(chunk));
      expect(yield* duplex.settled()).toBe(null);
      expect(Buffer.concat(chunks).equals(pattern(200_000))).toBe(true);
      expect(ioCounts().descriptors).toBe(0);
    });
  });

  test("S16 a file: read to its end, and written", async () => {
    await runIo(function* () {
      const path = freshPath();
      const sink = toDuplex(yield* open(path, "w"), { readable: false });
      sink.write(pattern(100_000));
      sink.end("the end");
      expect(yield* sink.settled()).toBe(null);
      const source = toDuplex(yield* open(path, "r"), { writable: false });
      const read = yield* consume(source, function* (chunks) {
        const all: Buffer[] = [];
        for (let next = yield* chunks.next(); !next.done; next = yield* chunks.next()) all.push(next.value);
        return Buffer.concat(all);
      });
      expect(read.equals(yield* readFile(path))).toBe(true);
      expect(yield* source.settled()).toBe(null);
    });
  });

  test("S16 a reader that has the first bytes already, and its socket", async () => {
    await runIo(function* () {
      const { near, far } = yield* tcpPair();
      yield* far.sendAll(Buffer.from("CONNECT\nthe rest"));
      yield* far.end();
      const reader = new BufferedReader(near);
      expect(yield* reader.readLine()).toBe("CONNECT");
      const duplex = toDuplex({ reader, writer: near });
      const [text] = yield* once<[Buffer]>(duplex, "data");
      expect(String(text)).toBe("the rest");
      expect(duplex.remoteAddress).toBe("127.0.0.1");
      yield* duplex.settled();
      expect(near.closed).toBe(true);
      yield* far.close();
    });
  });

  test("S16 a reader alone, or a writer alone, gives a duplex with one direction", async () => {
    await runIo(function* () {
      const { reader, writer } = yield* openPipe();
      const source = toDuplex({ read: (into) => reader.read(into) });
      const sink = toDuplex({ writeAll: (bytes) => writer.writeAll(bytes) });
      expect([source.readable, source.writable, sink.readable, sink.writable]).toEqual([
        true,
        false,
        false,
        true,
      ]);
      sink.end("through");
      const [chunk] = yield* once<[Buffer]>(source, "data");
      expect(String(chunk)).toBe("through");
      yield* sink.settled();
      yield* writer.close();
      yield* source.settled();
      yield* reader.close();
    });
  });

  test("S16 addresses, and options that the socket does not have", async () => {
    await runIo(function* () {
      const { near, far } = yield* tcpPair();
      const duplex = toDuplex(near);
      const local = near.localAddress as { port: number };
      expect(duplex.remoteFamily).toBe("IPv4");
      expect(duplex.address()).toEqual({ address: "127.0.0.1", family: "IPv4", port: local.port });
      expect([duplex.localAddress, duplex.localPort, duplex.localFamily]).toEqual([
        "127.0.0.1",
        local.port,
        "IPv4",
      ]);
      duplex.setNoDelay(false).setKeepAlive(true, 7000);
      expect(near.getOption("noDelay")).toBe(false);
      expect(near.getOption("keepAlive")).toBe(true);
      expect(near.getOption("keepAliveIdle")).toBe(7);
      yield* far.close();
      yield* duplex.settled();
      expect([duplex.remoteAddress, duplex.remotePort]).toEqual(["127.0.0.1", duplex.remotePort]);
      expect(duplex.setNoDelay().setKeepAlive(true)).toBe(duplex);
      const unix = yield* unixPair();
      const other = toDuplex(unix.near);
      expect(other.setNoDelay().setKeepAlive(true, 5000)).toBe(other);
      expect([other.remoteAddress, other.address()]).toEqual([undefined, {}]);
      yield* unix.far.close();
      yield* other.settled();
    });
  });

  test.each([Number.NaN, -1, 1e9, 1.5, "3", undefined])(
    "S16 a reader whose count is %s is told so",
    async (count) => {
      await runIo(function* () {
        const read = op(function* () {
          return count as number;
        });
        const error = yield* toDuplex({ read } as ByteReader).settled();
        expectError(error, UsageError, "COOP_ARGUMENT", /count/);
        for (const reading of [
          () => new BufferedReader({ read }).readLine(),
          () => new BufferedReader({ read }).read(Buffer.alloc(4)),
        ]) {
          expect((yield* failureOf(reading)).code).toBe("COOP_ARGUMENT");
        }
      });
    },
  );

  test("S16 what is no stream, and what is no option", async () => {
    await runIo(function* () {
      for (const wrong of [null, undefined, 42, "x", [], {}, new Date(), Promise.resolve(), { read: 1 }]) {
        expectError(
          thrownBy(() => toDuplex(wrong as never)),
          UsageError,
          "COOP_ARGUMENT",
          /a duplex is made of/,
        );
      }
      const { near, far } = yield* tcpPair();
      expectError(
        thrownBy(() => toDuplex(near, 1 as never)),
        UsageError,
        "COOP_ARGUMENT",
        /options/,
      );
      expectError(
        thrownBy(() => toDuplex(near, { owner: {} as never })),
        UsageError,
        "COOP_ARGUMENT",
        /owner/,
      );
      expectError(
        thrownBy(() => toDuplex(near, { highWaterMark: -1 })),
        UsageError,
        "COOP_ARGUMENT",
        /highWaterMark/,
      );
      for (const signal of [{}, { addEventListener() {} }]) {
        expectError(
          thrownBy(() => toDuplex(near, { signal: signal as never })),
          UsageError,
          "COOP_NOT_A_SIGNAL",
          /signal/i,
        );
      }
      const polluted = Object.prototype as { allowHalfOpen?: boolean; owner?: unknown };
      polluted.allowHalfOpen = true;
      polluted.owner = "nobody";
      try {
        const duplex = toDuplex(near);
        expect(duplex.allowHalfOpen).toBe(false);
        expect(() => duplex.setTimeout(-1)).toThrow(UsageError);
        expect(() => duplex.setTimeout(1, 2 as never)).toThrow(UsageError);
        duplex.destroy();
        yield* duplex.settled();
      } finally {
        delete polluted.allowHalfOpen;
        delete polluted.owner;
      }
      yield* far.close();
    });
    expectError(
      thrownBy(() => toDuplex({ read: () => never() })),
      UsageError,
      "COOP_NO_TASK",
      /toDuplex/,
    );
  });
});

describe("S05 S16 back-pressure", () => {
  test("S05 S16 a duplex that nobody reads holds what it may, and no more", async () => {
    await runIo(function* () {
      const { near, far } = yield* tcpPair();
      const duplex = toDuplex(near, { readableHighWaterMark: 10_000 });
      const total = 1 << 23;
      const writer = spawn(far.sendAll(allocate(total)));
      for (let turn = 0; turn < 50; turn++) yield* nodeTurn();
      expect(writer.status).toBe("blocked");
      expect(duplex.readableLength).toBeGreaterThanOrEqual(10_000);
      expect(duplex.readableLength).toBeLessThan(10_000 + 64 * 1024);
      expect(ioCounts().inflight).toBe(1);
      let length = 0;
      duplex.on("data", (chunk: Buffer) => (length += chunk.length));
      yield* writer.join();
      yield* far.close();
      yield* duplex.settled();
      expect(length).toBe(total);
    });
  });

  test("S02 S16 a million bytes both ways at once, through pipelines, in pieces of all sizes", async () => {
    await runIo(function* () {
      const { near, far } = yield* tcpPair();
      const echo = toDuplex(far, { allowHalfOpen: true });
      const duplex = toDuplex(near, { allowHalfOpen: true });
      pipeline(echo, new PassThrough(), echo, () => {});
      const sent = pattern(1 << 20);
      const chunks: Buffer[] = [];
      duplex.on("data", (chunk: Buffer) => chunks.push(chunk));
      for (let at = 0, size = 1; at < sent.length; at += size, size = (size * 7 + 13) % 16_384) {
        if (size === 0) size = 1;
        if (!duplex.write(sent.subarray(at, at + size))) yield* untilPromise(onceEvent(duplex, "drain"));
      }
      duplex.end();
      yield* duplex.settled();
      yield* echo.settled();
      expect(Buffer.concat(chunks).equals(sent)).toBe(true);
      expect([duplex.bytesRead, duplex.bytesWritten]).toEqual([1 << 20, 1 << 20]);
    });
  });

  test("S16 a time-out is for idle connections: neither for reads nor for a slow write that moves", async () => {
    await runIo(function* () {
      const { near, far } = yield* tcpPair();
      near.setOption("sendBuffer", 65_536);
      far.setOption("receiveBuffer", 65_536);
      const duplex = toDuplex(near);
      let timeouts = 0;
      duplex.setTimeout(100, () => timeouts++);
      duplex.on("timeout", () => timeouts++);
      duplex.write(Buffer.alloc(1 << 23));
      const into = allocate(1 << 18);
      for (let left = 1 << 23; left > 0; ) {
        yield* sleep(10);
        left -= yield* far.recv(into);
      }
      expect(timeouts).toBe(0);
      yield* until(() => timeouts > 0);
      // Both, once.
      expect(timeouts).toBe(2);
      duplex.destroy();
      yield* duplex.settled();
      yield* far.close();
    });
  });
});

describe("S16 everything killed at every step, on the simulated kernel", () => {
  /** What must hold of every duplex when all is over. */
  const made: { duplex: Duplex; log: string[] }[] = [];
  const watched = (duplex: Duplex): Duplex => {
    made.push({ duplex, log: lastEvents(duplex) });
    return duplex;
  };
  const check = (): void => {
    for (const { duplex, log } of made.splice(0)) {
      expect(duplex.destroyed).toBe(true);
      expect(log.filter((event) => event === "close")).toEqual(["close"]);
      expect(log.at(-1)).toBe("close");
      expect(log.length).toBeLessThanOrEqual(2);
    }
  };

  const echo = op(function* (socket: Socket) {
    const duplex = watched(toDuplex(socket, { allowHalfOpen: true })) as ReturnType<typeof toDuplex>;
    pipelinePromise(duplex, new PassThrough(), duplex).catch(() => {});
    yield* duplex.settled();
  });

  const client = op(function* (socket: Socket) {
    using _ = socket;
    yield* socket.sendAll(pattern(6000));
    yield* socket.end();
    const reader = new BufferedReader(socket);
    const got = yield* reader.readExactly(6000);
    expect(got.equals(pattern(6000))).toBe(true);
    expect(yield* reader.read(Buffer.alloc(1))).toBe(0);
  });

  const programs: Readonly<Record<string, () => Body<unknown>>> = {
    "an echo through a pipeline": () =>
      op(function* () {
        const { near, far } = yield* simulatedPair();
        // The last wait of that is a close, which a kill does not interrupt.
        yield* yieldNow();
        const server = spawn(echo(far), { start: "now", failure: "hold" });
        const asking = spawn(client(near), { start: "now", failure: "hold" });
        yield* asking.settled();
        yield* server.settled();
      })(),
    "a duplex that dials, writes at once, and is destroyed in the middle": () =>
      op(function* () {
        using listener = yield* listen({ host: "127.0.0.1", port: 7 });
        const duplex = watched(toDuplex(connect({ host: "127.0.0.1", port: 7 }))) as ReturnType<
          typeof toDuplex
        >;
        duplex.write(pattern(100_000));
        duplex.resume();
        const accepted = spawn(
          function* () {
            using socket = yield* listener.accept();
            yield* socket.recv(Buffer.alloc(1000));
          },
          { failure: "hold" },
        );
        yield* accepted.settled();
        duplex.destroy();
        yield* duplex.settled();
      })(),
  };

  test.each(Object.entries(programs))(
    "S16 %s",
    async (_name, program) => {
      const runs = await killAtEveryStepAsync({ seed: 1, delay: 3 }, program, check);
      expect(runs).toBeGreaterThan(50);
    },
    60_000,
  );
});
