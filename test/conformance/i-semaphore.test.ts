/** Conformance, section I: permits. */
import { describe, expect, test } from "vitest";
import { group, spawn, type Task, yieldNow } from "../../src/coordinator/index.ts";
import { Semaphore, select } from "../../src/sync/index.ts";
import { sleep } from "../../src/time/sleep.ts";
import { exhaustive, inOrder, programs, runChecked } from "../support/harness.ts";
import { codeOf, failure, random } from "../support/sync.ts";

/** Spawns a task that takes `amount`, says so, and keeps it for a millisecond. */
function taker(semaphore: Semaphore, amount: number, log?: string[]): Task {
  return spawn(
    function* () {
      const permit = yield* semaphore.acquire(amount);
      try {
        log?.push(`${amount}`);
        yield* sleep(1);
      } finally {
        permit.release();
      }
    },
    { name: `wants ${amount}` },
  );
}

function full(semaphore: Semaphore): void {
  const { total } = semaphore;
  expect(semaphore.statistics()).toEqual({ total, held: 0, free: total, waiting: 0 });
}

describe("I07 a large request with small ones behind it", () => {
  test("I07 is not starved by them", () => {
    inOrder();
    const semaphore = new Semaphore(5);
    const log: string[] = [];
    runChecked(function* () {
      const permit = yield* semaphore.acquire(3);
      taker(semaphore, 3, log);
      const small = taker(semaphore, 1, log);
      taker(semaphore, 2, log);
      yield* yieldNow();
      expect(semaphore.statistics()).toEqual({ total: 5, held: 3, free: 2, waiting: 3 });
      // It would fit, but it came last.
      expect(semaphore.tryAcquire(1)).toBe(false);
      permit.release();
      expect(semaphore.statistics()).toEqual({ total: 5, held: 4, free: 1, waiting: 1 });
      yield* small.join();
      yield* sleep(5);
      expect(log).toEqual(["3", "1", "2"]);
    });
    full(semaphore);
  });

  test("I07 lets them through at once when it is killed", () => {
    const semaphore = new Semaphore(5);
    const log: string[] = [];
    runChecked(function* () {
      const permit = yield* semaphore.acquire(3);
      const large = taker(semaphore, 3, log);
      taker(semaphore, 1, log);
      taker(semaphore, 1, log);
      taker(semaphore, 1, log);
      yield* yieldNow();
      large.kill();
      expect(semaphore.statistics()).toEqual({ total: 5, held: 5, free: 0, waiting: 1 });
      yield* yieldNow();
      expect(log).toEqual(["1", "1"]);
      permit.release();
      yield* sleep(5);
    });
    full(semaphore);
  });

  test("I07 whoever is killed wherever, nothing is lost and nobody is left", () => {
    exhaustive(() => {
      const semaphore = new Semaphore(5);
      return {
        body: function* () {
          yield* group(function* (g) {
            for (const amount of [3, 3, 1, 2, 5]) g.spawn(semaphore.withPermits(amount, sleep(1)));
          });
        },
        check: ({ stranded }) => {
          expect(stranded).toEqual([]);
          full(semaphore);
        },
      };
    });
  });
});

test("I08 free and held make the total, for every kill of every kind of acquire", () => {
  exhaustive(() => {
    const semaphore = new Semaphore(3);
    const sum = (): void => {
      const { total, held, free } = semaphore.statistics();
      expect(held + free).toBe(total);
      expect(held).toBeLessThanOrEqual(total);
    };
    const body = function* () {
      sum();
      yield* yieldNow();
      sum();
    };
    return {
      body: function* () {
        yield* group(function* (g) {
          g.spawn(semaphore.withPermits(2, body));
          g.spawn(function* () {
            const permit = yield* semaphore.acquire(3);
            const part = permit.split(2);
            expect([permit.amount, part.amount]).toEqual([1, 2]);
            try {
              yield* body();
              part.release();
              yield* body();
            } finally {
              permit.release();
              part[Symbol.dispose]();
            }
          });
          g.spawn(function* () {
            const won = yield* select({
              two: semaphore.acquire(2),
              one: semaphore.acquire(1),
              late: sleep(1),
            });
            if (won.key !== "late") won.value.release();
          });
          g.spawn(semaphore.withPermits(1, body));
        });
      },
      check: ({ stranded }) => {
        expect(stranded).toEqual([]);
        full(semaphore);
      },
    };
  });
});

test("I09 a waiter that is killed wakes nobody", () => {
  const semaphore = new Semaphore(2);
  const log: string[] = [];
  runChecked(function* () {
    const permit = yield* semaphore.acquire(2);
    const first = taker(semaphore, 1, log);
    const second = taker(semaphore, 1, log);
    taker(semaphore, 1, log);
    yield* yieldNow();
    second.kill();
    first.kill();
    expect(semaphore.statistics()).toEqual({ total: 2, held: 2, free: 0, waiting: 1 });
    yield* sleep(1);
    expect(log).toEqual([]);
    permit.release();
    yield* sleep(2);
    expect(log).toEqual(["1"]);
  });
  full(semaphore);
});

