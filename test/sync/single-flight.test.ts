/** Sharing one run among those who ask for it at the same time, and keeping its value. */
import { describe, expect, test } from "vitest";
import {
  type CoopError,
  group,
  HIGH,
  self,
  spawn,
  TaskLocal,
  yieldNow,
} from "../../src/coordinator/index.ts";
import { Once, SingleFlight, select } from "../../src/sync/index.ts";
import { sleep } from "../../src/time/sleep.ts";
import { exhaustive, runChecked } from "../support/harness.ts";
import { codeOf, failure } from "../support/sync.ts";

describe("a single flight", () => {
  test("is shared by all who ask for the key while it is under way, and by nobody after", () => {
    const flights = new SingleFlight<string, number>();
    let runs = 0;
    const load = function* () {
      runs++;
      yield* sleep(5);
      return runs;
    };
    runChecked(function* () {
      const all = yield* group(function* (g) {
        const tasks = ["a", "a", "b", "a"].map((key) => g.spawn(flights.run(key, load)));
        yield* sleep(1);
        expect(flights.statistics()).toEqual({ flights: 2, waiting: 4 });
        return tasks;
      });
      expect(all.map((task) => task.result)).toEqual([2, 2, 2, 2]);
      expect(runs).toBe(2);
      expect(yield* flights.run("a", load)).toBe(3);
    });
    expect(flights.statistics()).toEqual({ flights: 0, waiting: 0 });
  });

  test("survives the caller that started it, and ends when the last has gone", () => {
    const flights = new SingleFlight<string, string>();
    const log: string[] = [];
    const load = function* () {
      try {
        yield* sleep(5);
        return "loaded";
      } finally {
        log.push("over");
      }
    };
    runChecked(function* () {
      const first = spawn(flights.run("k", load));
      const second = spawn(flights.run("k", load));
      yield* yieldNow();
      first.kill();
      expect(yield* second.join()).toBe("loaded");
      expect(log).toEqual(["over"]);

      const third = spawn(flights.run("k", load));
      yield* sleep(1);
      third.kill();
      yield* third.settled();
      yield* yieldNow();
      expect(log).toEqual(["over", "over"]);
      expect(flights.statistics()).toEqual({ flights: 0, waiting: 0 });
    });
  });

  test("a caller that comes while an abandoned one cleans up waits for that and gets the next", () => {
    const flights = new SingleFlight<string, number>();
    let inside = 0;
    let runs = 0;
    const load = function* () {
      expect(++inside).toBe(1);
      const mine = ++runs;
      try {
        yield* sleep(5);
        return mine;
      } finally {
        yield* sleep(10);
        inside--;
      }
    };
    runChecked(function* () {
      const first = spawn(flights.run("k", load));
      yield* sleep(1);
      yield* first.killAndWait();
      expect(flights.statistics()).toEqual({ flights: 1, waiting: 0 });
      const bad = spawn(function* () {
        return yield* failure(flights.run("k", 5 as never));
      });
      const gone = spawn(flights.run("k", load));
      const next = spawn(flights.run("k", load));
      const more = spawn(flights.run("k", load));
      yield* sleep(1);
      gone.kill();
      expect(yield* next.join()).toBe(2);
      expect(yield* more.join()).toBe(2);
      expect(yield* bad.join()).toBe("COOP_NOT_AN_OPERATION");
      // All that have come for it may leave again before it begins.
      const fourth = spawn(flights.run("k", load));
      yield* sleep(1);
      fourth.kill();
      const fifth = spawn(flights.run("k", load));
      yield* sleep(1);
      yield* fifth.killAndWait();
      yield* sleep(20);
      expect(runs).toBe(3);
    });
    expect(flights.statistics()).toEqual({ flights: 0, waiting: 0 });
  });

  test("an error goes to all who wait and is not remembered; a bad body starts nothing", () => {
    const flights = new SingleFlight<string, number>();
    const error = new Error("no");
    const fail = function* () {
      yield* yieldNow();
      throw error;
    };
    runChecked(function* () {
      const tasks = [1, 2].map(() =>
        spawn(function* () {
          try {
            yield* flights.run("k", fail);
          } catch (thrown) {
            return thrown;
          }
          return null;
        }),
      );
      for (const task of tasks) expect(yield* task.join()).toBe(error);
      expect(
        yield* flights.run("k", function* () {
          return 1;
        }),
      ).toBe(1);
      expect(yield* failure(flights.run("k", 5 as never))).toBe("COOP_NOT_AN_OPERATION");
    });
    expect(flights.statistics()).toEqual({ flights: 0, waiting: 0 });
  });

  test("one that is killed itself tells those who wait, and one cannot wait for itself", () => {
    const flights = new SingleFlight<string, unknown>();
    runChecked(function* () {
      const waiter = spawn(function* () {
        return yield* failure(
          flights.run("k", function* () {
            self().kill("enough");
            yield* yieldNow();
          }),
        );
      });
      expect(yield* waiter.join()).toBe("COOP_KILLED");
      const again: () => Generator<unknown, unknown, any> = () => failure(flights.run("k", again));
      expect(yield* flights.run("k", again)).toBe("COOP_SELF_JOIN");
    });
  });

  test("runs as its first caller would: priority and locals, also when it had to wait for another", () => {
    const local = new TaskLocal<string>("none");
    const flights = new SingleFlight<string, string>();
    const look = function* () {
      try {
        yield* sleep(2);
        return `${local.get()} ${self().priority}`;
      } finally {
        yield* sleep(2);
      }
    };
    runChecked(function* () {
      const caller = function* (name: string) {
        local.set(name);
        return yield* flights.run("k", look);
      };
      const first = spawn(() => caller("first"));
      yield* sleep(1);
      first.kill();
      const second = spawn(() => caller("second"), { priority: HIGH });
      expect(yield* second.join()).toBe("second 0");
    });
  });

  test("is an arm of select: one that loses leaves the flight", () => {
    const flights = new SingleFlight<string, string>();
    runChecked(function* () {
      const won = yield* select({ load: flights.run("k", sleep(5) as never), late: sleep(1) });
      expect(won.key).toBe("late");
      yield* yieldNow();
      expect(flights.statistics()).toEqual({ flights: 0, waiting: 0 });
    });
  });

  test("whoever is killed wherever: at most one flight at a time, and nothing is left", () => {
    exhaustive(() => {
      const flights = new SingleFlight<string, number>();
      let inside = 0;
      const load = function* () {
        expect(++inside).toBe(1);
        try {
          yield* sleep(2);
          return 7;
        } finally {
          try {
            yield* sleep(1);
          } finally {
            inside--;
          }
        }
      };
      return {
        body: function* () {
          for (let i = 0; i < 3; i++) {
            spawn(
              function* () {
                yield* sleep(i);
                expect(yield* flights.run("k", load)).toBe(7);
              },
              // The flight itself is a task that is killed, too.
              { failure: "hold" },
            ).observe();
          }
          yield* sleep(20);
        },
        check: ({ stranded }) => {
          expect(stranded).toEqual([]);
          expect(inside).toBe(0);
          expect(flights.statistics()).toEqual({ flights: 0, waiting: 0 });
        },
      };
    });
  });
});

