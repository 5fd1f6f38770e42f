/** A source without an end: it is asked for one item at a time, others have their turn, and a kill ends it. */
import { expect, test } from "vitest";
import { op, self, spawn, yieldNow } from "../../src/coordinator/index.ts";
import { Channel } from "../../src/sync/index.ts";
import { runChecked } from "../support/harness.ts";

test.each([
  ["into a channel that drops the oldest, which never makes it wait", { capacity: 1, overflow: "sliding" }],
  ["into a channel that has a receiver", { capacity: 0 }],
] as const)("J sendAll of an endless source %s", (_what, options) => {
  let drawn = 0;
  let closed = false;
  function* numbers() {
    try {
      for (;;) yield drawn++;
    } finally {
      closed = true;
    }
  }
  runChecked(function* () {
    const channel = new Channel<number>(options as never);
    const sender = spawn(channel.sendAll(numbers()));
    const receiver = spawn(
      op(function* () {
        for (;;) yield* channel.receive();
      })(),
    );
    for (let i = 0; i < 10; i++) yield* yieldNow();
    expect(drawn).toBeGreaterThan(0);
    yield* sender.killAndWait("enough");
    yield* receiver.killAndWait("enough");
    expect(self().cooperator.live).toBe(1);
  });
  expect(closed).toBe(true);
  expect(drawn).toBeLessThan(100_000);
});
