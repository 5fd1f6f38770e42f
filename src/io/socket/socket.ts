/** socket(2). */

import { UsageError } from "../../coordinator/errors.ts";
import type { Operation } from "../../coordinator/operation.ts";
import { describeValue } from "../../coordinator/operation.ts";
import { given } from "../../coordinator/options.ts";
import {
  AF_INET,
  AF_INET6,
  AF_UNIX,
  OP_SOCKET,
  SOCK_CLOEXEC,
  SOCK_DGRAM,
  SOCK_STREAM,
} from "../../native/layout.ts";
import { closeOrphan } from "../descriptor/descriptor.ts";
import type { DirectOptions } from "../descriptor/direct.ts";
import type { Handle } from "../handle.ts";
import { IoOperation, Kind, QUEUED } from "../io-operation.ts";
import type { Address } from "./address.ts";
import { Socket } from "./stream-socket.ts";

export type SocketFamily = Address["family"];
export type SocketType = "stream" | "datagram";

/**
 * Queues the creation of a socket. The result is its number, for `adoptSocket`; it is not
 * inherited by child processes.
 *
 * @see {@link socket} to wait. socket(2).
 */
export function setupSocket(
  handle: Handle,
  family: SocketFamily,
  type: SocketType = "stream",
  options?: DirectOptions,
): void {
  socketOperation(family, type, options).setUp(handle);
}

/** Makes a socket. */
export function socket(
  family: SocketFamily,
  type: SocketType = "stream",
  options?: DirectOptions,
): Operation<Socket> {
  return socketOperation(family, type, options);
}

function socketOperation(
  family: SocketFamily,
  type: SocketType,
  options: DirectOptions | undefined,
): IoOperation<Socket> {
  const wanted: Wanted = { type: typeOf(type), direct: given(options, "direct") === true };
  return new IoOperation(SOCKET, null, null, domainOf(family), wanted, options);
}

interface Wanted {
  readonly type: number;
  readonly direct: boolean;
}

function domainOf(family: SocketFamily): number {
  if (family === "ipv4") return AF_INET;
  if (family === "ipv6") return AF_INET6;
  if (family === "unix") return AF_UNIX;
  throw new UsageError(
    "COOP_ARGUMENT",
    `a socket family is ipv4, ipv6 or unix, not ${describeValue(family)}`,
  );
}

function typeOf(type: SocketType): number {
  if (type === "stream") return SOCK_STREAM;
  if (type === "datagram") return SOCK_DGRAM;
  throw new UsageError("COOP_ARGUMENT", `a socket is a stream or a datagram one, not ${describeValue(type)}`);
}

const SOCKET: Kind<Socket> = new Kind({
  syscall: "socket",
  setup(io, handle, operation) {
    const { type, direct } = operation.argument as Wanted;
    const { number: domain } = operation;
    if (direct) io.driver.submit(handle, OP_SOCKET, domain, 0, 0, type, 0, 0, handle.makeDirect());
    else if (io.driver.lacks(OP_SOCKET)) return io.driver.calls.socketNow(domain, type | SOCK_CLOEXEC);
    else io.driver.submit(handle, OP_SOCKET, domain, 0, 0, type | SOCK_CLOEXEC, 0, 0, 0);
    return QUEUED;
  },
  convert(result, operation, io) {
    const made = new Socket(io, result);
    // Datagrams are whole, whoever receives them.
    if ((operation.argument as Wanted).type !== SOCK_STREAM) made.holdMessages();
    return made;
  },
  reclaim: closeOrphan,
});
