/** A socket: the operations of this folder as methods. */
import type { Operation } from "../coordinator/operation.ts";
import { IPPROTO_TCP, SO_REUSEADDR, SO_REUSEPORT, SOL_SOCKET, TCP_NODELAY } from "../native/layout.ts";
import { accept } from "./accept.ts";
import { type Address, decodeAddress, formatAddress } from "./address.ts";
import { SOCKADDR_ROOM } from "./bind.ts";
import { close } from "./close.ts";
import { Descriptor } from "./descriptor.ts";
import { IoError, type IoErrorDetails } from "./errno.ts";
import type { IoOptions } from "./handle.ts";
import type { Io } from "./io.ts";
import type { Bytes } from "./memory.ts";
import { recv } from "./recv.ts";
import { send, sendAll } from "./send.ts";
import { type ShutdownHow, shutdown } from "./shutdown.ts";

const scratch = new Uint8Array(SOCKADDR_ROOM);

/** A socket; `using socket = yield* listener.accept()` closes it however the block ends. */
export class Socket extends Descriptor {
  /** @internal */
  constructor(io: Io, number: number, details?: IoErrorDetails) {
    super(io, number, "socket", details);
  }

  /** The address it is bound to. */
  get localAddress(): Address | null {
    return this.name(false);
  }

  /** The peer's address. */
  get remoteAddress(): Address | null {
    return this.name(true);
  }

  /** The peer's address as text, `"127.0.0.1:50312"`; empty when there is none. */
  get remote(): string {
    const address = this.name(true);
    return address === null ? "" : formatAddress(address);
  }

  /** Sends small messages at once instead of collecting them (TCP_NODELAY); inherited by accepted sockets. */
  set noDelay(on: boolean) {
    this.option(IPPROTO_TCP, TCP_NODELAY, on ? 1 : 0);
  }

  /** Lets a listener take an address that closed connections still hold (SO_REUSEADDR). */
  set reuseAddress(on: boolean) {
    this.option(SOL_SOCKET, SO_REUSEADDR, on ? 1 : 0);
  }

  /** Lets several listeners share an address (SO_REUSEPORT). */
  set reusePort(on: boolean) {
    this.option(SOL_SOCKET, SO_REUSEPORT, on ? 1 : 0);
  }

  /** See {@link recv}. */
  recv(into: Bytes, options?: IoOptions): Operation<number> {
    return recv(this, into, options);
  }
  /** See {@link send}. */
  send(bytes: Bytes, options?: IoOptions): Operation<number> {
    return send(this, bytes, options);
  }
  /** See {@link sendAll}. */
  sendAll(bytes: Bytes, options?: IoOptions): Operation<void> {
    return sendAll(this, bytes, options);
  }
  /** See {@link shutdown}. */
  shutdown(how: ShutdownHow, options?: IoOptions): Operation<void> {
    return shutdown(this, how, options);
  }
  /** See {@link accept}. */
  accept(options?: IoOptions): Operation<Socket> {
    return accept(this, options);
  }
  /** See {@link close}. */
  close(): Operation<void> {
    return close(this);
  }

  private name(peer: boolean): Address | null {
    this.checkOpen(peer ? "getpeername" : "getsockname");
    const length = this.io.driver.socketName(this.number, peer, scratch);
    return length < 0 ? null : decodeAddress(scratch, Math.min(length, SOCKADDR_ROOM));
  }

  private option(level: number, name: number, value: number): void {
    this.checkOpen("setsockopt");
    const result = this.io.driver.setSocketOption(this.number, level, name, value);
    if (result < 0) throw new IoError(result, "setsockopt", this.details);
  }
}