describe("I10 amounts that make no sense", () => {
  test("I10 more than held, more than there are, below zero, a part, not a number", () => {
    expect(codeOf(() => new Semaphore(-1))).toBe("COOP_PERMITS");
    expect(codeOf(() => new Semaphore("3" as never))).toBe("COOP_PERMITS");
    const semaphore = new Semaphore(3, { name: "s" });
    for (const amount of [-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY, "1", null]) {
      expect(codeOf(() => semaphore.acquire(amount as never))).toBe("COOP_PERMITS");
      expect(codeOf(() => semaphore.tryAcquire(amount as never))).toBe("COOP_PERMITS");
      expect(codeOf(() => semaphore.release(amount as never))).toBe("COOP_PERMITS");
      expect(codeOf(() => semaphore.resize(amount as never))).toBe("COOP_PERMITS");
    }
    expect(codeOf(() => semaphore.acquire(4))).toBe("COOP_PERMITS");
    expect(codeOf(() => semaphore.tryAcquire(4))).toBe("COOP_PERMITS");
    expect(codeOf(() => semaphore.release(1))).toBe("COOP_NOT_HELD");
    runChecked(function* () {
      const permit = yield* semaphore.acquire(2);
      expect(codeOf(() => semaphore.release(3))).toBe("COOP_NOT_HELD");
      expect(codeOf(() => permit.split(3))).toBe("COOP_PERMITS");
      expect(codeOf(() => permit.split(-1))).toBe("COOP_PERMITS");
      expect(semaphore.statistics()).toEqual({ total: 3, held: 2, free: 1, waiting: 0 });
      permit.release();
      expect(codeOf(() => permit.release())).toBe("COOP_NOT_HELD");
      permit[Symbol.dispose]();
    });
    full(semaphore);
  });

  test("I10 none at all never waits", () => {
    const semaphore = new Semaphore(1);
    runChecked(function* () {
      const permit = yield* semaphore.acquire();
      taker(semaphore, 1);
      yield* yieldNow();
      const none = yield* semaphore.acquire(0);
      expect(none.amount).toBe(0);
      none.release();
      none[Symbol.dispose]();
      expect(semaphore.tryAcquire(0)).toBe(true);
      permit.release();
    });
  });
});

describe("I11 the total is changed while others wait", () => {
  test("I11 up: as many as fit go on at once", () => {
    const semaphore = new Semaphore(2);
    runChecked(function* () {
      const permit = yield* semaphore.acquire(2);
      for (let i = 0; i < 3; i++) taker(semaphore, 1);
      yield* yieldNow();
      semaphore.resize(4);
      expect(semaphore.statistics()).toEqual({ total: 4, held: 4, free: 0, waiting: 1 });
      permit.release();
      expect(semaphore.statistics()).toEqual({ total: 4, held: 3, free: 1, waiting: 0 });
    });
  });

  test("I11 down: nobody gets one before as many have come back", () => {
    const semaphore = new Semaphore(4);
    runChecked(function* () {
      const permits = [];
      for (let i = 0; i < 4; i++) permits.push(yield* semaphore.acquire());
      taker(semaphore, 1);
      yield* yieldNow();
      semaphore.resize(2);
      expect(semaphore.statistics()).toEqual({ total: 2, held: 4, free: -2, waiting: 1 });
      permits.pop()!.release();
      permits.pop()!.release();
      expect(semaphore.statistics()).toEqual({ total: 2, held: 2, free: 0, waiting: 1 });
      permits.pop()!.release();
      expect(semaphore.statistics()).toEqual({ total: 2, held: 2, free: 0, waiting: 0 });
      permits.pop()!.release();
    });
  });

  test("I11 requests that can no longer be met fail, unless the semaphore is closed for now", () => {
    inOrder();
    const semaphore = new Semaphore(4);
    const codes: unknown[] = [];
    runChecked(function* () {
      const permit = yield* semaphore.acquire(4);
      for (const amount of [3, 1, 4]) {
        spawn(function* () {
          codes.push([amount, yield* failure(semaphore.withPermits(amount, yieldNow()))]);
        });
      }
      yield* yieldNow();
      semaphore.resize(0);
      permit.release();
      // Closed: who comes now waits, too.
      const late = spawn(semaphore.withPermits(2, yieldNow()));
      yield* sleep(1);
      expect(codes).toEqual([]);
      expect(semaphore.statistics()).toEqual({ total: 0, held: 0, free: 0, waiting: 4 });
      semaphore.resize(2);
      yield* late.join();
    });
    expect(codes).toEqual([
      [3, "COOP_PERMITS"],
      [4, "COOP_PERMITS"],
      [1, null],
    ]);
    full(semaphore);
  });
});

test("I18 after a storm of kills and resizes the count is right", () => {
  for (const seed of programs(50)) {
    const next = random(seed);
    const semaphore = new Semaphore(4);
    runChecked(function* () {
      const tasks = Array.from({ length: 30 }, () => spawn(semaphore.withPermits(next(4), sleep(next(3)))));
      for (let i = 0; i < 30; i++) {
        if (next(2) === 0) yield* yieldNow();
        tasks[next(tasks.length)]!.kill("storm");
        semaphore.resize(3 + next(4));
        const { total, held, free } = semaphore.statistics();
        expect(held + free).toBe(total);
      }
      for (const task of tasks) yield* task.settled();
    });
    full(semaphore);
  }
});
