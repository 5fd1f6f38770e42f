/** All schedules of a few tasks of a few operations: how many there are, and that none is missed. */
import { expect, test } from "vitest";
import { BrokenError, Coordinator, coordinateWith, op, Signal, spawn } from "../../src/coordinator/index.ts";
import {
  type InterleavedProgram,
  type InterleaveOptions,
  interleave,
  ScheduleError,
  type Step,
} from "../../src/testing/interleave.ts";
import { sleep } from "../../src/time/sleep.ts";
import { timeout } from "../../src/time/timeout.ts";

const nothing = (): void => {};

/** Runs of `program` in words, sorted: `a1 b1 a2 …`. */
function orders(tasks: number, operations: number, preemptions?: number): string[] {
  const seen: string[] = [];
  interleave(
    () => ({
      tasks: Array.from({ length: tasks }, () => Array<Step>(operations).fill(nothing)),
      check: ({ runtime }) => void seen.push(runtime.story),
    }),
    preemptions === undefined ? {} : { preemptions },
  );
  return seen;
}

function failure(run: () => unknown): ScheduleError {
  try {
    run();
  } catch (error) {
    if (error instanceof ScheduleError) return error;
    throw error;
  }
  throw new Error("no schedule failed");
}

test("two tasks of two operations have six schedules, each run once, the quiet ones first", () => {
  expect(orders(2, 2)).toEqual([
    "a1 a2 b1 b2",
    "a1 b1 b2 a2",
    "a1 b1 a2 b2",
    "b1 b2 a1 a2",
    "b1 a1 a2 b2",
    "b1 a1 b2 a2",
  ]);
});

test("three tasks of three operations have 9!/(3!)³ schedules, no two the same", () => {
  const seen = orders(3, 3);
  expect(seen.length).toBe(1680);
  expect(new Set(seen).size).toBe(1680);
});

test("a bound on preemptions leaves the schedules that need no more", () => {
  expect(orders(3, 3, 0)).toHaveLength(6);
  const one = orders(3, 3, 1);
  expect(new Set(one).size).toBe(one.length);
  const switches = (order: string): number =>
    order
      .split(" ")
      .filter((word, i, words) => i > 0 && word[0] !== words[i - 1]![0] && !words[i - 1]!.endsWith("3"))
      .length;
  const few = orders(3, 3).filter((order) => switches(order) <= 1);
  expect([...one].sort()).toEqual([...few].sort());
});

test("a lost update is found, named, and found again by its name alone", () => {
  const lossy = (): InterleavedProgram => {
    let balance = 0;
    const seen: number[] = [];
    const deposit = (who: number): Step[] => [() => (seen[who] = balance), () => (balance = seen[who]! + 1)];
    return {
      tasks: [deposit(0), deposit(1)],
      check: () => expect(balance).toBe(2),
    };
  };
  const error = failure(() => interleave(lossy));
  expect(error.message).toContain(`schedule "${error.schedule}" (${error.trace}): expected 1 to be 2`);
  expect(error.trace).toMatch(/^(a1 b1|b1 a1)/);
  const again = failure(() => interleave(lossy, { schedule: error.schedule }));
  expect(again.message).toBe(error.message);
  expect(interleave(lossy, { schedule: "0" })).toMatchObject({ schedules: 1 });
});

test("a lock keeps the update, in every order and with a kill at every point", () => {
  const kept = (): InterleavedProgram => {
    const lock = new Coordinator({ name: "lock" });
    let balance = 0;
    let inside = 0;
    const deposit = op(function* () {
      yield* lock.acquire();
      try {
        inside++;
        const seen = balance;
        yield* sleep(0);
        balance = seen + 1;
      } finally {
        inside--;
        lock.release();
      }
      return balance;
    });
    return {
      tasks: [[() => deposit(), () => deposit()], [() => deposit()], [() => deposit()]],
      gates: [lock],
      invariant: () => expect(inside).toBeLessThanOrEqual(1),
      check: ({ results, kills }) => {
        expect(lock.held).toBe(false);
        expect(results.flat().length).toBeGreaterThanOrEqual(kills === 0 ? 4 : 2);
        expect(balance).toBeGreaterThanOrEqual(results.flat().length);
      },
    };
  };
  const quiet = interleave(kept);
  const killed = interleave(kept, { kills: 1, preemptions: 1 });
  expect(quiet.schedules).toBeGreaterThan(5);
  expect(killed.schedules).toBeGreaterThan(quiet.schedules);
});

