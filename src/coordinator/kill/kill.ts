/**
 * A kill request: the whole subtree is marked first, children before parents, and then the waits are woken
 * in the same order. Nothing runs while it is being marked. Source: seeds C-090 … C-099, X-05; design D4.
 */
import { current } from "../task/current.ts";
import { Cause } from "../task/exit.ts";
import type { Scope } from "../task/scope.ts";
import type { Task } from "../task/task.ts";
import { BLOCKED, DRAINING, ENDED } from "../task/task-state.ts";
import { doomedFrom, findDoomed, reachedScopes } from "../task/unwind.ts";
import { runKillHooks } from "./kill-hooks.ts";
import { meet } from "./meet.ts";

export interface KillDetails {
  readonly origin?: string;
  readonly failure?: boolean;
}

/** Kills `scope` and everything below it, unless it is already killed or over. */
export function requestKill(scope: Scope, reason: unknown, details?: KillDetails): void {
  if (scope.cause !== null || scope.host?.state === ENDED) return;
  const marked: Scope[] = [];
  mark(scope, causeOf(reason, details), marked);
  wake(marked);
}

/** Kills the children of a scope that itself goes on. */
export function killChildren(scope: Scope, reason: unknown): void {
  if (scope.children === null || scope.children.length === 0) return;
  const cause = causeOf(reason);
  const marked: Scope[] = [];
  for (let child = scope.children.last; child !== null; child = child.before as Task | null) {
    if (child.cause === null) mark(child, cause, marked);
  }
  wake(marked);
}

/** The subtree is marked: hooks hear of it, and then the waits are ended, children before parents. */
function wake(marked: readonly Scope[]): void {
  for (let i = marked.length - 1; i >= 0; i--) {
    const scope = marked[i]!;
    if (scope.rare !== null && scope.rare.killHooks !== null) runKillHooks(scope, scope.cause!);
  }
  const probe = marked.length === 0 ? null : marked[0]!.host!.cooperator.probe;
  if (probe !== null) {
    for (let i = marked.length - 1; i >= 0; i--) {
      const scope = marked[i]!;
      if (scope.host === scope) probe.killed(scope.host, scope.cause!);
    }
  }
  for (let i = marked.length - 1; i >= 0; i--) meet(marked[i]!.host!);
}

function causeOf(reason: unknown, details?: KillDetails): Cause {
  return new Cause(reason, details?.origin ?? current.task?.label ?? null, details?.failure ?? false);
}

/**
 * Marks `scope` and all below it, and appends them to `order`: parents before children, the youngest first, so
 * that read from its end the list is in post-order with siblings as they were spawned (seed C-092). Iterative,
 * so that a tree of any depth can be killed; a child without anything below it touches no stack.
 *
 * `rest` holds what is still to be marked: scopes nested on a task's stack, and tasks to go on from with their
 * older siblings.
 */
function mark(scope: Scope, cause: Cause, order: Scope[]): void {
  const rest: Scope[] = [];
  scope.cause = cause;
  order.push(scope);
  if (scope.host!.top !== null) reachedScopes(scope.host!, scope, rest);
  let cursor = youngest(scope);
  for (;;) {
    if (cursor !== null) {
      const child: Task = cursor;
      cursor = child.before as Task | null;
      if (child.cause !== null) continue;
      child.cause = cause;
      order.push(child);
      const { top } = child;
      // Most tasks that wait have one frame and nothing nested in it.
      const plain = top === null || (top.below === null && top.scope === null);
      if (plain && child.children === null) continue;
      if (cursor !== null) rest.push(cursor);
      if (!plain) reachedScopes(child, child, rest);
      cursor = youngest(child);
      continue;
    }
    const next = rest.pop();
    if (next === undefined) return;
    if (next.host === next) cursor = next as Task;
    else if (next.cause === null) {
      next.cause = cause;
      order.push(next);
      cursor = youngest(next);
    }
  }
}

function youngest(scope: Scope): Task | null {
  return scope.children === null ? null : scope.children.last;
}

/**
 * A shield has been lifted: a kill that it kept away goes on to what is inside of it, and meets the task.
 */
export function unshielded(shield: Scope): void {
  const task = shield.host;
  // It has not begun: a plain function that makes the body is called before.
  if (task === null) return;
  let base = task.top;
  while (base !== null && base.scope !== shield) base = base.below;
  const killed = base === null ? null : doomedFrom(task, base.below);
  if (killed === null) return;
  const { reason, origin, failure } = killed.cause!;
  const inside: Scope[] = [];
  reachedScopes(task, shield, inside);
  for (const scope of inside) requestKill(scope, reason, { failure, ...(origin === null ? {} : { origin }) });
  meet(task);
}

/** A shield holds again: a kill that came meanwhile and has met no wait is outside of it once more. */
export function shielded(shield: Scope): void {
  const task = shield.host!;
  // A delivery that is under way stands.
  if (task.doomed !== null && task.doomed !== task.unwinding) task.doomed = findDoomed(task);
}

/**
 * Ends the wait of a task that is stuck in its clean-up, so that the kill is delivered again and cuts the
 * clean-up short; one that is ready or running meets it at its next wait. Returns false where there is
 * nothing to cut.
 */
export function meetAgain(task: Task): boolean {
  const { wait } = task;
  if (task.unwinding === null) return false;
  if (wait !== null && (wait.aborting || wait.killMode !== "unwind")) return false;
  if (task.state === DRAINING) return false;
  task.doomed = task.unwinding;
  if (task.state !== BLOCKED || wait === null) return true;
  if (!wait.abort()) {
    wait.aborting = true;
    return true;
  }
  task.wait = null;
  task.cooperator.ready(task);
  return true;
}
