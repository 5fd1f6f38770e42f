/** So many per time: on a virtual clock every instant can be told. */
import { describe, expect, test } from "vitest";
import { group, spawn, yieldNow } from "../../src/coordinator/index.ts";
import { RateLimiter, select } from "../../src/sync/index.ts";
import { VirtualRuntime } from "../../src/testing/virtual.ts";
import { now, sleep } from "../../src/time/sleep.ts";
import { exhaustive, runChecked } from "../support/harness.ts";
import { codeOf, failure, random } from "../support/sync.ts";

describe("a rate limiter", () => {
  test("lets a burst pass and spreads the rest", () => {
    const limiter = new RateLimiter({ limit: 10, per: "1 second", burst: 3 });
    const times: number[] = [];
    runChecked(function* () {
      for (let i = 0; i < 6; i++) {
        yield* limiter.acquire();
        times.push(now());
      }
      yield* sleep("1 minute");
      // A long pause is worth one burst, and no more.
      for (let i = 0; i < 4; i++) {
        yield* limiter.acquire();
        times.push(now() - 60_300);
      }
    });
    expect(times).toEqual([0, 0, 0, 100, 200, 300, 0, 0, 0, 100]);
    expect(limiter.statistics()).toEqual({ taken: 10, waiting: 0 });
  });

  test("a burst of 1 spreads evenly, and limit is the default burst", () => {
    const even = new RateLimiter({ limit: 4, per: 1000, burst: 1 });
    const times: number[] = [];
    runChecked(function* () {
      for (let i = 0; i < 3; i++) {
        yield* even.acquire();
        times.push(now());
      }
    });
    expect(times).toEqual([0, 250, 500]);
    expect(new RateLimiter({ limit: 4, per: 1000 }).burst).toBe(4);
    expect(new RateLimiter({ limit: 0.5, per: 1000 }).burst).toBe(1);
  });

  test("is first come, first served: a large request is not starved, and tryAcquire does not pass it", () => {
    const limiter = new RateLimiter({ limit: 1, per: 1, burst: 5 });
    const log: string[] = [];
    runChecked(function* () {
      yield* limiter.acquire(5);
      yield* group(function* (g) {
        for (const count of [5, 1, 1]) {
          g.spawn(function* () {
            yield* limiter.acquire(count);
            log.push(`${count} at ${now()}`);
          });
        }
        yield* sleep(2);
        expect(limiter.tryAcquire()).toBe(false);
        expect(limiter.tryAcquire(0)).toBe(true);
        yield* limiter.acquire(0);
        expect(limiter.waiting).toBe(3);
      });
    });
    expect(log).toEqual(["5 at 5", "1 at 6", "1 at 7"]);
  });

  test("a large request that is killed lets the small ones pass at once", () => {
    const limiter = new RateLimiter({ limit: 1, per: 1, burst: 5 });
    const times: number[] = [];
    runChecked(function* () {
      yield* limiter.acquire(5);
      const large = spawn(limiter.acquire(5));
      const small = [1, 2].map(() =>
        spawn(function* () {
          yield* limiter.acquire();
          times.push(now());
        }),
      );
      yield* sleep(3);
      large.kill();
      for (const task of small) yield* task.join();
    });
    expect(times).toEqual([3, 3]);
    expect(limiter.statistics()).toEqual({ taken: 7, waiting: 0 });
  });

  test("tokens of a task that is killed before it goes on are there for the next", () => {
    const limiter = new RateLimiter({ limit: 1, per: 10, burst: 1 });
    const times: number[] = [];
    runChecked(function* () {
      yield* limiter.acquire();
      const first = spawn(limiter.acquire());
      spawn(function* () {
        yield* limiter.acquire();
        times.push(now());
      });
      // Behind the timer of the limiter in the same instant: the first has its token and has not run.
      yield* yieldNow();
      yield* sleep(10);
      first.kill();
      yield* first.settled();
      yield* sleep(20);
    });
    expect(times[0]).toBeLessThanOrEqual(20);
    expect(limiter.statistics().waiting).toBe(0);
  });

  test("never lets more pass than burst and rate allow, whoever is killed wherever", () => {
    exhaustive(() => {
      const limiter = new RateLimiter({ limit: 2, per: 10, burst: 2 });
      const times: number[] = [];
      return {
        body: function* () {
          for (const count of [2, 1, 2, 1]) {
            spawn(function* () {
              const won = yield* select({ token: limiter.acquire(count), late: sleep(100) });
              if (won.key === "token") for (let i = 0; i < count; i++) times.push(now());
            });
          }
          yield* sleep(200);
        },
        check: ({ kills }) => {
          expect(limiter.statistics()).toEqual({ taken: times.length, waiting: 0 });
          if (kills.length === 0) expect(times.length).toBe(6);
          for (let i = 0; i < times.length; i++) {
            const within = times.filter((time) => time >= times[i]! && time <= times[i]! + 10).length;
            expect(within).toBeLessThanOrEqual(2 + 2);
          }
        },
      };
    });
  });

  test("keeps its rate over a long time, without drift", () => {
    const next = random(7);
    const limiter = new RateLimiter({ limit: 3, per: "1 second", burst: 1 });
    runChecked(function* () {
      for (let i = 0; i < 3001; i++) {
        yield* limiter.acquire();
        // Work that takes less than the interval does not slow it down.
        if (next(2) === 0) yield* sleep(next(300));
      }
      expect(now()).toBeGreaterThan(999_999);
      expect(now()).toBeLessThan(1_000_400);
    });
  });

  test("misuse: rates, bursts and counts that are none, and the clock of another cooperator", () => {
    for (const options of [
      { limit: 0, per: 1 },
      { limit: -1, per: 1 },
      { limit: Number.NaN, per: 1 },
      { limit: Number.POSITIVE_INFINITY, per: 1 },
      { limit: 1, per: 0 },
      { limit: 1, per: Number.POSITIVE_INFINITY },
      { limit: 1, per: 1, burst: 0 },
      { limit: 1, per: 1, burst: 1.5 },
    ]) {
      expect(codeOf(() => new RateLimiter(options))).toBe("COOP_RATE");
    }
    expect(codeOf(() => new RateLimiter({ limit: 1, per: "soon" }))).toBe("COOP_DURATION");
    const limiter = new RateLimiter({ limit: 2, per: 1 });
    for (const count of [-1, 0.5, Number.NaN, 3, "1"]) {
      expect(codeOf(() => limiter.acquire(count as never))).toBe("COOP_RATE");
      expect(codeOf(() => limiter.tryAcquire(count as never))).toBe("COOP_RATE");
    }
    expect(codeOf(() => limiter.tryAcquire())).toBe("COOP_NO_TASK");
    runChecked(limiter.acquire());
    new VirtualRuntime().run(function* () {
      expect(yield* failure(limiter.acquire())).toBe("COOP_OTHER_COOPERATOR");
    });
  });
});
