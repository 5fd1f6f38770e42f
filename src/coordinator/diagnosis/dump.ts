/** What a task is doing, in words. */

import { NORMAL } from "../scheduler/run-queue.ts";
import { describeReason } from "../task/exit.ts";
import type { Task } from "../task/task.ts";
import { BLOCKED, stateNames } from "../task/task-state.ts";
import { checkTask, childrenOf, tasksOf } from "../task/walk.ts";

/** Names of the operations on the task's stack, innermost first. */
export function callChain(task: Task): string[] {
  checkTask(task, "callChain()");
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

/**
 * The live tree, one line a task, children below their parent: state, what it waits for and where, the reason
 * of a kill that is on its way, and in brackets what is unusual. Taking it changes nothing.
 */
export function dumpTree(roots: Iterable<Task>): string {
  const lines: string[] = [];
  const stack: { task: Task; depth: number }[] = tasksOf(roots, "dumpTree()")
    .reverse()
    .map((task) => ({ task, depth: 0 }));
  for (let entry = stack.pop(); entry !== undefined; entry = stack.pop()) {
    const { task, depth } = entry;
    const killed = task.cause === null ? "" : ` (killed: ${describeReason(task.cause.reason)})`;
    lines.push(`${"  ".repeat(depth)}${task.label}${killed}: ${describeTask(task)}${details(task)}`);
    for (const child of childrenOf(task).reverse()) stack.push({ task: child, depth: depth + 1 });
  }
  return lines.join("\n");
}

const PRIORITIES = ["high", "normal", "low"] as const;

function details(task: Task): string {
  const found: string[] = [];
  const { rare, priority, cooperator } = task;
  if (priority !== NORMAL) found.push(PRIORITIES[priority]);
  if (rare !== null && rare.daemon) found.push("daemon");
  const inflight = rare === null || rare.inflight === null ? 0 : rare.inflight.length;
  if (inflight > 0) found.push(inflight === 1 ? "1 operation" : `${inflight} operations`);
  const since = cooperator.probe?.since?.get(task);
  if (since !== undefined) found.push(`for ${Math.round((cooperator.now() - since) / 1e4) / 100} ms`);
  return found.length === 0 ? "" : ` [${found.join(", ")}]`;
}
