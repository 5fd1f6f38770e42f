/**
 * An io driver whose completions are written down in the test: what the kernel could do but seldom does.
 * Programs on it run on a virtual clock, so a run is the same every time.
 */
import { expect } from "vitest";
import type { Body } from "../../src/coordinator/index.ts";
import type { DriverStatistics, IoDriver } from "../../src/io/driver/driver.ts";
import { type Handle, OWN_CANCEL, OWN_COMPLETION } from "../../src/io/handle.ts";
import { ioStatistics } from "../../src/io/io.ts";
import { Memory } from "../../src/io/memory/memory.ts";
import type { SystemCalls } from "../../src/native/binding.ts";
import * as abi from "../../src/native/layout.ts";
import { VirtualRuntime } from "../../src/testing/virtual.ts";
import { checked } from "./harness.ts";
import { checkIo } from "./io.ts";

/** One operation as the kernel would see it. */
export interface Submission {
  readonly handle: Handle;
  readonly opcode: number;
  readonly fd: number;
  readonly address: number;
  readonly length: number;
  readonly offset: number;
  readonly opFlags: number;
  /** Number of the registered buffer. */
  readonly buffer: number;
  /** What was added to it: a word, and the two halves of a 64-bit number from there. */
  wide: readonly [word: number, low: number, high: number] | null;
}

/** What a script says instead of a result: the operation stays in flight until it is cancelled. */
export const PENDING: unique symbol = Symbol("pending");

/** The completions a cancel leads to. */
export interface CancelScript {
  /** Result of the target; PENDING leaves it in flight. */
  readonly target: number | typeof PENDING;
  /** Result of the cancel itself. */
  readonly cancel: number;
  /** Which completion comes first. The other comes in the next turn. */
  readonly first?: "target" | "cancel";
}

export interface Script {
  /** The result of an operation: a count or a descriptor, -errno, or PENDING. */
  readonly result: (submission: Submission, driver: ScriptedDriver) => number | typeof PENDING;
  /** What a cancel does. Default: the target ends with -ECANCELED first, the cancel with 0. */
  readonly cancel?: (submission: Submission) => CancelScript;
}

const EBADF = 9;
const ENOSYS = 38;
const EOPNOTSUPP = 95;
const ECANCELED = 125;
const NOTHING: Submission = {
  handle: null as unknown as Handle,
  opcode: abi.OP_NOP,
  fd: -1,
  address: 0,
  length: 0,
  offset: 0,
  opFlags: 0,
  buffer: 0,
  wide: null,
};

export class ScriptedDriver implements IoDriver {
  readonly name = "scripted";
  readonly simulated = true;
  limit = 1000;
  /** Chains are for kernels. */
  readonly chainMax = 0;
  readonly calls: SystemCalls;
  onQueued: (() => void) | null = null;
  readonly memory: Memory;
  /** Every operation in the order of submission. */
  readonly log: Submission[] = [];
  /** Descriptors handed out and not closed. */
  readonly open = new Set<number>();
  private readonly script: Script;
  private readonly arenas: { readonly base: number; readonly view: Uint8Array }[] = [];
  private nextBase = 4096;
  private queue: (() => void)[] = [];
  private readonly pending = new Map<Handle, Submission>();
  private submitted = 0;
  private completed = 0;
  private cancels = 0;
  private flushes = 0;

  constructor(script: Script) {
    this.script = script;
    this.memory = new Memory((view) => this.place(view));
    this.calls = this.systemCalls();
  }

  get inflight(): number {
    return this.submitted - this.completed;
  }

  get backlog(): number {
    return this.queue.length;
  }

  submit(
    handle: Handle,
    opcode: number,
    fd: number,
    address: number,
    length: number,
    offset: number,
    opFlags: number,
  ): void {
    const buffer = handle.bufferIndex;
    const submission = { handle, opcode, fd, address, length, offset, opFlags, buffer, wide: null };
    this.submitted++;
    this.log.push(submission);
    this.queue.push(() => this.serve(submission));
  }

  setWide(word: number, low: number, high: number): void {
    this.log.at(-1)!.wide = [word, low, high];
  }

  openTable(): void {}
  beginChain(): void {}
  endChain(): void {}
  dropChain(): void {}

  cancel(handle: Handle): void {
    this.cancels++;
    this.queue.push(() => this.serveCancel(handle));
  }

  flush(): number {
    this.flushes++;
    const work = this.queue;
    this.queue = [];
    for (const item of work) item();
    return work.length;
  }

