/**
 * Hooks on the kill of a task, for what is not a task and has to hear of it: a foreign promise, a child
 * process, an `AbortSignal`. Source: seed C-101.
 */

import { Embedded, EmbeddedList } from "../embedded-list.ts";
import { UsageError } from "../errors.ts";
import { describeValue } from "../operation.ts";
import { current, currentTask } from "../task/current.ts";
import type { KillCause } from "../task/exit.ts";
import type { Scope } from "../task/scope.ts";
import type { Task } from "../task/task.ts";
import { ENDED } from "../task/task-state.ts";

/** Called with the cause of the first kill. It runs inside the call that asked for the kill and cannot wait. */
export type KillHook = (cause: KillCause) => void;

/** One registration: O(1) to remove, however many there are. */
export class KillHookLink extends Embedded {
  readonly hook: KillHook;
  constructor(hook: KillHook) {
    super();
    this.hook = hook;
  }
}

/**
 * Calls `hook` when the running task is killed: once, when the whole subtree has been marked and before
 * anything in it is woken. A hook that throws is reported. Clean-up of the task itself belongs in `defer`.
 *
 * @returns takes the hook off again; harmless when it has run.
 * @example
 * const off = onKill((cause) => request.destroy(cause.reason));
 */
export function onKill(hook: KillHook): () => void {
  return addKillHook(currentTask("onKill()"), hook);
}

/** @internal A scope that is killed already calls it at once; one that is over, never. */
export function addKillHook(scope: Scope, hook: KillHook): () => void {
  if (typeof hook !== "function") {
    throw new UsageError("COOP_NOT_A_CALLBACK", `onKill() takes a function, not ${describeValue(hook)}`);
  }
  const link = new KillHookLink(hook);
  if (scope.cause !== null) call(scope.host!, link, scope.cause);
  else if (scope.host!.state !== ENDED) {
    const rare = scope.needRare();
    rare.killHooks ??= new EmbeddedList();
    rare.killHooks.push(link);
  }
  return () => void link.list?.remove(link);
}

/** @internal Runs the hooks of `scope`, which has just been marked, oldest first. */
export function runKillHooks(scope: Scope, cause: KillCause): void {
  const hooks = scope.rare!.killHooks!;
  for (let link = hooks.shift(); link !== null; link = hooks.shift()) call(scope.host!, link, cause);
}

function call(task: Task, link: KillHookLink, cause: KillCause): void {
  // A hook is nobody's step: what it starts or asks for belongs to no task.
  const outer = current.task;
  const { hook } = link;
  current.task = null;
  try {
    hook(cause);
  } catch (error) {
    task.cooperator.report({ kind: "hook", task, where: "onKill", error });
  } finally {
    current.task = outer;
  }
}
