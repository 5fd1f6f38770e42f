/**
 * Memory for the reads of duplexes. What is read is copied into an ordinary buffer before it is handed out: a good
 * deal of Node and of the web does not take shared memory. So a connection needs one buffer, of which it holds 4 KiB
 * while it is idle, and 64 KiB while reads fill it.
 */
import { allocate } from "../io/memory/memory.ts";

const SMALL = 4 * 1024;
const LARGE = 64 * 1024;
/** Buffers that are kept for the next connection. More keeps more memory for good; fewer makes more of it anew. */
const SPARE_SMALL_MAX = 256;
const SPARE_LARGE_MAX = 32;

const spareSmall: Buffer[] = [];
const spareLarge: Buffer[] = [];

export class ReadBuffer {
  private buffer: Buffer | null = null;
  private filled = false;

  /** Where the next read goes. */
  room(): Buffer {
    const size = this.filled ? LARGE : SMALL;
    if (this.buffer?.length === size) return this.buffer;
    this.giveBack();
    const spare = size === SMALL ? spareSmall : spareLarge;
    this.buffer = spare.pop() ?? allocate(size);
    return this.buffer;
  }

  /** A copy of the `count` bytes that have been read. */
  take(count: number): Buffer {
    const buffer = this.buffer!;
    this.filled = count >= SMALL;
    const copy = Buffer.allocUnsafe(count);
    buffer.copy(copy, 0, 0, count);
    return copy;
  }

  /** No read is under way: somebody else may have the memory. */
  giveBack(): void {
    const { buffer } = this;
    if (buffer === null) return;
    this.buffer = null;
    if (buffer.length === SMALL) {
      if (spareSmall.length < SPARE_SMALL_MAX) spareSmall.push(buffer);
    } else if (spareLarge.length < SPARE_LARGE_MAX) spareLarge.push(buffer);
  }
}
