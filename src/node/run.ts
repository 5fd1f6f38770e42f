/** Running a program in Node. */

import { constants } from "node:os";
import { checkSignal, killOnAbort } from "../async/abort.ts";
import { showTrace } from "../coordinator/diagnosis/trace.ts";
import { UsageError } from "../coordinator/errors.ts";
import { type Body, checkFunction, describeValue } from "../coordinator/operation.ts";
import { checkOptions, given, type Known, pick } from "../coordinator/options.ts";
import type { Report } from "../coordinator/scheduler/cooperator.ts";
import { current } from "../coordinator/task/current.ts";
import { type Exit, unwrapExit } from "../coordinator/task/exit.ts";
import { whenEnded } from "../coordinator/task/join.ts";
import type { Task } from "../coordinator/task/task.ts";
import { RING_OPTIONS, type UringOptions } from "../io/driver/options.ts";
import { type Duration, nanoseconds } from "../time/duration.ts";
import { NodeHost, type NodeHostOptions } from "./host.ts";

export interface RunOptions {
  /** Name of the first task. Default: that of the operation. */
  readonly name?: string;
  /** Gets what no task can be told: a failure nobody joined, a kill that was overridden. Default: stderr. */
  readonly report?: (report: Report) => void;
  /** Reports every step that takes longer than this: `"50 millis"`, or milliseconds. Default: nobody looks. */
  readonly stallAfter?: Duration;
  /** Errors tell the file and line of each spawn on their way. Costs some microseconds a spawn. Default false. */
  readonly spawnSites?: boolean;
  /** Sizes of the ring and what may be done on it. The defaults suit nearly every program. */
  readonly ring?: UringOptions;
  /** Kills the program when it aborts, with its reason. */
  readonly signal?: AbortSignal;
}

/**
 * Runs `body` as the first task of a new cooperator and gives its value once the whole tree has ended, all
 * descriptors are closed and nothing is left in flight.
 *
 * @throws what the task throws; {@link KilledError} when it was killed; {@link DeadlockError} with the tree
 * when all tasks are blocked and nothing can wake one.
 * @example const answer = await run(fetchAnswer("question"));
 */
export async function run<A>(body: Body<A>, options?: RunOptions): Promise<A> {
  const program = new Program(body, options);
  return unwrapExit(await program.exit, program.task);
}

/** A program that runs: its first task, and its end. */
export class Program<A> {
  readonly host: NodeHost;
  readonly task: Task<A>;
  /** Resolves when everything is over; rejects only when the scheduler failed, or on a deadlock. */
  readonly exit: Promise<Exit<A>>;

  constructor(body: Body<A>, options?: RunOptions) {
    if (current.task !== null) {
      throw new UsageError(
        "COOP_NESTED_RUN",
        "a task cannot start a program, which nothing would end with it: spawn() a child instead",
      );
    }
    checkOptions(options as MainOptions | undefined, "run", OPTIONS);
    checkOptions(given(options, "ring"), "the ring", RING_OPTIONS);
    const report = given(options, "report");
    if (report !== undefined) checkFunction(report, "report");
    const signal = given(options, "signal");
    if (signal !== undefined) checkSignal(signal, "run()");
    const host = new NodeHost(hostOptions(options));
    let task: Task<A>;
    try {
      task = host.cooperator.spawn(body, {
        failure: "hold",
        ...pick(options, "name"),
      });
    } catch (error) {
      void host.close();
      throw error;
    }
    task.observe();
    if (signal !== undefined) {
      host.killable = true;
      whenEnded(task as Task, killOnAbort(signal, task as Task));
    }
    this.host = host;
    this.task = task;
    let fault: { error: unknown } | null = null;
    let ranDry = 0;
    const over = new Promise<void>((resolve) => {
      whenEnded(task as Task, resolve);
      host.onPanic = (error) => {
        fault = { error };
        resolve();
      };
      // A shield keeps the kill away: then that is broken, and at last the tree is left as it is.
      host.onDeadlock = (error) => {
        fault ??= { error };
        ranDry++;
        if (ranDry === 1) host.cooperator.kill(error);
        else if (ranDry === 2) host.cooperator.hurry(task as Task);
        else resolve();
        host.requestTurn();
      };
    });
    this.exit = this.finish(over, () => fault);
  }

