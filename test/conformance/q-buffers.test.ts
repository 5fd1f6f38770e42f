/** Conformance Q: memory of file operations: what is refused, what stays, what the kernel gets to see. */
import { describe, expect, test } from "vitest";
import { spawn, UsageError } from "../../src/coordinator/index.ts";
import {
  adoptFile,
  allocate,
  type Bytes,
  close,
  type File,
  fallocate,
  getXattr,
  Handle,
  open,
  openBeneath,
  openDirectory,
  read,
  readv,
  rename,
  setupReadv,
  setXattr,
  stat,
  truncate,
  write,
  writeAll,
  writev,
  writevAll,
} from "../../src/io/index.ts";
import * as abi from "../../src/native/layout.ts";
import { onFakeRing } from "../support/fake-ring.ts";
import { checked } from "../support/harness.ts";
import {
  expectError,
  failureOf,
  freshPath,
  ioCounts,
  pattern,
  rings,
  runIo,
  stop,
  submitted,
  thrownBy,
} from "../support/io.ts";
import { runScripted, ScriptedDriver } from "../support/scripted-driver.ts";

const WITH_BYTES: Readonly<Record<string, (file: File, bytes: Bytes) => unknown>> = {
  read: (file, bytes) => read(file, bytes),
  write: (file, bytes) => write(file, bytes),
  writeAll: (file, bytes) => writeAll(file, bytes),
  readv: (file, bytes) => readv(file, [allocate(1), bytes]),
  writev: (file, bytes) => writev(file, [bytes]),
  writevAll: (file, bytes) => writevAll(file, [bytes]),
  setXattr: (file, bytes) => setXattr(file, "user.x", bytes),
  setupReadv: (file, bytes) => setupReadv(new Handle(), file, [bytes]),
};

describe("Q03 Q04 bytes that are not there, or not for long", () => {
  test.each(Object.keys(WITH_BYTES))("Q03 %s refuses them before anything is submitted", async (name) => {
    await runIo(function* () {
      const file = yield* open(freshPath(), "w+");
      const before = ioCounts().submitted;
      const gone = new Uint8Array(8);
      structuredClone(gone, { transfer: [gone.buffer] });
      for (const wrong of [gone, "text", null, new Uint16Array(4), [1, 2], new ArrayBuffer(8)]) {
        const error = thrownBy(() => WITH_BYTES[name]!(file, wrong as unknown as Bytes));
        expectError(error, UsageError, "COOP_BUFFER", /Uint8Array|detached/);
      }
      expect(ioCounts().submitted).toBe(before);
    });
  });

  test.each(rings)("Q04 a resizable buffer is refused, also among others ($ring ring)", async ({ runIo }) => {
    const Resizable = ArrayBuffer as unknown as new (
      length: number,
      options: { maxByteLength: number },
    ) => ArrayBuffer;
    const bytes = new Uint8Array(new Resizable(8, { maxByteLength: 16 }));
    await runIo(function* () {
      const file = yield* open(freshPath(), "w+");
      for (const call of [() => writev(file, [allocate(4), bytes]), () => readv(file, [bytes])]) {
        expectError(yield* failureOf(call), UsageError, "COOP_BUFFER", /resizable/);
      }
      expect(ioCounts().blocks).toBe(0);
    });
  });

  test.each(rings)("Q03 nothing to read or write is done at once ($ring ring)", async ({ runIo }) => {
    await runIo(function* () {
      const file = yield* open(freshPath(), "w+");
      const before = ioCounts().submitted;
      expect(yield* readv(file, [new Uint8Array(0), allocate(0)])).toBe(0);
      expect(yield* writev(file, [])).toBe(0);
      yield* writevAll(file, [new Uint8Array(0)]);
      expect(ioCounts().submitted).toBe(before);
    });
  });
});

