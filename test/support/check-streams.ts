/**
 * What every stream of bytes must do, as one list of checks: for one direction, for both, and for streams of
 * which one direction can be ended alone. Each check gets fresh streams.
 */
import { expect } from "vitest";
import { type Operation, op, spawn } from "../../src/coordinator/index.ts";
import type { ByteReader, ByteWriter, Descriptor } from "../../src/io/index.ts";
import { failureOf, nodeTurn, pattern, stop, submitted } from "./io.ts";

/** The end that is written to, and the end that is read from. */
export interface OneWay {
  readonly sender: Descriptor & ByteWriter & { close(): Operation<void> };
  readonly receiver: Descriptor & ByteReader & { close(): Operation<void> };
}

type Check = (make: () => Operation<OneWay>) => Operation<void>;

/** More than any kernel buffers by itself. */
const MUCH = 8 * 1024 * 1024;

const some = op(function* (from: ByteReader, length?: number) {
  const into = Buffer.alloc(length ?? 64);
  return into.toString("latin1", 0, yield* from.read(into));
});

const put = (to: ByteWriter, text: string): Operation<void> => to.writeAll(Buffer.from(text));

const all = op(function* (from: ByteReader, length: number) {
  const into = Buffer.alloc(length);
  let count = 0;
  while (count < length) {
    const got = yield* from.read(into.subarray(count));
    if (got === 0) break;
    count += got;
  }
  return into.subarray(0, count);
});

/** A task that writes until nothing more fits. */
const clog = op(function* (to: ByteWriter) {
  const task = spawn(to.writeAll(Buffer.alloc(MUCH)), { failure: "hold" });
  for (let i = 0; i < 8; i++) yield* nodeTurn();
  expect(task.status).toBe("blocked");
  return task;
});

const check = (body: (streams: OneWay) => Operation<void>): Check =>
  op(function* (make: () => Operation<OneWay>) {
    const streams = yield* make();
    yield* body(streams);
    yield* streams.sender.close();
    yield* streams.receiver.close();
  });

