import { expect, test } from "vitest";
import { VirtualClock } from "../../src/testing/virtual-clock.ts";

test("a clock with a rate jumps to times at which a nanosecond more is lost in rounding", () => {
  const times = [0, 0.3, 0.7];
  const clock = new VirtualClock({ rate: 1 / 3, real: () => times.shift() ?? 0.7 });
  const target = 2 ** 60 + 512;
  clock.jumpTo(target);
  expect(clock.now()).toBeGreaterThanOrEqual(target);
});
