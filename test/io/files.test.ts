/** Files: contents end to end, modes, positions, errors with their path. */
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { op, spawn } from "../../src/coordinator/index.ts";
import {
  allocate,
  close,
  type File,
  fsync,
  Handle,
  IoError,
  type OpenMode,
  open,
  read,
  setupFsync,
  write,
  writeAll,
} from "../../src/io/index.ts";
import {
  expectError,
  failureOf,
  freshFifo,
  freshPath,
  ioCounts,
  pattern,
  runIo,
  stop,
  submitted,
} from "../support/io.ts";

const sha = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

/** Random bytes that are the same every time. */
function noise(length: number, seed: number): Buffer {
  const bytes = Buffer.alloc(length);
  let state = seed | 1;
  for (let i = 0; i < length; i++) {
    state = Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x6d2b79f5;
    bytes[i] = state >>> 24;
  }
  return bytes;
}

describe("contents", () => {
  test.each([
    ["copied", (bytes: Buffer) => bytes],
    [
      "shared",
      (bytes: Buffer) => {
        const shared = allocate(bytes.length);
        bytes.copy(shared);
        return shared;
      },
    ],
  ] as const)("what is written is what is there, by its hash (%s)", async (_how, prepare) => {
    await runIo(function* () {
      for (const length of [1, 4096, 65537, 3 << 20]) {
        const content = prepare(noise(length, length));
        const path = freshPath();
        const file = yield* open(path, "w+");
        yield* writeAll(file, content);
        yield* fsync(file);
        const into = prepare(Buffer.alloc(length));
        for (let at = 0; at < length; ) {
          const count = yield* read(file, into.subarray(at), { position: at });
          expect(count).toBeGreaterThan(0);
          at += count;
        }
        expect(sha(into)).toBe(sha(content));
        expect(sha(readFileSync(path))).toBe(sha(content));
        // At the end there is nothing more.
        expect(yield* read(file, Buffer.alloc(1), { position: length })).toBe(0);
        yield* close(file);
      }
    });
  });

  test("a large write through a pipe goes on until all of it is through", async () => {
    await runIo(function* () {
      const path = freshFifo();
      const pipe = yield* open(path, "r+");
      const content = noise(1 << 20, 5);
      const writer = spawn(writeAll(pipe, content));
      const into = Buffer.alloc(content.length);
      for (let at = 0; at < into.length; ) at += yield* read(pipe, into.subarray(at));
      yield* writer.join();
      expect(sha(into)).toBe(sha(content));
    });
  });

  test("T03 sixteen tasks on one file, each at its own places", async () => {
    await runIo(function* () {
      const file = yield* open(freshPath(), "w+");
      const worker = op(function* (of: File, number: number) {
        for (let round = 0; round < 8; round++) {
          const position = (round * 16 + number) * 512;
          yield* writeAll(of, pattern(512, number), { position });
          const into = Buffer.alloc(512);
          expect(yield* read(of, into, { position })).toBe(512);
          expect(into.equals(pattern(512, number))).toBe(true);
        }
      });
      const workers = Array.from({ length: 16 }, (_, i) => spawn(worker(file, i)));
      for (const task of workers) yield* task.join();
      const all = Buffer.alloc(16 * 8 * 512);
      expect(yield* read(file, all, { position: 0 })).toBe(all.length);
      for (let i = 0; i < 128; i++) {
        expect(all.subarray(i * 512, (i + 1) * 512).equals(pattern(512, i % 16))).toBe(true);
      }
    });
  });
});

