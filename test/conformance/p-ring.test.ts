/** Conformance P: the ring itself: errors of the one system call, full queues, completions nobody waits for. */
import { closeSync, openSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test, vi } from "vitest";
import { InvariantError, op, spawn, type Task } from "../../src/coordinator/index.ts";
import { UringDriver } from "../../src/io/driver/uring-driver.ts";
import {
  Acceptor,
  adoptSocket,
  close,
  Handle,
  IoError,
  ioStatistics,
  listen,
  nop,
  open,
  openPipe,
  pipeOf,
  read,
  recv,
  sendAll,
  setupChain,
  setupNop,
  setupPipe,
  setupRecv,
  shutdown,
  socket,
  writeAll,
} from "../../src/io/index.ts";
import type { NativeRing, RingOptions } from "../../src/native/binding.ts";
import * as abi from "../../src/native/layout.ts";
import {
  OP_ASYNC_CANCEL,
  OP_BIND,
  OP_CLOSE,
  OP_LISTEN,
  OP_NOP,
  OP_PIPE,
  OP_SOCKET,
  OP_TIMEOUT,
  OP_TIMEOUT_REMOVE,
  SQ_CQ_OVERFLOW,
  SQE_WORDS,
} from "../../src/native/layout.ts";
import { Program } from "../../src/node/run.ts";
import { FakeRing, onFakeRing, type Sqe } from "../support/fake-ring.ts";
import { checked, inOrder } from "../support/harness.ts";
import {
  expectError,
  failureOf,
  ioCounts,
  rings,
  runIo,
  stop,
  submitted,
  tcpPair,
  unixPair,
} from "../support/io.ts";

/** What stands in for the kernel's rings; the real ones when null. */
let substitute: ((options: RingOptions, real: () => NativeRing) => NativeRing) | null = null;

vi.mock("../../src/native/binding.ts", async (original) => {
  const real = await original<typeof import("../../src/native/binding.ts")>();
  return {
    ...real,
    openRing: (options: RingOptions) =>
      substitute === null ? real.openRing(options) : substitute(options, () => real.openRing(options)),
  };
});

/** The same ring with another `flush`. */
function withFlush(ring: NativeRing, flush: (toSubmit: number) => number): NativeRing {
  return Object.create(ring, { flush: { value: flush } }) as NativeRing;
}

const LINK = abi.SQE_IO_LINK << abi.SQE_FLAGS_SHIFT;
const EINTR = 4;
const EAGAIN = 11;
const ENOMEM = 12;
const EBUSY = 16;
const RETRIED = { EINTR, EAGAIN, ENOMEM, EBUSY };

