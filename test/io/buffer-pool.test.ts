/** BufferPool: first come first served, nothing lost under kills, and the ring's registered buffers. */
import { describe, expect, test } from "vitest";
import { defer, op, self, spawn, type Task, UsageError, yieldNow } from "../../src/coordinator/index.ts";
import {
  BufferPool,
  type BufferPoolStatistics,
  BufferPools,
  close,
  type Lease,
  nop,
  open,
  read,
  recv,
  sendAll,
  write,
  writeAll,
} from "../../src/io/index.ts";
import { OP_READ, OP_READ_FIXED, OP_WRITE, OP_WRITE_FIXED } from "../../src/native/layout.ts";
import { sleep } from "../../src/time/index.ts";
import { exhaustive } from "../support/harness.ts";
import {
  expectError,
  freshPath,
  ioCounts,
  pattern,
  runIo,
  stop,
  submitted,
  tcpPair,
  thrownBy,
} from "../support/io.ts";
import { runScripted, ScriptedDriver } from "../support/scripted-driver.ts";

/** What was claimed is given back or still held; nothing else. */
function checkPool(pool: BufferPool, held: number): void {
  const { total, free, claimed, released, waiting }: BufferPoolStatistics = pool.statistics();
  expect({ held: total - free, balance: claimed - released }).toEqual({ held, balance: held });
  if (free > 0) expect(waiting).toBe(0);
}

describe("claims", () => {
  test("are served at once while there are buffers, and in order after that", async () => {
    await runIo(function* () {
      const pool = new BufferPool({ size: 64, count: 2 });
      checkPool(pool, 0);
      const leases = [yield* pool.claim(), yield* pool.claim()];
      expect(pool.tryClaim()).toBeNull();
      checkPool(pool, 2);
      const order: number[] = [];
      const claimers: Task<Lease>[] = [];
      for (let i = 0; i < 5; i++) {
        claimers.push(
          spawn(
            op(function* () {
              const lease = yield* pool.claim();
              order.push(i);
              return lease;
            })(),
          ),
        );
      }
      yield* yieldNow();
      expect(pool.statistics().waiting).toBe(5);
      expect(claimers[0].wait?.describe()).toBe("a free buffer");
      for (let i = 0; i < 5; i++) {
        const lease = leases.shift()!;
        lease.release();
        // It goes straight to the oldest: nobody gets in between.
        expect(pool.tryClaim()).toBeNull();
        leases.push(yield* claimers[i].join());
        checkPool(pool, 2);
      }
      expect(order).toEqual([0, 1, 2, 3, 4]);
      for (const lease of leases) lease.release();
      checkPool(pool, 0);
    });
  });

  test("give distinct buffers of the size that was asked for", async () => {
    await runIo(function* () {
      const pool = new BufferPool({ size: 100, count: 7 });
      const leases: Lease[] = [];
      for (let lease = pool.tryClaim(); lease !== null; lease = pool.tryClaim()) leases.push(lease);
      expect(leases).toHaveLength(7);
      leases.forEach(({ bytes }, i) => {
        expect(bytes).toBeInstanceOf(Buffer);
        expect(bytes.length).toBe(100);
        expect(bytes.buffer).toBeInstanceOf(SharedArrayBuffer);
        bytes.fill(i);
      });
      leases.forEach(({ bytes }, i) => {
        expect(bytes.every((byte) => byte === i)).toBe(true);
      });
      for (const lease of leases) lease.release();
      const { size, count } = new BufferPool();
      expect([size, count]).toEqual([16384, 64]);
    });
  });

  test("that wait can be killed, and those behind them are served", async () => {
    await runIo(function* () {
      const pool = new BufferPool({ size: 8, count: 1 });
      const lease = yield* pool.claim();
      const claimers = [1, 2, 3].map(() => spawn(pool.claim()));
      yield* yieldNow();
      yield* stop(claimers[1]);
      expect(pool.statistics().waiting).toBe(2);
      lease.release();
      (yield* claimers[0].join()).release();
      (yield* claimers[2].join()).release();
      checkPool(pool, 0);
    });
  });

  test("that are satisfied and killed in the same turn give the buffer back", async () => {
    await runIo(function* () {
      const pool = new BufferPool({ size: 8, count: 1 });
      const lease = yield* pool.claim();
      const first = spawn(pool.claim());
      const second = spawn(pool.claim());
      yield* yieldNow();
      lease.release();
      first.kill();
      (yield* second.join()).release();
      expect((yield* first.settled()).status).toBe("killed");
      checkPool(pool, 0);
    });
  });
});

