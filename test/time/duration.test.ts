import fc from "fast-check";
import { expect, test } from "vitest";
import { UsageError } from "../../src/coordinator/index.ts";
import { nanoseconds } from "../../src/time/duration.ts";

const MS = 1e6;
const S = 1e9;

test.each<[number | string, number]>([
  [0, 0],
  [-0, 0],
  [1, MS],
  [0.5, MS / 2],
  [1e-6, 1],
  [Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER * MS],
  [Number.MAX_VALUE, Number.POSITIVE_INFINITY],
  [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY],
  ["0 ms", 0],
  ["5ns", 5],
  ["5 ns", 5],
  ["1 nano", 1],
  ["2 nanos", 2],
  ["3 us", 3e3],
  ["3 micros", 3e3],
  ["250 millis", 250 * MS],
  ["250 milli", 250 * MS],
  ["250ms", 250 * MS],
  ["1 millisecond", MS],
  ["2 milliseconds", 2 * MS],
  ["1 s", S],
  ["1 sec", S],
  ["2 secs", 2 * S],
  ["1 second", S],
  ["1.5 seconds", 1.5 * S],
  ["0.25s", S / 4],
  ["2 m", 120 * S],
  ["2 min", 120 * S],
  ["2 mins", 120 * S],
  ["1 minute", 60 * S],
  ["90 minutes", 5400 * S],
  ["1 h", 3600 * S],
  ["2 hours", 7200 * S],
  ["1 d", 86400 * S],
  ["365 days", 365 * 86400 * S],
  ["1 week", 604800 * S],
  ["2 weeks", 1209600 * S],
  ["007 ms", 7 * MS],
])("%s", (duration, expected) => {
  expect(nanoseconds(duration)).toBeCloseTo(expected, 6);
  // A second time, from the cache.
  expect(nanoseconds(duration)).toBe(nanoseconds(duration));
});

test.each<[unknown]>([
  [-1],
  [-Number.MIN_VALUE],
  [Number.NEGATIVE_INFINITY],
  [Number.NaN],
  [""],
  [" "],
  ["5"],
  ["ms"],
  ["-5 ms"],
  ["+5 ms"],
  ["5  ms"],
  [" 5 ms"],
  ["5 ms "],
  ["5\tms"],
  ["5\nms"],
  ["5 MS"],
  ["5 Seconds"],
  ["1e3 ms"],
  [".5 s"],
  ["5. s"],
  ["1,5 s"],
  ["0x10 ms"],
  ["5 parsecs"],
  ["5 mss"],
  ["5 ss"],
  ["5 hs"],
  ["5 nss"],
  ["5 secondss"],
  ["5 constructor"],
  ["5 toString"],
  ["5 __proto__"],
  ["5 s 5 ms"],
  ["Infinity"],
  ["Infinity ms"],
  ["NaN ms"],
  ["٥ ms"],
  [5n],
  [true],
  [null],
  [undefined],
  [{}],
  [[5]],
  [new Date(0)],
  [() => 5],
  [Promise.resolve(5)],
])("%s is not a duration, and the error says what is", (duration) => {
  let error: unknown;
  try {
    nanoseconds(duration as number);
  } catch (caught) {
    error = caught;
  }
  expect(error).toBeInstanceOf(UsageError);
  expect(error).toMatchObject({ code: "COOP_DURATION" });
  expect((error as Error).message).toMatch(
    / is not a duration: give milliseconds from 0 up, or a text such as/,
  );
});

test("texts and numbers agree, and more distinct texts than the cache holds stay right", () => {
  fc.assert(
    fc.property(fc.nat(100_000), fc.constantFrom("ms", "millis", "s", "min"), (value, unit) => {
      const factor = { ms: 1, millis: 1, s: 1e3, min: 60e3 }[unit];
      expect(nanoseconds(`${value} ${unit}`)).toBe(nanoseconds(value * factor));
    }),
    { numRuns: 500, seed: 10 },
  );
});
