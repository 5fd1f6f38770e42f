/**
 * An `AbortSignal` of a scope, for code that knows nothing of tasks: made when somebody asks for it, aborted
 * when the scope is killed. Inside the tree nothing goes by signals. Source: seeds C-101; design D1.
 */
import { KilledError } from "../errors.ts";
import { type KillCause, killedError } from "../task/exit.ts";
import type { Scope } from "../task/scope.ts";
import { addDefer } from "../task/spawn.ts";
import type { Task } from "../task/task.ts";
import { addKillHook } from "./kill-hooks.ts";

const signals = new WeakMap<Scope, AbortSignal>();

/** For each task those of its signals that are aborted when it fails, by scope. */
const failing = new WeakMap<Task, Map<Scope, AbortController>>();

/** The innermost scope on the stack of `task`: what a kill that reaches the code there is aimed at, or reaches too. */
export function innermostScope(task: Task): Scope {
  for (let frame = task.top; frame !== null; frame = frame.below) {
    if (frame.scope !== null) return frame.scope;
  }
  return task as Task;
}

/**
 * The signal of `scope`, which lives on the stack of `task`; the same one each time. A kill aborts it with a
 * {@link KilledError}, in the call that asks for the kill. When the task fails by itself it is aborted with that
 * error, after its children are gone: what was started with the signal must not outlive it. A scope that ends
 * well leaves it alone.
 */
export function signalOf(scope: Scope, task: Task): AbortSignal {
  const known = signals.get(scope);
  if (known !== undefined) return known;
  const controller = new AbortController();
  signals.set(scope, controller.signal);
  const onKill = (cause: KillCause): void => controller.abort(killedError(cause, task.label, []));
  addKillHook(scope, onKill);
  if (scope.cause === null && !task.closed) abortOnFailure(task, scope, controller);
  return controller.signal;
}

/** One defer for all of them, and none for scopes that are over: a task may go through any number of scopes. */
function abortOnFailure(task: Task, scope: Scope, controller: AbortController): void {
  let open = failing.get(task);
  if (open === undefined) {
    const made = new Map<Scope, AbortController>();
    open = made;
    failing.set(task, made);
    addDefer(task, () => {
      const errors = task.rare?.errors ?? null;
      if (errors !== null) for (const one of made.values()) one.abort(errors[0]);
    });
  }
  for (const other of open.keys()) if (other.closed) open.delete(other);
  open.set(scope, controller);
}

/** What an abort with `reason` gives as the reason of a kill: a kill that came through a signal is itself again. */
export function reasonOf(reason: unknown): unknown {
  return reason instanceof KilledError ? reason.reason : reason;
}
