/** Programs on the real ring, or on both, and what must be left when one has ended: nothing. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "vitest";
import {
  type Body,
  type CoopError,
  Coordinator,
  type Driver,
  type Operation,
  op,
  type Report,
  self,
  type Task,
} from "../../src/coordinator/index.ts";
import { unwrapExit } from "../../src/coordinator/task/exit.ts";
import type { Slab } from "../../src/handle/slab.ts";
import {
  accept,
  close,
  connect,
  type Handle,
  type IoStatistics,
  ioStatistics,
  listen,
  nop,
  type Socket,
} from "../../src/io/index.ts";
import { Program, type RunOptions } from "../../src/node/run.ts";
import { SimulatedRuntime } from "../../src/testing/index.ts";
import { sleep } from "../../src/time/index.ts";

/** What a program looked like when it was over. */
export interface Finished<A> {
  readonly program: Program<A>;
  /** Null when it has done no io. */
  readonly io: IoStatistics | null;
}

export interface RunIoOptions<A> extends RunOptions {
  /** Gets the finished program before its value is returned, or its error thrown. */
  readonly after?: (finished: Finished<A>) => void;
}

/**
 * Runs `body` as `run()` does, and checks afterwards that every task, operation, block, timer, listener and
 * descriptor is gone and that every count adds up. A report fails it, unless `options.report` takes it.
 */
export async function runIo<A>(body: Body<A>, options?: RunIoOptions<A>): Promise<A> {
  const descriptors = openDescriptors();
  const listeners = process.listenerCount("beforeExit");
  const reports: Report[] = [];
  const { after, ...rest } = options ?? {};
  const program = new Program(body, { report: (report) => reports.push(report), ...rest });
  const exit = await program.exit;
  checkFinished(program);
  expect(reports.map(({ kind, task, error }) => ({ kind, task: task?.label, error }))).toEqual([]);
  expect(process.listenerCount("beforeExit")).toBe(listeners);
  await expectDescriptors(descriptors);
  after?.({ program, io: ioStatistics(program.host.cooperator) });
  return unwrapExit(exit, program.task);
}

/** About what a real socket takes before its peer reads. */
const BUFFER_BYTES = 256 * 1024;
/** Runs under which the same body must do the same. */
const SEEDS = 2;
let simulating = false;

/** As {@link runIo}, on the simulated ring: under a few seeds, and with the same checks. */
async function runIoSimulated<A>(body: Body<A>, options?: Pick<RunOptions, "ring">): Promise<A> {
  let value: A | undefined;
  for (let seed = 1; seed <= SEEDS; seed++) {
    const runtime = new SimulatedRuntime({ seed, delay: 5, bufferBytes: BUFFER_BYTES, ...options?.ring });
    simulating = true;
    try {
      value = runtime.run(body).result;
    } finally {
      simulating = false;
    }
    runtime.checkAtRest();
    expect(runtime.reports).toEqual([]);
  }
  return value as A;
}

/** For `test.each`: the real ring, and the simulated one. */
export const rings = [
  { ring: "real", runIo },
  { ring: "simulated", runIo: runIoSimulated },
] as const;

/** For `test.each`: each of the values, on both rings. */
export function onRings<T>(values: readonly T[]) {
  return values.flatMap((value) => rings.map((ring) => ({ value, ...ring })));
}

/** Checks the counts of a program that is over. */
export function checkFinished(program: Program<unknown>): void {
  const { cooperator } = program.host;
  const { spawned, done, failed, killed, live, ready, timers, inflight } = cooperator.statistics();
  expect({ live, ready, timers, inflight }).toEqual({ live: 0, ready: 0, timers: 0, inflight: 0 });
  expect(spawned).toBe(done + failed + killed);
  const io = ioStatistics(cooperator);
  if (io === null) return;
  checkIo(io);
  checkPlaces(cooperator.driver);
}

/** Places of the driver's slab that are in use belong to idle handles of the pool. */
function checkPlaces(driver: Driver | null): void {
  const { slab } = driver as unknown as { slab?: Slab<Handle> };
  slab?.visit((handle) => expect(`${handle.status} ${handle.describe()}`).toMatch(/^idle /));
}

/** Checks the counts of a driver that is at rest. */
export function checkIo(io: IoStatistics): void {
  const { inflight, backlog, blocks, descriptors, stale } = io;
  expect({ inflight, backlog, blocks, descriptors, stale }).toEqual({
    inflight: 0,
    backlog: 0,
    blocks: 0,
    descriptors: 0,
    stale: 0,
  });
  expect(io.submitted).toBe(io.completed);
}

