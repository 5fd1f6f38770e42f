/** Section M, first part: the same seed gives the same run, and another seed another. */
import { expect, test } from "vitest";
import { Coordinator, group, op, spawn, yieldNow } from "../../src/coordinator/index.ts";
import { ambientSeed } from "../../src/testing/ambient-seed.ts";
import { VirtualRuntime } from "../../src/testing/virtual.ts";
import { sleep } from "../../src/time/sleep.ts";
import { timeout } from "../../src/time/timeout.ts";
import { checked } from "../support/harness.ts";
import { randomProgram } from "../support/random-program.ts";

/** Spawns, locks, sleeps, kills. */
const program = op(function* () {
  const lock = new Coordinator({ name: "lock" });
  const worker = op(function* (i: number) {
    for (let round = 0; round < 5; round++) {
      yield* lock.acquire();
      try {
        yield* sleep(i % 3);
      } finally {
        lock.release();
      }
      yield* yieldNow();
    }
  });
  yield* group(function* (g) {
    const all = Array.from({ length: 8 }, (_, i) => g.spawn(worker(i)));
    yield* sleep(10);
    all[3]!.kill("enough");
    yield* timeout("1 hour", all[4]!.join());
  });
});

function trace(seed: number | null): string {
  const rt = new VirtualRuntime({ seed, trace: true });
  rt.run(program()).result;
  checked(rt);
  return `${rt.trace.join(" ")} at ${rt.now}`;
}

test("M01 the same seed gives the same steps of the same tasks at the same times, ten times over", () => {
  for (const seed of [null, 0, 1, 2 ** 31, 2 ** 32 - 1]) {
    const first = trace(seed);
    expect(first.split(" ").length).toBeGreaterThan(100);
    for (let run = 1; run < 10; run++) expect(trace(seed)).toBe(first);
  }
});

test("M01 the same holds for random programs of everything there is", () => {
  for (let seed = 1; seed <= 20; seed++) {
    const traces = [1, 2].map(() => {
      const rt = new VirtualRuntime({ seed, trace: true });
      rt.cooperator.spawn(randomProgram(seed, 3)().body, { failure: "hold" });
      rt.drain();
      return rt.trace.join(" ");
    });
    expect(traces[0]).toBe(traces[1]);
  }
});

test("M02 ten seeds give ten traces, and none is the order without a seed", () => {
  const traces = Array.from({ length: 10 }, (_, seed) => trace(seed));
  expect(new Set([...traces, trace(null)]).size).toBe(11);
});

test("M02 the bodies of the conformance tests are run under seeds", () => {
  // The runner has called this body before, without a seed, and calls it again with each.
  const rt = new VirtualRuntime();
  expect(rt.seed).toBe(ambientSeed().seed);
  rt.run(function* () {
    yield* spawn(yieldNow()).join();
  });
});
