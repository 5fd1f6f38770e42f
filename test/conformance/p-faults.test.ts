/** Conformance P: what the kernel may answer to a single operation, simulated. */
import { describe, expect, test } from "vitest";
import { ClosedError, CoopError, DeadlineError, type Operation, spawn } from "../../src/coordinator/index.ts";
import {
  accept,
  adoptFile,
  adoptSocket,
  advise,
  allocate,
  bind,
  close,
  connectSocket,
  type Descriptor,
  type File,
  fallocate,
  fsync,
  getXattr,
  IoError,
  link,
  listenSocket,
  mkdir,
  nop,
  open,
  openDirectory,
  openPipe,
  poll,
  read,
  readv,
  recv,
  rename,
  rmdir,
  type Socket,
  send,
  sendAll,
  setXattr,
  shutdown,
  socket,
  splice,
  stat,
  symlink,
  syncRange,
  tee,
  truncate,
  unlink,
  waitProcess,
  write,
  writeAll,
  writev,
  writevAll,
} from "../../src/io/index.ts";
import * as abi from "../../src/native/layout.ts";
import {
  OP_ACCEPT,
  OP_BIND,
  OP_CLOSE,
  OP_CONNECT,
  OP_FSYNC,
  OP_LISTEN,
  OP_OPENAT,
  OP_READ,
  OP_RECV,
  OP_SEND,
  OP_SHUTDOWN,
  OP_SOCKET,
  OP_WRITE,
} from "../../src/native/layout.ts";
import { expectError, failureOf, ioCounts, pattern, stop } from "../support/io.ts";
import { PENDING, runScripted, ScriptedDriver, type Submission } from "../support/scripted-driver.ts";

const EINTR = 4;
const EIO = 5;
const EAGAIN = 11;
const EFAULT = 14;
const ECANCELED = 125;

const memories = ["copied", "shared"] as const;

function bufferOf(memory: (typeof memories)[number], length: number): Buffer {
  return memory === "shared" ? allocate(length) : Buffer.alloc(length);
}

