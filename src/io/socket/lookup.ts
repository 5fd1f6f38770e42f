/** Host names: getaddrinfo(3) by way of Node, as a wait that a kill ends. */
import { promises as dns } from "node:dns";
import { type Operation, op } from "../../coordinator/operation.ts";
import { IoError } from "../errno.ts";
import { throughNode } from "../file/through-node.ts";
import { checkHost, type InetAddress } from "./address.ts";

/**
 * The addresses of a host, in the order the system prefers. A kill leaves the look-up behind: it goes on in a
 * thread of Node's until it ends by itself.
 *
 * @throws {UsageError} `COOP_ADDRESS` for what is no name. @throws {IoError} `ENOTFOUND`, `EAI_AGAIN`, …
 */
export const lookup: (host: string, port: number) => Operation<readonly InetAddress[]> = op(function* lookup(
  host: string,
  port: number,
) {
  checkHost(host, port);
  try {
    const found = yield* throughNode("getaddrinfo", () => dns.lookup(host, { all: true, verbatim: true }));
    return found.map(
      ({ address, family }): InetAddress => ({
        family: family === 6 ? "ipv6" : "ipv4",
        host: address,
        port,
      }),
    );
  } catch (error) {
    if (!(error instanceof IoError)) throw error;
    throw new IoError(error.errno, error.syscall, { address: host, port });
  }
});

/** The families take turns, the preferred one first (RFC 8305, section 4). */
export function interleave(addresses: readonly InetAddress[]): InetAddress[] {
  const first = addresses.filter(({ family }) => family === addresses[0]?.family);
  const others = addresses.filter(({ family }) => family !== addresses[0]?.family);
  const mixed: InetAddress[] = [];
  for (let i = 0; i < first.length || i < others.length; i++) {
    if (i < first.length) mixed.push(first[i]!);
    if (i < others.length) mixed.push(others[i]!);
  }
  return mixed;
}
