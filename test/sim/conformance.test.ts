/** Conformance of io on the simulated kernel: what a real one does once in a blue moon, many times over. */
import { describe, expect, test } from "vitest";
import {
  DeadlineError,
  type Operation,
  op,
  shield,
  spawn,
  UnsupportedError,
} from "../../src/coordinator/index.ts";
import {
  accept,
  BufferedReader,
  close,
  connect,
  Handle,
  IncompleteError,
  IoError,
  LimitError,
  listen,
  nop,
  open,
  openDatagram,
  openPipe,
  read,
  readFile,
  recv,
  type Socket,
  send,
  sendAll,
  setupNop,
  setupRecv,
  shutdown,
  truncate,
  writeAll,
  writeFile,
} from "../../src/io/index.ts";
import * as abi from "../../src/native/layout.ts";
import { SimulatedRuntime } from "../../src/testing/index.ts";
import { sleep } from "../../src/time/sleep.ts";
import { failureOf, pattern } from "../support/io.ts";
import { killAtEveryStep, simulatedPair, underSeeds } from "../support/simulated.ts";

const SEEDS = 30;

test("P01 a kill of a receive with no data ends it, whichever completion comes first", () => {
  for (const faults of [{ cancelFirst: 1 }, { cancelFirst: 0 }, { cancelFirst: 0.5, lateCancel: 0.5 }]) {
    underSeeds(
      SEEDS,
      { faults },
      (runtime) =>
        function* () {
          const { near, far } = yield* simulatedPair();
          const reader = spawn(recv(near, new Uint8Array(8)), { failure: "hold" });
          yield* sleep(100);
          yield* reader.killAndWait("enough");
          expect(reader.exit?.status).toBe("killed");
          // Both completions are in before the task has ended: its place and its memory are free.
          expect(runtime.driver.inflight).toBe(0);
          expect(runtime.io?.blocks).toBe(0);
          yield* close(near);
          yield* close(far);
        },
    );
  }
});

test("P04 io_uring_enter fails with submissions visible: none is lost, none is made twice", () => {
  const { driver, kernel } = underSeeds(
    SEEDS,
    { faults: { enterFailure: 0.5 }, sqEntries: 4 },
    () =>
      function* () {
        const bytes = pattern(3000);
        yield* writeFile("/file", bytes);
        expect((yield* readFile("/file")).equals(bytes)).toBe(true);
        const tasks = Array.from({ length: 30 }, () => spawn(nop()));
        for (const task of tasks) yield* task.join();
      },
  );
  expect(driver.statistics().retries).toBeGreaterThan(5);
  expect(kernel.taken).toBe(driver.statistics().submitted);
});

test("P05 more operations than the submission queue has room for: all complete, and can be killed while they wait", () => {
  underSeeds(
    SEEDS,
    { sqEntries: 4 },
    () =>
      function* () {
        const tasks = Array.from({ length: 40 }, (_, i) =>
          spawn(nop(), { name: `nop ${i}`, failure: "hold" }),
        );
        yield* sleep(0);
        for (const task of tasks) if (task.id % 3 === 0) task.kill("not wanted");
        let done = 0;
        for (const task of tasks) if ((yield* task.settled()).status === "done") done++;
        expect(done).toBeGreaterThan(0);
        expect(done).toBeLessThan(40);
      },
  );
});

test("P06 more completions than the queue has room for: none is lost", () => {
  underSeeds(
    SEEDS,
    { sqEntries: 4, cqEntries: 4, delay: 0 },
    () =>
      function* () {
        const tasks = Array.from({ length: 100 }, () => spawn(nop()));
        for (const task of tasks) yield* task.join();
      },
  );
});

