import { writeSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { loadBinding } from "../../src/native/binding.ts";
import * as k from "../../src/native/layout.ts";
import { address, openPipe, shared, TestRing } from "./support.ts";

const [ENOENT, EFAULT, EBUSY, EEXIST, EINVAL, ENXIO, ENOBUFS] = [2, 14, 16, 17, 22, 6, 105];
const PAGE = 4096;

/** A page-aligned stretch of shared memory. */
function pages(count: number): Uint8Array<SharedArrayBuffer> {
  const room = shared((count + 1) * PAGE);
  const offset = (PAGE - (loadBinding().addressOf(room) % PAGE)) % PAGE;
  return room.subarray(offset, offset + count * PAGE);
}

describe("fixed buffers", () => {
  it("are read into by index", () => {
    using ring = new TestRing();
    const pipe = openPipe();
    const memory = shared(4 * 64);
    expect(ring.native.registerBuffers(memory, 4, 64)).toBe(0);
    writeSync(pipe, "fixed");
    const third = memory.subarray(2 * 64, 3 * 64);
    const words = { [k.SQE_WORD_FD]: pipe, ...address(third), [k.SQE_WORD_LEN]: 64, [k.SQE_WORD_BUFFER]: 2 };
    ring.queue(k.OP_READ_FIXED, 1, words);
    ring.queue(k.OP_READ_FIXED, 2, { ...words, [k.SQE_WORD_BUFFER]: 3 });
    ring.flush();
    // The address must lie inside the buffer of that index.
    expect(ring.reap().map((c) => c.res)).toEqual([5, -EFAULT]);
    expect(Buffer.from(third.subarray(0, 5)).toString()).toBe("fixed");
    expect(memory.subarray(0, 128).every((byte) => byte === 0)).toBe(true);
    expect(ring.native.unregisterBuffers()).toBe(0);
  });

  it("are one table at a time", () => {
    using ring = new TestRing();
    const memory = shared(PAGE);
    expect(ring.native.unregisterBuffers()).toBe(-ENXIO);
    expect(ring.native.registerBuffers(memory, 1, PAGE)).toBe(0);
    expect(ring.native.registerBuffers(memory, 1, PAGE)).toBe(-EBUSY);
    expect(ring.native.unregisterBuffers()).toBe(0);
    expect(ring.native.registerBuffers(memory, 2, PAGE / 2)).toBe(0);
  });

  it("Q02 must be shared memory, and within the view", () => {
    using ring = new TestRing();
    const { registerBuffers } = ring.native;
    const plain = new Uint8Array(64) as unknown as Uint8Array<SharedArrayBuffer>;
    expect(() => registerBuffers(plain, 1, 64)).toThrow(TypeError);
    expect(() => registerBuffers(shared(0), 1, 1)).toThrow(TypeError);
    expect(() => registerBuffers(shared(64), 2, 33)).toThrow(RangeError);
    expect(() => registerBuffers(shared(64), 0, 64)).toThrow(RangeError);
    expect(() => registerBuffers(shared(64), 1, 2 ** 31)).toThrow(RangeError);
    expect(() => registerBuffers(shared(64), 16_384, 2 ** 30)).toThrow(RangeError);
  });
});

describe("groups of provided buffers", () => {
  it("let the kernel pick the buffer", () => {
    using ring = new TestRing();
    const entries = 4;
    const size = 16;
    const group = pages(1);
    const memory = shared(entries * size);
    expect(ring.native.registerBufferGroup(group, entries, 3)).toBe(0);
    expect(ring.native.registerBufferGroup(group, entries, 3)).toBe(-EEXIST);
    const view = new DataView(group.buffer, group.byteOffset, group.byteLength);
    const base = loadBinding().addressOf(memory);
    for (let id = 0; id < entries; id++) {
      view.setBigUint64(id * k.BUF_SIZE + k.BUF_ADDR, BigInt(base + id * size), true);
      view.setUint32(id * k.BUF_SIZE + k.BUF_LEN, size, true);
      view.setUint16(id * k.BUF_SIZE + k.BUF_BID, id, true);
    }
    view.setUint16(k.BUF_TAIL, entries, true);
    const pipe = openPipe();
    const select = k.OP_READ | (k.SQE_BUFFER_SELECT << k.SQE_FLAGS_SHIFT);
    for (let i = 0; i <= entries; i++) {
      writeSync(pipe, `word ${i}`);
      ring.queue(select, i, { [k.SQE_WORD_FD]: pipe, [k.SQE_WORD_BUFFER]: 3 });
      ring.flush();
    }
    const completions = ring.reap();
    expect(completions.map((c) => c.res)).toEqual([6, 6, 6, 6, -ENOBUFS]);
    const ids = completions.slice(0, entries).map((c) => c.flags >>> k.CQE_BUFFER_SHIFT);
    const words = ids.map((id) => Buffer.from(memory.subarray(id * size, id * size + 6)).toString());
    expect(words).toEqual(["word 0", "word 1", "word 2", "word 3"]);
    expect(ring.native.unregisterBufferGroup(3)).toBe(0);
    expect(ring.native.unregisterBufferGroup(3)).toBe(-ENOENT);
  });

  it("must begin on a page, be a power of two, and fit", () => {
    using ring = new TestRing();
    const { registerBufferGroup } = ring.native;
    expect(registerBufferGroup(pages(1).subarray(16), 4, 0)).toBe(-EINVAL);
    expect(registerBufferGroup(pages(1), 3, 0)).toBe(-EINVAL);
    expect(() => registerBufferGroup(pages(1), 512, 0)).toThrow(RangeError);
    expect(() => registerBufferGroup(pages(1), 4, 64)).toThrow(RangeError);
    expect(registerBufferGroup(pages(1), 4, 0)).toBe(0);
  });
});
