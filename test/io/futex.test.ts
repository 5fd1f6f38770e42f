/** Waiting for a word in shared memory: between tasks, between threads, and no wake-up is lost to a kill. */
import { Worker } from "node:worker_threads";
import { describe, expect, test } from "vitest";
import { until as settlement } from "../../src/async/index.ts";
import { DeadlineError, op, spawn, UsageError } from "../../src/coordinator/index.ts";
import { futexWait, futexWake, Handle, setupFutexWait, setupFutexWake } from "../../src/io/index.ts";
import { select } from "../../src/sync/index.ts";
import { sleep } from "../../src/time/index.ts";
import { childPath, dist } from "../support/children.ts";
import { expectError, failureOf, runIo, stop, submitted, thrownBy } from "../support/io.ts";

const words = (count = 2): Int32Array => new Int32Array(new SharedArrayBuffer(count * 4));

const play = op(function* (game: Int32Array, rounds: number) {
  for (let round = 1; round <= rounds; round++) {
    Atomics.store(game, 0, round);
    yield* futexWake(game, 0);
    while (Atomics.load(game, 1) < round) yield* futexWait(game, 1, round - 1);
  }
});

describe("between threads", { timeout: 60_000 }, () => {
  test("two workers and this one play ping-pong, each on its words", async () => {
    const rounds = 500;
    const games = [words(), words()];
    await runIo(function* () {
      const ended = games.map((game) => {
        const worker = new Worker(childPath("futex"), { workerData: { dist, words: game, rounds } });
        return new Promise((resolve) => worker.once("exit", resolve));
      });
      for (const task of games.map((game) => spawn(play(game, rounds)))) yield* task.join();
      expect(yield* settlement(Promise.all(ended))).toEqual([0, 0]);
    });
    expect(games.map((game) => [...game])).toEqual([
      [rounds, rounds],
      [rounds, rounds],
    ]);
  });
});

describe("in one thread", () => {
  test("as many wake as were asked for, those of other words do not", async () => {
    await runIo(function* () {
      const shared = words(3);
      const waiting = Array.from({ length: 4 }, () => spawn(futexWait(shared, 1, 0)));
      const other = spawn(futexWait(shared, 2, 0));
      yield* submitted();
      expect(yield* futexWake(shared, 0)).toBe(0);
      expect(yield* futexWake(shared, 1, 1)).toBe(1);
      expect(yield* futexWake(shared, 1)).toBe(3);
      for (const task of waiting) expect(yield* task.join()).toBe(true);
      expect(yield* futexWake(shared, 2)).toBe(1);
      expect(yield* other.join()).toBe(true);
    });
  });

  test.each([0, 1, -1, 0x7fff_ffff, -0x8000_0000])("a word with another value than %i", async (value) => {
    await runIo(function* () {
      const shared = words();
      shared[0] = value;
      expect(yield* futexWait(shared, 0, value ^ 1)).toBe(false);
      const waiting = spawn(futexWait(shared, 0, value));
      yield* submitted();
      expect(yield* futexWake(shared, 0)).toBe(1);
      expect(yield* waiting.join()).toBe(true);
    });
  });

  test("level 0 has the kernel's numbers", async () => {
    await runIo(function* () {
      const shared = words();
      const [waiting, waking] = [new Handle(), new Handle()];
      setupFutexWait(waiting, shared, 0, 1);
      expect(yield* waiting).toBe(-11);
      setupFutexWait(waiting, shared, 0, 0);
      setupFutexWake(waking, shared, 0);
      expect([yield* waking, yield* waiting]).toEqual([1, 0]);
    });
  });

  test("Atomics.notify is another thing", async () => {
    await runIo(function* () {
      const shared = words();
      const waiting = spawn(futexWait(shared, 0, 0));
      yield* submitted();
      expect(Atomics.notify(shared, 0)).toBe(0);
      yield* submitted();
      expect(waiting.exit).toBe(null);
      yield* stop(waiting);
    });
  });
});

describe("kill and timeout", () => {
  test("end the wait", async () => {
    await runIo(function* () {
      const shared = words();
      const waiting = spawn(futexWait(shared, 0, 0));
      yield* submitted();
      yield* stop(waiting);
      expect(yield* futexWake(shared, 0)).toBe(0);
      expectError(
        yield* failureOf(futexWait(shared, 0, 0, { timeout: 5 })),
        DeadlineError,
        "COOP_DEADLINE",
        /futex/,
      );
      const won = yield* select({ woken: futexWait(shared, 0, 0), tick: sleep(2) });
      expect(won.key).toBe("tick");
    });
  });

  test.each([0, 1, 2, 3, 4])("a wake-up that comes with a kill is passed on (%i turns)", async (turns) => {
    await runIo(function* () {
      const shared = words();
      const first = spawn(futexWait(shared, 0, 0));
      yield* submitted();
      const second = spawn(futexWait(shared, 0, 0));
      yield* submitted();
      const waking = new Handle();
      setupFutexWake(waking, shared, 0, 1);
      for (let i = 0; i < turns; i++) yield* submitted();
      first.kill("at the worst moment");
      yield* first.settled();
      expect(yield* waking.settled()).toBe(1);
      const went = first.exit!.status === "done";
      for (let i = 0; i < 4; i++) yield* submitted();
      expect(second.exit === null).toBe(went);
      yield* stop(second);
    });
  });

  test("a wake-up is passed on by a task that was killed between the wake-up and its step", async () => {
    await runIo(function* () {
      const shared = words();
      const tasks = Array.from({ length: 8 }, () => spawn(futexWait(shared, 0, 0)));
      yield* submitted();
      yield* futexWake(shared, 0, 4);
      // Some of them are woken, and have not run.
      for (const task of tasks.slice(0, 6)) task.kill();
      // Those of the killed ones reach the last two, whoever was woken first.
      for (const task of tasks.slice(6)) expect(yield* task.join()).toBe(true);
    });
  });
});

test("what is no word in shared memory is refused", async () => {
  await runIo(function* () {
    const shared = words();
    const growable = new (SharedArrayBuffer as any)(8, { maxByteLength: 16 });
    const ordinary = new Int32Array(2);
    for (const wrong of [ordinary, new Uint32Array(shared.buffer), [0], null, new Int32Array(growable)]) {
      expectError(
        thrownBy(() => futexWait(wrong as never, 0, 0)),
        UsageError,
        "COOP_BUFFER",
        /futex/,
      );
    }
    for (const index of [-1, 2, 0.5, Number.NaN, "0"]) {
      expect(thrownBy(() => futexWake(shared, index as never))).toMatchObject({ code: "COOP_ARGUMENT" });
    }
    for (const value of [0.5, 2 ** 31, Number.NaN, 0n]) {
      expect(thrownBy(() => futexWait(shared, 0, value as never))).toMatchObject({ code: "COOP_ARGUMENT" });
    }
    for (const count of [0, -1, 1.5, Number.NaN]) {
      expect(thrownBy(() => futexWake(shared, 0, count))).toMatchObject({ code: "COOP_ARGUMENT" });
    }
  });
});
