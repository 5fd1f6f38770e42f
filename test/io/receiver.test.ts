/** Multishot receives into provided buffers. */
import { describe, expect, test } from "vitest";
import { ClosedError, op, spawn } from "../../src/coordinator/index.ts";
import {
  BufferedReader,
  BufferRing,
  type ByteReader,
  close,
  Receiver,
  type Socket,
  sendAll,
} from "../../src/io/index.ts";
import {
  expectError,
  failureOf,
  ioCounts,
  nodeTurn,
  pattern,
  runIo,
  stop,
  submitted,
  tcpPair,
  thrownBy,
  unixPair,
  until,
} from "../support/io.ts";

const receiveAll = op(function* (from: ByteReader, length: number, step: number) {
  const into = Buffer.alloc(length);
  let count = 0;
  while (count < length) {
    const got = yield* from.read(into.subarray(count, Math.min(length, count + step)));
    if (got === 0) break;
    count += got;
  }
  return into.subarray(0, count);
});

/** Sends `bytes` in pieces, with a trip through the ring after each. */
const feed = op(function* (to: Socket, bytes: Uint8Array, step: number) {
  for (let at = 0; at < bytes.length; at += step) {
    yield* sendAll(to, bytes.subarray(at, at + step));
    yield* submitted();
  }
});

describe("P12 multishot receive", () => {
  test.each(["tcp", "unix"])(
    "P12 bytes come in order, whatever the sizes, and then the end (%s)",
    async (kind) => {
      await runIo(function* () {
        const ring = new BufferRing({ size: 64, count: 8 });
        const { near, far } = yield* (kind === "tcp" ? tcpPair : unixPair)();
        using receiver = new Receiver(far, ring);
        const bytes = pattern(10_000);
        const feeding = spawn(function* () {
          for (const step of [1, 7, 64, 100, 1000]) yield* feed(near, bytes.subarray(0, step * 10), step);
          yield* near.end();
        });
        for (const step of [1, 7, 64, 100, 1000]) {
          expect((yield* receiveAll(receiver, step * 10, 33)).equals(bytes.subarray(0, step * 10))).toBe(
            true,
          );
        }
        for (let i = 0; i < 3; i++) expect(yield* receiver.read(Buffer.alloc(8))).toBe(0);
        yield* feeding.join();
        const { total, free, held } = ring.statistics();
        expect({ total, free, held }).toEqual({ total: 8, free: 8, held: 0 });
      });
    },
  );

  test("P12 one submission is enough for many arrivals", async () => {
    await runIo(function* () {
      const ring = new BufferRing();
      const { near, far } = yield* unixPair();
      using receiver = new Receiver(far, ring);
      const into = Buffer.alloc(16);
      const reading = spawn(receiver.read(into));
      yield* submitted();
      yield* sendAll(near, Buffer.from("x"));
      yield* reading.join();
      const before = ioCounts().submitted;
      for (let i = 0; i < 10; i++) {
        yield* sendAll(near, Buffer.from("x"));
        expect(yield* receiver.read(into)).toBe(1);
      }
      // The sends, and nothing else.
      expect(ioCounts().submitted - before).toBe(10);
    });
  });

  test("P12 a full completion queue ends it, and it goes on", async () => {
    await runIo(
      function* () {
        const ring = new BufferRing({ size: 16, count: 64 });
        const { near, far } = yield* unixPair();
        using receiver = new Receiver(far, ring, { held: 64 });
        const reading = spawn(receiveAll(receiver, 4096, 16));
        yield* submitted();
        yield* sendAll(near, pattern(4096));
        expect((yield* reading.join()).equals(pattern(4096))).toBe(true);
      },
      { ring: { sqEntries: 4, cqEntries: 4 } },
    );
  });

  test.each([0, 1, 2, 3, 4, 5, 6, 7, 8])(
    "P12 readers killed after %i turns lose and reorder nothing",
    async (turns) => {
      await runIo(function* () {
        const ring = new BufferRing({ size: 16, count: 4 });
        const { near, far } = yield* tcpPair();
        const receiver = new Receiver(far, ring);
        const bytes = pattern(3000);
        const feeding = spawn(function* () {
          yield* feed(near, bytes, 37);
          yield* near.end();
        });
        const got: Buffer[] = [];
        for (;;) {
          const into = Buffer.alloc(20);
          const task = spawn(receiver.read(into), { failure: "hold", start: "now" });
          for (let i = 0; i < turns && task.exit === null; i++) yield* submitted();
          if (turns === 0) yield* nodeTurn();
          const exit = yield* task.killAndWait();
          if (exit.status !== "done") continue;
          if (exit.value === 0) break;
          got.push(into.subarray(0, exit.value));
        }
        yield* feeding.join();
        expect(Buffer.concat(got).equals(bytes)).toBe(true);
        yield* receiver.release();
        expect(ring.statistics()).toMatchObject({ free: 4, held: 0, starving: 0 });
      });
    },
  );

  test.each([0, 1, 2, 3, 4, 6, 8])(
    "P12 given up after %i turns, what has come is the socket's",
    async (turns) => {
      await runIo(function* () {
        const ring = new BufferRing({ size: 16, count: 4 });
        const { near, far } = yield* tcpPair();
        const bytes = pattern(2000);
        const feeding = spawn(function* () {
          yield* feed(near, bytes, 23);
          yield* near.end();
        });
        const got: Buffer[] = [];
        let over = false;
        while (!over) {
          // In turn by a receiver, and by plain receives.
          const receiver = new Receiver(far, ring);
          for (let i = 0; i < 2 && !over; i++) {
            const into = Buffer.alloc(20);
            const count = yield* receiver.read(into);
            got.push(into.subarray(0, count));
            over = count === 0;
          }
          for (let i = 0; i < turns; i++) yield* submitted();
          yield* receiver.release();
          if (over) break;
          const into = Buffer.alloc(5);
          const count = yield* far.recv(into);
          got.push(into.subarray(0, count));
          over = count === 0;
        }
        yield* feeding.join();
        expect(Buffer.concat(got).equals(bytes)).toBe(true);
        expect(ring.statistics()).toMatchObject({ free: 4, held: 0 });
      });
    },
  );
});

