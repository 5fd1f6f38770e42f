/** Walking the live tree. */
import { UsageError } from "../errors.ts";
import type { Group } from "../group/group.ts";
import { describeValue } from "../operation.ts";
import { Scope } from "./scope.ts";
import type { Task } from "./task.ts";

/**
 * The live children of a task: its own and those of the groups on its stack, in no promised order. Those of a group
 * when it is given one.
 */
export function childrenOf(parent: Task | Group): Task[] {
  if (!(parent instanceof Scope)) throw notATask("childrenOf()", parent);
  const children: Task[] = [];
  const { host } = parent as Scope;
  if (host === parent) collectChildren(host, children);
  else collect(parent, children);
  return children;
}

/** @internal @throws {UsageError} `COOP_NOT_A_TASK` for anything else. */
export function checkTask(value: unknown, what: string): asserts value is Task {
  if (value instanceof Scope && value.host === value) return;
  throw notATask(what, value);
}

/** @internal The tasks, in an array. */
export function tasksOf(tasks: Iterable<Task>, what: string): Task[] {
  if (typeof tasks?.[Symbol.iterator] !== "function") throw notATask(what, tasks);
  const all = [...tasks];
  for (const task of all) checkTask(task, what);
  return all;
}

function notATask(what: string, value: unknown): UsageError {
  return new UsageError("COOP_NOT_A_TASK", `${what} looks at tasks, not at ${describeValue(value)}`);
}

function collectChildren(task: Task, into: Task[]): void {
  collect(task, into);
  for (let frame = task.top; frame !== null; frame = frame.below) {
    if (frame.scope !== null) collect(frame.scope, into);
  }
  // A group that is closing has left the stack; its task waits for what is left of it.
  const awaited = task.wait?.awaitedScope ?? null;
  if (awaited !== null && awaited !== task && awaited.closed) collect(awaited, into);
}

/** `roots` and everything below, parents before children. Iterative: trees may be deep. */
export function allTasks(roots: Iterable<Task>): Task[] {
  const order = [...roots];
  for (let i = 0; i < order.length; i++) collectChildren(order[i]!, order);
  return order;
}

function collect(scope: Scope, into: Task[]): void {
  scope.children?.visit((child) => {
    into.push(child);
    return true;
  });
}
