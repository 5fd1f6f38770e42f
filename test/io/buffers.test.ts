/** Memory in flight: what is copied and what is not, exact edges, and buffers that go away meanwhile. */
import { PassThrough } from "node:stream";
import { describe, expect, test } from "vitest";
import { type Operation, op, spawn, yieldNow } from "../../src/coordinator/index.ts";
import {
  allocate,
  BufferedReader,
  BufferedWriter,
  BufferPool,
  BufferRing,
  close,
  Handle,
  nop,
  open,
  openDatagram,
  Receiver,
  read,
  readv,
  receiveFrom,
  recv,
  type Socket,
  send,
  sendAll,
  sendTo,
  setupRecv,
  setupSend,
  write,
  writeAll,
  writev,
  writevAll,
} from "../../src/io/index.ts";
import { loadBinding } from "../../src/native/binding.ts";
import { fromDuplex } from "../../src/streams/index.ts";
import {
  failureOf,
  freshFifo,
  freshPath,
  ioCounts,
  pattern,
  runIo,
  stop,
  submitted,
  tcpPair,
  thrownBy,
  unixPair,
} from "../support/io.ts";

// The library is compiled without the types of browsers.
const WasmMemory = (
  globalThis as unknown as {
    WebAssembly: {
      Memory: new (options: {
        initial: number;
        maximum?: number;
        shared?: boolean;
      }) => {
        readonly buffer: ArrayBuffer;
        grow(pages: number): void;
      };
    };
  }
).WebAssembly.Memory;

const GUARD = 0xa5;

/** Makes `length` bytes in the middle of something whose other bytes must not change. */
interface Guarded {
  readonly bytes: Uint8Array;
  /** Checks the guard bytes. */
  readonly check: () => void;
}

type Maker = (length: number) => Guarded;

function guarded(all: Uint8Array, at: number, length: number): Guarded {
  all.fill(GUARD);
  const bytes = all.subarray(at, at + length).fill(0);
  return {
    bytes,
    check() {
      for (let i = 0; i < all.length; i++) {
        if ((i < at || i >= at + length) && all[i] !== GUARD) throw new Error(`guard byte ${i - at} changed`);
      }
    },
  };
}

const MAKERS: Readonly<Record<string, Maker>> = {
  "a Buffer of its own": (length) => guarded(Buffer.alloc(length + 24), 11, length),
  "a Buffer of Node's pool": (length) => {
    const bytes = Buffer.allocUnsafe(length);
    return { bytes, check() {} };
  },
  "a Uint8Array with an offset": (length) =>
    guarded(new Uint8Array(new ArrayBuffer(length + 100), 50), 7, length),
  "bytes of allocate()": (length) => guarded(allocate(length + 32), 16, length),
  "bytes of a SharedArrayBuffer, at an odd place": (length) =>
    guarded(new Uint8Array(new SharedArrayBuffer(length + 9)), 3, length),
  "the bytes of other numbers": (length) =>
    guarded(new Uint8Array(new Float64Array(Math.ceil(length / 8) + 4).buffer), 8, length),
  "a growable SharedArrayBuffer": (length) => {
    const Growable = SharedArrayBuffer as unknown as new (
      length: number,
      options: { maxByteLength: number },
    ) => SharedArrayBuffer;
    return guarded(new Uint8Array(new Growable(length + 16, { maxByteLength: length * 2 + 32 })), 8, length);
  },
  "memory of WebAssembly": (length) => {
    const memory = new WasmMemory({ initial: Math.ceil((length + 64) / 65536) });
    return guarded(new Uint8Array(memory.buffer), 32, length);
  },
  "shared memory of WebAssembly": (length) => {
    const pages = Math.ceil((length + 64) / 65536);
    const memory = new WasmMemory({ initial: pages, maximum: pages, shared: true });
    return guarded(new Uint8Array(memory.buffer), 32, length);
  },
};

const LENGTHS = [1, 2, 63, 64, 65, 4095, 4096, 4097, 65535, 65536, 65537, 1 << 20];

const receiveAll = op(function* (from: Socket, into: Uint8Array) {
  for (let at = 0; at < into.length; ) {
    const count = yield* recv(from, into.subarray(at));
    if (count === 0) throw new Error(`the end after ${at} bytes`);
    at += count;
  }
});

