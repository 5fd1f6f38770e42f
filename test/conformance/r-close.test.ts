/** Conformance R: closing on the real ring, at every moment, and what peers see of it. */
import { execFileSync } from "node:child_process";
import { describe, expect, test } from "vitest";
import { op, spawn } from "../../src/coordinator/index.ts";
import {
  adoptSocket,
  BufferRing,
  close,
  IoError,
  openPipe,
  Receiver,
  type Socket,
} from "../../src/io/index.ts";
import { OP_CLOSE } from "../../src/native/layout.ts";
import {
  expectError,
  failureOf,
  ioCounts,
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
import { runScripted, ScriptedDriver } from "../support/scripted-driver.ts";

const MUCH = 4 << 20;
const turns = Array.from({ length: 7 }, (_, i) => i);

describe.each([
  ["tcp", tcpPair],
  ["unix", unixPair],
] as const)("R01 a %s socket is closed with a reader and a writer in it", (_kind, pairOf) => {
  test.each(onRings(turns))(
    "R01 R04 after $value turns, by a task that is then killed: both are told, and it is closed once ($ring ring)",
    async ({ value: count, runIo }) => {
      for (let killed = 0; killed < 4; killed++) {
        await runIo(function* () {
          const { near, far }: Pair = yield* pairOf();
          const reader = spawn(near.recv(Buffer.alloc(8)), { failure: "hold", start: "now" });
          const writer = spawn(near.sendAll(Buffer.alloc(MUCH)), { failure: "hold", start: "now" });
          for (let i = 0; i < count; i++) yield* submitted();
          const closer = spawn(near.close());
          for (let i = 0; i < killed; i++) yield* submitted();
          yield* stop(closer);
          // A closer that never started has closed nothing.
          yield* near.close();
          const ends = [yield* reader.settled(), yield* writer.settled()];
          for (const exit of ends) {
            if (exit.status === "failed") expect((exit.error as { code: string }).code).toBe("COOP_CLOSED");
          }
          expect(near.fd).toBe(-1);
          expect(ends[0].status).toBe("failed");
          // The peer reads what went out, and then that it is over.
          let error = "";
          const into = Buffer.alloc(1 << 16);
          try {
            while ((yield* far.recv(into)) > 0);
          } catch (caught) {
            error = (caught as { code: string }).code;
          }
          expect(["", "ECONNRESET"]).toContain(error);
        });
      }
    },
  );

  test.each(onRings(turns))(
    "R01 with a Receiver in it, after $value turns ($ring ring)",
    async ({ value: count, runIo }) => {
      await runIo(function* () {
        const ring = new BufferRing({ size: 64, count: 4 });
        const { near, far }: Pair = yield* pairOf();
        const receiver = new Receiver(near, ring);
        const reader = spawn(receiver.read(Buffer.alloc(8)), { failure: "hold", start: "now" });
        const feeding = spawn(far.sendAll(pattern(10_000)), { failure: "hold" });
        for (let i = 0; i < count; i++) yield* submitted();
        yield* close(near);
        const exit = yield* reader.settled();
        if (exit.status === "failed") expect((exit.error as { code: string }).code).toBe("COOP_CLOSED");
        yield* feeding.settled();
        expect(ring.statistics()).toMatchObject({ free: 4, held: 0, starving: 0 });
      });
    },
  );
});

describe("R05 close(2) says that something went wrong", () => {
  test.each([5, 28])("R05 errno %i is told, and the descriptor counts as closed", (errno) => {
    const driver = new ScriptedDriver({ result: ({ opcode }) => (opcode === OP_CLOSE ? -errno : 0) });
    runScripted(driver, function* () {
      const socket = adoptSocket(driver.openNumber());
      for (let i = 0; i < 2; i++) {
        const error = yield* failureOf(() => socket.close());
        expect(error).toBeInstanceOf(IoError);
        expect(error).toMatchObject({ errno: -errno, syscall: "close" });
      }
      expect([socket.closed, socket.fd]).toEqual([true, -1]);
      expect(driver.log.filter(({ opcode }) => opcode === OP_CLOSE)).toHaveLength(1);
    });
  });
});

describe("R07 what the peer sees of a close", () => {
  const drain = op(function* (from: Socket) {
    const into = Buffer.alloc(1 << 16);
    let count = 0;
    for (;;) {
      const got = yield* from.recv(into);
      if (got === 0) return count;
      count += got;
    }
  });

  test.each(rings)(
    "R07 all data and then the end, also when it was not sent yet ($ring ring)",
    async ({ runIo }) => {
      await runIo(function* () {
        const { near, far } = yield* tcpPair();
        yield* near.sendAll(pattern(100_000));
        yield* near.close();
        expect(yield* drain(far)).toBe(100_000);
      });
    },
  );

  test.each(rings)(
    "R07 a reset where that is asked for, and where something was not received ($ring ring)",
    async ({ runIo }) => {
      await runIo(function* () {
        const asked = yield* tcpPair();
        asked.near.setOption("linger", 0);
        expect(asked.near.getOption("linger")).toBe(0);
        yield* asked.near.close();
        expectError(yield* failureOf(() => drain(asked.far)), IoError, "ECONNRESET", /recv/);

        const unread = yield* tcpPair();
        yield* unread.far.sendAll(Buffer.from("never received"));
        yield* submitted();
        yield* unread.near.close();
        expectError(yield* failureOf(() => drain(unread.far)), IoError, "ECONNRESET", /recv/);
      });
    },
  );
});

test("R10 options of an adopted socket go by what it is", async () => {
  await runIo(function* () {
    const { near, far } = yield* unixPair();
    const again = adoptSocket(near.release());
    expect(again.exclusive).toBe(true);
    expect(again.peerCredentials).toEqual({
      pid: process.pid,
      uid: process.getuid!(),
      gid: process.getgid!(),
    });
    yield* again.sendAll(Buffer.from("x"));
    expect(yield* far.recv(Buffer.alloc(1))).toBe(1);
  });
});

test("R12 child processes start in the middle of heavy io, and nothing of it is disturbed", async () => {
  await runIo(function* () {
    const { near, far } = yield* tcpPair();
    const { reader, writer } = yield* openPipe();
    let moved = 0;
    const pumping = [
      spawn(function* () {
        for (;;) yield* near.sendAll(pattern(1000));
      }),
      spawn(function* () {
        const into = Buffer.alloc(4096);
        for (;;) {
          const count = yield* far.recv(into);
          yield* writer.writeAll(into.subarray(0, count));
        }
      }),
      spawn(function* () {
        const into = Buffer.alloc(4096);
        for (;;) moved += yield* reader.read(into);
      }),
    ];
    for (let i = 0; i < 3; i++) {
      const before = moved;
      expect(execFileSync("/bin/echo", ["started"]).toString()).toBe("started\n");
      yield* until(() => moved > before + 10_000);
    }
    for (const task of pumping) yield* stop(task);
    expect(ioCounts().stale).toBe(0);
  });
});