test("P07 short counts: a write of all goes on, a read gives what came, and 0 only at the end", () => {
  underSeeds(
    SEEDS,
    { faults: { shortRead: 0.9, shortWrite: 0.9 }, bufferBytes: 64 },
    () =>
      function* () {
        const bytes = pattern(2000);
        yield* writeFile("/file", bytes);
        expect((yield* readFile("/file")).equals(bytes)).toBe(true);
        const { near, far } = yield* simulatedPair();
        const writer = spawn(function* () {
          yield* sendAll(near, bytes);
          yield* shutdown(near, "write");
        });
        expect((yield* receiveAll(far)).equals(bytes)).toBe(true);
        yield* writer.join();
        yield* close(near);
        yield* close(far);
      },
  );
});

const receiveAll = op(function* (socket: Socket) {
  const parts: Buffer[] = [];
  const into = Buffer.alloc(100);
  for (;;) {
    const count = yield* recv(socket, into);
    if (count === 0) return Buffer.concat(parts);
    parts.push(Buffer.from(into.subarray(0, count)));
  }
});

test("P08 EINTR and EAGAIN are told, nothing spins, and the next call goes on where it was", () => {
  underSeeds(
    SEEDS,
    {},
    (runtime) =>
      function* () {
        const { near, far } = yield* simulatedPair();
        yield* sendAll(near, pattern(200));
        runtime.kernel.faults.interrupted = 0.5;
        runtime.kernel.faults.again = 0.3;
        const into = Buffer.alloc(7);
        let from = 0;
        let refused = 0;
        const { steps } = runtime.statistics();
        while (from < 200) {
          try {
            const count = yield* recv(far, into);
            expect(into.subarray(0, count).equals(pattern(200).subarray(from, from + count))).toBe(true);
            from += count;
          } catch (error) {
            expect(["EINTR", "EAGAIN"]).toContain((error as IoError).code);
            refused++;
          }
        }
        expect(refused).toBeGreaterThan(0);
        // One step for each call.
        expect(runtime.statistics().steps - steps).toBeLessThanOrEqual(200 / 7 + 1 + refused + 1);
        yield* close(near);
        yield* close(far);
      },
  );
});

const ERRORS = { ENOMEM: 12, EMFILE: 24, ENFILE: 23, ENOSPC: 28, EIO: 5, EDQUOT: 122, EFBIG: 27, EROFS: 30 };

test.each(Object.entries(ERRORS))(
  "P09 %s of any operation on a file is a typed error and leaves nothing behind",
  (code, errno) => {
    const opcodes = [abi.OP_OPENAT, abi.OP_WRITE, abi.OP_FSYNC, abi.OP_STATX, abi.OP_READ];
    for (const failing of opcodes) {
      let fails = true;
      const script = ({ opcode }: { opcode: number }): number | null =>
        fails && opcode === failing ? -errno : null;
      underSeeds(
        3,
        { script },
        () =>
          function* () {
            const work = op(function* () {
              yield* writeFile("/file", pattern(100), { sync: true });
              return yield* readFile("/file");
            });
            fails = true;
            const error = yield* failureOf(work);
            expect(error).toBeInstanceOf(IoError);
            expect(error).toMatchObject({ code, errno: -errno });
            fails = false;
            expect((yield* work()).equals(pattern(100))).toBe(true);
          },
      );
    }
  },
);

test("P10 an errno that nobody knows is a typed error", () => {
  const script = ({ opcode }: { opcode: number }): number | null => (opcode === abi.OP_READ ? -3999 : null);
  underSeeds(
    3,
    { script },
    () =>
      function* () {
        yield* writeFile("/file", pattern(10));
        expect(yield* failureOf(readFile("/file"))).toMatchObject({ code: "E3999", syscall: "read" });
      },
  );
});

test("P11, N08 completions that come twice, or for nobody, wake nobody, also when their place is in use again", () => {
  let strays = 0;
  for (const delay of [0, 5]) {
    const { kernel, driver } = underSeeds(
      SEEDS,
      { faults: { duplicate: 0.5, stale: 0.5 }, delay },
      () =>
        function* () {
          const { near, far } = yield* simulatedPair();
          const bytes = pattern(3000);
          const writer = spawn(function* () {
            for (let at = 0; at < 3000; at += 100) yield* sendAll(near, bytes.subarray(at, at + 100));
            yield* shutdown(near, "write");
          });
          expect((yield* receiveAll(far)).equals(bytes)).toBe(true);
          yield* writer.join();
          yield* close(near);
          yield* close(far);
        },
    );
    strays += kernel.strays;
    expect(driver.statistics().stale).toBe(kernel.strays);
  }
  expect(strays).toBeGreaterThan(20);
});

