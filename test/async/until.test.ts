/** Waiting for promises as an arm of a select: values that come late are dealt with once, and never twice. */
import { expect, test } from "vitest";
import { until } from "../../src/async/index.ts";
import { spawn, yieldNow } from "../../src/coordinator/index.ts";
import { close, recv } from "../../src/io/index.ts";
import { select } from "../../src/sync/select.ts";
import { runIo, stop, unixPair } from "../support/io.ts";
import { expectNoUnhandledRejections } from "../support/rejections.ts";

expectNoUnhandledRejections();

test("a value that was there at once, and whose select was killed before it could give it, is late", async () => {
  await runIo(function* () {
    const { near, far } = yield* unixPair();
    const late: unknown[] = [];
    const value = until(() => 5, { onLate: (value) => late.push(value) });
    // The receive has to be waited for: that is when the kill comes.
    const task = spawn(select({ idle: recv(near, Buffer.alloc(4)), value }), { start: "now" });
    yield* stop(task);
    expect(task.exit?.status).toBe("killed");
    expect(late).toEqual([5]);
    yield* close(near);
    yield* close(far);
  });
});

test("the value of a promise that several selects in turn wait for is late when the last has left, and once", async () => {
  await runIo(function* () {
    for (const taken of [true, false]) {
      const late: unknown[] = [];
      let resolve: (value: number) => void = () => {};
      const promise = new Promise<number>((settle) => {
        resolve = settle;
      });
      const value = until(promise, { onLate: (value) => late.push(value) });
      for (let i = 0; i < 3; i++) expect((yield* select({ value, other: yieldNow() })).key).toBe("other");
      resolve(7);
      if (taken) expect(yield* select({ value })).toEqual({ key: "value", value: 7 });
      yield* until(Promise.resolve().then(() => {}));
      expect(late).toEqual(taken ? [] : [7]);
    }
  });
});
