/** What is kept for the next reader: against a dumb model, and through every kind of read. */
import { describe, expect, test } from "vitest";
import { spawn } from "../../src/coordinator/index.ts";
import { Inbox, type Kept } from "../../src/io/descriptor/inbox.ts";
import { ECONNRESET, EPIPE } from "../../src/io/errno.ts";
import {
  adoptSocket,
  BufferRing,
  close,
  type Descriptor,
  openDatagram,
  openPipe,
  poll,
  Receiver,
  read,
  readToEnd,
  readv,
  receiveDescriptors,
  receiveFrom,
  recv,
  sendAll,
  sendDescriptors,
  sendTo,
  spawnProcess,
  splice,
  stdin,
  write,
  writeAll,
  writev,
  writevAll,
} from "../../src/io/index.ts";
import { failureOf, runIo, submitted, tcpPair, unixPair } from "../support/io.ts";
import { random } from "../support/sync.ts";

describe("an inbox", () => {
  test("keeps the order of bytes, whatever is kept, taken and put back", () => {
    for (let seed = 1; seed <= 200; seed++) {
      const below = random(seed);
      const inbox = new Inbox();
      const model: number[] = [];
      let next = 0;
      for (let step = 0; step < 60; step++) {
        if (below(10) < 4) {
          const bytes = Uint8Array.from({ length: below(5) }, () => next++ & 255);
          inbox.keep(bytes);
          model.push(...bytes);
          // It was copied.
          bytes.fill(0);
        } else if (inbox.waiting) {
          const into = new Uint8Array(1 + below(7));
          const count = inbox.take(into);
          const got = [...into.subarray(0, count)];
          expect(got).toEqual(model.splice(0, count));
          expect(count).toBeGreaterThan(0);
          if (below(10) < 4) {
            inbox.putBack(into.subarray(0, count));
            model.unshift(...got);
          }
        }
        expect(inbox.bytes).toBe(model.length);
        expect(inbox.waiting).toBe(model.length > 0);
      }
    }
  });

  test("keeps messages whole and in their order, also when several are put back in another", () => {
    for (let seed = 1; seed <= 200; seed++) {
      const below = random(seed);
      const inbox = new Inbox();
      const out: Kept[] = [];
      let sent = 0;
      let model: number[] = [];
      for (let step = 0; step < 60; step++) {
        const dice = below(10) / 10;
        if (dice < 0.4) {
          inbox.keepMessage(Uint8Array.of(sent), null, false);
          model.push(sent++);
        } else if (dice < 0.7) {
          const message = inbox.takeMessage();
          expect(message?.bytes[0]).toBe(model.shift());
          if (message !== null) out.push(message);
        } else if (out.length > 0) {
          const [message] = out.splice(below(out.length), 1);
          inbox.putBackMessage(message!);
          model = [...model, message!.bytes[0]!].sort((a, b) => a - b);
        }
        expect(inbox.length).toBe(model.length);
      }
    }
  });

  test("an error stands behind the bytes and stays; what ends nothing is not kept", () => {
    const inbox = new Inbox();
    inbox.readFailed(-11);
    expect(inbox.waiting).toBe(false);
    inbox.keep(Buffer.from("ab"));
    inbox.readFailed(-ECONNRESET);
    inbox.keep(Buffer.from("c"));
    const into = Buffer.alloc(2);
    expect([inbox.take(into), into.toString()]).toEqual([2, "ab"]);
    expect(inbox.take(into)).toBe(1);
    for (let i = 0; i < 2; i++) expect(inbox.take(into)).toBe(-ECONNRESET);
  });

  test("the end after a lost connection is that error, and none after a peer that reads no more", () => {
    const inbox = new Inbox();
    inbox.sendFailed(-EPIPE);
    expect(inbox.ended()).toBe(0);
    inbox.sendFailed(-ECONNRESET);
    expect(inbox.waiting).toBe(false);
    expect(inbox.ended()).toBe(-ECONNRESET);
    expect(inbox.take(Buffer.alloc(1))).toBe(-ECONNRESET);
  });

  test("a message that does not fit is cut, an empty one is one, and nothing is kept after the end", () => {
    const inbox = new Inbox();
    inbox.keepMessage(Buffer.from("long"), null, false);
    inbox.keepMessage(Buffer.alloc(0), null, false);
    inbox.keep(Buffer.from("x"));
    const into = Buffer.alloc(2);
    expect(inbox.take(into)).toBe(2);
    expect(inbox.take(into)).toBe(0);
    expect(inbox.take(into)).toBe(1);
    inbox.close();
    inbox.keep(Buffer.from("x"));
    inbox.putBack(Buffer.from("x"));
    inbox.keepMessage(Buffer.from("x"), null, false);
    expect(inbox.waiting).toBe(false);
  });
});

