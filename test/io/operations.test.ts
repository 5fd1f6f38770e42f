/** Every operation in its forms: set up on a handle, blocking, with a timeout, killed in flight. */
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import {
  coordinateWith,
  coordinateWithKill,
  DeadlineError,
  never,
  type Operation,
  op,
  spawn,
} from "../../src/coordinator/index.ts";
import {
  accept,
  adoptFile,
  adoptSocket,
  bind,
  close,
  connect,
  connectSocket,
  type Descriptor,
  File,
  fsync,
  Handle,
  type IoOptions,
  listen,
  listenSocket,
  nop,
  open,
  read,
  recv,
  Socket,
  send,
  sendAll,
  setupAccept,
  setupBind,
  setupClose,
  setupConnect,
  setupFsync,
  setupListen,
  setupNop,
  setupOpen,
  setupRead,
  setupRecv,
  setupSend,
  setupShutdown,
  setupSocket,
  setupWrite,
  shutdown,
  socket,
  write,
  writeAll,
} from "../../src/io/index.ts";
import { Handle as Timer } from "../../src/time/handle.ts";
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

/** One operation on something it can be done to at once. */
interface Ready {
  readonly setup: ((handle: Handle) => void) | null;
  readonly run: (options?: IoOptions) => Operation<unknown>;
  /** Looks at the result of the setup form; closes what it names. */
  readonly taken: (result: number) => Operation<void> | null;
  /** The same for the blocking form. */
  readonly given: (value: unknown) => Operation<void> | null;
}

const is = (expected: unknown) => (value: unknown) => {
  expect(value).toEqual(expected);
  return null;
};

const closing = (type: abstract new (...args: never[]) => Descriptor) => (value: unknown) => {
  expect(value).toBeInstanceOf(type);
  return close(value as Descriptor);
};