describe("Q06 what is sent is received, exactly, and nothing around it", () => {
  test.each(Object.keys(MAKERS))("Q06 %s", async (name) => {
    await runIo(function* () {
      const { near, far } = yield* unixPair();
      const file = yield* open(freshPath(), "w+");
      for (const length of LENGTHS) {
        const from = MAKERS[name](length);
        from.bytes.set(pattern(length, length & 0xff));
        const into = MAKERS[name](length);
        const sender = spawn(sendAll(near, from.bytes));
        yield* receiveAll(far, into.bytes);
        yield* sender.join();
        expect(Buffer.compare(into.bytes, from.bytes)).toBe(0);
        into.bytes.fill(0);
        yield* writeAll(file, from.bytes, { position: 3 });
        let count = 0;
        while (count < length)
          count += yield* read(file, into.bytes.subarray(count), { position: 3 + count });
        expect(Buffer.compare(into.bytes, pattern(length, length & 0xff))).toBe(0);
        into.check();
        from.check();
        expect(ioCounts().blocks).toBe(0);
      }
    });
  });

  test("Q06 control: a guard byte that changes is found", () => {
    const { bytes, check } = MAKERS["a Buffer of its own"](8);
    check();
    new Uint8Array(bytes.buffer, bytes.byteOffset + 8, 1)[0] = 0;
    expect(check).toThrow("guard byte 8 changed");
    const before = MAKERS["bytes of a SharedArrayBuffer, at an odd place"](8);
    new Uint8Array(before.bytes.buffer, before.bytes.byteOffset - 1, 1)[0] = 0;
    expect(before.check).toThrow("guard byte -1 changed");
  });

  test("Q09 a short read leaves the rest of the buffer as it was", async () => {
    await runIo(function* () {
      const { near, far } = yield* tcpPair();
      for (const [, make] of Object.entries(MAKERS)) {
        const { bytes, check } = make(10_000);
        bytes.fill(0x5c);
        yield* sendAll(near, Buffer.from("seven!!"));
        expect(yield* recv(far, bytes)).toBe(7);
        expect(Buffer.from(bytes.subarray(0, 7)).toString()).toBe("seven!!");
        expect(bytes.subarray(7).every((byte) => byte === 0x5c)).toBe(true);
        check();
      }
    });
  });

  test("Q09 blocks that are used again show nothing of their former use", async () => {
    await runIo(function* () {
      const { near, far } = yield* unixPair();
      yield* sendAll(near, Buffer.alloc(4096, "secret"));
      const first = Buffer.alloc(4096);
      yield* receiveAll(far, first);
      for (let i = 0; i < 300; i++) {
        yield* sendAll(near, Buffer.from("x"));
        const into = Buffer.alloc(4096);
        expect(yield* recv(far, into)).toBe(1);
        expect(into.includes("secret")).toBe(false);
      }
    });
  });

  test("nothing is copied for bytes of allocate(), and something is for others", async () => {
    await runIo(function* () {
      const { far } = yield* tcpPair();
      for (const [bytes, blocks] of [
        [allocate(100), 0],
        [allocate(1 << 20), 0],
        [Buffer.alloc(100), 1],
        [Buffer.alloc(1 << 20), 1],
      ] as const) {
        const reader = spawn(recv(far, bytes));
        yield* submitted();
        expect(ioCounts().blocks).toBe(blocks);
        yield* stop(reader);
        expect(ioCounts().blocks).toBe(0);
      }
    });
  });

  test("more blocks than there are of a size", async () => {
    await runIo(function* () {
      const { near, far } = yield* unixPair();
      // The order of so many does not matter here; a program's own streams have one reader at a time.
      far.exclusive = false;
      const readers = Array.from({ length: 600 }, (_, i) =>
        spawn(recv(far, Buffer.alloc(i % 2 === 0 ? 8 : 8192))),
      );
      yield* submitted();
      expect(ioCounts().blocks).toBe(600);
      yield* sendAll(near, Buffer.from("x"));
      for (const reader of readers) {
        if (reader.status === "blocked") reader.kill();
      }
      for (const reader of readers) yield* reader.settled();
      expect(ioCounts().blocks).toBe(0);
    });
  });
});

