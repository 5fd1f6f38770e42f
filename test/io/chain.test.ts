/** Chains on the real ring. */
import { readFileSync, writeFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import {
  BusyError,
  ClosedError,
  DeadlineError,
  op,
  self,
  spawn,
  UsageError,
} from "../../src/coordinator/index.ts";
import {
  allocate,
  chain,
  close,
  fsync,
  Handle,
  IoError,
  nop,
  open,
  openPipe,
  read,
  recv,
  send,
  sendAll,
  setupChain,
  setupNop,
  shutdown,
  write,
  writeAll,
  writevAll,
} from "../../src/io/index.ts";
import { sleep } from "../../src/time/sleep.ts";
import { timeout } from "../../src/time/timeout.ts";
import {
  expectError,
  failureOf,
  freshPath,
  ioCounts,
  nodeTurn,
  openDescriptors,
  pattern,
  runIo,
  stop,
  submitted,
  tcpPair,
  thrownBy,
  unixPair,
  until,
} from "../support/io.ts";

const ECANCELED = 125;
const EBADF = 9;

describe("P18 a chain", () => {
  test("P18 runs one operation after the other and gives what each gives", async () => {
    const path = freshPath();
    await runIo(function* () {
      const file = yield* open(path, "w+");
      const into = Buffer.alloc(5);
      const [count, synced, all, back] = yield* chain([
        write(file, Buffer.from("hello"), { position: 0 }),
        fsync(file),
        writeAll(file, Buffer.from(" world"), { position: 5 }),
        read(file, into, { position: 6 }),
      ]);
      expect([count, synced, all, back]).toEqual([5, undefined, undefined, 5]);
      expect(into.toString()).toBe("world");
      yield* close(file);
      expect(readFileSync(path, "utf8")).toBe("hello world");
    });
  });

  test("P18 goes to the kernel in one call", async () => {
    await runIo(function* () {
      const { near, far } = yield* unixPair();
      spawn(function* () {
        const into = Buffer.alloc(8);
        yield* sendAll(far, into.subarray(0, yield* recv(far, into)));
      });
      const into = Buffer.alloc(8);
      expect(yield* chain([sendAll(near, Buffer.from("ping")), recv(near, into)])).toEqual([undefined, 4]);
      // The one that only sends and receives in two goes makes two.
      yield* submitted();
      const handles = [new Handle(), new Handle(), new Handle()];
      const { submitted: before, flushes } = ioCounts();
      setupChain(handles, [nop(), nop(), nop()]);
      yield* handles[2]!;
      expect(ioCounts().submitted - before).toBe(3);
      expect(ioCounts().flushes - flushes).toBeLessThanOrEqual(2);
      for (const each of [near, far]) yield* close(each);
    });
  });

  test.each([0, 1, 2])(
    "P18 when number %i fails, those after it end with ECANCELED, and their places are free",
    async (at) => {
      await runIo(function* () {
        const file = yield* open(freshPath(), "w");
        const good = () => write(file, Buffer.from("x"));
        // A file that is open for writing only cannot be read.
        const operations = [0, 1, 2, 3].map((i) => (i === at ? read(file, Buffer.alloc(1)) : good()));
        const handles = operations.map(() => new Handle());
        setupChain(handles, operations);
        for (const handle of handles) yield* handle.settled();
        expect(handles.map(({ result }) => result)).toEqual(
          [0, 1, 2, 3].map((i) => (i < at ? 1 : i === at ? -EBADF : -ECANCELED)),
        );
        expect(ioCounts().inflight).toBe(0);
        const error = yield* failureOf(chain([good(), read(file, Buffer.alloc(1)), good(), fsync(file)]));
        expect(error).toMatchObject({ code: "EBADF", syscall: "read" });
        expect((yield* file.stat()).size).toBe(at + 1);
        yield* close(file);
      });
    },
  );

  test("P18 a short read breaks it, a short recv does not", async () => {
    await runIo(function* () {
      const path = freshPath();
      writeFileSync(path, "abc");
      const file = yield* open(path);
      const short = chain([read(file, Buffer.alloc(8), { position: 0 }), nop()]);
      expect(yield* failureOf(short)).toMatchObject({ code: "ECANCELED", syscall: "nop" });
      const { near, far } = yield* unixPair();
      yield* sendAll(near, Buffer.from("abc"));
      expect(yield* chain([recv(far, Buffer.alloc(8)), nop()])).toEqual([3, undefined]);
      for (const each of [file, near, far]) yield* close(each);
    });
  });

  test("P18 more bytes than there is room for go out whole before the next one begins", async () => {
    await runIo(function* () {
      const { near, far } = yield* tcpPair();
      const bytes = pattern(6_000_000);
      const reading = spawn(function* () {
        const parts: Buffer[] = [];
        const into = Buffer.alloc(1 << 16);
        for (let count = yield* recv(far, into); count > 0; count = yield* recv(far, into)) {
          parts.push(Buffer.from(into.subarray(0, count)));
        }
        return Buffer.concat(parts);
      });
      // The end is only told after the last byte.
      yield* chain([sendAll(near, bytes), shutdown(near, "write")]);
      expect((yield* reading.join()).equals(bytes)).toBe(true);
      expect(yield* failureOf(() => send(near, bytes))).toBeInstanceOf(ClosedError);
      for (const each of [near, far]) yield* close(each);
    });
  });

  test("P18 a pipe takes a write in parts: the chain is gone on with", async () => {
    await runIo(function* () {
      const pipe = yield* openPipe();
      const bytes = pattern(300_000);
      const reading = spawn(function* () {
        const into = allocate(bytes.length);
        let count = 0;
        while (count < bytes.length) count += yield* read(pipe.reader, into.subarray(count, count + 7000));
        return into;
      });
      const results = yield* chain([
        writevAll(pipe.writer, [bytes.subarray(0, 100_000), bytes.subarray(100_000, 200_000)]),
        writeAll(pipe.writer, bytes.subarray(200_000)),
        nop(),
      ]);
      expect(results).toHaveLength(3);
      expect((yield* reading.join()).equals(bytes)).toBe(true);
      for (const end of [pipe.reader, pipe.writer]) yield* close(end);
    });
  });

  test("P18 bytes that were kept are received at once, and given back when the chain fails", async () => {
    await runIo(function* () {
      const { near, far } = yield* unixPair();
      const file = yield* open(freshPath(), "w");
      yield* sendAll(far, Buffer.from("kept"));
      const into = Buffer.alloc(8);
      // Received, and then forsaken with the chain: kept on the socket for the next reader.
      for (let i = 0; i < 2; i++) {
        const broken = chain([recv(near, into), read(file, into)]);
        expect(yield* failureOf(broken)).toMatchObject({ code: "EBADF" });
      }
      expect(yield* recv(near, into)).toBe(4);
      expect(into.toString("utf8", 0, 4)).toBe("kept");
      for (const each of [near, far, file]) yield* close(each);
    });
  });

  test("P18 descriptors that were opened are closed when it fails", async () => {
    await runIo(function* () {
      const path = freshPath();
      yield* nop();
      const before = openDescriptors();
      for (let i = 0; i < 20; i++) {
        const broken = chain([open(path, "w"), open(`${path}/no/such`), open(path, "w")]);
        expect(yield* failureOf(broken)).toMatchObject({ code: "ENOTDIR" });
      }
      yield* submitted();
      yield* nodeTurn();
      expect(openDescriptors()).toHaveLength(before.length);
    });
  });
});

describe("P18 a kill of a chain", () => {
  test.each([0, 1, 2, 3])("P18 in number %i: it is cancelled, and what has not begun is not", async (at) => {
    await runIo(function* () {
      const { near, far } = yield* unixPair();
      const path = freshPath();
      const file = yield* open(path, "w");
      const operations = [0, 1, 2, 3].map((i) =>
        i === at ? recv(near, Buffer.alloc(1)) : write(file, Buffer.from("x")),
      );
      const task = spawn(chain(operations), { failure: "hold" });
      // The recv has begun when those before it are done.
      while (readFileSync(path).length < at) yield* nodeTurn();
      yield* nop();
      yield* stop(task);
      expect(ioCounts().inflight).toBe(0);
      yield* submitted();
      expect(readFileSync(path).length).toBe(at);
      // Nothing that came later was taken by it.
      yield* sendAll(far, Buffer.from("y"));
      expect(yield* recv(near, Buffer.alloc(1))).toBe(1);
      for (const each of [near, far, file]) yield* close(each);
    });
  });

  test.each([0, 1, 2, 3, 4, 5, 6])(
    "P18 after %i turns nothing is left, whatever had been done",
    async (turns) => {
      const path = freshPath();
      await runIo(function* () {
        const file = yield* open(path, "w");
        const task = spawn(
          chain([
            writeAll(file, pattern(100_000)),
            fsync(file),
            open(path),
            writeAll(file, pattern(100_000)),
            fsync(file),
          ]),
        );
        for (let i = 0; i < turns; i++) yield* nop();
        yield* stop(task);
        // A file that was opened for it is being closed.
        yield* until(() => ioCounts().inflight === 0);
        yield* close(file);
      });
      expect([0, 100_000, 200_000]).toContain(readFileSync(path).length);
    },
  );

  test("P18 an end of the task does the same to a chain on handles", async () => {
    await runIo(function* () {
      const { near, far } = yield* unixPair();
      const handles = [new Handle(), new Handle(), new Handle()];
      const task = spawn(function* () {
        setupChain(handles, [recv(near, Buffer.alloc(1)), recv(near, Buffer.alloc(1)), nop()]);
        yield* nop();
      });
      yield* task.join();
      expect(handles.map(({ result }) => result)).toEqual([-ECANCELED, -ECANCELED, -ECANCELED]);
      for (const each of [near, far]) yield* close(each);
    });
  });

  test("P18 a cancel of one that has not begun takes effect when its turn comes", async () => {
    await runIo(function* () {
      const { near, far } = yield* unixPair();
      const { near: other, far: silent } = yield* unixPair();
      const handles = [new Handle(), new Handle(), new Handle()];
      setupChain(handles, [recv(near, Buffer.alloc(1)), recv(other, Buffer.alloc(1)), nop()]);
      yield* submitted();
      handles[1]!.cancel();
      for (let i = 0; i < 5; i++) yield* submitted();
      // The kernel has not found it: the chain stands.
      expect(handles.map(({ status }) => status)).toEqual(["submitted", "cancelling", "submitted"]);
      yield* sendAll(far, Buffer.from("x"));
      for (const handle of handles) yield* handle.settled();
      expect(handles.map(({ result }) => result)).toEqual([1, -ECANCELED, -ECANCELED]);
      for (const each of [near, far, other, silent]) yield* close(each);
    });
  });

  test("P18 a close of the descriptor of one that has not begun waits for its turn, and ends it", async () => {
    await runIo(function* () {
      const { near, far } = yield* unixPair();
      const { near: other, far: silent } = yield* unixPair();
      const task = spawn(chain([recv(near, Buffer.alloc(1)), recv(other, Buffer.alloc(1))]), {
        failure: "hold",
      });
      yield* submitted();
      const closing = spawn(close(other));
      for (let i = 0; i < 3; i++) yield* submitted();
      expect(closing.status).not.toBe("done");
      yield* sendAll(far, Buffer.from("x"));
      expect(yield* failureOf(task.join())).toBeInstanceOf(ClosedError);
      yield* closing.join();
      for (const each of [near, far, silent]) yield* close(each);
    });
  });

  test("P18 a time limit of one of its operations, or around it", async () => {
    await runIo(function* () {
      const { near, far } = yield* unixPair();
      const into = Buffer.alloc(1);
      const limited = chain([nop(), recv(near, into, { timeout: 5 }), nop()]);
      expect(yield* failureOf(limited)).toBeInstanceOf(DeadlineError);
      expect(yield* failureOf(timeout(5, chain([nop(), recv(near, into), nop()])))).toBeInstanceOf(
        DeadlineError,
      );
      expect(self().status).toBe("running");
      for (const each of [near, far]) yield* close(each);
    });
  });
});

describe("X-32 the submission ring", () => {
  test("X-32 a chain never straddles a submission, however full the ring is", async () => {
    await runIo(
      function* () {
        const path = freshPath();
        const file = yield* open(path, "w+");
        // Each chain counts up in the file: a link that did not hold would leave a hole or a wrong byte.
        const append = op(function* (lane: number) {
          for (let i = 0; i < 20; i++) {
            const at = (lane * 20 + i) * 3;
            const handles = [new Handle(), new Handle(), new Handle()];
            setupChain(handles, [
              write(file, Buffer.from("a"), { position: at }),
              read(file, Buffer.alloc(1), { position: at }),
              write(file, Buffer.from("bc"), { position: at + 1 }),
            ]);
            for (const handle of handles) yield* handle;
            expect(handles.map(({ result }) => result)).toEqual([1, 1, 2]);
            yield* nop();
          }
        });
        const tasks = Array.from({ length: 10 }, (_, lane) => spawn(append(lane)));
        for (const task of tasks) yield* task.join();
        yield* close(file);
        expect(readFileSync(path, "utf8")).toBe("abc".repeat(200));
      },
      { ring: { sqEntries: 4, cqEntries: 8 } },
    );
  });

  test("X-32 one that the ring can never hold is refused, and so is whatever cannot be chained", async () => {
    await runIo(
      function* () {
        const error = thrownBy(() =>
          setupChain(
            [1, 2, 3, 4, 5].map(() => new Handle()),
            [1, 2, 3, 4, 5].map(nop),
          ),
        );
        expectError(error, UsageError, "COOP_CHAIN", /1 to 4 operations/);
        const handle = new Handle();
        const same = nop();
        const wrong: [() => unknown, RegExp][] = [
          [() => setupChain([], []), /1 to 4/],
          [() => setupChain([handle], [sleep(1)]), /write\(\) and fsync\(\)/],
          [() => setupChain([handle, handle], [nop(), nop()]), /Handle of its own/],
          [() => setupChain([handle], [nop(), nop()]), /as many handles/],
          [() => setupChain([handle, new Handle()], [same, same]), /twice/],
          [() => setupChain([null as unknown as Handle], [nop()]), /Handle of its own/],
          [() => setupChain([handle], null as never), /1 to 4/],
        ];
        for (const [call, text] of wrong) expectError(thrownBy(call), UsageError, "COOP_CHAIN", text);
        expect(handle.status).toBe("idle");
        expectError(yield* failureOf(chain([])), UsageError, "COOP_CHAIN", /1 to 4/);
      },
      { ring: { sqEntries: 4, cqEntries: 8 } },
    );
  });

  test("P18 a setup that throws in the middle leaves nothing behind", async () => {
    await runIo(function* () {
      const { near, far } = yield* unixPair();
      const busy = new Handle();
      const reading = spawn(recv(far, Buffer.alloc(8)));
      yield* submitted();
      setupNop(busy);
      const before = ioCounts();
      const make = () => [
        sendAll(near, Buffer.from("x")),
        shutdown(near, "write"),
        recv(far, Buffer.alloc(1)),
      ];
      for (let i = 0; i < 3; i++) {
        const handles = [new Handle(), new Handle(), new Handle()];
        // Another task reads from it.
        expect(thrownBy(() => setupChain(handles, make()))).toBeInstanceOf(BusyError);
        expect(thrownBy(() => setupChain([handles[0]!, busy], make().slice(0, 2)))).toBeInstanceOf(BusyError);
        expect(handles.map(({ status }) => status)).toEqual(["idle", "idle", "idle"]);
      }
      expect(ioCounts().submitted).toBe(before.submitted);
      expect(ioCounts().inflight).toBe(before.inflight);
      // Neither has a writer, nor was it shut down.
      yield* sendAll(near, Buffer.from("y"));
      expect(yield* reading.join()).toBe(1);
      yield* busy.settled();
      for (const each of [near, far]) yield* close(each);
    });
  });

  test("P18 a setup that throws is what is told, and what was taken of a stream goes back in its order", async () => {
    await runIo(function* () {
      const { near, far } = yield* unixPair();
      const { near: gone, far: other } = yield* unixPair();
      for (const each of [gone, other]) yield* close(each);
      const [one, two] = [Buffer.alloc(2), Buffer.alloc(2)];
      const nothing = chain([recv(near, one), send(gone, one)]);
      expect((yield* failureOf(nothing)).code).toBe("COOP_CLOSED");
      near.inbox.keep(Buffer.from("abcdef"));
      const broken = () => [recv(near, one), recv(near, two), send(gone, one)];
      expect((yield* failureOf(chain(broken()))).code).toBe("COOP_CLOSED");
      expect(thrownBy(() => setupChain([new Handle(), new Handle(), new Handle()], broken())).code).toBe(
        "COOP_CLOSED",
      );
      // The kernel fails it, after both were received at once.
      using file = yield* open(freshPath(), "w");
      const failed = chain([recv(near, one), recv(near, two), read(file, one.subarray(0, 1))]);
      expect(yield* failureOf(failed)).toMatchObject({ code: "EBADF" });
      const all = Buffer.alloc(8);
      expect(all.toString("latin1", 0, yield* recv(near, all))).toBe("abcdef");
      for (const each of [near, far]) yield* close(each);
    });
  });

  test("P18 the error of an operation is its own", async () => {
    await runIo(function* () {
      const { near, far } = yield* unixPair();
      yield* close(far);
      const error = yield* failureOf(chain([nop(), sendAll(near, Buffer.from("x")), nop()]));
      expect(error).toBeInstanceOf(IoError);
      expect(error).toMatchObject({ code: "EPIPE", syscall: "send" });
      yield* close(near);
      expect(yield* failureOf(chain([nop(), recv(near, Buffer.alloc(1))]))).toBeInstanceOf(ClosedError);
    });
  });
});
