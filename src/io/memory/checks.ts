/**
 * What the debug mode (`ring: { checkBuffers: true }`) looks at: bytes that change while the kernel reads them, and
 * buffers of a pool that are used after they went back. Source: conformance Q07, Q08.
 */
import { UsageError } from "../../coordinator/errors.ts";
import { current } from "../../coordinator/task/current.ts";
import type { Io } from "../io.ts";
import { allocatePages, type Bytes } from "./memory.ts";

/** FNV-1a of all `parts`: any change of a single byte shows, and nearly any other. */
export function checksumOf(parts: readonly Bytes[]): number {
  let sum = 0x811c9dc5;
  for (const part of parts) for (const byte of part) sum = Math.imul(sum ^ byte, 0x01000193);
  return sum;
}

/** The error for bytes that were changed under an operation. */
export function changed(what: string, length: number): UsageError {
  return new UsageError(
    "COOP_BUFFER_CHANGED",
    `the ${length} bytes of a ${what} were changed while it was in flight, and nobody knows which of them went out: ` +
      "wait for its end, or give it a copy",
  );
}

/** What a buffer is full of when it is nobody's. */
const POISON = 0xdb;

/**
 * Memory of the buffers of a pool. Each lease has its own, and it is poisoned when it goes back: what is read
 * through a view that was kept is poison and never the bytes of somebody else, and what is written through it shows
 * when the place is lent again.
 */
export class Quarantine {
  private readonly io: Io;
  private readonly size: number;
  readonly #lent: Buffer[] = [];
  private readonly borrowers: string[] = [];

  constructor(io: Io, size: number) {
    this.io = io;
    this.size = size;
  }

  lend(index: number): Buffer {
    this.check(index);
    const pages = allocatePages(this.size);
    const buffer = Buffer.from(pages.buffer, pages.byteOffset, this.size);
    this.#lent[index] = buffer;
    this.borrowers[index] = current.task?.label ?? "code outside of tasks";
    return buffer;
  }

  giveBack(index: number): void {
    this.#lent[index]!.fill(POISON);
  }

  private check(index: number): void {
    const last = this.#lent[index];
    if (last === undefined || last.every((byte) => byte === POISON)) return;
    this.io.cooperator.report({
      kind: "buffer",
      task: null,
      where: "a pool of buffers",
      error: new UsageError(
        "COOP_LEASE",
        `a buffer that ${this.borrowers[index]} had claimed was written to after its release: keep the lease as long as ` +
          "a view of its bytes, and release it when no operation is in flight on it",
      ),
    });
  }
}
