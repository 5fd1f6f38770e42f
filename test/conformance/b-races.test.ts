/** Section B, second part: a kill and something else meet in one turn, and exactly one of them happens. */
import { expect, test } from "vitest";
import {
  Coordinator,
  coordinateWithKill,
  defer,
  group,
  never,
  type Operation,
  op,
  Signal,
  self,
  shield,
  spawn,
  type Task,
  Wait,
  yieldNow,
} from "../../src/coordinator/index.ts";
import { VirtualRuntime } from "../../src/testing/virtual.ts";
import { sleep } from "../../src/time/sleep.ts";
import { timeout } from "../../src/time/timeout.ts";
import { checked, exhaustive, inOrder, runChecked } from "../support/harness.ts";

test("B09 a kill wins over a wait that is already satisfied, and the lock is passed on", () => {
  inOrder();
  const lock = new Coordinator({ name: "lock" });
  const log: string[] = [];
  runChecked(function* () {
    const contender = op(function* (name: string) {
      yield* lock.acquire();
      log.push(name);
      lock.release();
    });
    yield* lock.acquire();
    const victim = spawn(contender("BAD: the victim"));
    const next = spawn(contender("next"));
    yield* yieldNow();
    lock.release();
    expect(lock.owner).toBe(victim);
    expect(victim.status).toBe("ready");
    victim.kill("too late for the lock");
    expect(yield* victim.settled()).toMatchObject({ status: "killed" });
    yield* next.join();
    expect(lock.held).toBe(false);
  }, lock);
  expect(log).toEqual(["next"]);
});

test("B09 with nobody behind the victim the lock is free again", () => {
  const lock = new Coordinator();
  runChecked(function* () {
    yield* lock.acquire();
    const victim = spawn(lock.acquire());
    yield* yieldNow();
    lock.release();
    victim.kill();
    yield* victim.settled();
    expect(lock.held).toBe(false);
    expect(lock.tryAcquire()).toBe(true);
    lock.release();
  }, lock);
});

test("B09 a flash that is killed when it has its turn passes the turn on", () => {
  inOrder();
  const lock = new Coordinator();
  const log: string[] = [];
  runChecked(function* () {
    yield* lock.acquire();
    const victim = spawn(lock.flash());
    const next = spawn(function* () {
      yield* lock.acquire();
      log.push("next");
      lock.release();
    });
    yield* yieldNow();
    lock.release();
    victim.kill();
    yield* next.join();
    expect(victim.exit).toMatchObject({ status: "killed" });
    expect(lock.held).toBe(false);
  }, lock);
  expect(log).toEqual(["next"]);
});

test("B09 the same for a signal, a sleep, a join and a turn: each is satisfied, and none goes on", () => {
  inOrder();
  const log: string[] = [];
  const rt = new VirtualRuntime();
  const wrapped = op(function* (name: string, wait: () => Operation<unknown>) {
    try {
      yield* wait();
      log.push(`BAD: ${name} went on`);
    } finally {
      log.push(name);
    }
  });
  rt.run(function* () {
    const signal = new Signal();
    // All of them wake in one turn, in this order; those that wait for an earlier one go to its end.
    const ended = spawn(sleep(5));
    const turn = spawn(function* () {
      yield* sleep(5);
      yield* wrapped("turn", yieldNow);
    });
    const killer = spawn(function* () {
      yield* sleep(5);
      signal.notify();
      for (const victim of victims) {
        expect(victim.status).toBe("ready");
        victim.kill();
      }
    });
    const victims = [
      turn,
      spawn(wrapped("sleep", () => sleep(5))),
      spawn(wrapped("signal", () => signal.wait())),
      spawn(wrapped("join", () => ended.join())),
    ];
    yield* killer.join();
    for (const victim of victims) expect(yield* victim.settled()).toMatchObject({ status: "killed" });
    expect(ended.exit).toMatchObject({ status: "done" });
  }).result;
  expect(log.sort()).toEqual(["join", "signal", "sleep", "turn"]);
  checked(rt);
});

/** What a wait can be satisfied by, from outside the task that waits. */
interface Race {
  readonly wait: () => Operation<unknown>;
  readonly satisfy: () => void;
  /** Whether the thing waited for is taken. */
  readonly taken: () => boolean;
  readonly gates: readonly (Coordinator | Signal)[];
}

