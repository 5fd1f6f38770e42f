/** How a run of a program is brought to its end, so that nothing of it can be left behind unseen. */
import type { Coordinator } from "../coordinator/coordinator.ts";
import type { Signal } from "../coordinator/signal.ts";
import type { Task } from "../coordinator/task/task.ts";
import { allTasks } from "../coordinator/task/walk.ts";
import { checkGate, checkQuiescent } from "./checks.ts";
import type { VirtualRuntime } from "./virtual.ts";

/**
 * Nothing can happen any more: kills what still waits, checks that nothing is left, and that nobody waits at
 * `gates`.
 *
 * @returns the tasks that waited for ever.
 */
export function endRun(
  runtime: VirtualRuntime,
  gates: readonly (Coordinator | Signal)[],
  mayReport: boolean,
): readonly Task[] {
  const stranded = killStranded(runtime);
  runtime.drain();
  checkEnd(runtime, gates, mayReport);
  return stranded;
}

/** Kills what still waits, and gives it; what that sets going is the caller's to run. */
export function killStranded(runtime: VirtualRuntime): readonly Task[] {
  const stranded = allTasks(runtime.cooperator.tasks());
  if (stranded.length > 0) runtime.cooperator.kill("the run is over");
  return stranded;
}

/** Checks that a run has left nothing behind. */
export function checkEnd(
  runtime: VirtualRuntime,
  gates: readonly (Coordinator | Signal)[],
  mayReport: boolean,
): void {
  checkQuiescent(runtime);
  for (const gate of gates) checkGate(gate);
  if (!mayReport && runtime.reports.length > 0) {
    const { kind, task, error } = runtime.reports[0]!;
    throw new Error(`${task?.label ?? "a callback"} reported ${kind}`, { cause: error });
  }
}