describe("P04 io_uring_enter fails after submissions were made visible", () => {
  test.each(Object.entries(RETRIED))(
    "P04 %s is retried: nothing is lost or submitted twice",
    (_name, errno) => {
      inOrder();
      for (const taken of [0, 1, 3]) {
        const { rt, ring } = onFakeRing({ sqEntries: 8 });
        // Some are taken, then the call fails twice, then some more, and so on.
        ring.answers.push(taken, -errno, -errno, taken, -errno);
        const ended: number[] = [];
        rt.run(
          op(function* () {
            for (let i = 0; i < 20; i++) {
              spawn(
                op(function* () {
                  yield* nop();
                  ended.push(i);
                })(),
              );
            }
            yield* nop();
            while (ended.length < 20) yield* nop();
          })(),
        );
        checked(rt);
        expect(ended).toEqual(Array.from({ length: 20 }, (_, i) => i));
        const names = ring.taken.map(({ low, high }) => `${low} ${high}`);
        expect(new Set(names).size).toBe(names.length);
        const io = ioStatistics(rt.cooperator)!;
        expect(io.retries).toBe(3);
        expect(io.submitted).toBe(ring.taken.length);
        expect(io).toMatchObject({ inflight: 0, backlog: 0, stale: 0 });
      }
    },
  );

  test("P04 on the real ring, at random, with cancels among them", async () => {
    let calls = 0;
    let failures = 0;
    substitute = (_options, real) => {
      const ring = real();
      return withFlush(ring, (toSubmit) => {
        calls++;
        if (calls % 3 !== 0 || toSubmit === 0) return ring.flush(toSubmit);
        failures++;
        return -Object.values(RETRIED)[failures % 4];
      });
    };
    try {
      await runIo(
        function* () {
          const { near, far } = yield* unixPair();
          for (let round = 0; round < 50; round++) {
            const reader = spawn(recv(far, Buffer.alloc(4)));
            const other = spawn(recv(near, Buffer.alloc(4)));
            yield* submitted();
            yield* sendAll(near, Buffer.from("word"));
            expect(yield* reader.join()).toBe(4);
            yield* stop(other);
          }
        },
        { after: ({ io }) => expect(io!.retries).toBe(failures) },
      );
      expect(failures).toBeGreaterThan(50);
    } finally {
      substitute = null;
    }
  });

  test.each([
    ["EBADR, completions were dropped", 53],
    ["ENXIO, the ring is going down", 6],
    ["EBADF", 9],
  ])("P04 %s: the runtime stops and says so, and leaves nothing behind", async (_name, errno) => {
    let broken = false;
    substitute = (_options, real) => {
      const ring = real();
      return withFlush(ring, (toSubmit) => (broken ? -errno : ring.flush(toSubmit)));
    };
    try {
      // It ends although operations were in flight and will never be seen to complete.
      await expect(
        runProgram(function* () {
          const { near, far } = yield* tcpPair();
          spawn(recv(far, Buffer.alloc(1)));
          spawn(recv(near, Buffer.alloc(1)));
          yield* submitted();
          broken = true;
          yield* nop();
        }),
      ).rejects.toSatisfy((error) => {
        expectError(error, InvariantError, "COOP_INVARIANT", new RegExp(`errno ${errno}`));
        return true;
      });
    } finally {
      substitute = null;
    }
  });
});

/** Like `runIo` for a program that cannot end well: only descriptors are looked at. */
async function runProgram(body: () => Generator<unknown, unknown, unknown>): Promise<unknown> {
  const { openDescriptors, expectDescriptors } = await import("../support/io.ts");
  const before = openDescriptors();
  try {
    return await new Program(body).exit;
  } finally {
    await expectDescriptors(before);
  }
}

describe("P05 the submission queue is full", () => {
  const ring = { sqEntries: 4 };

  test("P05 operations wait for room in the order they came in", async () => {
    await runIo(
      function* () {
        yield* nop();
        const order: number[] = [];
        const tasks = Array.from({ length: 32 }, (_, i) =>
          spawn(
            op(function* () {
              yield* nop();
              order.push(i);
            })(),
            { start: "now" },
          ),
        );
        expect(ioCounts()).toMatchObject({ inflight: 32, backlog: 32 });
        for (const task of tasks) yield* task.join();
        expect(order).toEqual(Array.from({ length: 32 }, (_, i) => i));
      },
      { ring },
    );
  });

  test.each(rings)("P05 setup forms too, and one handle after the other ($ring ring)", async ({ runIo }) => {
    await runIo(
      function* () {
        const handles = Array.from({ length: 32 }, () => new Handle());
        for (let round = 0; round < 3; round++) {
          for (const handle of handles) setupNop(handle);
          for (const handle of handles) expect(yield* handle).toBe(0);
        }
      },
      { ring },
    );
  });

  test.each(rings)(
    "P05 those that wait for room can be killed, and their cancels wait for room too ($ring ring)",
    async ({ runIo }) => {
      await runIo(
        function* () {
          const { near, far } = yield* tcpPair();
          // The order of so many does not matter here; a program's own streams have one reader at a time.
          far.exclusive = false;
          const readers: Task<number>[] = [];
          for (let i = 0; i < 32; i++) readers.push(spawn(recv(far, Buffer.alloc(1)), { start: "now" }));
          expect(ioCounts().backlog).toBe(32);
          for (const reader of readers.slice(1)) reader.kill();
          expect(ioCounts().backlog).toBe(63);
          for (const reader of readers.slice(1)) expect((yield* reader.settled()).status).toBe("killed");
          yield* sendAll(near, Buffer.from("x"));
          expect(yield* readers[0].join()).toBe(1);
        },
        { ring },
      );
    },
  );

  test.each(rings)(
    "P05 many turns full of operations, through a ring of four ($ring ring)",
    async ({ runIo }) => {
      await runIo(
        function* () {
          const worker = op(function* (count: number) {
            for (let i = 0; i < count; i++) yield* nop();
            return count;
          });
          const tasks = Array.from({ length: 64 }, () => spawn(worker(50)));
          let sum = 0;
          for (const task of tasks) sum += yield* task.join();
          expect(sum).toBe(3200);
        },
        { ring },
      );
    },
  );
});

