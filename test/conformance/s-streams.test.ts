/** Conformance S: streams, what is built on them, and what is serves or dials. */
import { describe, expect, test } from "vitest";
import { type Operation, op, spawn } from "../../src/coordinator/index.ts";
import {
  BufferedReader,
  BufferedWriter,
  type ByteReader,
  connect,
  IncompleteError,
  LimitError,
  listen,
  openPipe,
  readToEnd,
  type Socket,
} from "../../src/io/index.ts";
import { timeout } from "../../src/time/index.ts";
import { halfCloseChecks, type OneWay, oneWayChecks, twoWayChecks } from "../support/check-streams.ts";
import { exhaustive } from "../support/harness.ts";
import {
  expectError,
  failureOf,
  ioCounts,
  nodeTurn,
  onRings,
  type Pair,
  pattern,
  rings,
  runIo,
  stop,
  submitted,
  tcpPair,
  unixPair,
  until,
} from "../support/io.ts";

const oneWay = (pairOf: () => Operation<Pair>, forth: boolean): (() => Operation<OneWay>) =>
  op(function* () {
    const { near, far } = yield* pairOf();
    return forth ? { sender: near, receiver: far } : { sender: far, receiver: near };
  });

const pipe = op(function* () {
  const { reader, writer } = yield* openPipe();
  return { sender: writer, receiver: reader };
});

const kinds: Readonly<Record<string, { make: () => Operation<OneWay>; twoWay: boolean }>> = {
  "tcp there": { make: oneWay(tcpPair, true), twoWay: true },
  "tcp back": { make: oneWay(tcpPair, false), twoWay: true },
  "unix there": { make: oneWay(unixPair, true), twoWay: true },
  "unix back": { make: oneWay(unixPair, false), twoWay: true },
  pipe: { make: pipe as () => Operation<OneWay>, twoWay: false },
};

for (const [kind, { make, twoWay }] of Object.entries(kinds)) {
  describe(`S01 ${kind}`, () => {
    const checks = { ...oneWayChecks, ...(twoWay ? { ...twoWayChecks, ...halfCloseChecks } : {}) };
    const names = Object.keys(checks);
    test.each(onRings(names))(
      "S01, S03, S04, S05, S13 $value ($ring ring)",
      async ({ value: name, runIo }) => {
        await runIo(function* () {
          yield* checks[name](make);
        });
      },
    );
  });
}

describe("S07 a reset", () => {
  /** Resets the connection: what has not been read is dropped. */
  const reset = (socket: Socket): Operation<void> => {
    socket.setOption("linger", 0);
    return socket.close();
  };

  test.each(rings)(
    "S07 while reading, and ever after: it must not look like the end ($ring ring)",
    async ({ runIo }) => {
      await runIo(function* () {
        const { near, far } = yield* tcpPair();
        const reader = spawn(near.recv(Buffer.alloc(1)), { failure: "hold" });
        yield* submitted();
        yield* reset(far);
        expect((yield* failureOf(reader.join())).code).toBe("ECONNRESET");
        for (let i = 0; i < 3; i++) {
          expect((yield* failureOf(() => near.recv(Buffer.alloc(1)))).code).toBe("ECONNRESET");
        }
        expect((yield* failureOf(() => near.sendAll(Buffer.alloc(1)))).code).toBe("EPIPE");
      });
    },
  );

  test.each(rings)(
    "S07 while both reading and writing: whoever of the two is told, neither sees an end ($ring ring)",
    async ({ runIo }) => {
      await runIo(function* () {
        for (let round = 0; round < 20; round++) {
          const { near, far } = yield* tcpPair();
          const reader = spawn(near.recv(Buffer.alloc(1)), { failure: "hold" });
          yield* submitted();
          const writer = spawn(near.sendAll(Buffer.alloc(1 << 24)), { failure: "hold" });
          // Until the kernel's buffers are full.
          for (let turn = 0; turn < 20; turn++) yield* nodeTurn();
          yield* reset(far);
          expect((yield* failureOf(reader.join())).code).toBe("ECONNRESET");
          expect(["ECONNRESET", "EPIPE"]).toContain((yield* failureOf(writer.join())).code);
          yield* near.close();
        }
      });
    },
  );

  test.each(rings)("S07 while idle, and while writing ($ring ring)", async ({ runIo }) => {
    await runIo(function* () {
      const idle = yield* tcpPair();
      yield* reset(idle.far);
      expect(["ECONNRESET", "EPIPE"]).toContain(
        (yield* failureOf(() => idle.near.sendAll(Buffer.alloc(1 << 20)))).code,
      );
      const busy = yield* tcpPair();
      const writer = spawn(busy.near.sendAll(Buffer.alloc(1 << 24)), { failure: "hold" });
      yield* submitted();
      yield* reset(busy.far);
      expect(["ECONNRESET", "EPIPE"]).toContain((yield* failureOf(writer.join())).code);
      expect((yield* failureOf(() => busy.near.sendAll(Buffer.alloc(1)))).code).toBe("COOP_CLOSED");
    });
  });
});

