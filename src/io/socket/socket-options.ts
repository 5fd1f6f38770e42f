/** Options of sockets, by name and with types: socket(7), tcp(7), ip(7), unix(7). */
import { UsageError } from "../../coordinator/errors.ts";
import { describeValue } from "../../coordinator/operation.ts";
import * as abi from "../../native/layout.ts";
import type { Io } from "../io.ts";

/** What can be read and set. An option that a kind of socket does not have is an `IoError`, mostly `ENOTSUP`. */
export interface SocketOptions {
  /** Small messages go out at once instead of being collected (TCP_NODELAY). Accepted sockets inherit it. */
  noDelay: boolean;
  /** Asks a silent peer from time to time whether it is still there (SO_KEEPALIVE). */
  keepAlive: boolean;
  /** Seconds of silence before the first such question, seconds between them, and how many without an answer. */
  keepAliveIdle: number;
  keepAliveInterval: number;
  keepAliveCount: number;
  /** Milliseconds that sent bytes may stay unacknowledged before the connection fails; 0 for the default. */
  userTimeout: number;
  /**
   * Seconds a close goes on trying to send what is queued; 0 drops it and resets the connection; -1, the
   * default, leaves it to the system (SO_LINGER).
   */
  linger: number;
  /** Bytes of the kernel's buffers. It doubles what is set, has limits, and tells what it took. */
  receiveBuffer: number;
  sendBuffer: number;
  /** An address that closed connections still hold may be taken (SO_REUSEADDR). */
  reuseAddress: boolean;
  /** Several listeners may share an address (SO_REUSEPORT). */
  reusePort: boolean;
  /** Datagrams may be sent to broadcast addresses. */
  broadcast: boolean;
  /** Hops a packet may take; of IPv4 and of IPv6 sockets. */
  ttl: number;
  hopLimit: number;
  /** An IPv6 socket does not take IPv4 as well. */
  v6Only: boolean;
}

export type SocketOption = keyof SocketOptions;

type Form = "boolean" | "number" | "linger";

class Option {
  readonly level: number;
  readonly name: number;
  readonly form: Form;
  constructor(level: number, name: number, form: Form) {
    this.level = level;
    this.name = name;
    this.form = form;
  }
}

const { IPPROTO_TCP, IPPROTO_IP, IPPROTO_IPV6, SOL_SOCKET } = abi;

const options: ReadonlyMap<string, Option> = new Map<SocketOption, Option>([
  ["noDelay", new Option(IPPROTO_TCP, abi.TCP_NODELAY, "boolean")],
  ["keepAlive", new Option(SOL_SOCKET, abi.SO_KEEPALIVE, "boolean")],
  ["keepAliveIdle", new Option(IPPROTO_TCP, abi.TCP_KEEPIDLE, "number")],
  ["keepAliveInterval", new Option(IPPROTO_TCP, abi.TCP_KEEPINTVL, "number")],
  ["keepAliveCount", new Option(IPPROTO_TCP, abi.TCP_KEEPCNT, "number")],
  ["userTimeout", new Option(IPPROTO_TCP, abi.TCP_USER_TIMEOUT, "number")],
  ["linger", new Option(SOL_SOCKET, abi.SO_LINGER, "linger")],
  ["receiveBuffer", new Option(SOL_SOCKET, abi.SO_RCVBUF, "number")],
  ["sendBuffer", new Option(SOL_SOCKET, abi.SO_SNDBUF, "number")],
  ["reuseAddress", new Option(SOL_SOCKET, abi.SO_REUSEADDR, "boolean")],
  ["reusePort", new Option(SOL_SOCKET, abi.SO_REUSEPORT, "boolean")],
  ["broadcast", new Option(SOL_SOCKET, abi.SO_BROADCAST, "boolean")],
  ["ttl", new Option(IPPROTO_IP, abi.IP_TTL, "number")],
  ["hopLimit", new Option(IPPROTO_IPV6, abi.IPV6_UNICAST_HOPS, "number")],
  ["v6Only", new Option(IPPROTO_IPV6, abi.IPV6_V6ONLY, "boolean")],
]);

/** @internal */
export function findOption(name: unknown): Option {
  const option = typeof name === "string" ? options.get(name) : undefined;
  if (option !== undefined) return option;
  throw new UsageError(
    "COOP_ARGUMENT",
    `a socket option is one of ${[...options.keys()].join(", ")}, not ${describeValue(name)}`,
  );
}

/** @internal The option's value for the kernel. */
export function encodeOption(option: Option, name: string, value: unknown): number | Uint8Array {
  if (option.form === "boolean") {
    if (typeof value === "boolean") return value ? 1 : 0;
    throw new UsageError("COOP_ARGUMENT", `${name} is true or false, not ${describeValue(value)}`);
  }
  const least = option.form === "linger" ? -1 : 0;
  if (typeof value !== "number" || !Number.isInteger(value) || value < least || value > 0x7fff_ffff) {
    throw new UsageError(
      "COOP_ARGUMENT",
      `${name} is a whole number from ${least} up, not ${describeValue(value)}`,
    );
  }
  if (option.form === "number") return value;
  return new Uint8Array(new Int32Array([value < 0 ? 0 : 1, Math.max(value, 0)]).buffer);
}

const fact = new Int32Array(1);

/** @internal What never changes about a socket: its SO_TYPE, its SO_DOMAIN. -1 when `number` is no socket. */
export function socketFact(io: Io, number: number, name: number): number {
  const known = io.driver.calls.getSocketOption(number, SOL_SOCKET, name, new Uint8Array(fact.buffer)) >= 0;
  return known ? fact[0]! : -1;
}

/** Bytes of the largest option here. */
export const OPTION_BYTES = 16;

/** @internal The value the kernel has written. */
export function decodeOption(option: Option, bytes: Uint8Array): boolean | number {
  const words = new Int32Array(bytes.buffer, bytes.byteOffset, 2);
  if (option.form === "boolean") return words[0] !== 0;
  if (option.form === "number") return words[0]!;
  return words[0] === 0 ? -1 : words[1]!;
}
