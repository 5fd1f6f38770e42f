/** Conformance Q07, Q08: memory that is to be left alone: what can happen at worst, and the mode that finds it. */
import { describe, expect, test } from "vitest";
import { type Operation, op, type Report, spawn, UsageError } from "../../src/coordinator/index.ts";
import {
  allocate,
  BufferPool,
  BufferRing,
  type Bytes,
  close,
  Handle,
  openDatagram,
  openPipe,
  Receiver,
  readv,
  recv,
  type Socket,
  sendAll,
  setupSend,
  setupWrite,
  writevAll,
} from "../../src/io/index.ts";
import { expectError, runIo, submitted, unixPair } from "../support/io.ts";

const MUCH = 1 << 20;

/** What `body` reports with the checks on. */
async function reported(body: Parameters<typeof runIo>[0]): Promise<Report[]> {
  const reports: Report[] = [];
  await runIo(body, { ring: { checkBuffers: true }, report: (report) => reports.push(report) });
  return reports;
}

const drain = op(function* (from: Socket, length: number) {
  const into = allocate(64 * 1024);
  for (let left = length; left > 0; ) left -= yield* recv(from, into);
});

describe("Q07 bytes that are changed while they go out", () => {
  /** Sends more than the socket takes, changes a byte meanwhile or not, and lets it end. */
  const sending = (bytes: Bytes, change: boolean, send: (near: Socket) => Operation<void>) =>
    function* () {
      const { near, far } = yield* unixPair();
      const task = spawn(send(near), { name: "sender" });
      yield* submitted();
      if (change) bytes[bytes.length - 1]! ^= 1;
      yield* drain(far, bytes.length);
      yield* task.join();
      yield* close(near);
      yield* close(far);
    };

  test.each(["sendAll", "writevAll"])("Q07 %s: it is reported, with the task and what to do", async (how) => {
    const bytes = allocate(MUCH);
    const parts = [bytes.subarray(0, 1000), bytes.subarray(1000)];
    const reports = await reported(
      sending(bytes, true, (near) => (how === "sendAll" ? sendAll(near, bytes) : writevAll(near, parts))),
    );
    expect(reports).toHaveLength(1);
    const { kind, task, where, error } = reports[0]!;
    expect({ kind, task: task?.name }).toEqual({ kind: "buffer", task: "sender" });
    expect(where).toMatch(/^(send|writev) on socket \d+/);
    expectError(error, UsageError, "COOP_BUFFER_CHANGED", /\d+ bytes of a .* were changed.*a copy/);
  });

  test("Q07 control: bytes that stay, and ordinary memory, which was copied at the call, are no matter", async () => {
    for (const [bytes, change] of [
      [allocate(MUCH), false],
      [Buffer.alloc(MUCH), true],
    ] as const) {
      expect(await reported(sending(bytes, change, (near) => sendAll(near, bytes)))).toEqual([]);
    }
  });

  test("Q07 also of setup forms, vectors and datagrams, and of none of those that read", async () => {
    const reports = await reported(function* () {
      const pipe = yield* openPipe();
      const udp = yield* openDatagram("127.0.0.1:0");
      const { near, far } = yield* unixPair();
      const bytes = allocate(64);
      const written = new Handle();
      const sent = new Handle();
      setupWrite(written, pipe.writer, bytes);
      setupSend(sent, near, bytes);
      const other = spawn(udp.sendTo(bytes, udp.localAddress!), { start: "now" });
      bytes[0] = 1;
      yield* written.settled();
      yield* sent.settled();
      yield* other.join();
      const into = allocate(128);
      const reading = [
        spawn(readv(pipe.reader, [into]), { start: "now" }),
        spawn(recv(far, into), { start: "now" }),
      ];
      into[100] = 7;
      for (const task of reading) yield* task.join();
      pipe[Symbol.dispose]();
      for (const one of [udp, near, far]) yield* close(one);
    });
    const kinds = reports.filter(({ kind }) => kind === "buffer").map(({ where }) => where.split(" ")[0]);
    expect(kinds.sort()).toEqual(["send", "sendmsg", "write"]);
  });

  test("Q07 without the mode nobody looks, and nothing worse happens than a mix of old and new bytes", async () => {
    await runIo(function* () {
      const { near, far } = yield* unixPair();
      const bytes = allocate(MUCH).fill(1);
      const task = spawn(sendAll(near, bytes));
      yield* submitted();
      bytes.fill(2);
      const into = allocate(64 * 1024);
      let got = 0;
      for (; got < MUCH; ) {
        const count = yield* recv(far, into);
        expect(into.subarray(0, count).every((byte) => byte === 1 || byte === 2)).toBe(true);
        got += count;
      }
      yield* task.join();
      expect(got).toBe(MUCH);
      yield* close(near);
      yield* close(far);
    });
  });
});

