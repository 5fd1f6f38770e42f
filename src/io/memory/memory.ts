/**
 * Memory the kernel may read and write while an operation is in flight.
 *
 * Only shared memory is handed to the kernel as it is: a SharedArrayBuffer can be neither detached nor
 * transferred, and a reference to it is held until the last completion. Bytes in an ordinary ArrayBuffer,
 * which JavaScript may detach at any moment, travel through a block of our own and are copied.
 * Source: design D10; reliability hazards "detached", "collected", "resizable".
 */
import { UsageError } from "../../coordinator/errors.ts";
import { describeValue } from "../../coordinator/operation.ts";
import { loadBinding } from "../../native/binding.ts";
import { EFAULT, ENOMEM, IoError } from "../errno.ts";

/** Bytes that an operation reads from or writes to. */
export type Bytes = Uint8Array;

/** Most bytes of one operation: the kernel's own limit, MAX_RW_COUNT. */
export const TRANSFER_MAX = 0x7fff_f000;

/** What {@link Memory.locate} gives for bytes that have to be copied. */
export const COPY = -1;

/** A block's classes: most operations are small, and large ones are rare. */
const SMALL_SIZE = 4 * 1024;
const SMALL_COUNT = 256;
const LARGE_SIZE = 64 * 1024;
const LARGE_COUNT = 64;
/** Blocks that are made at first. */
const BLOCKS_MIN = 4;

/** Memory for bytes on their way to or from an ordinary ArrayBuffer. */
export class Block {
  readonly bytes: Uint8Array<SharedArrayBuffer>;
  /** Where the kernel finds it. */
  readonly address: number;
  /** The class it goes back to, null for one that is dropped. */
  readonly home: BlockClass | null;
  private words: DataView | null = null;

  constructor(bytes: Uint8Array<SharedArrayBuffer>, address: number, home: BlockClass | null) {
    this.bytes = bytes;
    this.address = address;
    this.home = home;
  }

  /** For structures of the kernel. */
  view(): DataView {
    const { bytes } = this;
    this.words ??= new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    return this.words;
  }
}

/** Blocks of one size. More are made when all are lent, as many as there are, so that a small program has few. */
class BlockClass {
  readonly size: number;
  private readonly most: number;
  readonly #free: Block[] = [];
  private made = 0;

  constructor(size: number, most: number) {
    this.size = size;
    this.most = most;
  }

  take(memory: Memory): Block | null {
    const block = this.#free.pop();
    if (block !== undefined) return block;
    if (this.made === this.most) return null;
    this.grow(memory);
    return this.#free.pop()!;
  }

  give(block: Block): void {
    this.#free.push(block);
  }

  private grow(memory: Memory): void {
    const { size } = this;
    const count = Math.min(Math.max(this.made, BLOCKS_MIN), this.most - this.made);
    this.made += count;
    const arena = allocatePages(size * count);
    const base = memory.locate(arena);
    for (let i = count - 1; i >= 0; i--) {
      const at = i * size;
      this.#free.push(new Block(arena.subarray(at, at + size), base + at, this));
    }
  }
}

/** Addresses of shared memory, and blocks for the copy path. One per driver. */
export class Memory {
  /** Blocks in use. */
  lent = 0;
  /** Debug: bytes that are to be left alone are looked at, see `checks.ts`. */
  checks = false;
  private readonly resolve: (view: ArrayBufferView) => number;
  private readonly bases = new WeakMap<SharedArrayBuffer, number>();
  private lastBuffer: ArrayBufferLike | null = null;
  private lastBase = 0;
  readonly #small = new BlockClass(SMALL_SIZE, SMALL_COUNT);
  readonly #large = new BlockClass(LARGE_SIZE, LARGE_COUNT);

  /** @param resolve The address of a view's first byte. */
  constructor(resolve: (view: ArrayBufferView) => number) {
    this.resolve = resolve;
  }

  /**
   * Where the kernel finds the bytes, or {@link COPY} when they are in memory that JavaScript may detach.
   *
   * @throws {UsageError} `COOP_BUFFER` when their buffer could change its size meanwhile.
   */
  locate(view: Uint8Array): number {
    // Reading `buffer` is a call into the engine and by far the dearest part of this: it is done once.
    const { buffer } = view;
    if (buffer !== this.lastBuffer && !this.remember(buffer)) return COPY;
    return this.lastBase + view.byteOffset;
  }

  /** Looks up where a shared buffer begins; false for one that is not shared. */
  private remember(buffer: ArrayBufferLike): boolean {
    if (!(buffer instanceof SharedArrayBuffer)) {
      if ((buffer as { resizable?: boolean }).resizable !== true) return false;
      throw new UsageError(
        "COOP_BUFFER",
        "a resizable ArrayBuffer cannot be read or written: it could shrink meanwhile",
      );
    }
    if ((buffer as { growable?: boolean }).growable === true) return false;
    let base = this.bases.get(buffer);
    if (base === undefined) {
      base = this.resolve(new Uint8Array(buffer));
      this.bases.set(buffer, base);
    }
    this.lastBuffer = buffer;
    this.lastBase = base;
    return true;
  }

  /** A block of at least `size` bytes. The operations in flight bound how many there are. */
  take(size: number): Block {
    let block =
      size <= SMALL_SIZE ? this.#small.take(this) : size <= LARGE_SIZE ? this.#large.take(this) : null;
    if (block === null) {
      const bytes = allocatePages(size);
      block = new Block(bytes, this.locate(bytes), null);
    }
    this.lent++;
    return block;
  }

  give(block: Block): void {
    this.lent--;
    block.home?.give(block);
  }
}

