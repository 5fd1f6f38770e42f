/**
 * Writing all of something: short counts are continued with the same handle, without waking the task.
 */
import type { Descriptor } from "./descriptor.ts";
import { ETIMEDOUT } from "./errno.ts";
import type { Handle, IoOptions } from "./handle.ts";
import type { Io } from "./io.ts";
import { IoWait } from "./io-wait.ts";
import type { Bytes } from "./memory.ts";

export abstract class AllWait extends IoWait<void> {
  protected readonly bytes: Bytes;
  /** Bytes that went out in earlier rounds. */
  protected sent = 0;

  constructor(descriptor: Descriptor, bytes: Bytes, options: IoOptions | undefined) {
    super(descriptor, options);
    this.bytes = bytes;
  }

  /** Queues what is left; gives a result instead, from 0 up, when no operation is needed, else -1. */
  protected abstract queue(io: Io, handle: Handle, rest: Bytes): number;

  protected override setup(io: Io, handle: Handle): number {
    this.sent = 0;
    return this.queue(io, handle, this.bytes);
  }

  /** One round is over. A kill or a timeout that came meanwhile ends it, else the rest goes out. */
  override grant(): void {
    const handle = this.handle!;
    const { outcome } = handle;
    const sent = outcome > 0 ? this.sent + outcome : this.sent;
    const { io } = handle;
    if (outcome > 0 && sent < this.bytes.byteLength && !handle.abandoned && !handle.timedOut) {
      this.sent = sent;
      const descriptor = this.descriptor!;
      if (!descriptor.closed && descriptor.brokenAt === -1) {
        this.queue(io!, handle, this.bytes.subarray(sent));
        handle.started(this);
        return;
      }
    }
    this.sent = sent;
    if (sent > 0 && sent < this.bytes.byteLength) this.cutShort(sent);
    super.grant();
  }

  /** Some bytes went out and the rest will not. */
  protected cutShort(sent: number): void {
    this.descriptor!.brokenAt = sent;
  }

  protected override convert(): void {
    if (this.sent < this.bytes.byteLength) this.failed(-ETIMEDOUT);
  }
}
