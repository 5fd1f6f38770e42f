/** What sockets of every kind have: addresses, options, an end. */
import { UsageError } from "../../coordinator/errors.ts";
import type { Operation } from "../../coordinator/operation.ts";
import { SO_PEERCRED, SOL_SOCKET, UCRED_GID, UCRED_PID, UCRED_SIZE, UCRED_UID } from "../../native/layout.ts";
import { close } from "../descriptor/close.ts";
import { Descriptor } from "../descriptor/descriptor.ts";
import { makeDirect, makeOrdinary } from "../descriptor/direct.ts";
import { IoError, type IoErrorDetails } from "../errno.ts";
import type { IoOptions } from "../handle.ts";
import type { Io } from "../io.ts";
import { type Address, decodeAddress, formatAddress } from "./address.ts";
import { SOCKADDR_ROOM } from "./bind.ts";
import {
  decodeOption,
  encodeOption,
  findOption,
  OPTION_BYTES,
  type SocketOption,
  type SocketOptions,
} from "./socket-options.ts";

const scratch = new Uint8Array(SOCKADDR_ROOM);

/** Who is at the other end of a unix socket, when it was connected. */
export interface PeerCredentials {
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
}

export class AnySocket extends Descriptor {
  /** @internal */
  constructor(io: Io, number: number, details?: IoErrorDetails) {
    super(io, number, "socket", details);
  }

  /** The address it is bound to. Addresses and options are not to be had of a direct descriptor: `COOP_DIRECT`. */
  get localAddress(): Address | null {
    return this.addressOf(false);
  }

  /** The peer's address. */
  get remoteAddress(): Address | null {
    return this.addressOf(true);
  }

  /** The peer's address as text, `"127.0.0.1:50312"`; empty when there is none. */
  get remote(): string {
    const address = this.addressOf(true);
    return address === null ? "" : formatAddress(address);
  }

  /**
   * Process, user and group at the other end of a unix socket (SO_PEERCRED).
   *
   * @throws {UsageError} `COOP_ARGUMENT` when it is no connected unix socket.
   */
  get peerCredentials(): PeerCredentials {
    this.checkOpen("getsockopt");
    this.checkOrdinary("getsockopt");
    const bytes = scratch.subarray(0, UCRED_SIZE);
    const result = this.io.driver.calls.getSocketOption(this.number, SOL_SOCKET, SO_PEERCRED, bytes);
    const view = new DataView(bytes.buffer, bytes.byteOffset, UCRED_SIZE);
    const pid = view.getInt32(UCRED_PID, true);
    if (result < 0 || pid === 0) {
      throw new UsageError(
        "COOP_ARGUMENT",
        `${this.label} is no connected unix socket, it has no credentials`,
      );
    }
    return { pid, uid: view.getUint32(UCRED_UID, true), gid: view.getUint32(UCRED_GID, true) };
  }

  /**
   * Sets an option.
   *
   * @throws {IoError} when the system refuses it. @throws {UsageError} `COOP_ARGUMENT` for a wrong name or value.
   * @example socket.setOption("keepAlive", true);
   */
  setOption<Name extends SocketOption>(name: Name, value: SocketOptions[Name]): void {
    const option = findOption(name);
    const encoded = encodeOption(option, name, value);
    this.checkOpen("setsockopt");
    this.checkOrdinary("setsockopt");
    const result = this.io.driver.calls.setSocketOption(this.number, option.level, option.name, encoded);
    if (result < 0) throw new IoError(result, "setsockopt", this.details);
  }

  /** The value of an option. @throws {IoError} when this kind of socket does not have it. */
  getOption<Name extends SocketOption>(name: Name): SocketOptions[Name] {
    const option = findOption(name);
    this.checkOpen("getsockopt");
    this.checkOrdinary("getsockopt");
    const bytes = scratch.subarray(0, OPTION_BYTES);
    const result = this.io.driver.calls.getSocketOption(this.number, option.level, option.name, bytes);
    if (result < 0) throw new IoError(result, "getsockopt", this.details);
    return decodeOption(option, bytes) as SocketOptions[Name];
  }

  /** See {@link makeOrdinary}. */
  makeOrdinary(options?: IoOptions): Operation<void> {
    return makeOrdinary(this, options);
  }

  /** See {@link makeDirect}. */
  makeDirect(options?: IoOptions): Operation<void> {
    return makeDirect(this, options);
  }

  /** See {@link close}. */
  close(): Operation<void> {
    return close(this);
  }

  private addressOf(peer: boolean): Address | null {
    const call = peer ? "getpeername" : "getsockname";
    this.checkOpen(call);
    this.checkOrdinary(call);
    const length = this.io.driver.calls.socketName(this.number, peer, scratch);
    return length < 0 ? null : decodeAddress(scratch, Math.min(length, SOCKADDR_ROOM));
  }
}
