/** What the conformance tests of channels leave out of moving items. */
import { expect, test } from "vitest";
import { spawn } from "../../src/coordinator/index.ts";
import { Channel, pipe, type Undelivered } from "../../src/sync/index.ts";
import { sleep } from "../../src/time/sleep.ts";
import { runChecked } from "../support/harness.ts";

test("the item that a pipe has in its hand when its target is closed is told to the target's hook", () => {
  const lost: [number, Undelivered][] = [];
  runChecked(function* () {
    const source = new Channel<number>(4);
    const target = new Channel<number>({ undelivered: (item, why) => void lost.push([item, why]) });
    const task = spawn(pipe(source, target));
    yield* sleep(1);
    target.abandon();
    yield* source.send(7);
    yield* task.join();
    expect(source.closed).toBe(true);
  });
  expect(lost).toEqual([[7, "closed"]]);
});
