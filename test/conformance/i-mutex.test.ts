/** Conformance, section I: locks with an owner. */
import { describe, expect, test } from "vitest";
import {
  BrokenError,
  defer,
  group,
  never,
  self,
  spawn,
  type Task,
  yieldNow,
} from "../../src/coordinator/index.ts";
import { Mutex, RwLock, select } from "../../src/sync/index.ts";
import { VirtualRuntime } from "../../src/testing/virtual.ts";
import { sleep } from "../../src/time/sleep.ts";
import { timeout } from "../../src/time/timeout.ts";
import { checked, exhaustive, inOrder, programs, runChecked, sized } from "../support/harness.ts";
import { codeOf, failure, random } from "../support/sync.ts";

const idle = { locked: false, owner: null, waiting: 0, broken: false };

/** Spawns a task per name that takes `mutex`, says so, and keeps it for one more step. */
function lockers(mutex: Mutex, names: string, log: string[]): Task[] {
  return [...names].map((name) =>
    spawn(
      function* () {
        const guard = yield* mutex.lock();
        try {
          log.push(name);
          yield* yieldNow();
        } finally {
          guard.release();
        }
      },
      { name },
    ),
  );
}

test("I01 the lock excludes in every schedule", () => {
  for (const seed of programs(300)) {
    const next = random(seed);
    const mutex = new Mutex();
    let inside = 0;
    let rounds = 0;
    runChecked(function* () {
      yield* group(function* (g) {
        for (let w = 0; w < 4; w++) {
          const priority = next(3) as 0 | 1 | 2;
          const pauses = Array.from({ length: 5 }, () => [next(3), next(3)] as const);
          g.spawn(
            function* () {
              for (const [before, within] of pauses) {
                for (let i = 0; i < before; i++) yield* yieldNow();
                yield* mutex.withLock(function* () {
                  expect(++inside).toBe(1);
                  for (let i = 0; i < within; i++) yield* yieldNow();
                  rounds++;
                  inside--;
                });
              }
            },
            { priority },
          );
        }
      });
    }, mutex.gate);
    expect(rounds).toBe(20);
    expect(mutex.statistics()).toEqual(idle);
  }
});

test("I02 first come, first served, and nobody barges in", () => {
  inOrder();
  const mutex = new Mutex();
  const log: string[] = [];
  runChecked(function* () {
    const guard = yield* mutex.lock();
    const tasks = lockers(mutex, "abc", log);
    yield* yieldNow();
    expect(mutex.statistics()).toEqual({ locked: true, owner: self().label, waiting: 3, broken: false });
    guard.release();
    // It is a's already, although a has not run: this task cannot have it back.
    expect(mutex.owner).toBe(tasks[0]);
    expect(mutex.tryLock()).toBe(false);
    const again = yield* mutex.lock();
    expect(log).toEqual(["a", "b", "c"]);
    again.release();
  }, mutex.gate);
  expect(mutex.statistics()).toEqual(idle);
});

test("I03 the holder is killed: the next waiter has it, once", () => {
  for (const style of ["withLock", "guard", "using"] as const) {
    exhaustive(() => {
      const mutex = new Mutex();
      let inside = 0;
      const critical = function* () {
        expect(++inside).toBe(1);
        try {
          yield* sleep(1);
        } finally {
          inside--;
        }
      };
      const hold = function* () {
        if (style === "withLock") return yield* mutex.withLock(critical);
        const guard = yield* mutex.lock();
        try {
          yield* critical();
        } finally {
          if (style === "guard") guard.release();
          else guard[Symbol.dispose]();
        }
      };
      return {
        body: function* () {
          for (const name of "abc") spawn(hold, { name });
          yield* sleep(10);
        },
        gates: [mutex.gate],
        check: ({ stranded }) => {
          expect(stranded).toEqual([]);
          expect(inside).toBe(0);
          expect(mutex.statistics()).toEqual(idle);
        },
      };
    });
  }
});