const races: readonly (readonly [string, () => Race])[] = [
  [
    "acquire",
    () => {
      const lock = new Coordinator({ held: true });
      return {
        wait: () => lock.acquire(),
        satisfy: () => lock.release(),
        taken: () => lock.held,
        gates: [lock],
      };
    },
  ],
  [
    "flash",
    () => {
      const lock = new Coordinator({ held: true });
      return {
        wait: () => lock.flash(),
        satisfy: () => lock.release(),
        taken: () => lock.held,
        gates: [lock],
      };
    },
  ],
  [
    "signal",
    () => {
      const signal = new Signal();
      return {
        wait: () => signal.wait(),
        satisfy: () => signal.notify(),
        taken: () => false,
        gates: [signal],
      };
    },
  ],
  [
    "first of several",
    () => {
      const lock = new Coordinator({ held: true });
      const other = new Coordinator({ held: true });
      return {
        wait: op(function* () {
          const result = yield* coordinateWithKill(lock, other, { within: "1 hour" });
          if (result.killed) yield* never();
        }),
        satisfy: () => {
          lock.release();
          other.release();
        },
        taken: () => lock.held || other.held,
        gates: [lock, other],
      };
    },
  ],
];

test.each(races)(
  "B10 %s: satisfied, then killed in the same turn: the kill wins and nothing is kept",
  (_n, make) => {
    const { wait, satisfy, taken, gates } = make();
    const log: string[] = [];
    runChecked(
      function* () {
        const victim = spawn(function* () {
          yield* wait();
          log.push("BAD");
        });
        yield* sleep(1);
        satisfy();
        victim.kill("second");
        expect(yield* victim.settled()).toMatchObject({ status: "killed" });
        expect(taken()).toBe(false);
      },
      ...gates,
    );
    expect(log).toEqual([]);
  },
);

test.each(races)("B10 %s: killed, then satisfied in the same turn: the same outcome", (_n, make) => {
  const { wait, satisfy, taken, gates } = make();
  const log: string[] = [];
  runChecked(
    function* () {
      const victim = spawn(function* () {
        yield* wait();
        log.push("BAD");
      });
      yield* sleep(1);
      victim.kill("first");
      satisfy();
      expect(yield* victim.settled()).toMatchObject({ status: "killed" });
      expect(taken()).toBe(false);
    },
    ...gates,
  );
  expect(log).toEqual([]);
});

test.each(races)("B10 %s: satisfied and not killed, as a control: it is got", (_n, make) => {
  const { wait, satisfy, gates } = make();
  const log: string[] = [];
  runChecked(
    function* () {
      const task = spawn(function* () {
        yield* wait();
        log.push("got it");
      });
      yield* sleep(1);
      satisfy();
      expect(yield* task.settled()).toMatchObject({ status: "done" });
    },
    ...gates,
  );
  expect(log).toEqual(["got it"]);
});

test.each(races)(
  "B09 B10 exhaustively: %s under a kill of anyone, twice: what is given is used or handed back",
  (_n, make) => {
    exhaustive(
      () => {
        const { wait, satisfy, gates } = make();
        let satisfied = 0;
        let got = 0;
        const contender = op(function* () {
          yield* wait();
          got++;
          yield* yieldNow();
        });
        return {
          *body() {
            const contenders = [spawn(contender()), spawn(contender()), spawn(contender())];
            yield* sleep(1);
            defer(() => {
              for (const task of contenders) expect(task.exit).not.toBe(null);
            });
            satisfied++;
            satisfy();
            yield* sleep(1);
          },
          gates,
          check({ kills }) {
            expect(got).toBeLessThanOrEqual(3);
            if (satisfied === 0) expect(got).toBe(0);
            if (kills.length === 0) expect(got).toBeGreaterThan(0);
            for (const gate of gates) {
              // Nobody who was killed still owns it.
              if (gate instanceof Coordinator && gate.held && got === 0 && satisfied > 0) {
                expect(gate.owner?.exit).not.toMatchObject({ status: "killed" });
              }
            }
          },
        };
      },
      { kills: 2 },
    );
  },
);

