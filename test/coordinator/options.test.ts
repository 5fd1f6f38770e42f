/** Options: only what the object itself has, and only names that there are. */
import { expect, test } from "vitest";
import { UsageError } from "../../src/coordinator/index.ts";
import { checkOptions, given, ownOf, pick } from "../../src/coordinator/options.ts";
import { BufferPool, BufferRing } from "../../src/io/index.ts";
import { run } from "../../src/node/run.ts";
import { runWrapped } from "../support/children.ts";
import { expectError, runIo, thrownBy } from "../support/io.ts";

interface Options {
  readonly timeout?: number;
  readonly position?: number;
}

const known = { timeout: true, position: true } as const;

test("names on Object.prototype are no options: nothing changes", async () => {
  const clean = await runWrapped({}, "polluted");
  expect(clean).toMatchObject({ code: 0, stderr: "" });
  expect(await runWrapped({}, "polluted", "polluted")).toEqual(clean);
}, 60_000);

test("what is read is the object's own", () => {
  const inherited = Object.create({ timeout: 5 }) as Options;
  expect(given(inherited, "timeout")).toBeUndefined();
  expect(given({ timeout: 5 }, "timeout")).toBe(5);
  for (const none of [undefined, null]) expect(given<Options, "timeout">(none, "timeout")).toBeUndefined();
  expect(pick(inherited, "timeout")).toEqual({});
  expect(pick({ timeout: 5, position: 1 } as Options, "timeout")).toEqual({ timeout: 5 });
  expect(ownOf(inherited).timeout).toBeUndefined();
  expect(ownOf<Options>(undefined).timeout).toBeUndefined();
});

test("a name that is no option is told, with the one that was meant", () => {
  for (const [options, text] of [
    [{ timout: 5 }, /read has no option timout: did you mean timeout\?/],
    [{ Position: 5 }, /did you mean position\?/],
    [{ elephant: 1 }, /has no option elephant; it has timeout, position/],
    [null, /takes an object with options, not null/],
    [5, /takes an object with options, not a number/],
  ] as const) {
    expectError(
      thrownBy(() => checkOptions(options as Options, "read", known)),
      UsageError,
      "COOP_OPTIONS",
      text,
    );
  }
  checkOptions({ timeout: 1 }, "read", known);
  checkOptions<Options>(undefined, "read", known);
});

test("run and the pools tell it too", async () => {
  await expect(run(function* () {}, { signals: [] } as never)).resolves.toBeUndefined();
  await expect(run(function* () {}, { stalAfter: 5 } as never)).rejects.toThrow(
    /run has no option stalAfter: did you mean stallAfter\?/,
  );
  await runIo(function* () {
    for (const make of [
      () => new BufferPool({ sise: 4 } as never),
      () => new BufferRing({ cuont: 4 } as never),
    ]) {
      expectError(thrownBy(make), UsageError, "COOP_OPTIONS", /did you mean (size|count)\?/);
    }
  });
});