describe("S09 connections that fail leave nothing", () => {
  test("S09 ten thousand refused ones", async () => {
    await runIo(function* () {
      const listener = yield* listen("127.0.0.1:0");
      const address = listener.localAddress!;
      yield* listener.close();
      const worker = op(function* () {
        for (let i = 0; i < 625; i++) {
          expect((yield* failureOf(() => connect(address))).code).toBe("ECONNREFUSED");
        }
      });
      const workers = Array.from({ length: 16 }, () => spawn(worker()));
      for (const task of workers) yield* task.join();
      yield* until(() => ioCounts().inflight === 0);
      expect(ioCounts()).toMatchObject({ descriptors: 0, blocks: 0 });
    });
  }, 60_000);
});

/** A source of bytes that gives them in the pieces it was made with. */
function pieces(...parts: readonly string[]): ByteReader {
  const rest = parts.map((part) => Buffer.from(part));
  return {
    read: op(function* (into: Uint8Array) {
      const first = rest[0];
      if (first === undefined) return 0;
      const count = Math.min(first.length, into.length);
      into.set(first.subarray(0, count));
      if (count === first.length) rest.shift();
      else rest[0] = first.subarray(count);
      return count;
    }),
  };
}

/** All ways to cut `text` into three. */
function* cuts(text: string): Generator<[string, string, string]> {
  for (let a = 0; a <= text.length; a++) {
    for (let b = a; b <= text.length; b++) yield [text.slice(0, a), text.slice(a, b), text.slice(b)];
  }
}

const running = (body: () => Operation<void>): Promise<void> => runIo(body, { after: () => {} });