test("B09 exhaustively: a lock is never lost and never in two hands, whoever is killed whenever, twice", () => {
  const { runs } = exhaustive(
    () => {
      const lock = new Coordinator({ name: "lock" });
      const flashed = new Signal();
      let inside = 0;
      let entries = 0;
      const contenders: Task<number>[] = [];
      const contender = op(function* (rounds: number) {
        let mine = 0;
        for (let i = 0; i < rounds; i++) {
          yield* lock.acquire();
          try {
            expect(++inside).toBe(1);
            mine++;
            entries++;
            yield* sleep(1);
          } finally {
            inside--;
            lock.release();
          }
        }
        return mine;
      });
      return {
        *body() {
          yield* group(function* (g) {
            for (let i = 0; i < 3; i++) contenders.push(g.spawn(contender(2)));
            g.spawn(function* () {
              yield* lock.flash();
              flashed.notify();
            });
          });
        },
        gates: [lock, flashed],
        check({ stranded }) {
          expect(stranded).toEqual([]);
          expect(inside).toBe(0);
          expect(lock.held).toBe(false);
          expect(lock.owner).toBe(null);
          for (const task of contenders) {
            if (task.exit?.status === "done") expect(task.result).toBe(2);
          }
          expect(entries).toBeLessThanOrEqual(6);
        },
      };
    },
    { kills: 2 },
  );
  expect(runs).toBeGreaterThan(500);
});

test("B09 a timeout that fires while its wait is satisfied hands the lock on", () => {
  inOrder();
  const lock = new Coordinator({ held: true, name: "lock" });
  const log: string[] = [];
  const rt = new VirtualRuntime();
  rt.run(function* () {
    const contender = spawn(function* () {
      try {
        yield* timeout(10, lock.acquire());
        log.push("BAD: got the lock");
      } catch (error) {
        log.push((error as { code: string }).code);
      }
      yield* sleep(1);
    });
    spawn(function* () {
      yield* lock.acquire();
      log.push("next");
      lock.release();
    });
    yield* yieldNow();
    // The timer of the release was armed later and fires later, in the same turn as the timeout.
    rt.timers.after(10, () => lock.release());
    yield* contender.join();
    yield* sleep(1);
  }).result;
  expect(log).toEqual(["COOP_DEADLINE", "next"]);
  checked(rt, lock);
});

/** A wait whose end comes from outside, as that of a driver does: the test may resume it whenever it likes. */
class External extends Wait<string> {
  begun = 0;
  aborted = 0;
  rolledBack = 0;
  protected override begin(): boolean {
    this.begun++;
    return false;
  }
  protected override finish(): string {
    return "finished";
  }
  override abort(): boolean {
    this.aborted++;
    return true;
  }
  override rollback(): void {
    this.rolledBack++;
  }
  override describe(): string {
    return "an external event";
  }
}

test("B11 a resume that comes after the kill is ignored, at any time", () => {
  const log: string[] = [];
  const rt = new VirtualRuntime();
  rt.run(function* () {
    const event = new External();
    const victim = spawn(function* () {
      try {
        yield* event;
        log.push("BAD");
      } finally {
        log.push("cleaning up");
        yield* sleep(10);
        log.push(`clean at ${rt.now}`);
      }
    });
    yield* yieldNow();
    victim.kill();
    event.grant();
    yield* yieldNow();
    // The task is in another wait by now, which this must not end.
    event.grant();
    yield* sleep(5);
    event.grant();
    yield* victim.settled();
    event.grant();
    event.grant();
    expect(event).toMatchObject({ begun: 1, aborted: 1, rolledBack: 0 });
  }).result;
  expect(log).toEqual(["cleaning up", "clean at 10"]);
  checked(rt);
});

test("B11 the same when the wait is reached through an iterator that cannot be told of the kill", () => {
  const log: string[] = [];
  const rt = new VirtualRuntime();
  rt.run(function* () {
    const event = new External();
    const source = {
      [Symbol.iterator]: () => ({ next: () => event.next() }),
    } as unknown as Operation<string>;
    const victim = spawn(function* () {
      try {
        yield* source;
        log.push("BAD");
      } finally {
        yield* sleep(10);
        log.push(`clean at ${rt.now}`);
      }
    });
    yield* yieldNow();
    victim.kill();
    yield* sleep(5);
    event.grant();
    yield* victim.settled();
  }).result;
  expect(log).toEqual(["clean at 10"]);
  checked(rt);
});

test("B11 a live wait that is resumed twice takes one step", () => {
  const log: string[] = [];
  const rt = new VirtualRuntime();
  rt.run(function* () {
    const event = new External();
    const task = spawn(function* () {
      log.push(yield* event);
      yield* sleep(10);
      log.push(`second wait over at ${rt.now}`);
    });
    yield* yieldNow();
    event.grant();
    event.grant();
    yield* sleep(5);
    event.grant();
    yield* task.join();
  }).result;
  expect(log).toEqual(["finished", "second wait over at 10"]);
  checked(rt);
});

