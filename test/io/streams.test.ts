/** Streams: what a kill must not lose, ends, errors of peers, and the level 0 loop of the documentation. */
import { describe, expect, test } from "vitest";
import { ClosedError, coordinateWithKill, never, op, spawn } from "../../src/coordinator/index.ts";
import {
  accept,
  adoptSocket,
  allocate,
  close,
  connect,
  Handle,
  IoError,
  listen,
  nop,
  open,
  read,
  recv,
  type Socket,
  send,
  sendAll,
  setupRecv,
  setupShutdown,
  shutdown,
  write,
} from "../../src/io/index.ts";
import { OP_RECV } from "../../src/native/layout.ts";
import { Handle as Timer } from "../../src/time/handle.ts";
import { timeout } from "../../src/time/index.ts";
import {
  abstractName,
  expectError,
  failureOf,
  freshFifo,
  freshPath,
  ioCounts,
  pattern,
  runIo,
  stop,
  submitted,
  tcpPair,
  unixPair,
} from "../support/io.ts";
import { PENDING, runScripted, ScriptedDriver } from "../support/scripted-driver.ts";

const receive = op(function* (from: Socket, length: number) {
  const into = Buffer.alloc(length);
  return into.toString("utf8", 0, yield* recv(from, into));
});

/** Spawns a reader, lets `text` arrive for it, and kills it before it has run. */
const killSatisfied = op(function* (near: Socket, text: string, makeReader: () => ReturnType<typeof recv>) {
  const reader = spawn(makeReader(), { priority: 2 });
  yield* submitted();
  yield* sendAll(near, Buffer.from(text));
  while (reader.status === "blocked") yield* nop();
  expect(reader.status).toBe("ready");
  yield* stop(reader);
  expect(reader.exit).toMatchObject({ status: "killed" });
});