describe("modes", () => {
  const text = (bytes: string): Buffer => Buffer.from(bytes);

  /** What a mode makes of a file that holds "old" and of none. */
  const MODES: readonly (readonly [OpenMode, string, string])[] = [
    ["r", "old", "ENOENT"],
    ["r+", "newd", "ENOENT"],
    ["w", "new", "new"],
    ["wx", "EEXIST", "new"],
    ["w+", "new", "new"],
    ["wx+", "EEXIST", "new"],
    ["a", "oldnew", "new"],
    ["ax", "EEXIST", "new"],
    ["a+", "oldnew", "new"],
    ["ax+", "EEXIST", "new"],
  ];

  test.each(MODES)("%s", async (mode, ofOld, ofNone) => {
    await runIo(function* () {
      for (const [exists, expected] of [
        [true, ofOld],
        [false, ofNone],
      ] as const) {
        const path = freshPath();
        if (exists) writeFileSync(path, mode === "r+" ? "oldd" : "old");
        if (/^E/.test(expected)) {
          const error = yield* failureOf(() => open(path, mode));
          expect(error).toMatchObject({ code: expected, syscall: "open", path });
          continue;
        }
        const file = yield* open(path, mode);
        if (mode === "r")
          expect(yield* failureOf(() => write(file, text("new")))).toMatchObject({ code: "EBADF" });
        else yield* writeAll(file, text("new"));
        if (mode.includes("+") || mode === "r") {
          const into = Buffer.alloc(16);
          expect(into.toString("utf8", 0, yield* read(file, into, { position: 0 }))).toBe(expected);
        } else {
          const error = yield* failureOf(() => read(file, Buffer.alloc(1), { position: 0 }));
          expectError(error, IoError, "EBADF", /EBADF: bad file descriptor, read '.*file-\d+'/);
        }
        yield* close(file);
        expect(readFileSync(path, "utf8")).toBe(expected);
      }
    });
  });

  test("an appending file is written at its end, whatever the position", async () => {
    await runIo(function* () {
      const path = freshPath();
      const file = yield* open(path, "a");
      yield* writeAll(file, text("one"));
      yield* writeAll(file, text("two"), { position: 0 });
      expect(readFileSync(path, "utf8")).toBe("onetwo");
    });
  });

  test("permissions of a new file", async () => {
    const before = process.umask(0o022);
    try {
      await runIo(function* () {
        for (const [permissions, expected] of [
          [undefined, 0o644],
          [0o600, 0o600],
          [0, 0],
          [0o777, 0o755],
        ] as const) {
          const path = freshPath();
          yield* close(yield* open(path, "w", permissions === undefined ? {} : { permissions }));
          expect(statSync(path).mode & 0o7777).toBe(expected);
        }
      });
    } finally {
      process.umask(before);
    }
  });

  test("without a position, each read and write goes on where the last one ended", async () => {
    await runIo(function* () {
      const file = yield* open(freshPath(), "w+");
      yield* writeAll(file, text("abc"));
      yield* writeAll(file, text("def"));
      const again = yield* open(file.details!.path!, "r");
      const into = Buffer.alloc(2);
      for (const expected of ["ab", "cd", "ef", ""]) {
        expect(into.toString("utf8", 0, yield* read(again, into))).toBe(expected);
      }
    });
  });
});

describe("errors and devices", () => {
  test("T04 a directory, a file that is none, one of /proc", async () => {
    await runIo(function* () {
      const path = freshPath("directory");
      mkdirSync(path);
      const directory = yield* open(path);
      expect(yield* failureOf(() => read(directory, Buffer.alloc(8)))).toMatchObject({
        code: "EISDIR",
        path,
      });
      expect(yield* failureOf(() => open(path, "w"))).toMatchObject({ code: "EISDIR", path });
      expect(yield* failureOf(() => open(`${path}/none/such`))).toMatchObject({ code: "ENOENT" });
      expect(yield* failureOf(() => open("/dev/null/x"))).toMatchObject({ code: "ENOTDIR" });
      const status = yield* open("/proc/self/status");
      const into = Buffer.alloc(8192);
      let length = 0;
      for (let count = -1; count !== 0; length += count) count = yield* read(status, into.subarray(length));
      expect(into.toString("utf8", 0, length)).toContain(`Pid:\t${process.pid}\n`);
    });
  });

  test("a device that is full", async () => {
    await runIo(function* () {
      const full = yield* open("/dev/full", "w");
      const error = yield* failureOf(() => writeAll(full, Buffer.from("x")));
      expectError(error, IoError, "ENOSPC", /ENOSPC: no space left on device, write '\/dev\/full'/);
    });
  });

  test("T06 a sync comes after the writes before it, in both forms and kinds", async () => {
    await runIo(function* () {
      const file = yield* open(freshPath(), "w");
      yield* writeAll(file, pattern(10_000));
      yield* fsync(file);
      yield* fsync(file, { dataOnly: true, timeout: "10 seconds" });
      const handle = new Handle();
      setupFsync(handle, file);
      expect(yield* handle).toBe(0);
      const pipe = yield* open(freshFifo(), "r+");
      expect(yield* failureOf(() => fsync(pipe))).toMatchObject({ code: "EINVAL", syscall: "fsync" });
    });
  });

  test("a killed sync or write may have happened, and leaves the file usable", async () => {
    await runIo(function* () {
      const path = freshPath();
      const file = yield* open(path, "w+");
      for (let i = 0; i < 10; i++) {
        const writer = spawn(writeAll(file, pattern(1 << 18, i), { position: 0 }), { start: "now" });
        const syncer = spawn(fsync(file), { start: "now" });
        if (i % 2 === 0) yield* submitted();
        yield* stop(writer);
        yield* stop(syncer);
        yield* writeAll(file, pattern(64, i), { position: 0 });
        const into = Buffer.alloc(64);
        yield* read(file, into, { position: 0 });
        expect(into.equals(pattern(64, i))).toBe(true);
        expect(ioCounts().blocks).toBe(0);
      }
    });
  });
});