test("N08 a place is not used again before its last completion", () => {
  underSeeds(
    SEEDS,
    { faults: { cancelFirst: 1 }, delay: 50 },
    () =>
      function* () {
        const { near, far } = yield* simulatedPair();
        using handle = new Handle();
        setupRecv(handle, near, new Uint8Array(8));
        const { index } = handle;
        yield* sleep(500);
        handle.cancel();
        while (handle.pending) {
          using other = new Handle();
          setupNop(other);
          expect(other.index).not.toBe(index);
          yield* other.settled();
        }
        expect(handle.result).toBeLessThan(0);
        yield* close(near);
        yield* close(far);
      },
  );
});

test("F12 a timeout whose cancel is slow: the waiter goes on when the buffer is safe, and not before", () => {
  const delay = 5000;
  let waited = 0;
  underSeeds(
    SEEDS,
    { delay },
    (runtime) =>
      function* () {
        const { near, far } = yield* simulatedPair();
        const into = Buffer.alloc(8);
        const since = runtime.now;
        expect(yield* failureOf(recv(near, into, { timeout: 1000 }))).toBeInstanceOf(DeadlineError);
        expect(runtime.kernel.inflight).toBe(0);
        waited = Math.max(waited, runtime.now - since);
        // What comes now goes to the next reader, and not to that buffer.
        yield* send(far, pattern(8, 1));
        const next = Buffer.alloc(8);
        expect(yield* recv(near, next)).toBe(8);
        expect(next.equals(pattern(8, 1))).toBe(true);
        expect(into.equals(Buffer.alloc(8))).toBe(true);
        yield* close(near);
        yield* close(far);
      },
  );
  expect(waited).toBeGreaterThan(3000);
});

test("H15 a wait that cannot be left at once is asked once, whatever else happens until it ends", () => {
  underSeeds(
    SEEDS,
    { faults: { lateCancel: 0.5, cancelFirst: 0.5 }, delay: 100 },
    (runtime) =>
      function* () {
        const { near, far } = yield* simulatedPair();
        const before = runtime.driver.statistics().cancels;
        let after = false;
        const task = spawn(
          op(function* () {
            yield* shield(recv(near, new Uint8Array(8), { timeout: 2000 }));
            after = true;
          }),
          { failure: "hold" },
        );
        yield* sleep(1000);
        task.kill("once");
        task.kill("twice");
        // The shield holds: the operation ends by its own time, and then the kill is met.
        yield* sleep(500);
        expect(runtime.driver.statistics().cancels).toBe(before);
        const exit = yield* task.settled();
        expect(exit.status === "failed" ? exit.error : null).toBeInstanceOf(DeadlineError);
        expect(runtime.driver.statistics().cancels).toBe(before + 1);
        expect(after).toBe(false);
        const reader = spawn(recv(near, new Uint8Array(8)), { failure: "hold" });
        yield* sleep(1000);
        reader.kill("once");
        reader.kill("twice");
        yield* reader.settled();
        expect(runtime.driver.statistics().cancels).toBe(before + 2);
        yield* close(near);
        yield* close(far);
      },
  );
});