const READY: Readonly<Record<string, () => Operation<Ready>>> = {
  nop: op(function* () {
    return { setup: setupNop, run: () => nop(), taken: is(0), given: is(undefined) };
  }),
  open: op(function* () {
    return {
      setup: (h) => setupOpen(h, "/dev/null"),
      run: (options) => open("/dev/null", "r", options),
      taken: (number) => closing(File)(adoptFile(number)),
      given: closing(File),
    } satisfies Ready;
  }),
  read: op(function* () {
    const file = yield* open("/proc/self/status");
    const into = Buffer.alloc(5);
    const text = (count: unknown): null => {
      expect([count, into.toString()]).toEqual([5, "Name:"]);
      into.fill(0);
      return null;
    };
    return {
      setup: (h) => setupRead(h, file, into, { position: 0 }),
      run: (options) => read(file, into, { position: 0, ...options }),
      taken: text,
      given: text,
    } satisfies Ready;
  }),
  write: op(function* () {
    const path = freshPath();
    const file = yield* open(path, "w");
    const written = (count: unknown): null => {
      expect([count, readFileSync(path, "utf8")]).toEqual([5, "\0\0hello"]);
      return null;
    };
    return {
      setup: (h) => setupWrite(h, file, Buffer.from("hello"), { position: 2 }),
      run: (options) => write(file, Buffer.from("hello"), { position: 2, ...options }),
      taken: written,
      given: written,
    } satisfies Ready;
  }),
  writeAll: op(function* () {
    const path = freshPath();
    const file = yield* open(path, "w");
    return {
      setup: null,
      run: (options) => writeAll(file, Buffer.from("hello"), { position: 1, ...options }),
      taken: is(null),
      given: (value) => {
        expect([value, readFileSync(path, "utf8")]).toEqual([undefined, "\0hello"]);
        return null;
      },
    } satisfies Ready;
  }),
  fsync: op(function* () {
    const file = yield* open(freshPath(), "w");
    yield* file.write(Buffer.from("data"));
    return {
      setup: (h) => setupFsync(h, file, { dataOnly: true }),
      run: (options) => fsync(file, options),
      taken: is(0),
      given: is(undefined),
    } satisfies Ready;
  }),
  close: op(function* () {
    const first = yield* open("/dev/null");
    const second = yield* open("/dev/null");
    return {
      setup: (h) => setupClose(h, first),
      run: () => close(second),
      taken: is(0),
      given: is(undefined),
    } satisfies Ready;
  }),
  socket: op(function* () {
    return {
      setup: (h) => setupSocket(h, "ipv6", "datagram"),
      run: (options) => socket("unix", "stream", options),
      taken: (number) => closing(Socket)(adoptSocket(number)),
      given: closing(Socket),
    } satisfies Ready;
  }),
  bind: op(function* () {
    const sockets = [yield* socket("ipv4"), yield* socket("ipv4")];
    return {
      setup: (h) => setupBind(h, sockets[0], "127.0.0.1:0"),
      run: (options) => bind(sockets[1], "127.0.0.1:0", options),
      taken: (result) => {
        expect([result, sockets[0].localAddress]).toMatchObject([0, { host: "127.0.0.1" }]);
        return null;
      },
      given: () => {
        expect(sockets[1].localAddress).toMatchObject({ host: "127.0.0.1" });
        return null;
      },
    } satisfies Ready;
  }),
  listen: op(function* () {
    const made = yield* socket("unix");
    yield* bind(made, { path: abstractName() });
    const reached = op(function* () {
      yield* close(yield* connect(made.localAddress!));
    });
    return {
      setup: (h) => setupListen(h, made, 1),
      run: (options) => listenSocket(made, 5, options),
      taken: reached,
      given: reached,
    } satisfies Ready;
  }),
  accept: op(function* () {
    const listener = yield* listen("127.0.0.1:0");
    for (let i = 0; i < 2; i++) yield* connect(listener.localAddress!);
    return {
      setup: (h) => setupAccept(h, listener),
      run: (options) => accept(listener, options),
      taken: (number) => closing(Socket)(adoptSocket(number)),
      given: closing(Socket),
    } satisfies Ready;
  }),
  connect: op(function* () {
    const listener = yield* listen({ path: abstractName() });
    const sockets = [yield* socket("unix"), yield* socket("unix")];
    const connected = (made: Socket) => () => {
      expect(made.remoteAddress).toEqual(listener.localAddress);
      return null;
    };
    return {
      setup: (h) => setupConnect(h, sockets[0], listener.localAddress!),
      run: (options) => connectSocket(sockets[1], listener.localAddress!, options),
      taken: connected(sockets[0]),
      given: connected(sockets[1]),
    } satisfies Ready;
  }),
  recv: op(function* () {
    const { near, far } = yield* tcpPair();
    yield* sendAll(near, Buffer.from("onetwo"));
    const into = Buffer.alloc(3);
    const texts = ["one", "two"];
    const text = (count: unknown): null => {
      expect([count, into.toString()]).toEqual([3, texts.shift()]);
      return null;
    };
    return {
      setup: (h) => setupRecv(h, far, into),
      run: (options) => recv(far, into, options),
      taken: text,
      given: text,
    } satisfies Ready;
  }),
  send: op(function* () {
    const { near, far } = yield* unixPair();
    const arrived = op(function* (count: unknown) {
      const into = Buffer.alloc(10);
      expect(count).toBe(5);
      expect(into.toString("utf8", 0, yield* recv(far, into))).toBe("hello");
    });
    return {
      setup: (h) => setupSend(h, near, Buffer.from("hello")),
      run: (options) => send(near, Buffer.from("hello"), options),
      taken: arrived,
      given: arrived,
    } satisfies Ready;
  }),
  sendAll: op(function* () {
    const { near, far } = yield* unixPair();
    return {
      setup: null,
      run: (options) => sendAll(near, Buffer.from("hello"), options),
      taken: is(null),
      given: op(function* () {
        expect(yield* recv(far, Buffer.alloc(10))).toBe(5);
      }),
    } satisfies Ready;
  }),
  shutdown: op(function* () {
    const pairs = [yield* tcpPair(), yield* tcpPair()];
    const ended = (pair: { far: Socket }) =>
      op(function* () {
        expect(yield* recv(pair.far, Buffer.alloc(1))).toBe(0);
      });
    return {
      setup: (h) => setupShutdown(h, pairs[0].near, "write"),
      run: (options) => shutdown(pairs[1].near, "both", options),
      taken: ended(pairs[0]),
      given: ended(pairs[1]),
    } satisfies Ready;
  }),
};

