/** What the conformance tests of semaphores leave out. */
import { expect, test } from "vitest";
import { type CoopError, spawn } from "../../src/coordinator/index.ts";
import { Semaphore, select } from "../../src/sync/index.ts";
import { sleep } from "../../src/time/sleep.ts";
import { runChecked } from "../support/harness.ts";

test("a smaller total fails all that want more, also behind two arms of one select", () => {
  runChecked(function* () {
    const semaphore = new Semaphore(5);
    const all = yield* semaphore.acquire(5);
    const both = spawn(select([semaphore.acquire(5), semaphore.acquire(5)]), { failure: "hold" });
    yield* sleep(1);
    const behind = spawn(semaphore.acquire(5), { failure: "hold" });
    yield* sleep(1);
    semaphore.resize(2);
    expect(semaphore.waiting).toBe(0);
    for (const task of [both, behind]) {
      const exit = yield* task.settled();
      expect((exit as { error: CoopError }).error.code).toBe("COOP_PERMITS");
    }
    all.release();
    expect(semaphore.free).toBe(2);
  });
});