describe("Q02 a buffer that is detached while it is in flight", () => {
  const take = (bytes: Uint8Array): Uint8Array =>
    structuredClone(bytes, { transfer: [bytes.buffer as ArrayBuffer] });

  test("Q02 receives nothing, and neither does its new owner", async () => {
    await runIo(function* () {
      const { near, far } = yield* tcpPair();
      for (const length of [8, 4096, 1 << 20]) {
        const bytes = new Uint8Array(length);
        const reader = spawn(recv(far, bytes), { failure: "hold" });
        yield* submitted();
        const taken = take(bytes);
        yield* sendAll(near, Buffer.alloc(8, 0xff));
        expect(yield* reader.settled()).toMatchObject({
          status: "failed",
          error: { code: "EFAULT", syscall: "recv" },
        });
        expect(taken.every((byte) => byte === 0)).toBe(true);
      }
    });
  });

  test("Q02 is sent as it was when the send began", async () => {
    await runIo(function* () {
      const { near, far } = yield* unixPair();
      for (const length of [8, 4096, 1 << 16]) {
        const bytes = Uint8Array.from(pattern(length));
        const sender = spawn(sendAll(near, bytes), { start: "now" });
        const taken = take(bytes);
        taken.fill(0);
        const into = Buffer.alloc(length);
        yield* receiveAll(far, into);
        yield* sender.join();
        expect(into.equals(pattern(length))).toBe(true);
      }
    });
  });

  test("Q02 of one that goes out in several rounds none is sent after it has gone", async () => {
    await runIo(function* () {
      const { near, far } = yield* unixPair();
      const bytes = Uint8Array.from(pattern(1 << 20));
      const sender = spawn(sendAll(near, bytes), { start: "now", failure: "hold" });
      take(bytes).fill(0);
      expect(yield* sender.settled()).toMatchObject({ status: "failed", error: { code: "EFAULT" } });
      yield* near.close();
      const into = Buffer.alloc(1 << 20);
      let length = 0;
      for (let count = -1; count !== 0; length += count) count = yield* recv(far, into.subarray(length));
      expect(into.subarray(0, length).equals(pattern(1 << 20).subarray(0, length))).toBe(true);
    });
  });

  test("Q02 a killed reader of it gives its bytes to nobody, and the program goes on", async () => {
    await runIo(function* () {
      const { near, far } = yield* tcpPair();
      const bytes = new Uint8Array(8);
      const reader = spawn(recv(far, bytes), { priority: 2 });
      yield* submitted();
      yield* sendAll(near, Buffer.from("gone"));
      // Satisfied, not run yet: the kill makes it hand back what it has got.
      while (reader.status === "blocked") yield* nop();
      take(bytes);
      yield* stop(reader);
      yield* sendAll(near, Buffer.from("next"));
      const into = Buffer.alloc(8);
      expect(into.toString("utf8", 0, yield* recv(far, into))).toBe("next");
    });
  });

  test("Q05 memory of WebAssembly that grows meanwhile receives nothing", async () => {
    await runIo(function* () {
      const { near, far } = yield* tcpPair();
      const memory = new WasmMemory({ initial: 1 });
      const reader = spawn(recv(far, new Uint8Array(memory.buffer, 0, 8)), { failure: "hold" });
      yield* submitted();
      memory.grow(1);
      yield* sendAll(near, Buffer.alloc(8, 0xff));
      expect(yield* reader.settled()).toMatchObject({ status: "failed", error: { code: "EFAULT" } });
      expect(new Uint8Array(memory.buffer, 0, 8).every((byte) => byte === 0)).toBe(true);
    });
  });

  test("Q02 control: shared bytes cannot be taken away", () => {
    const bytes = allocate(8);
    expect(() => structuredClone(bytes, { transfer: [bytes.buffer as never] })).toThrow();
  });
});