describe("a number that is given away", () => {
  test("is refused while bytes are kept, and tells what to do", async () => {
    await runIo(function* () {
      const { near, far } = yield* unixPair();
      far.inbox.keep(Buffer.from("kept"));
      expect(() => far.release()).toThrow(
        expect.objectContaining({
          code: "COOP_UNREAD",
          message: expect.stringMatching(/4 bytes.*read them/),
        }),
      );
      // Nothing has changed: the bytes are still there, and then the number is free to go.
      expect(yield* recv(far, Buffer.alloc(8))).toBe(4);
      const again = adoptSocket(far.release());
      yield* close(again);
      yield* close(near);
    });
  });

  test("is refused after a reset, which the kernel has told already", async () => {
    await runIo(function* () {
      const { near, far } = yield* tcpPair();
      near.setOption("linger", 0);
      yield* close(near);
      expect((yield* failureOf(recv(far, Buffer.alloc(1)))).code).toBe("ECONNRESET");
      expect(() => far.release()).toThrow(expect.objectContaining({ code: "ECONNRESET" }));
      yield* close(far);
    });
  });

  test("is refused to another process or program while bytes are kept", async () => {
    await runIo(function* () {
      const { near, far } = yield* unixPair();
      const { near: client, far: connection } = yield* tcpPair();
      const input = stdin();
      for (const each of [connection, input]) each.inbox.keep(Buffer.from("kept"));
      for (const given of [
        sendDescriptors(near, Buffer.from("x"), [client, connection]),
        spawnProcess("cat", [], { stdin: connection }),
        spawnProcess("cat", [], { stdin: "inherit" }),
      ]) {
        const refused = yield* failureOf(given);
        expect(refused.code).toBe("COOP_UNREAD");
        expect(refused.message).toMatch(/4 bytes.*read them/);
      }
      // Nothing has changed, and nothing was sent.
      const into = Buffer.alloc(8);
      expect(yield* recv(connection, into)).toBe(4);
      expect(yield* sendDescriptors(near, Buffer.from("y"), [connection])).toBe(1);
      using received = yield* receiveDescriptors(far, into);
      expect([into.toString("latin1", 0, received.count), received.remaining]).toEqual(["y", 1]);
      for (const each of [near, far, client, connection, input]) yield* close(each);
    });
  });

  test("is refused while a receiver or an acceptor stands on it", async () => {
    await runIo(function* () {
      const { near, far } = yield* unixPair();
      const receiver = new Receiver(far, new BufferRing({ count: 4 }));
      expect(() => far.release()).toThrow(expect.objectContaining({ code: "COOP_DESCRIPTOR" }));
      yield* receiver.release();
      const again = adoptSocket(far.release());
      yield* close(again);
      yield* close(near);
    });
  });
});

