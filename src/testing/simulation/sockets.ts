/**
 * Sockets of a simulated kernel: streams with bounded buffers, listeners with a backlog, datagrams that keep
 * their boundaries. The network is this machine, and delivers everything in order.
 */

import { ECONNRESET, EINVAL, ENOENT, EPIPE } from "../../io/errno.ts";
import { type Address, familyOf, formatAddress } from "../../io/socket/address.ts";
import * as abi from "../../native/layout.ts";
import { ByteQueue } from "./byte-queue.ts";
import { BLOCKED, OpenFile } from "./open-file.ts";

const EADDRINUSE = 98;
const EISCONN = 106;
const ENOTCONN = 107;
const ECONNREFUSED = 111;
const EDESTADDRREQ = 89;
const EMSGSIZE = 90;
/** Datagrams that wait to be received; above it they are dropped. */
const DATAGRAMS_MAX = 64;
const DATAGRAM_MAX = 65_507;
const EPHEMERAL = 32_768;

export abstract class SimulatedSocket extends OpenFile {
  readonly kind = "socket";
  readonly family: number;
  protected readonly network: Network;
  local: Address | null = null;
  remote: Address | null = null;

  constructor(network: Network, family: number) {
    super();
    this.network = network;
    this.family = family;
  }

  abstract readonly stream: boolean;
  abstract connect(address: Address): number;
  abstract shutdown(how: number): number;

  bind(address: Address): number {
    if (this.local !== null) return -EINVAL;
    return this.network.bind(this, address);
  }

  override released(): void {
    this.network.unbind(this);
  }
}

export class StreamSocket extends SimulatedSocket {
  readonly stream = true;
  /** Bytes that have arrived. */
  readonly received: ByteQueue;
  peer: StreamSocket | null = null;
  connected = false;
  /** The peer will send no more. */
  ended = false;
  /** A reader was told so while the connection was whole. */
  endTold = false;
  /** Nothing more is sent by this side. */
  sendingEnded = false;
  /** The connection was broken; it stays so, and is told once. */
  broken = false;
  /** Its close breaks the connection, whatever has been received (SO_LINGER with no time). */
  resets = false;
  /** -errno that operations tell until the first of them is over for the driver. */
  error = 0;
  /** Connections that have not been accepted; null unless it listens. */
  pending: StreamSocket[] | null = null;
  backlog = 0;

  constructor(network: Network, family: number) {
    super(network, family);
    this.received = new ByteQueue(network.capacity());
  }

  listen(backlog: number): number {
    if (this.connected) return -EINVAL;
    if (this.local === null) this.network.bindAnywhere(this);
    this.pending ??= [];
    this.backlog = backlog;
    return 0;
  }

  connect(address: Address): number {
    if (this.connected) return -EISCONN;
    const listener = this.network.listener(address);
    if (listener === null) return nobodyAt(address);
    if (listener.pending!.length > listener.backlog) return BLOCKED;
    const far = new StreamSocket(this.network, this.family);
    far.onChange = listener.onChange;
    if (this.local === null) this.network.bindAnywhere(this);
    this.remote = listener.local;
    far.local = listener.local;
    far.remote = this.local;
    this.join(far);
    listener.pending!.push(far);
    listener.changed();
    return 0;
  }

  /** Makes the two ends of one connection. */
  join(far: StreamSocket): void {
    this.peer = far;
    far.peer = this;
    this.connected = true;
    far.connected = true;
  }

  read(into: Uint8Array): number {
    if (this.pending !== null || !(this.connected || this.broken)) return -ENOTCONN;
    const count = Math.min(into.length, this.received.length);
    if (count > 0) {
      this.received.take(into.subarray(0, count));
      this.peer?.changed();
      return count;
    }
    if (this.error !== 0) return this.error;
    if (this.broken) return 0;
    if (!this.ended) return BLOCKED;
    this.endTold = true;
    return 0;
  }

  write(from: Uint8Array): number {
    if (this.error !== 0) return this.error;
    if (this.sendingEnded || this.broken) return -EPIPE;
    if (!this.connected) return -ENOTCONN;
    const { peer } = this;
    if (peer === null) return -EPIPE;
    const count = Math.min(from.length, peer.received.room);
    if (count === 0) return BLOCKED;
    peer.received.put(from.subarray(0, count));
    peer.changed();
    return count;
  }

  shutdown(how: number): number {
    if (!this.connected) return -ENOTCONN;
    if (how !== abi.SHUT_WR) this.ended = true;
    if (how !== abi.SHUT_RD && !this.sendingEnded) {
      this.sendingEnded = true;
      this.endPeer();
    }
    this.changed();
    return 0;
  }

  /** The connection is lost: this side learns `errno`, the other one of a reset. */
  fail(errno: number): void {
    const { peer } = this;
    this.breakOff(-errno);
    peer?.breakOff(-ECONNRESET);
  }

  private breakOff(error: number): void {
    this.error = error;
    this.broken = true;
    this.connected = false;
    this.peer = null;
    // Some systems hand out what had arrived, some do not.
    if (this.network.forgetful()) this.received.clear();
    this.changed();
  }

  private endPeer(): void {
    const { peer } = this;
    if (peer === null) return;
    peer.ended = true;
    peer.changed();
  }

  /** Somebody has been told of the error: everybody else only finds an end. */
  told(): void {
    this.error = 0;
  }

  ready(): number {
    if (this.pending !== null) return this.pending.length > 0 ? abi.POLLIN : 0;
    const { peer } = this;
    const over = this.ended || this.broken;
    return (
      (this.received.length > 0 || over ? abi.POLLIN : 0) |
      (this.ended ? abi.POLLRDHUP : 0) |
      (this.broken || (peer !== null && peer.received.room > 0) ? abi.POLLOUT : 0) |
      (this.broken ? abi.POLLHUP | abi.POLLERR : 0)
    );
  }