describe("X-32 chains and the places of the ring", () => {
  test("X-32 no submission ends in the middle of a chain that waited for room", () => {
    const { rt, ring } = onFakeRing({ sqEntries: 4 });
    const ends: number[] = [];
    const flush = ring.flush.bind(ring);
    ring.flush = (toSubmit) => {
      const count = flush(toSubmit);
      if (count > 0) ends.push(ring.taken.at(-1)!.words[0]!);
      return count;
    };
    rt.run(
      op(function* () {
        for (let others = 1; others <= 4; others++) {
          const handles = Array.from({ length: others + 3 * 3 }, () => new Handle());
          for (const handle of handles.slice(0, others)) setupNop(handle);
          for (let from = others; from < handles.length; from += 3) {
            setupChain(handles.slice(from, from + 3), [nop(), nop(), nop()]);
          }
          for (const handle of handles) expect(yield* handle).toBe(0);
        }
      })(),
    );
    checked(rt);
    expect(ring.taken).toHaveLength(1 + 2 + 3 + 4 + 4 * 9);
    expect(ends.length).toBeGreaterThan(4);
    for (const head of ends) expect(head & LINK).toBe(0);
  });
});

describe("P06 more completions than the completion queue has room for", () => {
  test("P06 none is lost, and each operation gets its own", async () => {
    let overflowed = 0;
    let dropped = -1;
    substitute = (_options, real) => {
      const ring = real();
      const words = new Int32Array(ring.ringMemory);
      return withFlush(ring, (toSubmit) => {
        const taken = ring.flush(toSubmit);
        if ((Atomics.load(words, ring.sqFlagsOffset >> 2) & SQ_CQ_OVERFLOW) !== 0) overflowed++;
        dropped = Atomics.load(words, ring.cqOverflowOffset >> 2);
        return taken;
      });
    };
    try {
      await runIo(
        function* () {
          const { near, far } = yield* unixPair();
          // The order of so many does not matter here; a program's own streams have one reader at a time.
          far.exclusive = false;
          for (let round = 0; round < 3; round++) {
            const handles = Array.from({ length: 300 }, () => new Handle());
            for (const handle of handles) setupRecv(handle, far, Buffer.alloc(8));
            const ended: number[] = [];
            const watchers = handles.map((handle, i) =>
              spawn(
                op(function* () {
                  yield* handle.settled();
                  ended.push(i);
                })(),
              ),
            );
            yield* submitted();
            // All of them end at once.
            if (round < 2) for (const handle of handles) handle.cancel();
            else yield* shutdown(near, "both");
            for (const watcher of watchers) yield* watcher.join();
            for (const handle of handles) expect(handle.result).toBe(round < 2 ? -125 : 0);
            expect(ended.length).toBe(300);
          }
        },
        { ring: { sqEntries: 16, cqEntries: 16 } },
      );
      // The case was met.
      expect(overflowed).toBeGreaterThan(0);
      expect(dropped).toBe(0);
    } finally {
      substitute = null;
    }
  });
});

