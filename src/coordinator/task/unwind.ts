/**
 * The rules of delivery: which kill may reach a task where it is now, and what must be gone first.
 *
 * A task's frames and scopes form one stack. A kill of a scope unwinds the frames from the top down to that
 * scope's base. Two things on the stack keep outer kills away: a shield, and a frame that is already being
 * unwound (its `finally` blocks are clean-up and run to their end).
 */
import type { Frame } from "./frame.ts";
import { type Scope, ShieldScope } from "./scope.ts";
import type { Task } from "./task.ts";

/** The outermost killed scope whose kill may be delivered now, or null. */
export function findDoomed(task: Task): Scope | null {
  return doomedFrom(task, task.top);
}

/** @internal The same as seen from further down the stack. */
export function doomedFrom(task: Task, top: Frame | null): Scope | null {
  let found: Scope | null = null;
  for (let frame = top; frame !== null; frame = frame.below) {
    if (frame.unwinding !== null) return found;
    const scope = frame.scope;
    if (scope === null) continue;
    // A shield with a cause of its own has been broken: see hurry.ts.
    if (scope.cause !== null) found = scope;
    else if (scope.shields) return found;
  }
  return task.cause !== null ? task : found;
}

/**
 * Collects the scopes on `task`'s stack that a kill of `target` reaches: those inside its base and outside
 * every shield and clean-up. A shield that is lifted is none of them: it may hold again before the kill is met.
 */
export function reachedScopes(task: Task, target: Scope, into: Scope[]): void {
  const start = into.length;
  for (let frame = task.top; frame !== null; frame = frame.below) {
    const scope = frame.scope;
    if (scope === target) return;
    if (frame.unwinding !== null || scope?.shields === true) into.length = start;
    else if (scope !== null && !(scope instanceof ShieldScope)) into.push(scope);
  }
  // A scope that is not on the stack, since it is over or has not begun, has nothing inside it.
  if (target !== task) into.length = start;
}

/** The scope that the clean-up nearest to the top of the stack unwinds to, or null. */
export function cleanupTarget(task: Task): Scope | null {
  for (let frame = task.top; frame !== null; frame = frame.below) {
    if (frame.unwinding !== null) return frame.unwinding;
  }
  return null;
}

/** True while a frame of `task` is in its clean-up on the way to `target`. */
export function unwindsTo(task: Task, target: Scope): boolean {
  for (let frame = task.top; frame !== null; frame = frame.below) {
    if (frame.unwinding === target) return true;
  }
  return false;
}

/** True while children live in the part of `task`'s stack that a kill of `target` unwinds. */
export function regionLive(task: Task, target: Scope): boolean {
  if (target.live > 0) return true;
  for (let frame = task.top; frame !== null; frame = frame.below) {
    const scope = frame.scope;
    if (scope === target) return false;
    if (scope !== null && scope.live > 0) return true;
  }
  return false;
}

/**
 * Starts to unwind: returns true when frames may be unwound now. Children that were spawned in the part to
 * be unwound clean up first, since they may rely on what their parent holds.
 */
export function mayUnwind(task: Task): boolean {
  const target = task.doomed!;
  if (regionLive(task, target)) return false;
  task.unwinding = target;
  task.doomed = null;
  return true;
}
