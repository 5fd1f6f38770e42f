import { describe, expect, it } from "vitest";
import { runChild } from "./support.ts";

describe("junk arguments", () => {
  it.each([1, 2])("throw a TypeError or a RangeError, and never crash (seed %i)", async (seed) => {
    const ended = await runChild("fuzz", String(seed), "5000");
    expect(ended).toMatchObject({ code: 0, signal: null, stdout: "survived\n", stderr: "" });
  });
});