  private async finish(over: Promise<void>, fault: () => { error: unknown } | null): Promise<Exit<A>> {
    await over;
    await this.host.close();
    const failed = fault();
    if (failed !== null) throw failed.error;
    const exit = this.task.exit!;
    if (exit.status === "failed") showTrace(exit.error);
    return exit;
  }
}

function hostOptions(options: RunOptions | undefined): NodeHostOptions | undefined {
  const stallAfter = given(options, "stallAfter");
  return stallAfter === undefined
    ? (options as NodeHostOptions)
    : { ...options, stallAfter: nanoseconds(stallAfter) / 1e6 };
}

export interface MainOptions extends RunOptions {
  /** Signals that end the program gracefully. Default SIGINT and SIGTERM. */
  readonly signals?: readonly NodeJS.Signals[];
  /** Time for clean-up after a signal; what has not stopped by then is cut short and named. Default 10 seconds. */
  readonly grace?: Duration;
}

const OPTIONS: Known<MainOptions> = {
  name: true,
  report: true,
  stallAfter: true,
  spawnSites: true,
  ring: true,
  signal: true,
  signals: true,
  grace: true,
};

const GRACE_DEFAULT = "10 seconds";
const SIGNALS_DEFAULT: readonly NodeJS.Signals[] = ["SIGINT", "SIGTERM"];

/**
 * Runs `body` as the program of this process. The first SIGINT or SIGTERM kills the tree and waits for its
 * clean-up; a second one exits at once. The exit code is 1 after an error (which is printed), 128 plus the
 * signal's number after a signal, and otherwise what `process.exitCode` says, 0 by default.
 *
 * @returns how the program ended; it never rejects on account of the program.
 * @throws {UsageError} `COOP_ARGUMENT` for a signal that cannot be waited for.
 * @example await main(server(8080));
 */
export async function main<A>(body: Body<A>, options?: MainOptions): Promise<Exit<A>> {
  checkOptions(options, "main", OPTIONS);
  const graceNs = nanoseconds(given(options, "grace") ?? GRACE_DEFAULT);
  const signals = checkSignals(given(options, "signals") ?? SIGNALS_DEFAULT);
  const program = new Program(body, options);
  const { task, host } = program;
  let received: string | null = null;
  const onSignal = (signal: NodeJS.Signals): void => {
    const code = 128 + constants.signals[signal];
    if (received !== null) process.exit(code);
    received = signal;
    process.exitCode = code;
    task.kill(signal);
    if (!Number.isFinite(graceNs)) return;
    host.cooperator.requireTimers().after(graceNs / 1e6, () => host.cooperator.hurry(task as Task));
    // The kill may have woken nobody, and an alarm is set in a turn.
    host.requestTurn();
  };
  for (const signal of signals) process.on(signal, onSignal);
  host.killable = signals.length > 0;
  try {
    const exit = await program.exit;
    if (exit.status === "failed") {
      console.error(exit.error);
      if (received === null) process.exitCode = 1;
    }
    return exit;
  } catch (error) {
    // A deadlock, or a fault of the scheduler.
    console.error(error);
    process.exitCode = 1;
    return { status: "failed", error };
  } finally {
    for (const signal of signals) process.off(signal, onSignal);
  }
}

/** Before anything runs: a listener for one of these would fail, or never be called. */
function checkSignals(signals: readonly NodeJS.Signals[]): readonly NodeJS.Signals[] {
  if (!Array.isArray(signals)) {
    throw new UsageError("COOP_ARGUMENT", `signals are an array of names, not ${describeValue(signals)}`);
  }
  for (const signal of signals) {
    if (
      typeof signal === "string" &&
      Object.hasOwn(constants.signals, signal) &&
      signal !== "SIGKILL" &&
      signal !== "SIGSTOP"
    )
      continue;
    throw new UsageError("COOP_ARGUMENT", `no program can wait for the signal ${describeValue(signal)}`);
  }
  return [...new Set(signals)];
}