describe("I04 a waiter is killed", () => {
  test("I04 while it waits, or between the release and its next step: the lock is passed on", () => {
    inOrder();
    for (const when of ["waiting", "granted"]) {
      const mutex = new Mutex();
      const log: string[] = [];
      runChecked(function* () {
        const guard = yield* mutex.lock();
        const [a] = lockers(mutex, "abc", log);
        yield* yieldNow();
        if (when === "granted") guard.release();
        expect(mutex.owner === a).toBe(when === "granted");
        a!.kill("stop");
        if (when === "waiting") guard.release();
        yield* a!.settled();
        yield* sleep(1);
        expect(log).toEqual(["b", "c"]);
        expect(mutex.statistics()).toEqual(idle);
      }, mutex.gate);
    }
  });

  test("I04 an arm of select that loses has nothing, at whatever point it is killed", () => {
    exhaustive(() => {
      const mutex = new Mutex();
      const other = new Mutex();
      return {
        body: function* () {
          for (let i = 0; i < 3; i++) {
            spawn(function* () {
              const won = yield* select({ mine: mutex.lock(), other: other.lock(), late: sleep(2) });
              try {
                yield* sleep(1);
              } finally {
                if (won.key !== "late") won.value.release();
              }
            });
          }
          yield* sleep(10);
        },
        gates: [mutex.gate, other.gate],
        check: () => expect([mutex.statistics(), other.statistics()]).toEqual([idle, idle]),
      };
    });
  });
});

describe("I05 the owner ends without a release", () => {
  test("I05 those who wait and those who come get an error that names it, until the lock is repaired", () => {
    const mutex = new Mutex({ name: "journal" });
    const codes: unknown[] = [];
    runChecked(function* () {
      const owner = spawn(
        function* () {
          yield* mutex.lock();
          yield* yieldNow();
        },
        { name: "owner" },
      );
      const late = function* () {
        try {
          yield* mutex.lock();
        } catch (error) {
          expect(error).toBeInstanceOf(BrokenError);
          expect((error as Error).message).toContain(owner.label);
          expect((error as Error).message).toContain("journal");
          codes.push((error as BrokenError).code);
        }
      };
      yield* yieldNow();
      for (let i = 0; i < 3; i++) spawn(late);
      yield* owner.join();
      yield* yieldNow();
      expect(mutex.broken).toBe(true);
      yield* late();
      expect(() => mutex.tryLock()).toThrow(BrokenError);
      expect(mutex.statistics()).toEqual({ locked: true, owner: owner.label, waiting: 0, broken: true });
      expect(codeOf(() => mutex.unlock())).toBe("COOP_NOT_OWNER");
      expect(mutex.repair()).toBe(true);
      expect(mutex.repair()).toBe(false);
      (yield* mutex.lock()).release();
    }, mutex.gate);
    expect(codes).toEqual(Array(4).fill("COOP_OWNER_ENDED"));
    expect(mutex.statistics()).toEqual(idle);
  });

  test("I05 a live owner that is only killed later does not count as broken", () => {
    const mutex = new Mutex();
    runChecked(function* () {
      const owner = spawn(function* () {
        yield* mutex.lock();
        defer(() => mutex.unlock());
        yield* never();
      });
      yield* yieldNow();
      const next = spawn(mutex.withLock(yieldNow()));
      yield* yieldNow();
      owner.kill();
      yield* next.join();
    }, mutex.gate);
    expect(mutex.broken).toBe(false);
  });
});

test("I06 release by another, release when free, recursive acquire: typed errors, and nothing changes", () => {
  const mutex = new Mutex({ name: "m" });
  expect(codeOf(() => mutex.unlock())).toBe("COOP_NOT_HELD");
  expect(codeOf(() => mutex.tryLock())).toBe("COOP_NO_TASK");
  runChecked(function* () {
    expect(codeOf(() => mutex.unlock())).toBe("COOP_NOT_HELD");
    const guard = yield* mutex.lock();
    const before = mutex.statistics();
    expect(yield* failure(mutex.lock())).toBe("COOP_SELF_ACQUIRE");
    expect(codeOf(() => mutex.tryLock())).toBe("COOP_SELF_ACQUIRE");
    yield* spawn(function* () {
      expect(codeOf(() => mutex.unlock())).toBe("COOP_NOT_OWNER");
      expect(codeOf(() => guard.release())).toBe("COOP_NOT_OWNER");
      expect(codeOf(() => guard[Symbol.dispose]())).toBe("COOP_NOT_OWNER");
      expect(mutex.tryLock()).toBe(false);
    }).join();
    expect(mutex.statistics()).toEqual(before);
    guard.release();
    expect(codeOf(() => guard.release())).toBe("COOP_NOT_HELD");
    guard[Symbol.dispose]();
    // Released and taken again: the old guard stands for nothing.
    const newer = yield* mutex.lock();
    guard[Symbol.dispose]();
    expect(mutex.owner).toBe(self());
    newer.release();
    expect(codeOf(() => mutex.withLock(5 as never))).toBe("COOP_NOT_AN_OPERATION");
    expect(mutex.locked).toBe(false);
  }, mutex.gate);
  expect(mutex.statistics()).toEqual(idle);
});

