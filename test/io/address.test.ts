/** Addresses: as people write them, as the kernel has them, and back. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { UsageError } from "../../src/coordinator/errors.ts";
import {
  type Address,
  type AddressLike,
  accept,
  bind,
  close,
  connect,
  formatAddress,
  listen,
  parseAddress,
  socket,
} from "../../src/io/index.ts";
import { addressDetails, decodeAddress, encodeAddress, familyOf } from "../../src/io/socket/address.ts";
import { AF_INET, AF_INET6, AF_UNIX } from "../../src/native/layout.ts";
import { abstractName, expectError, runIo, thrownBy } from "../support/io.ts";

const inet = (family: "ipv4" | "ipv6", host: string, port: number): Address => ({ family, host, port });
const unix = (path: string): Address => ({ family: "unix", path });

/** What is written, what it means, and the bytes of its sockaddr. */
const GOOD: readonly (readonly [AddressLike, Address, string])[] = [
  ["127.0.0.1:80", inet("ipv4", "127.0.0.1", 80), "02000050 7f000001 0000000000000000"],
  ["0.0.0.0:0", inet("ipv4", "0.0.0.0", 0), "02000000 00000000 0000000000000000"],
  ["255.255.255.255:65535", inet("ipv4", "255.255.255.255", 65535), "0200ffff ffffffff 0000000000000000"],
  ["localhost:8080", inet("ipv4", "127.0.0.1", 8080), "02001f90 7f000001 0000000000000000"],
  [{ port: 80 }, inet("ipv4", "0.0.0.0", 80), "02000050 00000000 0000000000000000"],
  [{ host: undefined as never, port: 1 }, inet("ipv4", "0.0.0.0", 1), "02000001 00000000 0000000000000000"],
  [{ host: "10.1.2.3", port: 258 }, inet("ipv4", "10.1.2.3", 258), "02000102 0a010203 0000000000000000"],
  [inet("ipv4", "1.2.3.4", 5), inet("ipv4", "1.2.3.4", 5), "02000005 01020304 0000000000000000"],
  ["[::1]:443", inet("ipv6", "::1", 443), `0a0001bb 00000000 ${"0".repeat(30)}01 00000000`],
  ["[::]:0", inet("ipv6", "::", 0), `0a000000 00000000 ${"0".repeat(32)} 00000000`],
  [{ host: "::", port: 7 }, inet("ipv6", "::", 7), `0a000007 00000000 ${"0".repeat(32)} 00000000`],
  ["[1::]:1", inet("ipv6", "1::", 1), `0a000001 00000000 0001${"0".repeat(28)} 00000000`],
  [
    "[2001:db8:1:2:3:4:5:ffff]:9",
    inet("ipv6", "2001:db8:1:2:3:4:5:ffff", 9),
    "0a000009 00000000 20010db800010002000300040005ffff 00000000",
  ],
  [
    "[2001:DB8::A]:9",
    inet("ipv6", "2001:DB8::A", 9),
    "0a000009 00000000 20010db800000000000000000000000a 00000000",
  ],
  [
    "[::ffff:192.168.1.2]:9",
    inet("ipv6", "::ffff:192.168.1.2", 9),
    "0a000009 00000000 00000000000000000000ffffc0a80102 00000000",
  ],
  [
    "[64:ff9b::1.2.3.4]:9",
    inet("ipv6", "64:ff9b::1.2.3.4", 9),
    "0a000009 00000000 0064ff9b000000000000000001020304 00000000",
  ],
  [
    "[1:2:3:4:5:6:7.8.9.10]:9",
    inet("ipv6", "1:2:3:4:5:6:7.8.9.10", 9),
    "0a000009 00000000 0001000200030004000500060708090a 00000000",
  ],
  [
    "[fe80::1%3]:9",
    inet("ipv6", "fe80::1%3", 9),
    "0a000009 00000000 fe800000000000000000000000000001 03000000",
  ],
  [
    { host: "fe80::1%4294967295", port: 9 },
    inet("ipv6", "fe80::1%4294967295", 9),
    "0a000009 00000000 fe800000000000000000000000000001 ffffffff",
  ],
  ["unix:/run/x", unix("/run/x"), "0100 2f72756e2f78 00"],
  [{ path: "/run/x" }, unix("/run/x"), "0100 2f72756e2f78 00"],
  ["unix:relative:80", unix("relative:80"), "0100 72656c61746976653a3830 00"],
  ["unix:/tmp/\u00e9", unix("/tmp/\u00e9"), "0100 2f746d702fc3a9 00"],
  ["unix:\0abstract", unix("\0abstract"), "0100 006162737472616374"],
  [{ path: "\0a" }, unix("\0a"), "0100 0061"],
];

