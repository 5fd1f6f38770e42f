/** Walking the live tree. */
import type { Scope } from "./scope.ts";
import type { Task } from "./task.ts";

/** The live children of a task: its own and those of the groups on its stack, in no promised order. */
export function childrenOf(task: Task): Task[] {
  const children: Task[] = [];
  collect(task, children);
  for (let frame = task.top; frame !== null; frame = frame.below) {
    if (frame.scope !== null) collect(frame.scope, children);
  }
  // A group that is closing has left the stack; its task waits for what is left of it.
  const awaited = task.wait?.awaitedScope ?? null;
  if (awaited !== null && awaited !== task && awaited.closed) collect(awaited, children);
  return children;
}

/** `roots` and everything below, parents before children. Iterative: trees may be deep. */
export function allTasks(roots: Iterable<Task>): Task[] {
  const order = [...roots];
  // One by one: there can be more children than a call takes arguments.
  for (let i = 0; i < order.length; i++) for (const child of childrenOf(order[i]!)) order.push(child);
  return order;
}

function collect(scope: Scope, into: Task[]): void {
  scope.children?.visit((child) => {
    into.push(child);
    return true;
  });
}
