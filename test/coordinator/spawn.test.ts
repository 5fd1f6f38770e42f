/** What `spawn` refuses, and that a refused call has made nothing. */
import { expect, test } from "vitest";
import { self, spawn, UsageError } from "../../src/coordinator/index.ts";
import { VirtualRuntime } from "../../src/testing/virtual.ts";
import { sleep } from "../../src/time/sleep.ts";
import { checked } from "../support/harness.ts";

test.each([
  ["COOP_PRIORITY", { priority: 7 }],
  ["COOP_PRIORITY", { priority: "HIGH" }],
  ["COOP_OPTION", { failure: "ignore" }],
  ["COOP_OPTION", { start: "later" }],
  ["COOP_DURATION", { deadline: "soon" }],
] as const)("an option that is none is %s, and there is no task: %o", (code, options) => {
  const rt = new VirtualRuntime();
  const main = rt.run(function* () {
    try {
      spawn(sleep(1), options as object);
    } catch (error) {
      expect(self().live).toBe(0);
      return error;
    }
    return null;
  });
  expect(main.result).toBeInstanceOf(UsageError);
  expect((main.result as UsageError).code).toBe(code);
  expect(rt.statistics().spawned).toBe(1);
  checked(rt);
});