describe("every kind of read", () => {
  test("of a stream gets what is kept first, and then the error that ended it", async () => {
    await runIo(function* () {
      const { near, far } = yield* tcpPair();
      const pipe = yield* openPipe();
      const ring = new BufferRing({ count: 4 });
      const into = Buffer.alloc(2);
      for (const letters of ["ab", "cd", "ef", "gh", "ij"]) far.inbox.keep(Buffer.from(letters));
      near.setOption("linger", 0);
      yield* close(near);
      expect((yield* poll(far)).readable).toBe(true);
      expect(yield* recv(far, into)).toBe(2);
      expect(yield* read(far, into)).toBe(2);
      expect(into.toString()).toBe("cd");
      expect(yield* readv(far, [into.subarray(0, 1), into.subarray(1)])).toBe(2);
      expect((yield* failureOf(splice(far, pipe.writer, { length: 1 }))).code).toBe("COOP_UNREAD");
      const receiver = new Receiver(far, ring);
      expect(yield* receiver.read(into)).toBe(2);
      expect(yield* receiver.read(into)).toBe(2);
      expect(into.toString()).toBe("ij");
      expect((yield* failureOf(receiver.read(into))).code).toBe("ECONNRESET");
      yield* receiver.release();
      for (const again of [
        recv(far, into),
        read(far, into),
        readv(far, [into]),
        splice(far, pipe.writer, { length: 1 }),
      ]) {
        expect((yield* failureOf(again)).code).toBe("ECONNRESET");
      }
      expect((yield* poll(far)).readable).toBe(true);
      pipe[Symbol.dispose]();
      yield* close(far);
    });
  });

  test("a reset that read(2) was told of is what recv(2) is told as well", async () => {
    await runIo(function* () {
      for (const first of [read, (far: Descriptor, into: Buffer) => readv(far, [into])]) {
        const { near, far } = yield* tcpPair();
        near.setOption("linger", 0);
        yield* close(near);
        expect((yield* failureOf(first(far, Buffer.alloc(1)))).code).toBe("ECONNRESET");
        expect((yield* failureOf(recv(far, Buffer.alloc(1)))).code).toBe("ECONNRESET");
        yield* close(far);
      }
    });
  });

  test("T10 a socket or a pipe has no positions: nothing is read past what is kept, or written between", async () => {
    await runIo(function* () {
      const { near, far } = yield* unixPair();
      const pipe = yield* openPipe();
      const bytes = Buffer.from("x");
      for (const stream of [near, pipe.writer, pipe.reader, far]) {
        for (const call of [
          read(stream, bytes, { position: 0 }),
          readv(stream, [bytes], { position: 0 }),
          write(stream, bytes, { position: 0 }),
          writeAll(stream, bytes, { position: 0 }),
          writeAll(stream, bytes, { position: 2n ** 60n }),
          writev(stream, [bytes], { position: 0 }),
          writevAll(stream, [bytes], { position: 0 }),
        ]) {
          expect((yield* failureOf(call)).code).toBe("ESPIPE");
        }
      }
      pipe[Symbol.dispose]();
      for (const each of [near, far]) yield* close(each);
    });
  });

  test("POL12 readToEnd that is cut short loses nothing, whether by a kill or by its limit", async () => {
    await runIo(function* () {
      const { near, far } = yield* unixPair();
      const into = Buffer.alloc(16);
      const reading = spawn(readToEnd(far), { failure: "hold" });
      yield* sendAll(near, Buffer.from("begin"));
      while (far.reader === null) yield* submitted();
      yield* submitted();
      yield* reading.killAndWait("enough");
      yield* sendAll(near, Buffer.from("ning"));
      expect((yield* failureOf(readToEnd(far, 8))).code).toBe("EOVERFLOW");
      yield* near.end();
      expect(String(yield* readToEnd(far))).toBe("beginning");
      expect(yield* recv(far, into)).toBe(0);
      yield* close(near);
      yield* close(far);
    });
  });

  test("POL11 POL12 of a stream by recvmsg(2) has no more boundaries than by recv(2)", async () => {
    await runIo(function* () {
      const { near, far } = yield* unixPair();
      const into = Buffer.alloc(3);
      far.inbox.keep(Buffer.from("abcdefgh"));
      expect(yield* recv(far, into)).toBe(3);
      expect(yield* receiveFrom(far, into)).toMatchObject({ count: 3, truncated: false });
      expect(into.toString()).toBe("def");
      expect(yield* recv(far, into)).toBe(2);
      // One that was killed leaves its bytes, whether they were kept or the kernel's.
      const reading = spawn(receiveFrom(far, into));
      yield* submitted();
      expect((yield* failureOf(receiveFrom(far, into))).code).toBe("COOP_BUSY");
      yield* sendTo(near, Buffer.from("ijk"), null);
      yield* reading.killAndWait("enough");
      const rest = Buffer.alloc(8);
      expect(rest.toString("latin1", 0, yield* recv(far, rest))).toBe("ijk");
      near.brokenAt = 1;
      expect((yield* failureOf(sendTo(near, into, null))).code).toBe("COOP_CLOSED");
      yield* close(near);
      yield* close(far);
    });
  });

  test("T02 of datagrams keeps each whole when it is read into several parts", async () => {
    await runIo(function* () {
      const udp = yield* openDatagram("127.0.0.1:0");
      for (const words of ["the first", "other"]) udp.inbox.keepMessage(Buffer.from(words), null, false);
      const parts = [Buffer.alloc(4), Buffer.alloc(8)];
      expect(yield* readv(udp, parts)).toBe(9);
      expect(Buffer.concat(parts, 9).toString()).toBe("the first");
      expect(yield* readv(udp, [parts[0]!])).toBe(4);
      expect(parts[0]!.toString()).toBe("othe");
      expect(udp.inbox.waiting).toBe(false);
      yield* close(udp);
    });
  });

  test("of datagrams keeps each whole, also when recv(2) and recvmsg(2) are mixed", async () => {
    await runIo(function* () {
      const udp = yield* openDatagram("127.0.0.1:0");
      const sender = yield* openDatagram("127.0.0.1:0");
      const address = udp.localAddress!;
      const into = Buffer.alloc(8);
      for (const words of ["one", "three"]) udp.inbox.keepMessage(Buffer.from(words), null, false);
      yield* sender.sendTo(Buffer.from("last"), address);
      expect(yield* recv(udp, into)).toBe(3);
      expect(yield* receiveFrom(udp, into)).toMatchObject({ count: 5, from: null });
      expect(yield* receiveFrom(udp, into)).toMatchObject({ count: 4, from: sender.localAddress });
      yield* close(udp);
      yield* close(sender);
    });
  });
});
