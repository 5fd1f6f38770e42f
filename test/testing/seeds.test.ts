/** Programs under many orders: a hidden dependence on order is found, named by its seed, and found again. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { Coordinator, group, HIGH, op, spawn, yieldNow } from "../../src/coordinator/index.ts";
import { runSeeds, SeedError } from "../../src/testing/seeds.ts";
import { runVirtual, VirtualRuntime } from "../../src/testing/virtual.ts";
import { sleep } from "../../src/time/sleep.ts";
import { runChecked } from "../support/harness.ts";

/** Relies on its children beginning in the order in which they were spawned. */
function fragile(): void {
  const log: number[] = [];
  runVirtual(
    op(function* () {
      yield* group(function* (g) {
        for (let i = 0; i < 3; i++) {
          g.spawn(function* () {
            log.push(i);
            yield* sleep(1);
          });
        }
      });
    })(),
  );
  expect(log).toEqual([0, 1, 2]);
}

function failure(run: () => unknown): SeedError {
  try {
    run();
  } catch (error) {
    if (error instanceof SeedError) return error;
    throw error;
  }
  throw new Error("no seed failed");
}

test("a dependence on the order of steps is found, and the seed finds it again", () => {
  fragile();
  const error = failure(() => runSeeds(100, fragile));
  expect(error.message).toMatch(new RegExp(`^seed ${error.seed}: `));
  expect(error.message).not.toContain("second run");
  expect(failure(() => runSeeds(100, fragile, { only: error.seed })).seed).toBe(error.seed);
  expect(failure(() => runSeeds(1, () => fragile(), { also: [error.seed] })).seed).toBe(error.seed);
  // Outside of it runtimes take no seed.
  fragile();
});

test("a seed that does not fail a second time is told to be so", () => {
  let runs = 0;
  const error = failure(() =>
    runSeeds(10, () => {
      if (++runs === 3) throw new Error("now and then");
    }),
  );
  expect(error).toMatchObject({ seed: 3 });
  expect(error.message).toContain("now and then");
  expect(error.message).toContain("a second run under it did not fail");
});

test("programs that give promises are run one after the other, and fail the same way", async () => {
  const seeds: (number | null)[] = [];
  const result = await runSeeds(5, async () => {
    await Promise.resolve();
    const rt = new VirtualRuntime();
    seeds.push(rt.seed);
    await rt.runAsync(sleep(1));
  });
  expect(result).toEqual({ runs: 5 });
  expect(seeds).toEqual([1, 2, 3, 4, 5]);
  expect(new VirtualRuntime().seed).toBe(null);
  await expect(
    runSeeds(5, async (seed) => {
      await Promise.resolve();
      if (seed === 4) throw new Error("four");
    }),
  ).rejects.toMatchObject({ name: "SeedError", seed: 4 });
});

test("COOP_SEED runs one seed, and a count that is none is a usage error", () => {
  const seeds: number[] = [];
  process.env.COOP_SEED = "17";
  try {
    expect(runSeeds(5, (seed) => seeds.push(seed))).toEqual({ runs: 1 });
  } finally {
    delete process.env.COOP_SEED;
  }
  expect(seeds).toEqual([17]);
  expect(() => runSeeds(0, () => {})).toThrow(expect.objectContaining({ code: "COOP_SEEDS" }));
});

test("what is promised holds under every seed: priorities, start next, hand-offs, yields", () => {
  runSeeds(200, () => {
    runChecked(function* () {
      const log: string[] = [];
      const say = op(function* (what: string) {
        log.push(what);
      });
      // A yield lets what is ready go first, whoever that is.
      for (const name of ["a", "b", "c"]) spawn(say(name));
      yield* yieldNow();
      expect([...log].sort()).toEqual(["a", "b", "c"]);
      spawn(say("normal"));
      spawn(say("high"), { priority: HIGH });
      yield* yieldNow();
      expect(log.slice(3)).toEqual(["high", "normal"]);
      spawn(say("one"));
      spawn(say("two"));
      spawn(say("next"), { start: "next" });
      yield* yieldNow();
      expect(log[5]).toBe("next");
      const gate = new Coordinator();
      yield* gate.acquire();
      spawn(function* () {
        yield* gate.acquire();
        log.push("owner");
        gate.release();
      });
      yield* yieldNow();
      spawn(say("late"));
      spawn(say("later"));
      const before = log.length;
      yield* gate.handOff();
      expect(log[before]).toBe("owner");
      expect(log).toHaveLength(before + 3);
    });
  });
});

test("the queue of a coordinator is first come, first served under every seed", () => {
  runSeeds(100, () => {
    runChecked(function* () {
      const gate = new Coordinator({ held: true });
      const came: number[] = [];
      const served: number[] = [];
      yield* group(function* (g) {
        for (let i = 0; i < 6; i++) {
          g.spawn(function* () {
            came.push(i);
            yield* gate.acquire();
            served.push(i);
            yield* sleep(1);
            gate.release();
          });
        }
        yield* sleep(1);
        gate.release();
      });
      expect(served).toEqual(came);
    });
  });
});

test("fast-check: programs and seeds are both its to choose, and to shrink", () => {
  const workers = fc.array(fc.nat(5), { minLength: 1, maxLength: 8 });
  fc.assert(
    fc.property(workers, fc.nat(), (naps, seed) => {
      const rt = new VirtualRuntime({ seed });
      let inside = 0;
      const lock = new Coordinator();
      rt.run(function* () {
        yield* group(function* (g) {
          for (const nap of naps) {
            g.spawn(function* () {
              yield* lock.acquire();
              inside++;
              yield* sleep(nap);
              expect(inside).toBe(1);
              inside--;
              lock.release();
            });
          }
        });
      }).result;
      expect(rt.now).toBe(naps.reduce((sum, nap) => sum + nap, 0));
    }),
    { numRuns: 100 },
  );
});

test("what is no seed is told so before anything runs, wherever it comes from", () => {
  const { COOP_SEED } = process.env;
  let runs = 0;
  const program = () => runs++;
  try {
    for (const seed of ["abc", "-1", "1.5", "1e3", " 7", "4294967296"]) {
      process.env.COOP_SEED = seed;
      expect(() => runSeeds(3, program)).toThrow(
        expect.objectContaining({
          code: "COOP_SEEDS",
          message: expect.stringContaining(`COOP_SEED is "${seed}"`),
        }),
      );
    }
    process.env.COOP_SEED = "";
    expect(runSeeds(3, program).runs).toBe(3);
    process.env.COOP_SEED = "4294967295";
    expect(runSeeds(3, program).runs).toBe(1);
  } finally {
    if (COOP_SEED === undefined) delete process.env.COOP_SEED;
    else process.env.COOP_SEED = COOP_SEED;
  }
  runs = 0;
  for (const seed of [Number.NaN, -1, 0.5, 2 ** 32]) {
    expect(() => runSeeds(3, program, { also: [seed] })).toThrow(
      expect.objectContaining({ code: "COOP_SEEDS" }),
    );
    expect(() => runSeeds(3, program, { only: seed })).toThrow(
      expect.objectContaining({ code: "COOP_SEEDS" }),
    );
    expect(() => new VirtualRuntime({ seed })).toThrow(expect.objectContaining({ code: "COOP_SEEDS" }));
  }
  expect(runs).toBe(0);
});
