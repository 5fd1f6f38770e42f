/** Conformance, section I: conditions, events, latches, barriers. */
import { describe, expect, test } from "vitest";
import { BrokenError, group, never, self, spawn, yieldNow } from "../../src/coordinator/index.ts";
import { Barrier, BrokenBarrierError, Condition, Event, Latch, Mutex, select } from "../../src/sync/index.ts";
import { VirtualRuntime } from "../../src/testing/virtual.ts";
import { sleep } from "../../src/time/sleep.ts";
import { timeout } from "../../src/time/timeout.ts";
import { exhaustive, inOrder, runChecked } from "../support/harness.ts";
import { codeOf, failure } from "../support/sync.ts";

const idle = { locked: false, owner: null, waiting: 0, broken: false };

describe("I13 a task is killed while it waits for a condition", () => {
  test("I13 its clean-up runs with the lock, and not before it can have it", () => {
    const mutex = new Mutex();
    const changed = new Condition(mutex);
    const log: string[] = [];
    runChecked(
      function* () {
        const waiter = spawn(function* () {
          const guard = yield* mutex.lock();
          try {
            yield* changed.wait();
          } finally {
            log.push(`clean-up, owner: ${mutex.owner === self()}`);
            yield* sleep(1);
            guard.release();
          }
        });
        yield* yieldNow();
        const guard = yield* mutex.lock();
        waiter.kill("stop");
        expect(changed.waiting).toBe(0);
        yield* sleep(5);
        log.push("released");
        guard.release();
        yield* waiter.settled();
        expect(waiter.exit!.status).toBe("killed");
      },
      mutex.gate,
      changed.gate,
    );
    expect(log).toEqual(["released", "clean-up, owner: true"]);
    expect(mutex.statistics()).toEqual(idle);
  });

  test("I13 before the notification, after it, and between the lock and the next step", () => {
    for (const when of ["waiting", "notified", "granted"]) {
      const mutex = new Mutex();
      const changed = new Condition(mutex);
      const log: string[] = [];
      runChecked(
        function* () {
          const wait = function* (this: void) {
            const guard = yield* mutex.lock();
            try {
              yield* changed.wait();
              log.push(self().name);
            } finally {
              expect(mutex.owner).toBe(self());
              guard.release();
            }
          };
          const first = spawn(wait, { name: "first" });
          const second = spawn(wait, { name: "second" });
          yield* yieldNow();
          const guard = yield* mutex.lock();
          if (when !== "waiting") expect(changed.notify()).toBe(1);
          if (when === "granted") guard.release();
          first.kill("stop");
          // The notification of a task that never saw it goes to the next one.
          if (when === "waiting") expect(changed.notify()).toBe(1);
          if (when !== "granted") guard.release();
          yield* first.settled();
          yield* second.join();
        },
        mutex.gate,
        changed.gate,
      );
      expect(log, when).toEqual(["second"]);
      expect(mutex.statistics()).toEqual(idle);
    }
  });

  test("I13 a bounded buffer loses no item and no wake-up, whoever is killed wherever", () => {
    exhaustive(() => {
      const mutex = new Mutex();
      const notEmpty = new Condition(mutex, { name: "not empty" });
      const items: number[] = [];
      const taken: number[] = [];
      return {
        body: function* () {
          yield* group(function* (g) {
            for (let i = 0; i < 3; i++) {
              g.spawn(
                function* () {
                  const guard = yield* mutex.lock();
                  try {
                    while (items.length === 0) yield* notEmpty.wait();
                    taken.push(items.shift()!);
                  } finally {
                    expect(mutex.owner).toBe(self());
                    guard.release();
                  }
                },
                { daemon: true },
              );
            }
            for (let i = 0; i < 2; i++) {
              yield* mutex.withLock(function* () {
                items.push(i);
                notEmpty.notify();
              });
              yield* yieldNow();
            }
            yield* sleep(1);
          });
        },
        gates: [mutex.gate, notEmpty.gate],
        check: ({ main, kills }) => {
          expect(mutex.statistics()).toEqual(idle);
          // Three consumers for two items: one may be killed and all is taken.
          const mainKilled = main.exit!.status !== "done";
          if (!mainKilled && kills.every(({ task }) => task !== 1)) expect(taken).toEqual([0, 1]);
        },
      };
    });
  });

  test("I13 as an arm of select it comes back with the lock, whoever wins", () => {
    const mutex = new Mutex();
    const changed = new Condition(mutex);
    runChecked(function* () {
      for (const notified of [true, false]) {
        const guard = yield* mutex.lock();
        const other = spawn(function* () {
          const mine = yield* mutex.lock();
          yield* sleep(3);
          if (notified) changed.notify();
          mine.release();
        });
        const won = yield* select({ changed: changed.wait(), late: sleep(notified ? 10 : 1) });
        expect(won.key).toBe(notified ? "changed" : "late");
        expect(mutex.owner).toBe(self());
        expect(other.exit).not.toBe(null);
        guard.release();
      }
    }, mutex.gate);
  });

  test("I13 a mutex that breaks meanwhile is the exception: the wait throws, and there is nothing to release", () => {
    const mutex = new Mutex();
    const changed = new Condition(mutex);
    runChecked(function* () {
      const waiters = [1, 2].map(() =>
        spawn(function* () {
          const guard = yield* mutex.lock();
          try {
            yield* changed.wait();
            expect.unreachable();
          } catch (error) {
            expect(error).toBeInstanceOf(BrokenError);
            guard[Symbol.dispose]();
          }
        }),
      );
      yield* yieldNow();
      const culprit = spawn(function* () {
        yield* mutex.lock();
        changed.notify();
        yield* yieldNow();
      });
      yield* culprit.join();
      // One was in the queue of the mutex; this one is told as soon as it is to go there.
      changed.notify();
      for (const waiter of waiters) yield* waiter.join();
      mutex.repair();
    }, mutex.gate);
  });

  test("I13 misuse: without the lock, with another's, and counts that are none", () => {
    const mutex = new Mutex();
    const changed = new Condition(mutex);
    for (const count of [-1, 0.5, Number.NaN]) expect(codeOf(() => changed.notify(count))).toBe("COOP_COUNT");
    expect(changed.notify(0)).toBe(0);
    expect(changed.notifyAll()).toBe(0);
    runChecked(function* () {
      expect(yield* failure(changed.wait())).toBe("COOP_NOT_HELD");
      const holder = spawn(mutex.withLock(never()));
      yield* yieldNow();
      expect(yield* failure(changed.wait())).toBe("COOP_NOT_OWNER");
      yield* holder.killAndWait();
    });
    expect(changed.statistics()).toEqual({ waiting: 0 });
  });
});

