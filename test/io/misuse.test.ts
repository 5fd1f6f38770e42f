/** What cannot be asked for: every time a typed error that says what to do, and nothing left behind. */
import { closeSync, openSync, readdirSync, readlinkSync } from "node:fs";
import { dirname } from "node:path";
import { describe, expect, test } from "vitest";
import {
  BusyError,
  ClosedError,
  CoopError,
  type Operation,
  op,
  self,
  spawn,
  UsageError,
} from "../../src/coordinator/index.ts";
import {
  Acceptor,
  accept,
  adoptFile,
  adoptSocket,
  allocate,
  BufferedReader,
  BufferPool,
  BufferPools,
  BufferRing,
  bind,
  borrowFile,
  chown,
  close,
  connect,
  connectSocket,
  copyFile,
  copyRest,
  type Descriptor,
  descriptorsOf,
  type File,
  formatAddress,
  fsync,
  Handle,
  type IoOptions,
  ioStatistics,
  type Listener,
  listen,
  listenSocket,
  lookup,
  mkdir,
  nop,
  open,
  openBeneath,
  pipeOf,
  Receiver,
  read,
  readFile,
  readinessOf,
  readTextFile,
  readToEnd,
  receivedBy,
  recv,
  runProcess,
  type Socket,
  send,
  sendAll,
  sendFile,
  serve,
  setTimes,
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
  spawnProcess,
  splice,
  statOf,
  truncate,
  walk,
  watch,
  write,
  writeAll,
  writeFile,
  writeFileAtomic,
} from "../../src/io/index.ts";
import { Memory } from "../../src/io/memory/memory.ts";
import { Program } from "../../src/node/run.ts";
import { Handle as Timer } from "../../src/time/handle.ts";
import {
  expectError,
  failureOf,
  freshPath,
  ioCounts,
  openDescriptors,
  runIo,
  stop,
  submitted,
  tcpPair,
  thrownBy,
} from "../support/io.ts";
import { runScripted, ScriptedDriver } from "../support/scripted-driver.ts";

const bytes = Buffer.alloc(4);

/** Operations on a descriptor, in both forms. */
type Blocking = (on: Descriptor, options?: IoOptions) => Operation<unknown>;
type Setup = (handle: Handle, on: Descriptor, options?: IoOptions) => void;

const BLOCKING: Readonly<Record<string, Blocking>> = {
  recv: (on, options) => recv(on, bytes, options),
  send: (on, options) => send(on, bytes, options),
  sendAll: (on, options) => sendAll(on, bytes, options),
  read: (on, options) => read(on, bytes, options),
  write: (on, options) => write(on, bytes, options),
  writeAll: (on, options) => writeAll(on, bytes, options),
  fsync: (on, options) => fsync(on, options),
  accept: (on, options) => accept(on, options),
  bind: (on, options) => bind(on, "127.0.0.1:0", options),
  connect: (on, options) => connectSocket(on, "127.0.0.1:1", options),
  listen: (on, options) => listenSocket(on, 1, options),
  shutdown: (on, options) => shutdown(on, "both", options),
};

const SETUP: Readonly<Record<string, Setup>> = {
  recv: (handle, on, options) => setupRecv(handle, on, bytes, options),
  send: (handle, on, options) => setupSend(handle, on, bytes, options),
  read: (handle, on, options) => setupRead(handle, on, bytes, options),
  write: (handle, on, options) => setupWrite(handle, on, bytes, options),
  fsync: (handle, on, options) => setupFsync(handle, on, options),
  accept: (handle, on, options) => setupAccept(handle, on, options),
  bind: (handle, on, options) => setupBind(handle, on, "127.0.0.1:0", options),
  connect: (handle, on, options) => setupConnect(handle, on, "127.0.0.1:1", options),
  listen: (handle, on, options) => setupListen(handle, on, 1, options),
  shutdown: (handle, on, options) => setupShutdown(handle, on, "both", options),
};

const FOREIGN: readonly (readonly [unknown, string])[] = [
  [undefined, "undefined"],
  [null, "null"],
  [5, "the number 5"],
  ["socket", "the string socket"],
  [{}, "a plain object"],
  [{ fd: 1, closed: false }, "a plain object"],
  [new Timer(), "a plain object"],
  [Promise.resolve(), "a promise"],
];