/** What cannot be an address, and what the message says. */
const BAD: readonly (readonly [unknown, RegExp])[] = [
  ["", /"" is no address: write 127\.0\.0\.1:80, \[::1\]:80 or unix:\/path/],
  ["127.0.0.1", /is no address/],
  ["80", /is no address/],
  [":80", /is no address/],
  ["::1:80", /is no address/],
  ["[::1]", /is no address/],
  ["[::1:80", /is no address/],
  ["[]:80", /is no address/],
  ["127.0.0.1:http", /is no address/],
  ["127.0.0.1:-1", /is no address/],
  ["127.0.0.1:65536", /a port is a whole number from 0 to 65535, not the number 65536/],
  ["127.0.0.1:123456", /is no address/],
  ["127.0.0.1:80\n", /is no address|is no IP address/],
  ["256.0.0.1:80", /"256\.0\.0\.1" is no IP address; look host names up first \(node:dns\)/],
  ["127.1:80", /is no IP address/],
  ["01.2.3.4:80", /is no IP address/],
  ["example.org:80", /look host names up first/],
  ["[1.2.3.4]x:80", /is no address/],
  ["[:::1]:80", /is no IP address/],
  ["[1:2:3:4:5:6:7:8:9]:80", /is no IP address/],
  ["[fe80::1%eth0]:80", /the zone of an IPv6 address is an interface number here, not "eth0"/],
  ["[fe80::1%4294967296]:80", /interface number/],
  ["[fe80::1%-1]:80", /interface number|no IP address/],
  [{ host: "fe80::1%x", port: 1 }, /interface number/],
  [{}, /an address needs a port, or a path/],
  [{ host: "127.0.0.1" }, /needs a port/],
  [{ host: "127.0.0.1", port: "80" }, /a port is a whole number.*not the string 80/],
  [{ port: 1.5 }, /a port is a whole number/],
  [{ port: Number.NaN }, /a port is a whole number/],
  [{ port: -1 }, /a port is a whole number/],
  [{ host: 5, port: 80 }, /a host is a text, not the number 5/],
  [{ host: "", port: 80 }, /is no IP address/],
  [{ path: 5 }, /a unix socket's path is a text, not the number 5/],
  [{ path: "" }, /path is not empty/],
  ["unix:", /path is not empty/],
  [{ path: "a\0b" }, /has no NUL inside/],
  [{ path: "\0a\0b" }, /has no NUL inside/],
  [{ path: "x".repeat(108) }, /at most 107 bytes, this one has 108/],
  [{ path: `${"x".repeat(106)}\u00e9` }, /this one has 108/],
  [{ path: `\0${"x".repeat(108)}` }, /this one has 109/],
  [null, /null is no address/],
  [undefined, /undefined is no address/],
  [80, /the number 80 is no address/],
  [() => 80, /is no address/],
  [["127.0.0.1", 80], /needs a port/],
];

function encoded(address: Address): Uint8Array {
  const out = new Uint8Array(128).fill(0xee);
  const length = encodeAddress(address, out);
  expect([...out.subarray(length)]).toEqual(Array(128 - length).fill(0));
  return out.slice(0, length);
}

describe("parsing and encoding", () => {
  test.each(GOOD)("%j", (like, address, bytes) => {
    expect(parseAddress(like)).toEqual(address);
    expect(Buffer.from(encoded(address)).toString("hex")).toBe(bytes.replaceAll(" ", ""));
  });

  test.each(BAD)("%j is no address, and the error says why", (like, text) => {
    expectError(
      thrownBy(() => parseAddress(like as AddressLike)),
      UsageError,
      "COOP_ADDRESS",
      text,
    );
  });

  test("only own properties count: a polluted prototype changes nothing", () => {
    const prototype = Object.prototype as { host?: string; path?: string };
    prototype.host = "10.0.0.1";
    prototype.path = "/elsewhere";
    try {
      expect(parseAddress({ port: 80 })).toEqual(inet("ipv4", "0.0.0.0", 80));
      expect(thrownBy(() => parseAddress({} as AddressLike)).code).toBe("COOP_ADDRESS");
    } finally {
      delete prototype.host;
      delete prototype.path;
    }
  });

  test("the longest paths there are", () => {
    for (const path of ["x".repeat(107), `\0${"y".repeat(107)}`]) {
      const address = parseAddress({ path });
      const bytes = encoded(address);
      expect(bytes.length).toBe(110);
      expect(decodeAddress(bytes, bytes.length)).toEqual(address);
    }
  });

  test("families and what errors say", () => {
    expect(GOOD.slice(0, 1).map(([, address]) => familyOf(address))).toEqual([AF_INET]);
    expect(familyOf(inet("ipv6", "::1", 1))).toBe(AF_INET6);
    expect(familyOf(unix("/x"))).toBe(AF_UNIX);
    expect(addressDetails(unix("/x"))).toEqual({ path: "/x" });
    expect(addressDetails(inet("ipv4", "1.2.3.4", 5))).toEqual({ address: "1.2.3.4", port: 5 });
  });
});

describe("decoding", () => {
  test.each([
    ["::", "::"],
    ["::1", "::1"],
    ["1::", "1::"],
    ["1:0:0:2:0:0:0:3", "1:0:0:2::3"],
    ["1:0:0:0:2:0:0:3", "1::2:0:0:3"],
    ["0:0:1:0:0:2:0:0", "::1:0:0:2:0:0"],
    ["1:0:2:3:4:5:6:7", "1:0:2:3:4:5:6:7"],
    ["1:2:3:4:5:6:7:0", "1:2:3:4:5:6:7:0"],
    ["::ffff:1.2.3.4", "::ffff:102:304"],
    ["2001:DB8::00AB", "2001:db8::ab"],
    ["fe80::1%7", "fe80::1%7"],
  ])("%s is written %s (RFC 5952)", (host, canonical) => {
    const bytes = encoded(inet("ipv6", host, 80));
    expect(decodeAddress(bytes, bytes.length)).toEqual(inet("ipv6", canonical, 80));
  });

  test("what is too short, or of a family we do not know, is nothing", () => {
    const v4 = encoded(inet("ipv4", "1.2.3.4", 5));
    const v6 = encoded(inet("ipv6", "::1", 5));
    for (const length of [0, 1, 2, 15]) expect(decodeAddress(v4, length)).toBeNull();
    for (const length of [16, 27]) expect(decodeAddress(v6, length)).toBeNull();
    expect(decodeAddress(Uint8Array.of(17, 0, 1, 2, 3, 4), 6)).toBeNull();
    // An unnamed unix socket has nothing but its family.
    expect(decodeAddress(encoded(unix("/x")), 2)).toEqual(unix(""));
  });

  test("bytes may lie anywhere in their buffer", () => {
    const around = new Uint8Array(200).fill(0xff);
    const length = encodeAddress(inet("ipv4", "1.2.3.4", 5), around.subarray(3, 131));
    expect(decodeAddress(around.subarray(3, 131), length)).toEqual(inet("ipv4", "1.2.3.4", 5));
    expect([...around.subarray(0, 3), ...around.subarray(131)].every((byte) => byte === 0xff)).toBe(true);
  });
});

const port = fc.integer({ min: 0, max: 65535 });
const anyAddress: fc.Arbitrary<Address> = fc.oneof(
  fc.record({ host: fc.ipV4(), port }).map(({ host, port: number }) => inet("ipv4", host, number)),
  fc.record({ host: fc.ipV6(), port }).map(({ host, port: number }) => inet("ipv6", host, number)),
  fc
    .record({ host: fc.ipV6(), zone: fc.integer({ min: 1, max: 2 ** 32 - 1 }), port })
    .map(({ host, zone, port: number }) => inet("ipv6", `${host}%${zone}`, number)),
  fc
    .record({ abstract: fc.boolean(), name: fc.string({ unit: "grapheme", minLength: 1, maxLength: 20 }) })
    .filter(
      ({ name }) =>
        !name.includes("\0") && Buffer.byteLength(name) <= 107 && Buffer.from(name).toString() === name,
    )
    .map(({ abstract, name }) => unix(abstract ? `\0${name}` : name)),
);

describe("round trips", () => {
  test("an address survives being written down and read again", () => {
    fc.assert(
      fc.property(anyAddress, (address) => {
        expect(parseAddress(formatAddress(address))).toEqual(address);
        expect(parseAddress(address)).toEqual(address);
      }),
      { numRuns: 500, seed: 11 },
    );
  });

  test("and the way through the kernel's form, which has one way to write each", () => {
    fc.assert(
      fc.property(anyAddress, (address) => {
        const bytes = encoded(address);
        const canonical = decodeAddress(bytes, bytes.length)!;
        expect(encoded(canonical)).toEqual(bytes);
        const again = encoded(parseAddress(formatAddress(canonical)));
        expect(again).toEqual(bytes);
      }),
      { numRuns: 500, seed: 12 },
    );
  });

  test("control: two different addresses differ in the kernel's form", () => {
    fc.assert(
      fc.property(port, port, (one, other) => {
        fc.pre(one !== other);
        expect(encoded(inet("ipv4", "1.2.3.4", one))).not.toEqual(encoded(inet("ipv4", "1.2.3.4", other)));
      }),
      { numRuns: 100, seed: 13 },
    );
  });
});

test("the kernel agrees: bound and connected sockets have the addresses that were given", async () => {
  await runIo(function* () {
    for (const like of ["127.0.0.1:0", "[::1]:0", "[::ffff:127.0.0.1]:0", { path: abstractName() }]) {
      const address = parseAddress(like);
      if (address.family === "ipv6" && address.host.includes("ffff")) {
        const made = yield* socket("ipv6");
        yield* bind(made, address);
        expect(made.localAddress).toMatchObject({ family: "ipv6", host: "::ffff:7f00:1" });
        yield* close(made);
        continue;
      }
      const listener = yield* listen(like);
      const local = listener.localAddress!;
      if (local.family === "unix") expect(local).toEqual(address);
      else {
        expect(local.port).toBeGreaterThan(0);
        expect(local).toMatchObject({ ...address, port: local.port });
      }
      const near = yield* connect(local);
      const far = yield* accept(listener);
      expect(near.remoteAddress).toEqual(local);
      expect(far.localAddress).toEqual(local);
      expect(far.remoteAddress).toEqual(near.localAddress);
      if (local.family !== "unix") expect(far.remote).toBe(formatAddress(near.localAddress!));
      for (const each of [near, far, listener]) yield* close(each);
    }
  });
});
