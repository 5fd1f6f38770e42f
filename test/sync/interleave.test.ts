/** Every order of three tasks with three operations each, with a kill of anybody anywhere. */
import { expect, test, vi } from "vitest";
import { BrokenError, self, yieldNow } from "../../src/coordinator/index.ts";
import {
  Barrier,
  Condition,
  Event,
  type Guard,
  Latch,
  Mutex,
  Once,
  RateLimiter,
  RwLock,
  Semaphore,
  SingleFlight,
} from "../../src/sync/index.ts";
import type { InterleavedRun } from "../../src/testing/interleave.ts";
import { now } from "../../src/time/sleep.ts";
import { everyOrder } from "../support/every-order.ts";
import { failure } from "../support/sync.ts";

// Tens of thousands of runs each, on machines that are busy.
vi.setConfig({ testTimeout: 300_000 });

const idleMutex = { locked: false, owner: null, waiting: 0, broken: false };
const idleRwLock = { readers: 0, writer: null, waiting: 0, broken: false };

/** What those that failed have failed with. */
function errors({ tasks }: InterleavedRun): unknown[] {
  return tasks.flatMap(({ exit }) => (exit?.status === "failed" ? [exit.error] : []));
}

test("I01, I04, I05 mutex: alone inside; a holder that is killed without clean-up breaks it for the others", () => {
  everyOrder("mutex", () => {
    const mutex = new Mutex();
    let inside = 0;
    const user = () => [
      mutex.lock(),
      () => {
        expect(++inside).toBe(1);
      },
      () => {
        inside--;
        mutex.unlock();
      },
    ];
    return {
      tasks: [user(), user(), user()],
      state: () => [mutex, inside],
      gates: [mutex.gate],
      failures: true,
      check: (run) => {
        expect(run.stranded).toEqual([]);
        for (const error of errors(run)) expect(error).toBeInstanceOf(BrokenError);
        if (run.kills === 0) expect(errors(run)).toEqual([]);
        else if (!mutex.broken) expect(errors(run)).toEqual([]);
        mutex.repair();
        expect(mutex.statistics()).toEqual(idleMutex);
      },
    };
  });
});

test("I03 mutex: three times each with clean-up, and nobody is disturbed by another's kill", () => {
  everyOrder("mutex, with clean-up", () => {
    const mutex = new Mutex();
    let inside = 0;
    const use = (pause: boolean) => () =>
      mutex.withLock(function* () {
        expect(++inside).toBe(1);
        try {
          if (pause) yield* yieldNow();
        } finally {
          inside--;
        }
      });
    const user = [use(true), use(false), use(true)];
    return {
      tasks: [user, user, user],
      state: () => [mutex, inside],
      gates: [mutex.gate],
      check: ({ stranded }) => {
        expect(stranded).toEqual([]);
        expect(mutex.statistics()).toEqual(idleMutex);
      },
    };
  });
});

test("I14 read-write lock: a writer is alone, and a broken one never hangs", () => {
  everyOrder("read-write lock", () => {
    const lock = new RwLock();
    let readers = 0;
    let writers = 0;
    const guards: Guard[] = [];
    const user = (i: number, mode: "read" | "write") => {
      return [
        function* () {
          guards[i] = yield* lock[mode]();
          if (mode === "read") readers++;
          else writers++;
        },
        () => expect(writers === 0 || (writers === 1 && readers === 0)).toBe(true),
        () => {
          if (mode === "read") readers--;
          else writers--;
          guards[i]!.release();
        },
      ];
    };
    return {
      tasks: [user(0, "read"), user(1, "write"), user(2, "read")],
      state: () => [lock, readers, writers, guards],
      failures: true,
      invariant: () => {
        lock.queue.waiters.validate();
        lock.holders.validate();
      },
      check: (run) => {
        expect(run.stranded).toEqual([]);
        for (const error of errors(run)) expect(error).toBeInstanceOf(BrokenError);
        if (run.kills === 0) expect(errors(run)).toEqual([]);
        lock.repair();
        expect(lock.statistics()).toEqual(idleRwLock);
      },
    };
  });
});

test("I07, I08 semaphore: requests of different sizes, counted right between any two steps", () => {
  everyOrder("semaphore", () => {
    const semaphore = new Semaphore(3);
    const user = (...amounts: number[]) =>
      amounts.map((amount) => () => semaphore.withPermits(amount, yieldNow()));
    return {
      tasks: [user(3, 1, 2), user(2, 2, 1), user(1, 3, 1)],
      state: () => semaphore,
      invariant: () => {
        const { total, held, free } = semaphore.statistics();
        expect(held + free).toBe(total);
        expect(held >= 0 && held <= total).toBe(true);
      },
      check: ({ stranded }) => {
        expect(stranded).toEqual([]);
        expect(semaphore.statistics()).toEqual({ total: 3, held: 0, free: 3, waiting: 0 });
      },
    };
  });
});