describe("P07 short counts", () => {
  const LENGTH = 24;

  test.each(memories)("P07 a read gives what came, at every length, and 0 at the end (%s)", (memory) => {
    const content = pattern(1000);
    for (let chunk = 0; chunk <= LENGTH; chunk++) {
      let position = 0;
      const driver = new ScriptedDriver({
        result: (submission, self) => {
          if (submission.opcode !== OP_READ && submission.opcode !== OP_RECV) return 0;
          self.bytesOf(submission).set(content.subarray(position, position + chunk));
          position += chunk;
          return chunk;
        },
      });
      runScripted(driver, function* () {
        const file = adoptFile(driver.openNumber());
        const peer = adoptSocket(driver.openNumber());
        // What lies around the part that is read into stays as it was.
        const all = bufferOf(memory, LENGTH + 16).fill(0xee);
        const into = all.subarray(8, 8 + LENGTH);
        for (const operation of [read(file, into), recv(peer, into), read(file, into, { position: 3 })]) {
          into.fill(0xee);
          const from = position;
          expect(yield* operation).toBe(chunk);
          expect(into.subarray(0, chunk).equals(content.subarray(from, from + chunk))).toBe(true);
          expect(into.subarray(chunk).every((byte) => byte === 0xee)).toBe(true);
        }
        expect([...all.subarray(0, 8), ...all.subarray(8 + LENGTH)]).toEqual(Array(16).fill(0xee));
        yield* close(file);
        yield* close(peer);
      });
    }
  });

  test.each(memories)("P07 an empty buffer is not the end: it asks nothing of the kernel (%s)", (memory) => {
    const driver = new ScriptedDriver({ result: () => 0 });
    runScripted(driver, function* () {
      const peer = adoptSocket(driver.openNumber());
      const empty = bufferOf(memory, 0);
      for (const operation of [recv(peer, empty), send(peer, empty), read(peer, empty), write(peer, empty)]) {
        expect(yield* operation as Operation<number>).toBe(0);
      }
      yield* sendAll(peer, empty);
      yield* writeAll(peer, empty);
      expect(driver.log).toEqual([]);
      yield* close(peer);
    });
  });

  test.each(memories)("P07 write-all goes on to the end, whatever each round takes (%s)", (memory) => {
    for (let chunk = 1; chunk <= LENGTH; chunk++) {
      for (const start of [undefined, 0, 2 ** 40]) {
        const got: number[] = [];
        const offsets: number[] = [];
        const driver = new ScriptedDriver({
          result: (submission, self) => {
            if (submission.opcode !== OP_WRITE && submission.opcode !== OP_SEND) return 0;
            const count = Math.min(chunk, submission.length);
            got.push(...self.bytesOf(submission).subarray(0, count));
            offsets.push(submission.offset);
            return count;
          },
        });
        runScripted(driver, function* () {
          const file = adoptFile(driver.openNumber());
          const message = bufferOf(memory, LENGTH);
          pattern(LENGTH).copy(message);
          if (start === undefined) yield* sendAll(file, message);
          else yield* writeAll(file, message, { position: start });
          expect(got).toEqual([...message]);
          const rounds = Math.ceil(LENGTH / chunk);
          const expected = Array.from({ length: rounds }, (_, i) =>
            start === undefined ? 0 : start + i * chunk,
          );
          expect(offsets).toEqual(expected);
          got.length = 0;
          offsets.length = 0;
          // Without a position every round goes on where the file is.
          yield* writeAll(file, message);
          expect(got).toEqual([...message]);
          expect(offsets).toEqual(Array(rounds).fill(-1));
          expect(yield* write(file, message)).toBe(chunk);
          yield* close(file);
        });
      }
    }
  });

  test("P07 the same write-all can be run again, and begins at the beginning", () => {
    const lengths: number[] = [];
    const driver = new ScriptedDriver({
      result: ({ opcode, length }) => {
        if (opcode !== OP_WRITE) return 0;
        lengths.push(length);
        return Math.min(4, length);
      },
    });
    runScripted(driver, function* () {
      const file = adoptFile(driver.openNumber());
      const operation = writeAll(file, Buffer.alloc(10));
      yield* operation;
      yield* operation;
      expect(lengths).toEqual([10, 6, 2, 10, 6, 2]);
      yield* close(file);
    });
  });

  test.each([
    ["at once", 0],
    ["after a part", 5],
  ])("P07 a device that takes nothing ends write-all with an error, not with a loop (%s)", (_when, first) => {
    const driver = new ScriptedDriver({
      result: ({ opcode, length }) => (opcode !== OP_WRITE ? 0 : length === 10 ? first : 0),
    });
    runScripted(driver, function* () {
      const file = adoptFile(driver.openNumber());
      const error = yield* failureOf(() => writeAll(file, Buffer.alloc(10)));
      expectError(error, IoError, "EIO", /EIO: .*, write/);
      expect(driver.log.length).toBe(first === 0 ? 1 : 2);
      yield* close(file);
    });
  });

  test("P07 the rest of a buffer that is detached between two rounds is not made up", () => {
    const message = new Uint8Array(10);
    const driver = new ScriptedDriver({
      result: ({ opcode }) => {
        if (opcode !== OP_WRITE) return 0;
        if (message.byteLength > 0) structuredClone(message, { transfer: [message.buffer] });
        return 4;
      },
    });
    runScripted(driver, function* () {
      const file = adoptFile(driver.openNumber());
      const error = yield* failureOf(() => writeAll(file, message));
      expectError(error, IoError, "EFAULT", /write/);
      expectError(
        yield* failureOf(() => writeAll(file, Buffer.from("x"))),
        ClosedError,
        "COOP_CLOSED",
        /after 4 bytes/,
      );
      yield* close(file);
    });
  });

  test("P07 a count beyond the buffer reaches nobody's memory", () => {
    const driver = new ScriptedDriver({ result: ({ opcode }) => (opcode === OP_RECV ? 4096 : 0) });
    runScripted(driver, function* () {
      const peer = adoptSocket(driver.openNumber());
      const error = yield* failureOf(() => recv(peer, Buffer.alloc(8)));
      expect(error).toMatchObject({ errno: -EFAULT });
      yield* close(peer);
    });
  });
});

