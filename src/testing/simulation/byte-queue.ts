/** Bytes on their way: first in, first out, as many as there is room for. */

export class ByteQueue {
  readonly capacity: number;
  /** Bytes that have ever been put in. */
  entered = 0;
  private bytes: Uint8Array | null = null;
  private head = 0;
  private count = 0;

  constructor(capacity: number) {
    this.capacity = capacity;
  }

  get length(): number {
    return this.count;
  }

  get room(): number {
    return this.capacity - this.count;
  }

  /** Puts all of `from` in; there is room for it. */
  put(from: Uint8Array): void {
    this.bytes ??= new Uint8Array(this.capacity);
    const { bytes, capacity } = this;
    const at = (this.head + this.count) % capacity;
    const first = Math.min(from.length, capacity - at);
    bytes.set(from.subarray(0, first), at);
    if (first < from.length) bytes.set(from.subarray(first), 0);
    this.count += from.length;
    this.entered += from.length;
  }

  /** Fills all of `into`; there are as many. */
  take(into: Uint8Array): void {
    const { bytes, capacity, head } = this;
    const first = Math.min(into.length, capacity - head);
    into.set(bytes!.subarray(head, head + first), 0);
    if (first < into.length) into.set(bytes!.subarray(0, into.length - first), first);
    this.head = (head + into.length) % capacity;
    this.count -= into.length;
  }

  clear(): void {
    this.head = 0;
    this.count = 0;
  }
}
