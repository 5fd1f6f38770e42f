import { writeSync } from "node:fs";
import { describe, expect, it } from "vitest";
import * as k from "../../src/native/layout.ts";
import { address, openPipe, shared, TestRing } from "./support.ts";

const ETIME = 62;

/** `count` reads of one byte each, waiting; then all of their bytes at once. */
function readyReads(ring: TestRing, count: number): void {
  const pipe = openPipe();
  const into = shared(count);
  for (let i = 0; i < count; i++) ring.read(pipe, into.subarray(i, i + 1), i);
  expect(ring.flush()).toBe(count);
  expect(ring.ready).toBe(0);
  writeSync(pipe, Buffer.alloc(count, 1));
}

describe("flush", () => {
  it("posts 200 pending completions in one call", () => {
    using ring = new TestRing({ sqEntries: 256, cqEntries: 512 });
    readyReads(ring, 200);
    expect(ring.sqFlags & k.SQ_TASKRUN).toBe(k.SQ_TASKRUN);
    expect(ring.flush()).toBe(0);
    expect(ring.sqFlags & k.SQ_TASKRUN).toBe(0);
    const completions = ring.reap();
    expect(completions.length).toBe(200);
    expect(new Set(completions.map((c) => c.userData)).size).toBe(200);
    expect(completions.every((c) => c.res === 1)).toBe(true);
  });

  it("beats a limit of the kernel that a single enter shows", () => {
    using ring = new TestRing({ sqEntries: 256, cqEntries: 512 });
    if ((ring.native.setupFlags & k.SETUP_DEFER_TASKRUN) === 0) return;
    readyReads(ring, 200);
    ring.native.enter(0, 0, k.ENTER_GETEVENTS);
    expect(ring.ready).toBeLessThan(200);
    // What is left is announced, so looking at the flag is enough to know that another call is needed.
    expect(ring.sqFlags & k.SQ_TASKRUN).toBe(k.SQ_TASKRUN);
    ring.flush();
    expect(ring.ready).toBe(200);
  });

  it.each([0, k.SETUP_NO_SQARRAY, k.SETUP_DEFER_TASKRUN, k.SETUP_SINGLE_ISSUER])(
    "posts all on every rung of the fallback chain (without %i)",
    (without) => {
      using ring = new TestRing({ sqEntries: 128, cqEntries: 256, without });
      readyReads(ring, 100);
      ring.flush();
      expect(ring.ready).toBe(100);
    },
  );

  it("P05 takes eight times the queue's size in eight goes, in order", () => {
    using ring = new TestRing({ sqEntries: 4, cqEntries: 64 });
    for (let go = 0; go < 8; go++) {
      for (let i = 0; i < 4; i++) ring.queue(k.OP_NOP, go * 4 + i);
      expect(ring.flush()).toBe(4);
    }
    expect(ring.reap().map((c) => c.userData)).toEqual(Array.from({ length: 32 }, (_, i) => i));
  });

  it("P06 loses no completion when four times as many arrive as fit", () => {
    using ring = new TestRing({ sqEntries: 16, cqEntries: 16 });
    const total = 4 * ring.native.cqEntries;
    for (let i = 0; i < total; i++) {
      ring.queue(k.OP_NOP, i);
      if (ring.queued === 16) expect(ring.flush()).toBe(16);
    }
    expect(ring.sqFlags & k.SQ_CQ_OVERFLOW).toBe(k.SQ_CQ_OVERFLOW);
    const seen: number[] = [];
    let calls = 0;
    while (ring.ready > 0) {
      seen.push(...ring.reap().map((c) => c.userData));
      ring.flush();
      calls++;
    }
    expect(seen).toEqual(Array.from({ length: total }, (_, i) => i));
    expect(calls).toBe(4);
    expect(ring.sqFlags & k.SQ_CQ_OVERFLOW).toBe(0);
    expect(ring.word(ring.native.cqOverflowOffset)).toBe(0);
    expect(ring.word(ring.native.sqDroppedOffset)).toBe(0);
  });

  it("P06 also when the overflow comes from waiting operations", () => {
    using ring = new TestRing({ sqEntries: 64, cqEntries: 64 });
    readyReads(ring, 60);
    for (let i = 0; i < 60; i++) ring.queue(k.OP_NOP, 1000 + i);
    ring.flush();
    const seen: number[] = [];
    while (ring.ready > 0) {
      seen.push(...ring.reap().map((c) => c.userData));
      ring.flush();
    }
    expect(new Set(seen).size).toBe(120);
  });

  it("P18 fails the rest of a chain when its first operation fails", () => {
    using ring = new TestRing();
    const link = k.SQE_IO_LINK << k.SQE_FLAGS_SHIFT;
    ring.queue(k.OP_READ | link, 1, { [k.SQE_WORD_FD]: -1 });
    ring.queue(k.OP_NOP, 2);
    ring.flush();
    const [EBADF, ECANCELED] = [9, 125];
    expect(ring.reap().map((c) => c.res)).toEqual([-EBADF, -ECANCELED]);
  });
});

describe("wait", () => {
  it("returns -ETIME when nothing completes in time", () => {
    using ring = new TestRing();
    const began = performance.now();
    expect(ring.native.wait(0, 1, 2_000_000)).toBe(-ETIME);
    expect(performance.now() - began).toBeGreaterThanOrEqual(1.9);
  });

  it("submits, and returns as soon as enough completed", () => {
    using ring = new TestRing();
    ring.queue(k.OP_NOP, 1);
    ring.queue(k.OP_NOP, 2);
    expect(ring.native.wait(2, 2, -1)).toBe(2);
    expect(ring.ready).toBe(2);
  });

  it("lets a timeout operation complete", () => {
    using ring = new TestRing();
    const time = shared(k.TIMESPEC_SIZE);
    new DataView(time.buffer).setBigInt64(k.TIMESPEC_NSEC, 1_000_000n, true);
    ring.queue(k.OP_TIMEOUT, 7, { [k.SQE_WORD_FD]: -1, ...address(time), [k.SQE_WORD_LEN]: 1 });
    expect(ring.native.wait(1, 1, 1_000_000_000)).toBe(1);
    // A signal ends the wait early, and what was submitted is all it then tells of.
    for (let round = 0; ring.ready === 0 && round < 100; round++) ring.native.wait(0, 1, 20_000_000);
    expect(ring.reap()).toEqual([{ userData: 7, res: -ETIME, flags: 0 }]);
  });
});

describe("syncCancelAll", () => {
  it("P01 ends every waiting operation with -ECANCELED and tells how many", () => {
    using ring = new TestRing();
    const pipe = openPipe();
    for (let i = 0; i < 50; i++) ring.read(pipe, shared(1), i, i % 5 === 0 ? k.SQE_ASYNC : 0);
    ring.flush();
    expect(ring.native.syncCancelAll(1_000_000_000)).toBeGreaterThan(0);
    // Operations that ran in a kernel thread are posted when that thread has noticed; one that had not begun
    // when the cancel came is met by the next.
    for (let round = 0; ring.ready < 50 && round < 100; round++) {
      ring.native.wait(0, 50, 20_000_000);
      if (ring.ready < 50) ring.native.syncCancelAll(20_000_000);
    }
    expect(ring.ready).toBe(50);
    const [ECANCELED, EINTR] = [125, 4];
    for (const { res } of ring.reap()) expect([-ECANCELED, -EINTR]).toContain(res);
    expect(ring.native.syncCancelAll(0)).toBeLessThanOrEqual(0);
  });
});
