/** What the conformance tests of conditions leave out. */
import { expect, test } from "vitest";
import { spawn } from "../../src/coordinator/index.ts";
import { Condition, Mutex } from "../../src/sync/index.ts";
import { sleep } from "../../src/time/sleep.ts";
import { runChecked } from "../support/harness.ts";

test("a wait that is iterated by hand is not given the mutex later", () => {
  runChecked(function* () {
    const mutex = new Mutex();
    const changed = new Condition(mutex);
    yield* mutex.lock();
    spawn(mutex.withLock(sleep(5)));
    yield* sleep(1);
    expect(() => [...(changed.wait() as Iterable<unknown>)]).toThrow();
    expect([mutex.waiting, changed.waiting]).toEqual([0, 0]);
    yield* sleep(10);
    expect(mutex.locked).toBe(false);
  });
});
