/**
 * Conformance U, T, R and M: a program and what surrounds it: signals, other processes, threads, rights that are
 * given up or never granted.
 */
import { type ChildProcess, spawn as spawnChild } from "node:child_process";
import {
  closeSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { afterAll, describe, expect, test } from "vitest";
import { Coordinator, coordinateWith, type Operation, op, spawn, yieldNow } from "../../src/index.ts";
import { open, recv, send } from "../../src/io/index.ts";
import { dist, runWrapped, startChild } from "../support/children.ts";
import { freshFifo, freshPath, pattern, runIo, stop, tcpPair } from "../support/io.ts";

const CI = process.env.COOP_LANE === "ci";
/** For hangs only. */
const LIMIT = { timeout: 60_000 };
const notRoot = process.getuid!() !== 0;
const major = Number(process.versions.node.split(".")[0]);
const permission = major >= 24 ? "--permission" : "--experimental-permission";

const directory = mkdtempSync(join(tmpdir(), "cooperator-host-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

test("T11 a storm of signals disturbs no io, and the one that ends the program does", LIMIT, async () => {
  const STORM = CI ? 100_000 : 20_000;
  const child = startChild("storm", freshPath());
  await child.printed("ready");
  for (let i = 0; i < STORM; i++) {
    child.signal("SIGUSR2");
    if (i % 500 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  child.signal("SIGUSR1");
  await child.printed("last");
  child.signal("SIGTERM");
  const { code, stdout, stderr } = await child.ended;
  expect({ code, stderr }).toEqual({ code: 143, stderr: "" });
  const [, , told, status] = stdout.split("\n");
  expect(status).toBe("killed");
  const { rounds, signals, ...rest } = JSON.parse(told!);
  expect(rest).toEqual({ inflight: 0, stale: 0, backlog: 0 });
  expect(Math.min(rounds.echo, rounds.file, rounds.sleep)).toBeGreaterThan(0);
  // The system merges those that wait; what comes through is what was not merged.
  expect(signals).toBeGreaterThan(0);
  expect(signals).toBeLessThanOrEqual(STORM);
});

describe("other processes", () => {
  /** The program has ended: its exit code, or minus one for a signal. A kill ends it, politely at first. */
  const program = op(function* program(file: string, ...args: string[]) {
    const end = new Coordinator({ held: true, name: `end of ${file}` });
    let output = "";
    let code = 0;
    const child: ChildProcess = spawnChild(file, args, { stdio: ["ignore", "pipe", "ignore"] });
    child.stdout!.setEncoding("latin1").on("data", (text: string) => {
      output += text;
    });
    child.once("close", (status, signal) => {
      code = signal === null ? status! : -1;
      end.release();
    });
    let over = false;
    try {
      yield* end.flash();
      over = true;
    } finally {
      if (!over) {
        child.kill("SIGTERM");
        const { timedOut } = yield* coordinateWith(end, { within: 200 });
        if (timedOut) {
          child.kill("SIGKILL");
          yield* coordinateWith(end);
        }
        end.release();
      }
    }
    return { code, output };
  });

  /** Children of this process that are left, and in what state. */
  function childrenLeft(): string[] {
    const left: string[] = [];
    for (const pid of readdirSync("/proc")) {
      if (!/^\d+$/.test(pid)) continue;
      try {
        const [, name, state, parent] = /^\d+ \((.*)\) (\w) (\d+)/s.exec(
          readFileSync(`/proc/${pid}/stat`, "utf8"),
        )!;
        if (Number(parent) === process.pid) left.push(`${name} ${state}`);
      } catch {
        // It has ended meanwhile.
      }
    }
    return left.sort();
  }

  test("T12 are ended with their scope, politely and then not, and leave no zombie and no descriptor", {
    timeout: 120_000,
  }, async () => {
    const before = childrenLeft();
    const ROUNDS = CI ? 250 : 12;
    const stubborn = 'trap "" TERM; echo deaf; while :; do sleep 0.05; done';
    await runIo(function* () {
      for (let round = 0; round < ROUNDS; round++) {
        const ending = [0, 3].map((code) => spawn(program("sh", "-c", `exit ${code}`)));
        const polite = spawn(program("sleep", "1000"));
        const deaf = round % 10 === 0 ? spawn(program("sh", "-c", stubborn)) : null;
        expect((yield* ending[0].join()).code).toBe(0);
        expect((yield* ending[1].join()).code).toBe(3);
        yield* stop(polite);
        if (deaf !== null) yield* stop(deaf);
      }
    });
    expect(childrenLeft()).toEqual(before);
  });

  test("R12 are started in the middle of heavy io, and see nothing of it", LIMIT, async () => {
    const CHILDREN = CI ? 100 : 15;
    const LISTING = "ls /proc/self/fd; exit 7";
    await runIo(function* () {
      const path = freshPath();
      let rounds = 0;
      // Whoever runs the tests may have left something open for all its children.
      const alone = yield* program("sh", "-c", LISTING);
      expect(alone).toMatchObject({ code: 7, output: expect.stringMatching(/^0\n1\n2\n/) });
      const echo = op(function* echo(seed: number) {
        const { near, far } = yield* tcpPair();
        const bytes = pattern(3000, seed);
        for (;;) {
          spawn(() => send(near, bytes) as Operation<unknown>);
          const got = Buffer.alloc(bytes.length);
          for (let count = 0; count < got.length; ) count += yield* recv(far, got.subarray(count));
          expect(got.equals(bytes)).toBe(true);
          rounds++;
        }
      });
      const file = op(function* file() {
        const output = yield* open(path, "w+");
        const got = Buffer.alloc(4000);
        for (let i = 0; ; i++) {
          yield* output.writeAll(got.fill(i & 0xff), { position: 0 });
          expect(yield* output.read(got, { position: 0 })).toBe(4000);
          expect(got.every((byte) => byte === (i & 0xff))).toBe(true);
        }
      });
      const busy = [spawn(file()), ...[1, 2, 3, 4].map((seed) => spawn(echo(seed)))];
      const blocked = spawn(function* () {
        yield* (yield* open(freshFifo(), "r+")).read(Buffer.alloc(1));
      });
      for (let i = 0; i < CHILDREN; i++) {
        const { code, output } = yield* program("sh", "-c", LISTING);
        expect({ code, output }).toEqual(alone);
      }
      expect(rounds).toBeGreaterThan(0);
      expect(blocked.status).toBe("blocked");
      for (const task of [...busy, blocked]) yield* stop(task);
    });
  });
});

describe("M10 a wake-up that comes while the loop goes to sleep is not lost", () => {
  const RACES = CI ? 100_000 : 10_000;

  /** Answers each request with a message, after a moment of a different length each time. */
  const ANSWER = `
    const { parentPort, workerData } = require("node:worker_threads");
    const { writeSync } = require("node:fs");
    const { requests, races, fd } = workerData;
    for (let i = 1; i <= races; i++) {
      while (Atomics.load(requests, 0) < i) Atomics.wait(requests, 0, i - 1, 1000);
      for (let spins = (i * 7919) % 300; spins > 0; spins--) Atomics.load(requests, 0);
      if (fd === -1) parentPort.postMessage(i);
      else writeSync(fd, "x");
    }
    setInterval(() => {}, 1e6);`;

  async function startAnswering(fd: number): Promise<{ worker: Worker; ask: () => void }> {
    const requests = new Int32Array(new SharedArrayBuffer(4));
    const worker = new Worker(ANSWER, { eval: true, workerData: { requests, races: RACES, fd } });
    // Its own descriptors are there from then on.
    await new Promise((resolve) => worker.once("online", resolve));
    const ask = (): void => {
      Atomics.add(requests, 0, 1);
      Atomics.notify(requests, 0);
    };
    return { worker, ask };
  }

  test("M10 from another thread, by a message", LIMIT, async () => {
    const { worker, ask } = await startAnswering(-1);
    let gate = new Coordinator({ held: true });
    worker.on("message", () => gate.release());
    await runIo(function* () {
      for (let i = 0; i < RACES; i++) {
        gate = new Coordinator({ held: true, name: "the answer" });
        ask();
        // Sometimes the loop is still awake when the answer comes.
        if (i % 3 === 0) yield* yieldNow();
        yield* gate.acquire();
      }
    });
    await worker.terminate();
  });

  test("M10 from another thread, by a completion", LIMIT, async () => {
    const path = freshFifo();
    const fd = openSync(path, "r+");
    const { worker, ask } = await startAnswering(fd);
    await runIo(function* () {
      const pipe = yield* open(path, "r+");
      const byte = Buffer.alloc(1);
      for (let i = 0; i < RACES; i++) {
        ask();
        if (i % 3 === 0) yield* yieldNow();
        expect(yield* pipe.read(byte)).toBe(1);
      }
    });
    await worker.terminate();
    closeSync(fd);
  });

  test("M10 from callbacks of Node's loop, of every kind", LIMIT, async () => {
    const later: readonly ((call: () => void) => void)[] = [
      setImmediate,
      queueMicrotask,
      (call) => process.nextTick(call),
      (call) => void setTimeout(call, 0),
      (call) => void Promise.resolve().then(call),
    ];
    await runIo(function* () {
      // Keeps the ring in the game: an operation waits all the time.
      const waiting = spawn(function* () {
        yield* (yield* open(freshFifo(), "r+")).read(Buffer.alloc(1));
      });
      for (let i = 0; i < RACES; i++) {
        const gate = new Coordinator({ held: true, name: "a callback" });
        // Timers of Node's take a millisecond each.
        const kind = i % 50 === 0 ? 3 : [0, 1, 2, 4][i % 4];
        later[kind](() => gate.release());
        yield* gate.acquire();
      }
      yield* stop(waiting);
    });
  });
});

describe("rights", () => {
  test.skipIf(notRoot)("U10 given up after the start are gone for the ring too", async () => {
    const secret = join(directory, "secret");
    writeFileSync(secret, "secret", { mode: 0o600 });
    const { code, stdout, stderr } = await startChild("drop-rights", secret, directory).ended;
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    const { before, other, ...refused } = JSON.parse(stdout);
    expect({ before, other }).toEqual({ before: "allowed", other: "allowed" });
    expect(Object.keys(refused).length).toBe(7);
    for (const [what, answer] of Object.entries(refused)) {
      expect({ what, answer }).toEqual({ what, answer: "EACCES" });
    }
  });

  test("U11 never granted: under Node's permission model nothing is done in a ring", LIMIT, async () => {
    const node = [
      permission,
      "--allow-worker",
      ...(major >= 22 ? ["--allow-addons"] : []),
      // What the program itself is loaded from.
      `--allow-fs-read=${join(dist, "..")}/*`,
    ];
    const { code, stdout } = await runWrapped({ node }, "forbidden");
    expect(code).toBe(0);
    const { here, there } = JSON.parse(stdout);
    for (const told of [here, there]) {
      // These two go by way of Node, which asks its own model.
      const { readDirectory, realPath, ...ring } = told;
      expect({ readDirectory, realPath }).toEqual({
        readDirectory: "ERR_ACCESS_DENIED",
        realPath: "ERR_ACCESS_DENIED",
      });
      expect(new Set(Object.values(ring))).toEqual(new Set(["COOP_UNSUPPORTED"]));
      expect(Object.keys(ring).length).toBe(9);
    }
  });

  test("U12 an addon that is no addon is named, and everything but io works", async () => {
    const place = join(directory, "package");
    cpSync(dist, join(place, "dist"), { recursive: true });
    mkdirSync(join(place, "build/Release"), { recursive: true });
    writeFileSync(join(place, "build/Release/cooperator.node"), "this is no addon");
    const { code, stdout, stderr } = await runWrapped({ dist: join(place, "dist") }, "first-io");
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    const { caught, value, thrown } = JSON.parse(stdout);
    expect(value).toBe("went on");
    for (const told of [...caught, thrown]) {
      expect(told).toMatchObject({ code: "COOP_UNSUPPORTED", cause: { code: "ERR_DLOPEN_FAILED" } });
      expect(told.message).toMatch(/does not load.*npm run build:native/);
    }
  });
});
