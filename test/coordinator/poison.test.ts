import { describe, expect, test } from "vitest";
import { defer, never, op, spawn, UsageError, yieldNow } from "../../src/coordinator/index.ts";
import { LostKill, POISON } from "../../src/coordinator/kill/poison.ts";
import { VirtualRuntime } from "../../src/testing/virtual.ts";
import { sleep } from "../../src/time/sleep.ts";
import { timeout } from "../../src/time/timeout.ts";
import { checked } from "../support/harness.ts";

const poison = POISON as any;

describe("any use of the value throws", () => {
  test.each([
    ["a property", () => poison.length],
    ["a method", () => poison.toString()],
    ["a symbol", () => poison[Symbol.iterator]],
    ["a call", () => poison()],
    ["new", () => new poison()],
    ["an assignment", () => (poison.x = 1)],
    ["in", () => "x" in poison],
    ["delete", () => delete poison.x],
    ["keys", () => Object.keys(poison)],
    ["spread", () => ({ ...poison })],
    ["array spread", () => [...poison]],
    ["destructuring", () => (({ x }: any) => x)(poison)],
    ["instanceof", () => poison instanceof Error],
    ["a template", () => `${poison}`],
    ["addition", () => poison + 1],
    ["arithmetic", () => poison * 2],
    ["comparison", () => poison < 1],
    ["being an index", () => ["a"][poison]],
    ["the prototype", () => Object.getPrototypeOf(poison)],
    ["setting the prototype", () => Object.setPrototypeOf(poison, null)],
    ["defining", () => Object.defineProperty(poison, "x", {})],
    ["freezing", () => Object.freeze(poison)],
    ["asking whether it is extensible", () => Object.isExtensible(poison)],
    ["JSON", () => JSON.stringify({ a: { toJSON: () => poison.x } })],
    ["being something to spawn", () => Reflect.apply(poison, null, [])],
  ])("%s", (_, use) => {
    expect(use).toThrow(LostKill);
    expect(use).toThrow(/a kill was lost/);
  });

  test("with an error that says what to do", () => {
    const error = new LostKill();
    expect(error).toBeInstanceOf(UsageError);
    expect(error.code).toBe("COOP_KILL_LOST");
    expect(error.message).toMatch(/make the inner generator an op\(\), or put its clean-up into defer\(\)/);
  });

  test("to look at it without using it does not throw", () => {
    expect(typeof poison).toBe("function");
    expect(poison === POISON).toBe(true);
    expect(poison === undefined).toBe(false);
    expect(Boolean(poison)).toBe(true);
    const [kept] = [poison];
    expect(Object.is(kept, POISON)).toBe(true);
  });
});