test("two locks taken in two orders: the deadlock is found in those schedules only that have it", () => {
  const crossed = (stranded: boolean, count: () => void): InterleavedProgram => {
    const [x, y] = [new Coordinator({ name: "x" }), new Coordinator({ name: "y" })];
    const both = (first: Coordinator, second: Coordinator): Step[] => [
      first.acquire(),
      second.acquire(),
      () => {
        second.release();
        first.release();
      },
    ];
    return {
      tasks: [both(x, y), both(y, x)],
      stranded,
      check: ({ stranded }) => {
        if (stranded.length > 0) count();
      },
    };
  };
  const error = failure(() => interleave(() => crossed(false, nothing)));
  expect(error.message).toMatch(/stranded: a#1, b#2/);
  let deadlocks = 0;
  const { schedules } = interleave(() => crossed(true, () => deadlocks++));
  expect(deadlocks).toBeGreaterThan(0);
  expect(deadlocks).toBeLessThan(schedules);
});

test("a kill is an operation like any other, and an owner that is killed breaks its lock", () => {
  const outcomes = new Set<string>();
  interleave(() => {
    const lock = new Coordinator({ name: "lock" });
    return {
      tasks: [
        [lock.acquire(), nothing, () => lock.release()],
        [lock.acquire(), () => lock.release()],
        [({ tasks }) => tasks[0]!.kill("by c")],
      ],
      gates: [lock],
      failures: true,
      check: ({ tasks }) => {
        outcomes.add(tasks.map(({ exit }) => exit!.status).join(" "));
        const { exit } = tasks[1]!;
        if (exit?.status === "failed") expect(exit.error).toBeInstanceOf(BrokenError);
      },
    };
  });
  expect([...outcomes].sort()).toEqual(["done done done", "killed done done", "killed failed done"]);
});

test("with the clock as one more actor a timeout and a release meet in both orders", () => {
  const seen = (clock: boolean): string[] => {
    const outcomes = new Set<string>();
    interleave(
      () => {
        const gate = new Coordinator({ held: true, name: "gate" });
        return {
          tasks: [
            [
              function* () {
                try {
                  yield* timeout(1, gate.acquire());
                  return "acquired";
                } catch {
                  return "late";
                }
              },
            ],
            [nothing, () => gate.release()],
          ],
          gates: [gate],
          check: ({ results }) => void outcomes.add(String(results[0]![0])),
        };
      },
      { clock },
    );
    return [...outcomes].sort();
  };
  expect(seen(false)).toEqual(["acquired"]);
  expect(seen(true)).toEqual(["acquired", "late"]);
});

test("children that tasks spawn take part, and bodies are interleaved at their waits", () => {
  const orders = new Set<string>();
  interleave(() => {
    const log: string[] = [];
    const child = op(function* (name: string) {
      log.push(name);
      yield* sleep(0);
    });
    return {
      tasks: [
        function* () {
          const both = [spawn(child("x")), spawn(child("y"))];
          for (const task of both) yield* task.join();
        },
        [() => log.push("b")],
      ],
      check: () => void orders.add(log.join("")),
    };
  });
  expect([...orders].sort()).toEqual(["bxy", "byx", "xby", "xyb", "ybx", "yxb"]);
});

test("what steps give is there for the checks, whatever it is", () => {
  const signal = new Signal();
  interleave(
    () => ({
      tasks: [
        [
          () => [1, 2],
          () => "text",
          coordinateWith(signal),
          function* () {
            return 4;
          },
        ],
        [() => signal.notify()],
      ],
      check: ({ results }) => {
        expect(results[0]!.slice(0, 2)).toEqual([[1, 2], "text"]);
        expect(results[0]![3]).toBe(4);
      },
    }),
    { schedule: "0" },
  );
});

test("a task that fails, one that waits for ever, and one that does not end are told", () => {
  expect(
    failure(() =>
      interleave(() => ({
        tasks: [
          [
            () => {
              throw new Error("wrong");
            },
          ],
        ],
      })),
    ).message,
  ).toContain("a#1 failed: wrong");
  expect(failure(() => interleave(() => ({ tasks: [[new Signal().wait()]] }))).message).toContain(
    "stranded: a#1",
  );
  expect(
    failure(() =>
      interleave(
        () => ({
          tasks: [
            function* () {
              for (;;) yield* sleep(0);
            },
          ],
        }),
        { stepsMax: 100 },
      ),
    ).message,
  ).toContain("more than 100 steps");
  expect(() =>
    interleave(
      () => ({
        tasks: [
          [nothing, nothing],
          [nothing, nothing],
        ],
      }),
      { schedulesMax: 5 },
    ),
  ).toThrow("more than 5 schedules");
});

test("a program that does not start afresh is told so", () => {
  let runs = 0;
  const error = failure(() =>
    interleave(() => ({ tasks: Array.from({ length: ++runs + 1 }, () => [nothing, nothing]) })),
  );
  expect(error.message).toContain("fresh state");
  expect(() => interleave(() => ({ tasks: [] }), { schedule: "a.b" })).toThrow('"a.b" is no schedule');
});

/** The outcomes of a program, and how many schedules it has, with each state gone on from once and without. */
function bothWays(
  program: (note: (outcome: unknown) => void) => InterleavedProgram & { readonly state: () => unknown },
  options?: InterleaveOptions,
): void {
  const seen = [new Set<string>(), new Set<string>()] as const;
  const run = (i: 0 | 1) => () => {
    const made = program((outcome) => seen[i].add(JSON.stringify(outcome)));
    if (i === 1) return made;
    const { state: _, ...without } = made;
    return without;
  };
  const full = interleave(run(0), options);
  const merged = interleave(run(1), options);
  expect(merged.schedules).toBe(full.schedules);
  expect(full.runs).toBe(full.schedules);
  expect(merged.runs).toBeLessThan(full.runs);
  expect([...seen[1]].sort()).toEqual([...seen[0]].sort());
  // One by one again, now to see that the state is all that decides.
  expect(interleave(run(1), { ...options, verify: true }).runs).toBe(full.runs);
}

test("with its state given a program of 16!/(4!)⁴ schedules takes a thousand runs, and all are counted", () => {
  const { schedules, runs } = interleave(() => ({
    tasks: Array.from({ length: 4 }, () => [nothing, nothing, nothing, nothing]),
    state: () => null,
  }));
  expect(schedules).toBe(63_063_000);
  expect(runs).toBeLessThan(2_000);
  const three = interleave(() => ({
    tasks: Array.from({ length: 3 }, () => [nothing, nothing, nothing]),
    state: () => null,
  }));
  expect(three.schedules).toBe(1680);
});

test("what one run for each state shows is what all schedules show", () => {
  for (const kills of [0, 1]) {
    // Two updates that can be lost, in every way.
    bothWays(
      (note) => {
        const kept = { balance: 0, seen: [0, 0] };
        const deposit = (who: number): Step[] => [
          () => {
            kept.seen[who] = kept.balance;
          },
          () => {
            kept.balance = kept.seen[who]! + 1;
          },
          nothing,
        ];
        return {
          tasks: [deposit(0), deposit(1)],
          state: () => kept,
          check: () => note(kept.balance),
        };
      },
      { kills },
    );
    // Variables of generators, which no fingerprint can look into, decide; and children have some of their own.
    bothWays(
      (note) => {
        const kept = { count: 0, log: [] as number[] };
        const add = op(function* () {
          const mine = ++kept.count;
          yield* sleep(0);
          spawn(
            op(function* () {
              kept.log.push(mine);
            })(),
          );
          yield* sleep(0);
        });
        return {
          tasks: [[() => add(), nothing], [() => add()], [nothing]],
          state: () => kept,
          check: () => note(kept),
        };
      },
      { kills },
    );
    // Locks that are taken in two orders.
    bothWays(
      (note) => {
        const [x, y] = [new Coordinator({ name: "x" }), new Coordinator({ name: "y" })];
        const both = (first: Coordinator, second: Coordinator): Step[] => [
          first.acquire(),
          second.acquire(),
          () => {
            second.release();
            first.release();
          },
        ];
        return {
          tasks: [both(x, y), both(y, x)],
          state: () => [x, y],
          stranded: true,
          failures: true,
          check: ({ stranded, tasks }) =>
            note([stranded.map(({ name }) => name), tasks.map(({ exit }) => exit?.status), x.held, y.held]),
        };
      },
      { kills },
    );
  }
});

test("a bug that needs one order of many is found with the state given, and its schedule breaks it again", () => {
  const planted = (): InterleavedProgram => {
    let stage = 0;
    const advance = (from: number) => () => {
      if (stage === from) stage++;
    };
    return {
      tasks: [
        [advance(0), advance(3), advance(6)],
        [advance(1), advance(4), advance(7)],
        [advance(2), advance(5), advance(8)],
      ],
      state: () => stage,
      check: () => expect(stage).not.toBe(9),
    };
  };
  const error = failure(() => interleave(planted));
  expect(error.trace).toBe("a1 b1 c1 a2 b2 c2 a3 b3 c3");
  expect(failure(() => interleave(planted, { schedule: error.schedule })).message).toBe(error.message);
});

test("a state that leaves out what decides is found by verify", () => {
  const forgetful = (): InterleavedProgram => {
    let hidden = 0;
    const log: string[] = [];
    const hide = (value: number) => () => {
      hidden = value;
    };
    return {
      tasks: [[hide(1), nothing], [hide(2), nothing], [() => log.push(`${hidden}`)]],
      state: () => log,
    };
  };
  expect(interleave(forgetful).runs).toBeLessThan(30);
  expect(failure(() => interleave(forgetful, { verify: true })).message).toContain("leaves out something");
});

test("what a generator remembers is part of the state, though nothing can look into it", () => {
  const outcomes = new Set<number>();
  interleave(() => {
    const kept = { flag: 0, copied: -1 };
    const set = (value: number) => () => {
      kept.flag = value;
    };
    const copy = op(function* () {
      const seen = kept.flag;
      yield* sleep(1);
      kept.copied = seen;
    });
    return {
      // The flag is 0 again when the copy is made of what it was.
      tasks: [[set(1), set(0), nothing], [() => copy()]],
      state: () => kept,
      check: () => void outcomes.add(kept.copied),
    };
  });
  expect([...outcomes].sort()).toEqual([0, 1]);
});
