/** Listening and connecting in one step, from the operations of this folder. */

import { type Operation, op } from "../../coordinator/operation.ts";
import { checkOptions, given, type Known, pick } from "../../coordinator/options.ts";
import { timeout } from "../../time/timeout.ts";
import { makeDirect } from "../descriptor/direct.ts";
import {
  type Address,
  type AddressLike,
  addressDetails,
  type InetAddress,
  parseAddress,
  parseTarget,
  type TargetLike,
} from "./address.ts";
import { bind } from "./bind.ts";
import { connectSocket } from "./connect.ts";
import { dial } from "./dial.ts";
import { BACKLOG_DEFAULT, listenSocket } from "./listen.ts";
import { Listener } from "./listener.ts";
import { interleave, lookup } from "./lookup.ts";
import { socket } from "./socket.ts";
import type { Socket } from "./stream-socket.ts";

export interface ListenOptions {
  /** Connections the system completes before they are accepted. Default 511; it has a limit of its own. */
  readonly backlog?: number;
  /** Several listeners may share the address (SO_REUSEPORT). Default false. */
  readonly reusePort?: boolean;
  /** Accepted sockets send small messages at once (TCP_NODELAY). Default true. */
  readonly noDelay?: boolean;
  /** Connections become direct descriptors, however they are accepted; see {@link DirectOptions}. Default false. */
  readonly direct?: boolean;
  /** An IPv6 address takes IPv6 connections only. Default: what the system does, mostly both. */
  readonly v6Only?: boolean;
}

const LISTEN_OPTIONS: Known<ListenOptions> = {
  backlog: true,
  reusePort: true,
  noDelay: true,
  direct: true,
  v6Only: true,
};

/**
 * A listening socket: made, bound, and ready for `accept`. A server that was killed a moment ago may still
 * hold the address (`EADDRINUSE`) for some milliseconds.
 *
 * @throws {IoError} with the address: `EADDRINUSE`, `EACCES`, `EADDRNOTAVAIL`, …
 * @example using listener = yield* listen({ port: 8080 });
 */
export const listen: (
  address: AddressLike | (AddressLike & ListenOptions),
  options?: ListenOptions,
) => Operation<Listener> = op(function* listen(address: AddressLike, more?: ListenOptions) {
  checkOptions(more, "listen", LISTEN_OPTIONS);
  const parsed = parseAddress(address);
  const options: ListenOptions = more ?? (typeof address === "object" ? (address as ListenOptions) : {});
  const made = yield* socket(parsed.family);
  let ready = false;
  try {
    if (parsed.family !== "unix") {
      made.setOption("reuseAddress", true);
      if (given(options, "noDelay") !== false) made.setOption("noDelay", true);
    }
    if (given(options, "reusePort") === true) made.setOption("reusePort", true);
    const v6Only = given(options, "v6Only");
    if (parsed.family === "ipv6" && v6Only !== undefined) made.setOption("v6Only", v6Only);
    yield* bind(made, parsed);
    yield* listenSocket(made, given(options, "backlog") ?? BACKLOG_DEFAULT);
    const listener = new Listener(made.io, made.release());
    ready = true;
    listener.acceptsDirect = given(options, "direct") === true;
    listener.details = addressDetails(listener.localAddress ?? parsed);
    return listener;
  } finally {
    if (!ready) made[Symbol.dispose]();
  }
});

export interface ConnectOptions {
  /** Gives up after this long, the look-up of the name included. */
  readonly timeout?: number | string;
  /** Small messages are sent at once (TCP_NODELAY). Default true. */
  readonly noDelay?: boolean;
  /** The socket is a direct descriptor when it is connected; see {@link DirectOptions}. Default false. */
  readonly direct?: boolean;
  /** Time one address of a host has before the next is tried beside it. Default 250 milliseconds. */
  readonly attemptDelay?: number | string;
}

const CONNECT_OPTIONS: Known<ConnectOptions> = {
  timeout: true,
  noDelay: true,
  direct: true,
  attemptDelay: true,
};

/** The recommended delay of RFC 8305. */
const ATTEMPT_DELAY = "250 millis";

/**
 * A connected socket. A host name is looked up, and its addresses are tried with a little time between them:
 * the first connection that succeeds is the one.
 *
 * @throws {IoError} with the address: `ECONNREFUSED`, `ENOTFOUND`, …; the first attempt's, the others on its
 * `errors`. @throws {DeadlineError} when the time was up.
 * @example using socket = yield* connect("example.org:80");
 */
export const connect: (target: TargetLike, options?: ConnectOptions) => Operation<Socket> = op(
  function* connect(target: TargetLike, options?: ConnectOptions) {
    checkOptions(options, "connect", CONNECT_OPTIONS);
    const parsed = parseTarget(target);
    if (parsed.family !== "name") return yield* connectOne(parsed, options);
    const toName = connectToName(parsed.host, parsed.port, options);
    const within = given(options, "timeout");
    return yield* within === undefined ? toName : timeout(within, toName);
  },
);

const connectToName = op(function* connect(host: string, port: number, options?: ConnectOptions) {
  const addresses: readonly InetAddress[] =
    host === "localhost" ? loopback(port) : interleave(yield* lookup(host, port));
  const each = { noDelay: given(options, "noDelay") !== false, direct: given(options, "direct") === true };
  return yield* dial(
    addresses,
    (address) => connectOne(address, each),
    given(options, "attemptDelay") ?? ATTEMPT_DELAY,
  );
});

/** Nobody has to be asked (RFC 6761, section 6.3). */
function loopback(port: number): InetAddress[] {
  return [
    { family: "ipv4", host: "127.0.0.1", port },
    { family: "ipv6", host: "::1", port },
  ];
}

const connectOne = op(function* connect(address: Address, options?: ConnectOptions) {
  const made = yield* socket(address.family);
  let ready = false;
  try {
    if (address.family !== "unix" && given(options, "noDelay") !== false) made.setOption("noDelay", true);
    yield* connectSocket(made, address, pick(options, "timeout"));
    if (given(options, "direct") === true) yield* makeDirect(made);
    ready = true;
    return made;
  } finally {
    if (!ready) made[Symbol.dispose]();
  }
});
