/** Arguments of the testing tools that are none: a test that silently tries less than it says proves nothing. */
import { expect, test } from "vitest";
import {
  interleave,
  killEverywhere,
  killEverywhereAsync,
  runSeeds,
  runSimulated,
  runSimulation,
  runVirtual,
  VirtualRuntime,
} from "../../src/testing/index.ts";

const body = function* () {};
const steps = () => ({ tasks: [[() => {}]] });
const program = () => ({ body });

const takeOptions: Record<string, (options: any) => unknown> = {
  runVirtual: (options) => runVirtual(body, options),
  "a clock": (clock) => runVirtual(body, { clock }),
  runSeeds: (options) => runSeeds(1, () => {}, options),
  interleave: (options) => interleave(steps, options),
  killEverywhere: (options) => killEverywhere(program, options),
  runSimulated: (options) => runSimulated(body, options),
  runSimulation: (options) => runSimulation(1, undefined, options),
};

test.each(Object.entries(takeOptions))(
  "options of %s that are no object, or have no such name",
  (_name, call) => {
    for (const wrong of [null, 5, "x"]) {
      expect(() => call(wrong)).toThrow(expect.objectContaining({ code: "COOP_OPTIONS" }));
    }
    expect(() => call({ elephant: 1 })).toThrow(/has no option elephant/);
  },
);

test("what is no program", async () => {
  const wrong = body() as never;
  for (const call of [
    () => runSeeds(1, wrong),
    () => interleave(wrong),
    () => killEverywhere(wrong),
    () => runSimulation(1, wrong),
  ]) {
    expect(call).toThrow(expect.objectContaining({ code: "COOP_NOT_A_PROGRAM" }));
  }
  await expect(killEverywhereAsync(wrong)).rejects.toMatchObject({ code: "COOP_NOT_A_PROGRAM" });
});

const numbers: readonly (readonly [string, (wrong: any) => unknown])[] = [
  ["kills of interleave", (kills) => interleave(steps, { kills })],
  ["preemptions", (preemptions) => interleave(steps, { preemptions })],
  ["schedulesMax", (schedulesMax) => interleave(steps, { schedulesMax })],
  ["stepsMax", (stepsMax) => interleave(steps, { stepsMax })],
  ["kills of killEverywhere", (kills) => killEverywhere(program, { kills })],
  ["pointsMax", (pointsMax) => killEverywhere(program, { pointsMax })],
  ["delay", (delay) => runSimulated(body, { delay })],
  ["tick", (tick) => runSimulated(body, { tick })],
  ["bufferBytes", (bufferBytes) => runSimulated(body, { bufferBytes })],
  ["descriptors", (descriptors) => runSimulated(body, { descriptors })],
  ["sqEntries", (sqEntries) => runSimulated(body, { sqEntries })],
  ["cqEntries", (cqEntries) => runSimulated(body, { cqEntries })],
  ["kills of runSimulation", (kills) => runSimulation(1, undefined, { kills })],
];

test.each(numbers)("%s that is no such number", (_name, call) => {
  for (const wrong of [Number.NaN, -1, "2", 5n, null]) {
    expect(() => call(wrong)).toThrow(expect.objectContaining({ code: "COOP_ARGUMENT" }));
  }
});

test("a queue that is no power of two, a schedule that is no text, seeds that are no list", () => {
  expect(() => runSimulated(body, { sqEntries: 3 })).toThrow(/power of two/);
  expect(() => interleave(steps, { schedule: 1 as never })).toThrow(/is no schedule/);
  expect(() => runSeeds(1, () => {}, { also: 5 as never })).toThrow(/are a list/);
});

test("L01 a clock is moved by a number, and at a rate that is one", () => {
  const runtime = new VirtualRuntime();
  for (const wrong of [-1, Number.NaN, 5n, "5", null]) {
    expect(() => runtime.advance(wrong as never)).toThrow(RangeError);
  }
  expect(runtime.now).toBe(0);
  for (const rate of [-1, 5n, [], Symbol("rate")]) {
    expect(() => new VirtualRuntime({ clock: { rate: rate as never } })).toThrow(/rate of a clock/);
  }
});