describe("POL12 bytes that came for a reader that was killed", () => {
  test.each([
    ["copied", () => Buffer.alloc(16)],
    ["shared", () => allocate(16)],
  ] as const)("are what the next reader gets first (%s)", async (_how, make) => {
    await runIo(function* () {
      const { near, far } = yield* tcpPair();
      yield* killSatisfied(near, "first ", () => recv(far, make()));
      yield* sendAll(near, Buffer.from("second"));
      expect(yield* receive(far, 16)).toBe("first ");
      expect(yield* receive(far, 16)).toBe("second");
    });
  });

  test("are handed out in pieces, to blocking and setup forms, and kept in order", () => {
    const texts = ["abc", "def", "ghi", "jkl"];
    const driver = new ScriptedDriver({
      result: (submission, self) => {
        if (submission.opcode !== OP_RECV) return 0;
        self.bytesOf(submission).set(Buffer.from(texts.shift()!));
        return 3;
      },
    });
    runScripted(driver, function* () {
      const peer = adoptSocket(driver.openNumber());
      // The order of so many does not matter here; a program's own streams have one reader at a time.
      peer.exclusive = false;
      const readers = [1, 2, 3].map(() => spawn(recv(peer, Buffer.alloc(16)), { start: "now", priority: 2 }));
      yield* nop();
      for (const reader of readers) {
        expect(reader.status).toBe("ready");
        reader.kill();
      }
      for (const reader of readers) expect((yield* reader.settled()).status).toBe("killed");
      expect(yield* receive(peer, 2)).toBe("ab");
      const handle = new Handle();
      const into = Buffer.alloc(3);
      setupRecv(handle, peer, into);
      expect([handle.status, handle.result, into.toString()]).toEqual(["done", 3, "cde"]);
      expect(yield* receive(peer, 100)).toBe("fghi");
      expect(yield* receive(peer, 100)).toBe("jkl");
      yield* close(peer);
    });
  });

  test("of a pipe and of a file at its own position too, and not of a place in a file", async () => {
    await runIo(function* () {
      const pipe = yield* open(freshFifo(), "r+");
      const reader = spawn(read(pipe, Buffer.alloc(8)), { priority: 2 });
      yield* submitted();
      yield* write(pipe, Buffer.from("piped"));
      while (reader.status === "blocked") yield* nop();
      yield* stop(reader);
      const into = Buffer.alloc(8);
      expect(into.toString("utf8", 0, yield* read(pipe, into))).toBe("piped");

      const file = yield* open(freshPath(), "w+");
      yield* write(file, Buffer.from("0123456789"), { position: 0 });
      for (const [options, next] of [
        [undefined, "01234567"],
        [{ position: 4 }, "89"],
      ] as const) {
        const late = spawn(read(file, Buffer.alloc(8), options), { priority: 2, start: "now" });
        while (late.status === "blocked") yield* nop();
        yield* stop(late);
        expect(into.toString("utf8", 0, yield* read(file, into))).toBe(next);
      }
      // Reads of a place do not look at what is kept.
      const kept = spawn(read(file, Buffer.alloc(8)), { priority: 2, start: "now" });
      while (kept.status === "blocked") yield* nop();
      yield* stop(kept);
      expect(yield* read(file, into, { position: 2 })).toBe(8);
      expect(into.toString()).toBe("23456789");
    });
  });

  test("whatever the cancel says, and whichever completion comes first", () => {
    for (const first of ["target", "cancel"] as const) {
      for (const how of ["blocking", "setup"] as const) {
        let pending = true;
        const driver = new ScriptedDriver({
          result: (submission, self) => {
            if (submission.opcode !== OP_RECV) return 0;
            self.bytesOf(submission).set(Buffer.from("late"));
            return pending ? PENDING : 4;
          },
          cancel: () => ({ first, cancel: -114, target: 4 }),
        });
        runScripted(driver, function* () {
          const peer = adoptSocket(driver.openNumber());
          const reader = spawn(
            op(function* () {
              if (how === "blocking") yield* recv(peer, Buffer.alloc(8));
              else {
                setupRecv(new Handle(), peer, Buffer.alloc(8));
                yield* never();
              }
            })(),
          );
          yield* nop();
          pending = false;
          yield* stop(reader);
          const into = Buffer.alloc(8);
          const before = driver.log.length;
          expect(into.toString("utf8", 0, yield* recv(peer, into))).toBe("late");
          // Without asking the kernel.
          expect(driver.log.length).toBe(before);
          yield* close(peer);
        });
      }
    }
  });

  test("are not lost by a timeout around the read either", async () => {
    await runIo(function* () {
      const { near, far } = yield* tcpPair();
      let got = "";
      const feeder = spawn(function* () {
        for (let i = 0; i < 200; i++) {
          yield* sendAll(near, Buffer.from(`${i},`));
          if (i % 3 === 0) yield* nop();
        }
        yield* shutdown(near, "write");
      });
      for (;;) {
        try {
          const text = yield* timeout(0.02, receive(far, 7));
          if (text === "") break;
          got += text;
        } catch (error) {
          expect(error).toMatchObject({ code: "COOP_DEADLINE" });
          yield* nop();
        }
      }
      yield* feeder.join();
      expect(got).toBe(Array.from({ length: 200 }, (_, i) => `${i},`).join(""));
    });
  });

  test("are gone when the socket is closed", async () => {
    await runIo(function* () {
      const { near, far } = yield* tcpPair();
      yield* killSatisfied(near, "kept", () => recv(far, Buffer.alloc(8)));
      expect(far.inbox.bytes).toBe(4);
      yield* close(far);
      expect(far.inbox.waiting).toBe(false);
    });
  });

  test("control: without a kill nothing is kept", async () => {
    await runIo(function* () {
      const { near, far } = yield* tcpPair();
      yield* sendAll(near, Buffer.from("read"));
      expect(yield* receive(far, 8)).toBe("read");
      expect(far.inbox.waiting).toBe(false);
    });
  });
});