describe("I15 events and latches", () => {
  test("I15 set before the wait, twice, in between, and reset while waiters wake", () => {
    inOrder();
    const event = new Event();
    const log: string[] = [];
    const wait = (name: string) =>
      spawn(
        function* () {
          yield* event.wait();
          log.push(name);
        },
        { name },
      );
    runChecked(function* () {
      event.set();
      event.set();
      yield* event.wait();
      event.reset();
      wait("a");
      const b = wait("b");
      wait("c");
      yield* yieldNow();
      expect(event.statistics()).toEqual({ set: false, waiting: 3 });
      b.kill();
      expect(event.waiting).toBe(2);
      event.set();
      event.set();
      event.reset();
      const d = wait("d");
      yield* yieldNow();
      yield* yieldNow();
      expect(log).toEqual(["a", "c"]);
      expect(event.statistics()).toEqual({ set: false, waiting: 1 });
      event.set();
      yield* d.join();
      expect(log).toEqual(["a", "c", "d"]);
    });
    expect(event.waiters.length).toBe(0);
    expect(new Event({ set: true }).isSet).toBe(true);
  });

  test("I15 waiters that are killed at every point leave nothing", () => {
    exhaustive(() => {
      const event = new Event();
      const latch = new Latch(2);
      return {
        body: function* () {
          yield* group(function* (g) {
            for (let i = 0; i < 2; i++) {
              g.spawn(event.wait());
              g.spawn(latch.wait());
            }
            yield* sleep(1);
            event.set();
            latch.countDown();
            yield* yieldNow();
            event.reset();
            latch.countDown();
          });
        },
        gates: [latch.opened],
        check: () => expect(event.waiters.length).toBe(0),
      };
    });
  });

  test("I15 a latch opens once, for good, and refuses to be counted below zero", () => {
    for (const count of [-1, 0.5, Number.NaN]) expect(codeOf(() => new Latch(count))).toBe("COOP_COUNT");
    const latch = new Latch(3);
    runChecked(function* () {
      const waiter = spawn(latch.wait());
      yield* yieldNow();
      latch.countDown(2);
      expect(codeOf(() => latch.countDown(2))).toBe("COOP_COUNT");
      expect(codeOf(() => latch.countDown(-1))).toBe("COOP_COUNT");
      expect(latch.statistics()).toEqual({ remaining: 1, waiting: 1 });
      latch.countDown();
      yield* waiter.join();
      yield* latch.wait();
      expect(codeOf(() => latch.countDown())).toBe("COOP_COUNT");
    }, latch.opened);
    runChecked(() => new Latch(0).wait());
  });
});

