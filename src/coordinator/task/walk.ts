/** Walking the live tree. */
import type { Group } from "../group/group.ts";
import type { Scope } from "./scope.ts";
import type { Task } from "./task.ts";

/**
 * The live children of a task: its own and those of the groups on its stack, in no promised order. Those of a group
 * when it is given one.
 */
export function childrenOf(parent: Task | Group): Task[] {
  const children: Task[] = [];
  const { host } = parent as Scope;
  if (host === parent) collectChildren(host, children);
  else collect(parent, children);
  return children;
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
