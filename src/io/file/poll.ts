/** poll(2): waits until a descriptor is ready, without reading or writing. */

import { UsageError } from "../../coordinator/errors.ts";
import { describeValue, type Operation } from "../../coordinator/operation.ts";
import { given } from "../../coordinator/options.ts";
import { OP_POLL_ADD, POLLERR, POLLHUP, POLLIN, POLLOUT, POLLPRI, POLLRDHUP } from "../../native/layout.ts";
import type { Descriptor } from "../descriptor/descriptor.ts";
import type { Handle, IoOptions } from "../handle.ts";
import { IoOperation, Kind, QUEUED } from "../io-operation.ts";

export interface PollOptions extends IoOptions {
  /** Something can be read, or the end has come. Default true unless `writable` is asked for. */
  readonly readable?: boolean;
  readonly writable?: boolean;
  /** Something urgent, or a change in a file of /proc or /sys that can be polled. Default false. */
  readonly priority?: boolean;
}

export interface Readiness {
  readonly readable: boolean;
  readonly writable: boolean;
  readonly priority: boolean;
  /** The other side has closed, at least for writing. */
  readonly hangup: boolean;
  readonly error: boolean;
}

/** Queues a poll; {@link readinessOf} tells what its result means. @see {@link poll} to wait. poll(2). */
export function setupPoll(handle: Handle, descriptor: Descriptor, options?: PollOptions): void {
  new IoOperation(POLL, descriptor, null, maskOf(options), null, options).setUp(handle);
}

/**
 * Waits until the descriptor is ready. A regular file always is. Being ready is a hint: whatever is done then
 * may still wait, when another reader was faster.
 */
export function poll(descriptor: Descriptor, options?: PollOptions): Operation<Readiness> {
  return new IoOperation(POLL, descriptor, null, maskOf(options), null, options);
}

/**
 * What the result of a poll means.
 *
 * @throws {UsageError} `COOP_ARGUMENT` for an errno.
 */
export function readinessOf(result: number): Readiness {
  if (!Number.isInteger(result) || result < 0) {
    throw new UsageError("COOP_ARGUMENT", `the result of a poll is from 0 up, not ${describeValue(result)}`);
  }
  return {
    readable: (result & POLLIN) !== 0,
    writable: (result & POLLOUT) !== 0,
    priority: (result & POLLPRI) !== 0,
    hangup: (result & (POLLHUP | POLLRDHUP)) !== 0,
    error: (result & POLLERR) !== 0,
  };
}

function maskOf(options: PollOptions | undefined): number {
  const writable = given(options, "writable") === true;
  const priority = given(options, "priority") === true;
  const readable = given(options, "readable") ?? (!writable && !priority);
  if (!readable && !writable && !priority) {
    throw new UsageError("COOP_ARGUMENT", "poll waits for something: readable, writable or priority");
  }
  return (readable ? POLLIN | POLLRDHUP : 0) | (writable ? POLLOUT : 0) | (priority ? POLLPRI : 0);
}

const POLL: Kind<Readiness> = new Kind({
  syscall: "poll",
  direct: true,
  setup(io, handle, operation) {
    const { inbox } = operation.descriptor!;
    // What a killed reader has received is not with the kernel any more.
    if (inbox.waiting && (operation.number & POLLIN) !== 0) return POLLIN;
    io.driver.submit(handle, OP_POLL_ADD, operation.descriptor!.number, 0, 0, 0, operation.number, 0, 0);
    return QUEUED;
  },
  convert: readinessOf,
});
