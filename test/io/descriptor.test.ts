/** Closing: with operations in flight, twice, by a kill, by the end of a block. */
import { closeSync, fstatSync, openSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { ClosedError, never, op, self, spawn } from "../../src/coordinator/index.ts";
import {
  accept,
  adoptFile,
  adoptSocket,
  close,
  connect,
  type File,
  Handle,
  listen,
  nop,
  open,
  read,
  recv,
  type Socket,
  send,
  sendAll,
  setupAccept,
  setupClose,
  setupOpen,
  setupRecv,
  setupSocket,
  write,
} from "../../src/io/index.ts";
import { O_CLOEXEC, OP_ACCEPT, OP_ASYNC_CANCEL, OP_CLOSE, OP_READ } from "../../src/native/layout.ts";
import { exhaustive } from "../support/harness.ts";
import {
  expectError,
  failureOf,
  freshFifo,
  ioCounts,
  openDescriptors,
  runIo,
  stop,
  submitted,
  tcpPair,
  thrownBy,
  unixPair,
} from "../support/io.ts";
import { PENDING, runScripted, ScriptedDriver } from "../support/scripted-driver.ts";

const isOpen = (number: number): boolean => {
  try {
    fstatSync(number);
    return true;
  } catch {
    return false;
  }
};

describe("R01 close with operations in flight", () => {
  test.each([
    ["a socket, both directions", unixPair],
    ["a TCP socket, both directions", tcpPair],
  ] as const)(
    "R01 of %s: both are told, then it is closed, once, and the peer sees the end",
    async (_what, pairOf) => {
      await runIo(function* () {
        const { near, far } = yield* pairOf();
        const number = near.fd;
        const events: string[] = [];
        const told = op(function* (name: string, operation: ReturnType<typeof recv>) {
          const error = yield* failureOf(operation);
          expectError(error, ClosedError, "COOP_CLOSED", new RegExp(`${name}: socket .* is closed`));
          events.push(name);
          // Its number is still taken: nobody else can have got it.
          events.push(isOpen(number) ? "open" : "closed");
        });
        const reader = spawn(told("recv", recv(near, Buffer.alloc(1))));
        // More than fits, so that it waits.
        const full = spawn(
          op(function* () {
            for (;;) yield* send(near, Buffer.alloc(1 << 20));
          })(),
          { failure: "hold" },
        );
        for (let i = 0; i < 200; i++) yield* submitted();
        expect(full.status).toBe("blocked");
        expect(near.inflight).toBe(2);
        const closing = spawn(close(near));
        yield* closing.join();
        events.push("close is over");
        expect(isOpen(number)).toBe(false);
        yield* reader.join();
        expect(yield* full.settled()).toMatchObject({ status: "failed", error: { code: "COOP_CLOSED" } });
        expect(events).toContain("recv");
        // The peer reads what was sent and then the end (or a reset, since bytes were left unread).
        const into = Buffer.alloc(1 << 20);
        for (;;) if ((yield* recv(far, into)) === 0) break;
      });
    },
  );

  test("R01 of a listener: the acceptors are told", async () => {
    await runIo(function* () {
      const listener = yield* listen("127.0.0.1:0");
      const acceptors = [1, 2, 3].map(() => spawn(accept(listener), { failure: "hold" }));
      const handle = new Handle();
      setupAccept(handle, listener);
      yield* submitted();
      yield* close(listener);
      for (const acceptor of acceptors) {
        expect(yield* acceptor.settled()).toMatchObject({ status: "failed", error: { code: "COOP_CLOSED" } });
      }
      expect(yield* handle).toBe(-125);
    });
  });

  test("R01 of a pipe, by disposal, with nobody waiting for the close", async () => {
    await runIo(function* () {
      yield* nop();
      const before = openDescriptors();
      const pipe = yield* open(freshFifo(), "r+");
      const reader = spawn(read(pipe, Buffer.alloc(1)), { failure: "hold" });
      yield* submitted();
      pipe[Symbol.dispose]();
      expect(pipe.closed).toBe(true);
      expect(yield* reader.settled()).toMatchObject({ status: "failed", error: { code: "COOP_CLOSED" } });
      while (ioCounts().inflight > 0) yield* nop();
      expect(openDescriptors()).toEqual(before);
    });
  });

  test("R01 the order of what the kernel is asked: cancel by descriptor, wait, close", () => {
    const driver = new ScriptedDriver({
      result: ({ opcode, fd }) => (opcode === OP_READ ? PENDING : opcode === OP_CLOSE ? 0 : Math.max(fd, 0)),
    });
    runScripted(driver, function* () {
      const file = adoptFile(driver.openNumber());
      const readers = [1, 2].map(() => spawn(read(file, Buffer.alloc(1)), { failure: "hold" }));
      yield* nop();
      yield* close(file);
      for (const reader of readers) expect((yield* reader.settled()).status).toBe("failed");
      const asked = driver.log.filter(({ opcode }) => opcode !== 0).map(({ opcode, fd }) => [opcode, fd]);
      expect(asked).toEqual([
        [OP_READ, 100],
        [OP_READ, 100],
        [OP_ASYNC_CANCEL, 100],
        [OP_CLOSE, 100],
      ]);
    });
  });

  test("R01 bytes that were read before the close come through", async () => {
    await runIo(function* () {
      const { near, far } = yield* tcpPair();
      const handle = new Handle();
      const into = Buffer.alloc(8);
      setupRecv(handle, far, into);
      yield* sendAll(near, Buffer.from("last"));
      yield* handle;
      yield* close(far);
      expect(into.toString("utf8", 0, handle.result)).toBe("last");
    });
  });
});

describe("R03 closing more than once", () => {
  test("R03 is harmless in every mixture, and never closes somebody else's descriptor", async () => {
    await runIo(function* () {
      for (let i = 0; i < 20; i++) {
        const file = yield* open("/dev/null");
        const number = file.fd;
        const handle = new Handle();
        const closers = [spawn(close(file)), spawn(close(file))];
        setupClose(handle, file);
        file[Symbol.dispose]();
        for (const closer of closers) yield* closer.join();
        expect(yield* handle).toBe(0);
        // The number is somebody else's now.
        const other = openSync("/dev/null", "r");
        expect(other).toBe(number);
        yield* close(file);
        file[Symbol.dispose]();
        setupClose(handle, file);
        expect([handle.status, handle.result]).toEqual(["done", 0]);
        yield* nop();
        expect(isOpen(other)).toBe(true);
        yield* close(adoptFile(other));
      }
    });
  });

  test("R03 a second one waits for the first", async () => {
    await runIo(function* () {
      const { far } = yield* tcpPair();
      const reader = spawn(recv(far, Buffer.alloc(1)), { failure: "hold" });
      yield* submitted();
      const number = far.fd;
      far[Symbol.dispose]();
      yield* close(far);
      expect(isOpen(number)).toBe(false);
      yield* reader.settled();
    });
  });

  test("R03 a close that was set up is not undone by a cancel", async () => {
    await runIo(function* () {
      const { near, far } = yield* tcpPair();
      const before = ioCounts().cancels;
      const handle = new Handle();
      setupClose(handle, near);
      handle.cancel();
      expect(handle.status).toBe("submitted");
      expect(yield* handle).toBe(0);
      expect(ioCounts().cancels).toBe(before);
      expect(yield* recv(far, Buffer.alloc(1))).toBe(0);
      // Neither is one whose task has ended.
      const owner = spawn(function* () {
        setupClose(new Handle(), far);
      });
      yield* owner.join();
      expect(far.closed).toBe(true);
    });
  });
});

describe("R04 close and kills", () => {
  test("R04 a closer that is killed has closed it when it ends", async () => {
    await runIo(function* () {
      for (const busy of [false, true]) {
        const { far } = yield* tcpPair();
        const number = far.fd;
        const reader = busy ? spawn(recv(far, Buffer.alloc(1)), { failure: "hold" }) : null;
        yield* submitted();
        const events: string[] = [];
        const closer = spawn(
          op(function* () {
            try {
              yield* close(far);
              events.push(isOpen(number) ? "open" : "closed");
              yield* never();
            } finally {
              events.push("unwound");
            }
          })(),
          { start: "now" },
        );
        closer.kill();
        expect((yield* closer.settled()).status).toBe("killed");
        expect(events).toEqual(["closed", "unwound"]);
        yield* reader?.settled() ?? nop();
      }
    });
  });

  test("R04 a task that was killed before can still close", async () => {
    await runIo(function* () {
      const { near, far } = yield* tcpPair();
      const owner = spawn(function* () {
        try {
          yield* recv(far, Buffer.alloc(1));
        } finally {
          yield* close(far);
        }
      });
      yield* submitted();
      yield* stop(owner);
      expect(far.fd).toBe(-1);
      expect(yield* recv(near, Buffer.alloc(1))).toBe(0);
    });
  });

  test("R04 kills at every point of a program with files leave every descriptor closed, once", () => {
    const { points } = exhaustive(() => {
      const driver = new ScriptedDriver({
        result: ({ opcode, fd }) => {
          if (opcode === OP_CLOSE) {
            closed.push(fd);
            return 0;
          }
          return opcode === OP_READ ? 3 : driver.openNumber();
        },
      });
      const closed: number[] = [];
      const opened: number[] = [];
      const { openNumber } = driver;
      driver.openNumber = () => {
        const number = openNumber.call(driver);
        opened.push(number);
        return number;
      };
      const user = op(function* (path: string) {
        const file: File = yield* open(path);
        try {
          yield* read(file, Buffer.alloc(4));
        } finally {
          yield* close(file);
        }
      });
      return {
        *body() {
          self().cooperator.openDriver = () => driver;
          for (const name of ["a", "b"]) spawn(user(name));
          yield* user("c");
          yield* spawn(user("d")).join();
        },
        check({ runtime }) {
          expect(driver.open.size).toBe(0);
          expect(closed.sort()).toEqual(opened.sort());
          expect(driver.inflight).toBe(0);
          expect(runtime.statistics().inflight).toBe(0);
        },
      };
    });
    expect(points).toBeGreaterThan(15);
  });
});

describe("the end of a block", () => {
  test("closes it in the background, whether by value, error or kill", async () => {
    await runIo(function* () {
      const { near, far } = yield* tcpPair();
      const number = far.fd;
      const session = op(function* (socket: Socket) {
        using _ = socket;
        yield* recv(socket, Buffer.alloc(1));
      });
      const task = spawn(session(far));
      yield* submitted();
      yield* stop(task);
      expect(yield* recv(near, Buffer.alloc(1))).toBe(0);
      while (ioCounts().inflight > 0) yield* nop();
      expect(isOpen(number)).toBe(false);
    });
  });

  test.each(["target", "cancel"] as const)(
    "an accepted socket that comes after the kill is closed, in both forms (%s first)",
    (first) => {
      const driver = new ScriptedDriver({
        result: ({ opcode }) => (opcode === OP_ACCEPT ? PENDING : 0),
        cancel: () => ({ first, cancel: -114, target: driver.openNumber() }),
      });
      runScripted(driver, function* () {
        const listener = adoptSocket(driver.openNumber());
        const acceptors = [
          spawn(accept(listener)),
          spawn(function* () {
            setupAccept(new Handle(), listener);
            yield* never();
          }),
        ];
        yield* nop();
        for (const acceptor of acceptors) yield* stop(acceptor);
        yield* nop();
        expect(driver.log.filter(({ opcode }) => opcode === OP_CLOSE).map(({ fd }) => fd)).toEqual([
          101, 101,
        ]);
        yield* close(listener);
      });
    },
  );

  test("an accept that is satisfied and killed in the same turn", async () => {
    await runIo(function* () {
      const listener = yield* listen({ path: "\0cooperator-accept-kill" });
      const before = openDescriptors();
      for (let i = 0; i < 50; i++) {
        const acceptor = spawn(accept(listener), { priority: 2 });
        yield* submitted();
        const near = yield* connect(listener.localAddress!);
        while (acceptor.status === "blocked") yield* nop();
        expect(acceptor.status).toBe("ready");
        acceptor.kill();
        yield* acceptor.settled();
        expect(yield* recv(near, Buffer.alloc(1))).toBe(0);
        yield* close(near);
      }
      while (ioCounts().inflight > 0) yield* nop();
      expect(openDescriptors()).toEqual(before);
    });
  });
});

test("R09 no descriptor is inherited by a child process", async () => {
  await runIo(function* () {
    const listener = yield* listen("127.0.0.1:0");
    const near = yield* connect(listener.localAddress!);
    const far = yield* accept(listener);
    const handle = new Handle();
    setupAccept(handle, listener);
    yield* connect(listener.localAddress!);
    const accepted = adoptSocket(yield* handle);
    setupOpen(handle, "/dev/null");
    const opened = adoptFile(yield* handle);
    setupSocket(handle, "unix");
    const made = adoptSocket(yield* handle);
    for (const each of [listener, near, far, accepted, opened, made, yield* open("/dev/null", "a+")]) {
      const info = readFileSync(`/proc/self/fdinfo/${each.fd}`, "utf8");
      const flags = Number.parseInt(/^flags:\s+(\d+)/m.exec(info)![1], 8);
      expect(flags & O_CLOEXEC).toBe(O_CLOEXEC);
    }
  });
});

test("names of descriptors in messages", async () => {
  await runIo(function* () {
    const file = yield* open("/dev/null", "r+");
    expect(file.label).toMatch(/^file \d+ \(\/dev\/null\)$/);
    const listener = yield* listen("127.0.0.1:0");
    const { port } = listener.localAddress as { port: number };
    expect(listener.label).toBe(`socket ${listener.fd} (127.0.0.1:${port})`);
    const near = yield* connect(listener.localAddress!);
    expect(near.label).toBe(`socket ${near.fd} (127.0.0.1:${port})`);
    yield* write(file, Buffer.from("x"));
    expect(
      thrownBy(() => {
        closeSync(file.release());
        file.release();
      }).message,
    ).toMatch(/release: file -1 \(\/dev\/null\) is closed/);
  });
});