describe("operations that can be done at once", () => {
  test.each(Object.keys(READY))("%s", async (name) => {
    await runIo(function* () {
      const ready = yield* READY[name]();
      const { setup, run, taken, given } = ready;
      if (setup !== null) {
        const handle = new Handle();
        expect(handle.status).toBe("idle");
        setup(handle);
        expect(handle.status).toBe("submitted");
        // Waited for together with something else, as level 0 does.
        const timer = new Timer();
        timer.setup("10 seconds");
        const first = yield* coordinateWith(timer.coordinator, handle.coordinator);
        timer.cancel();
        expect(first.index).toBe(1);
        expect(handle.status).toBe("done");
        const { result } = handle;
        expect(yield* handle).toBe(result);
        const after = taken(result);
        if (after !== null) yield* after;
        handle.coordinator.release();
      }
      // A timeout that is not needed leaves nothing armed.
      const after = given(yield* run({ timeout: "10 seconds" }));
      if (after !== null) yield* after;
    });
  });

  test.each(Object.keys(READY).filter((name) => name !== "close"))(
    "%s, killed when it has just been queued, leaves nothing",
    async (name) => {
      await runIo(function* () {
        const { run } = yield* READY[name]();
        const task = spawn(run(), { start: "now" });
        yield* stop(task);
        // What it has done all the same it may have done; the descriptors it worked on are closed at the end.
        expect(ioCounts().blocks).toBe(0);
      });
    },
  );
});

/** One operation on something that is not ready for it. */
interface Blocked {
  readonly setup: ((handle: Handle, options?: IoOptions) => void) | null;
  readonly run: (options?: IoOptions) => Operation<unknown>;
  readonly describes: RegExp;
}

const fill = op(function* (near: Socket) {
  const chunk = Buffer.alloc(1 << 20);
  for (;;) {
    try {
      yield* send(near, chunk, { timeout: 3 });
    } catch (error) {
      expect(error).toBeInstanceOf(DeadlineError);
      return;
    }
  }
});