describe("what is no descriptor", () => {
  test.each(Object.keys(BLOCKING))("%s says what it takes", async (name) => {
    await runIo(function* () {
      for (const [value, words] of FOREIGN) {
        const text = new RegExp(`takes an open File or Socket, not ${words}$`);
        expectError(
          yield* failureOf(() => BLOCKING[name](value as Descriptor)),
          UsageError,
          "COOP_DESCRIPTOR",
          text,
        );
        const setup = SETUP[name];
        if (setup === undefined) continue;
        const handle = new Handle();
        expectError(
          thrownBy(() => setup(handle, value as Descriptor)),
          UsageError,
          "COOP_DESCRIPTOR",
          text,
        );
        expect(handle.status).toBe("idle");
      }
      expect(ioCounts()).toMatchObject({ submitted: 0, blocks: 0 });
    });
  });

  test("so does close", async () => {
    await runIo(function* () {
      yield* nop();
      for (const [value, words] of FOREIGN) {
        const text = new RegExp(`close takes an open File or Socket, not ${words}$`);
        for (const call of [
          () => close(value as Descriptor),
          () => setupClose(new Handle(), value as Descriptor),
        ]) {
          expectError(thrownBy(call), UsageError, "COOP_DESCRIPTOR", text);
        }
      }
    });
  });
});

describe("a descriptor that is not open", () => {
  test.each(Object.keys(BLOCKING))("%s says that it is closed", async (name) => {
    await runIo(function* () {
      const closed = yield* socket("ipv4");
      yield* close(closed);
      const released = yield* open("/dev/null");
      const number = released.release();
      const closing = yield* open("/dev/null");
      closing[Symbol.dispose]();
      const before = ioCounts().submitted;
      for (const on of [closed, released, closing]) {
        const text = /: (file|socket) .* is closed$/;
        expectError(yield* failureOf(() => BLOCKING[name](on)), ClosedError, "COOP_CLOSED", text);
        const setup = SETUP[name];
        if (setup === undefined) continue;
        const handle = new Handle();
        expectError(
          thrownBy(() => setup(handle, on)),
          ClosedError,
          "COOP_CLOSED",
          text,
        );
        expect(handle.status).toBe("idle");
      }
      expect(ioCounts().submitted).toBe(before);
      closeSync(number);
    });
  });

  test("has no names and takes no options", async () => {
    await runIo(function* () {
      const made = yield* socket("ipv4");
      yield* close(made);
      for (const call of [
        () => made.localAddress,
        () => made.remoteAddress,
        () => made.remote,
        () => {
          made.setOption("noDelay", true);
        },
        () => made.release(),
      ]) {
        expectError(thrownBy(call), ClosedError, "COOP_CLOSED", /is closed/);
      }
      expect(made.fd).toBe(-1);
    });
  });

  test("of another program is not for this one", async () => {
    let tell: (listener: Listener) => void = () => {};
    const listening = new Promise<Listener>((resolve) => {
      tell = resolve;
    });
    const other = new Program(function* () {
      const listener = yield* listen("127.0.0.1:0");
      tell(listener);
      yield* listener.accept();
    });
    const theirs = await listening;
    await runIo(function* () {
      yield* nop();
      for (const [name, run] of Object.entries(BLOCKING)) {
        const text = new RegExp(
          `${name.replace("All", "")}: socket .* belongs to another program; release\\(\\) it`,
        );
        expectError(yield* failureOf(() => run(theirs)), UsageError, "COOP_OTHER_COOPERATOR", text);
        const setup = SETUP[name];
        if (setup === undefined) continue;
        expect(thrownBy(() => setup(new Handle(), theirs)).code).toBe("COOP_OTHER_COOPERATOR");
      }
    });
    other.task.kill();
    await other.exit;
  });
});

describe("handles", () => {
  test.each(Object.keys(SETUP))("the setup of %s takes io handles only", async (name) => {
    await runIo(function* () {
      const made = yield* socket("ipv4");
      for (const [value, words] of [
        [new Timer(), "a plain object"],
        [undefined, "undefined"],
        [{}, "a plain object"],
      ] as const) {
        expectError(
          thrownBy(() => SETUP[name](value as unknown as Handle, made)),
          UsageError,
          "COOP_HANDLE",
          new RegExp(`the setup of ${name} takes an io Handle, not ${words}`),
        );
      }
    });
  });

  test.each(Object.keys(SETUP))(
    "a busy one is refused by the setup of %s, and goes on undisturbed",
    async (name) => {
      await runIo(function* () {
        const { near, far } = yield* tcpPair();
        const handle = new Handle();
        const into = Buffer.alloc(4);
        setupRecv(handle, far, into);
        for (let i = 0; i < 2; i++) {
          const error = thrownBy(() => SETUP[name](handle, near));
          expectError(
            error,
            BusyError,
            "COOP_BUSY",
            /the recv on socket .* is still pending: a handle is for one operation at a time/,
          );
          yield* submitted();
        }
        yield* sendAll(near, Buffer.from("word"));
        expect(yield* handle).toBe(4);
        expect(into.toString()).toBe("word");
      });
    },
  );

  test("so is one that is being cancelled, by every other setup", async () => {
    await runIo(function* () {
      const { far } = yield* tcpPair();
      const handle = new Handle();
      setupRecv(handle, far, Buffer.alloc(1));
      yield* submitted();
      handle.cancel();
      expect(handle.status).toBe("cancelling");
      for (const call of [
        () => setupNop(handle),
        () => setupOpen(handle, "/dev/null"),
        () => setupSocket(handle, "ipv4"),
        () => setupClose(handle, far),
      ]) {
        expect(thrownBy(call).code).toBe("COOP_BUSY");
      }
      expect(yield* handle).toBe(-125);
      expect(far.closed).toBe(false);
    });
  });

  test("a setup that is refused leaves the last result", async () => {
    await runIo(function* () {
      const handle = new Handle();
      setupNop(handle);
      yield* handle;
      thrownBy(() => setupRecv(handle, {} as Descriptor, bytes));
      expect([handle.status, handle.result]).toEqual(["done", 0]);
    });
  });
});