test("P15 a descriptor that is made after the kill is closed, of whatever kind", () => {
  const makers: Readonly<Record<string, () => Operation<Disposable>>> = {
    open: () => open("/file", "w"),
    pipe: () => openPipe(),
    listen: () => listen("127.0.0.1:500"),
    accept: op(function* () {
      const listener = yield* listen("127.0.0.1:501");
      try {
        spawn(connect("127.0.0.1:501"), { failure: "hold" });
        return yield* accept(listener);
      } finally {
        listener[Symbol.dispose]();
      }
    }),
  };
  for (const make of Object.values(makers)) {
    let late = 0;
    underSeeds(
      60,
      { delay: 20, faults: { lateCancel: 0.5 } },
      (runtime) =>
        function* () {
          const task = spawn(make(), { failure: "hold" });
          yield* sleep(runtime.kernel.dice.next(60));
          const { opened } = runtime.kernel.descriptors;
          yield* task.killAndWait("at the worst moment");
          if (runtime.kernel.descriptors.opened > opened) late++;
          if (task.exit?.status === "done") task.exit.value[Symbol.dispose]();
        },
    );
    // The tries are worth something: some were too late for their kills.
    expect(late).toBeGreaterThan(0);
  }
});

test("H15, P15, B09 a kill before every step of a server and its clients leaves nothing, and stops nobody else", () => {
  for (const faults of [{}, { lateCancel: 1 }, { lateCancel: 0.5, cancelFirst: 0.5 }]) {
    let echoed = 0;
    const runs = killAtEveryStep(
      { seed: 1, delay: 5, faults },
      () =>
        function* () {
          using listener = yield* listen("127.0.0.1:600");
          const client = op(function* () {
            using socket = yield* connect("127.0.0.1:600", { timeout: 500 });
            yield* sendAll(socket, pattern(100));
            yield* shutdown(socket, "write");
            const back = yield* receiveAll(socket);
            // The server's side may have been killed; what it has sent by then is right.
            expect(back.equals(pattern(100).subarray(0, back.length))).toBe(true);
            echoed++;
          });
          const server = spawn(
            listener.serve(
              op(function* (socket: Socket) {
                const into = Buffer.alloc(30);
                for (;;) {
                  const count = yield* recv(socket, into);
                  if (count === 0) return;
                  yield* sendAll(socket, into.subarray(0, count));
                }
              }),
            ),
            { failure: "hold" },
          );
          const clients = [spawn(client, { failure: "hold" }), spawn(client, { failure: "hold" })];
          for (const each of clients) yield* each.settled();
          yield* server.killAndWait("no more clients");
        },
    );
    expect(runs).toBeGreaterThan(150);
    expect(echoed).toBeGreaterThan(runs / 2);
  }
});

test("P21 an operation that the kernel does not have is refused by name before anything is tried", () => {
  underSeeds(
    1,
    { without: [abi.OP_FTRUNCATE] },
    (runtime) =>
      function* () {
        const file = yield* open("/file", "w");
        const { submitted } = runtime.driver.statistics();
        const error = yield* failureOf(() => truncate(file, 1));
        expect(error).toBeInstanceOf(UnsupportedError);
        expect(error.message).toMatch(/truncate.*6\.9/);
        expect(runtime.driver.statistics().submitted).toBe(submitted);
        yield* close(file);
      },
  );
});

test("P21 what the kernel cannot make in a ring is made by a plain call", () => {
  underSeeds(
    SEEDS,
    { without: [abi.OP_PIPE, abi.OP_SOCKET, abi.OP_BIND, abi.OP_LISTEN] },
    () =>
      function* () {
        const listener = yield* listen("127.0.0.1:0");
        const client = spawn(connect(listener.localAddress!));
        const server = yield* listener.accept();
        const socket = yield* client.join();
        yield* sendAll(socket, Buffer.from("hello"));
        expect(yield* recv(server, Buffer.alloc(8))).toBeGreaterThan(0);
        for (const each of [socket, server, listener]) yield* close(each);
        const pipe = yield* openPipe();
        yield* writeAll(pipe.writer, Buffer.from("x"));
        expect(yield* read(pipe.reader, Buffer.alloc(8))).toBe(1);
        pipe[Symbol.dispose]();
      },
  );
});

