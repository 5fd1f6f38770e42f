/** Conformance P: what a kill does to operations that are with the kernel. */
import { closeSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { ClosedError, DeadlineError, op, self, spawn } from "../../src/coordinator/index.ts";
import {
  accept,
  adoptFile,
  adoptSocket,
  allocate,
  close,
  connect,
  connectSocket,
  Handle,
  listen,
  nop,
  open,
  read,
  recv,
  type Socket,
  send,
  sendAll,
  setupOpen,
  setupSend,
  shutdown,
  socket,
  write,
  writeAll,
} from "../../src/io/index.ts";
import { OP_CLOSE, OP_CONNECT, OP_OPENAT, OP_RECV, OP_SOCKET, OP_WRITE } from "../../src/native/layout.ts";
import {
  expectError,
  failureOf,
  freshFifo,
  freshPath,
  ioCounts,
  openDescriptors,
  pattern,
  rings,
  runIo,
  stop,
  submitted,
  tcpPair,
  unixPair,
} from "../support/io.ts";
import { PENDING, runScripted, ScriptedDriver } from "../support/scripted-driver.ts";

const LOW = 2;
const EALREADY = 114;
const ENOENT = 2;
const ECANCELED = 125;

describe("P01 a kill of a task in recv", () => {
  test.each(rings)(
    "P01 sends a cancel, waits for both completions, and ends the task ($ring ring)",
    async ({ runIo }) => {
      await runIo(function* () {
        const { far } = yield* tcpPair();
        const before = ioCounts();
        const reader = spawn(recv(far, Buffer.alloc(16)), { name: "reader" });
        yield* submitted();
        expect(ioCounts().inflight).toBe(1);
        const exit = yield* reader.killAndWait("enough");
        expect(exit).toMatchObject({ status: "killed", cause: { reason: "enough", failure: false } });
        const after = ioCounts();
        expect(after.inflight).toBe(0);
        expect(after.cancels - before.cancels).toBe(1);
      });
    },
  );

  test("P01 comes from outside the loop of turns just as well", async () => {
    await runIo(function* () {
      const { far } = yield* tcpPair();
      const reader = spawn(recv(far, Buffer.alloc(16)));
      yield* submitted();
      setImmediate(() => reader.kill("from Node"));
      expect(yield* reader.settled()).toMatchObject({ status: "killed", cause: { reason: "from Node" } });
    });
  });

  test.each([
    ["target", 0, -ECANCELED],
    ["cancel", 0, -ECANCELED],
    ["target", -ENOENT, 5],
    ["cancel", -EALREADY, 5],
    ["cancel", -EALREADY, -104],
  ] as const)("P01 simulated: %s first, cancel %i, target %i", (first, cancel, target) => {
    const driver = new ScriptedDriver({
      result: ({ opcode }) => (opcode === OP_RECV ? PENDING : 0),
      cancel: () => ({ first, cancel, target }),
    });
    runScripted(driver, function* () {
      const peer = adoptSocket(driver.openNumber());
      const reader = spawn(recv(peer, Buffer.alloc(16)));
      yield* nop();
      reader.kill();
      yield* nop();
      // One of the two completions is not enough.
      expect(ioCounts().inflight).toBe(1);
      expect(reader.status).toBe("blocked");
      expect((yield* reader.settled()).status).toBe("killed");
      expect(ioCounts().inflight).toBe(0);
      // Bytes that came all the same are kept for the next reader.
      if (target > 0) expect(yield* recv(peer, Buffer.alloc(16))).toBe(target);
      yield* close(peer);
    });
  });

  test.each(rings)(
    "P01 is met before anything is submitted when it came first ($ring ring)",
    async ({ runIo }) => {
      await runIo(function* () {
        const { far } = yield* tcpPair();
        const before = ioCounts().submitted;
        const reader = spawn(function* () {
          self().kill();
          yield* recv(far, Buffer.alloc(1));
        });
        expect((yield* reader.settled()).status).toBe("killed");
        expect(ioCounts().submitted).toBe(before);
      });
    },
  );
});

describe("P15 a kill of an open whose descriptor arrives all the same", () => {
  const TRIES = 128;

  /** Kills `TRIES` opens at one stage; gives how many descriptors came for nobody. */
  const killOpens = op(function* (mode: "r" | "w", stage: "queued" | "arrived") {
    const path = mode === "r" ? "/dev/null" : freshPath();
    let orphans = 0;
    for (let i = 0; i < TRIES; i++) {
      const before = ioCounts().submitted;
      const opener = spawn(open(path, mode), { start: "now", priority: LOW });
      let nops = 0;
      for (; stage === "arrived" && opener.status === "blocked"; nops++) yield* nop();
      expect(opener.status).toBe(stage === "arrived" ? "ready" : "blocked");
      opener.kill();
      expect((yield* opener.settled()).status).toBe("killed");
      if (ioCounts().submitted - before - nops > 1) orphans++;
      while (ioCounts().inflight > 0) yield* nop();
    }
    return orphans;
  });

  test.each([
    ["after the kill", "r", "queued", TRIES],
    // The cancel may meet it before a kernel thread has begun.
    ["from a kernel thread, after the kill or not at all", "w", "queued", 0],
    ["before the kill, but its task has not run", "r", "arrived", TRIES],
    ["from a kernel thread before the kill, but its task has not run", "w", "arrived", TRIES],
  ] as const)("P15 %s: 128 tries, no leak", async (_when, mode, stage, orphansMin) => {
    await runIo(function* () {
      yield* nop();
      const before = openDescriptors();
      const orphans = yield* killOpens(mode, stage);
      expect(openDescriptors()).toEqual(before);
      // The case was met: descriptors did come for tasks that were killed.
      expect(orphans).toBeGreaterThanOrEqual(orphansMin);
    });
  });

  test("P15 control: a descriptor that nobody closes fails the check", async () => {
    const leaked = await new Promise<number>((resolve, reject) => {
      let number = -1;
      runIo(function* () {
        const handle = new Handle();
        setupOpen(handle, "/dev/null");
        number = yield* handle;
      }).then(
        () => reject(new Error("the leak was not found")),
        () => resolve(number),
      );
    });
    closeSync(leaked);
  });

  test("P15 the exact fate of a late descriptor: it is closed, once", () => {
    for (const first of ["target", "cancel"] as const) {
      const driver = new ScriptedDriver({
        result: ({ opcode }) => (opcode === OP_OPENAT ? PENDING : 0),
        cancel: () => ({ first, cancel: -EALREADY, target: driver.openNumber() }),
      });
      runScripted(driver, function* () {
        const opener = spawn(open("/late"));
        yield* nop();
        yield* stop(opener);
        yield* nop();
        const closes = driver.log.filter(({ opcode }) => opcode === OP_CLOSE);
        expect(closes.map(({ fd }) => fd)).toEqual([100]);
      });
    }
  });
});

describe("P16 a kill of a connect", () => {
  /** A listener whose queue is full: the next connect waits for an answer. */
  const fullListener = op(function* () {
    const listener = yield* listen({ host: "127.0.0.1", port: 0 }, { backlog: 0 });
    const waiting: Socket[] = [];
    for (;;) {
      const made = yield* socket("ipv4");
      try {
        yield* connectSocket(made, listener.localAddress!, { timeout: 20 });
        waiting.push(made);
      } catch (error) {
        expect(error).toBeInstanceOf(DeadlineError);
        yield* close(made);
        return { listener, waiting };
      }
    }
  });

  test.each(rings)("P16 while the peer does not answer ($ring ring)", async ({ runIo }) => {
    await runIo(function* () {
      const { listener } = yield* fullListener();
      const before = openDescriptors();
      const { cancels } = ioCounts();
      const connecting = spawn(connect(listener.localAddress!));
      yield* submitted();
      while (!connecting.wait?.describe().startsWith("connect")) yield* submitted();
      yield* submitted();
      yield* stop(connecting);
      while (ioCounts().inflight > 0) yield* nop();
      expect(ioCounts().cancels).toBe(cancels + 1);
      expect(openDescriptors()).toEqual(before);
    });
  });

  test.each([
    ["tcp", { host: "127.0.0.1", port: 0 }],
    ["unix", { path: "\0cooperator-p16" }],
  ] as const)(
    "P16 at every other stage: the peer sees the end of what it got (%s)",
    async (_kind, address) => {
      await runIo(function* () {
        const listener = yield* listen(address);
        const before = openDescriptors();
        let connected = 0;
        let last: string | null = null;
        for (let steps = 0; last !== "done"; steps++) {
          const connecting = spawn(connect(listener.localAddress!), { start: "now", priority: LOW });
          for (let i = 0; i < steps && connecting.status !== "ended"; i++) yield* nop();
          connecting.kill();
          const exit = yield* connecting.settled();
          last = exit.status;
          if (exit.status === "done") yield* close(exit.value);
          while (ioCounts().inflight > 0) yield* nop();
          // Whether the connection was made or not, the near end of it is closed.
          const acceptor = spawn(accept(listener));
          yield* nop();
          yield* nop();
          if (acceptor.status === "ended") {
            connected++;
            const far = acceptor.result;
            // The end, or a reset: nothing else.
            const end = yield* recvEnd(far);
            expect([0, "ECONNRESET"]).toContain(end);
            yield* close(far);
          } else yield* stop(acceptor);
          expect(openDescriptors()).toEqual(before);
        }
        // Some kills came before the connection and some after it.
        expect(connected).toBeGreaterThan(1);
      });
    },
  );

  const recvEnd = op(function* (far: Socket) {
    try {
      return yield* recv(far, Buffer.alloc(1));
    } catch (error) {
      return (error as { code: string }).code;
    }
  });

  test("P16 a success that arrives after the kill closes the socket", () => {
    const driver = new ScriptedDriver({
      result: ({ opcode }, { openNumber }) =>
        opcode === OP_CONNECT ? PENDING : opcode === OP_SOCKET ? openNumber.call(driver) : 0,
      cancel: () => ({ first: "cancel", cancel: -ENOENT, target: 0 }),
    });
    runScripted(driver, function* () {
      const connecting = spawn(connect("127.0.0.1:1"));
      while (driver.log.at(-1)?.opcode !== OP_CONNECT) yield* nop();
      yield* stop(connecting);
      yield* nop();
      expect(driver.log.filter(({ opcode }) => opcode === OP_CLOSE).map(({ fd }) => fd)).toEqual([100]);
    });
  });
});

describe("P17 a kill of a writer in the middle of a large buffer", () => {
  const LENGTH = 8 << 20;

  test.each([
    ["tcp", "copied", tcpPair],
    ["tcp", "shared", tcpPair],
    ["unix", "copied", unixPair],
    ["unix", "shared", unixPair],
  ] as const)(
    "P17 breaks the socket for further sends, and says after how many bytes (%s, %s)",
    async (_kind, path, pairOf) => {
      await runIo(function* () {
        const { near, far } = yield* pairOf();
        const message = path === "shared" ? allocate(LENGTH) : Buffer.alloc(LENGTH);
        pattern(LENGTH).copy(message);
        const writer = spawn(sendAll(near, message));
        yield* submitted();
        yield* stop(writer);
        const errors = [
          yield* failureOf(() => sendAll(near, Buffer.from("x"))),
          yield* failureOf(() => send(near, Buffer.from("x"))),
          yield* failureOf(function* () {
            const handle = new Handle();
            setupSend(handle, near, Buffer.from("x"));
            yield* handle;
          }),
        ];
        const count = Number(/after (\d+) bytes/.exec(errors[0].message)?.[1]);
        expect(count).toBeGreaterThan(0);
        expect(count).toBeLessThan(LENGTH);
        for (const error of errors) {
          expectError(error, ClosedError, "COOP_CLOSED", /is broken, a writer was cut short after \d+ bytes/);
        }
        // Exactly so many went out, and nothing after them.
        yield* shutdown(near, "write");
        const got = Buffer.alloc(1 << 20);
        let at = 0;
        for (;;) {
          const length = yield* recv(far, got);
          if (length === 0) break;
          expect(got.subarray(0, length).equals(message.subarray(at, at + length))).toBe(true);
          at += length;
        }
        expect(at).toBe(count);
        // The other direction still works.
        yield* sendAll(far, Buffer.from("yes"));
        expect(yield* recv(near, got)).toBe(3);
      });
    },
  );

  test.each(rings)("P17 a timeout breaks it in the same way ($ring ring)", async ({ runIo }) => {
    await runIo(function* () {
      const { near } = yield* unixPair();
      const error = yield* failureOf(() => sendAll(near, Buffer.alloc(LENGTH), { timeout: 10 }));
      expectError(error, DeadlineError, "COOP_DEADLINE", /^send on socket \d+.* took longer than 10$/);
      const next = yield* failureOf(() => sendAll(near, Buffer.from("x")));
      expectError(next, ClosedError, "COOP_CLOSED", /is broken/);
    });
  });

  test("P17 a writer that got nothing out breaks nothing", async () => {
    await runIo(function* () {
      const { near, far } = yield* unixPair();
      // Whatever fits is sent by calls that may be short.
      const chunk = Buffer.alloc(1 << 20, 1);
      let sent = 0;
      let full = false;
      while (!full) {
        const sender = spawn(send(near, chunk));
        yield* submitted();
        yield* submitted();
        if (sender.status === "ended") sent += sender.result;
        else {
          full = true;
          yield* stop(sender);
        }
      }
      const writer = spawn(sendAll(near, Buffer.from("never")));
      yield* submitted();
      yield* stop(writer);
      const drained = spawn(drain(far, sent + 3));
      yield* sendAll(near, Buffer.from("end"));
      expect((yield* drained.join()).subarray(-3).toString()).toBe("end");
    });
  });

  test("P17 so does writeAll on a pipe, and not at a position of a file", async () => {
    await runIo(function* () {
      const pipe = yield* open(freshFifo(), "r+");
      const writer = spawn(writeAll(pipe, pattern(1 << 20)));
      yield* submitted();
      yield* stop(writer);
      const error = yield* failureOf(() => writeAll(pipe, Buffer.from("x")));
      expectError(
        error,
        ClosedError,
        "COOP_CLOSED",
        /fifo.* is broken, a writer was cut short after 65536 bytes/,
      );
      expectError(
        yield* failureOf(() => write(pipe, Buffer.from("x"))),
        ClosedError,
        "COOP_CLOSED",
        /is broken/,
      );
      expect(yield* read(pipe, Buffer.alloc(1 << 20))).toBe(65536);
    });
    const driver = new ScriptedDriver({
      result: ({ opcode, offset }) => (opcode !== OP_WRITE ? 0 : offset === 7 ? 3 : PENDING),
    });
    runScripted(driver, function* () {
      const file = adoptFile(driver.openNumber());
      const writer = spawn(writeAll(file, Buffer.from("abcdef"), { position: 7 }));
      yield* nop();
      yield* nop();
      yield* stop(writer);
      expect(driver.log.filter(({ opcode }) => opcode === OP_WRITE).map(({ offset }) => offset)).toEqual([
        7, 10,
      ]);
      yield* write(file, Buffer.from("abc"), { position: 7 });
      yield* close(file);
    });
  });

  test("P17 another writer of the same stream learns of it, and the program goes on", async () => {
    await runIo(function* () {
      const pipe = yield* open(freshFifo(), "r+");
      const first = spawn(writeAll(pipe, pattern(1 << 20)));
      yield* submitted();
      const second = spawn(writeAll(pipe, pattern(1 << 20)), { failure: "hold" });
      yield* submitted();
      const into = Buffer.alloc(65536);
      // Both have got part of theirs out.
      while (ioCounts().submitted < 1) yield* nop();
      yield* read(pipe, into);
      yield* read(pipe, into);
      yield* stop(first);
      const reader = spawn(function* () {
        for (;;) yield* read(pipe, into);
      });
      const exit = yield* second.settled();
      yield* stop(reader);
      expect(exit.status).toBe("failed");
      const error = exit.status === "failed" ? exit.error : null;
      expect(error).toMatchObject({ code: "EPIPE", syscall: "write" });
    });
  });
});

const drain = op(function* (from: Socket, length: number) {
  const all = Buffer.alloc(length);
  for (let at = 0; at < length; ) at += yield* recv(from, all.subarray(at));
  return all;
});

describe("P19 many operations and kills at random", () => {
  /** A generator of numbers in [0, 1) that is the same every time (mulberry32). */
  function randomOf(seed: number): () => number {
    let state = seed;
    return () => {
      state = (state + 0x6d2b79f5) | 0;
      let t = Math.imul(state ^ (state >>> 15), 1 | state);
      t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
      return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
    };
  }

  const worker = op(function* () {
    for (;;) yield* nop();
  });

  test("P19 every operation completes, every place is free, and the kernel's ring is at rest", async () => {
    const OPERATIONS = 100_000;
    const random = randomOf(19);
    await runIo(
      function* () {
        let kills = 0;
        yield* nop();
        const workers = Array.from({ length: 200 }, () => spawn(worker()));
        while (ioCounts().submitted < OPERATIONS) {
          yield* nop();
          for (let i = 0; i < 10; i++) {
            const at = Math.floor(random() * workers.length);
            workers[at].kill();
            workers[at] = spawn(worker(), { priority: random() < 0.3 ? LOW : 1 });
            kills++;
          }
        }
        for (const task of workers) yield* stop(task);
        expect(kills).toBeGreaterThan(OPERATIONS / 100);
        yield* nop();
        const { inflight, backlog, stale, cancels } = ioCounts();
        expect({ inflight, backlog, stale }).toEqual({ inflight: 0, backlog: 0, stale: 0 });
        // Some were met while the kernel had the operation, most when it had just completed.
        expect(cancels).toBeGreaterThan(100);
        const rings = ringInfos();
        // Node has rings of its own from 22 on; ours was opened last.
        expect(rings.length).toBeGreaterThan(0);
        const { SqHead, SqTail, CqHead, CqTail } = rings[rings.length - 1]!;
        expect(SqHead).toBe(SqTail);
        expect(CqHead).toBe(CqTail);
      },
      {
        after: ({ io }) => {
          expect(io!.submitted).toBeGreaterThanOrEqual(OPERATIONS);
          expect(io!.submitted).toBe(io!.completed);
        },
      },
    );
  });

  /** What the kernel says of the rings of this process. */
  function ringInfos(): Record<string, number>[] {
    const found: Record<string, number>[] = [];
    for (const fd of readdirSync("/proc/self/fd").sort((a, b) => Number(a) - Number(b))) {
      let target = "";
      try {
        target = readlinkSync(`/proc/self/fd/${fd}`);
      } catch {
        continue;
      }
      if (!target.includes("io_uring")) continue;
      const info: Record<string, number> = {};
      for (const line of readFileSync(`/proc/self/fdinfo/${fd}`, "utf8").split("\n")) {
        const match = /^(\w+):\s+(\d+)$/.exec(line);
        if (match !== null) info[match[1]] = Number(match[2]);
      }
      found.push(info);
    }
    return found;
  }
});