describe("bytes", () => {
  const TAKERS: Readonly<Record<string, (on: Descriptor, value: Uint8Array) => unknown>> = {
    recv: (on, value) => recv(on, value),
    send: (on, value) => send(on, value),
    sendAll: (on, value) => sendAll(on, value),
    read: (on, value) => read(on, value),
    write: (on, value) => write(on, value),
    writeAll: (on, value) => writeAll(on, value),
    setupRecv: (on, value) => setupRecv(new Handle(), on, value),
    setupSend: (on, value) => setupSend(new Handle(), on, value),
    setupRead: (on, value) => setupRead(new Handle(), on, value),
    setupWrite: (on, value) => setupWrite(new Handle(), on, value),
  };

  // Newer than the library's own target.
  const Resizable = ArrayBuffer as unknown as new (
    length: number,
    options: { maxByteLength: number },
  ) => ArrayBuffer & { resize(length: number): void };

  function detached(length = 8): Uint8Array {
    const view = new Uint8Array(length);
    structuredClone(view, { transfer: [view.buffer] });
    return view;
  }

  function resizable(): Uint8Array {
    return new Uint8Array(new Resizable(8, { maxByteLength: 16 }));
  }

  function outOfBounds(left: number): Uint8Array {
    const buffer = new Resizable(16, { maxByteLength: 16 });
    const view = new Uint8Array(buffer, 8, 8);
    buffer.resize(left);
    return view;
  }

  const WRONG: readonly (readonly [string, () => unknown, RegExp])[] = [
    ["a text", () => "text", /takes a Uint8Array or a Buffer, not the string text/],
    ["nothing", () => undefined, /takes a Uint8Array or a Buffer, not undefined/],
    ["a number", () => 16, /not the number 16/],
    ["an array", () => [1, 2], /not an object of type Array/],
    ["an ArrayBuffer", () => new ArrayBuffer(8), /not an object of type ArrayBuffer/],
    ["a SharedArrayBuffer", () => new SharedArrayBuffer(8), /not an object of type SharedArrayBuffer/],
    ["a DataView", () => new DataView(new ArrayBuffer(8)), /not an object of type DataView/],
    ["other numbers", () => new Uint16Array(8), /not an object of type Uint16Array/],
    ["what looks like it", () => ({ byteLength: 8, buffer: new ArrayBuffer(8) }), /not a plain object/],
    ["detached bytes", () => detached(), /bytes that are detached or out of bounds/],
    ["bytes that may shrink", resizable, /resizable ArrayBuffer.*it could shrink meanwhile/],
    ["bytes that have shrunk", () => outOfBounds(10), /detached or out of bounds/],
    ["bytes that have shrunk to nothing", () => outOfBounds(0), /detached or out of bounds/],
    ["too many bytes", () => new Uint8Array(0x7fff_f001), /at most 2147479552 bytes at a time/],
  ];

  test.each(WRONG)("%s are refused before anything is queued", async (_what, make, text) => {
    await runIo(function* () {
      const made = yield* socket("ipv4");
      const before = ioCounts().submitted;
      for (const [name, take] of Object.entries(TAKERS)) {
        const error = name.startsWith("setup")
          ? thrownBy(() => take(made, make() as Uint8Array))
          : yield* failureOf(() => take(made, make() as Uint8Array) as Operation<unknown>);
        expectError(error, UsageError, "COOP_BUFFER", text);
      }
      expect(ioCounts().submitted).toBe(before);
      expect(ioCounts().blocks).toBe(0);
    });
  });

  test("bytes that are detached between the call and its run are not taken for none", async () => {
    await runIo(function* () {
      const { far } = yield* tcpPair();
      for (const [name, take] of Object.entries(TAKERS)) {
        if (name.startsWith("setup")) continue;
        const view = new Uint8Array(8);
        const operation = take(far, view) as Operation<unknown>;
        structuredClone(view, { transfer: [view.buffer] });
        expectError(yield* failureOf(operation), UsageError, "COOP_BUFFER", /detached/);
      }
    });
  });

  test("what allocate gives is a zeroed Buffer of exactly so many bytes", () => {
    for (const size of [0, 1, 63, 64, 65, 4096, 65536, 65537, 1 << 20]) {
      const buffer = allocate(size);
      expect(buffer).toBeInstanceOf(Buffer);
      expect(buffer.buffer).toBeInstanceOf(SharedArrayBuffer);
      expect(buffer.length).toBe(size);
      expect(buffer.every((byte) => byte === 0)).toBe(true);
      buffer.fill(0xff);
    }
    for (const size of [-1, 1.5, Number.NaN, 0x7fff_f001, "8", null, undefined]) {
      expectError(
        thrownBy(() => allocate(size as number)),
        UsageError,
        "COOP_BUFFER",
        /a buffer has between 0 and 2147479552 bytes, not /,
      );
    }
  });
});

