/** Conformance Q16: no property of anything a program can hold leads to memory that the kernel acts on. */
import { expect, test, vi } from "vitest";
import { self, spawn } from "../../src/coordinator/index.ts";
import * as everything from "../../src/io/index.ts";
import {
  Acceptor,
  allocate,
  BufferedReader,
  BufferPool,
  BufferRing,
  close,
  Handle,
  ioStatistics,
  listen,
  open,
  openDatagram,
  Receiver,
  recv,
  sendAll,
  setupRecv,
} from "../../src/io/index.ts";
import type { NativeRing } from "../../src/native/binding.ts";
import { runIo, submitted, tcpPair } from "../support/io.ts";

const rings: NativeRing[] = [];

vi.mock("../../src/native/binding.ts", async (original) => {
  const real = await original<typeof import("../../src/native/binding.ts")>();
  return {
    ...real,
    openRing: (options: Parameters<typeof real.openRing>[0]) => {
      const ring = real.openRing(options);
      rings.push(ring);
      return ring;
    },
  };
});

/** Every buffer that properties lead to from `roots`, own and inherited, getters included, and the way there. */
function buffersFrom(roots: Record<string, unknown>): Map<ArrayBufferLike, string> {
  const found = new Map<ArrayBufferLike, string>();
  const seen = new Set<unknown>([globalThis]);
  const queue: [value: unknown, path: string][] = Object.entries(roots).map(([name, root]) => [root, name]);
  while (queue.length > 0) {
    const [value, path] = queue.shift()!;
    if ((typeof value !== "object" && typeof value !== "function") || value === null || seen.has(value))
      continue;
    seen.add(value);
    if (ArrayBuffer.isView(value)) found.set(value.buffer, path);
    if (value instanceof ArrayBuffer || value instanceof SharedArrayBuffer) found.set(value, path);
    if (ArrayBuffer.isView(value)) continue;
    if (value instanceof Map || value instanceof Set) {
      for (const entry of value.entries()) queue.push([entry[0], `${path}.key`], [entry[1], `${path}.value`]);
    }
    for (let from: object | null = value; from !== null; from = Object.getPrototypeOf(from)) {
      for (const key of Reflect.ownKeys(from)) {
        try {
          queue.push([Reflect.get(from, key, value), `${path}.${String(key)}`]);
        } catch {
          // A getter that is not for this object, or not for now.
        }
      }
    }
  }
  return found;
}

test("Q16 from whatever a program can hold, with operations in flight, there is no way to a ring or a pool", async () => {
  await runIo(function* () {
    const { near, far } = yield* tcpPair();
    const second = yield* tcpPair();
    const listener = yield* listen("127.0.0.1:0");
    const udp = yield* openDatagram("127.0.0.1:0");
    const file = yield* open("/dev/null");
    const mine = allocate(1 << 20);
    const handle = new Handle();
    setupRecv(handle, far, Buffer.alloc(64));
    const pool = new BufferPool({ size: 64, count: 2 });
    const ring = new BufferRing({ size: 64, count: 2 });
    const receiver = new Receiver(second.far, ring);
    const acceptor = new Acceptor(listener);
    const reader = new BufferedReader(second.near);
    const tasks = [
      spawn(receiver.read(Buffer.alloc(8)), { start: "now" }),
      spawn(udp.receive(Buffer.alloc(8)), { start: "now" }),
      spawn(recv(near, mine), { start: "now" }),
      spawn(acceptor.next(), { start: "now" }),
    ];
    yield* submitted();
    yield* sendAll(second.near, Buffer.from("some"));
    const task = self();
    const { cooperator } = task;
    const statistics = ioStatistics(cooperator);
    const roots = {
      near,
      far,
      listener,
      udp,
      file,
      handle,
      pool,
      ring,
      receiver,
      acceptor,
      reader,
      tasks,
      task,
      cooperator,
      statistics,
      everything,
    };
    const found = buffersFrom(roots);
    expect(rings).toHaveLength(1);
    const forbidden = [rings[0]!.ringMemory, rings[0]!.sqeMemory] as ArrayBufferLike[];
    for (const buffer of forbidden) expect(found.get(buffer)).toBeUndefined();
    // What was found is what the program gave, and what Node has: the walk does see buffers.
    expect(found.has(mine.buffer)).toBe(true);
    const shared = [...found].filter(
      ([buffer]) => buffer instanceof SharedArrayBuffer && buffer !== mine.buffer,
    );
    expect(shared.map(([, path]) => path)).toEqual([]);
    handle.cancel();
    yield* handle.settled();
    for (const one of tasks) yield* one.killAndWait("done");
    acceptor[Symbol.dispose]();
    yield* receiver.release();
    ring[Symbol.dispose]();
    for (const one of [near, far, second.near, second.far, listener, udp, file]) yield* close(one);
  });
});

test("Q16 control: the walk finds the ring of a driver that keeps it in a plain property", () => {
  const bytes = new SharedArrayBuffer(8);
  class Careless {
    private readonly words = new Int32Array(bytes);
    get first(): number {
      return this.words[0]!;
    }
  }
  expect(buffersFrom({ driver: { inner: new Map([["one", new Careless()]]) } }).get(bytes)).toBe(
    "driver.inner.value.words",
  );
});
