/** What is said when every task is blocked: the tree, and who waits for whom in a circle. */

import { DeadlockError } from "../errors.ts";
import type { Cooperator } from "../scheduler/cooperator.ts";
import type { Task } from "../task/task.ts";
import { DRAINING } from "../task/task-state.ts";
import { allTasks, childrenOf, tasksOf } from "../task/walk.ts";
import { dumpTree } from "./dump.ts";

/** @internal For a host whose tasks nothing can wake. */
export function deadlockError(cooperator: Cooperator): DeadlockError {
  const roots = [...cooperator.tasks()];
  const cycle = findCycle(allTasks(roots));
  const circle = cycle.length === 0 ? "" : `${describeCycle(cycle)}\n`;
  return new DeadlockError(`every task is blocked and nothing can wake one:\n${circle}${dumpTree(roots)}`, {
    cycle,
  });
}

/** Tasks of which each waits for the next and the last for the first; empty when there are none. */
export function findCycle(tasks: readonly Task[]): Task[] {
  /** The path being followed has its place in it; what has been left is done. */
  const place = new Map<Task, number>();
  for (const start of tasksOf(tasks, "findCycle()")) {
    if (place.has(start)) continue;
    const path: { readonly task: Task; readonly rest: Task[] }[] = [];
    let next: Task | undefined = start;
    for (;;) {
      if (next !== undefined) {
        const at = place.get(next);
        if (at !== undefined && at !== DONE) return path.slice(at).map(({ task }) => task);
        if (at === undefined) {
          place.set(next, path.length);
          path.push({ task: next, rest: awaitedBy(next) });
        }
      }
      const top = path.at(-1);
      if (top === undefined) break;
      next = top.rest.pop();
      if (next === undefined) {
        place.set(top.task, DONE);
        path.pop();
      }
    }
  }
  return [];
}

const DONE = -1;

function awaitedBy(task: Task): Task[] {
  if (task.state === DRAINING) return childrenOf(task);
  return task.wait === null ? [] : [...task.wait.awaitedTasks()];
}

function describeCycle(cycle: readonly Task[]): string {
  const links = cycle.map((task, i) => {
    const next = cycle[(i + 1) % cycle.length]!;
    const what = task.wait === null ? "the end of its children" : task.wait.describe();
    return `${task.label} waits for ${next.label} (${what})`;
  });
  return `a cycle: ${links.join(", ")}`;
}