describe("numbers, texts and options", () => {
  const POSITIONS = [-1, -0.5, 1.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53, "5", -5n, 1n << 63n, null];

  test.each(POSITIONS)("Q12 %s is no position", async (position) => {
    await runIo(function* () {
      const file = yield* open(freshPath(), "w+");
      const options = { position: position as number };
      for (const call of [
        () => read(file, bytes, options),
        () => write(file, bytes, options),
        () => writeAll(file, bytes, options),
        () => setupRead(new Handle(), file, bytes, options),
        () => setupWrite(new Handle(), file, bytes, options),
      ]) {
        expectError(
          thrownBy(call),
          UsageError,
          "COOP_POSITION",
          /a position is a whole number from 0 to 2\^53 - 1, or a BigInt up to 2\^63 - 1, not .*; leave it out/,
        );
      }
    });
  });

  test("Q12 every position up to the last one reaches the kernel as it is", () => {
    const offsets: number[] = [];
    const driver = new ScriptedDriver({
      result: ({ offset, length }) => {
        offsets.push(offset);
        return length;
      },
    });
    const positions = [0, 1, 2 ** 31 - 1, 2 ** 31, 2 ** 32, 2 ** 52 + 1, Number.MAX_SAFE_INTEGER];
    runScripted(driver, function* () {
      const file = adoptFile(driver.openNumber());
      for (const position of positions) yield* write(file, bytes, { position });
      yield* write(file, bytes);
      yield* close(file);
    });
    expect(offsets.slice(0, -1)).toEqual([...positions, -1]);
  });

  test("Q12 and through the words of an SQE", async () => {
    await runIo(function* () {
      const file = yield* open(freshPath(), "w+");
      for (const position of [0, 5, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 2, 2 ** 32 + 7]) {
        const there = Buffer.from(`at ${position}`);
        yield* writeAll(file, there, { position });
        const into = Buffer.alloc(there.length);
        expect(yield* read(file, into, { position })).toBe(there.length);
        expect(into.equals(there)).toBe(true);
      }
    });
  });

  const DURATIONS = [
    -1,
    Number.NaN,
    Number.NEGATIVE_INFINITY,
    "",
    "soon",
    "-1 second",
    "5 parsecs",
    null,
    {},
    5n,
  ];

  test.each(DURATIONS)("%s is no timeout", async (timeout) => {
    await runIo(function* () {
      const made = yield* socket("ipv4");
      const options = { timeout: timeout as number };
      const before = ioCounts().submitted;
      const calls: (() => Operation<unknown>)[] = Object.values(BLOCKING).map(
        (run) => () => run(made, options),
      );
      calls.push(
        () => open("/dev/null", "r", options),
        () => socket("ipv4", "stream", options),
        () => connect("127.0.0.1:1", options),
      );
      for (const call of calls) {
        expectError(
          yield* failureOf(call),
          UsageError,
          "COOP_DURATION",
          /is not a duration: give milliseconds from 0 up, or a text such as "250 millis"/,
        );
      }
      for (const setup of Object.values(SETUP)) {
        const handle = new Handle();
        expect(thrownBy(() => setup(handle, made, options)).code).toBe("COOP_DURATION");
        expect(handle.status).toBe("idle");
      }
      // The one socket that connect made for nothing has been closed.
      while (ioCounts().inflight > 0) yield* nop();
      expect(ioCounts().descriptors).toBe(1);
      expect(ioCounts().blocks).toBe(0);
      expect(ioCounts().submitted - before).toBeLessThan(20);
    });
  });

  test("options that are not there are none", async () => {
    await runIo(function* () {
      const { near, far } = yield* tcpPair();
      yield* sendAll(near, bytes, undefined);
      expect(yield* recv(far, bytes, null as never)).toBe(4);
      yield* close(yield* open("/dev/null", undefined, undefined));
    });
  });

  const ARGUMENTS: readonly (readonly [string, (made: Socket) => unknown, RegExp])[] = [
    ["a mode", () => open("/dev/null", "rw" as never), /a mode is one of r r\+ w .*, not the string rw/],
    ["a mode", () => open("/dev/null", 0 as never), /a mode is one of .*, not the number 0/],
    ["a mode", () => setupOpen(new Handle(), "/x", "toString" as never), /a mode is one of/],
    ["permissions", () => open("/x", "w", { permissions: -1 }), /permissions are a number from 0 to 0o7777/],
    ["permissions", () => open("/x", "w", { permissions: 0o10000 }), /permissions are a number/],
    ["permissions", () => open("/x", "w", { permissions: "rwx" as never }), /permissions are a number/],
    ["a family", () => socket("inet" as never), /a socket family is ipv4, ipv6 or unix, not the string inet/],
    ["a family", () => setupSocket(new Handle(), 2 as never), /a socket family is/],
    [
      "a type",
      () => socket("ipv4", "tcp" as never),
      /a socket is a stream or a datagram one, not the string tcp/,
    ],
    [
      "a direction",
      (s) => shutdown(s, "rw" as never),
      /shutdown takes read, write or both, not the string rw/,
    ],
    ["a direction", (s) => setupShutdown(new Handle(), s, 1 as never), /shutdown takes/],
    ["a backlog", (s) => listenSocket(s, -1), /a backlog is a whole number from 0 up, not the number -1/],
    ["a backlog", (s) => listenSocket(s, 1.5), /not the number 1\.5/],
    ["a backlog", (s) => setupListen(new Handle(), s, 2 ** 31), /a backlog is a whole number/],
    [
      "a pool's size",
      () => new BufferPool({ size: 0 }),
      /a buffer has from 1 to \d+ bytes, not the number 0/,
    ],
    ["a pool's size", () => new BufferPool({ size: 1.5 }), /not the number 1\.5/],
    ["a pool's size", () => new BufferPool({ size: 2 ** 31 }), /a buffer has from/],
    [
      "a pool's count",
      () => new BufferPool({ count: 0 }),
      /a pool has from 1 to 16384 buffers, not the number 0/,
    ],
    ["a pool's count", () => new BufferPool({ count: 16385 }), /a pool has from/],
  ];

  test.each(ARGUMENTS)("%s", async (_what, call, text) => {
    await runIo(function* () {
      const made = yield* socket("ipv4");
      expectError(
        thrownBy(() => call(made)),
        UsageError,
        "COOP_ARGUMENT",
        text,
      );
    });
  });

  const PATHS: readonly (readonly [unknown, RegExp])[] = [
    ["/etc/passwd\0.png", /has a NUL inside; the kernel would open what is in front of it/],
    [Buffer.from("a\0"), /has a NUL inside/],
    [new URL("file:///etc/passwd%00.png"), /has a NUL inside/],
    ["", /the path is empty/],
    [new Uint8Array(0), /the path is empty/],
    ["x".repeat(4096), /a path has at most 4095 bytes, this one has 4096/],
    ["\u00e9".repeat(2048), /this one has 4096/],
    [new URL("http://example.org/x"), /http:\/\/example\.org\/x is no file: URL of this machine/],
    [new URL("file://server/x"), /is no file: URL of this machine/],
    [new URL("file:///a%2Fb"), /a file: URL has no encoded slash/],
    [new URL("file:///%ff"), /file:\/\/\/%ff is no path in UTF-8; give the path as bytes/],
    [5, /a path is a text, bytes or a file: URL, not the number 5/],
    [{ toString: () => "/etc/passwd" }, /not a plain object/],
    [undefined, /not undefined/],
  ];

  test.each(PATHS)("T08 %s is no path", async (path, text) => {
    await runIo(function* () {
      for (const call of [() => open(path as string), () => setupOpen(new Handle(), path as string)]) {
        expectError(thrownBy(call), UsageError, "COOP_PATH", text);
      }
      yield* nop();
    });
  });

  test("T08 Q03 the bytes of a path that were detached", async () => {
    const gone = new Uint8Array(4);
    structuredClone(gone.buffer, { transfer: [gone.buffer] });
    await runIo(function* () {
      expect(yield* failureOf(() => open(gone))).toMatchObject({ code: "COOP_BUFFER", name: "UsageError" });
    });
  });

  test("T08 the longest path, bytes that are no UTF-8, and URLs reach the kernel", async () => {
    await runIo(function* () {
      expect(yield* failureOf(() => open("x".repeat(4095)))).toMatchObject({ code: "ENAMETOOLONG" });
      const path = freshPath();
      const odd = Buffer.concat([Buffer.from(path), Buffer.of(0xff, 0xfe)]);
      yield* close(yield* open(odd, "wx"));
      yield* close(yield* open(new Uint8Array(odd), "r"));
      expect(readdirSync(dirname(path), { encoding: "buffer" }).some((name) => odd.includes(name))).toBe(
        true,
      );
      const spaced = `${freshPath()} with space`;
      yield* close(yield* open(spaced, "wx"));
      yield* close(yield* open(new URL(`file://${spaced.replaceAll(" ", "%20")}`)));
    });
  });

  test("T08 a path is looked at once: changing the bytes afterwards changes nothing", async () => {
    await runIo(function* () {
      const path = Buffer.from("/dev/null");
      const operation = open(path);
      path.fill(0);
      yield* close(yield* operation);
    });
  });
});