const BLOCKED: Readonly<Record<string, () => Operation<Blocked>>> = {
  recv: op(function* () {
    const { far } = yield* tcpPair();
    const into = Buffer.alloc(4);
    return {
      setup: (h, options) => setupRecv(h, far, into, options),
      run: (options) => recv(far, into, options),
      describes: /^recv on socket \d+/,
    } satisfies Blocked;
  }),
  accept: op(function* () {
    const listener = yield* listen("127.0.0.1:0");
    return {
      setup: (h, options) => setupAccept(h, listener, options),
      run: (options) => accept(listener, options),
      describes: /^accept on socket \d+ \(127\.0\.0\.1:\d+\)/,
    } satisfies Blocked;
  }),
  connect: op(function* () {
    // The queue of the listener is full.
    const listener = yield* listen({ path: abstractName() }, { backlog: 0 });
    yield* connect(listener.localAddress!);
    const made = yield* socket("unix");
    return {
      setup: (h, options) => setupConnect(h, made, listener.localAddress!, options),
      run: (options) => connectSocket(made, listener.localAddress!, options),
      describes: /^connect on socket \d+/,
    } satisfies Blocked;
  }),
  send: op(function* () {
    const { near } = yield* unixPair();
    yield* fill(near);
    return {
      setup: (h, options) => setupSend(h, near, Buffer.from("x"), options),
      run: (options) => send(near, Buffer.from("x"), options),
      describes: /^send on socket/,
    } satisfies Blocked;
  }),
  sendAll: op(function* () {
    const { near } = yield* unixPair();
    yield* fill(near);
    return {
      setup: null,
      run: (options) => sendAll(near, Buffer.from("x"), options),
      describes: /^send on socket/,
    } satisfies Blocked;
  }),
  read: op(function* () {
    const pipe = yield* open(freshFifo(), "r+");
    const into = Buffer.alloc(4);
    return {
      setup: (h, options) => setupRead(h, pipe, into, options),
      run: (options) => read(pipe, into, options),
      describes: /^read on file \d+ \(.*fifo/,
    } satisfies Blocked;
  }),
  write: op(function* () {
    const pipe = yield* open(freshFifo(), "r+");
    yield* write(pipe, Buffer.alloc(65536));
    return {
      setup: (h, options) => setupWrite(h, pipe, Buffer.from("x"), options),
      run: (options) => write(pipe, Buffer.from("x"), options),
      describes: /^write on file/,
    } satisfies Blocked;
  }),
  writeAll: op(function* () {
    const pipe = yield* open(freshFifo(), "r+");
    yield* write(pipe, Buffer.alloc(65536));
    return {
      setup: null,
      run: (options) => writeAll(pipe, Buffer.from("x"), options),
      describes: /^write on file/,
    } satisfies Blocked;
  }),
};

describe("operations that have to wait", () => {
  test.each(Object.keys(BLOCKED))("%s ends by its timeout, and can be tried again", async (name) => {
    await runIo(function* () {
      const { setup, run, describes } = yield* BLOCKED[name]();
      for (let i = 0; i < 2; i++) {
        const error = yield* failureOf(() => run({ timeout: 1 }));
        expectError(error, DeadlineError, "COOP_DEADLINE", describes);
        expect(error.message).toMatch(/took longer than 1$/);
      }
      if (setup === null) return;
      const handle = new Handle();
      setup(handle, { timeout: "1 millis" });
      expect(yield* handle).toBe(-110);
      // The next round has no timeout, and does not remember the last one's.
      setup(handle);
      yield* submitted();
      handle.cancel();
      expect(yield* handle).toBe(-125);
    });
  });

  test.each(Object.keys(BLOCKED))("%s is cancelled by a kill, which waits for it", async (name) => {
    await runIo(function* () {
      const { setup, run, describes } = yield* BLOCKED[name]();
      const before = ioCounts().inflight;
      const task = spawn(run());
      yield* submitted();
      yield* submitted();
      expect(task.status).toBe("blocked");
      expect(task.wait!.describe()).toMatch(describes);
      expect(ioCounts().inflight).toBe(before + 1);
      yield* stop(task);
      expect(ioCounts().inflight).toBe(before);
      if (setup === null) return;
      // The task that set it up does not end before it.
      const handle = new Handle();
      const owner = spawn(function* () {
        setup(handle);
        yield* never();
      });
      yield* submitted();
      expect(handle.pending).toBe(true);
      yield* stop(owner);
      expect([handle.status, handle.result]).toEqual(["done", -125]);
      expect(ioCounts().inflight).toBe(before);
    });
  });

  test.each(Object.entries(BLOCKED))("%s: level 0 sees the kill itself", async (_name, blocked) => {
    await runIo(function* () {
      const { setup } = yield* blocked();
      if (setup === null) return;
      const seen: unknown[] = [];
      const task = spawn(function* () {
        const handle = new Handle();
        const timer = new Timer();
        setup(handle);
        timer.setup("10 seconds");
        const first = yield* coordinateWithKill(handle.coordinator, timer.coordinator);
        seen.push(first.killed, handle.status);
        if (first.killed) {
          handle.cancel();
          yield* handle.settled();
          seen.push(handle.result);
        }
        timer.cancel();
      });
      yield* submitted();
      expect((yield* task.killAndWait()).status).toBe("killed");
      expect(seen).toEqual([true, "submitted", -125]);
    });
  });
});

describe("the methods of files and sockets", () => {
  test("are the functions", async () => {
    await runIo(function* () {
      const file = yield* open(freshPath(), "w+");
      expect(yield* file.write(Buffer.from("ab"))).toBe(2);
      yield* file.writeAll(Buffer.from("cd"));
      yield* file.sync({ dataOnly: true });
      const into = Buffer.alloc(8);
      expect(yield* file.read(into, { position: 1 })).toBe(3);
      expect(into.toString("utf8", 0, 3)).toBe("bcd");
      yield* file.close();
      const listener = yield* listen("[::1]:0");
      const near = yield* connect(listener.localAddress!, { noDelay: false, timeout: "5 seconds" });
      const far = yield* listener.accept();
      expect(yield* near.send(Buffer.from("x"))).toBe(1);
      yield* near.sendAll(pattern(10));
      yield* near.shutdown("write");
      let got = 0;
      for (let count = -1; count !== 0; got += count) count = yield* far.recv(into);
      expect(got).toBe(11);
      far.setOption("noDelay", true);
      listener.setOption("reuseAddress", false);
      for (const each of [near, far, listener]) yield* each.close();
    });
  });
});