describe("leases", () => {
  test("end with their block, once", async () => {
    await runIo(function* () {
      const pool = new BufferPool({ size: 8, count: 1 });
      {
        using lease = yield* pool.claim();
        expect(lease.bytes.length).toBe(8);
        checkPool(pool, 1);
      }
      checkPool(pool, 0);
      const lease = yield* pool.claim();
      lease.release();
      lease.release();
      lease[Symbol.dispose]();
      checkPool(pool, 0);
      expectError(
        thrownBy(() => lease.bytes),
        UsageError,
        "COOP_LEASE",
        /this buffer has been released; claim another/,
      );
      // The second release of the old one is not one of the new one.
      const next = yield* pool.claim();
      lease.release();
      checkPool(pool, 1);
      expect(next.bytes.length).toBe(8);
      next.release();
    });
  });
});

describe("Q10 under kills", () => {
  test("Q10 at every point: every buffer comes back, and none is in two hands", () => {
    const { points } = exhaustive(() => {
      const driver = new ScriptedDriver({ result: () => 0 });
      let pool: BufferPool | null = null;
      const inHand = new Set<unknown>();
      const user = op(function* (turns: number) {
        using lease = yield* pool!.claim();
        const at = lease.bytes.byteOffset;
        expect(inHand.has(at)).toBe(false);
        inHand.add(at);
        defer(() => {});
        try {
          for (let i = 0; i < turns; i++) yield* sleep(1);
        } finally {
          inHand.delete(at);
        }
      });
      return {
        *body() {
          self().cooperator.openDriver = () => driver;
          pool = new BufferPool({ size: 8, count: 2 });
          for (let i = 0; i < 5; i++) spawn(user(i % 3), { failure: "report" });
          yield* user(1);
          yield* user(0);
        },
        check() {
          expect(inHand.size).toBe(0);
          if (pool !== null) {
            checkPool(pool, 0);
            expect(pool.statistics().waiting).toBe(0);
          }
        },
      };
    });
    expect(points).toBeGreaterThan(15);
  });
});

describe("in the kernel's hands", () => {
  test("the first pool is registered, and its files are read and written through it", async () => {
    await runIo(function* () {
      const pool = new BufferPool({ size: 4096, count: 4 });
      const other = new BufferPool({ size: 4096, count: 4 });
      expect(pool.statistics().registered).toBe(true);
      expect(other.statistics().registered).toBe(false);
      const file = yield* open(freshPath(), "w+");
      const { near, far } = yield* tcpPair();
      for (const from of [pool, other]) {
        const leases = [yield* from.claim(), yield* from.claim()];
        const [one, two] = leases;
        pattern(4096, 3).copy(one.bytes);
        expect(yield* write(file, one.bytes, { position: 0 })).toBe(4096);
        yield* writeAll(file, one.bytes.subarray(100, 200), { position: 4096 });
        expect(yield* read(file, two.bytes, { position: 0 })).toBe(4096);
        expect(two.bytes.equals(pattern(4096, 3))).toBe(true);
        expect(yield* read(file, two.bytes.subarray(8), { position: 4096 })).toBe(100);
        expect(two.bytes.subarray(8, 108).equals(one.bytes.subarray(100, 200))).toBe(true);
        yield* sendAll(near, one.bytes);
        expect(yield* recv(far, two.bytes.fill(0))).toBeGreaterThan(0);
        expect(ioCounts().blocks).toBe(0);
        for (const lease of leases) lease.release();
      }
    });
  });

  test("only bytes inside one buffer of it go by its number", () => {
    class Registering extends ScriptedDriver {
      override registerBuffers(): number {
        return 0;
      }
    }
    const driver = new Registering({ result: ({ length }) => length });
    runScripted(driver, function* () {
      const pool = new BufferPool({ size: 64, count: 4 });
      const file = yield* open("/x", "r+");
      const claimed: Lease[] = [];
      for (let i = 0; i < 4; i++) claimed.push(yield* pool.claim());
      const { bytes } = claimed[2];
      const across = new Uint8Array(bytes.buffer, bytes.byteOffset - 32, 64);
      // The pool's memory begins on a page somewhere in its buffer: there is room before it, or else behind.
      const starts = claimed.map((lease) => lease.bytes.byteOffset);
      const first = Math.min(...starts);
      const outside = new Uint8Array(bytes.buffer, first >= 64 ? first - 64 : Math.max(...starts) + 64, 64);
      for (const [view, reads, number] of [
        [bytes, OP_READ_FIXED, 2],
        [bytes.subarray(63), OP_READ_FIXED, 2],
        [claimed[0].bytes, OP_READ_FIXED, 0],
        [across, OP_READ, 0],
        [outside, OP_READ, 0],
        [Buffer.alloc(8), OP_READ, 0],
      ] as const) {
        yield* read(file, view);
        expect(driver.log.at(-1)).toMatchObject({ opcode: reads, length: view.length, buffer: number });
        yield* write(file, view);
        expect(driver.log.at(-1)!.opcode).toBe(reads === OP_READ ? OP_WRITE : OP_WRITE_FIXED);
      }
      yield* close(file);
    });
  });

  test("a killed reader gives its buffer back only when the kernel is done with it", async () => {
    await runIo(function* () {
      const pool = new BufferPool({ size: 64, count: 1 });
      const { far } = yield* tcpPair();
      const reader = spawn(function* () {
        using lease = yield* pool.claim();
        yield* recv(far, lease.bytes);
      });
      yield* submitted();
      reader.kill();
      checkPool(pool, 1);
      const next = yield* pool.claim();
      expect(ioCounts().inflight).toBe(0);
      next.release();
      checkPool(pool, 0);
    });
  });

  test("one program's pool is not another's", async () => {
    for (let i = 0; i < 2; i++) {
      await runIo(function* () {
        expect(new BufferPool({ size: 64, count: 2 }).statistics().registered).toBe(true);
        yield* nop();
      });
    }
  });

  test("a pool is made by a task", () => {
    expect(thrownBy(() => new BufferPool()).code).toBe("COOP_NO_TASK");
  });
});

