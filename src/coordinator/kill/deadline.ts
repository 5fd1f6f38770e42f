/**
 * Deadlines of tasks, and what is left of the time here: the effective deadline of code is the earliest of all
 * that could end it. Source: seeds C-102, X-06.
 *
 * A task's own deadline can only be tightened, so that what a caller has granted nobody below extends. Its
 * children need no timers of their own: when it passes, the task is killed with everything below it.
 */

import { DeadlineError, UsageError } from "../errors.ts";
import type { Cooperator } from "../scheduler/cooperator.ts";
import type { Frame } from "../task/frame.ts";
import type { Scope } from "../task/scope.ts";
import type { Task } from "../task/task.ts";
import { ENDED } from "../task/task-state.ts";
import { requestKill } from "./kill.ts";

const NS_PER_MS = 1e6;

/** @internal Throws what {@link tightenDeadline} would, before anything is done. */
export function checkDeadline(cooperator: Cooperator, at: number): void {
  if (typeof at !== "number" || Number.isNaN(at)) {
    throw new UsageError("COOP_DURATION", "a deadline is a time in milliseconds as now() tells it");
  }
  cooperator.requireTimers();
}

/** @internal */
export function tightenDeadline(task: Task, at: number): void {
  checkDeadline(task.cooperator, at);
  if (task.state === ENDED || at * NS_PER_MS >= task.limit) return;
  const rare = task.needRare();
  rare.expiry?.disarm();
  rare.expiry = task.cooperator.requireTimers().at(at * NS_PER_MS, () => expire(task));
  // One that has passed takes effect at once, and not only when timers are looked at.
  if (at * NS_PER_MS <= task.cooperator.now()) {
    rare.expiry.disarm();
    expire(task);
  }
}

function expire(task: Task): void {
  const error = new DeadlineError(`the deadline of ${task.label} has passed`);
  requestKill(task, error, { origin: task.label });
}

/** @internal In milliseconds; see `Task.deadline`. */
export function effectiveDeadline(task: Task): number {
  let least = Number.POSITIVE_INFINITY;
  let host = task;
  let frame = task.top;
  for (;;) {
    for (; frame !== null; frame = frame.below) {
      // No outer limit reaches into clean-up, nor into a shield.
      if (frame.unwinding !== null) return least / NS_PER_MS;
      const scope = frame.scope;
      if (scope === null) continue;
      if (scope.cause !== null) return Number.NEGATIVE_INFINITY;
      if (scope.shields) return least / NS_PER_MS;
      if (scope.limit < least) least = scope.limit;
    }
    if (host.cause !== null) return Number.NEGATIVE_INFINITY;
    if (host.limit < least) least = host.limit;
    const { owner } = host;
    if (owner.host === null) return least / NS_PER_MS;
    host = owner.host;
    // What a task owns itself is outside of all that is on its stack; what a group owns is inside of what is
    // around the group.
    frame = owner === host ? null : frameOf(host, owner);
  }
}

function frameOf(host: Task, scope: Scope): Frame | null {
  for (let frame = host.top; frame !== null; frame = frame.below) if (frame.scope === scope) return frame;
  return null;
}