test("Q14 paths and addresses stay where they are until the kernel has read them, also under kills", () => {
  underSeeds(
    SEEDS,
    { delay: 50, faults: { lateCancel: 0.5 } },
    (runtime) =>
      function* () {
        const tasks = Array.from({ length: 30 }, (_, i) =>
          spawn(
            op(function* () {
              const file = yield* open(`/file-${i}`, "w");
              yield* writeAll(file, Buffer.from(String(i)));
              yield* close(file);
            }),
            { failure: "hold" },
          ),
        );
        yield* sleep(60);
        for (const task of tasks) if (task.id % 3 === 0) task.kill("not wanted");
        for (const task of tasks) yield* task.settled();
        const { files } = runtime.kernel;
        for (const path of files.paths()) expect(path).toMatch(/^\/(file-\d+)?$/);
        tasks.forEach((task, i) => {
          const content = Buffer.from(files.read(`/file-${i}`) ?? []).toString();
          if (task.exit?.status === "done") expect(content).toBe(String(i));
          else expect(["", String(i)]).toContain(content);
        });
      },
  );
});

test("R05 an error of close is told once, and the number is not closed again", () => {
  underSeeds(
    SEEDS,
    { faults: { close: 1 } },
    (runtime) =>
      function* () {
        const first = yield* open("/first", "w");
        const { fd } = first;
        expect(["EIO", "ENOSPC", "EINTR"]).toContain((yield* failureOf(close(first))).code);
        // The number is somebody else's at once.
        const second = yield* open("/second", "w");
        expect(second.fd).toBe(fd);
        yield* failureOf(close(first));
        first[Symbol.dispose]();
        expect(runtime.kernel.descriptors.get(fd)).not.toBe(null);
        yield* writeAll(second, pattern(10));
        yield* failureOf(close(second));
      },
  );
});

test("S02 64 KiB both ways in random pieces through buffers of any size", () => {
  const total = 64 * 1024;
  for (const bufferBytes of [100, 5000]) {
    underSeeds(
      3,
      { bufferBytes, faults: { shortRead: 0.3, shortWrite: 0.3 } },
      ({ kernel: { dice } }) =>
        function* () {
          const { near, far } = yield* simulatedPair();
          const feed = op(function* (socket: Socket, salt: number) {
            const bytes = pattern(total, salt);
            for (let at = 0; at < total; ) {
              const length = Math.min(dice.between(1, 16_384), total - at);
              yield* sendAll(socket, bytes.subarray(at, at + length));
              at += length;
            }
            yield* shutdown(socket, "write");
          });
          const writers = [spawn(feed(near, 1)), spawn(feed(far, 2))];
          const readers = [spawn(receiveAll(far)), spawn(receiveAll(near))] as const;
          expect((yield* readers[0].join()).equals(pattern(total, 1))).toBe(true);
          expect((yield* readers[1].join()).equals(pattern(total, 2))).toBe(true);
          for (const writer of writers) yield* writer.join();
          yield* close(near);
          yield* close(far);
        },
    );
  }
});

describe("S14 messages from streams", () => {
  test("S14 delimiters and lengths do not mind how the bytes come, nor what is killed between", () => {
    underSeeds(
      SEEDS,
      { bufferBytes: 7, faults: { shortRead: 0.8 } },
      () =>
        function* () {
          const { near, far } = yield* simulatedPair();
          const writer = spawn(sendAll(near, Buffer.from("one\r\ntwo\r\n\r\nexactly\r\nrest")));
          const reader = new BufferedReader(far);
          for (const expected of ["one", "two", ""]) {
            const killed = spawn(reader.readUntil("\r\n"), { failure: "hold" });
            yield* sleep(1);
            yield* killed.killAndWait("too slow");
            const line = killed.exit?.status === "done" ? killed.exit.value : yield* reader.readUntil("\r\n");
            expect(line.toString().trimEnd()).toBe(expected);
          }
          expect((yield* reader.readExactly(7)).toString()).toBe("exactly");
          yield* reader.readUntil("\r\n");
          yield* writer.join();
          yield* close(near);
          expect(yield* failureOf(reader.readExactly(5))).toBeInstanceOf(IncompleteError);
          // What there is was not consumed.
          expect((yield* reader.readExactly(4)).toString()).toBe("rest");
          yield* close(far);
        },
    );
  });

  test("S14 a message that is too long is refused, and stays", () => {
    underSeeds(
      SEEDS,
      { bufferBytes: 7, faults: { shortRead: 0.8 } },
      () =>
        function* () {
          const { near, far } = yield* simulatedPair();
          const writer = spawn(sendAll(near, Buffer.from("much too long\n")));
          const reader = new BufferedReader(far);
          expect(yield* failureOf(reader.readUntil("\n", { limit: 5 }))).toBeInstanceOf(LimitError);
          expect((yield* reader.readUntil("\n", { limit: 20 })).toString()).toContain("much too long");
          yield* writer.join();
          yield* close(near);
          yield* close(far);
        },
    );
  });
});

