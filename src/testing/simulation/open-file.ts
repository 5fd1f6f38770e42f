/**
 * What a descriptor of a simulated kernel refers to. As in the real one, a request in flight keeps it alive: a
 * close takes the number away, and only the last reference ends it.
 */
import type { Request } from "./request.ts";

/** What an attempt gives when it has to wait for something to happen to the file. */
export const BLOCKED = -0x7fff_ffff;

export abstract class OpenFile {
  abstract readonly kind: string;
  /** Numbers and requests that refer to it. */
  references = 0;
  /** Requests that wait for something to happen to it. */
  readonly waiters: Set<Request> = new Set();
  /** Nothing goes on before then: the other side, or the device, has stopped. */
  cloggedUntil = 0;
  /** Called when something has happened that its waiters may wait for. */
  onChange: ((file: OpenFile) => void) | null = null;

  /** Fills as much of `into` as there is: the count, 0 at the end, -errno, or {@link BLOCKED}. */
  abstract read(into: Uint8Array, position: number): number;
  /** Takes as much of `from` as there is room for. */
  abstract write(from: Uint8Array, position: number): number;
  /** POLL* bits that are true now. */
  abstract ready(): number;
  /** The last reference is gone. */
  released(): void {}

  changed(): void {
    if (this.waiters.size > 0) this.onChange?.(this);
  }
}
