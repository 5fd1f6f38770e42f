/** What a task is doing, in words. */
import type { Task } from "./task.ts";
import { BLOCKED, stateNames } from "./task-state.ts";
import { childrenOf } from "./walk.ts";

/** Names of the operations on the task's stack, innermost first. */
export function callChain(task: Task): string[] {
  const names: string[] = [];
  for (let frame = task.top; frame !== null; frame = frame.below) {
    const name = frame.fn?.name;
    if (name !== undefined && name !== "") names.push(name);
  }
  return names;
}

/** One line: state, what it waits for, and where. */
export function describeTask(task: Task): string {
  const chain = callChain(task);
  const where = chain.length === 0 ? "" : ` in ${chain.join(" < ")}`;
  const wait = task.wait;
  if (task.state === BLOCKED && wait !== null) return `wait for ${wait.describe()}${where}`;
  return `${stateNames[task.state]}${where}`;
}

/** The live tree, one line a task, children below their parent. Taking it changes nothing. */
export function dumpTree(roots: Iterable<Task>): string {
  const lines: string[] = [];
  const stack: { task: Task; depth: number }[] = [...roots].reverse().map((task) => ({ task, depth: 0 }));
  for (let entry = stack.pop(); entry !== undefined; entry = stack.pop()) {
    const { task, depth } = entry;
    const killed = task.killed ? " (killed)" : "";
    lines.push(`${"  ".repeat(depth)}${task.label}${killed}: ${describeTask(task)}`);
    for (const child of childrenOf(task).reverse()) stack.push({ task: child, depth: depth + 1 });
  }
  return lines.join("\n");
}