describe("Q02 Q06 vectors", () => {
  test.each(rings)(
    "Q06 pieces of buffers, exactly, and nothing around them ($ring ring)",
    async ({ runIo }) => {
      await runIo(function* () {
        const file = yield* open(freshPath(), "w+");
        yield* writeAll(file, pattern(1000));
        for (const make of [(n: number) => Buffer.alloc(n, 0xee), (n: number) => allocate(n).fill(0xee)]) {
          const [a, b] = [make(20), make(100)];
          yield* readv(file, [a.subarray(3, 7), b.subarray(10, 90)], { position: 100 });
          expect(
            Buffer.concat([a.subarray(3, 7), b.subarray(10, 90)]).equals(pattern(1000).subarray(100, 184)),
          ).toBe(true);
          for (const guard of [a.subarray(0, 3), a.subarray(7), b.subarray(0, 10), b.subarray(90)]) {
            expect(guard.every((byte) => byte === 0xee)).toBe(true);
          }
        }
      });
    },
  );

  test("Q02 a part that is detached while it is in flight receives nothing", () => {
    const driver = new ScriptedDriver({
      result: (submission) => {
        if (submission.opcode !== abi.OP_READ) return 0;
        driver.bytesOf(submission).fill(7);
        return submission.length;
      },
    });
    runScripted(driver, function* () {
      const file = adoptFile(driver.openNumber());
      const [kept, lost] = [new Uint8Array(4), new Uint8Array(4)];
      const reader = spawn(
        failureOf(() => readv(file, [kept, lost])),
        { start: "now" },
      );
      const owner = structuredClone(lost, { transfer: [lost.buffer] });
      expect(yield* reader.join()).toMatchObject({ code: "EFAULT" });
      expect([...owner]).toEqual([0, 0, 0, 0]);
      yield* close(file);
    });
  });

  test("P07 short counts of every length: all of it arrives, in order", () => {
    for (let most = 1; most <= 12; most++) {
      const got: number[] = [];
      const driver = new ScriptedDriver({
        result: (submission) => {
          if (submission.opcode !== abi.OP_WRITE) return 0;
          const part = driver.bytesOf(submission).subarray(0, most);
          expect(submission.offset).toBe(100 + got.length);
          got.push(...part);
          return part.length;
        },
      });
      runScripted(driver, function* () {
        const file = adoptFile(driver.openNumber());
        const parts = [pattern(3, 1), new Uint8Array(0), pattern(5, 2), pattern(4, 3)];
        yield* writevAll(file, parts, { position: 100 });
        expect(Buffer.from(got).equals(Buffer.concat(parts))).toBe(true);
        yield* close(file);
      });
    }
  });

  test("P17 a write of a vector that is cut short breaks a stream, and not a file with positions", () => {
    for (const position of [undefined, 0]) {
      let rounds = 0;
      const driver = new ScriptedDriver({
        result: ({ opcode }) => (opcode !== abi.OP_WRITE ? 0 : rounds++ === 0 ? 2 : -28),
      });
      runScripted(driver, function* () {
        const file = adoptFile(driver.openNumber());
        const options = position === undefined ? {} : { position };
        expect(yield* failureOf(() => writevAll(file, [pattern(4)], options))).toMatchObject({
          code: "ENOSPC",
        });
        const after = yield* failureOf(() => writevAll(file, [pattern(4)], options));
        expect(after.code).toBe(position === undefined ? "COOP_CLOSED" : "ENOSPC");
        yield* close(file);
      });
    }
  });
});

describe("Q12 positions", () => {
  test("Q12 a BigInt reaches the kernel exactly, in both directions and in every round", () => {
    const seen: bigint[] = [];
    const driver = new ScriptedDriver({
      result: ({ opcode, offset, wide, length }) => {
        if (opcode !== abi.OP_READ && opcode !== abi.OP_WRITE) return 0;
        const place =
          wide === null
            ? BigInt(offset)
            : (BigInt.asUintN(32, BigInt(wide[2])) << 32n) | BigInt.asUintN(32, BigInt(wide[1]));
        if (wide !== null) expect(wide[0]).toBe(abi.SQE_WORD_OFF);
        seen.push(place);
        return Math.min(length, 3);
      },
    });
    const places = [0n, 5n, 2n ** 53n - 1n, 2n ** 53n, 2n ** 53n + 1n, 2n ** 60n + 12345n, 2n ** 63n - 10n];
    runScripted(driver, function* () {
      const file = adoptFile(driver.openNumber());
      for (const position of places) {
        yield* read(file, Buffer.alloc(3), { position });
        yield* write(file, Buffer.alloc(3), { position });
        yield* writeAll(file, Buffer.alloc(7), { position });
      }
      yield* close(file);
    });
    expect(seen).toEqual(places.flatMap((place) => [place, place, place, place + 3n, place + 6n]));
  });

  test.each(rings)("Q12 and the kernel says what it thinks of them ($ring ring)", async ({ runIo }) => {
    await runIo(function* () {
      const file = yield* open(freshPath(), "w+");
      // Beyond the largest file of any file system here.
      const position = 2n ** 63n - 10n;
      expect(yield* failureOf(() => file.write(Buffer.alloc(3), { position }))).toMatchObject({
        code: expect.stringMatching(/^E(FBIG|INVAL)$/),
      });
      expect(yield* failureOf(() => readv(file, [allocate(1)], { position }))).toMatchObject({
        code: "COOP_POSITION",
      });
    });
  });
});