describe("numbers of descriptors from elsewhere", () => {
  test("R10 what is no open descriptor, or is ours already, cannot be taken over", async () => {
    await runIo(function* () {
      const mine = yield* open("/dev/null");
      const number = openSync("/dev/null", "r");
      closeSync(number);
      const rings = readdirSync("/proc/self/fd").filter((fd) => {
        try {
          return readlinkSync(`/proc/self/fd/${fd}`).includes("io_uring");
        } catch {
          return false;
        }
      });
      // Node has rings of its own from 22 on; ours was opened last.
      const ring = Math.max(...rings.map(Number));
      expect(ring).toBeGreaterThan(0);
      const wrong = [-1, 1.5, Number.NaN, 2 ** 31, 2 ** 32, "1", null, undefined, number, mine.fd, ring];
      for (const value of wrong) {
        for (const adopt of [adoptFile, adoptSocket]) {
          expectError(
            thrownBy(() => adopt(value as number)),
            UsageError,
            "COOP_DESCRIPTOR",
            /is not an open descriptor that can be taken over/,
          );
        }
      }
    });
  });

  test("R10 what is taken over is closed here, once; what is released is not closed at all", async () => {
    const before = openDescriptors();
    const number = openSync("/dev/null", "r");
    await runIo(function* () {
      // Runs with it, ends without it: given back before the end.
      const file = adoptFile(number);
      expect(yield* read(file, bytes)).toBe(0);
      expect(file.release()).toBe(number);
      expect(file.closed).toBe(true);
      expectError(
        thrownBy(() => file.release()),
        ClosedError,
        "COOP_CLOSED",
        /is closed/,
      );
      yield* close(file);
      yield* close(adoptFile(openSync("/dev/null", "r")));
    });
    closeSync(number);
    expect(openDescriptors()).toEqual(before);
  });

  test("R10 one with operations in flight is not released", async () => {
    await runIo(function* () {
      const { far } = yield* tcpPair();
      const reader = spawn(recv(far, bytes));
      yield* submitted();
      expectError(
        thrownBy(() => far.release()),
        UsageError,
        "COOP_DESCRIPTOR",
        /socket \d+ .*has operations in flight; wait for them first|socket \d+ has operations in flight/,
      );
      yield* stop(reader);
      closeSync(far.release());
    });
  });
});