describe("S14 messages in a stream", () => {
  const whole = "one\r\ntwo\n\nlast";

  test("S14 lines, wherever the stream is cut", async () => {
    await running(function* () {
      for (const parts of cuts(whole)) {
        const reader = new BufferedReader(pieces(...parts.filter((part) => part !== "")), { size: 4 });
        const lines: string[] = [];
        for (let line = yield* reader.readLine(); line !== null; line = yield* reader.readLine()) {
          lines.push(line);
        }
        expect(lines).toEqual(["one", "two", "", "last"]);
        expect(yield* reader.readLine()).toBeNull();
      }
    });
  });

  test("S14 a delimiter of several bytes, wherever the stream is cut", async () => {
    await running(function* () {
      for (const parts of cuts("aaba|aab--aa|")) {
        const reader = new BufferedReader(pieces(...parts.filter((part) => part !== "")), { size: 2 });
        expect((yield* reader.readUntil("aab-")).toString()).toBe("aaba|aab-");
        expect((yield* reader.readUntil(Buffer.from("|"))).toString()).toBe("-aa|");
        expectError(
          yield* failureOf(reader.readUntil(124)),
          IncompleteError,
          "COOP_INCOMPLETE",
          /after 0 bytes/,
        );
      }
    });
  });

  test("S14 exact lengths, and an end in the middle keeps what there is", async () => {
    await running(function* () {
      for (const parts of cuts("12345678")) {
        const reader = new BufferedReader(pieces(...parts.filter((part) => part !== "")), { size: 3 });
        expect((yield* reader.readExactly(0)).length).toBe(0);
        expect((yield* reader.peek(5)).toString()).toBe("12345");
        expect((yield* reader.readExactly(5)).toString()).toBe("12345");
        for (let i = 0; i < 2; i++) {
          const error = yield* failureOf(reader.readExactly(4));
          expectError(error, IncompleteError, "COOP_INCOMPLETE", /ended after 3 of 4 bytes/);
          expect(error).toMatchObject({ available: 3 });
        }
        expect((yield* reader.readExactly(3)).toString()).toBe("678");
        expect(yield* reader.read(Buffer.alloc(1))).toBe(0);
      }
    });
  });

  test("S14 what is too long is refused, and can still be read", async () => {
    await running(function* () {
      for (const text of ["abcdefghij\nrest", "abcdefghijklmnop"]) {
        for (const parts of cuts(text)) {
          const reader = new BufferedReader(pieces(...parts.filter((part) => part !== "")), { size: 4 });
          for (const read of [reader.readLine({ limit: 8 }), reader.readUntil("\n", { limit: 8 })]) {
            const error = yield* failureOf(read);
            expectError(error, LimitError, "COOP_TOO_LONG", /longer than 8 bytes/);
            expect(error).toMatchObject({ limit: 8 });
          }
          expect((yield* reader.readExactly(text.length)).toString()).toBe(text);
        }
      }
      const small = new BufferedReader(pieces("abcdef"), { limit: 4 });
      expectError(yield* failureOf(small.readExactly(5)), LimitError, "COOP_TOO_LONG", /4 bytes/);
      expectError(yield* failureOf(small.readLine({ limit: 100 })), LimitError, "COOP_TOO_LONG", /4 bytes/);
      expect((yield* small.readExactly(4)).toString()).toBe("abcd");
      // A limit is what a message may have, its delimiter included.
      const exact = new BufferedReader(pieces("abc\nabc\n"));
      expect((yield* exact.readUntil("\n", { limit: 4 })).toString()).toBe("abc\n");
      expect(yield* exact.readLine({ limit: 4 })).toBe("abc");
    });
  });

  test.each(rings)("S14 one task reads at a time ($ring ring)", async ({ runIo }) => {
    await runIo(function* () {
      const { near, far } = yield* tcpPair();
      const reader = new BufferedReader(far);
      const first = spawn(reader.readLine());
      yield* submitted();
      for (const read of [
        reader.readLine(),
        reader.readExactly(1),
        reader.readUntil("x"),
        reader.read(Buffer.alloc(1)),
      ]) {
        expect((yield* failureOf(read)).code).toBe("COOP_BUSY");
      }
      yield* near.sendAll(Buffer.from("mine\nand yours"));
      expect(yield* first.join()).toBe("mine");
      expect((yield* reader.readExactly(9)).toString()).toBe("and yours");
    });
  });

  test.each([0, 1, 2, 3, 4, 5])(
    "S14 killed after %i turns in the middle of a message: all of it is still there",
    async (turns) => {
      await runIo(function* () {
        const { near, far } = yield* tcpPair();
        const reader = new BufferedReader(far, { size: 8 });
        const got: string[] = [];
        const feeding = spawn(function* () {
          for (let i = 0; i < 20; i++) {
            for (const part of [`mess`, `age ${i}`, "\r", "\n"]) {
              yield* near.sendAll(Buffer.from(part));
              yield* submitted();
            }
          }
          yield* near.end();
        });
        for (let over = false; !over; ) {
          const task = spawn(reader.readLine(), { failure: "hold", start: "now" });
          for (let i = 0; i < turns && task.exit === null; i++) yield* submitted();
          if (turns === 0) yield* nodeTurn();
          const exit = yield* task.killAndWait();
          if (exit.status !== "done") continue;
          if (exit.value === null) over = true;
          else got.push(exit.value);
        }
        yield* feeding.join();
        expect(got).toEqual(Array.from({ length: 20 }, (_, i) => `message ${i}`));
      });
    },
  );

  test("S14 killed at every point, on the virtual clock", () => {
    const { runs } = exhaustive(() => {
      const reader = new BufferedReader(pieces("ab", "c\nde", "f\n"), { size: 4 });
      const lines: (string | null)[] = [];
      return {
        body: function* () {
          const first = spawn(
            op(function* () {
              lines.push(yield* reader.readLine());
            })(),
            { failure: "hold" },
          );
          yield* first.settled();
          lines.push(yield* reader.readLine());
        },
        check: () => {
          // Whatever was killed, lines come whole and in order.
          expect(["abc", "abc,def", "", "abc,"].includes(lines.join(","))).toBe(true);
        },
      };
    });
    expect(runs).toBeGreaterThan(3);
  });

  test.each(rings)("S14 a timeout in the middle consumes nothing either ($ring ring)", async ({ runIo }) => {
    await runIo(function* () {
      const { near, far } = yield* tcpPair();
      const reader = new BufferedReader(far);
      yield* near.sendAll(Buffer.from("half a "));
      expect((yield* failureOf(timeout(1, reader.readLine()))).code).toBe("COOP_DEADLINE");
      yield* near.sendAll(Buffer.from("line\n"));
      expect(yield* reader.readLine()).toBe("half a line");
    });
  });

  test.each(rings)("S14 over a pipe, with a writer that collects ($ring ring)", async ({ runIo }) => {
    await runIo(function* () {
      const { reader: from, writer: to } = yield* openPipe();
      const reader = new BufferedReader(from);
      const writer = new BufferedWriter(to, { size: 64 });
      const feeding = spawn(function* () {
        for (let i = 0; i < 1000; i++) yield* writer.writeAll(`${i}\n`);
        yield* writer.writeAll(pattern(1000));
        yield* writer.flush();
        yield* to.close();
      });
      for (let i = 0; i < 1000; i++) expect(yield* reader.readLine()).toBe(String(i));
      expect((yield* reader.readExactly(1000)).equals(pattern(1000))).toBe(true);
      yield* feeding.join();
      expect(yield* reader.readLine()).toBeNull();
    });
  });

  test("S05 what a killed flush has sent all the same is not sent again by the next one", async () => {
    await runIo(function* () {
      const { near, far } = yield* unixPair();
      const writer = new BufferedWriter(near);
      yield* writer.writeAll("once\n");
      // The send is done while it is submitted; the cancel that follows comes too late.
      yield* stop(spawn(writer.flush(), { start: "now" }));
      expect(writer.buffered).toBe(0);
      yield* writer.writeAll("end\n");
      yield* writer.flush();
      yield* near.close();
      expect(String(yield* readToEnd(far))).toBe("once\nend\n");
    });
  });

  test.each(rings)(
    "S05 a writer that collects waits for a slow reader, is killed there, and is busy meanwhile ($ring ring)",
    async ({ runIo }) => {
      await runIo(function* () {
        const { near } = yield* unixPair();
        const writer = new BufferedWriter(near, { size: 1024 });
        let written = 0;
        const task = spawn(function* () {
          for (;;) {
            yield* writer.writeAll(Buffer.alloc(1000));
            written++;
          }
        });
        let before = -1;
        yield* until(() => {
          const still = before === written && task.status === "blocked";
          before = written;
          return still;
        });
        expect(written).toBeLessThan(10_000);
        expect((yield* failureOf(writer.flush())).code).toBe("COOP_BUSY");
        yield* stop(task);
        expect(writer.buffered).toBeGreaterThan(0);
      });
    },
  );
});