test("I06 a body that is none, or throws, or a function that throws leaves the lock free", () => {
  const mutex = new Mutex();
  runChecked(function* () {
    const bodies = [
      () => {
        throw new Error("no");
      },
      () => 5 as never,
      function* () {
        yield* yieldNow();
        throw new Error("no");
      },
    ];
    for (const body of bodies) {
      try {
        yield* mutex.withLock(body as never);
        expect.unreachable();
      } catch (error) {
        expect((error as Error).message).toMatch(/^no$|takes an operation/);
      }
      expect(mutex.statistics()).toEqual(idle);
    }
    // A function is called with the lock, and not before.
    expect(
      yield* mutex.withLock(function* () {
        return mutex.owner === self();
      }),
    ).toBe(true);
  });
});

test("H11, I05 a reader or writer ends without a release while others wait: a typed error, never a hang", () => {
  for (const mode of ["read", "write"] as const) {
    for (const waiting of [true, false]) {
      const lock = new RwLock({ name: "table" });
      let broken = 0;
      runChecked(function* () {
        const owner = spawn(function* () {
          yield* lock[mode]();
          yield* sleep(1);
        });
        yield* yieldNow();
        const late = function* () {
          try {
            (yield* lock.write()).release();
          } catch (error) {
            expect(error).toBeInstanceOf(BrokenError);
            expect((error as Error).message).toContain(owner.label);
            broken++;
          }
        };
        if (waiting) {
          spawn(late);
          spawn(late);
        }
        yield* sleep(2);
        expect(lock.broken).toBe(true);
        yield* late();
        expect(lock.statistics().waiting).toBe(0);
        expect(lock.repair()).toBe(true);
        expect(lock.repair()).toBe(false);
        yield* lock.withWrite(yieldNow());
      });
      expect(broken).toBe(waiting ? 3 : 1);
      expect(lock.statistics()).toEqual({ readers: 0, writer: null, waiting: 0, broken: false });
    }
  }
});

