/** Socket addresses as people write them, and as the kernel wants them: ip(7), ipv6(7), unix(7). */
import { isIPv4, isIPv6 } from "node:net";
import { UsageError } from "../../coordinator/errors.ts";
import { describeValue } from "../../coordinator/operation.ts";
import {
  AF_INET,
  AF_INET6,
  AF_UNIX,
  SOCKADDR_IN_ADDR,
  SOCKADDR_IN_PORT,
  SOCKADDR_IN_SIZE,
  SOCKADDR_IN6_ADDR,
  SOCKADDR_IN6_PORT,
  SOCKADDR_IN6_SCOPE,
  SOCKADDR_IN6_SIZE,
  SOCKADDR_UN_PATH,
  SOCKADDR_UN_SIZE,
} from "../../native/layout.ts";

/** An IPv4 or IPv6 endpoint. */
export interface InetAddress {
  readonly family: "ipv4" | "ipv6";
  readonly host: string;
  readonly port: number;
}

/** A unix socket: a path, or a name that starts with NUL (abstract), or "" for an unnamed one. */
export interface UnixAddress {
  readonly family: "unix";
  readonly path: string;
}

export type Address = InetAddress | UnixAddress;

/**
 * What may be given for an address: `"127.0.0.1:80"`, `"[::1]:80"`, `"unix:/run/app.sock"`,
 * `{ host: "::1", port: 80 }`, `{ port: 80 }` (every interface), `{ path: "/run/app.sock" }`.
 * Host names are not looked up here.
 */
export type AddressLike =
  | string
  | Address
  | { readonly host?: string; readonly port: number }
  | { readonly path: string };

/** A host name that has to be looked up. */
export interface HostName {
  readonly family: "name";
  readonly host: string;
  readonly port: number;
}

/** What may be given for a peer: an address, or a host's name in the place of one. */
export type TargetLike = AddressLike;

const PATH_MAX_BYTES = SOCKADDR_UN_SIZE - SOCKADDR_UN_PATH;

/**
 * Parses an address.
 *
 * @throws {UsageError} `COOP_ADDRESS` saying what is wrong with it.
 */
export function parseAddress(value: AddressLike): Address {
  if (typeof value === "string") return parseText(value);
  if (typeof value !== "object" || value === null) {
    throw bad(`${describeValue(value)} is no address`);
  }
  const own = value as { host?: unknown; port?: unknown; path?: unknown };
  if (Object.hasOwn(own, "path")) {
    const { path } = own;
    if (typeof path !== "string") throw bad(`a unix socket's path is a text, not ${describeValue(path)}`);
    return unixAddress(path);
  }
  if (!Object.hasOwn(own, "port")) throw bad("an address needs a port, or a path");
  return inetAddress(Object.hasOwn(own, "host") && own.host !== undefined ? own.host : "0.0.0.0", own.port);
}

/**
 * Parses an address or `"host:port"`, `{ host, port }` with a host's name.
 *
 * @throws {UsageError} `COOP_ADDRESS` saying what is wrong with it.
 */
export function parseTarget(value: TargetLike): Address | HostName {
  let host: unknown;
  let port: unknown;
  if (typeof value === "string") {
    const match = /^([^:[\]]+):(\d{1,5})$/.exec(value);
    if (match === null || value.startsWith("unix:")) return parseAddress(value);
    [host, port] = [match[1], Number(match[2])];
  } else if (typeof value === "object" && value !== null && !Object.hasOwn(value, "path")) {
    const own = value as { host?: unknown; port?: unknown };
    if (!Object.hasOwn(own, "host")) return parseAddress(value);
    ({ host, port } = own);
  } else return parseAddress(value);
  if (typeof host !== "string" || isIPv4(host) || isIPv6(host)) return parseAddress(value);
  checkPort(port);
  checkName(host);
  return { family: "name", host, port };
}

