/**
 * A limit on the file operations that are with the kernel at a time: a disk that gets thousands of them at
 * once serves none of them soon. What is above the limit waits here as a ready-made SQE, in order, more urgent
 * ones first. Source: seeds M-014, X-38.
 */
import * as abi from "../../native/layout.ts";
import type { Handle } from "../handle.ts";
import { IDLE, URGENT, type Urgency } from "../io-priority.ts";

/** Releases in a row to more urgent operations before the least urgent one gets its turn. */
const AGEING = 64;

/** What counts: everything else ends soon, or waits for something other than a disk. */
const COUNTED: ReadonlySet<number> = new Set([
  abi.OP_READ,
  abi.OP_READ_FIXED,
  abi.OP_READV,
  abi.OP_WRITE,
  abi.OP_WRITE_FIXED,
  abi.OP_WRITEV,
  abi.OP_FSYNC,
  abi.OP_SYNC_FILE_RANGE,
  abi.OP_FALLOCATE,
  abi.OP_FTRUNCATE,
]);

export class FileGate {
  private readonly limit: number;
  /** With the kernel. */
  private readonly active = new Set<Handle>();
  /** Waiting, by urgency; a Map keeps the order of arrival. */
  private readonly waiting: readonly [
    Map<Handle, Int32Array>,
    Map<Handle, Int32Array>,
    Map<Handle, Int32Array>,
  ];
  private releases = 0;

  constructor(limit: number) {
    this.limit = limit;
    this.waiting = [new Map(), new Map(), new Map()];
  }

  get length(): number {
    const [urgent, usual, idle] = this.waiting;
    return urgent.size + usual.size + idle.size;
  }

  /** Words for an operation that has to wait; null for one that may go, or does not count. */
  hold(handle: Handle, opcode: number): Int32Array | null {
    if (!COUNTED.has(opcode) || handle.descriptor === null || handle.descriptor.kind !== "file") return null;
    if (this.active.size < this.limit && this.length === 0) {
      this.active.add(handle);
      return null;
    }
    const words = new Int32Array(abi.SQE_WORDS);
    this.waiting[handle.urgency].set(handle, words);
    return words;
  }

  /** Takes one that waits out of the line; false when it is not in it. */
  drop(handle: Handle): boolean {
    return this.waiting[handle.urgency].delete(handle);
  }

  /** Takes all that wait to work on a descriptor out of the line: it is being closed. */
  dropAll(fd: number): Handle[] {
    const found: Handle[] = [];
    for (const line of this.waiting) {
      for (const handle of line.keys()) if (handle.descriptor!.number === fd) found.push(handle);
    }
    for (const handle of found) this.drop(handle);
    return found;
  }

  /** One that was with the kernel is back. */
  ended(handle: Handle): void {
    this.active.delete(handle);
  }

  /** The next that may go, or null. */
  next(): Handle | null {
    if (this.active.size >= this.limit || this.length === 0) return null;
    const fair = ++this.releases % AGEING === 0;
    const from = fair ? IDLE : URGENT;
    const step = fair ? -1 : 1;
    for (let urgency: number = from; urgency >= URGENT && urgency <= IDLE; urgency += step) {
      for (const handle of this.waiting[urgency as Urgency].keys()) return handle;
    }
    return null;
  }

  /** Lets it go: its words. */
  release(handle: Handle): Int32Array {
    const line = this.waiting[handle.urgency];
    const words = line.get(handle)!;
    line.delete(handle);
    this.active.add(handle);
    return words;
  }
}