describe("no bytes at all", () => {
  test("Q03 are sent and received at once, without asking the kernel", async () => {
    await runIo(function* () {
      const { near, far } = yield* tcpPair();
      const pipe = yield* open(freshFifo(), "r+");
      const none = Buffer.alloc(0);
      const before = ioCounts().submitted;
      expect(yield* recv(far, none)).toBe(0);
      expect(yield* send(near, none)).toBe(0);
      yield* sendAll(near, none);
      expect(yield* read(pipe, allocate(0))).toBe(0);
      expect(yield* write(pipe, none, { timeout: 1 })).toBe(0);
      yield* writeAll(pipe, none, { position: 5 });
      for (const setup of [
        (handle: Handle) => setupRecv(handle, far, none, { timeout: 1 }),
        (handle: Handle) => setupSend(handle, near, none),
      ]) {
        const handle = new Handle();
        setup(handle);
        expect([handle.status, handle.result]).toEqual(["done", 0]);
        expect(yield* handle).toBe(0);
      }
      expect(ioCounts().submitted).toBe(before);
      // It was not the end: bytes still come.
      yield* sendAll(near, Buffer.from("x"));
      expect(yield* recv(far, Buffer.alloc(4))).toBe(1);
    });
  });

  test("on a closed socket are refused all the same", async () => {
    await runIo(function* () {
      const { near } = yield* tcpPair();
      yield* close(near);
      expect((yield* failureOf(() => send(near, Buffer.alloc(0)))).code).toBe("COOP_CLOSED");
    });
  });
});

test("Q03 bytes that are detached between the call and its start are refused, and no empty ones", async () => {
  await runIo(function* () {
    const { near, far } = yield* tcpPair();
    using file = yield* open(freshPath(), "w+");
    using udp = yield* openDatagram("127.0.0.1:0");
    using ring = new BufferRing({ count: 1 });
    using stream = fromDuplex(new PassThrough());
    const address = udp.localAddress!;
    const reader = new BufferedReader(far);
    const calls: ((bytes: Uint8Array, receiver: Receiver) => Operation<unknown>)[] = [
      (bytes) => sendAll(near, bytes),
      (bytes) => recv(near, bytes),
      (bytes) => write(file, bytes),
      (bytes) => writev(file, [Buffer.from("x"), bytes]),
      (bytes) => writevAll(file, [bytes]),
      (bytes) => readv(file, [bytes]),
      (bytes) => sendTo(udp, bytes, address),
      (bytes) => receiveFrom(udp, bytes),
      (bytes) => reader.read(bytes),
      (bytes) => new BufferedWriter(near).writeAll(bytes),
      (bytes) => stream.read(bytes),
      (bytes) => stream.writeAll(bytes),
      (bytes, receiver) => receiver.read(bytes),
    ];
    for (const call of calls) {
      const receiver = new Receiver(near, ring);
      const bytes = new Uint8Array(8);
      const operation = call(bytes, receiver);
      if (call !== calls.at(-1)) yield* receiver.release();
      structuredClone(bytes.buffer, { transfer: [bytes.buffer] });
      expect((yield* failureOf(operation)).code).toBe("COOP_BUFFER");
      if (call === calls.at(-1)) yield* receiver.release();
    }
    for (const each of [near, far]) yield* close(each);
  });
});

test("P09 memory that is not there is ENOMEM", async () => {
  await runIo(function* () {
    yield* nop();
    for (const make of [
      () => new BufferPool({ size: 2 ** 30, count: 16384 }),
      () => new BufferRing({ size: 2 ** 20, count: 32768 }),
    ]) {
      expect(thrownBy(make)).toMatchObject({ code: "ENOMEM", syscall: "allocate" });
    }
  });
});

test("Q01 a buffer nobody else holds stays where it is until its last completion", async () => {
  await runIo(function* () {
    const { near, far } = yield* unixPair();
    const readers = [];
    for (let i = 0; i < 20; i++) {
      const { near: one, far: other } = yield* unixPair();
      readers.push({ near: one, task: spawn(recv(other, allocate(1 << 17))) });
    }
    yield* submitted();
    // Garbage enough for collections to come.
    let kept: unknown[] = [];
    for (let i = 0; i < 200; i++) {
      kept.push(new ArrayBuffer(1 << 18));
      if (kept.length > 8) kept = [];
      if (i % 20 === 0) yield* yieldNow();
    }
    for (const { near: one, task } of readers) {
      yield* sendAll(one, Buffer.alloc(1000, 7));
      expect(yield* task.join()).toBe(1000);
    }
    yield* close(near);
    yield* close(far);
  });
});

describe("the place of our memory", () => {
  // See `allocatePages`: the engine's own memory begins 16 bytes behind a page, where copies are slow.
  test("large buffers begin on a page, small ones on a cache line", () => {
    const { addressOf } = loadBinding();
    for (const size of [100_000, 65_537]) expect(addressOf(allocate(size)) % 4096).toBe(0);
    for (const size of [1, 4096, 63, 65, 4096]) expect(addressOf(allocate(size)) % 64).toBe(0);
  });
});