test("I13 condition: no notification is lost, and clean-up always has the lock", () => {
  everyOrder("condition", () => {
    const mutex = new Mutex();
    const changed = new Condition(mutex);
    let items = 0;
    const consumer = function* () {
      const guard = yield* mutex.lock();
      try {
        while (items === 0) yield* changed.wait();
        items--;
      } finally {
        expect(mutex.owner).toBe(self());
        guard.release();
      }
    };
    const add = () =>
      mutex.withLock(function* () {
        items++;
        changed.notify();
      });
    return {
      tasks: [
        [consumer, add, consumer],
        [consumer, consumer, add],
        [add, add, add],
      ],
      state: () => [mutex, changed, items],
      gates: [mutex.gate, changed.gate],
      stranded: true,
      check: ({ stranded, kills, tasks }) => {
        if (kills === 0) expect(stranded).toEqual([]);
        // Nobody waits while there is something to be had.
        if (stranded.some((task) => tasks.includes(task))) expect(items).toBe(0);
        expect(mutex.statistics()).toEqual(idleMutex);
      },
    };
  });
});

test("I15 event: nobody waits while it is set", () => {
  everyOrder("event", () => {
    const event = new Event();
    return {
      tasks: [
        [() => event.set(), () => event.reset(), () => event.set()],
        [event.wait(), () => event.reset(), () => event.set()],
        [event.wait(), event.wait(), event.wait()],
      ],
      state: () => event,
      stranded: true,
      invariant: () => {
        event.waiters.validate();
        if (event.isSet) expect(event.waiting).toBe(0);
      },
      check: ({ stranded }) => {
        if (event.isSet) expect(stranded).toEqual([]);
        expect(event.waiting).toBe(0);
      },
    };
  });
});

test("I15 latch: nobody passes before the count is zero, and nobody waits after", () => {
  everyOrder("latch", () => {
    const latch = new Latch(3);
    const user = () => [() => latch.countDown(), latch.wait(), () => expect(latch.remaining).toBe(0)];
    return {
      tasks: [user(), user(), user()],
      state: () => latch,
      gates: [latch.opened],
      stranded: true,
      check: ({ stranded, kills }) => {
        expect(stranded.length === 0 || (kills > 0 && latch.remaining > 0)).toBe(true);
      },
    };
  });
});

test("I16 barrier: all or nobody", () => {
  everyOrder("barrier", () => {
    const barrier = new Barrier(3);
    const rounds = [0, 0, 0];
    const user = (i: number) => {
      const arrive = function* () {
        const code = yield* failure(barrier.arrive());
        if (code === null) rounds[i]!++;
        else expect(code).toBe("COOP_BARRIER_BROKEN");
      };
      return [arrive, arrive, arrive];
    };
    return {
      tasks: [user(0), user(1), user(2)],
      state: () => [barrier, rounds],
      stranded: true,
      invariant: () => {
        barrier.waiters.validate();
        expect(Math.max(...rounds) - Math.min(...rounds)).toBeLessThanOrEqual(1);
      },
      check: ({ stranded, kills }) => {
        if (kills === 0) expect([stranded, rounds]).toEqual([[], [3, 3, 3]]);
        expect(barrier.waiting).toBe(0);
      },
    };
  });
});

test("once and single flight: one at a time, and whoever is left has the value", () => {
  everyOrder("once", () => {
    let inside = 0;
    const make = function* () {
      expect(++inside).toBe(1);
      try {
        yield* yieldNow();
        return 7;
      } finally {
        inside--;
      }
    };
    const once = new Once(make);
    return {
      tasks: [
        [once.get(), once.get(), once.get()],
        [once.get(), once.get(), once.get()],
        [once.get(), once.get(), once.get()],
      ],
      state: () => [once, inside],
      // The flight is a task that the schedule kills, too.
      failures: true,
      check: ({ results, stranded, kills }) => {
        expect([stranded, inside]).toEqual([[], 0]);
        for (const result of results.flat()) expect(result).toBe(7);
        if (kills === 0) expect(results.flat().length).toBe(9);
        expect(once.statistics()).toMatchObject({ running: false, waiting: 0 });
      },
    };
  });
  everyOrder("single flight", () => {
    const flights = new SingleFlight<string, number>();
    let inside = 0;
    const load = function* () {
      expect(++inside).toBe(1);
      try {
        yield* yieldNow();
        return 7;
      } finally {
        inside--;
      }
    };
    const user = () => flights.run("k", load);
    return {
      tasks: [
        [user, user, user],
        [user, user, user],
        [user, user, user],
      ],
      state: () => [flights, inside],
      failures: true,
      check: ({ results, stranded }) => {
        expect([stranded, inside]).toEqual([[], 0]);
        for (const result of results.flat()) expect(result).toBe(7);
        expect(flights.statistics()).toEqual({ flights: 0, waiting: 0 });
      },
    };
  });
});

test("rate limiter: never faster than it may be", () => {
  everyOrder("rate limiter", () => {
    const limiter = new RateLimiter({ limit: 1, per: 10, burst: 2 });
    const times: number[] = [];
    const user = (...counts: number[]) =>
      counts.map(
        (count) =>
          function* () {
            yield* limiter.acquire(count);
            for (let i = 0; i < count; i++) times.push(now());
          },
      );
    return {
      tasks: [user(1, 1, 1), user(2, 1, 1), user(1, 2, 1)],
      state: () => [limiter, times],
      invariant: () => limiter.waiters.validate(),
      check: ({ stranded }) => {
        expect(stranded).toEqual([]);
        expect(limiter.statistics()).toEqual({ taken: times.length, waiting: 0 });
        times.forEach((time, i) => {
          expect(
            times.filter((other) => other >= time && other < time + 10).length,
            `${i}`,
          ).toBeLessThanOrEqual(3);
        });
      },
    };
  });
});
