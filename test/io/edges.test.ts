/** Ends that are seldom reached: limits, panics, memory that outlives its program, streams with a writer of several steps. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { afterAll, describe, expect, test } from "vitest";
import { violation } from "../../src/coordinator/errors.ts";
import { ClosedError, group, op, self, spawn } from "../../src/coordinator/index.ts";
import {
  Acceptor,
  adoptFile,
  allocate,
  BufferRing,
  close,
  connect,
  type Descriptor,
  listen,
  open,
  openPipe,
  Receiver,
  read,
  recv,
  type Socket,
  sendAll,
  sendFile,
  writeAll,
} from "../../src/io/index.ts";
import { ioOf } from "../../src/io/io.ts";
import { OP_PIPE, OP_READ } from "../../src/native/layout.ts";
import { Program } from "../../src/node/run.ts";
import { SimulatedRuntime } from "../../src/testing/simulation/runtime.ts";
import { sleep } from "../../src/time/sleep.ts";
import {
  expectDescriptors,
  expectError,
  failureOf,
  openDescriptors,
  runIo,
  stop,
  submitted,
  unixPair,
} from "../support/io.ts";
import { PENDING, runScripted, ScriptedDriver } from "../support/scripted-driver.ts";

const directory = mkdtempSync(join(tmpdir(), "coop-edges-"));
afterAll(() => rmSync(directory, { recursive: true }));

describe("the limit of operations in flight", () => {
  test("refuses tasks, and not the close that would end some of them", () => {
    const driver = new ScriptedDriver({ result: ({ opcode }) => (opcode === OP_READ ? PENDING : 0) });
    driver.limit = 2;
    runScripted(driver, function* () {
      const file = adoptFile(driver.openNumber());
      const readers = [1, 2].map(() =>
        spawn(failureOf(read(file, Buffer.alloc(1), { position: 0 })), { start: "now" }),
      );
      expect((yield* failureOf(read(file, Buffer.alloc(1), { position: 0 }))).code).toBe("COOP_LIMIT");
      yield* close(file);
      for (const reader of readers) expect(yield* reader.join()).toBeInstanceOf(ClosedError);
    });
  });
});

describe("sendFile through a buffer", () => {
  const length = 1 << 20;
  const content = Buffer.from(Array.from({ length }, (_, i) => i * 7));
  const path = join(directory, "content");
  writeFileSync(path, content);

  /** As on a kernel whose rings have no pipes. */
  const withoutPipes = op(function* (body: (to: Descriptor, from: Descriptor) => Generator<unknown, void>) {
    const { driver } = ioOf(self().cooperator);
    const pipes = [yield* unixPair(), yield* openPipe()] as const;
    const supports = driver.supports.bind(driver);
    driver.supports = (opcode) => opcode !== OP_PIPE && supports(opcode);
    try {
      yield* body(pipes[0].near, pipes[0].far);
      yield* body(pipes[1].writer, pipes[1].reader);
    } finally {
      driver.supports = supports;
    }
    for (const one of [pipes[0].near, pipes[0].far, pipes[1].reader, pipes[1].writer]) yield* close(one);
  });

  test("lets no other writer in between, and is whole", async () => {
    await runIo(function* () {
      const file = yield* open(path);
      yield* withoutPipes(function* (to, from) {
        const task = spawn(sendFile(to, file), { start: "now" });
        const got = Buffer.alloc(length);
        let busy = 0;
        const into = allocate(10_000);
        for (let count = 0; count < length; ) {
          const write = to.kind === "socket" ? sendAll : writeAll;
          if (!task.ended) {
            busy++;
            expect((yield* failureOf(write(to, Buffer.from("x")))).code).toBe("COOP_BUSY");
          }
          const next = yield* from.kind === "socket" ? recv(from, into) : read(from, into);
          got.set(into.subarray(0, next), count);
          count += next;
        }
        expect(yield* task.join()).toBe(length);
        expect(got.equals(content)).toBe(true);
        expect(busy).toBeGreaterThan(10);
      });
      yield* close(file);
    });
  });

  test("that is killed between two of its parts leaves the stream broken", async () => {
    await runIo(function* () {
      const file = yield* open(path);
      yield* withoutPipes(function* (to, from) {
        const into = allocate(1 << 20);
        for (const length of [10, 1 << 20]) {
          const task = spawn(sendFile(to, file, { length }), { start: "now" });
          yield* submitted();
          // The whole of a short one is out, and the stream is as it was.
          if (length === 10) yield* task.join();
          yield* from.kind === "socket" ? recv(from, into) : read(from, into);
          if (length !== 10) yield* stop(task);
        }
        const write = to.kind === "socket" ? sendAll : writeAll;
        expectError(yield* failureOf(write(to, Buffer.from("x"))), ClosedError, "COOP_CLOSED", /is broken/);
      });
      yield* close(file);
    });
  });
});

