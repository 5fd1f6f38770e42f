/** The order of file operations: when the ring is full, at the limit of the ring, and by their io priority. */
import { closeSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { HIGH, op, spawn, type Task, UsageError } from "../../src/coordinator/index.ts";
import type { UringOptions } from "../../src/io/driver/options.ts";
import {
  adoptFile,
  close,
  type File,
  fsync,
  Handle,
  ioStatistics,
  open,
  openPipe,
  read,
  setIoPriority,
  setupWrite,
  write,
  writeAll,
} from "../../src/io/index.ts";
import * as abi from "../../src/native/layout.ts";
import { type FakeRing, onFakeRing, type Sqe } from "../support/fake-ring.ts";
import { checked } from "../support/harness.ts";
import {
  expectError,
  freshPath,
  ioCounts,
  pattern,
  runIo,
  stop,
  submitted,
  thrownBy,
} from "../support/io.ts";

const offsetOf = ({ words }: Sqe): number => words[abi.SQE_WORD_OFF]!;
const isWrite = ({ opcode }: Sqe): boolean => opcode === abi.OP_WRITE;
const lengthOf = ({ words }: Sqe): number => words[abi.SQE_WORD_LEN]!;

/** Runs `body` with a file on a fake ring; completions come when `ring.serve` says so. */
function withFile(
  options: UringOptions,
  prepare: (ring: FakeRing) => void,
  body: (file: File, ring: FakeRing) => Generator<unknown, void, any>,
): FakeRing {
  const path = freshPath();
  const fd = openSync(path, "w+");
  const { rt, ring } = onFakeRing(options);
  prepare(ring);
  try {
    rt.run(
      op(function* () {
        const file = adoptFile(fd);
        yield* body(file, ring);
        yield* close(file);
      })(),
    );
    checked(rt);
    expect(ioStatistics(rt.cooperator)).toMatchObject({ inflight: 0, backlog: 0, stale: 0, blocks: 0 });
  } finally {
    closeSync(fd);
  }
  return ring;
}

const whole = (ring: FakeRing): void => {
  ring.serve = (sqe) => ring.post(sqe, isWrite(sqe) ? lengthOf(sqe) : 0);
};

describe("writes of many tasks to one file through a small ring", () => {
  test("X-38 reach the kernel in the order in which they were made", () => {
    for (const sqEntries of [1, 2, 4, 8]) {
      const ring = withFile({ sqEntries }, whole, function* (file) {
        const tasks: Task<void>[] = [];
        for (let i = 0; i < 50; i++) tasks.push(spawn(writeAll(file, Buffer.from("x"), { position: i })));
        for (const task of tasks) yield* task.join();
      });
      expect(ring.taken.filter(isWrite).map(offsetOf)).toEqual(Array.from({ length: 50 }, (_, i) => i));
    }
  });

  test("X-38 and with them those that were set up while others waited, whatever the kernel takes at a time", () => {
    const ring = withFile(
      { sqEntries: 4 },
      (kernel) => {
        whole(kernel);
        kernel.answers.push(1, -11, 3, 0, -16, 2, 1, 1);
      },
      function* (file) {
        const handles: Handle[] = [];
        for (let i = 0; i < 40; i++) {
          const handle = new Handle();
          setupWrite(handle, file, Buffer.from("x"), { position: i });
          handles.push(handle);
          if (i % 7 === 0) yield* fsync(file);
        }
        for (const handle of handles) expect(yield* handle).toBe(1);
      },
    );
    expect(ring.taken.filter(isWrite).map(offsetOf)).toEqual(Array.from({ length: 40 }, (_, i) => i));
  });

  test("X-38 on the real ring: lines that are appended one after the other stay in order", async () => {
    const path = freshPath();
    await runIo(
      function* () {
        const file = yield* open(path, "a");
        for (let i = 0; i < 64; i++) yield* writeAll(file, Buffer.from(`${i}\n`));
      },
      { ring: { sqEntries: 4 } },
    );
    expect(readFileSync(path, "utf8")).toBe(Array.from({ length: 64 }, (_, i) => `${i}\n`).join(""));
  });
});

describe("a limit on file operations", () => {
  test("M-014 no more than that are with the kernel, and the others wait in order", () => {
    let most = 0;
    const held: Sqe[] = [];
    const ring = withFile(
      { fileOperationsMax: 3 },
      (kernel) => {
        kernel.serve = (sqe) => {
          if (!isWrite(sqe)) kernel.post(sqe, 0);
          else {
            held.push(sqe);
            most = Math.max(most, held.length);
          }
        };
      },
      function* (file, kernel) {
        const tasks: Task<number>[] = [];
        for (let i = 0; i < 20; i++) tasks.push(spawn(write(file, Buffer.from("x"), { position: i })));
        while (tasks.some((task) => task.exit === null)) {
          yield* submitted();
          const sqe = held.shift();
          if (sqe !== undefined) kernel.post(sqe, 1);
        }
      },
    );
    expect(most).toBe(3);
    expect(ring.taken.filter(isWrite).map(offsetOf)).toEqual(Array.from({ length: 20 }, (_, i) => i));
  });

  test("M-014 one that waits can be killed, and never reaches the kernel", () => {
    const held: Sqe[] = [];
    const ring = withFile(
      { fileOperationsMax: 1 },
      (kernel) => {
        kernel.serve = (sqe) => {
          if (isWrite(sqe)) held.push(sqe);
          else kernel.post(sqe, 0);
        };
      },
      function* (file, kernel) {
        const tasks: Task<number>[] = [];
        for (let i = 0; i < 4; i++) tasks.push(spawn(write(file, Buffer.from("x"), { position: i })));
        yield* submitted();
        yield* stop(tasks[1]!);
        yield* stop(tasks[2]!);
        expect(ioCounts().inflight).toBe(2);
        kernel.post(held.shift()!, 1);
        while (held.length === 0) yield* submitted();
        kernel.post(held.shift()!, 1);
        expect(yield* tasks[3]!.join()).toBe(1);
      },
    );
    expect(ring.taken.filter(isWrite).map(offsetOf)).toEqual([0, 3]);
    expect(ring.taken.some(({ opcode }) => opcode === abi.OP_ASYNC_CANCEL)).toBe(false);
  });

  test("M-014 closing a file ends those that wait to work on it", async () => {
    await runIo(
      function* () {
        const pipe = yield* openPipe();
        const file = yield* open(freshPath(), "w");
        const reader = spawn(read(pipe.reader, Buffer.alloc(1)), { start: "now", failure: "hold" });
        const writer = spawn(write(file, Buffer.from("x")), { start: "now", failure: "hold" });
        yield* submitted();
        yield* file.close();
        expect(yield* writer.settled()).toMatchObject({ status: "failed", error: { code: "COOP_CLOSED" } });
        expect(reader.exit).toBe(null);
        yield* stop(reader);
      },
      { ring: { fileOperationsMax: 1 } },
    );
  });

  test("M-014 everything gets done on the real ring, whatever the limit and the kills", async () => {
    for (const fileOperationsMax of [1, 2, 7]) {
      await runIo(
        function* () {
          const file = yield* open(freshPath(), "w+");
          const tasks: Task<void>[] = [];
          for (let i = 0; i < 60; i++) {
            tasks.push(spawn(writeAll(file, pattern(5000, i), { position: i * 5000 }), { start: "now" }));
          }
          for (let i = 0; i < 60; i += 7) tasks[i]!.kill();
          yield* submitted();
          for (let i = 3; i < 60; i += 7) tasks[i]!.kill();
          for (const task of tasks) yield* task.settled();
          const into = Buffer.alloc(5000);
          for (let i = 0; i < 60; i++) {
            if (tasks[i]!.killed) continue;
            yield* read(file, into, { position: i * 5000 });
            expect(into.equals(pattern(5000, i))).toBe(true);
          }
        },
        { ring: { fileOperationsMax } },
      );
    }
  });

  test("M-014 a limit is a number from 1 up", () => {
    for (const fileOperationsMax of [0, -1, 1.5, Number.NaN]) {
      const error = thrownBy(() => onFakeRing({ fileOperationsMax }));
      expectError(error, UsageError, "COOP_ARGUMENT", /fileOperationsMax is a number from 1 up/);
    }
  });
});

describe("io priorities", () => {
  const writer = op(function* (file: File, priority: "high" | "normal" | "low", position: number) {
    setIoPriority(priority);
    // What a task spawns has its priority.
    yield* spawn(write(file, Buffer.from("x"), { position })).join();
  });

  test("M-035 go to the kernel with reads and writes, and are inherited", () => {
    const ring = withFile({}, whole, function* (file) {
      for (const [i, priority] of (["high", "normal", "low"] as const).entries()) {
        yield* spawn(writer(file, priority, i)).join();
      }
      setIoPriority("low");
      yield* read(file, Buffer.alloc(1));
      yield* fsync(file);
      setIoPriority("normal");
      yield* read(file, Buffer.alloc(1));
    });
    const prios = ring.taken.map(({ opcode, words }) => [opcode, words[0]! >>> abi.SQE_IOPRIO_SHIFT]);
    expect(prios.filter(([opcode]) => opcode === abi.OP_WRITE).map(([, prio]) => prio)).toEqual([
      2 << 13,
      0,
      3 << 13,
    ]);
    expect(prios.filter(([opcode]) => opcode === abi.OP_READ).map(([, prio]) => prio)).toEqual([3 << 13, 0]);
    // The kernel refuses a priority on anything else.
    expect(prios.find(([opcode]) => opcode === abi.OP_FSYNC)).toEqual([abi.OP_FSYNC, 0]);
  });

  test("M-035 decide who goes first at the limit, and nobody starves", () => {
    const held: Sqe[] = [];
    const ring = withFile(
      { fileOperationsMax: 1 },
      (kernel) => {
        kernel.serve = (sqe) => {
          if (isWrite(sqe)) held.push(sqe);
          else kernel.post(sqe, 0);
        };
      },
      function* (file, kernel) {
        const tasks = [spawn(write(file, Buffer.from("x"), { position: 1000 }))];
        yield* submitted();
        tasks.push(spawn(writer(file, "low", 300)) as unknown as Task<number>);
        for (let i = 0; i < 100; i++) {
          tasks.push(spawn(writer(file, i % 2 === 0 ? "normal" : "high", i % 2 === 0 ? 200 : 100)) as never);
        }
        while (tasks.some((task) => task.exit === null)) {
          yield* submitted();
          const sqe = held.shift();
          if (sqe !== undefined) kernel.post(sqe, 1);
        }
      },
    );
    const order = ring.taken.filter(isWrite).map(offsetOf);
    expect(order.slice(0, 51)).toEqual([1000, ...new Array(50).fill(100)]);
    // The one of low priority comes before the last of the normal ones.
    expect(order.indexOf(300)).toBe(64);
    expect(order.length).toBe(102);
  });

  test("M-035 decide who runs first when completions come in together", () => {
    const order: string[] = [];
    const held: Sqe[] = [];
    withFile(
      {},
      (kernel) => {
        kernel.serve = (sqe) => {
          if (isWrite(sqe)) held.push(sqe);
          else kernel.post(sqe, 0);
        };
      },
      function* (file, kernel) {
        const one = op(function* (name: string, priority: "high" | "normal" | "low") {
          setIoPriority(priority);
          yield* write(file, Buffer.from("x"));
          order.push(name);
        });
        const tasks = [
          spawn(one("low 1", "low")),
          spawn(one("normal 1", "normal")),
          spawn(one("high 1", "high")),
          spawn(one("low 2", "low")),
          spawn(one("high 2", "high")),
          spawn(one("normal 2", "normal"), { priority: HIGH }),
        ];
        yield* submitted();
        for (const sqe of held) kernel.post(sqe, 1);
        for (const task of tasks) yield* task.join();
      },
    );
    // The priority of a task, which is another thing, comes first.
    expect(order).toEqual(["normal 2", "high 1", "high 2", "normal 1", "low 1", "low 2"]);
  });

  test("M-035 a real disk takes them all", async () => {
    const path = freshPath();
    writeFileSync(path, pattern(4096));
    await runIo(function* () {
      const file = yield* open(path, "r+");
      for (const priority of ["high", "low", "normal"] as const) {
        setIoPriority(priority);
        expect(yield* read(file, Buffer.alloc(4096), { position: 0 })).toBe(4096);
        yield* writeAll(file, pattern(100), { position: 0 });
        yield* fsync(file);
      }
      const error = thrownBy(() => setIoPriority("urgent" as "high"));
      expectError(error, UsageError, "COOP_PRIORITY", /an io priority is "high", "normal" or "low"/);
    });
  });
});