describe("a lost kill", () => {
  function* plain(): Generator<unknown, string, any> {
    try {
      return yield* never();
    } finally {
      yield* sleep(1);
    }
  }

  /** Kills a task with this body; gives what it did and what was reported. */
  function lose(body: (log: string[]) => Generator<unknown, unknown, any>) {
    const rt = new VirtualRuntime();
    const log: string[] = [];
    const task = rt.run(function* () {
      const victim = spawn(
        function* victim() {
          defer(() => {
            log.push("defer");
          });
          return yield* body(log);
        },
        { failure: "hold" },
      );
      yield* yieldNow();
      return yield* victim.killAndWait("stop");
    });
    const reports = rt.reports.splice(0);
    const { killsOverridden } = rt.statistics();
    checked(rt);
    return { log, exit: task.result, reports, killsOverridden };
  }

  test("in code that goes on: reported with its place, killed all the same, defers run", () => {
    const { log, exit, reports, killsOverridden } = lose(function* (log) {
      yield* plain();
      log.push("goes on");
      yield* sleep(1);
      log.push("still");
      return 1;
    });
    expect(log).toEqual(["goes on", "still", "defer"]);
    expect(exit).toMatchObject({ status: "killed", cause: { reason: "stop" } });
    expect(reports).toMatchObject([{ kind: "kill-overridden", where: "victim", error: 1 }]);
    expect(killsOverridden).toBe(1);
  });

  test("in code that uses the value: the use is where it stops", () => {
    const { log, exit, reports } = lose(function* (log) {
      try {
        const text = yield* plain();
        log.push("not used yet");
        log.push(text.toUpperCase());
        log.push("BAD");
      } finally {
        log.push("finally");
      }
    });
    expect(log).toEqual(["not used yet", "finally", "defer"]);
    expect(exit).toMatchObject({ status: "killed", errors: [] });
    expect(reports).toMatchObject([{ kind: "kill-overridden", error: { code: "COOP_KILL_LOST" } }]);
  });

  test.each([
    ["as a duration", (value: any) => sleep(value)],
    ["as a body", (value: any) => timeout(1, value)],
  ])("in code that passes it %s", (_, use) => {
    const { exit, reports } = lose(function* () {
      const value = yield* plain();
      yield* use(value) as Generator<unknown, unknown, any>;
    });
    expect(exit).toMatchObject({ status: "killed", errors: [] });
    expect(reports).toMatchObject([{ kind: "kill-overridden", error: { code: "COOP_KILL_LOST" } }]);
  });

  test("in code that yields it", () => {
    const { exit, reports } = lose(function* () {
      yield yield* plain();
    });
    expect(exit).toMatchObject({ status: "killed", errors: [] });
    expect(reports).toMatchObject([{ kind: "kill-overridden", error: { code: "COOP_KILL_LOST" } }]);
  });

  test("in code that throws the value itself", () => {
    const { exit, reports } = lose(function* () {
      throw yield* plain();
    });
    expect(exit.status).toBe("killed");
    expect(reports.map(({ kind }) => kind)).toEqual(["kill-overridden"]);
  });

  test("in code that only passes the value on: nothing was lost", () => {
    const { exit, reports } = lose(function* () {
      return yield* plain();
    });
    expect(exit.status).toBe("killed");
    expect(reports).toEqual([]);
  });

  test("in code that loops: it gets no more than its share of waits and is killed again", () => {
    const { log, exit, reports } = lose(function* (log) {
      yield* plain();
      try {
        for (;;) yield* sleep(1);
      } finally {
        log.push("at last");
      }
    });
    expect(log).toEqual(["at last", "defer"]);
    expect(exit.status).toBe("killed");
    expect(reports).toEqual([]);
  });

  test("does not happen with op", () => {
    const proper = op(plain);
    const { log, exit, reports } = lose(function* (log) {
      yield* proper();
      log.push("BAD");
    });
    expect(log).toEqual(["defer"]);
    expect(exit.status).toBe("killed");
    expect(reports).toEqual([]);
  });

  test("a kill overridden by a return in finally is reported, and killed all the same", () => {
    const { exit, reports } = lose(function* () {
      const stubborn = op(function* stubborn() {
        try {
          yield* never();
        } finally {
          return 7;
        }
      });
      return yield* stubborn();
    });
    expect(exit.status).toBe("killed");
    expect(reports).toMatchObject([{ kind: "kill-overridden", where: "stubborn", error: 7 }]);
  });

  test("finally { continue } is told again and again, then abandoned and reported as stuck", () => {
    const { log, exit } = lose(function* (log) {
      const stubborn = op(function* stubborn() {
        for (let round = 0; ; round++) {
          try {
            yield* never();
          } finally {
            if (round >= 0) continue;
            log.push("BAD");
          }
        }
      });
      yield* stubborn();
    });
    expect(log).toEqual(["defer"]);
    expect(exit).toMatchObject({ status: "failed", error: { code: "COOP_STUCK" } });
    expect((exit as { error: Error }).error.message).toMatch(/^stubborn swallowed its kill 100 times/);
  });
});