test("T02 a datagram that arrives while its receiver is killed is the next one's", () => {
  let kept = 0;
  underSeeds(
    100,
    { delay: 20, faults: { lateCancel: 0.5 } },
    () =>
      function* () {
        const far = yield* openDatagram({ host: "127.0.0.1", port: 900 });
        const near = yield* openDatagram(null, { connect: { host: "127.0.0.1", port: 900 } });
        const got: string[] = [];
        const receive = op(function* () {
          const into = Buffer.alloc(16);
          const { count } = yield* far.receive(into);
          got.push(into.toString("utf8", 0, count));
        });
        const first = spawn(receive(), { failure: "hold" });
        const sender = spawn(near.send(Buffer.from("hello")));
        yield* sleep(30);
        yield* first.killAndWait("at the worst moment");
        yield* sender.join();
        if (far.inbox.filled) kept++;
        if (got.length === 0) yield* receive();
        expect(got).toEqual(["hello"]);
        yield* close(near);
        yield* close(far);
      },
  );
  expect(kept).toBeGreaterThan(0);
});

test("a simulated file keeps what the driver of a real one keeps: positions, appends, ends", () => {
  underSeeds(
    1,
    {},
    () =>
      function* () {
        const file = yield* open("/file", "a+");
        yield* writeAll(file, Buffer.from("abc"));
        yield* writeAll(file, Buffer.from("def"), { position: 0 });
        const into = Buffer.alloc(10);
        expect(yield* read(file, into, { position: 1 })).toBe(5);
        expect(into.toString("utf8", 0, 5)).toBe("bcdef");
        expect(yield* read(file, into, { position: 6 })).toBe(0);
        yield* close(file);
        expect(yield* failureOf(open("/other"))).toMatchObject({ code: "ENOENT" });
        expect(yield* failureOf(open("/file", "wx"))).toMatchObject({ code: "EEXIST" });
        expect(yield* failureOf(connect("127.0.0.1:1"))).toMatchObject({ code: "ECONNREFUSED" });
        const listener = yield* listen("127.0.0.1:77");
        expect(yield* failureOf(listen("127.0.0.1:77"))).toMatchObject({ code: "EADDRINUSE" });
        expect(listener.localAddress).toEqual({ family: "ipv4", host: "127.0.0.1", port: 77 });
        yield* close(listener);
      },
  );
});

test("no more descriptors than there are: EMFILE, and the lowest number is used again", () => {
  const runtime = new SimulatedRuntime({ descriptors: 2 });
  runtime.run(function* () {
    const first = yield* open("/a", "w");
    const second = yield* open("/b", "w");
    expect([first.fd, second.fd]).toEqual([3, 4]);
    expect(yield* failureOf(open("/c", "w"))).toMatchObject({ code: "EMFILE" });
    yield* close(first);
    const third = yield* open("/c", "w");
    expect(third.fd).toBe(3);
    yield* close(second);
    yield* close(third);
  }).result;
  runtime.checkAtRest();
});
