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
import { type InterleavedProgram, type InterleavedRun, interleave } from "../../src/testing/interleave.ts";
import { now } from "../../src/time/sleep.ts";
import { failure } from "../support/sync.ts";

// Thousands of runs each, on machines that are busy.
vi.setConfig({ testTimeout: 60_000 });

const idleMutex = { locked: false, owner: null, waiting: 0, broken: false };
const idleRwLock = { readers: 0, writer: null, waiting: 0, broken: false };

/**
 * Without kills in every order; with one in every order that leaves a task that could go on at most twice. Programs
 * with many waits are `large`: at most once without kills, and with one only where a task has to wait.
 */
function everyOrder(program: () => InterleavedProgram, large = false): void {
  const free = interleave(program, large ? { preemptions: 1 } : {});
  const disturbed = interleave(program, { kills: 1, preemptions: large ? 0 : 2 });
  expect(free.schedules).toBeGreaterThan(10);
  expect(disturbed.schedules).toBeGreaterThan(30);
}

/** What those that failed have failed with. */
function errors({ tasks }: InterleavedRun): unknown[] {
  return tasks.flatMap(({ exit }) => (exit?.status === "failed" ? [exit.error] : []));
}

test("I01, I04, I05 mutex: alone inside; a holder that is killed without clean-up breaks it for the others", () => {
  everyOrder(() => {
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
  everyOrder(() => {
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
    const user = [use(true), use(false), use(false)];
    return {
      tasks: [user, user, user],
      gates: [mutex.gate],
      check: ({ stranded }) => {
        expect(stranded).toEqual([]);
        expect(mutex.statistics()).toEqual(idleMutex);
      },
    };
  }, true);
});

test("I14 read-write lock: a writer is alone, and a broken one never hangs", () => {
  everyOrder(() => {
    const lock = new RwLock();
    let readers = 0;
    let writers = 0;
    const user = (mode: "read" | "write") => {
      let guard: Guard | null = null;
      return [
        function* () {
          guard = yield* lock[mode]();
          if (mode === "read") readers++;
          else writers++;
        },
        () => expect(writers === 0 || (writers === 1 && readers === 0)).toBe(true),
        () => {
          if (mode === "read") readers--;
          else writers--;
          guard!.release();
        },
      ];
    };
    return {
      tasks: [user("read"), user("write"), user("read")],
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
  everyOrder(() => {
    const semaphore = new Semaphore(3);
    const user = (...amounts: number[]) =>
      amounts.map((amount) => () => semaphore.withPermits(amount, yieldNow()));
    return {
      tasks: [user(3, 1), user(2, 2), user(1, 3)],
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
  }, true);
});

test("I13 condition: no notification is lost, and clean-up always has the lock", () => {
  everyOrder(() => {
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
      tasks: [consumer, consumer, [add, add, () => yieldNow()]],
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
  everyOrder(() => {
    const event = new Event();
    return {
      tasks: [
        [() => event.set(), () => event.reset(), () => event.set()],
        [event.wait(), () => event.reset(), () => event.set()],
        [event.wait(), event.wait(), event.wait()],
      ],
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
  everyOrder(() => {
    const latch = new Latch(3);
    const user = () => [() => latch.countDown(), latch.wait(), () => expect(latch.remaining).toBe(0)];
    return {
      tasks: [user(), user(), user()],
      gates: [latch.opened],
      stranded: true,
      check: ({ stranded, kills }) => {
        expect(stranded.length === 0 || (kills > 0 && latch.remaining > 0)).toBe(true);
      },
    };
  });
});

test("I16 barrier: all or nobody", () => {
  everyOrder(() => {
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
  }, true);
});

test("once and single flight: one at a time, and whoever is left has the value", () => {
  everyOrder(() => {
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
      tasks: [[once.get(), once.get()], [once.get()], [once.get()]],
      // The flight is a task that the schedule kills, too.
      failures: true,
      check: ({ results, stranded, kills }) => {
        expect([stranded, inside]).toEqual([[], 0]);
        for (const result of results.flat()) expect(result).toBe(7);
        if (kills === 0) expect(results.flat().length).toBe(4);
        expect(once.statistics()).toMatchObject({ running: false, waiting: 0 });
      },
    };
  }, true);
  everyOrder(() => {
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
      tasks: [[user, user], [user], [user]],
      failures: true,
      check: ({ results, stranded }) => {
        expect([stranded, inside]).toEqual([[], 0]);
        for (const result of results.flat()) expect(result).toBe(7);
        expect(flights.statistics()).toEqual({ flights: 0, waiting: 0 });
      },
    };
  }, true);
});

test("rate limiter: never faster than it may be", () => {
  everyOrder(() => {
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
      tasks: [user(1, 1), user(2), user(1)],
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