describe("P10 results nobody has heard of", () => {
  test("P10 flags of a completion that mean nothing to us are ignored", () => {
    const { rt, ring } = onFakeRing();
    ring.serve = (sqe) => ring.post(sqe, 0, 0x7fff_fff0);
    rt.run(nop());
    checked(rt);
    expect(ioStatistics(rt.cooperator)).toMatchObject({ submitted: 1, completed: 1, stale: 0 });
  });

  test("P10 an unknown negative result is an error with its number", () => {
    for (const result of [-200, -999, -(2 ** 31)]) {
      const { rt, ring } = onFakeRing();
      ring.serve = (sqe) => ring.post(sqe, result);
      const error = rt.run(failureOf(nop)).result;
      checked(rt);
      expectError(error, IoError, `E${-result}`, /unknown error, nop/);
    }
  });
});

describe("P11 completions for nobody", () => {
  const stranger = (low: number, high: number): { low: number; high: number } => ({ low, high });

  test("P11 stale, unknown and duplicate ones are counted, and wake nobody", () => {
    const { rt, ring } = onFakeRing();
    const held: Sqe[] = [];
    ring.serve = (sqe) => held.push(sqe);
    const steps: string[] = [];
    const victim = rt.cooperator.spawn(
      op(function* () {
        yield* nop();
        steps.push("first");
        yield* nop();
        steps.push("second");
      })(),
    );
    rt.settle();
    const [first] = held;
    const stale = (): number => ioStatistics(rt.cooperator)!.stale;
    const poke = (): void => {
      rt.settle();
      rt.cooperator.turn();
    };
    // Not its generation, not its place, a place that does not exist, a kind that does not exist.
    ring.post(stranger(first.low, first.high + 1), 0);
    ring.post(stranger(first.low, first.high - 1), 0);
    ring.post(stranger(first.low + 1, first.high), 0);
    ring.post(stranger(0x0fff_ffff, 7), 0);
    ring.post(stranger(first.low | (9 << 28), first.high), 0);
    ring.post(stranger(-1, -1), 0);
    poke();
    expect(stale()).toBe(6);
    expect(steps).toEqual([]);
    ring.post(first, 0);
    ring.post(first, 0);
    poke();
    expect(steps).toEqual(["first"]);
    expect(stale()).toBe(7);
    // The place is in use again; the name of the first operation is not the second's.
    const second = held[1];
    expect(second.low).toBe(first.low);
    expect(second.high).not.toBe(first.high);
    ring.post(first, -5);
    poke();
    expect(steps).toEqual(["first"]);
    expect(stale()).toBe(8);
    ring.post(second, 0);
    poke();
    expect(steps).toEqual(["first", "second"]);
    expect(victim.exit).toMatchObject({ status: "done" });
    checked(rt);
    expect(ioStatistics(rt.cooperator)).toMatchObject({ submitted: 2, completed: 2, stale: 8 });
  });

  test("P11 the completion of a cancel whose target is over, and of an alarm that was replaced", () => {
    const { rt, ring } = onFakeRing();
    const held: Sqe[] = [];
    ring.serve = (sqe) => held.push(sqe);
    const task = rt.cooperator.spawn(nop(), { failure: "hold" });
    rt.settle();
    task.kill();
    rt.settle();
    const [target, cancel] = held;
    expect(cancel.opcode).toBe(OP_ASYNC_CANCEL);
    // It names its target and nothing else.
    expect(cancel.words.slice(4, 6)).toEqual([target.low, target.high]);
    ring.post(cancel, -2);
    rt.settle();
    rt.cooperator.turn();
    expect(task.exit).toBeNull();
    ring.post(target, 0);
    rt.cooperator.turn();
    rt.settle();
    expect(task.exit).toMatchObject({ status: "killed" });
    ring.post(cancel, -2);
    rt.cooperator.turn();
    expect(ioStatistics(rt.cooperator)).toMatchObject({ submitted: 1, completed: 1, inflight: 0, stale: 1 });
    checked(rt);
  });

  test("P11 a handle that is set up again is not reached by its former life", () => {
    const { rt, ring } = onFakeRing();
    const held: Sqe[] = [];
    ring.serve = (sqe) => held.push(sqe);
    const handle = new Handle();
    const task = rt.cooperator.spawn(
      op(function* () {
        setupNop(handle);
        yield* handle;
        setupNop(handle);
        return yield* handle;
      })(),
      { failure: "hold" },
    );
    rt.settle();
    ring.post(held[0], 1);
    rt.cooperator.turn();
    rt.settle();
    expect(held).toHaveLength(2);
    ring.post(held[0], 2);
    rt.cooperator.turn();
    rt.settle();
    expect(task.exit).toBeNull();
    ring.post(held[1], 3);
    rt.cooperator.turn();
    rt.settle();
    expect(task.exit).toEqual({ status: "done", value: 3 });
    expect(ioStatistics(rt.cooperator)!.stale).toBe(1);
    checked(rt);
  });
});

