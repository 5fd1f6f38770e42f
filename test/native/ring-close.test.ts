import { readFileSync, writeSync } from "node:fs";
import { describe, expect, it } from "vitest";
import * as k from "../../src/native/layout.ts";
import { child, openDescriptors, openPipe, runProgram, shared, TestRing, turn } from "./support.ts";

const EBADF = 9;
const RUNGS = [0, k.SETUP_NO_SQARRAY, k.SETUP_DEFER_TASKRUN, k.SETUP_SINGLE_ISSUER];

function ringMappings(): number {
  return readFileSync("/proc/self/maps", "utf8").split("io_uring").length;
}

describe("close", () => {
  it("is idempotent, and every function answers -EBADF afterwards", () => {
    const ring = new TestRing();
    const native = ring.native;
    expect(native.close()).toBe(undefined);
    expect(native.close()).toBe(undefined);
    const view = shared(4096);
    const answers = [
      native.enter(0, 0, 0),
      native.flush(0),
      native.wait(0, 0, 0),
      native.registerBuffers(view, 1, 4096),
      native.unregisterBuffers(),
      native.registerBufferGroup(view, 1, 0),
      native.unregisterBufferGroup(0),
      native.syncCancelAll(0),
      native.watch(() => {}),
      native.unwatch(),
      native.ref(),
      native.unref(),
    ];
    expect(answers).toEqual(answers.map(() => -EBADF));
  });

  it("leaves views of the memory readable: they look like an empty ring", () => {
    const ring = new TestRing();
    ring.queue(k.OP_NOP, 1);
    ring.flush();
    expect(ring.ready).toBe(1);
    ring.native.close();
    expect(ring.ready).toBe(0);
    expect(ring.reap()).toEqual([]);
    ring.words.fill(-1);
    ring.sqes.fill(-1);
    expect(ring.sqes[0]).toBe(-1);
    expect(new Uint8Array(ring.native.sqeMemory).length).toBe(64 * k.SQE_SIZE);
  });

  it("gives back descriptors and mappings, over many rings", async () => {
    const before = [openDescriptors(), ringMappings()];
    for (let i = 0; i < 200; i++) {
      const ring = new TestRing({ sqEntries: 8, cqEntries: 16 });
      if (i % 2 === 0) ring.native.watch(() => {});
      ring.native.close();
    }
    await turn();
    expect([openDescriptors(), ringMappings()]).toEqual(before);
  });

  it.each(RUNGS)("ends waiting operations on every rung of the fallback chain (without %i)", (without) => {
    const pipe = openPipe();
    const ring = new TestRing({ sqEntries: 128, cqEntries: 128, without });
    const into = shared(100);
    for (let i = 0; i < 100; i++) {
      ring.read(pipe, into.subarray(i, i + 1), i, i % 10 === 0 ? k.SQE_ASYNC : 0);
    }
    ring.flush();
    const began = performance.now();
    ring.native.close();
    expect(performance.now() - began).toBeLessThan(500);
    // Nobody reads any more: the bytes stay in the pipe, and the buffer as it was.
    writeSync(pipe, Buffer.alloc(100, 1));
    expect(into.every((byte) => byte === 0)).toBe(true);
    using other = new TestRing();
    other.read(pipe, shared(100), 1);
    other.flush();
    expect(other.reap().map((c) => c.res)).toEqual([100]);
  });

  it.each(RUNGS)("also when completions, ready or unread, fill the queue (without %i)", (without) => {
    const pipe = openPipe();
    const ring = new TestRing({ sqEntries: 64, cqEntries: 64, without });
    const into = shared(1);
    for (let i = 0; i < 64; i++) ring.read(pipe, into, i);
    ring.flush();
    for (let i = 0; i < 64; i++) ring.queue(k.OP_NOP, i);
    ring.flush();
    writeSync(pipe, Buffer.alloc(32, 1));
    const began = performance.now();
    ring.native.close();
    expect(performance.now() - began).toBeLessThan(500);
  });

  it("also after CQE_SKIP_SUCCESS was used, which makes the kernel refuse to drain", () => {
    const pipe = openPipe();
    const ring = new TestRing();
    ring.queue(k.OP_NOP | (k.SQE_CQE_SKIP_SUCCESS << k.SQE_FLAGS_SHIFT), 1);
    for (let i = 0; i < 20; i++) ring.read(pipe, shared(1), i, i % 4 === 0 ? k.SQE_ASYNC : 0);
    ring.flush();
    const began = performance.now();
    ring.native.close();
    expect(performance.now() - began).toBeLessThan(500);
  });

  it("also with a chain, a linked timeout and a drained operation waiting", () => {
    const pipe = openPipe();
    const ring = new TestRing();
    for (let i = 0; i < 5; i++) ring.read(pipe, shared(1), i, k.SQE_IO_LINK);
    ring.read(pipe, shared(1), 6);
    ring.queue(k.OP_NOP | (k.SQE_IO_DRAIN << k.SQE_FLAGS_SHIFT), 7);
    ring.read(pipe, shared(1), 8);
    expect(ring.flush()).toBe(8);
    const began = performance.now();
    ring.native.close();
    expect(performance.now() - began).toBeLessThan(500);
  });

  it("drops what was queued and never submitted", () => {
    const pipe = openPipe();
    writeSync(pipe, "x");
    const ring = new TestRing();
    const into = shared(1);
    ring.read(pipe, into, 1);
    ring.native.close();
    expect(into[0]).toBe(0);
  });

  it("waits for nothing when nothing is in flight", () => {
    const times: number[] = [];
    for (let i = 0; i < 20; i++) {
      const ring = new TestRing();
      const began = performance.now();
      ring.native.close();
      times.push(performance.now() - began);
    }
    // It takes microseconds. A wait would last until its deadline, which is far more than a slow machine adds.
    expect(Math.min(...times)).toBeLessThan(100);
  });
});

describe("the garbage collector", () => {
  it("Q01 may take ring objects, functions and memory in any order", async () => {
    const ended = await runProgram(process.execPath, ["--expose-gc", child("collect")]);
    expect(ended).toMatchObject({ code: 0, signal: null, stderr: "", stdout: "done\n" });
  });
});
