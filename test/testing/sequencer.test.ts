/** Steps of several tasks in one order, whatever the order of the tasks. */
import { expect, test } from "vitest";
import { group, spawn, yieldNow } from "../../src/coordinator/index.ts";
import { killEverywhere } from "../../src/testing/kill-everywhere.ts";
import { runSeeds } from "../../src/testing/seeds.ts";
import { Sequencer } from "../../src/testing/sequencer.ts";
import { VirtualRuntime } from "../../src/testing/virtual.ts";
import { sleep } from "../../src/time/sleep.ts";
import { runChecked } from "../support/harness.ts";

test("steps happen in the order of their numbers under every seed, bodies and all", () => {
  runSeeds(50, () => {
    const log: number[] = [];
    const values = runChecked(function* () {
      const sequence = new Sequencer();
      const given: unknown[] = [];
      yield* group(function* (g) {
        for (const numbers of [
          [2, 5],
          [0, 3],
          [1, 4, 6],
        ]) {
          g.spawn(function* () {
            for (const number of numbers) {
              given.push(
                yield* sequence.step(number, function* () {
                  yield* sleep(7 - number);
                  log.push(number);
                  return number * 10;
                }),
              );
            }
          });
        }
      });
      return given;
    });
    expect(log).toEqual([0, 1, 2, 3, 4, 5, 6]);
    expect([...values].sort()).toEqual([0, 10, 20, 30, 40, 50, 60]);
  });
});

test("a step that is killed before its turn breaks the sequence, and nobody waits for ever", () => {
  runChecked(function* () {
    const sequence = new Sequencer();
    const first = spawn(sequence.step(1), { failure: "hold" });
    const second = spawn(sequence.step(2), { failure: "hold" });
    yield* yieldNow();
    first.kill();
    expect(yield* second.settled()).toMatchObject({ status: "failed", error: { code: "COOP_OWNER_ENDED" } });
    yield* sequence.step(0);
  });
});

test("a number is taken once, and is a whole number from 0", () => {
  const sequence = new Sequencer();
  sequence.step(1);
  for (const number of [1, -1, 0.5, Number.NaN]) {
    expect(() => sequence.step(number)).toThrow(expect.objectContaining({ code: "COOP_SEQUENCE" }));
  }
});

test("a sequence strands nobody, wherever a kill strikes", () => {
  const { reach } = killEverywhere(() => {
    const sequence = new Sequencer();
    return {
      *body() {
        for (let i = 0; i < 3; i++) {
          spawn(
            function* () {
              yield* sequence.step(i, sleep(1));
            },
            { failure: "hold" },
          );
        }
        yield* sleep(10);
      },
      reports: true,
    };
  });
  expect(reach).toBe(1);
});

test("a step whose task was killed before it began is named by the deadlock, and so is one that nobody takes", () => {
  const stuck = (first: (sequence: Sequencer) => void): Error => {
    const rt = new VirtualRuntime({ seed: null });
    try {
      rt.run(function* () {
        const sequence = new Sequencer();
        first(sequence);
        yield* sequence.step(2);
      });
    } catch (error) {
      return error as Error;
    }
    throw new Error("it went on");
  };
  expect(
    stuck((sequence) => {
      spawn(sequence.step(0));
      spawn(sequence.step(1)).kill();
    }).message,
  ).toContain("step 1, which was asked for and has not begun; was its task killed before it could?");
  expect(stuck((sequence) => void spawn(sequence.step(0))).message).toContain(
    "step 1, which nobody has asked for",
  );
});