describe("P12 simulated: a multishot accept that the kernel ends", () => {
  test.each([
    ["with a connection", [1000, 1001]],
    ["without one", [1000, -125]],
    ["at once", [1000]],
  ])("P12 %s is armed again, and frees its place once", (_how, results) => {
    const { rt, ring } = onFakeRing();
    const number = openSync("/dev/null", "r");
    try {
      let armed = 0;
      ring.serve = (sqe) => {
        if (sqe.opcode !== abi.OP_ACCEPT) return ring.post(sqe, 0);
        armed++;
        for (const [i, result] of results.entries()) {
          ring.post(sqe, result, i < results.length - 1 ? abi.CQE_MORE : 0);
        }
      };
      const got = rt.run(
        op(function* () {
          const listener = adoptSocket(number);
          const acceptor = new Acceptor(listener, { unclaimed: 100 });
          const numbers: number[] = [];
          for (let i = 0; i < 6; i++) numbers.push((yield* acceptor.next()).release());
          acceptor[Symbol.dispose]();
          listener.release();
          return numbers;
        })(),
      ).result;
      checked(rt);
      const connections = results.filter((result) => result >= 0);
      expect(got).toEqual(Array.from({ length: 6 }, (_, i) => connections[i % connections.length]));
      expect(armed).toBe(Math.ceil(6 / connections.length));
      expect(ioStatistics(rt.cooperator)).toMatchObject({
        submitted: armed,
        completed: armed,
        inflight: 0,
        stale: 0,
      });
    } finally {
      closeSync(number);
    }
  });
});