test("B11 a wait that is satisfied and then killed is rolled back, once", () => {
  runChecked(function* () {
    const event = new External();
    const victim = spawn(event);
    yield* yieldNow();
    event.grant();
    victim.kill();
    event.grant();
    expect(yield* victim.settled()).toMatchObject({ status: "killed" });
    expect(event).toMatchObject({ aborted: 0, rolledBack: 1 });
  });
});

test("B11 releases and notifications beyond the first are a typed error or change nothing", () => {
  const lock = new Coordinator({ held: true, name: "lock" });
  const signal = new Signal();
  runChecked(
    function* () {
      let steps = 0;
      const waiter = spawn(function* () {
        yield* lock.acquire();
        steps++;
        yield* signal.wait();
        steps++;
        lock.release();
      });
      yield* yieldNow();
      lock.release();
      yield* yieldNow();
      expect(steps).toBe(1);
      signal.notify();
      signal.notify();
      yield* waiter.join();
      expect(steps).toBe(2);
      expect(() => lock.release()).toThrow(expect.objectContaining({ code: "COOP_NOT_HELD" }));
    },
    lock,
    signal,
  );
});

test("B11 exhaustively: an external event that fires twice, late or never", () => {
  exhaustive(
    () => {
      const event = new External();
      let passed = 0;
      return {
        *body() {
          spawn(function* () {
            yield* event;
            passed++;
            yield* sleep(2);
          });
          yield* sleep(1);
          event.grant();
          event.grant();
          yield* yieldNow();
          event.grant();
          yield* sleep(1);
          event.grant();
          yield* sleep(5);
        },
        check() {
          expect(passed).toBeLessThanOrEqual(1);
          // Ended by a kill or by a grant, never by both, and never twice.
          expect(event.aborted + event.rolledBack + passed).toBeLessThanOrEqual(1);
          expect(event.begun - event.aborted - event.rolledBack).toBe(passed);
        },
      };
    },
    { kills: 2 },
  );
});

test("B18 a program that uses everything survives a kill of any task at any point", () => {
  const { points, runs } = exhaustive(
    () => {
      const lock = new Coordinator({ name: "lock" });
      const ready = new Signal({ name: "ready" });
      const gate = new Coordinator({ held: true, name: "gate" });
      const opened: string[] = [];
      const closed: string[] = [];
      /** A resource whose clean-up waits: under a shield, since a `finally` may be reached without a kill. */
      const resource = op(function* (name: string, work: () => Operation<unknown>) {
        opened.push(name);
        try {
          return yield* work();
        } finally {
          yield* shield(sleep(1));
          closed.push(name);
        }
      });
      /** The same as a plain generator, with clean-up that does not wait. */
      function* plain(name: string, work: () => Operation<unknown>): Generator<any, unknown, any> {
        opened.push(name);
        try {
          return yield* work();
        } finally {
          closed.push(name);
        }
      }
      const locked = op(function* (name: string) {
        yield* lock.acquire();
        try {
          yield* resource(name, () => sleep(2));
        } finally {
          lock.release();
        }
      });
      return {
        *body() {
          defer(function* () {
            yield* sleep(1);
            closed.push("main");
          });
          opened.push("main");
          const background = spawn(resource("background", never), { failure: "report" });
          const event = spawn(function* () {
            opened.push("event");
            defer(() => {
              closed.push("event");
            });
            const result = yield* coordinateWithKill(gate, ready, { within: "3 millis" });
            if (!result.killed) ready.notify();
          });
          try {
            yield* timeout(
              6,
              group(function* (g) {
                g.spawn(locked("first"));
                g.spawn(locked("second"));
                const value = g.spawn(() =>
                  plain("plain", () => resource("inside plain", () => ready.wait())),
                );
                yield* value.join();
                yield* lock.flash();
                yield* plain("held up", () => never());
              }),
            );
          } catch (error) {
            expect(error).toMatchObject({ code: "COOP_DEADLINE" });
          }
          yield* event.settled();
          yield* background.killAndWait("no longer needed", { within: "1 second" });
          yield* ready.wait();
        },
        gates: [lock, ready, gate],
        check() {
          expect(closed.sort()).toEqual(opened.sort());
          expect(lock.held).toBe(false);
          expect(gate.held).toBe(true);
        },
      };
    },
    { kills: 2 },
  );
  expect(points).toBeGreaterThan(20);
  expect(runs).toBeGreaterThan(100);
});

