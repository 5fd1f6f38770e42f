import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { loadBinding } from "../../src/native/binding.ts";
import * as k from "../../src/native/layout.ts";
import { openDescriptors, shared, TestRing } from "./support.ts";

const EACCES = 13;

function nops(ring: TestRing, count: number): void {
  for (let i = 0; i < count; i++) ring.queue(k.OP_NOP, 100 + i);
  expect(ring.flush()).toBe(count);
  expect(ring.reap().map((completion) => completion.userData)).toEqual(
    Array.from({ length: count }, (_, i) => 100 + i),
  );
}

describe("setting up a ring", () => {
  it("grants powers of two, and maps both rings and the SQEs", () => {
    using ring = new TestRing({ sqEntries: 50, cqEntries: 200 });
    const { sqEntries, cqEntries, ringMemory, sqeMemory, cqesOffset } = ring.native;
    expect([sqEntries, cqEntries]).toEqual([64, 256]);
    expect(sqeMemory.byteLength).toBe(64 * k.SQE_SIZE);
    expect(ringMemory.byteLength).toBeGreaterThanOrEqual(cqesOffset + 256 * k.CQE_SIZE);
    expect(ring.word(ring.native.sqDroppedOffset)).toBe(0);
    nops(ring, 40);
  });

  it("U10 never asks for a kernel thread that would keep old credentials", () => {
    using ring = new TestRing();
    const SQPOLL = 2;
    expect(ring.native.setupFlags & SQPOLL).toBe(0);
  });

  it.each([
    ["without the SQ index array", 0],
    ["with it", k.SETUP_NO_SQARRAY],
    ["without deferred task work", k.SETUP_DEFER_TASKRUN],
    ["as kernel 5.11 would", k.SETUP_SINGLE_ISSUER],
  ])("works %s", (_, without) => {
    using ring = new TestRing({ without });
    expect(ring.native.setupFlags & without).toBe(0);
    // More than one lap of the queue.
    for (let lap = 0; lap < 3; lap++) nops(ring, 50);
  });

  it("keeps rings of one thread apart", () => {
    using a = new TestRing();
    using b = new TestRing();
    a.queue(k.OP_NOP, 1);
    b.queue(k.OP_NOP, 2);
    a.flush();
    expect(b.ready).toBe(0);
    b.flush();
    expect(a.reap().map((c) => c.userData)).toEqual([1]);
    expect(b.reap().map((c) => c.userData)).toEqual([2]);
  });

  it("works beyond the sixteen cheap descriptors a thread has", () => {
    const rings = Array.from({ length: 20 }, () => new TestRing({ sqEntries: 4, cqEntries: 8 }));
    for (const ring of rings) nops(ring, 3);
    for (const ring of rings) ring.native.close();
  });

  it("R09 hides its descriptors from child processes", () => {
    using ring = new TestRing();
    for (const fd of [ring.native.fd, ring.native.eventfd]) {
      const flags = /^flags:\s+(\d+)/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, "utf8"))?.[1] ?? "";
      expect(Number.parseInt(flags, 8) & k.O_CLOEXEC).toBe(k.O_CLOEXEC);
    }
  });

  it("leaves no descriptor behind when the options are wrong", () => {
    const before = openDescriptors();
    const opcodes = [k.OP_NOP];
    const { createRing } = loadBinding();
    const wrong: unknown[] = [
      undefined,
      {},
      { sqEntries: 0, cqEntries: 8, opcodes },
      { sqEntries: 4, cqEntries: 65_537, opcodes },
      { sqEntries: 4.5, cqEntries: 8, opcodes },
      { sqEntries: 4, cqEntries: 8 },
      { sqEntries: 4, cqEntries: 8, opcodes: [256] },
      { sqEntries: 4, cqEntries: 8, opcodes: ["NOP"] },
      { sqEntries: 4, cqEntries: 8, opcodes: new Array(257).fill(0) },
      { sqEntries: 4, cqEntries: 8, opcodes, sqeFlags: 0x80 },
      // Memory that may be detached, or moved, before it is read; and what is no account of words.
      { sqEntries: 4, cqEntries: 8, opcodes, owned: new Int32Array(4) },
      { sqEntries: 4, cqEntries: 8, opcodes, owned: shared(16) },
      { sqEntries: 4, cqEntries: 8, opcodes, owned: 4 },
    ];
    for (const options of wrong) {
      expect(() => createRing(options as never)).toThrow(/must|too many/);
    }
    expect(openDescriptors()).toBe(before);
  });

  it("takes options from the object itself, not from a polluted prototype", () => {
    const prototype = Object.prototype as { without?: unknown };
    prototype.without = "everything";
    try {
      using ring = new TestRing();
      nops(ring, 1);
    } finally {
      delete prototype.without;
    }
  });

  it("passes on what a getter of the options throws", () => {
    const options = {
      get sqEntries(): number {
        throw new Error("from the getter");
      },
    };
    expect(() => loadBinding().createRing(options as never)).toThrow("from the getter");
  });
});

describe("the allowlist", () => {
  it("P22 answers a forbidden opcode with -EACCES", () => {
    using ring = new TestRing({ opcodes: [k.OP_NOP] });
    ring.queue(k.OP_OPENAT, 1);
    ring.queue(k.OP_NOP, 2);
    ring.flush();
    expect(ring.reap().map((c) => [c.userData, c.res])).toEqual([
      [1, -EACCES],
      [2, 0],
    ]);
  });

  it("P22 answers a forbidden SQE flag with -EACCES", () => {
    using ring = new TestRing({ sqeFlags: k.SQE_IO_LINK });
    ring.queue(k.OP_NOP | (k.SQE_ASYNC << k.SQE_FLAGS_SHIFT), 1);
    ring.queue(k.OP_NOP | (k.SQE_IO_LINK << k.SQE_FLAGS_SHIFT), 2);
    ring.queue(k.OP_NOP, 3);
    ring.flush();
    expect(ring.reap().map((c) => [c.userData, c.res])).toEqual([
      [1, -EACCES],
      [2, 0],
      [3, 0],
    ]);
  });

  it("P21 tells which opcodes this kernel has, and leaves out those it was not given", () => {
    using ring = new TestRing({ opcodes: [k.OP_READ, 255, k.OP_NOP, k.OP_READ] });
    expect(ring.native.opcodes).toEqual([k.OP_NOP, k.OP_ASYNC_CANCEL, k.OP_READ]);
  });
});
