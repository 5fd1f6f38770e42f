/**
 * The rules that hold between any two steps of any program, and those that hold once it is over. Each check
 * throws an `Error` whose message begins with "broken invariant" and says which.
 */
import type { Coordinator } from "../coordinator/coordinator.ts";
import type { Signal } from "../coordinator/signal.ts";
import type { Task } from "../coordinator/task/task.ts";
import { BLOCKED, DRAINING, ENDED, READY } from "../coordinator/task/task-state.ts";
import { regionLive } from "../coordinator/task/unwind.ts";
import { allTasks } from "../coordinator/task/walk.ts";
import { checkAtRest, violated } from "./leaks.ts";
import type { VirtualRuntime } from "./virtual.ts";

/**
 * Checks the rules that hold between any two steps: every live task is in the tree, under a live owner, and
 * exactly where its state says.
 *
 * @returns the live tasks.
 */
export function checkTree(runtime: VirtualRuntime): readonly Task[] {
  const { cooperator } = runtime;
  const stats = cooperator.statistics();
  const tasks = allTasks(cooperator.tasks());
  let ready = 0;
  if (stats.live !== tasks.length) {
    violated(`${stats.spawned} spawned and ${stats.live} not ended, but ${tasks.length} in the tree`);
  }
  for (const task of tasks) {
    const { state, wait, owner } = task;
    if (state === ENDED) violated(`${task.label} has ended and is still in the tree`);
    if (owner.host?.state === ENDED) violated(`${task.label} outlives ${owner.host.label}`);
    if (owner.children?.has(task) !== true) violated(`${task.label} is not a child of its owner`);
    task.children?.validate();
    task.rare?.joiners?.validate();
    if (state === READY) {
      ready++;
      if (wait !== null && wait.list !== null)
        violated(`${task.label} is ready and still queued as a waiter`);
    } else if (state === BLOCKED) {
      if (wait === null || wait.task !== task) violated(`${task.label} is blocked on nothing`);
      else if (task.doomed !== null && wait.killMode === "unwind" && !wait.aborting) {
        violated(`${task.label} sleeps through its kill: wait for ${wait.describe()}`);
      }
    } else if (state === DRAINING) {
      if (!regionLive(task, task.doomed!)) violated(`${task.label} waits for children that are gone`);
    }
  }
  if (ready !== stats.ready) violated(`${ready} tasks are ready, ${stats.ready} are in the run queue`);
  runtime.timers.validate();
  return tasks;
}

/** Checks that a runtime is back at its baseline: {@link checkAtRest}, and {@link checkTree}. */
export function checkQuiescent(runtime: VirtualRuntime): void {
  checkAtRest(runtime.cooperator);
  checkTree(runtime);
}

/** Checks that nobody is left waiting at `gate`. */
export function checkGate(gate: Coordinator | Signal): void {
  gate.waiters.validate();
  if (gate.waiting !== 0) violated(`${gate.name} has ${gate.waiting} waiters left`);
}

/** @internal */
export function labels(tasks: readonly Task[]): string {
  return tasks.map((task) => task.label).join(", ");
}