describe("P21 an opcode this kernel does not have", () => {
  test("P21 is known from the probe, before anything is tried", () => {
    let opcodes: readonly number[] = [];
    substitute = (options) => {
      opcodes = options.opcodes.filter((opcode) => opcode !== OP_BIND && opcode !== OP_LISTEN);
      return Object.create(new FakeRing(options), { opcodes: { value: opcodes } }) as NativeRing;
    };
    try {
      const driver = new UringDriver();
      expect(driver.supports(OP_NOP)).toBe(true);
      expect(driver.supports(OP_BIND)).toBe(false);
      expect(driver.supports(OP_LISTEN)).toBe(false);
      // Not on the list of what we ever use.
      expect(driver.supports(250)).toBe(false);
      for (const opcode of opcodes) expect(driver.supports(opcode)).toBe(true);
    } finally {
      substitute = null;
    }
  });

  test("P21 socket, bind, listen and pipe are then made by the plain calls, and sockets and pipes work", async () => {
    const late = [OP_SOCKET, OP_BIND, OP_LISTEN, OP_PIPE];
    const submittedCodes = new Set<number>();
    // A kernel of before 5.19: the probe does not know them, and the ring would refuse them.
    substitute = (_options, real) => {
      const ring = real();
      const sqes = new Int32Array(ring.sqeMemory);
      const older = ring.opcodes.filter((opcode) => !late.includes(opcode));
      return Object.create(ring, {
        opcodes: { value: older },
        flush: {
          value: (toSubmit: number) => {
            for (let at = 0; at < sqes.length; at += SQE_WORDS) submittedCodes.add(sqes[at]! & 0xff);
            return ring.flush(toSubmit);
          },
        },
      }) as NativeRing;
    };
    try {
      await runIo(function* () {
        const { near, far } = yield* tcpPair();
        yield* sendAll(near, Buffer.from("x"));
        expect(yield* recv(far, Buffer.alloc(8))).toBe(1);
        yield* close(near);
        yield* close(far);
        const pipe = yield* openPipe();
        yield* writeAll(pipe.writer, Buffer.from("yz"));
        expect(yield* read(pipe.reader, Buffer.alloc(8))).toBe(2);
        pipe[Symbol.dispose]();
        // A result that nobody takes over goes nowhere.
        const handle = new Handle();
        setupPipe(handle);
        pipeOf(handle)[Symbol.dispose]();
        expectError(yield* failureOf(() => listen("192.0.2.1:1")), IoError, "EADDRNOTAVAIL", /bind/);
        yield* nop();
      });
    } finally {
      substitute = null;
    }
    for (const opcode of late) expect(submittedCodes).not.toContain(opcode);
  });
});

describe("P22 an opcode the ring was not allowed", () => {
  const BASIC = [OP_NOP, OP_CLOSE, OP_TIMEOUT, OP_TIMEOUT_REMOVE];

  test("P22 ends with EACCES, and the ring goes on", async () => {
    await runIo(
      function* () {
        const error = yield* failureOf(() => open("/dev/null"));
        expectError(error, IoError, "EACCES", /EACCES: permission denied, open '\/dev\/null'/);
        expect(error).toMatchObject({ errno: -13, syscall: "open", path: "/dev/null" });
        yield* nop();
        expectError(yield* failureOf(() => socket("ipv4")), IoError, "EACCES", /socket/);
      },
      { ring: { opcodes: BASIC } },
    );
  });

  test("P22 by default every operation of ours is allowed, and nothing else", async () => {
    const { loadBinding } = await import("../../src/native/binding.ts");
    expect(loadBinding().layout().OP_NOP).toBe(OP_NOP);
    let wanted: readonly number[] = [];
    substitute = (options, real) => {
      wanted = options.opcodes;
      return real();
    };
    try {
      await runIo(function* () {
        const listener = yield* listen("127.0.0.1:0");
        yield* close(listener);
      });
    } finally {
      substitute = null;
    }
    // What the sources name, the driver's own list apart, and what the driver itself submits.
    const used = new Set(["OP_TIMEOUT", "OP_TIMEOUT_REMOVE", "OP_ASYNC_CANCEL"]);
    const folder = fileURLToPath(new URL("../../src/io", import.meta.url));
    for (const file of readdirSync(folder, { recursive: true, encoding: "utf8" })) {
      if (!file.endsWith(".ts") || file.startsWith("driver/")) continue;
      for (const [name] of readFileSync(join(folder, file), "utf8").matchAll(/\bOP_[A-Z0-9_]+\b/g))
        used.add(name);
    }
    const names = new Map(
      Object.entries(abi).flatMap(([name, value]) => (/^OP_/.test(name) ? [[value, name] as const] : [])),
    );
    expect(wanted.map((opcode) => names.get(opcode)!).sort()).toEqual([...used].sort());
  });
});