describe("I14 a read-write lock", () => {
  test("I14 readers wait behind a writer that waits; when it is killed they pass", () => {
    inOrder();
    const lock = new RwLock();
    const log: string[] = [];
    runChecked(function* () {
      const first = yield* lock.read();
      const writer = spawn(lock.withWrite(yieldNow()));
      for (const name of ["r1", "r2"]) {
        spawn(function* () {
          const guard = yield* lock.read();
          log.push(name);
          yield* yieldNow();
          guard.release();
        });
      }
      yield* sleep(1);
      expect(log).toEqual([]);
      expect(lock.statistics()).toEqual({ readers: 1, writer: null, waiting: 3, broken: false });
      writer.kill();
      expect(lock.statistics().readers).toBe(3);
      yield* sleep(1);
      expect(log).toEqual(["r1", "r2"]);
      first.release();
    });
    expect(lock.statistics()).toEqual({ readers: 0, writer: null, waiting: 0, broken: false });
  });

  test("I14 readers and writers, killed at every point: writers are alone, and nothing is left", () => {
    exhaustive(() => {
      const lock = new RwLock();
      let readers = 0;
      let writers = 0;
      const read = function* () {
        readers++;
        try {
          expect(writers).toBe(0);
          yield* yieldNow();
        } finally {
          readers--;
        }
      };
      const write = function* () {
        writers++;
        try {
          expect([readers, writers]).toEqual([0, 1]);
          yield* yieldNow();
        } finally {
          writers--;
        }
      };
      return {
        body: function* () {
          yield* group(function* (g) {
            for (const kind of "rrwrwr") {
              g.spawn(kind === "r" ? lock.withRead(read) : lock.withWrite(write), { name: kind });
            }
          });
        },
        check: ({ stranded }) => {
          expect(stranded).toEqual([]);
          expect([readers, writers]).toEqual([0, 0]);
          expect(lock.statistics()).toEqual({ readers: 0, writer: null, waiting: 0, broken: false });
        },
      };
    });
  });

  test("I14 who reads may read again past a writer, and may not write", () => {
    const lock = new RwLock();
    runChecked(function* () {
      const outer = yield* lock.read();
      const writer = spawn(lock.withWrite(yieldNow()));
      yield* yieldNow();
      const inner = yield* lock.read();
      expect(lock.statistics()).toEqual({ readers: 2, writer: null, waiting: 1, broken: false });
      expect(yield* failure(lock.write())).toBe("COOP_SELF_ACQUIRE");
      inner.release();
      expect(codeOf(() => inner.release())).toBe("COOP_NOT_HELD");
      yield* spawn(function* () {
        expect(codeOf(() => outer.release())).toBe("COOP_NOT_OWNER");
      }).join();
      outer.release();
      yield* writer.join();
      const guard = yield* lock.write();
      expect(yield* failure(lock.read())).toBe("COOP_SELF_ACQUIRE");
      expect(yield* failure(lock.write())).toBe("COOP_SELF_ACQUIRE");
      expect(lock.statistics().writer).toBe(self().label);
      guard[Symbol.dispose]();
      guard[Symbol.dispose]();
    });
    expect(lock.statistics()).toEqual({ readers: 0, writer: null, waiting: 0, broken: false });
  });
});

test("I17 philosophers who take both forks with a time limit all eat, without a deadlock", () => {
  for (const seed of programs(20)) {
    const next = random(seed);
    const rt = new VirtualRuntime();
    const forks = [0, 1, 2, 3, 4].map((i) => new Mutex({ name: `fork ${i}` }));
    const meals = [0, 0, 0, 0, 0];
    const dine = function* (i: number): Generator<unknown, void, any> {
      const [left, right] = [forks[i]!, forks[(i + 1) % 5]!];
      for (;;) {
        yield* sleep(next(4));
        const first = yield* left.lock();
        try {
          const won = yield* select({ second: right.lock(), late: sleep(1 + next(3)) });
          if (won.key === "late") continue;
          try {
            yield* sleep(1);
            meals[i]!++;
          } finally {
            won.value.release();
          }
        } finally {
          first.release();
        }
      }
    };
    rt.run(function* () {
      const table = meals.map((_, i) => spawn(() => dine(i)));
      yield* sleep(sized(1_000, 100));
      for (const task of table) yield* task.killAndWait();
    });
    checked(rt, ...forks.map(({ gate }) => gate));
    expect(Math.min(...meals), `seed ${seed}: ${meals}`).toBeGreaterThan(sized(10, 0));
    for (const fork of forks) expect(fork.statistics()).toEqual(idle);
  }
});

test("I18 after a storm of kills nobody waits and nobody owns it", () => {
  for (const seed of programs(50)) {
    const next = random(seed);
    const mutex = new Mutex();
    const lock = new RwLock();
    runChecked(function* () {
      const tasks: Task[] = [];
      for (let i = 0; i < 30; i++) {
        const body = [
          mutex.withLock(sleep(next(3))),
          lock.withRead(sleep(next(3))),
          lock.withWrite(sleep(1)),
        ];
        tasks.push(spawn(body[next(3)]!));
      }
      for (let i = 0; i < 40; i++) {
        if (next(2) === 0) yield* yieldNow();
        tasks[next(tasks.length)]!.kill("storm");
      }
      for (const task of tasks) yield* timeout("1 minute", task.settled());
    }, mutex.gate);
    expect(mutex.statistics()).toEqual(idle);
    expect(lock.statistics()).toEqual({ readers: 0, writer: null, waiting: 0, broken: false });
  }
});
