/** Descriptors over unix sockets: all arrive, none leaks, whatever ends the waiting for them. */
import { readFileSync, writeFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { BusyError, ClosedError, DeadlineError, op, spawn, UsageError } from "../../src/coordinator/index.ts";
import {
  allocate,
  close,
  descriptorsOf,
  File,
  Handle,
  listen,
  open,
  openDatagram,
  openPipe,
  read,
  receiveDescriptors,
  receiveFrom,
  runProcess,
  Socket,
  sendAll,
  sendDescriptors,
  setupReceiveDescriptors,
  setupSendDescriptors,
} from "../../src/io/index.ts";
import { runWrapped } from "../support/children.ts";
import {
  abstractName,
  expectError,
  failureOf,
  freshPath,
  openDescriptors,
  runIo,
  stop,
  submitted,
  tcpPair,
  thrownBy,
  unixPair,
} from "../support/io.ts";

const bytes = (text: string): Buffer => Buffer.from(text);

/** A file with its own name as content. */
const fileOf = op(function* (name: string) {
  const path = freshPath(name);
  writeFileSync(path, name);
  return yield* open(path, "r");
});

const contentOf = op(function* (file: File | Socket | null) {
  const into = Buffer.alloc(64);
  const count = yield* read(file!, into, { position: 0 });
  yield* close(file!);
  return into.toString("utf8", 0, count);
});

describe("what is passed", () => {
  test("files arrive in order, with their bytes, and are not inherited", async () => {
    await runIo(function* () {
      const { near, far } = yield* unixPair();
      using first = yield* fileOf("first");
      using second = yield* fileOf("second");
      expect(yield* sendDescriptors(near, bytes("two files"), [first, second, first])).toBe(9);
      const into = Buffer.alloc(32);
      using received = yield* receiveDescriptors(far, into);
      expect(received.count).toBe(9);
      expect(into.toString("utf8", 0, 9)).toBe("two files");
      expect(received.remaining).toBe(3);
      const one = received.take()!;
      expect(one).toBeInstanceOf(File);
      expect(one.fd).not.toBe(first.fd);
      // O_CLOEXEC.
      expect(
        Number.parseInt(/flags:\s+(\d+)/.exec(readFileSync(`/proc/self/fdinfo/${one.fd}`, "utf8"))![1]!, 8),
      ).toBe(0o2100000 | 0);
      expect(yield* contentOf(one)).toBe("first");
      expect(yield* contentOf(received.take())).toBe("second");
      expect(yield* contentOf(received.take())).toBe("first");
      expect(received.take()).toBe(null);
    });
  });

  test("a connection goes on where it is passed to", async () => {
    await runIo(function* () {
      const { near, far } = yield* unixPair();
      const { near: client, far: connection } = yield* tcpPair();
      yield* sendAll(client, bytes("hello"));
      yield* sendDescriptors(near, bytes("x"), [connection]);
      yield* close(connection);
      using received = yield* receiveDescriptors(far, Buffer.alloc(1));
      const passed = received.take() as Socket;
      expect(passed).toBeInstanceOf(Socket);
      const into = Buffer.alloc(16);
      expect(yield* passed.recv(into)).toBe(5);
      yield* passed.sendAll(bytes("answer"));
      expect(yield* client.recv(into)).toBe(6);
      yield* close(passed);
      expect(yield* client.recv(into)).toBe(0);
    });
  });

  test.each([1, 252, 253])("%i at a time, in ordinary and in shared memory", async (count) => {
    await runIo(function* () {
      const { near, far } = yield* unixPair();
      using file = yield* fileOf("many");
      const before = openDescriptors();
      for (const make of [Buffer.alloc, allocate]) {
        const sending = make(100);
        sending.fill(7);
        const into = make(200);
        yield* sendDescriptors(near, sending, Array(count).fill(file));
        using received = yield* receiveDescriptors(far, into);
        expect([received.count, received.remaining, into[99], into[100]]).toEqual([100, count, 7, 0]);
      }
      for (let i = 0; i < 4; i++) yield* submitted();
      expect(openDescriptors()).toEqual(before);
    });
  });

  test("messages with descriptors do not run together, and plain ones have none", async () => {
    await runIo(function* () {
      const { near, far } = yield* unixPair();
      using file = yield* fileOf("file");
      yield* sendDescriptors(near, bytes("a"), [file]);
      yield* sendAll(near, bytes("b"));
      yield* sendDescriptors(near, bytes("c"), [file, file]);
      yield* near.end();
      const counts: number[][] = [];
      for (;;) {
        using received = yield* receiveDescriptors(far, Buffer.alloc(8));
        if (received.count === 0) break;
        counts.push([received.count, received.remaining]);
      }
      expect(counts.flatMap(([, descriptors]) => descriptors!).reduce((sum, count) => sum + count)).toBe(3);
      expect(counts.reduce((sum, [count]) => sum + count!, 0)).toBe(3);
    });
  });

  test("datagrams carry them too; who does not ask for them does not get them", async () => {
    await runIo(function* () {
      const path = abstractName();
      using to = yield* openDatagram({ path });
      using from = yield* openDatagram(null, { connect: { path } });
      using file = yield* fileOf("file");
      const before = openDescriptors();
      expect(yield* sendDescriptors(from, bytes("datagram"), [file])).toBe(8);
      expect(yield* receiveFrom(to, Buffer.alloc(16))).toMatchObject({ count: 8, truncated: false });
      expect(openDescriptors()).toEqual(before);
    });
  });

  test("another process gets them", async () => {
    await runIo(function* () {
      const path = freshPath("socket");
      using listener = yield* listen({ path });
      using file = yield* fileOf("from another process");
      const program = `
import array, os, socket, sys
peer = socket.socket(socket.AF_UNIX); peer.connect(sys.argv[1])
data, control, flags, address = peer.recvmsg(16, socket.CMSG_SPACE(4))
number = array.array("i", control[0][2])[0]
print(data.decode(), os.pread(number, 100, 0).decode())
peer.sendmsg([b"back"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [number]))])
`;
      const running = spawn(runProcess("python3", ["-c", program, path]));
      using socket = yield* listener.accept();
      yield* sendDescriptors(socket, bytes("take"), [file]);
      using received = yield* receiveDescriptors(socket, Buffer.alloc(16));
      expect(yield* contentOf(received.take())).toBe("from another process");
      const { stdout, stderr } = yield* running.join();
      expect(stderr.toString()).toBe("");
      expect(stdout.toString()).toBe("take from another process\n");
    });
  });
});

describe("nothing leaks", () => {
  test("descriptors that nobody takes are closed with what they came in", async () => {
    await runIo(function* () {
      const { near, far } = yield* unixPair();
      using file = yield* fileOf("file");
      const before = openDescriptors();
      yield* sendDescriptors(near, bytes("x"), [file, file, file]);
      {
        using received = yield* receiveDescriptors(far, Buffer.alloc(8));
        yield* close(received.take()!);
        expect(openDescriptors().length).toBe(before.length + 2);
      }
      yield* submitted();
      yield* submitted();
      expect(openDescriptors()).toEqual(before);
    });
  });

  test.each([0, 1, 2, 3])(
    "those that come with a kill are what the next one gets (%i turns)",
    async (turns) => {
      await runIo(function* () {
        const { near, far } = yield* unixPair();
        using file = yield* fileOf("file");
        const waiting = spawn(receiveDescriptors(far, Buffer.alloc(8)));
        yield* submitted();
        yield* sendDescriptors(near, bytes("ab"), [file, file]);
        for (let i = 0; i < turns; i++) yield* submitted();
        const got = waiting.exit?.status === "done" ? waiting.result : null;
        got?.[Symbol.dispose]();
        yield* stop(waiting);
        if (got !== null) return;
        using received = yield* receiveDescriptors(far, Buffer.alloc(1));
        expect([received.count, received.remaining]).toEqual([1, 2]);
        using rest = yield* receiveDescriptors(far, Buffer.alloc(8));
        expect([rest.count, rest.remaining]).toEqual([1, 0]);
      });
    },
  );

  test.each([0, 1, 2, 3])("killed before it knows that they have come (%i turns)", async (turns) => {
    await runIo(function* () {
      const { near, far } = yield* unixPair();
      using file = yield* fileOf("file");
      const waiting = spawn(receiveDescriptors(far, Buffer.alloc(8)));
      yield* submitted();
      const sending = new Handle();
      setupSendDescriptors(sending, near, bytes("ab"), [file, file, file]);
      for (let i = 0; i < turns; i++) yield* submitted();
      waiting.kill("at the worst moment");
      yield* waiting.settled();
      expect(yield* sending.settled()).toBe(2);
      if (waiting.exit!.status === "done") return waiting.result[Symbol.dispose]();
      using received = yield* receiveDescriptors(far, Buffer.alloc(8));
      expect([received.count, received.remaining]).toEqual([2, 3]);
    });
  });

  test("kept ones are closed by a plain read of the byte they came with, and by a close", async () => {
    await runIo(function* () {
      const { near, far } = yield* unixPair();
      using file = yield* fileOf("file");
      const before = openDescriptors();
      const leave = op(function* () {
        const waiting = spawn(receiveDescriptors(far, Buffer.alloc(8)));
        yield* submitted();
        yield* sendDescriptors(near, bytes("ab"), [file, file]);
        yield* stop(waiting);
        // The kill may have been faster than the message: then it is with the kernel, and nothing is open.
        if (far.inbox.filled) expect(openDescriptors().length).toBe(before.length + 2);
      });
      yield* leave();
      expect(yield* far.recv(Buffer.alloc(8))).toBe(2);
      yield* submitted();
      yield* submitted();
      expect(openDescriptors()).toEqual(before);
      yield* leave();
      yield* close(far);
      yield* submitted();
      expect(openDescriptors().length).toBe(before.length - 1);
    });
  });

  test("those for which there is no room are an error, and none stays open", {
    timeout: 60_000,
  }, async () => {
    const command = ["sh", "-c", 'ulimit -n 200 && exec "$@"', "sh"];
    const { stdout, stderr, code } = await runWrapped({ command }, "few-descriptors");
    expect({ stderr, code }).toEqual({ stderr: "", code: 0 });
    expect(stdout.split("\n")).toEqual(["COOP_DESCRIPTORS_LOST 3 abc true", "1 1", ""]);
  });
});

describe("level 0", () => {
  test("both forms, and what they gave", async () => {
    await runIo(function* () {
      const { near, far } = yield* unixPair();
      using file = yield* fileOf("file");
      const [sending, receiving] = [new Handle(), new Handle()];
      expectError(
        thrownBy(() => descriptorsOf(receiving)),
        UsageError,
        "COOP_NOT_ENDED",
        /no descriptors/,
      );
      setupReceiveDescriptors(receiving, far, Buffer.alloc(8));
      setupSendDescriptors(sending, near, bytes("abc"), [file]);
      expect([yield* sending, yield* receiving]).toEqual([3, 3]);
      using received = descriptorsOf(receiving);
      expect(yield* contentOf(received.take())).toBe("file");
      expectError(
        thrownBy(() => descriptorsOf(receiving)),
        UsageError,
        "COOP_NOT_ENDED",
        /taken over/,
      );
    });
  });

  test("a send that waits ends when one of what it sends is closed", async () => {
    await runIo(function* () {
      const { near, far } = yield* unixPair();
      const pipe = yield* openPipe();
      const chunk = allocate(64 * 1024);
      const handle = new Handle();
      // Until the socket is full.
      for (;;) {
        setupSendDescriptors(handle, near, chunk, [pipe.reader]);
        yield* submitted();
        yield* submitted();
        if (handle.pending) break;
      }
      yield* close(pipe.reader);
      expect(yield* handle.settled()).toBe(-125);
      yield* close(pipe.writer);
      yield* close(far);
    });
  });
});

describe("misuse", () => {
  test("is a typed error before anything is sent", async () => {
    await runIo(function* () {
      const { near, far } = yield* unixPair();
      const tcp = yield* tcpPair();
      using file = yield* fileOf("file");
      for (const wrong of [[], Array(254).fill(file), file, null]) {
        expect(thrownBy(() => sendDescriptors(near, bytes("x"), wrong as never))).toMatchObject({
          code: "COOP_ARGUMENT",
        });
      }
      expect(thrownBy(() => sendDescriptors(near, bytes("x"), [7] as never))).toMatchObject({
        code: "COOP_DESCRIPTOR",
      });
      expect(thrownBy(() => sendDescriptors(near, bytes(""), [file]))).toMatchObject({
        code: "COOP_ARGUMENT",
      });
      expect(thrownBy(() => receiveDescriptors(far, Buffer.alloc(0)))).toMatchObject({ code: "COOP_BUFFER" });
      for (const call of [
        () => sendDescriptors(tcp.near, bytes("x"), [file]),
        () => receiveDescriptors(tcp.far, Buffer.alloc(1)),
      ]) {
        expectError(yield* failureOf(call), UsageError, "COOP_ARGUMENT", /unix sockets/);
      }
      const gone = yield* fileOf("gone");
      yield* close(gone);
      expectError(
        yield* failureOf(sendDescriptors(near, bytes("x"), [file, gone])),
        ClosedError,
        "COOP_CLOSED",
        /file/,
      );
      const waiting = spawn(receiveDescriptors(far, Buffer.alloc(1)));
      yield* submitted();
      expectError(
        yield* failureOf(receiveDescriptors(far, Buffer.alloc(1))),
        BusyError,
        "COOP_BUSY",
        /one at a time/,
      );
      yield* stop(waiting);
      expectError(
        yield* failureOf(receiveDescriptors(far, Buffer.alloc(1), { timeout: 5 })),
        DeadlineError,
        "COOP_DEADLINE",
        /recvmsg/,
      );
    });
  });
});