describe("X-37 a pool that is stuck", () => {
  test("refuses all that wait when nothing has come back for as long as its patience lasts", async () => {
    await runIo(function* () {
      const pool = new BufferPool({ size: 64, count: 2, patience: 20 });
      const hoarder = op(function* () {
        using _first = yield* pool.claim();
        yield* sleep(1);
        using _second = yield* pool.claim();
      });
      // Two tasks that hold one each and want one more each: neither can go on.
      const tasks = [spawn(hoarder(), { failure: "hold" }), spawn(hoarder(), { failure: "hold" })];
      const ends = [yield* tasks[0].settled(), yield* tasks[1].settled()];
      expect(ends.map((exit) => exit.status === "failed" && (exit.error as { code: string }).code)).toEqual([
        "ENOBUFS",
        "ENOBUFS",
      ]);
      expect(pool.statistics()).toMatchObject({ refused: 2, waiting: 0, free: 2 });
      checkPool(pool, 0);
    });
  });

  test("is patient while buffers come back, and stops its clock when nobody waits", async () => {
    await runIo(function* () {
      const pool = new BufferPool({ size: 64, count: 1, patience: 50 });
      const users = Array.from({ length: 8 }, () =>
        spawn(
          op(function* () {
            using _ = yield* pool.claim();
            yield* sleep(10);
          })(),
        ),
      );
      for (const task of users) yield* task.join();
      using _ = yield* pool.claim();
      const victim = spawn(pool.claim());
      yield* yieldNow();
      yield* stop(victim);
      expect(self().cooperator.statistics().timers).toBe(0);
      expect(pool.statistics()).toMatchObject({ refused: 0, claimed: 9 });
    });
  });
});

describe("pools of several sizes", () => {
  test("give the smallest that will do, and a larger one when that is all there is", async () => {
    await runIo(function* () {
      const pools = new BufferPools({
        classes: [
          { size: 10, count: 1 },
          { size: 100, count: 1 },
          { size: 1000, count: 2 },
        ],
      });
      const leases = [];
      for (const [wanted, got] of [
        [10, 10],
        [10, 100],
        [11, 1000],
        [1, 1000],
      ]) {
        const lease = yield* pools.claim(wanted);
        expect(lease.bytes.length).toBe(got);
        leases.push(lease);
      }
      expect(pools.tryClaim(1)).toBeNull();
      // Now it waits for its own size.
      const waiting = spawn(pools.claim(5));
      yield* yieldNow();
      leases[1].release();
      yield* yieldNow();
      expect(waiting.status).toBe("blocked");
      leases[0].release();
      expect((yield* waiting.join()).bytes.length).toBe(10);
      for (const wrong of [1001, -1, Number.NaN]) {
        expect(thrownBy(() => pools.claim(wrong)).code).toBe("COOP_ARGUMENT");
      }
      expect(thrownBy(() => new BufferPools({ classes: [] })).code).toBe("COOP_ARGUMENT");
      expect(pools.statistics().map(({ total }) => total)).toEqual([1, 1, 2]);
    });
  });
});
