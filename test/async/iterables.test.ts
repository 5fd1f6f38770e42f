/** Async iterables in tasks. */
import { expect, test } from "vitest";
import { type AsyncSource, consume } from "../../src/async/index.ts";
import { BusyError, spawn } from "../../src/coordinator/index.ts";
import { failureOf, runIo } from "../support/io.ts";

test("a second task that asks for the next item is refused, and does not get the first one's", async () => {
  async function* items() {
    yield 1;
    yield 2;
  }
  await runIo(() =>
    consume(items(), function* (source: AsyncSource<number>) {
      const first = spawn(source.next(), { start: "now" });
      expect(yield* failureOf(() => source.next())).toBeInstanceOf(BusyError);
      expect(yield* first.join()).toEqual({ done: false, value: 1 });
      expect(yield* source.next()).toEqual({ done: false, value: 2 });
    }),
  );
});
