/** Descriptor numbers of a simulated process: always the lowest that is free, so that numbers are reused at once. */
import { EMFILE } from "../../io/errno.ts";
import type { OpenFile } from "./open-file.ts";

/** Standard input, output and error. */
const FIRST = 3;

export class DescriptorTable {
  /** Descriptors that have ever been opened, and closed. */
  opened = 0;
  closed = 0;
  private readonly files: (OpenFile | null)[];
  private readonly limit: number;
  private readonly first: number;
  private readonly full: number;

  /** @param full The errno when there is no room. */
  constructor(limit: number, first: number = FIRST, full: number = EMFILE) {
    this.limit = limit;
    this.first = first;
    this.full = full;
    this.files = new Array<OpenFile | null>(first).fill(null);
  }

  /** Room for this many more. */
  hasRoom(count: number): boolean {
    return this.opened - this.closed + count <= this.limit;
  }

  /** The number, or -errno. */
  open(file: OpenFile): number {
    if (!this.hasRoom(1)) return -this.full;
    let number = this.first;
    while (number < this.files.length && this.files[number] !== null) number++;
    this.files[number] = file;
    file.references++;
    this.opened++;
    return number;
  }

  get(number: number): OpenFile | null {
    return this.files[number] ?? null;
  }

  /** Frees the number; the file, or null when there was none. */
  close(number: number): OpenFile | null {
    const file = this.get(number);
    if (file === null) return null;
    this.files[number] = null;
    this.closed++;
    return file;
  }

  /** Numbers in use. */
  numbers(): number[] {
    const numbers: number[] = [];
    for (let number = this.first; number < this.files.length; number++)
      if (this.files[number] !== null) numbers.push(number);
    return numbers;
  }
}