describe("P08 EINTR and EAGAIN", () => {
  test.each([
    ["EINTR", EINTR],
    ["EAGAIN", EAGAIN],
  ])("P08 %s is handed on, after one try, and the next try is a new one", (code, errno) => {
    let refuse = true;
    const driver = new ScriptedDriver({
      result: ({ opcode, length }) => (opcode === OP_CLOSE ? 0 : refuse ? -errno : length),
    });
    runScripted(driver, function* () {
      const peer = adoptSocket(driver.openNumber());
      const bytes = Buffer.alloc(8);
      const tries = [
        () => recv(peer, bytes),
        () => send(peer, bytes),
        () => sendAll(peer, bytes),
        () => read(peer, bytes),
        () => write(peer, bytes),
        () => writeAll(peer, bytes),
      ];
      for (const attempt of tries) {
        refuse = true;
        const { length } = driver.log;
        expectError(yield* failureOf(attempt as () => Operation<unknown>), IoError, code, /./);
        expect(driver.log.length).toBe(length + 1);
        refuse = false;
        yield* attempt() as Operation<unknown>;
        expect(driver.log.length).toBe(length + 2);
      }
      yield* close(peer);
    });
  });

  test("P08 in the middle of a write-all it breaks a stream and not a file", () => {
    let rounds = 0;
    const driver = new ScriptedDriver({
      result: ({ opcode }) => (opcode !== OP_WRITE ? 0 : ++rounds % 2 === 1 ? 3 : -EINTR),
    });
    runScripted(driver, function* () {
      const file = adoptFile(driver.openNumber());
      const bytes = Buffer.alloc(8);
      expect(yield* failureOf(() => writeAll(file, bytes, { position: 0 }))).toMatchObject({ code: "EINTR" });
      expect(yield* failureOf(() => writeAll(file, bytes))).toMatchObject({ code: "EINTR" });
      expectError(
        yield* failureOf(() => writeAll(file, bytes, { position: 0 })),
        ClosedError,
        "COOP_CLOSED",
        /after 3 bytes/,
      );
      yield* close(file);
    });
  });

  test("P08 EINTR after a cancel of ours is that cancel", () => {
    const driver = new ScriptedDriver({
      result: ({ opcode }) => (opcode === OP_CLOSE ? 0 : PENDING),
      cancel: () => ({ target: -EINTR, cancel: -114 }),
    });
    runScripted(driver, function* () {
      const peer = adoptSocket(driver.openNumber());
      const late = yield* failureOf(() => recv(peer, Buffer.alloc(1), { timeout: 5 }));
      expectError(late, DeadlineError, "COOP_DEADLINE", /recv on socket 100 took longer than 5/);
      const reader = spawn(recv(peer, Buffer.alloc(1)));
      yield* stop(reader);
      yield* close(peer);
    });
  });

  test("P08 a cancelled operation although nobody asked for it is an error", () => {
    const driver = new ScriptedDriver({ result: ({ opcode }) => (opcode === OP_RECV ? -ECANCELED : 0) });
    runScripted(driver, function* () {
      const peer = adoptSocket(driver.openNumber());
      expectError(
        yield* failureOf(() => recv(peer, Buffer.alloc(1))),
        IoError,
        "ECANCELED",
        /operation canceled, recv/,
      );
      yield* close(peer);
    });
  });
});

/** Every operation, the opcode it ends up as, and what its errors have to say. */
interface Case {
  readonly opcode: number;
  readonly syscall: string;
  /** What it works on; `"none"` makes a descriptor. */
  readonly of: "file" | "socket" | "path" | "none";
  readonly run: (on: File & Socket) => Operation<unknown>;
  readonly says?: object;
}

const AT = { path: "/a", message: expect.stringContaining("'/a'") };
const BOTH = { path: "/a", dest: "/b", message: expect.stringContaining("'/a' -> '/b'") };
const VALUE = Buffer.from("value");