test("Q13 every word of an SQE is written anew, whatever was in its place", () => {
  const { rt, ring } = onFakeRing({ sqEntries: 1 });
  ring.serve = (sqe) => {
    // What stays behind if somebody forgets a word.
    new Int32Array(ring.sqeMemory).fill(-1);
    ring.post(sqe, 0);
  };
  rt.run(function* () {
    yield* stat("/a");
    yield* rename("/a", "/b");
    yield* setXattr("/a", "user.x", Buffer.from("v"));
    yield* getXattr("/a", "user.x");
    yield* stat("/a");
  });
  checked(rt);
  const third = ring.taken.map(({ words }) => [words[abi.SQE_WORD_ADDR3]!, words[abi.SQE_WORD_ADDR3 + 1]!]);
  for (const [i, { opcode, words }] of ring.taken.entries()) {
    const named = opcode === abi.OP_SETXATTR || opcode === abi.OP_GETXATTR;
    expect(third[i]![0] !== 0).toBe(named);
    expect(words.slice(14)).toEqual([0, 0]);
    expect(words[abi.SQE_WORD_BUFFER]).toBe(0);
    expect(words[abi.SQE_WORD_FILE_INDEX]).toBe(0);
  }
  expect(ring.taken.length).toBe(5);
});

describe("Q14 what an SQE points at stays until the last completion", () => {
  test("Q14 paths, names, values, open_how and iovecs of killed operations, under other uses of the memory", async () => {
    await runIo(function* () {
      const path = freshPath();
      const directory = yield* openDirectory("/tmp");
      const file = yield* open(path, "w+");
      yield* writeAll(file, pattern(4096));
      for (let round = 0; round < 40; round++) {
        const victims = [
          spawn(stat(path), { start: "now" }),
          spawn(rename(path, `${path}-none-${round}`, { existing: "exchange" }), {
            start: "now",
            failure: "hold",
          }),
          spawn(openBeneath(directory, "nothing"), { start: "now", failure: "hold" }),
          spawn(readv(file, [allocate(100), allocate(100)], { position: 0 }), { start: "now" }),
          spawn(setXattr(file, "user.x", pattern(2000, round)), { start: "now", failure: "hold" }),
        ];
        if (round % 2 === 0) yield* submitted();
        for (const victim of victims) victim.kill();
        // The blocks they gave back, and only those, are used again at once.
        expect((yield* stat(path)).size).toBe(4096);
        const into = [allocate(1000), Buffer.alloc(3096)];
        expect(yield* readv(file, into, { position: 0 })).toBe(4096);
        expect(Buffer.concat(into).equals(pattern(4096))).toBe(true);
        for (const victim of victims) yield* stop(victim);
        expect(ioCounts().blocks).toBe(0);
      }
    });
  });

  test("Q14 the caller's list of parts is copied: what becomes of it afterwards changes nothing", async () => {
    await runIo(function* () {
      const file = yield* open(freshPath(), "w+");
      const parts = [Buffer.from("one"), Buffer.from("two")];
      const operation = writevAll(file, parts);
      parts.length = 0;
      yield* operation;
      expect((yield* file.stat()).size).toBe(6);
    });
  });
});

test("P21 an operation the kernel does not know says so, and submits nothing", () => {
  const driver = new ScriptedDriver({ result: () => 0 });
  driver.supports = () => false;
  runScripted(driver, function* () {
    const file = adoptFile(driver.openNumber());
    const calls = [
      () => truncate(file, 1),
      () => rename("/a", "/b"),
      () => setXattr(file, "user.x", Buffer.alloc(1)),
      () => openBeneath(file, "x"),
    ];
    for (const call of calls) {
      expect(yield* failureOf(call)).toMatchObject({
        code: "COOP_UNSUPPORTED",
        message: expect.stringMatching(/needs Linux [56]\.\d+ or newer/),
      });
    }
    // What every kernel with rings of ours has is not asked for.
    yield* fallocate(file, { length: 1 });
    expect(driver.log.length).toBe(1);
    yield* close(file);
  });
});