const boom = new Error("boom");

/** How a child ends in the turn at 5 ms, and what becomes of it and of its parent. */
interface Ending {
  readonly name: string;
  readonly body: Operation<unknown> | (() => Generator<any, unknown, any>);
  /** The child's step comes before that of the killer. */
  readonly childFirst: readonly [child: object, parent: object];
  /** The killer's step comes first: the child is ready and never gets to its end. */
  readonly killFirst: readonly [child: object, parent: object];
}

const killedOutside = { status: "killed", cause: { reason: "from outside" }, errors: [] };

const endings: readonly Ending[] = [
  {
    name: "a value",
    *body() {
      yield* sleep(5);
      return 1;
    },
    childFirst: [{ status: "done", value: 1 }, killedOutside],
    killFirst: [killedOutside, killedOutside],
  },
  {
    name: "an error",
    *body() {
      yield* sleep(5);
      throw boom;
    },
    // The failure was there first, and an error beats a kill.
    childFirst: [
      { status: "failed", error: boom },
      { status: "failed", error: boom },
    ],
    killFirst: [killedOutside, killedOutside],
  },
  {
    name: "a kill of its own",
    *body() {
      self().kill("by itself");
      try {
        yield* never();
      } finally {
        yield* sleep(5);
      }
    },
    childFirst: [{ status: "killed", cause: { reason: "by itself" } }, killedOutside],
    killFirst: [{ status: "killed", cause: { reason: "by itself" } }, killedOutside],
  },
];

test.each(endings)("B19 a parent is killed in the turn in which a child ends with $name", (ending) => {
  inOrder();
  for (const order of ["childFirst", "killFirst"] as const) {
    const rt = new VirtualRuntime();
    const main = rt.run(function* () {
      const children: Task[] = [];
      const parent = spawn(
        function* () {
          if (order === "killFirst") yield* yieldNow();
          children.push(spawn(ending.body));
          yield* never();
        },
        { failure: "hold" },
      );
      if (order === "childFirst") yield* sleep(0);
      const killer = spawn(function* () {
        yield* sleep(5);
        parent.kill("from outside");
      });
      const exit = yield* parent.settled();
      yield* killer.join();
      return [children[0]!.exit, exit];
    });
    expect(main.result).toMatchObject(ending[order]);
    const { spawned, done, failed, killed } = rt.statistics();
    expect([spawned, done + failed + killed]).toEqual([4, 4]);
    checked(rt);
  }
});

test("B19 an error that a child throws after the kill is attached to its parent's outcome, not lost", () => {
  const rt = new VirtualRuntime();
  const main = rt.run(function* () {
    const parent: Task = spawn(
      function* () {
        spawn(function* () {
          yield* sleep(1);
          parent.kill("by its child");
          throw boom;
        });
        spawn(function* () {
          try {
            yield* never();
          } finally {
            yield* sleep(1);
          }
        });
        yield* never();
      },
      { failure: "hold" },
    );
    return yield* parent.settled();
  });
  expect(main.result).toMatchObject({ status: "killed", cause: { reason: "by its child" }, errors: [boom] });
  checked(rt);
});

test("B19 exhaustively: children that return, fail and are killed in the turn of their parent's kill", () => {
  exhaustive(
    () => {
      const children: Task[] = [];
      const parents: Task[] = [];
      return {
        *body() {
          const parent = spawn(
            function* () {
              for (const { body } of endings) children.push(spawn(body));
              yield* never();
            },
            { failure: "hold" },
          );
          parents.push(parent);
          yield* sleep(5);
          yield* parent.killAndWait("from outside");
        },
        reports: true,
        check({ runtime, main }) {
          // Nothing was told twice, and what was thrown was told.
          const thrown = children.filter((child) => child.exit?.status === "failed").length;
          const reported = runtime.reports.map(({ error }) => error);
          const [parent] = parents;
          const exit = parent?.exit ?? null;
          const told =
            exit?.status === "failed" ? [exit.error] : exit?.status === "killed" ? exit.errors : [];
          expect(told).toEqual(Array.from({ length: thrown }, () => boom));
          expect(main.exit).not.toBe(null);
          if (main.exit?.status === "done") expect(reported).toEqual([]);
          for (const error of reported) expect(error).toBe(boom);
        },
      };
    },
    { kills: 2 },
  );
});