describe("operations as values", () => {
  test("one runs in one task at a time, and as often as one likes", async () => {
    await runIo(function* () {
      const { near, far } = yield* tcpPair();
      const operation = recv(far, bytes);
      const first = spawn(
        op(function* () {
          return yield* operation;
        })(),
      );
      yield* submitted();
      expectError(yield* failureOf(operation), UsageError, "COOP_OPERATION_USED", /from one task at a time/);
      yield* sendAll(near, Buffer.from("abcd"));
      expect(yield* first.join()).toBe(4);
      yield* sendAll(near, Buffer.from("ef"));
      expect(yield* operation).toBe(2);
    });
  });

  test("one that was killed in the middle can be run again", async () => {
    await runIo(function* () {
      const { near, far } = yield* tcpPair();
      const operation = recv(far, bytes);
      const body = op(function* () {
        return yield* operation;
      });
      const first = spawn(body());
      yield* submitted();
      yield* stop(first);
      yield* sendAll(near, Buffer.from("abcd"));
      expect(yield* operation).toBe(4);
    });
  });

  test("one that is iterated over by hand is left, and nothing of it stays", async () => {
    await runIo(function* () {
      const { near, far } = yield* tcpPair();
      // A receive that is being given up would keep the next one away.
      far.exclusive = false;
      const byHand = (): void => {
        for (const _ of recv(far, Buffer.alloc(4)) as Iterable<unknown>) void _;
      };
      expectError(thrownBy(byHand), UsageError, "COOP_NOT_DELEGATED", /only be run with yield\*/);
      expect(self().status).toBe("running");
      for (const _ of recv(far, Buffer.alloc(4)) as Iterable<unknown>) break;
      expect(self().status).toBe("running");
      // Also when the task has waited for something else in between.
      const iterator = recv(far, Buffer.alloc(4))[Symbol.iterator]();
      iterator.next();
      yield* nop();
      expect(thrownBy(() => iterator.next()).code).toBe("COOP_NOT_DELEGATED");
      while (ioCounts().inflight > 0) yield* nop();
      // Their handles are free again and work for others.
      yield* sendAll(near, Buffer.from("abcd"));
      expect(yield* recv(far, bytes)).toBe(4);
      expect(bytes.toString()).toBe("abcd");
    });
  });
});