describe("P13 no buffer is left", () => {
  test("P13 holds the peer back, fails nobody, and goes on when buffers come back", async () => {
    await runIo(function* () {
      const ring = new BufferRing({ size: 16, count: 2 });
      const { near, far } = yield* tcpPair();
      using receiver = new Receiver(far, ring);
      const into = Buffer.alloc(4);
      const first = spawn(receiver.read(into));
      yield* submitted();
      yield* sendAll(near, pattern(1000));
      yield* first.join();
      for (let i = 0; i < 20; i++) yield* nodeTurn();
      expect(ring.statistics().free).toBe(0);
      // Nobody spins meanwhile.
      const before = ioCounts();
      for (let i = 0; i < 20; i++) yield* nodeTurn();
      expect(ioCounts().submitted).toBe(before.submitted);
      expect((yield* receiveAll(receiver, 996, 7)).equals(pattern(1000).subarray(4))).toBe(true);
    });
  });

  test("P13 many connections share very few buffers", async () => {
    await runIo(function* () {
      const ring = new BufferRing({ size: 8, count: 1 });
      const tasks = [];
      for (let i = 0; i < 8; i++) {
        const { near, far } = yield* unixPair();
        const receiver = new Receiver(far, ring);
        tasks.push(spawn(feed(near, pattern(400, i), 50)));
        tasks.push(
          spawn(function* () {
            expect((yield* receiveAll(receiver, 400, 5)).equals(pattern(400, i))).toBe(true);
            yield* receiver.release();
          }),
        );
      }
      for (const task of tasks) yield* task.join();
      expect(ring.statistics()).toMatchObject({ total: 1, free: 1, held: 0, starving: 0 });
      expect(ring.statistics().shortages).toBeGreaterThan(0);
    });
  });

  test("P13 one that was fed and gets no bytes does not keep the others waiting", async () => {
    await runIo(function* () {
      const ring = new BufferRing({ size: 8, count: 1 });
      const holder = yield* unixPair();
      const idle = yield* unixPair();
      const busy = yield* unixPair();
      const [a, b, c] = [holder.far, idle.far, busy.far].map((socket) => new Receiver(socket, ring));
      yield* sendAll(holder.near, Buffer.from("held"));
      const first = spawn(a.read(Buffer.alloc(1)));
      yield* first.join();
      yield* sendAll(idle.near, Buffer.from("1"));
      yield* sendAll(busy.near, Buffer.from("2"));
      const waiting = [spawn(b.read(Buffer.alloc(8))), spawn(c.read(Buffer.alloc(8)))];
      yield* until(() => ring.statistics().starving === 2);
      // The one that is first in line goes.
      yield* stop(waiting[0]);
      expect(yield* a.read(Buffer.alloc(8))).toBe(3);
      expect(yield* waiting[1].join()).toBe(1);
      expect(yield* b.read(Buffer.alloc(8))).toBe(1);
    });
  });
});

