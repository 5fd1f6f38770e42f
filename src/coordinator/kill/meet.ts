/**
 * How a kill reaches a task that has been marked. A file of its own because every wait needs it, and whatever a
 * wait imports must do without waits: a module that extends `Wait` may be the first to be loaded.
 */
import type { Task } from "../task/task.ts";
import { BLOCKED } from "../task/task-state.ts";
import { findDoomed } from "../task/unwind.ts";

/** @internal Lets the kill meet the task where it is: ends its wait if that is killable, else it waits its turn. */
export function meet(task: Task): void {
  // A delivery that is already under way stands, even where this kill may not reach.
  const doomed = findDoomed(task) ?? task.doomed;
  task.doomed = doomed;
  if (doomed === null || task.state !== BLOCKED) return;
  const wait = task.wait;
  if (wait === null || wait.aborting) return;
  const mode = wait.killMode;
  if (mode === "ignore") return;
  if (!wait.abort()) {
    wait.aborting = true;
    return;
  }
  if (mode === "unwind") task.wait = null;
  task.cooperator.ready(task);
}
