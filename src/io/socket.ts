/** socket(2). */

import { UsageError } from "../coordinator/errors.ts";
import type { Operation } from "../coordinator/operation.ts";
import { describeValue } from "../coordinator/operation.ts";
import {
  AF_INET,
  AF_INET6,
  AF_UNIX,
  OP_SOCKET,
  SOCK_CLOEXEC,
  SOCK_DGRAM,
  SOCK_STREAM,
} from "../native/layout.ts";
import type { Address } from "./address.ts";
import { closeOrphan } from "./descriptor.ts";
import type { Handle, IoOptions } from "./handle.ts";
import { currentIo, type Io } from "./io.ts";
import { IoWait } from "./io-wait.ts";
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
  options?: IoOptions,
): void {
  queueSocket(currentIo("setupSocket()"), handle, domainOf(family), typeOf(type), options);
  handle.started(null);
}

/** Makes a socket. */
export function socket(
  family: SocketFamily,
  type: SocketType = "stream",
  options?: IoOptions,
): Operation<Socket> {
  return new OpenSocket(domainOf(family), typeOf(type), options);
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

function queueSocket(
  io: Io,
  handle: Handle,
  domain: number,
  type: number,
  options: IoOptions | undefined,
): void {
  const driver = handle.prepare(io, "socket", null, closeOrphan, options);
  driver.submit(handle, OP_SOCKET, domain, 0, 0, type | SOCK_CLOEXEC, 0, 0, 0);
}

class OpenSocket extends IoWait<Socket> {
  protected override get syscall(): string {
    return "socket";
  }
  private readonly domain: number;
  private readonly type: number;
  constructor(domain: number, type: number, options: IoOptions | undefined) {
    super(null, options);
    this.domain = domain;
    this.type = type;
  }
  protected override setup(io: Io, handle: Handle): number {
    queueSocket(io, handle, this.domain, this.type, this.options);
    return -1;
  }
  protected override convert(result: number, io: Io): Socket {
    return new Socket(io, result);
  }
}