/** The operations of src/io/file. */
const FILE_CASES: Record<string, Case> = {
  readv: { opcode: abi.OP_READ, syscall: "readv", of: "file", run: (f) => readv(f, [VALUE, VALUE]) },
  writev: { opcode: abi.OP_WRITE, syscall: "writev", of: "file", run: (f) => writev(f, [VALUE]) },
  writevAll: { opcode: abi.OP_WRITE, syscall: "writev", of: "file", run: (f) => writevAll(f, [VALUE]) },
  truncate: { opcode: abi.OP_FTRUNCATE, syscall: "ftruncate", of: "file", run: (f) => truncate(f, 1) },
  fallocate: {
    opcode: abi.OP_FALLOCATE,
    syscall: "fallocate",
    of: "file",
    run: (f) => fallocate(f, { length: 1 }),
  },
  advise: {
    opcode: abi.OP_FADVISE,
    syscall: "fadvise",
    of: "file",
    run: (f) => advise(f, { advice: "random" }),
  },
  syncRange: {
    opcode: abi.OP_SYNC_FILE_RANGE,
    syscall: "sync_file_range",
    of: "file",
    run: (f) => syncRange(f),
  },
  poll: { opcode: abi.OP_POLL_ADD, syscall: "poll", of: "file", run: (f) => poll(f) },
  splice: { opcode: abi.OP_SPLICE, syscall: "splice", of: "file", run: (f) => splice(f, f, { length: 1 }) },
  tee: { opcode: abi.OP_TEE, syscall: "tee", of: "file", run: (f) => tee(f, f, { length: 1 }) },
  setXattr: {
    opcode: abi.OP_SETXATTR,
    syscall: "setxattr",
    of: "path",
    run: () => setXattr("/a", "user.x", VALUE),
    says: AT,
  },
  getXattr: { opcode: abi.OP_FGETXATTR, syscall: "getxattr", of: "file", run: (f) => getXattr(f, "user.x") },
  stat: { opcode: abi.OP_STATX, syscall: "stat", of: "path", run: () => stat("/a"), says: AT },
  unlink: { opcode: abi.OP_UNLINKAT, syscall: "unlink", of: "path", run: () => unlink("/a"), says: AT },
  rmdir: { opcode: abi.OP_UNLINKAT, syscall: "rmdir", of: "path", run: () => rmdir("/a"), says: AT },
  mkdir: { opcode: abi.OP_MKDIRAT, syscall: "mkdir", of: "path", run: () => mkdir("/a"), says: AT },
  rename: {
    opcode: abi.OP_RENAMEAT,
    syscall: "rename",
    of: "path",
    run: () => rename("/a", "/b"),
    says: BOTH,
  },
  link: { opcode: abi.OP_LINKAT, syscall: "link", of: "path", run: () => link("/a", "/b"), says: BOTH },
  symlink: {
    opcode: abi.OP_SYMLINKAT,
    syscall: "symlink",
    of: "path",
    run: () => symlink("/a", "/b"),
    says: BOTH,
  },
  openPipe: { opcode: abi.OP_PIPE, syscall: "pipe", of: "path", run: () => openPipe() },
  openDirectory: { opcode: OP_OPENAT, syscall: "open", of: "none", run: () => openDirectory("/a"), says: AT },
  waitProcess: { opcode: abi.OP_WAITID, syscall: "waitid", of: "path", run: () => waitProcess(1) },
};

const CASES: Readonly<Record<string, Case>> = {
  recv: { opcode: OP_RECV, syscall: "recv", of: "socket", run: (s) => recv(s, Buffer.alloc(4)) },
  send: { opcode: OP_SEND, syscall: "send", of: "socket", run: (s) => send(s, Buffer.alloc(4)) },
  sendAll: { opcode: OP_SEND, syscall: "send", of: "socket", run: (s) => sendAll(s, Buffer.alloc(4)) },
  shutdown: { opcode: OP_SHUTDOWN, syscall: "shutdown", of: "socket", run: (s) => shutdown(s, "write") },
  accept: { opcode: OP_ACCEPT, syscall: "accept", of: "socket", run: (s) => accept(s) },
  listen: { opcode: OP_LISTEN, syscall: "listen", of: "socket", run: (s) => listenSocket(s) },
  bind: {
    opcode: OP_BIND,
    syscall: "bind",
    of: "socket",
    run: (s) => bind(s, "127.0.0.1:80"),
    says: { address: "127.0.0.1", port: 80, message: expect.stringContaining("bind 127.0.0.1:80") },
  },
  connect: {
    opcode: OP_CONNECT,
    syscall: "connect",
    of: "socket",
    run: (s) => connectSocket(s, "unix:/run/x"),
    says: { path: "/run/x", message: expect.stringContaining("connect '/run/x'") },
  },
  read: { opcode: OP_READ, syscall: "read", of: "file", run: (f) => read(f, Buffer.alloc(4)) },
  write: { opcode: OP_WRITE, syscall: "write", of: "file", run: (f) => write(f, Buffer.alloc(4)) },
  writeAll: { opcode: OP_WRITE, syscall: "write", of: "file", run: (f) => writeAll(f, Buffer.alloc(4)) },
  fsync: { opcode: OP_FSYNC, syscall: "fsync", of: "file", run: (f) => fsync(f) },
  open: {
    opcode: OP_OPENAT,
    syscall: "open",
    of: "none",
    run: () => open("/some/where"),
    says: { path: "/some/where", message: expect.stringContaining("open '/some/where'") },
  },
  socket: { opcode: OP_SOCKET, syscall: "socket", of: "none", run: () => socket("ipv4") },
  ...FILE_CASES,
  close: { opcode: OP_CLOSE, syscall: "close", of: "file", run: (f) => close(f) },
};