/** The open descriptors of this process and what they are. */
export function openDescriptors(): string[] {
  const found: string[] = [];
  for (const number of readdirSync("/proc/self/fd")) {
    try {
      found.push(`${number} ${readlinkSync(`/proc/self/fd/${number}`)}`);
    } catch {
      // That of the listing itself.
    }
  }
  return found.sort();
}

/** Node closes its own side of a ring in a callback: it gets a few turns of the event loop for that. */
export async function expectDescriptors(expected: readonly string[]): Promise<void> {
  for (let turns = 0; turns < 8 && openDescriptors().length !== expected.length; turns++) {
    await new Promise((resolve) => setImmediate(resolve));
  }
  expect(openDescriptors()).toEqual(expected);
}

/** Runs `operation` and gives what it throws. */
export const failureOf = op(function* (operation: Operation<unknown> | (() => Operation<unknown>)) {
  try {
    const value = yield* typeof operation === "function" ? operation() : operation;
    throw new Error(`it was expected to fail, and gave ${String(value)}`);
  } catch (error) {
    return error as CoopError;
  }
});

/** What `call` throws, synchronously. */
export function thrownBy(call: () => unknown): CoopError {
  let value: unknown;
  try {
    value = call();
  } catch (error) {
    return error as CoopError;
  }
  throw new Error(`it was expected to throw, and gave ${String(value)}`);
}

/** Checks class, code and text of a typed error. */
export function expectError(
  error: unknown,
  type: abstract new (...args: never[]) => CoopError,
  code: string,
  text: RegExp,
): void {
  expect(error).toBeInstanceOf(type);
  expect(error).toMatchObject({ code, message: expect.stringMatching(text) });
}

/** Waits until everything queued so far has been handed to the kernel. */
export const submitted: () => Operation<void> = nop;

/** Longer than most operations of the simulated ring take. */
const TURN_MS = 50;

/** Waits for a turn of Node's own event loop; on the simulated ring for as long as one may take. */
export const nodeTurn: () => Operation<void> = op(function* () {
  if (simulating) {
    yield* sleep(TURN_MS);
    return;
  }
  const gate = new Coordinator({ held: true, name: "Node's next turn" });
  setImmediate(() => gate.release());
  yield* gate.acquire();
});

/** Spins through turns until `done` says so. Tests end by their own time limit when it never does. */
export const until: (done: () => boolean) => Operation<void> = op(function* (done: () => boolean) {
  while (!done()) yield* nodeTurn();
});

/** What the io of the running task's cooperator counts. */
export function ioCounts(): IoStatistics {
  return ioStatistics(self().cooperator)!;
}

/** Kills a task and waits until it has ended. */
export const stop: (task: Task<any>, reason?: unknown) => Operation<void> = op(function* (
  task: Task<any>,
  reason?: unknown,
) {
  yield* task.killAndWait(reason ?? "the test stops it");
});

export interface Pair {
  /** The side that connected. */
  readonly near: Socket;
  /** The side that was accepted. */
  readonly far: Socket;
}

/** Two ends of one TCP connection over the loopback. */
export const tcpPair: () => Operation<Pair> = op(function* () {
  return yield* pairAt({ host: "127.0.0.1", port: 0 });
});

/** Two ends of one unix stream connection. */
export const unixPair: () => Operation<Pair> = op(function* () {
  return yield* pairAt({ path: abstractName() });
});

const pairAt = op(function* (address: { host: string; port: number } | { path: string }) {
  const listener = yield* listen(address);
  const near = yield* connect(listener.localAddress!);
  const far = yield* accept(listener);
  yield* close(listener);
  return { near, far };
});

let names = 0;

/** A name for a unix socket that leaves no file. */
export function abstractName(): string {
  return `\0cooperator-test-${process.pid}-${names++}`;
}

let directory: string | null = null;

/** A path nothing exists at, in a directory that is removed at the end of the run. */
export function freshPath(name = "file"): string {
  if (simulating) return `/${name}-${names++}`;
  directory ??= mkdtempSync(join(tmpdir(), "io-"));
  return join(directory, `${name}-${names++}`);
}

/** A new named pipe. */
export function freshFifo(): string {
  const path = freshPath("fifo");
  execFileSync("mkfifo", [path]);
  return path;
}

/** Bytes that tell where they were: byte `i` depends on `i` beyond its low bits. */
export function pattern(length: number, seed = 0): Buffer {
  const bytes = Buffer.alloc(length);
  for (let i = 0; i < length; i++) bytes[i] = (i * 31 + (i >> 8) * 7 + seed) & 0xff;
  return bytes;
}