describe("a receiver", () => {
  test("is the socket's only reader", async () => {
    await runIo(function* () {
      const ring = new BufferRing();
      const { near, far } = yield* unixPair();
      const receiver = new Receiver(far, ring);
      expect((yield* failureOf(() => far.recv(Buffer.alloc(1)))).code).toBe("COOP_BUSY");
      expect(thrownBy(() => new Receiver(far, ring)).code).toBe("COOP_BUSY");
      const reading = spawn(receiver.read(Buffer.alloc(1)));
      yield* submitted();
      expect((yield* failureOf(receiver.read(Buffer.alloc(1)))).code).toBe("COOP_BUSY");
      yield* sendAll(near, Buffer.from("ab"));
      expect(yield* reading.join()).toBe(1);
      yield* receiver.release();
      expect(yield* far.recv(Buffer.alloc(8))).toBe(1);
      expectError(
        yield* failureOf(receiver.read(Buffer.alloc(1))),
        ClosedError,
        "COOP_CLOSED",
        /receiver is closed/,
      );
    });
  });

  test("ends with its socket, and its buffers go back", async () => {
    await runIo(function* () {
      const ring = new BufferRing({ size: 16, count: 4 });
      const { near, far } = yield* unixPair();
      const receiver = new Receiver(far, ring);
      yield* sendAll(near, pattern(40));
      yield* receiver.read(Buffer.alloc(1));
      const { far: other } = yield* unixPair();
      const idle = new Receiver(other, ring);
      const waiting = spawn(idle.read(Buffer.alloc(1)), { failure: "hold" });
      yield* submitted();
      yield* close(far);
      yield* close(other);
      expect((yield* failureOf(waiting.join())).code).toBe("COOP_CLOSED");
      expect((yield* failureOf(receiver.read(Buffer.alloc(1)))).code).toBe("COOP_CLOSED");
      expect(ring.statistics()).toMatchObject({ free: 4, held: 0 });
    });
  });

  test("tells a reset, again and again", async () => {
    await runIo(function* () {
      const ring = new BufferRing();
      const { near, far } = yield* tcpPair();
      using receiver = new Receiver(far, ring);
      const reading = spawn(receiver.read(Buffer.alloc(1)), { failure: "hold" });
      yield* submitted();
      near.setOption("linger", 0);
      yield* close(near);
      expect((yield* failureOf(reading.join())).code).toBe("ECONNRESET");
      for (let i = 0; i < 2; i++) {
        expect((yield* failureOf(receiver.read(Buffer.alloc(1)))).code).toBe("ECONNRESET");
      }
    });
  });

  test("is a stream of bytes for a BufferedReader", async () => {
    await runIo(function* () {
      const ring = new BufferRing({ size: 4, count: 2 });
      const { near, far } = yield* unixPair();
      using receiver = new Receiver(far, ring);
      const reader = new BufferedReader(receiver);
      yield* sendAll(near, Buffer.from("several\nlines\n"));
      expect(yield* reader.readLine()).toBe("several");
      expect(yield* reader.readLine()).toBe("lines");
    });
  });

  test("takes sizes that make sense only", async () => {
    await runIo(function* () {
      for (const options of [{ size: 0 }, { count: 3 }, { count: 0 }, { size: 1.5 }, { count: 65536 }]) {
        expect(thrownBy(() => new BufferRing(options)).code).toBe("COOP_ARGUMENT");
      }
      const { far } = yield* unixPair();
      expect(thrownBy(() => new Receiver(far, new BufferRing(), { held: 0 })).code).toBe("COOP_ARGUMENT");
    });
  });
});