describe("rings of buffers that come and go", () => {
  test("more of them than a program has at a time, each with a receiver", async () => {
    await runIo(function* () {
      const { near, far } = yield* unixPair();
      for (let i = 0; i < 100; i++) {
        using ring = new BufferRing({ size: 16, count: 2 });
        const receiver = new Receiver(far, ring);
        yield* near.sendAll(Buffer.from([i]));
        const into = Buffer.alloc(1);
        yield* receiver.read(into);
        expect(into[0]).toBe(i);
        yield* receiver.release();
      }
      yield* close(near);
      yield* close(far);
    });
  });

  test("one that is disposed of first goes on for its receivers, and takes no new ones", async () => {
    await runIo(function* () {
      const { near, far } = yield* unixPair();
      const other = yield* unixPair();
      const ring = new BufferRing({ size: 16, count: 2 });
      const receiver = new Receiver(far, ring);
      const reading = spawn(receiver.read(Buffer.alloc(8)), { start: "now" });
      ring[Symbol.dispose]();
      ring[Symbol.dispose]();
      expect(() => new Receiver(other.far, ring)).toThrow(ClosedError);
      expect(yield* failureOf(other.far.recv(Buffer.alloc(1), { timeout: 1 }))).toMatchObject({
        code: "COOP_DEADLINE",
      });
      yield* near.sendAll(Buffer.from("more"));
      expect(yield* reading.join()).toBe(4);
      yield* receiver.release();
      for (const one of [near, far, other.near, other.far]) yield* close(one);
    });
  });
});

describe("a panic", () => {
  const panicking = (body: () => Generator<unknown, void>) =>
    new Program(
      op(function* () {
        yield* group(function* () {
          yield* body();
          try {
            throw violation("planted");
          } catch {
            // Nobody can hide it.
          }
          yield* sleep(0);
        });
      })(),
      { report() {} },
    );

  test("leaves no descriptor open: not those of an acceptor either", async () => {
    const before = openDescriptors();
    const sockets: Socket[] = [];
    let acceptor: Acceptor | null = null;
    const program = panicking(function* () {
      const listener = yield* listen("127.0.0.1:0");
      acceptor = new Acceptor(listener);
      // Two wait for the first, and both others are accepted and nobody's.
      for (let i = 0; i < 3; i++) sockets.push(yield* connect(listener.localAddress!));
      yield* acceptor.next();
      yield* submitted();
      yield* submitted();
      expect(acceptor.statistics().unclaimed).toBe(2);
    });
    await expect(program.exit).rejects.toThrow(/planted/);
    await expectDescriptors(before);
    // Whoever disposes of it later closes nothing that is somebody else's by then.
    acceptor![Symbol.dispose]();
    expect(openDescriptors()).toEqual(before);
  });

  test("keeps the memory of what was in flight when its driver was closed, for as long as the process lives", async () => {
    setFlagsFromString("--expose-gc");
    const collect = runInNewContext("gc") as () => void;
    const refs: WeakRef<object>[] = [];
    /** A driver that is closed with a read in flight, or after it. */
    const closing = (inflight: boolean): void => {
      const kernel = new SimulatedRuntime();
      kernel.run(function* () {
        const { reader, writer } = yield* openPipe();
        const buffer = allocate(1 << 20);
        refs.push(new WeakRef(buffer.buffer));
        const task = spawn(read(reader, buffer));
        yield* submitted();
        if (inflight) kernel.driver.close();
        else yield* stop(task);
        void writer;
      });
    };
    closing(true);
    closing(false);
    // The io that was used last is remembered anyway.
    await runIo(submitted());
    for (let i = 0; i < 4; i++) {
      await new Promise((resolve) => setImmediate(resolve));
      collect();
    }
    expect(refs.map((ref) => ref.deref() !== undefined)).toEqual([true, false]);
  });
});
