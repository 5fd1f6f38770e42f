/** Io operations as arms of a select: the losers are cancelled, waited for, and what they got is kept. */
import { describe, expect, test } from "vitest";
import { UsageError } from "../../src/coordinator/errors.ts";
import {
  Coordinator,
  never,
  type Operation,
  op,
  Signal,
  spawn,
  yieldNow,
} from "../../src/coordinator/index.ts";
import {
  accept,
  close,
  type Descriptor,
  Handle,
  listen,
  nop,
  openDatagram,
  openPipe,
  poll,
  read,
  readv,
  receiveFrom,
  recv,
  type Socket,
  sendAll,
  setupRecv,
} from "../../src/io/index.ts";
import { select, trySelect } from "../../src/sync/select.ts";
import { sleep } from "../../src/time/sleep.ts";
import { expectError, failureOf, ioCounts, runIo, stop, submitted, unixPair } from "../support/io.ts";

const text = (bytes: Buffer, count: number): string => bytes.toString("utf8", 0, count);

/** What a killed reader has left on `from`, after a select that took its first bytes was killed as well. */
const leftBy = op(function* (from: Descriptor, take: Operation<unknown>, idle: Socket) {
  // The receive has to be waited for: that is when the kill comes.
  const task = spawn(select({ idle: recv(idle, Buffer.alloc(4)), take }), { start: "now" });
  yield* stop(task);
  expect(task.exit?.status).toBe("killed");
  const left = Buffer.alloc(from.inbox.bytes);
  if (left.length > 0) from.inbox.putBack(left.subarray(0, from.inbox.take(left)));
  return left.toString();
});

describe("a killed reader whose bytes are here", () => {
  test("is the stream's reader until it has given them back", async () => {
    await runIo(function* () {
      const { near, far } = yield* unixPair();
      const into = Buffer.alloc(1);
      const killed = spawn(recv(far, Buffer.alloc(1)), { start: "now" });
      yield* submitted();
      // Both are done in one turn, and this task goes on first.
      yield* sendAll(near, Buffer.from("ab"));
      expect(killed.ended).toBe(false);
      killed.kill();
      expect(yield* failureOf(recv(far, into))).toMatchObject({ code: "COOP_BUSY" });
      yield* killed.settled();
      for (const letter of "ab") expect(text(into, yield* recv(far, into))).toBe(letter);
      yield* close(near);
      yield* close(far);
    });
  });
});