  override released(): void {
    super.released();
    if (this.pending !== null) {
      for (const socket of this.pending) socket.fail(ECONNRESET);
      this.pending = null;
      this.network.onRoom();
    }
    const { peer } = this;
    if (peer === null) return;
    this.peer = null;
    // As TCP has it: who closes with bytes unread resets the connection.
    const unread = this.received.length > 0 || this.resets;
    if (unread && this.family !== abi.AF_UNIX) peer.breakOff(-ECONNRESET);
    else {
      peer.ended = true;
      peer.peer = null;
      peer.changed();
    }
  }
}

interface Datagram {
  readonly bytes: Uint8Array;
  readonly from: Address | null;
}

export class DatagramSocket extends SimulatedSocket {
  readonly stream = false;
  readonly datagrams: Datagram[] = [];
  /** Nobody was where the last one went: told by the next call, once. */
  private refused = false;

  connect(address: Address): number {
    // A network says later, if at all, that there is nobody; on this machine it is known.
    if (address.family === "unix" && this.network.find(address, false) === null) return nobodyAt(address);
    if (this.local === null) this.network.bindAnywhere(this);
    this.remote = address;
    return 0;
  }

  /** One datagram; what does not fit is lost. */
  read(into: Uint8Array): number {
    const datagram = this.take();
    if (typeof datagram === "number") return datagram;
    const count = Math.min(into.length, datagram.bytes.length);
    into.set(datagram.bytes.subarray(0, count));
    return count;
  }

  /** The next one, -errno, or BLOCKED. */
  take(): Datagram | number {
    return this.datagrams.shift() ?? (this.tellRefused() ? -ECONNREFUSED : BLOCKED);
  }

  write(from: Uint8Array): number {
    return this.remote === null ? -EDESTADDRREQ : this.sendTo(from, this.remote);
  }

  sendTo(from: Uint8Array, address: Address): number {
    if (from.length > DATAGRAM_MAX) return -EMSGSIZE;
    if (this.tellRefused()) return -ECONNREFUSED;
    if (this.local === null) this.network.bindAnywhere(this);
    const target = this.network.find(address, false);
    if (target instanceof DatagramSocket) target.arrive(from, this.local);
    else if (address.family === "unix") return nobodyAt(address);
    else if (this.remote !== null) {
      this.refused = true;
      this.changed();
    }
    // Without a peer nobody learns of it.
    return from.length;
  }

  private arrive(bytes: Uint8Array, from: Address | null): void {
    // Who has a peer takes what comes from it, and nothing else.
    if (this.remote !== null && (from === null || formatAddress(from) !== formatAddress(this.remote))) return;
    if (this.datagrams.length < DATAGRAMS_MAX) this.datagrams.push({ bytes: bytes.slice(), from });
    this.changed();
  }

  private tellRefused(): boolean {
    const { refused } = this;
    this.refused = false;
    return refused;
  }

  shutdown(): number {
    return this.remote === null ? -ENOTCONN : 0;
  }

  ready(): number {
    return (this.datagrams.length > 0 ? abi.POLLIN : 0) | abi.POLLOUT;
  }
}

/** A name without a file is one that nobody listens to; a path may not be there at all. */
function nobodyAt(address: Address): number {
  return address.family === "unix" && !address.path.startsWith("\0") ? -ENOENT : -ECONNREFUSED;
}

/** Who is at which address. */
export class Network {
  /** How large the next socket's buffer is. */
  readonly capacity: () => number;
  /** Whether the bytes of a connection that breaks now are lost. */
  readonly forgetful: () => boolean;
  /** Called when a listener has room for connections again, or is gone. */
  readonly onRoom: () => void;
  private readonly bound = new Map<string, SimulatedSocket>();
  private lastPort = EPHEMERAL;

  constructor(capacity: () => number, forgetful: () => boolean, onRoom: () => void) {
    this.capacity = capacity;
    this.forgetful = forgetful;
    this.onRoom = onRoom;
  }

  bind(socket: SimulatedSocket, address: Address): number {
    if (familyOf(address) !== socket.family) return -EINVAL;
    const taken =
      address.family !== "unix" && address.port === 0 ? { ...address, port: ++this.lastPort } : address;
    const key = keyOf(taken, socket.stream);
    if (this.bound.has(key)) return -EADDRINUSE;
    this.bound.set(key, socket);
    socket.local = taken;
    return 0;
  }

  /** An address that nobody has. A unix socket needs none. */
  bindAnywhere(socket: SimulatedSocket): void {
    if (socket.family === abi.AF_UNIX) return;
    const v4 = socket.family === abi.AF_INET;
    this.bind(socket, { family: v4 ? "ipv4" : "ipv6", host: v4 ? "127.0.0.1" : "::1", port: 0 });
  }

  unbind(socket: SimulatedSocket): void {
    if (socket.local === null) return;
    const key = keyOf(socket.local, socket.stream);
    if (this.bound.get(key) === socket) this.bound.delete(key);
  }

  find(address: Address, stream: boolean): SimulatedSocket | null {
    const exact = this.bound.get(keyOf(address, stream));
    if (exact !== undefined || address.family === "unix") return exact ?? null;
    const anywhere = address.family === "ipv4" ? "0.0.0.0" : "::";
    return this.bound.get(keyOf({ ...address, host: anywhere }, stream)) ?? null;
  }

  listener(address: Address): StreamSocket | null {
    const socket = this.find(address, true);
    return socket instanceof StreamSocket && socket.pending !== null ? socket : null;
  }
}

function keyOf(address: Address, stream: boolean): string {
  return `${stream ? "stream" : "datagram"} ${formatAddress(address)}`;
}
