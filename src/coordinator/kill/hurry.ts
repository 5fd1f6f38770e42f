/**
 * The end of patience: clean-up that overran its time is cut short, and said so where the kill is awaited.
 * Shields and scopes opened in clean-up are no shelter from it. Memory the kernel may still write to is the
 * exception: an operation in flight is always waited for.
 */
import { describeTask } from "../diagnosis/dump.ts";
import { StuckError } from "../errors.ts";
import { DeferScope, Drain } from "../task/finish.ts";
import type { Scope } from "../task/scope.ts";
import type { Task } from "../task/task.ts";
import { BLOCKED, READY } from "../task/task-state.ts";
import { allTasks } from "../task/walk.ts";
import { requestKill } from "./kill.ts";

/**
 * Cuts short what still cleans up in `task`'s subtree, children before parents. Returns true when it is worth
 * looking again a little later: what was cut may be stuck in the next place, what is ready may come to one.
 */
export function hurryTree(task: Task): boolean {
  const order = allTasks([task]);
  let again = false;
  for (let i = order.length - 1; i >= 0; i--) if (hurry(order[i]!)) again = true;
  return again;
}

function hurry(task: Task): boolean {
  // Children of a scope that the kill has not reached are killed with that scope, below.
  if (task.cause === null) return false;
  task.needRare().hurried = true;
  if (task.state === READY) return true;
  const { wait } = task;
  if (task.state !== BLOCKED || wait === null) return false;
  if (wait.aborting) return wait.killMode === "unwind";
  const where = describeTask(task);
  const error = new StuckError(`${task.label} did not stop in time; it was in ${where}`);
  // A task that merely waits for its children is not the one that is stuck.
  if (!(wait instanceof Drain)) {
    task.cleanupFailed(error);
    task.cooperator.report({ kind: "stuck", task, where, error });
  }
  const scopes = unreached(task);
  for (const scope of scopes) requestKill(scope, error);
  // A defer is cut by itself, so that the next one runs; other clean-up is cut as a whole.
  if (task.unwinding !== null && !(scopes[0] instanceof DeferScope)) task.doomed = task.unwinding;
  if (task.wait !== wait || wait.aborting) return true;
  if (wait.killMode === "ignore" && wait instanceof Drain) return scopes.length > 0;
  task.doomed ??= task;
  if (!wait.abort()) {
    wait.aborting = true;
    return wait.killMode === "unwind";
  }
  if (wait.killMode !== "unwind") wait.rollback();
  task.wait = null;
  task.cooperator.ready(task);
  return true;
}

/** The scopes on the stack that the kill has not reached, outermost first, up to a defer or to clean-up. */
function unreached(task: Task): Scope[] {
  const scopes: Scope[] = [];
  for (let frame = task.top; frame !== null && frame.unwinding === null; frame = frame.below) {
    // The bottom frame of a task whose body is over does what is left to do, and must come to its end.
    if (frame.below === null && task.closed) break;
    const { scope } = frame;
    if (scope === null) continue;
    if (scope.cause === null) scopes.unshift(scope);
    if (scope instanceof DeferScope) break;
  }
  return scopes;
}