describe("select with io operations", () => {
  test("the one that is done wins with its value, the other is cancelled and over", async () => {
    await runIo(function* () {
      const { near, far } = yield* unixPair();
      const into = Buffer.alloc(8);
      const other = Buffer.alloc(8);
      yield* sendAll(near, Buffer.from("hello"));
      const won = yield* select({ answer: recv(near, other), data: recv(far, into) });
      expect(won).toEqual({ key: "data", value: 5 });
      expect(text(into, 5)).toBe("hello");
      expect(ioCounts().inflight).toBe(0);
      yield* close(near);
      yield* close(far);
    });
  });

  test("one that loses to something else has lost no bytes, and can be used again", async () => {
    await runIo(function* () {
      const { near, far } = yield* unixPair();
      const into = Buffer.alloc(8);
      const stop = new Signal();
      const data = recv(far, into);
      for (let i = 0; i < 20; i++) {
        const writer = spawn(sendAll(near, Buffer.from(String(i % 10))));
        spawn(function* () {
          yield* nop();
          stop.notify();
        });
        yield* select({ data: recv(far, into), stop: stop.wait() });
        yield* writer.join();
      }
      expect((yield* select({ data, tick: sleep(0) })).key).toMatch(/data|tick/);
      yield* sendAll(near, Buffer.from("last"));
      expect((yield* select({ data, later: sleep("10 seconds") })).key).toBe("data");
      yield* close(near);
      yield* close(far);
    });
  });

  test("bytes and datagrams that were kept, and taken by a select that was killed, come first again", async () => {
    await runIo(function* () {
      const { near, far } = yield* unixPair();
      const pipe = yield* openPipe();
      const into = Buffer.alloc(8);
      for (const [from, to, reader] of [
        [far, near, () => recv(far, into)],
        [pipe.reader, pipe.writer, () => read(pipe.reader, into)],
      ] as const) {
        const killed = spawn(reader(), { start: "now" });
        yield* submitted();
        yield* to.writeAll(Buffer.from("abcdefgh"));
        yield* stop(killed);
        if (!from.inbox.waiting) from.inbox.keep(into);
        const parts = [Buffer.alloc(2), Buffer.alloc(1)];
        const take = from === far ? recv(far, Buffer.alloc(3)) : read(pipe.reader, Buffer.alloc(3));
        expect(yield* leftBy(from, take, near)).toBe("abcdefgh");
        if (from !== far) expect(yield* leftBy(from, readv(pipe.reader, parts), near)).toBe("abcdefgh");
        // They are not with the kernel, and can be read all the same.
        expect((yield* poll(from)).readable).toBe(true);
        expect(text(into, yield* reader())).toBe("abcdefgh");
      }
      const datagram = yield* openDatagram("127.0.0.1:0");
      for (const words of ["long", "two"]) datagram.inbox.keepMessage(Buffer.from(words), null, false);
      const cut = spawn(
        select({
          idle: recv(near, Buffer.alloc(4)),
          take: receiveFrom(datagram, Buffer.alloc(3)),
        }),
        { start: "now" },
      );
      yield* stop(cut);
      expect(cut.exit?.status).toBe("killed");
      expect((yield* poll(datagram)).readable).toBe(true);
      expect(yield* receiveFrom(datagram, into)).toEqual({ count: 4, from: null, truncated: false });
      expect(text(into, 4)).toBe("long");
      pipe[Symbol.dispose]();
      yield* close(datagram);
      yield* close(near);
      yield* close(far);
    });
  });

  test("the bytes of every receive that lost reach the next reader, in order", async () => {
    await runIo(function* () {
      const { near, far } = yield* unixPair();
      const sent = Array.from({ length: 200 }, (_, i) => String.fromCharCode(97 + (i % 26))).join("");
      const writer = spawn(function* () {
        for (const letter of sent) {
          yield* sendAll(near, Buffer.from(letter));
          yield* nop();
        }
        yield* close(near);
      });
      let tick = new Coordinator({ held: true });
      const ticker = spawn(function* () {
        for (let i = 0; ; i++) {
          for (let nops = i % 5; nops >= 0; nops--) yield* nop();
          const now = tick;
          tick = new Coordinator({ held: true });
          now.release();
        }
      });
      const into = Buffer.alloc(8);
      let received = "";
      let left = 0;
      for (;;) {
        const won = yield* select({ data: recv(far, into), tick: tick.acquire() });
        if (won.key === "tick") left++;
        else if (won.value === 0) break;
        else received += text(into, won.value);
      }
      ticker.kill();
      expect(left).toBeGreaterThan(0);
      expect(received).toBe(sent);
      yield* writer.join();
      yield* close(far);
    });
  });

  test("bytes that were kept make it win at once, also against a signal behind it", async () => {
    await runIo(function* () {
      const { near, far } = yield* unixPair();
      const reader = spawn(recv(far, Buffer.alloc(8)), { priority: 2 });
      yield* submitted();
      yield* sendAll(near, Buffer.from("kept"));
      while (reader.status === "blocked") yield* nop();
      yield* stop(reader);
      const signal = new Signal();
      signal.notify();
      const into = Buffer.alloc(2);
      const before = ioCounts().submitted;
      expect(yield* select({ data: recv(far, into), signal: signal.wait() })).toEqual({
        key: "data",
        value: 2,
      });
      expect(ioCounts().submitted).toBe(before);
      // Killed while the other operation is being cancelled: what had been taken goes back.
      const second = spawn(select({ other: recv(near, Buffer.alloc(2)), data: recv(far, into) }));
      yield* yieldNow();
      expect(second.status).toBe("blocked");
      yield* stop(second);
      const rest = Buffer.alloc(8);
      expect(text(rest, yield* recv(far, rest))).toBe("pt");
      yield* close(near);
      yield* close(far);
    });
  });

  test("a kill cancels all of them and waits", async () => {
    await runIo(function* () {
      const { near, far } = yield* unixPair();
      const gate = new Coordinator({ held: true });
      const task = spawn(
        select({ a: recv(near, Buffer.alloc(1)), b: recv(far, Buffer.alloc(1)), gate: gate.acquire() }),
      );
      yield* submitted();
      yield* stop(task);
      expect(gate.waiting).toBe(0);
      expect(ioCounts().inflight).toBe(0);
      yield* close(near);
      yield* close(far);
    });
  });

  test("an accept that loses leaks no descriptor", async () => {
    await runIo(function* () {
      const listener = yield* listen({ host: "127.0.0.1", port: 0 });
      for (let i = 0; i < 5; i++) {
        const won = yield* select({ socket: accept(listener), tick: sleep(1) });
        expect(won.key).toBe("tick");
      }
      yield* close(listener);
      expect((yield* failureOf(select({ socket: accept(listener), never: never() }))).code).toBe(
        "COOP_CLOSED",
      );
    });
  });

  test("a handle of the user's is an arm, too, and trySelect takes neither", async () => {
    await runIo(function* () {
      const { near, far } = yield* unixPair();
      const handle = new Handle();
      const into = Buffer.alloc(8);
      setupRecv(handle, far, into);
      expect((yield* select({ handle, tick: sleep(1) })).key).toBe("tick");
      expect(handle.result).toBe(-125);
      setupRecv(handle, far, into);
      yield* sendAll(near, Buffer.from("abc"));
      expect(yield* select({ handle, never: never() })).toEqual({ key: "handle", value: 3 });
      const error = yield* failureOf(
        op(function* () {
          trySelect({ data: recv(far, into) });
        })(),
      );
      expectError(error, UsageError, "COOP_NOT_AN_ARM", /recv on socket.*has to be waited for/);
      yield* close(near);
      yield* close(far);
    });
  });

  test("a select that is iterated over by hand leaves its operations to themselves", async () => {
    await runIo(function* () {
      const { near, far } = yield* unixPair();
      const iterator = select({ data: recv(far, Buffer.alloc(1)), never: never() })[Symbol.iterator]();
      iterator.next();
      expect(() => iterator.next()).toThrow(UsageError);
      while (ioCounts().inflight > 1) yield* nop();
      yield* close(near);
      yield* close(far);
    });
  });
});