  /** The bytes an operation reads or writes. */
  bytesOf({ address, length }: Submission): Uint8Array {
    for (const { base, view } of this.arenas) {
      if (address >= base && address + length <= base + view.byteLength) {
        return view.subarray(address - base, address - base + length);
      }
    }
    throw new Error(`no memory at ${address}`);
  }

  /** A descriptor number nobody has yet. */
  openNumber(): number {
    let number = 100;
    while (this.open.has(number)) number++;
    this.open.add(number);
    return number;
  }

  forget(): void {}

  lacks(): boolean {
    return false;
  }

  supports(): boolean {
    return true;
  }

  own(): void {}

  disown(): void {}

  registerBuffers(): number {
    return -12;
  }

  registerBufferGroup(): number {
    return -12;
  }
  unregisterBufferGroup(): void {}

  unregisterBuffers(): void {}

  validDescriptor(fd: number): boolean {
    return this.open.has(fd);
  }

  close(): void {}

  statistics(): DriverStatistics {
    const { submitted, completed, inflight, cancels, flushes, backlog } = this;
    return { submitted, completed, inflight, cancels, stale: 0, flushes, retries: 0, backlog };
  }

  private systemCalls(): SystemCalls {
    const absent = (): number => -ENOSYS;
    return {
      closeFd: (fd) => (this.open.delete(fd) ? 0 : -EBADF),
      validFd: (fd) => this.open.has(fd),
      setSocketOption: () => 0,
      getSocketOption: () => -EOPNOTSUPP,
      socketName: () => -EOPNOTSUPP,
      socketNow: absent,
      bindNow: absent,
      listenNow: absent,
      pipeNow: absent,
      inotifyOpen: absent,
      inotifyAdd: absent,
      inotifyRemove: absent,
    };
  }

  private place(view: ArrayBufferView): number {
    const base = this.nextBase;
    this.nextBase += view.byteLength + 4096;
    this.arenas.push({ base, view: new Uint8Array(view.buffer, view.byteOffset, view.byteLength) });
    return base;
  }

  private serve(submission: Submission): void {
    // Cancels by descriptor end everything in flight on it.
    if (submission.opcode === abi.OP_ASYNC_CANCEL) {
      let count = 0;
      for (const other of [...this.pending.values()]) {
        if (other.fd !== submission.fd) continue;
        count++;
        this.complete(other, -ECANCELED);
      }
      this.complete(submission, count);
      return;
    }
    if (submission.opcode === abi.OP_CLOSE) this.open.delete(submission.fd);
    const result = this.script.result(submission, this);
    if (result === PENDING) this.pending.set(submission.handle, submission);
    else this.complete(submission, result);
  }

  private serveCancel(handle: Handle): void {
    const target = this.pending.get(handle);
    // It has completed meanwhile: only the cancel's own completion is missing.
    if (target === undefined) {
      this.arrived({ ...NOTHING, handle }, OWN_CANCEL);
      return;
    }
    const script = this.script.cancel?.(target) ?? { target: -ECANCELED, cancel: 0 };
    const cancelDone = (): void => this.arrived(target, OWN_CANCEL);
    const targetDone = (): void => {
      if (script.target !== PENDING) this.complete(target, script.target);
    };
    if (script.first === "cancel") {
      cancelDone();
      this.queue.push(targetDone);
    } else {
      targetDone();
      this.queue.push(cancelDone);
    }
  }

  private complete(submission: Submission, result: number): void {
    this.pending.delete(submission.handle);
    submission.handle.shots?.arrived(result, 0);
    submission.handle.outcome = result;
    this.arrived(submission, OWN_COMPLETION);
  }

  private arrived({ handle }: Submission, part: number): void {
    handle.expected &= ~part;
    if (handle.expected !== 0) return;
    this.completed++;
    handle.finished(handle.outcome);
  }
}

/** Runs `body` on `driver` and a virtual clock, and checks that nothing is left. */
export function runScripted<A>(script: Script | ScriptedDriver, body: Body<A>): A {
  const driver = script instanceof ScriptedDriver ? script : new ScriptedDriver(script);
  const rt = new VirtualRuntime();
  rt.cooperator.openDriver = () => driver;
  const main = rt.run(body);
  const value = main.result;
  rt.settle();
  checked(rt);
  const io = ioStatistics(rt.cooperator);
  if (io !== null) checkIo(io);
  expect([...driver.open]).toEqual([]);
  return value;
}