/** What must hold for one direction. */
export const oneWayChecks: Readonly<Record<string, Check>> = {
  "a byte, and several, come out as they went in": check(function* ({ sender, receiver }) {
    yield* put(sender, "x");
    expect(yield* some(receiver)).toBe("x");
    yield* put(sender, "one");
    yield* put(sender, "two");
    expect((yield* all(receiver, 6)).toString()).toBe("onetwo");
  }),
  "a reader that came first gets what comes later": check(function* ({ sender, receiver }) {
    const reader = spawn(some(receiver));
    yield* submitted();
    yield* put(sender, "late");
    expect(yield* reader.join()).toBe("late");
  }),
  "nothing can be sent, and is not received": check(function* ({ sender, receiver }) {
    yield* put(sender, "");
    yield* put(sender, "y");
    yield* put(sender, "");
    expect(yield* some(receiver)).toBe("y");
  }),
  "nothing can be asked for, and is not the end": check(function* ({ sender, receiver }) {
    expect(yield* receiver.read(Buffer.alloc(0))).toBe(0);
    yield* put(sender, "z");
    expect(yield* receiver.read(Buffer.alloc(0))).toBe(0);
    expect(yield* some(receiver)).toBe("z");
  }),
  "all kinds of bytes are taken, and what is no bytes is refused": check(function* ({ sender, receiver }) {
    for (const bytes of [
      new Uint8Array([97]),
      Buffer.from("a"),
      new Uint8Array(new SharedArrayBuffer(1)).fill(97),
    ]) {
      yield* sender.writeAll(bytes);
      expect(yield* some(receiver)).toBe("a");
    }
    for (const wrong of ["text", 7, null, undefined, [1], {}]) {
      expect((yield* failureOf(() => sender.writeAll(wrong as never))).code).toBe("COOP_BUFFER");
      expect((yield* failureOf(() => receiver.read(wrong as never))).code).toBe("COOP_BUFFER");
    }
    yield* put(sender, "fine");
    expect(yield* some(receiver)).toBe("fine");
  }),
  "small reads get a part, and the rest stays": check(function* ({ sender, receiver }) {
    yield* put(sender, "abcde");
    expect(yield* some(receiver, 1)).toBe("a");
    expect(yield* some(receiver, 2)).toBe("bc");
    expect(yield* some(receiver)).toBe("de");
  }),
  "a second reader is refused, and the first one gets everything": check(function* ({ sender, receiver }) {
    const reader = spawn(some(receiver));
    yield* submitted();
    for (let i = 0; i < 2; i++) expect((yield* failureOf(() => some(receiver))).code).toBe("COOP_BUSY");
    yield* put(sender, "whole");
    expect(yield* reader.join()).toBe("whole");
    yield* put(sender, "next");
    expect(yield* some(receiver)).toBe("next");
  }),
  "a second writer is refused, and the first one's bytes stay together": check(function* ({
    sender,
    receiver,
  }) {
    const writer = yield* clog(sender);
    for (let i = 0; i < 2; i++) expect((yield* failureOf(() => put(sender, "mixed"))).code).toBe("COOP_BUSY");
    expect((yield* all(receiver, MUCH)).equals(Buffer.alloc(MUCH))).toBe(true);
    yield* writer.join();
    yield* put(sender, "next");
    expect(yield* some(receiver)).toBe("next");
  }),
  "the end is read when the sender closes, again and again": check(function* ({ sender, receiver }) {
    yield* put(sender, "last");
    yield* sender.close();
    expect(yield* some(receiver)).toBe("last");
    for (let i = 0; i < 3; i++) expect(yield* some(receiver)).toBe("");
  }),
  "a reader that waits gets the end": check(function* ({ sender, receiver }) {
    const reader = spawn(some(receiver));
    yield* submitted();
    yield* sender.close();
    expect(yield* reader.join()).toBe("");
  }),
  "a sender is told when the receiver has closed, and from then on": check(function* ({ sender, receiver }) {
    yield* receiver.close();
    let error = null;
    for (let i = 0; i < 100 && error === null; i++) {
      try {
        yield* sender.writeAll(Buffer.alloc(1 << 16));
        yield* nodeTurn();
      } catch (caught) {
        error = caught;
      }
    }
    expect(["EPIPE", "ECONNRESET"]).toContain((error as { code?: string } | null)?.code);
    for (let i = 0; i < 2; i++) {
      expect(["EPIPE", "COOP_CLOSED"]).toContain((yield* failureOf(() => put(sender, "x"))).code);
    }
  }),
  "a sender that waits is told when the receiver closes": check(function* ({ sender, receiver }) {
    const writer = yield* clog(sender);
    yield* receiver.close();
    expect(["EPIPE", "ECONNRESET"]).toContain((yield* failureOf(writer.join())).code);
    expect((yield* failureOf(() => put(sender, "x"))).code).toBe("COOP_CLOSED");
  }),
  "a sender that has closed sends no more, not even nothing": check(function* ({ sender }) {
    yield* sender.close();
    for (const text of ["x", "", "x"]) {
      expect((yield* failureOf(() => put(sender, text))).code).toBe("COOP_CLOSED");
    }
  }),
  "a receiver that has closed receives no more": check(function* ({ sender, receiver }) {
    yield* put(sender, "never read");
    yield* receiver.close();
    for (let i = 0; i < 2; i++) expect((yield* failureOf(() => some(receiver))).code).toBe("COOP_CLOSED");
  }),
  "closing again, from several tasks, is harmless": check(function* ({ sender, receiver }) {
    for (const end of [sender, receiver]) {
      const closing = [spawn(end.close()), spawn(end.close())];
      for (const task of closing) yield* task.join();
      yield* end.close();
      end[Symbol.dispose]();
      expect([end.closed, end.fd]).toEqual([true, -1]);
    }
  }),
  "a close that is killed closes all the same": check(function* ({ sender, receiver }) {
    const reader = spawn(some(receiver), { failure: "hold" });
    yield* submitted();
    for (const end of [sender, receiver]) {
      const closing = spawn(end.close(), { start: "now" });
      yield* stop(closing);
      expect(end.closed).toBe(true);
    }
    yield* reader.settled();
    yield* sender.close();
    yield* receiver.close();
    expect([sender.fd, receiver.fd]).toEqual([-1, -1]);
  }),
  "a reader that waits is told of the close of its own end": check(function* ({ receiver }) {
    const reader = spawn(some(receiver), { failure: "hold" });
    yield* submitted();
    yield* receiver.close();
    expect((yield* failureOf(reader.join())).code).toBe("COOP_CLOSED");
  }),
  "a writer that waits is told of the close of its own end": check(function* ({ sender }) {
    const writer = yield* clog(sender);
    yield* sender.close();
    expect((yield* failureOf(writer.join())).code).toBe("COOP_CLOSED");
  }),
  "a reader that is killed takes nothing with it": check(function* ({ sender, receiver }) {
    for (let i = 0; i < 10; i++) {
      const reader = spawn(some(receiver), { failure: "hold" });
      for (let turn = 0; turn < i % 4; turn++) yield* submitted();
      yield* put(sender, String(i));
      const exit = yield* reader.killAndWait();
      if (exit.status === "done") expect(exit.value).toBe(String(i));
      else expect(yield* some(receiver)).toBe(String(i));
    }
  }),
  "a writer that is killed in the middle leaves a stream that takes no more": check(function* ({
    sender,
    receiver,
  }) {
    const writer = yield* clog(sender);
    yield* stop(writer);
    expect(sender.brokenAt).toBeGreaterThan(0);
    const error = yield* failureOf(() => put(sender, "after"));
    expect([error.code, error.message.includes(`after ${sender.brokenAt} bytes`)]).toEqual([
      "COOP_CLOSED",
      true,
    ]);
    // What went out is there, and then the end.
    const sent = sender.brokenAt;
    yield* sender.close();
    expect((yield* all(receiver, MUCH)).length).toBe(sent);
  }),
  "a sender waits for a slow receiver, and memory is bounded": check(function* ({ sender, receiver }) {
    const writer = yield* clog(sender);
    const before = process.memoryUsage().arrayBuffers;
    expect((yield* all(receiver, MUCH)).length).toBe(MUCH);
    yield* writer.join();
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(5 * MUCH);
  }),
};