describe("limits", () => {
  test("more operations than the driver takes are refused, and later ones are not", () => {
    const driver = new ScriptedDriver({ result: ({ length }) => length });
    driver.limit = 2;
    runScripted(driver, function* () {
      const handles = [new Handle(), new Handle(), new Handle()];
      setupNop(handles[0]);
      setupNop(handles[1]);
      expectError(
        thrownBy(() => setupNop(handles[2])),
        UsageError,
        "COOP_LIMIT",
        /2 operations are in flight; wait for some of them/,
      );
      expect((yield* failureOf(nop)).code).toBe("COOP_LIMIT");
      yield* handles[0];
      yield* nop();
    });
  });

  test("a driver that is full gives back what the setup had taken", () => {
    class Full extends ScriptedDriver {
      full = false;
      override submit(...args: Parameters<ScriptedDriver["submit"]>): void {
        if (this.full) throw new UsageError("COOP_LIMIT", "full");
        super.submit(...args);
      }
    }
    const driver = new Full({ result: ({ length }) => length });
    runScripted(driver, function* () {
      const file = adoptFile(driver.openNumber());
      driver.full = true;
      const handle = new Handle();
      expect(thrownBy(() => setupWrite(handle, file, bytes)).code).toBe("COOP_LIMIT");
      expect(handle.status).toBe("idle");
      expect((yield* failureOf(() => write(file, bytes))).code).toBe("COOP_LIMIT");
      expect((yield* failureOf(() => open("/x"))).code).toBe("COOP_LIMIT");
      expect(ioCounts().blocks).toBe(0);
      driver.full = false;
      setupWrite(handle, file, bytes);
      expect(yield* handle).toBe(4);
      yield* close(file);
    });
  });

  test("memory that cannot be had counts as lent to nobody", () => {
    const memory = new Memory(() => 4096);
    expect(thrownBy(() => memory.take(Number.MAX_SAFE_INTEGER)).code).toBe("ENOMEM");
    expect(memory.lent).toBe(0);
    const block = memory.take(100);
    expect(memory.lent).toBe(1);
    memory.give(block);
    expect(memory.lent).toBe(0);
  });
});

test("control: an ordinary error is not taken for a typed one", () => {
  expect(new TypeError("x")).not.toBeInstanceOf(CoopError);
  expect(() => expectError(new TypeError("takes"), UsageError, "COOP_BUFFER", /takes/)).toThrow();
  expect(() => expectError(new UsageError("COOP_X", "takes"), UsageError, "COOP_BUFFER", /takes/)).toThrow();
  expect(() => expectError(new UsageError("COOP_X", "takes"), UsageError, "COOP_X", /gives/)).toThrow();
});