describe("once", () => {
  test("makes the value once, for those who wait and those who come later", () => {
    let runs = 0;
    const once = new Once(
      function* () {
        runs++;
        yield* sleep(1);
        return { runs };
      },
      { name: "config" },
    );
    expect(once.statistics()).toEqual({ done: false, running: false, waiting: 0 });
    runChecked(function* () {
      const tasks = [1, 2, 3].map(() => spawn(once.get()));
      yield* yieldNow();
      expect(once.statistics()).toEqual({ done: false, running: true, waiting: 3 });
      const values = [];
      for (const task of tasks) values.push(yield* task.join());
      values.push(yield* once.get());
      expect(new Set(values).size).toBe(1);
      expect(runs).toBe(1);
    });
    expect(once.statistics()).toEqual({ done: true, running: false, waiting: 0 });
  });

  test("a failure goes to those who wait; the next caller tries again", () => {
    let runs = 0;
    const once = new Once(function* () {
      yield* yieldNow();
      if (++runs === 1) throw Object.assign(new Error("no"), { code: "NO" });
      return undefined;
    });
    runChecked(function* () {
      const tasks = [1, 2].map(() => spawn(() => failure(once.get())));
      for (const task of tasks) expect(yield* task.join()).toBe("NO");
      expect(once.done).toBe(false);
      // A value that is undefined is a value.
      yield* once.get();
      yield* once.get();
      expect(runs).toBe(2);
    });
  });

  test("the value is kept though every caller is killed in the moment it is there", () => {
    let runs = 0;
    const once = new Once(function* () {
      runs++;
      yield* sleep(1);
      return 1;
    });
    runChecked(function* () {
      const caller = spawn(once.get());
      yield* yieldNow();
      yield* sleep(1);
      while (!once.done) yield* yieldNow();
      caller.kill();
      yield* caller.settled();
      expect(yield* once.get()).toBe(1);
      expect(runs).toBe(1);
    });
  });

  test("whoever is killed wherever, those who are left get the value", () => {
    exhaustive(() => {
      const once = new Once(function* () {
        yield* sleep(1);
        return 7;
      });
      return {
        body: function* () {
          const tasks = [1, 2, 3].map(() => spawn(once.get(), { failure: "hold" }));
          for (const task of tasks) {
            const exit = yield* task.settled();
            if (exit.status === "done") expect(exit.value).toBe(7);
          }
        },
        check: ({ stranded }) => expect(stranded).toEqual([]),
      };
    });
  });

  test("misuse: a body that is none", () => {
    expect(codeOf(() => new Once(5 as never))).toBe("COOP_NOT_AN_OPERATION");
  });
});

describe("what a body or a key may be", () => {
  test("a plain function is called in the flight, whose kill is not its caller's", () => {
    const flights = new SingleFlight<string, unknown>();
    runChecked(function* () {
      const caller = spawn(
        flights.run("key", () => {
          self().kill("itself");
          return sleep(50);
        }),
        { failure: "hold" },
      );
      const exit = yield* caller.settled();
      expect(caller.killed).toBe(false);
      expect((exit as { error: CoopError }).error.code).toBe("COOP_KILLED");
      expect(flights.statistics()).toEqual({ flights: 0, waiting: 0 });
    });
  });

  test("a key need have no text", () => {
    const flights = new SingleFlight<object, number>();
    const key = Object.create(null) as object;
    const value = runChecked(() =>
      flights.run(key, function* () {
        yield* sleep(1);
        return 42;
      }),
    );
    expect(value).toBe(42);
  });
});
