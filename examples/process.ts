/** A kill-aware API of one's own, in both forms: running a program. docs/guide-kill-aware-api.md explains it. */
import { type ChildProcess, spawn as spawnChild } from "node:child_process";
import { constants } from "node:os";
import {
  BusyError,
  Coordinator,
  coordinateWith,
  coordinateWithKill,
  main,
  type Operation,
  op,
  sleep,
  spawn,
} from "cooperator";

/** How long a program may take to end after SIGTERM before it gets SIGKILL. */
const PATIENCE = "300 millis";

/** One run of a program, level 0. Idle, running, over; then it can be set up again. */
export class ProgramHandle {
  private gate = new Coordinator({ name: "program" });
  private child: ChildProcess | null = null;
  private code = 0;
  private error: Error | null = null;

  /** Held while the program runs. A new one for each run. */
  get coordinator(): Coordinator {
    return this.gate;
  }

  get running(): boolean {
    return this.child !== null;
  }

  /** The exit code, or minus the number of the signal that ended it. Throws when it could not be started. */
  get result(): number {
    if (this.error !== null) throw this.error;
    return this.code;
  }

  /** @see {@link setupProgram} */
  setup(file: string, args: readonly string[]): void {
    if (this.running) throw new BusyError("the program is still running: a handle is for one at a time");
    const child = spawnChild(file, args, { stdio: ["ignore", "inherit", "inherit"] });
    this.child = child;
    this.error = null;
    this.gate = new Coordinator({ held: true, name: `end of ${file}` });
    child.once("error", (error) => this.over(0, error));
    child.once("exit", (code, signal) =>
      this.over(signal === null ? code! : -constants.signals[signal], null),
    );
  }

  /** Asks for an early end; the coordinator tells when it has come. Harmless when nothing runs. */
  cancel(signal: NodeJS.Signals = "SIGTERM"): void {
    this.child?.kill(signal);
  }

  /** Whoever leaves the block of a `using` does not wait: the program is ended the hard way. */
  [Symbol.dispose](): void {
    this.cancel("SIGKILL");
  }

  /** Called by Node outside of any task: it records, and releases. The waiter runs in a later step. */
  private over(code: number, error: Error | null): void {
    if (this.child === null) return;
    this.child = null;
    this.code = code;
    this.error = error;
    this.gate.release();
  }
}

/** Starts a program and returns at once; its end releases the handle's coordinator. */
export function setupProgram(handle: ProgramHandle, file: string, args: readonly string[] = []): void {
  handle.setup(file, args);
}

/**
 * Runs a program and gives its exit code. A kill ends the program, politely at first, and the task unwinds
 * when it is gone.
 */
export const program: (file: string, args?: readonly string[]) => Operation<number> = op(function* program(
  file: string,
  args?: readonly string[],
) {
  const handle = new ProgramHandle();
  setupProgram(handle, file, args);
  try {
    // Waits for the release and keeps nothing: others may wait for the same end.
    yield* handle.coordinator.flash();
  } finally {
    // Still running: only a kill comes by here. What waits in clean-up is waited for.
    if (handle.running) yield* stop(handle);
  }
  return handle.result;
});

/** Ends the program. Not kill-aware, since a kill is the usual reason for it. */
const stop = op(function* stop(handle: ProgramHandle) {
  handle.cancel("SIGTERM");
  const first = yield* coordinateWith(handle.coordinator, { within: PATIENCE });
  if (first.timedOut) {
    handle.cancel("SIGKILL");
    yield* coordinateWith(handle.coordinator);
  }
  // The wait for several acquires what it has waited for.
  handle.coordinator.release();
});

/** The first of two programs that ends wins: level 0, without a task for each. */
const race = op(function* race(one: ProgramHandle, other: ProgramHandle) {
  const first = yield* coordinateWithKill(one.coordinator, other.coordinator);
  [one, other][first.index]?.coordinator.release();
  // Killed, or one of them is over: either way there is something left to stop.
  for (const handle of [one, other]) if (handle.running) yield* stop(handle);
  return first.killed ? "killed" : `number ${first.index + 1}`;
});

const demo = op(function* demo() {
  console.log(`exit code ${yield* program("sh", ["-c", "exit 3"])}`);

  const task = spawn(program("sleep", ["60"]));
  yield* sleep("50 millis");
  const exit = yield* task.killAndWait("not needed any more");
  console.log(`killed program: ${exit.status}`);

  const stubborn = spawn(program("sh", ["-c", "trap '' TERM; while :; do sleep 0.1; done"]));
  yield* sleep("50 millis");
  console.log(`stubborn program: ${(yield* stubborn.killAndWait("now")).status}`);

  using quick = new ProgramHandle();
  using slow = new ProgramHandle();
  setupProgram(quick, "sleep", ["0.05"]);
  setupProgram(slow, "sleep", ["60"]);
  console.log(`the race: ${yield* race(quick, slow)}, and the other gave ${slow.result}`);

  try {
    yield* program("/no/such/program");
  } catch (error) {
    console.log((error as NodeJS.ErrnoException).code);
  }
});

await main(demo());