describe("values of every kind", () => {
  /** None of them is any argument; the last ones cannot even be made text. */
  const ODD: unknown[] = [
    null,
    -1,
    Number.NaN,
    "",
    true,
    {},
    [],
    () => {},
    Symbol("odd"),
    5n,
    Object.create(null),
  ];

  interface Place {
    readonly file: File;
    readonly socket: Socket;
    readonly ring: BufferRing;
  }

  const CALLS: Readonly<Record<string, (odd: any, place: Place) => unknown>> = {
    setupClose: (odd, { file }) => setupClose(odd, file),
    "sendFile to": (odd, { file }) => sendFile(odd, file),
    "sendFile from": (odd, { socket }) => sendFile(socket, odd),
    "sendFile options": (odd, { socket, file }) => sendFile(socket, file, { position: odd ?? 0.5 }),
    readToEnd: (odd) => readToEnd(odd),
    "copyRest from": (odd, { file }) => copyRest(odd, file),
    "copyRest to": (odd, { socket }) => copyRest(socket, odd),
    "splice from": (odd, { file }) => splice(odd, file, { length: 1 }),
    openBeneath: (odd) => openBeneath(odd, "name"),
    Acceptor: (odd) => new Acceptor(odd),
    serve: (odd) => serve(odd, function* () {}),
    "serve onError": (odd, { socket }) => serve(socket, function* () {}, { onError: callable(odd) }),
    "Receiver socket": (odd, { ring }) => new Receiver(odd, ring),
    "Receiver ring": (odd, { socket }) => new Receiver(socket, odd),
    receivedBy: (odd) => receivedBy(odd),
    descriptorsOf: (odd) => descriptorsOf(odd),
    pipeOf: (odd) => pipeOf(odd),
    statOf: (odd) => statOf(odd),
    readinessOf: (odd) => readinessOf(odd),
    ioStatistics: (odd) => ioStatistics(odd),
    formatAddress: (odd) => formatAddress(odd),
    "lookup host": (odd) => lookup(odd, 80),
    "lookup port": (odd) => lookup("127.0.0.1", odd),
    "chown user": (odd) => chown("nowhere", odd === -1 ? -2 : odd, 0),
    "chown group": (odd) => chown("nowhere", 0, odd === -1 ? -2 : odd),
    setTimes: (odd) => setTimes("nowhere", odd === -1 ? Number.NaN : odd, 0),
    adoptFile: (odd) => adoptFile(odd),
    borrowFile: (odd) => borrowFile(odd),
    allocate: (odd) => allocate(odd),
    truncate: (odd, { file }) => truncate(file, odd),
    listenSocket: (odd, { socket }) => listenSocket(socket, odd),
    "read position": (odd, { file }) => read(file, bytes, { position: odd === 5n ? -5n : odd }),
    "BufferPool size": (odd) => new BufferPool({ size: odd ?? 0 }),
    "BufferPools classes": (odd) => new BufferPools({ classes: odd ?? 0 }),
    "BufferPools class": (odd) => new BufferPools({ classes: [odd] }),
    "BufferPools claim": (odd) => new BufferPools({ classes: [{ size: 1, count: 1 }] }).claim(odd),
    "BufferRing size": (odd) => new BufferRing({ size: odd ?? 0 }),
    "watch changes": (odd) => watch("nowhere", { changes: odd ?? 0 }),
    "env of a program": (odd) => runProcess("true", [], { env: textless(odd) }),
    "queue of a handle": (odd) => {
      const handle = new Handle();
      handle.queue = odd ?? 0;
      setupNop(handle);
    },
  };

  /** Where a function, or an object, would be all right. */
  const callable = (odd: unknown): any => (typeof odd === "function" || odd === null ? 0 : odd);
  const textless = (odd: unknown): any =>
    typeof odd === "object" && !Array.isArray(odd) && odd !== null ? { name: {} } : odd;

  test.each(Object.keys(CALLS))("are told by %s (U12)", async (name) => {
    await runIo(function* () {
      const { near, far } = yield* tcpPair();
      using file = yield* open(freshPath(), "w+");
      using ring = new BufferRing({ count: 1 });
      for (const odd of ODD) {
        const error = yield* failureOf(function* () {
          const made = CALLS[name]!(odd, { file, socket: near, ring });
          return yield* made as Operation<unknown>;
        });
        expect(error).toBeInstanceOf(UsageError);
        expect(error.code).toMatch(/^COOP_/);
      }
      for (const each of [near, far]) yield* close(each);
    });
  });

  test("instead of options, where Node has a position or an encoding", async () => {
    await runIo(function* () {
      using file = yield* open(freshPath(), "w+");
      const handle = new Handle();
      for (const call of [
        () => read(file, bytes, 5 as any),
        () => write(file, bytes, "utf8" as any),
        () => setupRead(handle, file, bytes, 5 as any),
        () => splice(file, file, "length" as any),
        () => mkdir("nowhere", 0o700 as any),
        () => readFile("nowhere", "utf8" as any),
        () => readTextFile("nowhere", "utf8" as any),
        () => writeFile("nowhere", "text", "utf8" as any),
        () => writeFile("nowhere", "text", { flag: "w" } as any),
        () => writeFileAtomic("nowhere", "text", 0o600 as any),
        () => copyFile("nowhere", "here", 1 as any),
        () => walk("nowhere", { maxDepth: 5 } as any),
        () => watch("nowhere", "all" as any),
        () => runProcess("true", [], { shell: true } as any),
        () => spawnProcess("true", [], { detached: true } as any),
        () => new BufferedReader(file as any).readLine(80 as any),
      ]) {
        const error = yield* failureOf(function* () {
          return yield* call() as unknown as Operation<unknown>;
        });
        expectError(error, UsageError, "COOP_OPTIONS", /option/);
      }
      expect(handle.status).toBe("idle");
    });
  });
});