describe("I16 a barrier", () => {
  test("I16 lets all go on when the last has come, again and again", () => {
    const barrier = new Barrier(3);
    const log: string[] = [];
    runChecked(function* () {
      yield* group(function* (g) {
        for (const name of "abc") {
          g.spawn(function* () {
            for (let round = 0; round < 3; round++) {
              const place = yield* barrier.arrive();
              log.push(`${round}${name}${place}`);
            }
          });
        }
      });
    });
    expect(log.map((entry) => entry[0])).toEqual([..."000111222"]);
    expect(log.map((entry) => entry[2]).sort()).toEqual([..."000111222"]);
    expect(barrier.statistics()).toEqual({ parties: 3, waiting: 0, rounds: 3, broken: false });
  });

  test("I16 a participant that leaves while it waits breaks it for the others, until the reset", () => {
    for (const how of ["kill", "timeout", "select", "abort"]) {
      const barrier = new Barrier(3, { name: "phase" });
      const outcomes: unknown[] = [];
      runChecked(function* () {
        const other = spawn(function* () {
          try {
            yield* barrier.arrive();
          } catch (error) {
            expect(error).toBeInstanceOf(BrokenBarrierError);
            outcomes.push((error as Error).message);
          }
        });
        yield* yieldNow();
        const leaver = spawn(
          function* () {
            if (how === "timeout") yield* failure(timeout(1, barrier.arrive()));
            else if (how === "select") yield* select({ all: barrier.arrive(), late: sleep(1) });
            else if (how === "kill") yield* barrier.arrive();
            else barrier.abort();
          },
          { name: "leaver" },
        );
        yield* yieldNow();
        if (how === "kill") leaver.kill();
        yield* leaver.settled();
        yield* other.join();
        expect(barrier.broken).toBe(true);
        expect(yield* failure(barrier.arrive())).toBe("COOP_BARRIER_BROKEN");
        barrier.reset();
        yield* group(function* (g) {
          for (let i = 0; i < 3; i++) g.spawn(barrier.arrive());
        });
      });
      const why = how === "abort" ? "it was aborted" : "leaver#3 left";
      expect(outcomes).toEqual([`not all 3 will come to phase: ${why}`]);
      expect(barrier.statistics()).toEqual({ parties: 3, waiting: 0, rounds: 1, broken: false });
    }
  });

  test("I16 one that is killed before it has come is found as a deadlock, or says so itself", () => {
    const rt = new VirtualRuntime();
    const barrier = new Barrier(2, { name: "phase" });
    expect(() => rt.run(barrier.arrive())).toThrow(/phase, 1 of 2 there/);
    rt.cooperator.kill();
    rt.settle();
    expect(barrier.waiting).toBe(0);
  });

  test("I16 killed at every point nobody is left behind", () => {
    exhaustive(() => {
      const barrier = new Barrier(3);
      const outcomes: unknown[] = [];
      return {
        body: function* () {
          for (let i = 0; i < 3; i++) {
            spawn(function* () {
              try {
                for (let round = 0; round < 2; round++) outcomes.push(yield* failure(barrier.arrive()));
              } finally {
                barrier.abort();
              }
            });
          }
          yield* sleep(1);
        },
        check: ({ stranded, kills }) => {
          expect(stranded).toEqual([]);
          expect(barrier.waiting).toBe(0);
          if (kills.length === 0) expect(outcomes).toEqual(Array(6).fill(null));
          for (const outcome of outcomes) expect([null, "COOP_BARRIER_BROKEN"]).toContain(outcome);
        },
      };
    });
  });

  test("I16 misuse: parties that are none", () => {
    for (const parties of [0, -1, 1.5, Number.NaN]) {
      expect(codeOf(() => new Barrier(parties))).toBe("COOP_COUNT");
    }
    expect(runChecked(() => new Barrier(1).arrive())).toBe(0);
    const error = new BrokenBarrierError("x");
    expect([error.name, error.code]).toEqual(["BrokenBarrierError", "COOP_BARRIER_BROKEN"]);
  });
});
