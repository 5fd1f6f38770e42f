import { closeSync, openSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { describe, expect, it } from "vitest";
import { loadBinding } from "../../src/native/binding.ts";
import * as k from "../../src/native/layout.ts";
import { shared, TestRing } from "./support.ts";

const { addressOf, socketName, setSocketOption, getSocketOption, closeFd, validFd } = loadBinding();
const { inotifyOpen, inotifyAdd, inotifyRemove, socketNow, bindNow, listenNow, pipeNow } = loadBinding();
const [EBADF, EBUSY, EINVAL, ENOPROTOOPT, ENOTSOCK, ENOTCONN] = [9, 16, 22, 92, 88, 107];

function openSocket(family: number, type: number): number {
  using ring = new TestRing();
  const words = { [k.SQE_WORD_FD]: family, [k.SQE_WORD_OFF]: type | k.SOCK_CLOEXEC };
  ring.queue(k.OP_SOCKET, 1, words);
  ring.flush();
  const fd = ring.reap()[0]?.res ?? -1;
  expect(fd).toBeGreaterThan(2);
  return fd;
}

describe("addressOf", () => {
  it("is where the bytes are, for views of every kind", () => {
    const memory = new SharedArrayBuffer(64);
    const base = addressOf(new Uint8Array(memory));
    expect(base).toBeGreaterThan(2 ** 16);
    expect(Number.isSafeInteger(base)).toBe(true);
    expect(addressOf(new Uint8Array(memory, 5))).toBe(base + 5);
    expect(addressOf(new Float64Array(memory, 8, 2))).toBe(base + 8);
    expect(addressOf(new BigInt64Array(memory, 16))).toBe(base + 16);
    expect(addressOf(new DataView(memory, 3, 4))).toBe(base + 3);
    expect(addressOf(Buffer.from(memory, 7, 1))).toBe(base + 7);
  });

  it("stays the same for small arrays the engine first kept on its own heap", () => {
    const small = new Uint8Array([1, 2, 3]);
    const before = addressOf(small);
    expect(addressOf(new Uint8Array(small.buffer, 1))).toBe(before + 1);
  });

  it("Q03 is 0 for empty and detached views", () => {
    expect(addressOf(new Uint8Array(0))).toBe(0);
    const detached = new Uint8Array(16);
    structuredClone(detached.buffer, { transfer: [detached.buffer] });
    expect(addressOf(detached)).toBe(0);
    const dataView = new DataView(new ArrayBuffer(8));
    structuredClone(dataView.buffer, { transfer: [dataView.buffer] });
    expect(addressOf(dataView)).toBe(0);
  });

  it("Q03 refuses what is not a view", () => {
    for (const wrong of [new ArrayBuffer(8), new SharedArrayBuffer(8), [1], "bytes", 1, null, undefined]) {
      expect(() => addressOf(wrong as never)).toThrow(TypeError);
    }
  });
});

describe("socket names and options", () => {
  it("tells both ends of a connection apart", async () => {
    const server: Server = createServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as { port: number };
    const fd = openSocket(k.AF_INET, k.SOCK_STREAM);
    const address = shared(k.SOCKADDR_IN_SIZE);
    expect(socketName(fd, true, address)).toBe(-ENOTCONN);
    const view = new DataView(address.buffer);
    view.setUint16(k.SOCKADDR_FAMILY, k.AF_INET, true);
    view.setUint16(k.SOCKADDR_IN_PORT, port);
    address.set([127, 0, 0, 1], k.SOCKADDR_IN_ADDR);
    using ring = new TestRing();
    const at = addressOf(address);
    ring.queue(k.OP_CONNECT, 1, {
      [k.SQE_WORD_FD]: fd,
      [k.SQE_WORD_ADDR]: at | 0,
      [k.SQE_WORD_ADDR + 1]: Math.floor(at / 2 ** 32),
      [k.SQE_WORD_OFF]: k.SOCKADDR_IN_SIZE,
    });
    const accepted = new Promise<Socket>((resolve) => server.once("connection", resolve));
    expect(ring.native.wait(1, 1, 1_000_000_000)).toBe(1);
    expect(ring.reap()[0]?.res).toBe(0);

    const out = new Uint8Array(k.SOCKADDR_STORAGE_SIZE);
    expect(socketName(fd, true, out)).toBe(k.SOCKADDR_IN_SIZE);
    expect([...out.subarray(0, 8)]).toEqual([...address.subarray(0, 8)]);
    expect(socketName(fd, false, out)).toBe(k.SOCKADDR_IN_SIZE);
    const peer = await accepted;
    expect(new DataView(out.buffer).getUint16(k.SOCKADDR_IN_PORT)).toBe(peer.remotePort);
    // Cut to what fits, and the length says that it was.
    const cut = new Uint8Array(4).fill(0xff);
    expect(socketName(fd, true, cut.subarray(0, 2))).toBe(k.SOCKADDR_IN_SIZE);
    expect([...cut]).toEqual([k.AF_INET, 0, 0xff, 0xff]);
    expect(socketName(fd, true, new Uint8Array(0))).toBe(k.SOCKADDR_IN_SIZE);
    closeFd(fd);
    peer.destroy();
    server.close();
  });

  it("sets and gets ints and structures", () => {
    const fd = openSocket(k.AF_INET, k.SOCK_STREAM);
    const int = new Int32Array(1);
    expect(setSocketOption(fd, k.IPPROTO_TCP, k.TCP_NODELAY, 1)).toBe(0);
    expect(getSocketOption(fd, k.IPPROTO_TCP, k.TCP_NODELAY, int)).toBe(4);
    expect(int[0]).toBe(1);
    const linger = Int32Array.of(1, 5);
    expect(setSocketOption(fd, k.SOL_SOCKET, k.SO_LINGER, linger)).toBe(0);
    const back = new Int32Array(2);
    expect(getSocketOption(fd, k.SOL_SOCKET, k.SO_LINGER, back)).toBe(8);
    expect([...back]).toEqual([1, 5]);
    expect(getSocketOption(fd, k.SOL_SOCKET, 9999, int)).toBe(-ENOPROTOOPT);
    expect(setSocketOption(fd, k.SOL_SOCKET, k.SO_LINGER, new Uint8Array(1))).toBe(-EINVAL);
    expect(setSocketOption(fd, k.SOL_SOCKET, k.SO_LINGER, new Uint8Array(0))).toBe(-EINVAL);
    expect(closeFd(fd)).toBe(0);
    expect(getSocketOption(fd, k.SOL_SOCKET, k.SO_TYPE, int)).toBe(-EBADF);
  });

  it("names the errno for other descriptors", () => {
    const fd = openSync("/dev/null", "r");
    expect(socketName(fd, false, new Uint8Array(16))).toBe(-ENOTSOCK);
    expect(setSocketOption(fd, k.SOL_SOCKET, k.SO_REUSEADDR, 1)).toBe(-ENOTSOCK);
    closeSync(fd);
  });
});

describe("closeFd and validFd", () => {
  it("R03 closes once", () => {
    const fd = openSync("/dev/null", "r");
    expect(validFd(fd)).toBe(true);
    expect(closeFd(fd)).toBe(0);
    expect(validFd(fd)).toBe(false);
    expect(closeFd(fd)).toBe(-EBADF);
  });

  it("R10 refuses the descriptors of an open ring", () => {
    const ring = new TestRing();
    expect(closeFd(ring.native.fd)).toBe(-EBUSY);
    expect(closeFd(ring.native.eventfd)).toBe(-EBUSY);
    expect(validFd(ring.native.fd)).toBe(true);
    ring.native.close();
    expect(closeFd(ring.native.fd)).toBe(-EBADF);
  });

  it("R10 refuses what cannot be a descriptor", () => {
    for (const fd of [-1, 2 ** 31, 1.5, Number.NaN, Number.POSITIVE_INFINITY]) {
      expect(() => closeFd(fd)).toThrow(RangeError);
      expect(() => validFd(fd)).toThrow(RangeError);
    }
    expect(() => closeFd("3" as never)).toThrow(TypeError);
    expect(validFd(2 ** 31 - 1)).toBe(false);
  });
});

describe("calls for kernels without the opcodes", () => {
  const EAFNOSUPPORT = 97;
  const EADDRINUSE = 98;
  const EFAULT = 14;

  it("make sockets and pipes, and say what the kernel refuses", () => {
    const name = new Uint8Array(16);
    name.set([k.AF_INET, 0, 0, 0, 127, 0, 0, 1]);
    const stream = k.SOCK_STREAM | k.SOCK_CLOEXEC;
    const fds = [socketNow(k.AF_INET, stream), socketNow(k.AF_INET, stream)];
    const ends = new Int32Array(2);
    try {
      expect(bindNow(fds[0]!, name)).toBe(0);
      expect(listenNow(fds[0]!, 5)).toBe(0);
      const bound = new Uint8Array(16);
      expect(socketName(fds[0]!, false, bound)).toBe(16);
      expect(bindNow(fds[1]!, bound)).toBe(-EADDRINUSE);
      expect(pipeNow(ends)).toBe(0);
      expect(bindNow(ends[0]!, name)).toBe(-ENOTSOCK);
      expect(listenNow(ends[0]!, 5)).toBe(-ENOTSOCK);
    } finally {
      for (const fd of [...fds, ...ends]) expect(closeFd(fd)).toBe(0);
    }
    expect(socketNow(0x7fff, stream)).toBe(-EAFNOSUPPORT);
    expect(bindNow(fds[0]!, new Uint8Array(200))).toBe(-EINVAL);
    expect(pipeNow(new Uint8Array(7))).toBe(-EFAULT);
    expect(() => socketNow(-1, 1)).toThrow(RangeError);
    expect(() => listenNow(0, 1.5)).toThrow(RangeError);
    expect(() => bindNow(0, "127.0.0.1" as never)).toThrow(TypeError);
  });
});

describe("inotify", () => {
  const ENOENT = 2;
  const ENAMETOOLONG = 36;

  it("adds and removes watches, and says what the kernel refuses", () => {
    const fd = inotifyOpen();
    expect(fd).toBeGreaterThan(2);
    try {
      const watch = inotifyAdd(fd, Buffer.from("/tmp"), k.IN_CREATE);
      expect(watch).toBeGreaterThan(0);
      expect(inotifyAdd(fd, Buffer.from("/tmp"), k.IN_CREATE | k.IN_MASK_CREATE)).toBe(-17);
      expect(inotifyRemove(fd, watch)).toBe(0);
      expect(inotifyRemove(fd, watch)).toBe(-EINVAL);
      expect(inotifyAdd(fd, Buffer.from("/no/such/place"), k.IN_CREATE)).toBe(-ENOENT);
      expect(inotifyAdd(fd, new Uint8Array(0), k.IN_CREATE)).toBe(-ENOENT);
      expect(inotifyAdd(fd, Buffer.alloc(4096, "a"), k.IN_CREATE)).toBe(-ENAMETOOLONG);
      expect(inotifyAdd(fd, Buffer.from("/tmp"), 0)).toBe(-EINVAL);
    } finally {
      expect(closeFd(fd)).toBe(0);
    }
    expect(inotifyAdd(fd, Buffer.from("/tmp"), k.IN_CREATE)).toBe(-EBADF);
    expect(inotifyRemove(fd, 1)).toBe(-EBADF);
  });

  it("refuses what is no descriptor, no path, no mask and no watch", () => {
    const path = Buffer.from("/tmp");
    for (const fd of [-1, 1.5, Number.NaN, 2 ** 31])
      expect(() => inotifyAdd(fd, path, 1)).toThrow(RangeError);
    for (const wrong of ["/tmp", null, undefined, 1]) {
      expect(() => inotifyAdd(0, wrong as never, 1)).toThrow(TypeError);
    }
    for (const mask of [-1, 2 ** 32, Number.NaN]) expect(() => inotifyAdd(0, path, mask)).toThrow(RangeError);
    expect(() => inotifyRemove(0, 2 ** 31)).toThrow(RangeError);
    expect(() => inotifyRemove("0" as never, 1)).toThrow(TypeError);
  });
});
