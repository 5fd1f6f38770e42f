/** The cooperator as a guest of Node's loop: what comes from outside a turn, and the real clock. */
import { describe, expect, test } from "vitest";
import { Coordinator, now, op, spawn, timeout } from "../../src/index.ts";
import { accept, Handle, listen, nop, recv, setupRecv } from "../../src/io/index.ts";
import { run } from "../../src/node/run.ts";
import { sleep } from "../../src/time/index.ts";
import { failureOf, ioCounts, nodeTurn, runIo, submitted, tcpPair, until } from "../support/io.ts";

describe("what is asked for outside of a turn happens soon", () => {
  test("the cancel of a handle", async () => {
    await runIo(function* () {
      const { far } = yield* tcpPair();
      const handle = new Handle();
      setupRecv(handle, far, Buffer.alloc(1));
      yield* submitted();
      setImmediate(() => handle.cancel());
      expect(yield* handle).toBe(-125);
    });
  });

  test("the disposal of a descriptor that is in use", async () => {
    await runIo(function* () {
      const { near, far } = yield* tcpPair();
      const reader = spawn(recv(far, Buffer.alloc(1)), { failure: "hold" });
      yield* submitted();
      setImmediate(() => far[Symbol.dispose]());
      expect(yield* reader.settled()).toMatchObject({ status: "failed", error: { code: "COOP_CLOSED" } });
      // The peer sees the end of it.
      expect(yield* recv(near, Buffer.alloc(1))).toBe(0);
    });
  });

  test("the disposal of one that is idle, while every task sleeps", async () => {
    await runIo(function* () {
      const { near, far } = yield* tcpPair();
      const reader = spawn(recv(near, Buffer.alloc(1)));
      yield* submitted();
      setImmediate(() => far[Symbol.dispose]());
      expect(yield* reader.join()).toBe(0);
    });
  });

  test("the kill of a program that is blocked in io", async () => {
    await runIo(function* () {
      const listener = yield* listen("127.0.0.1:0");
      const tasks = Array.from({ length: 50 }, () => spawn(accept(listener)));
      yield* submitted();
      setImmediate(() => {
        for (const task of tasks) task.kill();
      });
      for (const task of tasks) expect((yield* task.settled()).status).toBe("killed");
    });
  });
});

describe("the real clock", () => {
  test("a sleep is never over early, in whatever order they are", async () => {
    await runIo(function* () {
      const lengths = [3, 1, 4, 0, 5, 2, 1.5, 0.25, 3];
      const early: number[] = [];
      const tasks = lengths.map((length) =>
        spawn(
          op(function* () {
            const begun = now();
            yield* sleep(length);
            if (now() - begun < length) early.push(length);
          })(),
        ),
      );
      for (const task of tasks) yield* task.join();
      expect(early).toEqual([]);
    });
  });

  test("an earlier timer goes before a later one that was there first", async () => {
    await runIo(function* () {
      const long = spawn(sleep("30 days"));
      const longer = spawn(sleep("10 hours"));
      for (let i = 0; i < 40; i++) yield* sleep(0.1);
      expect([long.status, longer.status]).toEqual(["blocked", "blocked"]);
      long.kill();
      longer.kill();
    });
  });

  test("a timeout that is never needed holds nothing up", async () => {
    await runIo(function* () {
      for (let i = 0; i < 100; i++) yield* timeout("1 hour", nop());
      const begun = now();
      yield* failureOf(() => timeout(2, new Coordinator({ held: true }).acquire()));
      expect(now() - begun).toBeGreaterThanOrEqual(2);
    });
  });

  test("one that never ends is no timer: nothing is armed for it", async () => {
    await runIo(function* () {
      const { far } = yield* tcpPair();
      const reader = spawn(recv(far, Buffer.alloc(1), { timeout: Number.POSITIVE_INFINITY }));
      yield* submitted();
      reader.kill();
      yield* reader.settled();
    });
  });
});

test("an idle program makes no calls: it sleeps until it is woken", async () => {
  await runIo(function* () {
    const { far } = yield* tcpPair();
    const reader = spawn(recv(far, Buffer.alloc(1)));
    yield* submitted();
    let woken = 0;
    const gate = new Coordinator({ held: true });
    const { flushes } = ioCounts();
    const round = (): void => {
      if (++woken < 50) setImmediate(round);
      else gate.release();
    };
    setImmediate(round);
    yield* gate.acquire();
    // Fifty turns of Node's loop, and hardly one of ours.
    expect(ioCounts().flushes - flushes).toBeLessThan(5);
    reader.kill();
  });
});

test.each([Infinity, 1e300, Number.MAX_SAFE_INTEGER])(
  "a timer that is far off, %d ms, wakes nobody",
  async (millis) => {
    await runIo(function* () {
      const sleeper = spawn(sleep(millis));
      yield* submitted();
      const { flushes } = ioCounts();
      let woken = 0;
      const gate = new Coordinator({ held: true });
      const round = (): void => {
        if (++woken < 50) setImmediate(round);
        else gate.release();
      };
      setImmediate(round);
      yield* gate.acquire();
      expect(ioCounts().flushes - flushes).toBeLessThan(5);
      sleeper.kill();
    });
  },
);

test("many programs one after the other leave nothing", async () => {
  for (let i = 0; i < 20; i++) {
    await run(function* () {
      yield* nop();
      yield* until(() => true);
      yield* nodeTurn();
    });
  }
  await runIo(nop());
});