const ERRORS: Readonly<Record<string, number>> = {
  ENOMEM: 12,
  ENOBUFS: 105,
  EMFILE: 24,
  ENFILE: 23,
  ENOSPC: 28,
  EDQUOT: 122,
  EFBIG: 27,
  EIO,
  EROFS: 30,
  ENETDOWN: 100,
  EHOSTUNREACH: 113,
  ECONNREFUSED: 111,
  ETIMEDOUT: 110,
  EPIPE: 32,
  ECONNRESET: 104,
};

/** Errors of a sync that stay. */
const LOSING = ["EIO", "ENOSPC", "EDQUOT"];
/** Errors of a connection that stay. */
const ENDING = ["ECONNRESET", "ETIMEDOUT", "EPIPE"];

describe("P09 errors of each operation", () => {
  test.each(Object.keys(CASES))("P09 %s: typed, named, and nothing is broken after it", (name) => {
    const { opcode, syscall, of, run, says } = CASES[name];
    for (const [code, errno] of Object.entries(ERRORS)) {
      let refuse = true;
      const succeed = (submission: Submission, self: ScriptedDriver): number =>
        opcode === OP_ACCEPT || opcode === OP_OPENAT || opcode === OP_SOCKET
          ? self.openNumber()
          : Math.max(0, submission.length);
      const driver = new ScriptedDriver({
        result: (submission, self) =>
          submission.opcode !== opcode ? 0 : refuse ? -errno : succeed(submission, self),
      });
      runScripted(driver, function* () {
        const on = (
          of === "none" || of === "path"
            ? null
            : of === "file"
              ? adoptFile(driver.openNumber())
              : adoptSocket(driver.openNumber())
        ) as (File & Socket) | null;
        const error = yield* failureOf(() => run(on!));
        expect(error).toBeInstanceOf(IoError);
        expect(error).toBeInstanceOf(CoopError);
        expect(error).toMatchObject({ code, errno: -errno, syscall, name: "IoError" });
        if (says !== undefined) expect(error).toMatchObject(says);
        // The same again, when the trouble is over.
        refuse = false;
        if (on === null || opcode === OP_CLOSE) {
          if (of === "none") yield* close((yield* run(on!)) as Descriptor);
          if (of === "path") ((yield* run(on!)) as Partial<Disposable> | undefined)?.[Symbol.dispose]?.();
          return;
        }
        if (opcode === OP_FSYNC && LOSING.includes(code)) {
          // Data is lost, and that is told as long as the file is open (T06).
          expect(yield* failureOf(() => run(on))).toMatchObject({ code, errno: -errno, syscall });
          yield* close(on);
          return;
        }
        if (opcode === OP_RECV && ENDING.includes(code)) {
          // The connection is over, and must not look as if it had come to its proper end (S07).
          expect(yield* failureOf(() => run(on))).toMatchObject({ code, errno: -errno, syscall });
          yield* close(on);
          return;
        }
        const value = yield* run(on);
        if (opcode === OP_ACCEPT) yield* close(value as Descriptor);
        expect(ioCounts().blocks).toBe(0);
        yield* close(on);
      });
    }
  });

  test("P09 control: an operation that succeeds fails the check", () => {
    const driver = new ScriptedDriver({ result: () => 0 });
    runScripted(driver, function* () {
      const error = yield* failureOf(nop);
      expect(error).not.toBeInstanceOf(CoopError);
      expect(error.message).toMatch(/expected to fail/);
    });
  });

  test("P09 an error of close counts as closed: the number is not used again", () => {
    const driver = new ScriptedDriver({ result: ({ opcode }) => (opcode === OP_CLOSE ? -EIO : 0) });
    runScripted(driver, function* () {
      const file = adoptFile(driver.openNumber());
      expectError(yield* failureOf(() => close(file)), IoError, "EIO", /close/);
      expect(file.closed).toBe(true);
      expect(file.fd).toBe(-1);
      // Once more says the same, without a second close(2).
      expectError(yield* failureOf(() => close(file)), IoError, "EIO", /close/);
      expect(driver.log.length).toBe(1);
      expectError(yield* failureOf(() => read(file, Buffer.alloc(1))), ClosedError, "COOP_CLOSED", /closed/);
    });
  });
});
