/** Direct descriptors on the real ring. */
import { readFileSync, writeFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import {
  ClosedError,
  DeadlineError,
  type Operation,
  op,
  self,
  spawn,
  UnsupportedError,
  UsageError,
} from "../../src/coordinator/index.ts";
import {
  accept,
  adoptSocket,
  BufferedReader,
  BufferRing,
  borrowFile,
  chain,
  close,
  connect,
  fsync,
  Handle,
  listen,
  makeDirect,
  makeOrdinary,
  open,
  Receiver,
  read,
  readToEnd,
  recv,
  type Socket,
  send,
  sendAll,
  sendFile,
  serve,
  setupAccept,
  setupOpen,
  setupRecv,
  setupSocket,
  shutdown,
  socket,
  stat,
  writeAll,
} from "../../src/io/index.ts";
import { ALLOWED_OPCODES, OP_FIXED_FD_INSTALL } from "../../src/native/opcodes.ts";
import {
  expectError,
  failureOf,
  freshPath,
  ioCounts,
  nodeTurn,
  openDescriptors,
  type Pair,
  pattern,
  runIo,
  stop,
  submitted,
  tcpPair,
  thrownBy,
  unixPair,
  until,
} from "../support/io.ts";

const DIRECT = { direct: true } as const;

/** What the kernel has in the ring's table: a line for each place that is taken. */
function table(): string[] {
  const ring = self().cooperator.driver as unknown as { fd: number };
  const lines = readFileSync(`/proc/self/fdinfo/${ring.fd}`, "utf8").split("\n");
  const from = lines.findIndex((line) => line.startsWith("UserFiles:"));
  const to = lines.findIndex((line) => line.startsWith("UserBufs:"));
  return lines.slice(from + 1, to).filter((line) => !line.endsWith("<none>"));
}

/** Waits until the table has as many. */
const tableHas = op(function* (count: number) {
  yield* until(() => table().length === count);
});

/** A connection whose accepted end is direct, and the other one too when `both`. */
const directPair: (both?: boolean) => Operation<Pair> = op(function* (both?: boolean) {
  const listener = yield* listen({ host: "127.0.0.1", port: 0 }, DIRECT);
  const near = yield* connect(listener.localAddress!, { direct: both === true });
  const far = yield* accept(listener);
  yield* close(listener);
  return { near, far };
});

describe("a direct descriptor", () => {
  test("is accepted into the ring's table, and is none of the process's", async () => {
    await runIo(function* () {
      const listener = yield* listen({ host: "127.0.0.1", port: 0 });
      const before = openDescriptors();
      const near = yield* connect(listener.localAddress!, DIRECT);
      const far = yield* accept(listener, DIRECT);
      yield* until(() => openDescriptors().length === before.length);
      expect([near.direct, far.direct, listener.direct]).toEqual([true, true, false]);
      expect([near.fd, far.fd]).toEqual([-1, -1]);
      expect(table()).toHaveLength(2);
      expect(far.label).toMatch(/^socket direct \d+$/);
      for (const each of [near, far, listener]) yield* close(each);
      expect(table()).toEqual([]);
    });
  });

  test.each([false, true])("sends, receives, ends and closes as any other (both ends: %s)", async (both) => {
    await runIo(function* () {
      const { near, far } = yield* directPair(both);
      const bytes = pattern(500_000);
      const reading = spawn(function* () {
        const reader = new BufferedReader(far);
        const all = yield* reader.readExactly(bytes.length);
        expect(yield* far.recv(Buffer.alloc(1))).toBe(0);
        return all;
      });
      yield* sendAll(near, bytes);
      yield* near.end();
      expect((yield* reading.join()).equals(bytes)).toBe(true);
      yield* far.sendAll(Buffer.from("bye"));
      yield* shutdown(far, "write");
      const into = Buffer.alloc(8);
      expect(yield* near.read(into)).toBe(3);
      expect(yield* near.read(into)).toBe(0);
      expect(yield* failureOf(send(far, into))).toBeInstanceOf(ClosedError);
      for (const each of [near, far]) yield* close(each);
      expect(yield* failureOf(() => recv(far, into))).toBeInstanceOf(ClosedError);
      yield* close(far);
      expect(table()).toEqual([]);
    });
  });

  test("is a file as well", async () => {
    const path = freshPath();
    await runIo(function* () {
      const file = yield* open(path, "w+", DIRECT);
      expect(file.direct).toBe(true);
      yield* writeAll(file, Buffer.from("hello"));
      yield* chain([writeAll(file, Buffer.from(" world"), { position: 5 }), fsync(file)]);
      const into = Buffer.alloc(16);
      expect(yield* read(file, into, { position: 0 })).toBe(11);
      expect(into.toString("utf8", 0, 11)).toBe("hello world");
      yield* file.truncate(5);
      yield* close(file);
      expect(readFileSync(path, "utf8")).toBe("hello");
      using again = yield* open(path, "r", { direct: true });
      expect(String(yield* readToEnd(again))).toBe("hello");
    });
  });

  test("waits under a limit on file operations, and is cancelled there by its close", async () => {
    await runIo(
      function* () {
        const file = yield* open(freshPath(), "w+", DIRECT);
        const tasks = Array.from({ length: 20 }, (_, i) =>
          spawn(writeAll(file, Buffer.from("x"), { position: i }), { failure: "hold" }),
        );
        yield* tasks[0]!.join();
        yield* close(file);
        for (const task of tasks) expect((yield* task.settled()).status).toMatch(/done|failed/);
      },
      { ring: { fileOperationsMax: 1 } },
    );
  });

  test("has a time limit, and a kill ends what waits on it", async () => {
    await runIo(function* () {
      const { near, far } = yield* directPair();
      const into = Buffer.alloc(8);
      expect(yield* failureOf(recv(far, into, { timeout: 5 }))).toBeInstanceOf(DeadlineError);
      const reader = spawn(recv(far, into));
      yield* submitted();
      yield* stop(reader);
      expect(ioCounts().inflight).toBe(0);
      // Nothing that comes later was taken by it.
      yield* sendAll(near, Buffer.from("later"));
      expect(yield* recv(far, into)).toBe(5);
      for (const each of [near, far]) yield* close(each);
    });
  });

  test("is received from with many shots", async () => {
    await runIo(function* () {
      const { near, far } = yield* directPair();
      const receiver = new Receiver(far, new BufferRing({ size: 64, count: 8 }));
      const bytes = pattern(5000);
      spawn(function* () {
        yield* sendAll(near, bytes);
        yield* near.end();
      });
      const got: Buffer[] = [];
      const into = Buffer.alloc(100);
      for (let count = yield* receiver.read(into); count > 0; count = yield* receiver.read(into)) {
        got.push(Buffer.from(into.subarray(0, count)));
      }
      expect(Buffer.concat(got).equals(bytes)).toBe(true);
      yield* receiver.release();
      for (const each of [near, far]) yield* close(each);
    });
  });

  test("gets files that are sent", async () => {
    await runIo(function* () {
      const path = freshPath();
      const bytes = pattern(200_000);
      writeFileSync(path, bytes);
      const { near, far } = yield* directPair();
      const file = yield* open(path);
      const reading = spawn(new BufferedReader(near).readExactly(bytes.length));
      yield* sendFile(far, file);
      expect((yield* reading.join()).equals(bytes)).toBe(true);
      // It cannot be taken from in the kernel.
      const source = yield* open(path, "r", DIRECT);
      expectError(yield* failureOf(sendFile(far, source)), UsageError, "COOP_DIRECT", /makeOrdinary/);
      for (const each of [near, far, file, source]) yield* close(each);
    });
  });

  test("is served: many connections, none of them the process's", async () => {
    await runIo(function* () {
      using listener = yield* listen({ host: "127.0.0.1", port: 0 }, DIRECT);
      const session = op(function* (peer: Socket) {
        expect(peer.direct).toBe(true);
        const into = Buffer.alloc(16);
        const count = yield* peer.recv(into);
        yield* peer.sendAll(into.subarray(0, count));
      });
      const server = spawn(serve(listener, session));
      const clients = Array.from({ length: 50 }, (_, i) =>
        spawn(function* () {
          using client = yield* connect(listener.localAddress!);
          yield* client.sendAll(Buffer.from(`hello ${i}`));
          const into = Buffer.alloc(16);
          expect(into.toString("utf8", 0, yield* client.recv(into))).toBe(`hello ${i}`);
        }),
      );
      for (const client of clients) yield* client.join();
      yield* stop(server);
      yield* tableHas(0);
    });
  });

  test("is the result of setup forms, to be adopted", async () => {
    await runIo(function* () {
      using listener = yield* listen({ host: "127.0.0.1", port: 0 });
      const handle = new Handle();
      setupAccept(handle, listener, DIRECT);
      const near = yield* connect(listener.localAddress!);
      const far = adoptSocket(yield* handle);
      expect(far.direct).toBe(true);
      expect(() => adoptSocket(handle.result)).toThrow(/not an open descriptor/);
      expect(() => borrowFile(handle.result)).toThrow(/not an open descriptor/);
      yield* sendAll(near, Buffer.from("x"));
      expect(yield* recv(far, Buffer.alloc(1))).toBe(1);
      for (const each of [near, far]) yield* close(each);
      // What nobody adopts is closed with its task.
      const task = spawn(function* () {
        const [made, opened] = [new Handle(), new Handle()];
        setupSocket(made, "ipv4", "stream", DIRECT);
        setupOpen(opened, freshPath(), "w", DIRECT);
      });
      yield* task.join();
      yield* tableHas(0);
    });
  });
});

describe("what a direct descriptor cannot do", () => {
  test("says so, and what to do", async () => {
    await runIo(function* () {
      const { near, far } = yield* directPair();
      const file = yield* open(freshPath(), "w", DIRECT);
      const calls: (() => unknown)[] = [
        () => far.setOption("noDelay", true),
        () => far.getOption("noDelay"),
        () => far.localAddress,
        () => far.remote,
        () => far.peerCredentials,
        () => far.release(),
      ];
      for (const call of calls) expectError(thrownBy(call), UsageError, "COOP_DIRECT", /makeOrdinary/);
      const at = file as unknown as Parameters<typeof close>[0];
      for (const operation of [
        () => stat(file),
        () => open("x", "r", { at }),
        () => file.getXattr("user.x"),
      ]) {
        expectError(yield* failureOf(operation), UsageError, "COOP_DIRECT", /direct descriptor/);
      }
      for (const each of [near, far, file]) yield* close(each);
    });
  });

  test("it can when it was made an ordinary one, which keeps all the rest", async () => {
    await runIo(function* () {
      const { near, far } = yield* directPair();
      const into = Buffer.alloc(8);
      yield* sendAll(near, Buffer.from("kept"));
      // Bytes that came for a reader that was killed.
      const reader = spawn(recv(far, into));
      yield* submitted();
      reader.kill();
      yield* reader.settled();
      yield* far.makeOrdinary();
      expect(far.direct).toBe(false);
      expect(far.fd).toBeGreaterThan(2);
      yield* tableHas(0);
      far.setOption("keepAlive", true);
      expect(far.remote).toMatch(/^127\.0\.0\.1:\d+$/);
      yield* far.makeOrdinary();
      yield* far.makeDirect();
      yield* makeDirect(far);
      expect(table()).toHaveLength(1);
      expect(yield* recv(far, into)).toBe(4);
      yield* sendAll(far, Buffer.from("back"));
      expect(yield* recv(near, into)).toBe(4);
      for (const each of [near, far]) yield* close(each);
    });
  });

  test("nothing may work on it while it is moved, nor may it be somebody else's", async () => {
    await runIo(function* () {
      const { near, far } = yield* directPair();
      const reader = spawn(recv(far, Buffer.alloc(8)), { failure: "hold" });
      yield* submitted();
      expectError(yield* failureOf(makeOrdinary(far)), UsageError, "COOP_DESCRIPTOR", /in flight/);
      yield* stop(reader);
      const input = borrowFile(near.fd === 0 ? 1 : 0);
      expectError(yield* failureOf(makeDirect(input)), UsageError, "COOP_DESCRIPTOR", /borrowed/);
      // Begun while it is being moved.
      const moving = spawn(makeOrdinary(far), { failure: "hold", start: "now" });
      const late = spawn(recv(far, Buffer.alloc(8)), { failure: "hold", start: "now" });
      expectError(yield* failureOf(moving.join()), UsageError, "COOP_DESCRIPTOR", /in flight/);
      expect(far.direct).toBe(true);
      yield* sendAll(near, Buffer.from("x"));
      expect(yield* late.join()).toBe(1);
      // Closed while it is being moved.
      const closing = spawn(makeOrdinary(far), { failure: "hold", start: "now" });
      yield* close(far);
      expect(yield* failureOf(closing.join())).toBeInstanceOf(ClosedError);
      for (const each of [near, input]) yield* close(each);
      yield* tableHas(0);
    });
  });

  test("a kernel or a process that does not allow it is told of before anything is opened", async () => {
    const opcodes = ALLOWED_OPCODES.filter((opcode) => opcode !== OP_FIXED_FD_INSTALL);
    await runIo(
      function* () {
        const { near, far } = yield* directPair();
        expectError(yield* failureOf(makeOrdinary(far)), UnsupportedError, "COOP_UNSUPPORTED", /6\.8/);
        for (const each of [near, far]) yield* close(each);
      },
      { ring: { opcodes } },
    );
    await runIo(
      function* () {
        const error = yield* failureOf(socket("ipv4", "stream", DIRECT));
        expectError(error, UnsupportedError, "COOP_UNSUPPORTED", /RLIMIT_NOFILE/);
        using listener = yield* listen({ host: "127.0.0.1", port: 0 });
        expect(thrownBy(() => listener.acceptAll(DIRECT))).toBeInstanceOf(UnsupportedError);
      },
      { ring: { directDescriptors: 1 << 20 } },
    );
    for (const directDescriptors of [0, -1, 1.5, Number.NaN, 2 ** 21]) {
      const wrong = runIo(() => socket("ipv4"), { ring: { directDescriptors } });
      await expect(wrong).rejects.toMatchObject({ code: "COOP_ARGUMENT" });
    }
  });

  test("a full table is ENFILE, until there is a place again", async () => {
    await runIo(
      function* () {
        const made = [yield* socket("unix", "stream", DIRECT), yield* socket("unix", "stream", DIRECT)];
        const { near, far } = yield* unixPair();
        for (const operation of [() => socket("unix", "stream", DIRECT), () => makeDirect(near)]) {
          expect(yield* failureOf(operation)).toMatchObject({ code: "ENFILE" });
        }
        yield* close(made.pop()!);
        yield* makeDirect(near);
        for (const each of [near, far, ...made]) yield* close(each);
      },
      { ring: { directDescriptors: 2 } },
    );
  });
});

describe("R11 the place of a direct descriptor", () => {
  test("R11 is used again only after what was in flight has ended, on the file that it began with", async () => {
    await runIo(
      function* () {
        const old = yield* directPair();
        const into = Buffer.alloc(8);
        const handle = new Handle();
        setupRecv(handle, old.far, into);
        yield* submitted();
        const place = table()[0]!.trim().split(":")[0];
        const closing = spawn(close(old.far));
        // There is one place: the next one has to be the same.
        const { near, far } = yield* directPairOnceThereIsRoom();
        yield* closing.join();
        expect(handle.result).toBe(-125);
        expect(table()[0]!.trim().split(":")[0]).toBe(place);
        // Neither has anything of the other.
        yield* sendAll(near, Buffer.from("new"));
        expect(yield* recv(far, into)).toBe(3);
        expect(yield* recv(old.near, into)).toBe(0);
        for (const each of [near, far, old.near]) yield* close(each);
      },
      { ring: { directDescriptors: 1 } },
    );
  });

  const directPairOnceThereIsRoom = op(function* () {
    const pair = yield* tcpPair();
    for (;;) {
      const error = yield* failureOf(function* () {
        yield* makeDirect(pair.far);
        throw new Error("moved");
      });
      if (error.message === "moved") return pair;
      expect(error).toMatchObject({ code: "ENFILE" });
      yield* nodeTurn();
    }
  });

  test("R11 operations that are queued with a close go to the file that was there when they were queued", async () => {
    await runIo(
      function* () {
        for (let i = 0; i < 30; i++) {
          const { near, far } = yield* directPair();
          yield* sendAll(near, Buffer.from("old"));
          const into = Buffer.alloc(8);
          // All in one submission: a receive, the close of the same place, and an accept that gets it.
          const late = spawn(recv(far, into), { failure: "hold", start: "now" });
          far[Symbol.dispose]();
          const made = yield* socket("unix", "stream", DIRECT);
          const exit = yield* late.settled();
          expect(exit.status === "done" ? exit.value : "ended").toSatisfy(
            (value: unknown) => value === 3 || value === "ended",
          );
          for (const each of [near, made]) yield* close(each);
        }
        yield* tableHas(0);
      },
      { ring: { directDescriptors: 2 } },
    );
  });

  test.each([0, 1, 2, 3])(
    "P15, R11 an accept killed after %i turns leaves no place taken, in 64 tries",
    async (turns) => {
      await runIo(function* () {
        using listener = yield* listen({ host: "127.0.0.1", port: 0 }, DIRECT);
        for (let i = 0; i < 64; i++) {
          const task = spawn(i % 2 === 0 ? accept(listener) : connect(listener.localAddress!, DIRECT), {
            failure: "hold",
          });
          const client = spawn(connect(listener.localAddress!), { failure: "hold" });
          for (let turn = 0; turn < turns; turn++) yield* submitted();
          task.kill();
          const exit = yield* task.settled();
          if (exit.status === "done") yield* close(exit.value as Socket);
          const connected = yield* client.settled();
          if (connected.status === "done") yield* close(connected.value);
        }
        yield* tableHas(0);
      });
    },
  );

  test("P12, R11 connections accepted ahead are closed with their acceptor", async () => {
    await runIo(function* () {
      using listener = yield* listen({ host: "127.0.0.1", port: 0 }, DIRECT);
      const acceptor = listener.acceptAll({ unclaimed: 4 });
      const clients: Socket[] = [];
      const first = spawn(acceptor.next());
      for (let i = 0; i < 8; i++) clients.push(yield* connect(listener.localAddress!));
      using claimed = yield* first.join();
      expect(claimed.direct).toBe(true);
      yield* until(() => acceptor.statistics().unclaimed >= 3);
      acceptor[Symbol.dispose]();
      yield* close(claimed);
      for (const client of clients) yield* close(client);
      yield* tableHas(0);
    });
  });
});
