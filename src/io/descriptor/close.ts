/** close(2), after everything in flight on the descriptor has ended. */
import { Coordinated } from "../../coordinator/coordinated.ts";
import type { Operation } from "../../coordinator/operation.ts";
import type { Signal } from "../../coordinator/signal.ts";
import { Wait } from "../../coordinator/wait.ts";
import { IoError } from "../errno.ts";
import type { Handle } from "../handle.ts";
import { currentIo } from "../io.ts";
import { checkHandle, Kind, QUEUED } from "../io-operation.ts";
import { checkDescriptor, type Descriptor } from "./descriptor.ts";

/**
 * Starts to close and returns at once; the handle is done when the descriptor is closed. Operations in
 * flight on it are cancelled first.
 *
 * @see {@link close} to wait. close(2).
 */
export function setupClose(handle: Handle, descriptor: Descriptor): void {
  checkDescriptor(descriptor, "close");
  checkHandle(handle, "close");
  handle.prepare(currentIo("setupClose()"), CLOSE, null, undefined);
  handle.expected = 0;
  handle.submitted();
  const closed = descriptor.startClosing();
  const link = new CloseLink(handle, descriptor);
  if (closed.signaled) link.grant();
  else closed.waiters.push(link);
}

/**
 * Closes the descriptor and waits for it. Closing twice is harmless. A kill does not interrupt it: it takes
 * no longer than the operations in flight need to end.
 *
 * @throws {IoError} what close(2) says; the descriptor is closed all the same.
 */
export function close(descriptor: Descriptor): Operation<void> {
  checkDescriptor(descriptor, "close");
  return new Close(descriptor);
}

/** The operation is the descriptor's own; the handle only learns of its end. */
const CLOSE = new Kind<unknown>({
  syscall: "close",
  setup: () => QUEUED,
  convert() {},
  background: true,
});

class CloseLink extends Coordinated {
  private readonly handle: Handle;
  private readonly descriptor: Descriptor;
  constructor(handle: Handle, descriptor: Descriptor) {
    super();
    this.handle = handle;
    this.descriptor = descriptor;
  }
  override grant(): void {
    this.handle.completed(this.descriptor.closeResult);
  }
  override fail(): void {}
  override moved(): void {}
}

class Close extends Wait<void> {
  private readonly descriptor: Descriptor;
  private closed: Signal | null = null;
  constructor(descriptor: Descriptor) {
    super();
    this.descriptor = descriptor;
  }
  override get killMode(): "ignore" {
    return "ignore";
  }
  override describe(): string {
    return `close of ${this.descriptor.label}`;
  }
  protected override begin(): boolean {
    this.closed = this.descriptor.startClosing();
    if (this.closed.signaled) return true;
    this.closed.waiters.push(this);
    return false;
  }
  protected override finish(): void {
    const { closeResult } = this.descriptor;
    if (closeResult < 0) throw new IoError(closeResult, "close", this.descriptor.details);
  }
  override abort(): boolean {
    return false;
  }
}