describe("level 0: an operation, a timer, and a kill that is a value", () => {
  /** The sample of the design: partial results survive a kill. */
  const readWithin = op(function* (from: Socket, into: Buffer, within: string) {
    const operation = new Handle();
    const timer = new Timer();
    setupRecv(operation, from, into);
    timer.setup(within);
    const first = yield* coordinateWithKill(operation.coordinator, timer.coordinator);
    if (first.coordinator === operation.coordinator) {
      timer.cancel();
      return `read ${operation.result}`;
    }
    operation.cancel();
    timer.cancel();
    yield* operation.settled();
    return `${first.killed ? "killed" : "late"} ${operation.result}`;
  });

  test("the read is done first", async () => {
    await runIo(function* () {
      const { near, far } = yield* tcpPair();
      yield* sendAll(near, Buffer.from("word"));
      expect(yield* readWithin(far, Buffer.alloc(8), "10 seconds")).toBe("read 4");
    });
  });

  test("the timer is", async () => {
    await runIo(function* () {
      const { far } = yield* tcpPair();
      expect(yield* readWithin(far, Buffer.alloc(8), "1 millis")).toBe("late -125");
    });
  });

  test("a kill is", async () => {
    await runIo(function* () {
      const { near, far } = yield* tcpPair();
      const results: string[] = [];
      const body = op(function* () {
        results.push(yield* readWithin(far, Buffer.alloc(8), "10 seconds"));
        // The kill meets the task at its next wait.
        yield* never();
      });
      const early = spawn(body());
      yield* submitted();
      yield* stop(early);
      // And one whose bytes have come at the same time: they are the handle's.
      const late = spawn(body(), { priority: 2 });
      yield* submitted();
      yield* submitted();
      yield* sendAll(near, Buffer.from("word"));
      while (late.status === "blocked") yield* nop();
      yield* stop(late);
      expect(results).toEqual(["killed -125", "killed 4"]);
      expect(far.inbox.waiting).toBe(false);
    });
  });
});

