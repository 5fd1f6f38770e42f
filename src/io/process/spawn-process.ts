/** Starting a program. */
import { UnsupportedError } from "../../coordinator/errors.ts";
import { type Operation, op } from "../../coordinator/operation.ts";
import { checkOptions } from "../../coordinator/options.ts";
import { type SpawnOptions, spawn } from "../../coordinator/task/spawn.ts";
import type { Task } from "../../coordinator/task/task.ts";
import { openPipe, type Pipe } from "../file/pipe.ts";
import { currentIo } from "../io.ts";
import { Plan, PROCESS_OPTIONS, type ProcessOptions } from "./plan.ts";
import { life, Process } from "./process.ts";

/** Spawns a task: the free `spawn`, or that of a group. */
type Spawn = (body: Operation<void>, options: SpawnOptions) => Task<void>;

/**
 * Starts a program and gives it as soon as it runs. It belongs to the running task: when that ends, or is killed, the
 * program gets SIGTERM, after a grace SIGKILL, and is waited for. The command is looked for in PATH; no shell reads
 * the arguments.
 *
 * @throws {IoError} with the command as path: `ENOENT` (also for a `cwd` that is not there), `EACCES`, `EMFILE`, …
 * @throws {ClosedError} when the running task has been killed.
 * @example
 * using child = yield* spawnProcess("sort", ["-n"], { stderr: "inherit" });
 */
export function spawnProcess(
  command: string,
  args: readonly string[] = [],
  options?: ProcessOptions,
): Operation<Process> {
  checkOptions(options, "spawnProcess", PROCESS_OPTIONS);
  return start(spawn, new Plan(command, args, options));
}

/** @internal */
export const start: (spawnTask: Spawn, plan: Plan) => Operation<Process> = op(function* start(
  spawnTask: Spawn,
  plan: Plan,
) {
  const { streams } = plan;
  let [stdin, stdout, stderr]: (Pipe | null)[] = [null, null, null];
  let made: Process | null = null;
  try {
    const io = currentIo("spawnProcess()");
    if (io.driver.simulated) {
      throw new UnsupportedError(
        "a simulation starts no programs: their descriptors are none of the system's",
      );
    }
    if (streams.stdin === "pipe") stdin = yield* openPipe();
    if (streams.stdout === "pipe") stdout = yield* openPipe();
    if (streams.stderr === "pipe") stderr = yield* openPipe();
    plan.connect(io, {
      stdin: stdin?.reader ?? null,
      stdout: stdout?.writer ?? null,
      stderr: stderr?.writer ?? null,
    });
    const child = new Process(plan, {
      stdin: stdin?.writer ?? null,
      stdout: stdout?.reader ?? null,
      stderr: stderr?.reader ?? null,
    });
    child.life = spawnTask(life(child), { name: `process ${plan.command}`, start: "now", daemon: true });
    yield* child.began.wait();
    // Node tells why in its next turn.
    if (child.pid === 0) yield* child.ended.wait();
    if (child.failure !== null) throw child.failure;
    made = child;
    return child;
  } finally {
    stdin?.reader[Symbol.dispose]();
    stdout?.writer[Symbol.dispose]();
    stderr?.writer[Symbol.dispose]();
    if (made === null) {
      stdin?.writer[Symbol.dispose]();
      stdout?.reader[Symbol.dispose]();
      stderr?.reader[Symbol.dispose]();
    }
  }
});