/**
 * Checks bytes a caller passed.
 *
 * @throws {UsageError} `COOP_BUFFER` when they are no Uint8Array, are detached, or are too many.
 */
export function checkBytes(value: unknown, what: string): Bytes {
  if (!(value instanceof Uint8Array)) {
    throw new UsageError(
      "COOP_BUFFER",
      `${what} takes a Uint8Array or a Buffer, not ${describeValue(value)}`,
    );
  }
  if (value.byteLength === 0 && isGone(value)) {
    throw new UsageError("COOP_BUFFER", `${what} was given bytes that are detached or out of bounds`);
  }
  if (value.byteLength > TRANSFER_MAX) {
    throw new UsageError("COOP_BUFFER", `${what} takes at most ${TRANSFER_MAX} bytes at a time`);
  }
  return value;
}

/**
 * Bytes that one round of a stream copies at most: there is seldom room for more at a time, it bounds what a slow peer
 * makes this side hold, and blocks of this size are at hand.
 */
const COPY_MAX = LARGE_SIZE;

/**
 * As much of `bytes` as one round of a stream should take: all, or the first part of what has to be copied.
 * A block for all of them, in every round, would be quadratic.
 */
export function roundOf(memory: Memory, bytes: Bytes): Bytes {
  if (bytes.byteLength <= COPY_MAX || memory.locate(bytes) !== COPY) return bytes;
  return bytes.subarray(0, COPY_MAX);
}

/** Bytes of all `parts` together. */
export function lengthOf(parts: readonly Bytes[]): number {
  let length = 0;
  for (const part of parts) length += part.byteLength;
  return length;
}

/** The count of an operation on no bytes: 0, unless they have gone since it was made. */
export function countOfNone(bytes: Bytes, what: string): number {
  checkBytes(bytes, what);
  return 0;
}

/** A view of nothing is told from an empty one by trying to make another over the same buffer. */
function isGone(view: Uint8Array): boolean {
  if ((view.buffer as { resizable?: boolean }).resizable === true) return true;
  if (view.buffer.byteLength > 0) return false;
  try {
    new Uint8Array(view.buffer, 0, 0);
    return false;
  } catch {
    return true;
  }
}

/**
 * Shared memory that begins on a page, zeroed.
 *
 * The engine's own begins 16 bytes behind one. There the kernel copies at half the speed or less on processors
 * whose `rep movsb` is slow when the destination lies 1 to 63 bytes behind the source modulo a page (AMD Zen 3
 * and 4; sourceware bug 30994): 4 KiB from the page cache cost 2.8 µs there and 1.4 µs on a page.
 */
export function allocatePages(size: number): Uint8Array<SharedArrayBuffer> {
  const buffer = shared(size + PAGE);
  const beyond = addressOf(new Uint8Array(buffer)) % PAGE;
  return new Uint8Array(buffer, beyond === 0 ? 0 : PAGE - beyond, size);
}

/** @throws {IoError} `ENOMEM` when there is not that much. */
export function shared(size: number): SharedArrayBuffer {
  try {
    return new SharedArrayBuffer(size);
  } catch {
    throw new IoError(-ENOMEM, "allocate");
  }
}

const PAGE = 4096;
let resolver: ((view: ArrayBufferView) => number) | null = null;

function addressOf(view: ArrayBufferView): number {
  if (resolver === null) {
    try {
      const binding = loadBinding();
      resolver = (view) => binding.addressOf(view);
    } catch {
      // No addon, no ring, and no kernel that copies for us: any place will do.
      resolver = () => 0;
    }
  }
  return resolver(view);
}

/** Small buffers share an arena of this size: making one costs little, and their addresses are known. */
const ARENA_SIZE = 1024 * 1024;
const ARENA_SHARE_MAX = 64 * 1024;
/** Buffers begin on a cache line. */
const ALIGNMENT = 64;
let arena: Uint8Array<SharedArrayBuffer> | null = null;
let arenaUsed = ARENA_SIZE;

/**
 * A buffer in shared memory, zeroed: the kernel works on it directly, nothing is copied.
 *
 * @throws {UsageError} `COOP_BUFFER` when `size` is out of range. @throws {IoError} `ENOMEM`.
 */
export function allocate(size: number): Buffer {
  if (!Number.isSafeInteger(size) || size < 0 || size > TRANSFER_MAX) {
    throw new UsageError(
      "COOP_BUFFER",
      `a buffer has between 0 and ${TRANSFER_MAX} bytes, not ${describeValue(size)}`,
    );
  }
  if (size > ARENA_SHARE_MAX) {
    const pages = allocatePages(size);
    return Buffer.from(pages.buffer, pages.byteOffset, size);
  }
  if (arena === null || arenaUsed + size > ARENA_SIZE) {
    arena = allocatePages(ARENA_SIZE);
    arenaUsed = 0;
  }
  const buffer = Buffer.from(arena.buffer, arena.byteOffset + arenaUsed, size);
  arenaUsed += Math.ceil(size / ALIGNMENT) * ALIGNMENT;
  return buffer;
}

/** @internal Copies `count` bytes of `from` to `parts`, filling one after the other. */
export function scatter(from: Uint8Array, parts: readonly Bytes[], count: number): number {
  let done = 0;
  for (const part of parts) {
    if (done === count) return count;
    // There are no empty ones among them: this one was detached meanwhile, and its bytes have nowhere to go.
    if (part.byteLength === 0) return -EFAULT;
    const length = Math.min(part.byteLength, count - done);
    part.set(from.subarray(done, done + length));
    done += length;
  }
  return done < count ? -EFAULT : count;
}