describe("ends and errors of peers", () => {
  test.each([
    ["tcp", tcpPair],
    ["unix", unixPair],
  ] as const)(
    "S06 half close: the end is read, again and again, and answers still come (%s)",
    async (_kind, pairOf) => {
      await runIo(function* () {
        const { near, far } = yield* pairOf();
        yield* sendAll(near, Buffer.from("ask"));
        yield* shutdown(near, "write");
        expect(yield* receive(far, 8)).toBe("ask");
        for (let i = 0; i < 3; i++) expect(yield* receive(far, 8)).toBe("");
        yield* sendAll(far, Buffer.from("answer"));
        expect(yield* receive(near, 8)).toBe("answer");
        const error = yield* failureOf(() => send(near, Buffer.from("x")));
        expectError(error, ClosedError, "COOP_CLOSED", /sending on socket .* was ended by a shutdown/);
        // Once more is harmless.
        yield* shutdown(near, "write");
        const handle = new Handle();
        setupShutdown(handle, far, "both");
        expect(yield* handle).toBe(0);
        expect(yield* receive(near, 8)).toBe("");
      });
    },
  );

  test("a shutdown ends a recv that waits", async () => {
    await runIo(function* () {
      const { far } = yield* tcpPair();
      const reader = spawn(recv(far, Buffer.alloc(1)));
      yield* submitted();
      yield* shutdown(far, "read");
      expect(yield* reader.join()).toBe(0);
    });
  });

  test("S07 a reset is an error with the address, and there is no SIGPIPE", async () => {
    await runIo(function* () {
      const listener = yield* listen("127.0.0.1:0");
      const near = yield* connect(listener.localAddress!);
      const far = yield* accept(listener);
      yield* sendAll(near, Buffer.from("never read"));
      // Closed with bytes unread, it resets the connection.
      yield* close(far);
      const { port } = listener.localAddress as { port: number };
      const error = yield* failureOf(() => recv(near, Buffer.alloc(1)));
      expectError(
        error,
        IoError,
        "ECONNRESET",
        /ECONNRESET: connection reset by peer, recv 127\.0\.0\.1:\d+/,
      );
      expect(error).toMatchObject({ errno: -104, syscall: "recv", address: "127.0.0.1", port });
      expect(yield* failureOf(() => sendAll(near, Buffer.alloc(1 << 20)))).toMatchObject({ code: "EPIPE" });
    });
  });

  test("S09 what cannot be connected to, by name", async () => {
    await runIo(function* () {
      const listener = yield* listen("127.0.0.1:0");
      const { port } = listener.localAddress as { port: number };
      yield* close(listener);
      expect(yield* failureOf(() => connect(`127.0.0.1:${port}`))).toMatchObject({
        code: "ECONNREFUSED",
        syscall: "connect",
        address: "127.0.0.1",
        port,
        message: `ECONNREFUSED: connection refused, connect 127.0.0.1:${port}`,
      });
      const path = freshPath("socket");
      expect(yield* failureOf(() => connect({ path }))).toMatchObject({ code: "ENOENT", path });
      const file = yield* open(path, "w");
      expect(yield* failureOf(() => connect({ path }))).toMatchObject({ code: "ECONNREFUSED", path });
      expect(yield* failureOf(() => connect({ path: abstractName() }))).toMatchObject({
        code: "ECONNREFUSED",
      });
      yield* close(file);
      while (ioCounts().inflight > 0) yield* nop();
      expect(ioCounts().descriptors).toBe(0);
    });
  });

  test("S09 an address that is taken, or that this machine does not have", async () => {
    await runIo(function* () {
      const listener = yield* listen("127.0.0.1:0");
      const taken = listener.localAddress!;
      const error = yield* failureOf(() => listen(taken));
      expectError(error, IoError, "EADDRINUSE", /EADDRINUSE: address already in use, bind 127\.0\.0\.1:\d+/);
      expect(yield* failureOf(() => listen("192.0.2.1:0"))).toMatchObject({
        code: "EADDRNOTAVAIL",
        syscall: "bind",
        address: "192.0.2.1",
      });
      const path = freshPath("socket");
      yield* close(yield* listen({ path }));
      expect(yield* failureOf(() => listen({ path }))).toMatchObject({ code: "EADDRINUSE", path });
    });
  });

  test("several listeners share an address where that is asked for", async () => {
    await runIo(function* () {
      const first = yield* listen("127.0.0.1:0", { reusePort: true });
      const second = yield* listen(first.localAddress!, { reusePort: true });
      expect(second.localAddress).toEqual(first.localAddress);
    });
  });

  test("options of a socket that do not fit it are errors of setsockopt", async () => {
    await runIo(function* () {
      const { near } = yield* unixPair();
      const error = yield* failureOf(function* () {
        near.setOption("noDelay", true);
      });
      expect(error).toMatchObject({ code: "ENOTSUP", syscall: "setsockopt" });
    });
  });

  test("S02 a mebibyte both ways at once, in pieces of all sizes", async () => {
    await runIo(function* () {
      const LENGTH = 1 << 20;
      const { near, far } = yield* tcpPair();
      const write1 = op(function* (to: Socket, seed: number) {
        const all = pattern(LENGTH, seed);
        for (let at = 0, i = 0; at < LENGTH; i++) {
          const size = 1 + ((i * 7919 + seed) % 16384);
          yield* sendAll(to, all.subarray(at, at + size));
          at += size;
        }
      });
      const read1 = op(function* (from: Socket, seed: number) {
        const all = allocate(LENGTH);
        for (let at = 0, i = 0; at < LENGTH; i++) {
          const size = 1 + ((i * 104729 + seed) % 16384);
          at += yield* recv(from, all.subarray(at, Math.min(at + size, LENGTH)));
        }
        return all.equals(pattern(LENGTH, seed));
      });
      spawn(write1(near, 1));
      spawn(write1(far, 2));
      const readers = [spawn(read1(far, 1)), spawn(read1(near, 2))];
      for (const reader of readers) expect(yield* reader.join()).toBe(true);
    });
  });
});