/** RFC 1035 allows 253 characters; what a name may consist of is for those who look it up to say. */
function checkName(host: string): void {
  if (host === "" || host.length > 253 || /[\s\0/@:[\]]/.test(host)) throw bad(`"${host}" is no host's name`);
}

/** @throws {UsageError} `COOP_ADDRESS` for what cannot be looked up. */
export function checkHost(host: unknown, port: unknown): void {
  checkPort(port);
  if (typeof host !== "string") throw bad(`a host is a text, not ${describeValue(host)}`);
  if (!isIPv4(host) && !isIPv6(host)) checkName(host);
}

function parseText(text: string): Address {
  if (text.startsWith("unix:")) return unixAddress(text.slice(5));
  const match = /^(?:\[([^\]]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(text);
  if (match === null) {
    throw bad(`"${text}" is no address: write 127.0.0.1:80, [::1]:80 or unix:/path`);
  }
  return inetAddress(match[1] ?? match[2], Number(match[3]));
}

function checkPort(port: unknown): asserts port is number {
  if (typeof port === "number" && Number.isInteger(port) && port >= 0 && port <= 65535) return;
  throw bad(`a port is a whole number from 0 to 65535, not ${describeValue(port)}`);
}

function inetAddress(host: unknown, port: unknown): InetAddress {
  checkPort(port);
  if (typeof host !== "string") throw bad(`a host is a text, not ${describeValue(host)}`);
  const name = host === "localhost" ? "127.0.0.1" : host;
  if (isIPv4(name)) return { family: "ipv4", host: name, port };
  if (isIPv6(name)) {
    const zone = name.split("%")[1];
    if (zone !== undefined) scopeOf(zone);
    return { family: "ipv6", host: name, port };
  }
  throw bad(`"${host}" is no IP address; look host names up first (node:dns), or use connect()`);
}

function unixAddress(path: string): UnixAddress {
  const abstract = path.startsWith("\0");
  if (path.indexOf("\0", 1) !== -1) throw bad("a unix socket's path has no NUL inside");
  if (path === "") throw bad("a unix socket's path is not empty");
  const length = Buffer.byteLength(path);
  if (length + (abstract ? 0 : 1) > PATH_MAX_BYTES) {
    throw bad(`a unix socket's path has at most ${PATH_MAX_BYTES - 1} bytes, this one has ${length}`);
  }
  return { family: "unix", path };
}

function bad(message: string): UsageError {
  return new UsageError("COOP_ADDRESS", message);
}

/** AF_* of an address. */
export function familyOf(address: Address): number {
  return address.family === "unix" ? AF_UNIX : address.family === "ipv6" ? AF_INET6 : AF_INET;
}

/** Writes the sockaddr of `address` into `out`, which has room for 128 bytes; returns its length. */
export function encodeAddress(address: Address, out: Uint8Array): number {
  out.fill(0, 0, 128);
  const view = new DataView(out.buffer, out.byteOffset, out.byteLength);
  view.setUint16(0, familyOf(address), true);
  if (address.family === "unix") {
    const written = Buffer.from(out.buffer, out.byteOffset, out.byteLength).write(
      address.path,
      SOCKADDR_UN_PATH,
      "utf8",
    );
    return SOCKADDR_UN_PATH + written + (address.path.startsWith("\0") ? 0 : 1);
  }
  if (address.family === "ipv4") {
    view.setUint16(SOCKADDR_IN_PORT, address.port);
    const parts = address.host.split(".");
    for (let i = 0; i < 4; i++) out[SOCKADDR_IN_ADDR + i] = Number(parts[i]);
    return SOCKADDR_IN_SIZE;
  }
  view.setUint16(SOCKADDR_IN6_PORT, address.port);
  const [host, zone] = address.host.split("%");
  const groups = expandIPv6(host!);
  for (let i = 0; i < 8; i++) view.setUint16(SOCKADDR_IN6_ADDR + i * 2, groups[i]!);
  if (zone !== undefined) view.setUint32(SOCKADDR_IN6_SCOPE, scopeOf(zone), true);
  return SOCKADDR_IN6_SIZE;
}

function scopeOf(zone: string): number {
  const scope = Number(zone);
  if (!Number.isInteger(scope) || scope < 0 || scope > 0xffff_ffff) {
    throw bad(`the zone of an IPv6 address is an interface number here, not "${zone}"`);
  }
  return scope;
}

/** The eight groups of a valid IPv6 address. */
function expandIPv6(host: string): number[] {
  let text = host;
  const dotted = /^(.*:)(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(text);
  if (dotted !== null) {
    const [a, b, c, d] = dotted.slice(2).map(Number) as [number, number, number, number];
    text = `${dotted[1]}${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`;
  }
  const [head, tail] = text.split("::");
  const left = head === "" ? [] : head!.split(":");
  const right = tail === undefined || tail === "" ? [] : tail.split(":");
  const zeros = tail === undefined ? 0 : 8 - left.length - right.length;
  return [...left, ...new Array<string>(zeros).fill("0"), ...right].map((group) =>
    Number.parseInt(group, 16),
  );
}

/** Reads a sockaddr of `length` bytes; null for a family we do not know. */
export function decodeAddress(bytes: Uint8Array, length: number): Address | null {
  if (length < 2) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const family = view.getUint16(0, true);
  if (family === AF_UNIX) {
    const path = Buffer.from(bytes.subarray(SOCKADDR_UN_PATH, length)).toString("utf8");
    const abstract = path.startsWith("\0");
    return { family: "unix", path: abstract ? path : path.replace(/\0.*$/s, "") };
  }
  if (family === AF_INET && length >= SOCKADDR_IN_SIZE) {
    const host = [...bytes.subarray(SOCKADDR_IN_ADDR, SOCKADDR_IN_ADDR + 4)].join(".");
    return { family: "ipv4", host, port: view.getUint16(SOCKADDR_IN_PORT) };
  }
  if (family === AF_INET6 && length >= SOCKADDR_IN6_SIZE) {
    const groups: number[] = [];
    for (let i = 0; i < 8; i++) groups.push(view.getUint16(SOCKADDR_IN6_ADDR + i * 2));
    const scope = view.getUint32(SOCKADDR_IN6_SCOPE, true);
    const host = compressIPv6(groups) + (scope === 0 ? "" : `%${scope}`);
    return { family: "ipv6", host, port: view.getUint16(SOCKADDR_IN6_PORT) };
  }
  return null;
}

/** The longest run of zeros becomes "::" (RFC 5952). */
function compressIPv6(groups: readonly number[]): string {
  let best = -1;
  let bestLength = 1;
  for (let i = 0; i < 8; i++) {
    let length = 0;
    while (i + length < 8 && groups[i + length] === 0) length++;
    if (length > bestLength) {
      best = i;
      bestLength = length;
    }
    i += length;
  }
  const text = groups.map((group) => group.toString(16));
  if (best === -1) return text.join(":");
  return `${text.slice(0, best).join(":")}::${text.slice(best + bestLength).join(":")}`;
}

/**
 * An address in the form {@link parseAddress} reads.
 *
 * @throws {UsageError} `COOP_ADDRESS` for what is none.
 */
export function formatAddress(address: Address): string {
  if (typeof address !== "object" || address === null) throw bad(`${describeValue(address)} is no address`);
  if (address.family === "unix") return `unix:${address.path}`;
  if (address.family !== "ipv4" && address.family !== "ipv6") {
    throw bad("an address has the family ipv4, ipv6 or unix");
  }
  const host = address.family === "ipv6" ? `[${address.host}]` : address.host;
  return `${host}:${address.port}`;
}

/** What an error says about an address. */
export function addressDetails(address: Address): { path?: string; address?: string; port?: number } {
  return address.family === "unix" ? { path: address.path } : { address: address.host, port: address.port };
}
