/** Memory of the process as a simulated kernel sees it: every shared buffer has an address of its own. */

const PAGE = 4096;

export class AddressSpace {
  private readonly bases: number[] = [];
  private readonly views: Uint8Array[] = [];
  private next = PAGE;

  /** The address of the first byte; the memory is kept as long as this is. */
  place(view: ArrayBufferView): number {
    const base = this.next;
    // A page between two buffers: what runs over the end of one is noticed.
    this.next += Math.ceil(view.byteLength / PAGE) * PAGE + PAGE;
    this.bases.push(base);
    this.views.push(new Uint8Array(view.buffer, view.byteOffset, view.byteLength));
    return base;
  }

  /** The bytes there. Null where there are none: EFAULT. */
  at(address: number, length: number): Uint8Array | null {
    const { bases, views } = this;
    for (let i = bases.length - 1; i >= 0; i--) {
      const start = address - bases[i]!;
      if (start < 0) continue;
      const view = views[i]!;
      return start + length <= view.byteLength ? view.subarray(start, start + length) : null;
    }
    return null;
  }

  /** Text that ends with a NUL. */
  text(address: number): string {
    let length = 0;
    const bases = this.bases;
    let i = bases.length - 1;
    while (i >= 0 && bases[i]! > address) i--;
    if (i < 0) return "";
    const view = this.views[i]!;
    const start = address - bases[i]!;
    while (start + length < view.byteLength && view[start + length] !== 0) length++;
    return decoder.decode(view.slice(start, start + length));
  }
}

const decoder = new TextDecoder();
