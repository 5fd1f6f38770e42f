/** The table of direct descriptors. */
import { describe, expect, it } from "vitest";
import * as k from "../../src/native/layout.ts";
import { TestRing } from "./support.ts";

const EBADF = 9;
const EACCES = 13;
const EBUSY = 16;
const ENFILE = 23;
const EMFILE = 24;

/** Queues a socket that becomes a direct descriptor wherever there is a place. */
function socket(ring: TestRing, userData: number): void {
  ring.queue(k.OP_SOCKET, userData, {
    [k.SQE_WORD_FD]: k.AF_UNIX,
    [k.SQE_WORD_OFF]: k.SOCK_STREAM,
    [k.SQE_WORD_FILE_INDEX]: k.FILE_INDEX_ALLOC,
  });
}

describe("registerFiles", () => {
  it("makes an empty table of a size, which the kernel fills, and one only", () => {
    const ring = new TestRing();
    expect(ring.native.registerFiles(2)).toBe(0);
    expect(ring.native.registerFiles(2)).toBe(-EBUSY);
    for (let i = 0; i < 3; i++) socket(ring, i);
    ring.flush();
    expect(ring.reap().map(({ res }) => res)).toEqual([0, 1, -ENFILE]);
    ring.native.close();
    expect(ring.native.registerFiles(2)).toBe(-EBADF);
  });

  it("has no place for anything before", () => {
    const ring = new TestRing();
    socket(ring, 1);
    ring.flush();
    expect(ring.reap()[0]!.res).toBeLessThan(0);
    ring.native.close();
  });

  it("is as large as the process may have descriptors, and says so", () => {
    const ring = new TestRing();
    expect([0, -EMFILE]).toContain(ring.native.registerFiles(1 << 20));
    for (const count of [0, -1, 1.5, (1 << 20) + 1, Number.NaN]) {
      expect(() => ring.native.registerFiles(count)).toThrow(/count/);
    }
    expect(() => ring.native.registerFiles("2" as never)).toThrow(TypeError);
    ring.native.close();
  });

  it("is not to be had of a ring as of before 6.0", () => {
    const ring = new TestRing({ without: k.SETUP_SINGLE_ISSUER });
    expect(ring.native.registerFiles(2)).toBe(-EACCES);
    ring.native.close();
  });
});