/** What must hold for both directions together. */
export const twoWayChecks: Readonly<Record<string, Check>> = {
  "S02 much goes both ways at once": op(function* (make: () => Operation<OneWay>) {
    const { sender, receiver } = yield* make();
    const ends = [sender, receiver] as unknown as (ByteReader & ByteWriter)[];
    const LENGTH = 1 << 20;
    const feed = op(function* (to: ByteWriter, seed: number) {
      const bytes = pattern(LENGTH, seed);
      for (let at = 0, i = seed; at < LENGTH; i++) {
        const size = 1 + ((i * 7919) % 16384);
        yield* to.writeAll(bytes.subarray(at, at + size));
        at += size;
      }
    });
    const tasks = ends.map((end, i) => [spawn(feed(end, i)), spawn(all(ends[1 - i], LENGTH))] as const);
    for (const [i, [feeding, reading]] of tasks.entries()) {
      yield* feeding.join();
      expect((yield* reading.join()).equals(pattern(LENGTH, i))).toBe(true);
    }
    yield* sender.close();
    yield* receiver.close();
  }),
  "reading and writing at once is no conflict": check(function* ({ sender, receiver }) {
    const there = sender as unknown as ByteReader;
    const back = receiver as unknown as ByteWriter;
    const reader = spawn(some(there));
    yield* submitted();
    yield* put(sender, "ask");
    expect(yield* some(receiver)).toBe("ask");
    yield* put(back, "answer");
    expect(yield* reader.join()).toBe("answer");
  }),
};

type HalfWay = ByteReader & ByteWriter & { end(): Operation<void>; close(): Operation<void> };

/** For streams of which one direction can be ended alone. */
export const halfCloseChecks: Readonly<Record<string, Check>> = {
  "S06 one direction is ended, and the other goes on": check(function* ({ sender, receiver }) {
    const near = sender as unknown as HalfWay;
    const far = receiver as unknown as HalfWay;
    yield* put(near, "ask");
    yield* near.end();
    yield* near.end();
    expect(yield* some(far)).toBe("ask");
    for (let i = 0; i < 2; i++) expect(yield* some(far)).toBe("");
    for (const text of ["x", ""]) expect((yield* failureOf(() => put(near, text))).code).toBe("COOP_CLOSED");
    yield* put(far, "answer");
    expect(yield* some(near)).toBe("answer");
    yield* far.end();
    expect(yield* some(near)).toBe("");
  }),
  "S06 an end while something is sent is refused, and the message arrives": check(function* ({
    sender,
    receiver,
  }) {
    const near = sender as unknown as HalfWay;
    const writer = yield* clog(sender);
    expect((yield* failureOf(() => near.end())).code).toBe("COOP_BUSY");
    expect((yield* all(receiver, MUCH)).length).toBe(MUCH);
    yield* writer.join();
    yield* near.end();
    expect(yield* some(receiver)).toBe("");
  }),
  "S06 an end of what is closed is refused": check(function* ({ sender }) {
    const near = sender as unknown as HalfWay;
    yield* near.close();
    expect((yield* failureOf(() => near.end())).code).toBe("COOP_CLOSED");
  }),
};
