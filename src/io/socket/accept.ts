/** accept(2). */

import type { Operation } from "../../coordinator/operation.ts";
import { given } from "../../coordinator/options.ts";
import { OP_ACCEPT, SOCK_CLOEXEC } from "../../native/layout.ts";
import { closeOrphan, type Descriptor } from "../descriptor/descriptor.ts";
import type { DirectOptions } from "../descriptor/direct.ts";
import type { Handle } from "../handle.ts";
import { IoOperation, Kind, QUEUED } from "../io-operation.ts";
import { Socket } from "./stream-socket.ts";

/**
 * Queues an accept. The result is the connection's number, for `adoptSocket`. When the task ends
 * first, a connection that arrives is closed.
 *
 * @see {@link accept} to wait. accept(2).
 */
export function setupAccept(handle: Handle, listener: Descriptor, options?: DirectOptions): void {
  acceptOperation(listener, options).setUp(handle);
}

/**
 * Waits for a connection. One that arrives after the task was killed is closed.
 *
 * @throws {IoError} what accept(2) says: `EMFILE`, `ECONNABORTED`, …
 */
export function accept(listener: Descriptor, options?: DirectOptions): Operation<Socket> {
  return acceptOperation(listener, options);
}

function acceptOperation(listener: Descriptor, options: DirectOptions | undefined): IoOperation<Socket> {
  const direct = given(options, "direct") ?? listener?.acceptsDirect;
  return new IoOperation(ACCEPT, listener, null, direct === true ? DIRECTLY : 0, null, options);
}

const DIRECTLY = 1;

const ACCEPT: Kind<Socket> = new Kind({
  syscall: "accept",
  direct: true,
  setup(io, handle, operation) {
    const { number } = operation.descriptor!;
    // What is in no process cannot be inherited by another.
    if (operation.number === DIRECTLY) {
      io.driver.submit(handle, OP_ACCEPT, number, 0, 0, 0, 0, 0, handle.makeDirect());
    } else io.driver.submit(handle, OP_ACCEPT, number, 0, 0, 0, SOCK_CLOEXEC, 0, 0);
    return QUEUED;
  },
  convert: (result, _operation, io) => new Socket(io, result),
  reclaim: closeOrphan,
});
