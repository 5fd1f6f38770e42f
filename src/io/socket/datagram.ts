/** Datagram sockets: UDP, and unix sockets of that kind. Whole messages with the sender's address. */

import { type Operation, op } from "../../coordinator/operation.ts";
import { checkOptions, given, type Known } from "../../coordinator/options.ts";
import type { IoErrorDetails } from "../errno.ts";
import type { IoOptions } from "../handle.ts";
import type { Io } from "../io.ts";
import type { Bytes } from "../memory/memory.ts";
import { type AddressLike, addressDetails, parseAddress } from "./address.ts";
import { AnySocket } from "./any-socket.ts";
import { bind } from "./bind.ts";
import { connectSocket } from "./connect.ts";
import { type Received, receiveFrom, sendTo } from "./message.ts";
import { socket } from "./socket.ts";

export interface DatagramOptions {
  /** The one peer: only its datagrams are received, and `send` needs no address. */
  readonly connect?: AddressLike;
  /** Several sockets may share the address (SO_REUSEPORT). Default false. */
  readonly reusePort?: boolean;
}

const KNOWN: Known<DatagramOptions> = { connect: true, reusePort: true };

/**
 * A datagram socket that is bound to `address`; port 0 lets the system choose. Without one it gets one of its
 * own when it first sends, or connects.
 *
 * @throws {IoError} with the address: `EADDRINUSE`, …
 * @example using udp = yield* openDatagram("127.0.0.1:0");
 */
export const openDatagram: (address?: AddressLike | null, options?: DatagramOptions) => Operation<Datagram> =
  op(function* openDatagram(address?: AddressLike | null, options?: DatagramOptions) {
    const local = address === undefined || address === null ? null : parseAddress(address);
    checkOptions(options, "openDatagram", KNOWN);
    const to = given(options, "connect");
    const peer = to === undefined ? null : parseAddress(to);
    const made = yield* socket(local?.family ?? peer?.family ?? "ipv4", "datagram");
    let ready = false;
    try {
      if (given(options, "reusePort") === true) made.setOption("reusePort", true);
      if (local !== null) yield* bind(made, local);
      if (peer !== null) yield* connectSocket(made, peer);
      const datagram = new Datagram(made.io, made.release());
      ready = true;
      const bound = datagram.localAddress ?? local;
      if (bound !== null) datagram.details = addressDetails(bound);
      return datagram;
    } finally {
      if (!ready) made[Symbol.dispose]();
    }
  });

/** Several tasks may receive, and send: each datagram is one message, and goes to one of them. */
export class Datagram extends AnySocket {
  /** @internal */
  constructor(io: Io, number: number, details?: IoErrorDetails) {
    super(io, number, details);
    this.inbox.messages = true;
  }

  /** See {@link receiveFrom}. */
  receive(into: Bytes, options?: IoOptions): Operation<Received> {
    return receiveFrom(this, into, options);
  }
  /** Sends one datagram to the peer it is connected to. */
  send(bytes: Bytes, options?: IoOptions): Operation<number> {
    return sendTo(this, bytes, null, options);
  }
  /** See {@link sendTo}. */
  sendTo(bytes: Bytes, address: AddressLike, options?: IoOptions): Operation<number> {
    return sendTo(this, bytes, address, options);
  }
  /** Makes `address` the one peer, or another one. */
  connect(address: AddressLike, options?: IoOptions): Operation<void> {
    return connectSocket(this, address, options);
  }
}
