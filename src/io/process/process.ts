/**
 * A program that runs, and the task it lives in.
 *
 * node:child_process starts it and collects its status, since only libuv may reap its children; everything else is
 * here. The process lives in a task of its own, a child of the one that started it, so the rules of the tree hold
 * for it: it does not outlive that task, and the task does not end before it is gone.
 *
 * | the life task         | the process | its streams |
 * |-----------------------|-------------|-------------|
 * | waits for the end     | runs        | open, or closed by whoever uses them |
 * | waits for the streams | is gone     | what it has written can still be read to the end |
 * | killed                | gets SIGTERM, after the grace SIGKILL, and is waited for | closed after that |
 * | ended                 | is gone     | closed      |
 */
import { type ChildProcess, spawn as spawnChild } from "node:child_process";
import { UsageError } from "../../coordinator/errors.ts";
import { type Operation, op } from "../../coordinator/operation.ts";
import { Signal } from "../../coordinator/signal.ts";
import type { Task } from "../../coordinator/task/task.ts";
import { moveOnAfter } from "../../time/timeout.ts";
import { IoError } from "../errno.ts";
import type { File } from "../file/file.ts";
import { checkSignal, type Plan, type StreamName } from "./plan.ts";

/** How a process ended. */
export interface ProcessExit {
  readonly pid: number;
  /** The exit code; null when a signal has ended it. */
  readonly code: number | null;
  /** The signal that has ended it, null when it has exited. */
  readonly signal: NodeJS.Signals | null;
}

/** The ends of the pipes that stay here; null for a stream that is none. */
export type Streams = Readonly<Record<StreamName, File | null>>;

/** A running program; `using child = yield* spawnProcess(…)` ends it however the block ends. */
export class Process {
  readonly command: string;
  /** 0 until it has been started. */
  pid = 0;
  /** How it ended; null while it runs. */
  exit: ProcessExit | null = null;
  /** @internal Why it could not be started. */
  failure: unknown = null;
  /** @internal An attempt was made to start it. */
  readonly began = new Signal({ name: "start of a process" });
  /** @internal It is gone, or has never been there. */
  readonly ended = new Signal({ name: "end of a process" });
  /** @internal Set by whoever makes it, at once. */
  life!: Task<void>;
  /** @internal */ readonly plan: Plan;
  private readonly streams: Streams;
  private child: ChildProcess | null = null;
  private openStreams = 0;
  /** @internal Its streams are closed. */
  readonly drained = new Signal({ name: "close of the streams of a process" });

  /** @internal Processes are made by `spawnProcess`. */
  constructor(plan: Plan, streams: Streams) {
    this.command = plan.command;
    this.plan = plan;
    this.streams = streams;
    for (const stream of this.pipes()) {
      this.openStreams++;
      stream.addDependent(this);
    }
    if (this.openStreams === 0) this.drained.notify();
  }

  /** Where to write what it reads. @throws {UsageError} `COOP_ARGUMENT` unless it is a pipe. */
  get stdin(): File {
    return this.pipe("stdin");
  }

  /** Where to read what it writes. @throws {UsageError} `COOP_ARGUMENT` unless it is a pipe. */
  get stdout(): File {
    return this.pipe("stdout");
  }

  /** Likewise. */
  get stderr(): File {
    return this.pipe("stderr");
  }

  /** Waits until it is gone. What it has written can still be read then. A kill here leaves it alone. */
  wait(): Operation<ProcessExit> {
    return wait(this);
  }

  /**
   * Sends it a signal, and returns at once; with `group`, to all of its group.
   *
   * @returns false when it was not sent: the process is gone, or may not be signalled.
   * @throws {UsageError} `COOP_ARGUMENT` for what is no signal.
   */
  kill(signal: NodeJS.Signals = "SIGTERM"): boolean {
    checkSignal(signal);
    const { child } = this;
    if (child === null || this.exit !== null || this.pid === 0) return false;
    if (!this.plan.group) return child.kill(signal);
    try {
      return process.kill(-this.pid, signal);
    } catch {
      return false;
    }
  }

  /** Ends it as a kill of its task would, and waits until it is gone. */
  terminate(): Operation<ProcessExit> {
    return terminate(this);
  }

  /** Begins to end it, in the background: the task that started it does not end before it is gone. */
  [Symbol.dispose](): void {
    this.life.kill("disposed");
  }

  /** @internal In words, for dumps. */
  get label(): string {
    return `process ${this.pid} (${this.command})`;
  }

  /** @internal One of the streams is being closed. */
  descriptorClosing(): void {
    if (--this.openStreams === 0) this.drained.notify();
  }

  /** @internal First step of the life task. */
  begin(): void {
    this.began.notify();
    try {
      this.child = spawnChild(this.command, this.plan.args, this.plan.options);
    } catch (error) {
      this.failed(error);
      return;
    }
    const { child } = this;
    this.pid = child.pid ?? 0;
    this.ended.name = `end of ${this.label}`;
    this.drained.name = `close of the streams of ${this.label}`;
    // A signal that may not be sent is an error too, and nothing to the process.
    child.on("error", (error) => {
      if (this.pid === 0) this.failed(error);
    });
    child.once("exit", (code, signal) => this.over({ pid: this.pid, code, signal }));
    if (this.pid !== 0) leaveNone(this);
  }

  /** @internal */
  closeStreams(): void {
    for (const stream of this.pipes()) stream[Symbol.dispose]();
  }

  private failed(error: unknown): void {
    const { errno } = error as NodeJS.ErrnoException;
    this.failure = typeof errno === "number" ? new IoError(errno, "spawn", { path: this.command }) : error;
    this.ended.notify();
  }

  private over(exit: ProcessExit): void {
    this.exit = exit;
    running.delete(this);
    this.ended.notify();
  }

  private pipes(): File[] {
    const { stdin, stdout, stderr } = this.streams;
    return [stdin, stdout, stderr].filter((stream) => stream !== null);
  }

  private pipe(name: StreamName): File {
    const stream = this.streams[name];
    if (stream !== null) return stream;
    throw new UsageError(
      "COOP_ARGUMENT",
      `${name} of ${this.label} is no pipe; it was started with another one`,
    );
  }
}

/** @internal What the life task does. */
export const life: (of: Process) => Operation<void> = op(function* life(of: Process) {
  let over = false;
  try {
    of.begin();
    yield* of.ended.wait();
    yield* of.drained.wait();
    over = true;
  } finally {
    if (!over) {
      if (!of.ended.signaled) yield* goAway(of);
      of.closeStreams();
    }
  }
});

/** Asks it to go, waits for the grace, and then does not ask. */
const goAway = op(function* goAway(of: Process) {
  const { signal, grace } = of.plan;
  of.kill(signal);
  try {
    yield* moveOnAfter(grace, of.ended.wait());
  } finally {
    // Also when the time for clean-up is up before the grace is.
    if (!of.ended.signaled) {
      of.kill("SIGKILL");
      yield* of.ended.wait();
    }
  }
});

const wait = op(function* wait(of: Process) {
  yield* of.ended.wait();
  return of.exit!;
});

const terminate = op(function* terminate(of: Process) {
  yield* of.life.killAndWait("terminated");
  return of.exit!;
});

/** Those that would go on when this process is left by process.exit() or an uncaught error. */
const running = new Set<Process>();
let listening = false;

function leaveNone(started: Process): void {
  running.add(started);
  if (listening) return;
  listening = true;
  process.on("exit", () => {
    for (const left of running) left.kill();
  });
}