describe("Q08 a view that is kept after its buffer went back", () => {
  test("Q08 reads poison and never what the next one receives", async () => {
    expect(
      await reported(function* () {
        const pool = new BufferPool({ size: 64, count: 1 });
        expect(pool.statistics().registered).toBe(false);
        const lease = yield* pool.claim();
        const kept = lease.bytes;
        kept.fill(1);
        lease.release();
        expect(kept.every((byte) => byte === 0xdb)).toBe(true);
        const { near, far } = yield* unixPair();
        const next = yield* pool.claim();
        // It is zeroed, and the memory of nobody before.
        expect(next.bytes.every((byte) => byte === 0)).toBe(true);
        yield* near.sendAll(Buffer.from("a secret of somebody else"));
        yield* far.recv(next.bytes);
        expect(kept.every((byte) => byte === 0xdb)).toBe(true);
        expect(kept.buffer === next.bytes.buffer).toBe(false);
        next.release();
        yield* close(near);
        yield* close(far);
      }),
    ).toEqual([]);
  });

  test("Q08 what is written through it is reported, with the task that had claimed it", async () => {
    const reports = await reported(function* () {
      const pool = new BufferPool({ size: 64, count: 1 });
      const claiming = op(function* () {
        using lease = yield* pool.claim();
        return lease.bytes;
      });
      const kept = yield* spawn(claiming(), { name: "keeper" }).join();
      kept[3] = 0;
      (yield* pool.claim()).release();
      // Told once: the memory is another one by now.
      (yield* pool.claim()).release();
    });
    expect(reports.map(({ kind }) => kind)).toEqual(["buffer"]);
    expectError(reports[0]!.error, UsageError, "COOP_LEASE", /keeper#\d+ had claimed was written to after/);
  });

  test("Q08 by default the lease throws after its release, in whose hands it may be", async () => {
    await runIo(function* () {
      const pool = new BufferPool({ size: 64, count: 1 });
      const lease = yield* pool.claim();
      lease.release();
      const next = yield* pool.claim();
      expect(() => lease.bytes).toThrow(expect.objectContaining({ code: "COOP_LEASE" }));
      lease.release();
      expect(pool.statistics().free).toBe(0);
      next.release();
    });
  });

  test("Q08 buffers of a ring are never handed out: a receiver's bytes are the caller's own", async () => {
    await runIo(function* () {
      const { near, far } = yield* unixPair();
      const ring = new BufferRing({ size: 16, count: 1 });
      using receiver = new Receiver(far, ring);
      const first = Buffer.alloc(16);
      yield* near.sendAll(Buffer.from("first"));
      expect(yield* receiver.read(first)).toBe(5);
      yield* near.sendAll(Buffer.from("other"));
      expect(yield* receiver.read(Buffer.alloc(16))).toBe(5);
      expect(first.toString("utf8", 0, 5)).toBe("first");
      yield* close(near);
      yield* close(far);
    });
  });
});
