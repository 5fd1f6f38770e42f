/** Listening and connecting in one step, from the operations of this folder. */
import { type Operation, op } from "../coordinator/operation.ts";
import { type AddressLike, addressDetails, parseAddress } from "./address.ts";
import { bind } from "./bind.ts";
import { connect as connectSocket } from "./connect.ts";
import { BACKLOG_DEFAULT, listen as listenSocket } from "./listen.ts";
import { socket } from "./socket.ts";
import type { Socket } from "./stream-socket.ts";

export interface ListenOptions {
  /** Connections the system completes before they are accepted. */
  readonly backlog?: number;
  /** Several listeners may share the address (SO_REUSEPORT). Default false. */
  readonly reusePort?: boolean;
  /** Accepted sockets send small messages at once (TCP_NODELAY). Default true. */
  readonly noDelay?: boolean;
}

/**
 * A listening socket: made, bound, and ready for `accept`. A server that was killed a moment ago may still
 * hold the address (`EADDRINUSE`) for some milliseconds.
 *
 * @example using listener = yield* listenOn({ port: 8080 });
 */
export const listenOn: (address: AddressLike, options?: ListenOptions) => Operation<Socket> = op(function* (
  address: AddressLike,
  options?: ListenOptions,
) {
  const parsed = parseAddress(address);
  const listener = yield* socket(parsed.family);
  let ready = false;
  try {
    if (parsed.family !== "unix") {
      listener.reuseAddress = true;
      if (options?.noDelay !== false) listener.noDelay = true;
    }
    if (options?.reusePort === true) listener.reusePort = true;
    yield* bind(listener, parsed);
    yield* listenSocket(listener, options?.backlog ?? BACKLOG_DEFAULT);
    const bound = listener.localAddress;
    if (bound !== null) listener.details = addressDetails(bound);
    ready = true;
    return listener;
  } finally {
    if (!ready) listener[Symbol.dispose]();
  }
});

export interface ConnectOptions {
  /** Gives up after this long. */
  readonly timeout?: number | string;
  /** Small messages are sent at once (TCP_NODELAY). Default true. */
  readonly noDelay?: boolean;
}

/**
 * A connected socket.
 *
 * @throws {IoError} with the address: `ECONNREFUSED`, … @throws {DeadlineError} when the time was up.
 * @example using socket = yield* connectTo("127.0.0.1:8080");
 */
export const connectTo: (address: AddressLike, options?: ConnectOptions) => Operation<Socket> = op(function* (
  address: AddressLike,
  options?: ConnectOptions,
) {
  const parsed = parseAddress(address);
  const made = yield* socket(parsed.family);
  let ready = false;
  try {
    if (parsed.family !== "unix" && options?.noDelay !== false) made.noDelay = true;
    yield* connectSocket(
      made,
      parsed,
      options?.timeout === undefined ? undefined : { timeout: options.timeout },
    );
    ready = true;
    return made;
  } finally {
    if (!ready) made[Symbol.dispose]();
  }
});
