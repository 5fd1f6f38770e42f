/** The contract of waiting for several coordinators: seeds C-030 … C-047, by their numbers. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  Cooperator,
  Coordinator,
  coordinateWith,
  coordinateWithKill,
  Signal,
  self,
  shield,
  spawn,
  yieldNow,
} from "../../src/coordinator/index.ts";
import { VirtualRuntime } from "../../src/testing/virtual.ts";
import { sleep } from "../../src/time/sleep.ts";
import { checked, runChecked } from "../support/harness.ts";

const BOTH = [
  ["coordinateWith", coordinateWith],
  ["coordinateWithKill", coordinateWithKill],
] as const;

function held(...names: string[]): Coordinator[] {
  return names.map((name) => new Coordinator({ held: true, name }));
}

describe.each(BOTH)("%s", (_, wait) => {
  test("C-030 takes exactly one; what fired meanwhile goes to its next waiter", () => {
    const [a, b, c] = held("a", "b", "c") as [Coordinator, Coordinator, Coordinator];
    const log: string[] = [];
    runChecked(
      function* () {
        const both = spawn(function* () {
          const { index, coordinator } = yield* wait(a, b, c);
          expect([a, b, c].map((gate) => gate.owner === self())).toEqual([false, true, false]);
          (coordinator as Coordinator).release();
          return index;
        });
        yield* yieldNow();
        for (const gate of [a, b, c]) {
          spawn(function* () {
            yield* gate.acquire();
            log.push(gate.name);
            gate.release();
          });
        }
        yield* yieldNow();
        c.release();
        b.release();
        expect(yield* both.join()).toBe(1);
        yield* yieldNow();
        expect(log.sort()).toEqual(["b", "c"]);
        expect([a, b, c].map((gate) => gate.held)).toEqual([true, false, false]);
        a.release();
        yield* yieldNow();
      },
      a,
      b,
      c,
    );
  });

  test("C-031 the leftmost of several that are free wins", () => {
    runChecked(function* () {
      for (let free = 1; free < 8; free++) {
        const gates = [1, 2, 4].map((bit) => new Coordinator({ held: (free & bit) === 0 }));
        const leftmost = [1, 2, 4].findIndex((bit) => (free & bit) !== 0);
        const { index, coordinator } = yield* wait(...gates);
        expect(index).toBe(leftmost);
        expect(coordinator).toBe(gates[leftmost]);
        expect(gates[leftmost]!.owner).toBe(self());
        for (const [i, gate] of gates.entries()) {
          if (i !== leftmost) expect(gate.held).toBe((free & (1 << i)) === 0);
        }
      }
    });
  });

  test("C-032 the fast path neither suspends nor queues nor arms a timer", () => {
    const rt = new VirtualRuntime();
    const [a] = held("a") as [Coordinator];
    rt.run(function* () {
      const armed = rt.timers.next;
      expect((yield* wait(a, new Coordinator(), { within: 5 })).index).toBe(1);
      expect(a.waiting).toBe(0);
      expect(rt.timers.size).toBe(0);
      expect(rt.timers.next).toBe(armed);
    }).result;
    expect(rt.statistics().steps).toBe(1);
    checked(rt, a);
  });

  test("C-032 the fast path works without a clock; the slow one says that it needs one", () => {
    let panicked: unknown = null;
    const cooperator = new Cooperator({
      host: { requestTurn() {}, panic: (error) => (panicked = error) },
      report() {},
    });
    const gate = new Coordinator();
    const task = cooperator.spawn(
      function* () {
        expect((yield* wait(gate, { within: 5 })).index).toBe(0);
        let code = "";
        try {
          yield* wait(new Coordinator({ held: true, name: "other" }), { within: 5 });
        } catch (error) {
          code = (error as { code: string }).code;
        }
        return code;
      },
      { failure: "hold" },
    );
    while (cooperator.turn()) {}
    expect(task.result).toBe("COOP_NO_CLOCK");
    expect(panicked).toBe(null);
  });

  test("C-033 the slow path queues one link on each and blocks once", () => {
    const gates = held("a", "b", "c");
    const rt = new VirtualRuntime();
    rt.run(function* () {
      const task = spawn(function* () {
        yield* wait(...gates);
      });
      yield* yieldNow();
      expect(gates.map((gate) => gate.waiting)).toEqual([1, 1, 1]);
      expect(task.status).toBe("blocked");
      gates[2]!.release();
      yield* task.join();
      expect(gates.map((gate) => gate.waiting)).toEqual([0, 0, 0]);
    }).result;
    expect(rt.statistics().steps).toBe(1 + 1 + 1 + 1 + 1);
    checked(rt, ...gates);
  });

  test("C-034/C-035 whatever the order of firing, the leftmost wins and each loser is free again", () => {
    const orders = [
      [0, 1, 2],
      [0, 2, 1],
      [1, 0, 2],
      [1, 2, 0],
      [2, 0, 1],
      [2, 1, 0],
    ];
    runChecked(function* () {
      for (const order of orders) {
        const gates = held("a", "b", "c");
        const task = spawn(function* () {
          return (yield* wait(...gates)).index;
        });
        yield* yieldNow();
        for (const i of order) gates[i]!.release();
        expect(yield* task.join()).toBe(0);
        expect(gates.map((gate) => gate.held)).toEqual([true, false, false]);
        expect(gates.map((gate) => gate.waiting)).toEqual([0, 0, 0]);
      }
    });
  });

  test("C-036 a single argument is an acquire", () => {
    const gate = new Coordinator({ held: true });
    runChecked(function* () {
      const task = spawn(function* () {
        const { index, coordinator } = yield* wait(gate);
        expect(index).toBe(0);
        expect(coordinator).toBe(gate);
        expect(gate.owner).toBe(self());
        gate.release();
      });
      yield* yieldNow();
      gate.release();
      yield* task.join();
    }, gate);
  });

  test("C-038 a coordinator that is ready in the same turn beats the timeout", () => {
    const [a, b] = held("a", "b") as [Coordinator, Coordinator];
    const rt = new VirtualRuntime();
    const task = rt.cooperator.spawn(function* () {
      return (yield* wait(a, b, { within: 5 })).index;
    });
    rt.settle();
    rt.advance(5);
    // Both before the task runs: the timer first, then the coordinator.
    rt.timers.expire();
    expect(rt.timers.size).toBe(0);
    b.release();
    rt.settle();
    expect(task.result).toBe(1);
    expect(b.held).toBe(true);
    checked(rt, a, b);
  });

  test("C-039 timed out: nothing is taken, and no coordinator is named", () => {
    const gates = held("a", "b");
    const rt = new VirtualRuntime();
    rt.run(function* () {
      const result = yield* wait(...gates, { within: "5 millis" });
      expect(rt.now).toBe(5);
      expect(result.timedOut).toBe(true);
      expect(result.killed).toBe(false);
      expect([result.index, result.coordinator]).toEqual([-2, null]);
      expect(gates.map((gate) => [gate.waiting, gate.owner])).toEqual([
        [0, null],
        [0, null],
      ]);
    }).result;
    checked(rt, ...gates);
  });

  test("C-039 completed before the timeout: the timer is off", () => {
    const [a] = held("a") as [Coordinator];
    const rt = new VirtualRuntime();
    rt.run(function* () {
      const task = spawn(function* () {
        return (yield* wait(a, { within: "1 hour" })).index;
      });
      yield* sleep(1);
      a.release();
      expect(yield* task.join()).toBe(0);
      expect(rt.timers.size).toBe(0);
      expect(rt.now).toBe(1);
    }).result;
    checked(rt, a);
  });

  test("within 0 gives others one chance; Infinity never ends", () => {
    const [a] = held("a") as [Coordinator];
    const rt = new VirtualRuntime();
    rt.run(function* () {
      expect((yield* wait(a, { within: 0 })).timedOut).toBe(true);
      expect(rt.now).toBe(0);
      const task = spawn(function* () {
        return (yield* wait(a, { within: Number.POSITIVE_INFINITY })).index;
      });
      yield* sleep(1e9);
      a.release();
      expect(yield* task.join()).toBe(0);
    }).result;
    checked(rt, a);
  });

  test("C-040 a timeout that is none is an error, and nothing is left queued", () => {
    const [a] = held("a") as [Coordinator];
    runChecked(function* () {
      for (const within of ["soon", -1, Number.NaN]) {
        let code = "";
        try {
          yield* wait(a, { within });
        } catch (error) {
          code = (error as { code: string }).code;
        }
        expect(code).toBe("COOP_DURATION");
        expect(a.waiting).toBe(0);
      }
    }, a);
  });

  test("the same coordinator twice", () => {
    const [a, b] = held("a", "b") as [Coordinator, Coordinator];
    runChecked(
      function* () {
        const task = spawn(function* () {
          return (yield* wait(b, a, a)).index;
        });
        yield* yieldNow();
        expect(a.waiting).toBe(2);
        a.release();
        expect(yield* task.join()).toBe(1);
        expect(a.waiting).toBe(0);
        expect(a.held).toBe(true);
      },
      a,
      b,
    );
  });

  test("the same operation may be run again after it is done", () => {
    const [a] = held("a") as [Coordinator];
    runChecked(function* () {
      const operation = wait(a, { within: 1 });
      expect((yield* operation).timedOut).toBe(true);
      expect((yield* operation).timedOut).toBe(true);
      a.release();
      expect((yield* operation).index).toBe(0);
      a.release();
    }, a);
  });

  test("misuse: nothing to wait for, no coordinator, what is owned already", () => {
    const free = new Coordinator({ held: true });
    expect(() => wait()).toThrow(expect.objectContaining({ code: "COOP_NOTHING_TO_WAIT_FOR" }));
    expect(() => wait({ within: 1 })).toThrow(expect.objectContaining({ code: "COOP_NOTHING_TO_WAIT_FOR" }));
    expect(() => wait(free, 5 as never, free)).toThrow(/takes coordinators and signals, not the number 5/);
    // The last argument, where options may stand, is not passed over either.
    for (const wrong of [
      5,
      "1 second",
      null,
      undefined,
      () => {},
      Promise.resolve(),
      new Map(),
      free.acquire(),
    ]) {
      expect(() => wait(free, wrong as never)).toThrow(
        expect.objectContaining({ code: "COOP_NOT_A_COORDINATOR" }),
      );
    }
    expect(() => wait(free, { wihtin: 5 } as never)).toThrow(/did you mean within\?/);
    runChecked(function* () {
      const mine = new Coordinator({ name: "mine" });
      yield* mine.acquire();
      let error: unknown;
      try {
        yield* wait(free, mine);
      } catch (caught) {
        error = caught;
      }
      expect(error).toMatchObject({ code: "COOP_SELF_ACQUIRE" });
      expect(free.waiting).toBe(0);
      mine.release();
    }, free);
  });
});

describe("kill", () => {
  test("C-042 coordinateWith does not see it: the kill meets the task at its next wait", () => {
    const [a] = held("a") as [Coordinator];
    const log: string[] = [];
    runChecked(function* () {
      const task = spawn(function* () {
        const { index, killed } = yield* coordinateWith(a);
        log.push(`${index} ${killed}`);
        yield* yieldNow();
        log.push("BAD");
      });
      yield* yieldNow();
      task.kill();
      yield* sleep(1);
      expect(task.status).toBe("blocked");
      a.release();
      expect((yield* task.settled()).status).toBe("killed");
    }, a);
    expect(log).toEqual(["0 false"]);
  });

  test("C-043/C-044 is leftmost of all: what fired in the same turn is passed on", () => {
    const gates = held("a", "b");
    const log: string[] = [];
    runChecked(
      function* () {
        for (const killFirst of [true, false]) {
          const task = spawn(function* () {
            const result = yield* coordinateWithKill(...gates);
            log.push(`${result.index} ${result.killed} ${result.coordinator}`);
          });
          yield* yieldNow();
          if (killFirst) task.kill();
          for (const gate of gates) gate.release();
          if (!killFirst) task.kill();
          expect((yield* task.settled()).status).toBe("killed");
          expect(gates.map((gate) => gate.held)).toEqual([false, false]);
          expect(gates.map((gate) => gate.waiting)).toEqual([0, 0]);
          for (const gate of gates) gate.tryAcquire();
        }
      },
      ...gates,
    );
    expect(log).toEqual(["-1 true null", "-1 true null"]);
  });

  test("C-045 on entry it comes back at once, even if a coordinator is free", () => {
    const gate = new Coordinator();
    const rt = new VirtualRuntime();
    rt.run(function* () {
      const task = spawn(function* () {
        self().kill("stop");
        const before = rt.statistics().steps;
        expect((yield* coordinateWithKill(gate, { within: 5 })).killed).toBe(true);
        expect(rt.statistics().steps).toBe(before);
        expect(gate.held).toBe(false);
      });
      expect((yield* task.settled()).status).toBe("killed");
    }).result;
    checked(rt, gate);
  });

  test("C-046 killed and timed out are distinct; kill, then arguments, then timeout", () => {
    const [a] = held("a") as [Coordinator];
    const rt = new VirtualRuntime();
    const seen: number[] = [];
    const task = rt.cooperator.spawn(function* () {
      seen.push((yield* coordinateWithKill(a, { within: 5 })).index);
      seen.push((yield* coordinateWithKill(a, { within: 5 })).index);
    });
    rt.settle();
    rt.advance(5);
    rt.settle();
    expect(seen).toEqual([-2]);
    rt.advance(5);
    rt.timers.expire();
    task.kill();
    rt.settle();
    expect(seen).toEqual([-2, -1]);
    checked(rt, a);
  });

  test("C-037 repeated after a kill it comes back at once, every time", () => {
    const [a] = held("a") as [Coordinator];
    runChecked(function* () {
      const task = spawn(function* () {
        for (let i = 0; i < 5; i++) expect((yield* coordinateWithKill(a)).killed).toBe(true);
      });
      yield* yieldNow();
      task.kill();
      expect((yield* task.settled()).status).toBe("killed");
    }, a);
  });

  test("is not seen in a shield nor in clean-up, where the wait works as ever", () => {
    const [a] = held("a") as [Coordinator];
    const log: number[] = [];
    runChecked(function* () {
      const task = spawn(function* () {
        try {
          yield* shield(function* () {
            log.push((yield* coordinateWithKill(a, { within: 5 })).index);
          });
          yield* yieldNow();
        } finally {
          log.push((yield* coordinateWithKill(a, { within: 5 })).index);
        }
      });
      yield* yieldNow();
      yield* task.killAndWait();
    }, a);
    expect(log).toEqual([-2, -2]);
  });

  test("C-096 waits that are not kill-aware serve clean-up and level 0 after a kill", () => {
    const signal = new Signal();
    const [a] = held("a") as [Coordinator];
    runChecked(
      function* () {
        const task = spawn(function* () {
          const { killed } = yield* coordinateWithKill(signal);
          expect(killed).toBe(true);
          // The kill is known; the rest is finished at leisure.
          expect((yield* coordinateWith(a, { within: 5 })).timedOut).toBe(true);
          return "partial";
        });
        yield* yieldNow();
        task.kill("stop");
        // A kill beats the value.
        expect(yield* task.settled()).toMatchObject({ status: "killed", cause: { reason: "stop" } });
      },
      signal,
      a,
    );
  });
});

describe("conservation", () => {
  /** Tasks that each wait for any of their gates, again and again, against random releases and kills. */
  const run = (seed: number[], wait: typeof coordinateWith): void => {
    const rt = new VirtualRuntime();
    const gates = Array.from({ length: 3 }, (_, i) => new Coordinator({ name: `gate ${i}` }));
    const holders = gates.map(() => 0);
    const tasks = Array.from({ length: 4 }, (_, t) =>
      rt.cooperator.spawn(function* () {
        for (let round = 0; round < 3; round++) {
          const mine = gates.filter((_, i) => (t + round + i) % 3 !== 0 || i === 0);
          const { coordinator, killed } = yield* wait(...mine);
          if (killed) return;
          const i = gates.indexOf(coordinator as Coordinator);
          expect(++holders[i]!).toBe(1);
          try {
            yield* sleep(seed[(t * 3 + round) % seed.length]! % 3);
          } finally {
            holders[i]!--;
            gates[i]!.release();
          }
        }
      }),
    );
    for (const [i, at] of seed.entries()) {
      rt.advance(at % 2);
      rt.settle();
      if (at % 5 === 0) tasks[i % tasks.length]!.kill();
    }
    rt.drain();
    expect(gates.map((gate) => gate.held)).toEqual([false, false, false]);
    checked(rt, ...gates);
  };

  test.each(BOTH)("%s neither loses nor doubles a coordinator", (_, wait) => {
    fc.assert(
      fc.property(fc.array(fc.nat(100), { minLength: 1, maxLength: 12 }), (seed) => run(seed, wait)),
      { numRuns: 150, seed: 4 },
    );
  });

  test("negative control: a hand-back that is forgotten shows", () => {
    const original = Coordinator.prototype.handBack;
    Coordinator.prototype.handBack = () => {};
    try {
      expect(() =>
        fc.assert(
          fc.property(fc.array(fc.nat(100), { minLength: 1, maxLength: 12 }), (seed) =>
            run(seed, coordinateWithKill),
          ),
          { numRuns: 150, seed: 4 },
        ),
      ).toThrow(/Property failed/);
    } finally {
      Coordinator.prototype.handBack = original;
    }
  });
});

test.each(BOTH)("%s that is iterated by hand leaves every queue", (_name, wait) => {
  const gate = new Coordinator({ held: true });
  const flag = new Signal();
  runChecked(
    function* () {
      const operation = wait(gate, flag, { within: 5 }) as unknown as Iterable<unknown>;
      expect(() => [...operation]).toThrow();
      expect([gate.waiting, flag.waiting]).toEqual([0, 0]);
      gate.release();
      expect(gate.held).toBe(false);
      yield* yieldNow();
    },
    gate,
    flag,
  );
});
