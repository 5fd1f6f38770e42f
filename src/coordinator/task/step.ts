/**
 * One step of a task: resume the top frame, and go on through calls and returns until the task waits or
 * ends. Everything that is hot is in {@link step}; what a kill, a scope or an error needs is below it.
 */

import { noteThrown } from "../diagnosis/trace.ts";
import { combineErrors, fault, StuckError, UsageError } from "../errors.ts";
import { meetAgain } from "../kill/kill.ts";
import { LostKill, POISON } from "../kill/poison.ts";
import { type Call, describeValue, generatorNext } from "../operation.ts";
import { SUSPENDED } from "../suspended.ts";
import { current } from "./current.ts";
import { bodyEnded, finishTask } from "./finish.ts";
import { Frame, REDELIVERIES_MAX } from "./frame.ts";
import { type Scope, UNWOUND } from "./scope.ts";
import type { Task } from "./task.ts";
import { DRAINING, ENDED, RUNNING } from "./task-state.ts";
import { cleanupTarget, findDoomed, mayUnwind, unwindsTo } from "./unwind.ts";

/** How the top frame is resumed. */
type Mode = 0 | 1 | 2 | 3;
const NEXT = 0;
const THROW = 1;
const RETURN = 2;
/** The task has ended, or waits for its children: the step is over. */
const STOP = 3;

/**
 * What the next resume carries; beside the mode, so that helpers can give both without allocating. Taken at
 * once: an error that stayed here would never be collected.
 */
let carried: unknown;

export function step(task: Task): void {
  current.task = task;
  const wait = task.wait;
  task.wait = null;
  let mode: Mode = NEXT;
  if (task.doomed !== null && (wait === null || wait.killMode === "unwind")) {
    if (wait !== null && wait.satisfied) wait.rollback();
    mode = startUnwinding(task);
    if (mode === STOP) return;
  }
  task.state = RUNNING;
  task.started = true;
  let value: unknown;
  for (;;) {
    const frame: Frame = task.top!;
    let result: IteratorResult<unknown, unknown>;
    try {
      if (mode !== NEXT) result = resumeAbruptly(task, frame, mode, value);
      else if (frame.native) result = generatorNext.call(frame.gen, value);
      else result = frame.gen.next(value);
    } catch (error) {
      if (fault.first !== null) throw fault.first;
      current.call = null;
      mode = frameEnded(task, frame, true, error);
      if (mode === STOP) return;
      value = carried;
      carried = undefined;
      continue;
    }
    if (result === SUSPENDED) {
      const call = current.call;
      if (call !== null) {
        current.call = null;
        pushFrame(task, frame, call);
        mode = NEXT;
        value = undefined;
        continue;
      }
      if (frame.unwinding !== null) stillCleaningUp(task, frame);
      if (task.state !== RUNNING) return;
      if (task.doomed === null) {
        mode = THROW;
        value = foreign(undefined);
        continue;
      }
      mode = startUnwinding(task);
      if (mode === STOP) return;
      continue;
    }
    if (!result.done) {
      mode = THROW;
      value = foreign(result.value);
      continue;
    }
    if (frame.unwinding !== null || frame.scope !== null || frame.below === null) {
      mode = frameEnded(task, frame, false, result.value);
      if (mode === STOP) return;
      value = carried;
      carried = undefined;
    } else {
      task.top = frame.below;
      mode = NEXT;
      value = result.value;
    }
  }
}

function pushFrame(task: Task, below: Frame, call: Call<unknown>): void {
  const scope = call.scope;
  task.top = new Frame(call.gen, below, scope, call.fn, call.native);
  if (scope !== null) {
    scope.host = task;
    if (task.doomed !== null || scope.cause !== null) {
      task.doomed = findDoomed(task);
      // A scope that is entered with a kill pending is reached by it like those that were there before.
      if (task.doomed !== null) scope.cause ??= task.doomed.cause;
    }
  }
  // A loop whose `finally` goes on with the loop may wait in calls only.
  if (below.unwinding !== null) stillCleaningUp(task, below);
}

function resumeAbruptly(
  task: Task,
  frame: Frame,
  mode: Mode,
  value: unknown,
): IteratorResult<unknown, unknown> {
  const gen = frame.gen;
  if (mode === THROW) {
    if (gen.throw === undefined) throw value;
    return gen.throw(value);
  }
  const { cleanupWaitsMax } = task.cooperator;
  if (frame.unwinding !== null && frame.cleanupWaits++ >= cleanupWaitsMax + REDELIVERIES_MAX) {
    throw new StuckError(
      `${frame.fn?.name || "a frame"} swallowed its kill ${REDELIVERIES_MAX} times and was abandoned; ` +
        "do not continue, break or loop out of a finally block",
    );
  }
  // A delivery that has to be repeated means trouble: from the second on every suspension counts as one.
  if (frame.unwinding !== null && frame.cleanupWaits < cleanupWaitsMax) {
    frame.cleanupWaits = cleanupWaitsMax;
  }
  frame.unwinding = task.unwinding;
  if (gen.return === undefined) return { done: true, value: POISON };
  return gen.return(POISON);
}

/** A kill is to be delivered: unwind, or wait for the children first, or never start at all. */
function startUnwinding(task: Task): Mode {
  if (!task.started && task.live === 0) {
    task.top = null;
    finishTask(task, undefined);
    return STOP;
  }
  if (mayUnwind(task)) return RETURN;
  task.state = DRAINING;
  return STOP;
}

/**
 * A frame is over, with a value or an error. Gives the mode in which the frame below goes on.
 */
function frameEnded(task: Task, frame: Frame, failed: boolean, value: unknown): Mode {
  const below = frame.below;
  if (failed) noteThrown(task, frame, value);
  task.top = below;
  const scope = frame.scope;
  if (scope !== null) leaveScope(task, scope);
  if (frame.unwinding !== null) {
    noteCleanup(task, frame, failed, value);
    if (scope !== null && scope === frame.unwinding && below !== null) return unwound(task);
    if (below !== null) return RETURN;
    task.unwinding = null;
    bodyEnded(task, false, undefined);
  } else if (below !== null) {
    carried = value;
    return failed ? THROW : NEXT;
  } else {
    bodyEnded(task, failed, value);
  }
  // The body is over. What is left to do, if anything, is a frame of its own.
  if (task.state === ENDED) return STOP;
  carried = undefined;
  return NEXT;
}

function leaveScope(task: Task, scope: Scope): void {
  scope.closed = true;
  if (task.doomed !== null || scope.shields) task.doomed = findDoomed(task);
}

/** The frames of a killed scope are gone; its caller goes on, unless an outer scope has been killed too. */
function unwound(task: Task): Mode {
  task.unwinding = cleanupTarget(task);
  task.doomed = findDoomed(task);
  if (task.doomed !== null) return startUnwinding(task);
  const errors = takeCleanupErrors(task);
  if (errors.length === 0) {
    carried = UNWOUND;
    return NEXT;
  }
  carried = combineErrors(errors);
  return THROW;
}

/** What clean-up has thrown, except for that of a clean-up further down which is still going on. */
function takeCleanupErrors(task: Task): unknown[] {
  const thrown = task.rare === null ? null : task.rare.cleanupErrors;
  if (thrown === null) return [];
  let from = thrown.length;
  while (from > 0 && !unwindsTo(task, thrown[from - 1]!.target)) from--;
  return thrown.splice(from).map(({ error }) => error);
}

/** Keeps what clean-up threw; reports a kill that did not go through the frame. */
function noteCleanup(task: Task, frame: Frame, failed: boolean, value: unknown): void {
  if (failed && value !== POISON && !(value instanceof LostKill)) {
    const rare = task.needRare();
    rare.cleanupErrors ??= [];
    rare.cleanupErrors.push({ target: frame.unwinding!, error: value });
  } else if (failed || value !== POISON) {
    task.cooperator.counts.killsOverridden++;
    task.cooperator.report({ kind: "kill-overridden", task, where: frame.fn?.name ?? "", error: value });
  }
}

/** A frame that is being unwound suspends once more. */
function stillCleaningUp(task: Task, frame: Frame): void {
  if (frame.cleanupWaits >= task.cooperator.cleanupWaitsMax || task.rare?.hurried === true) meetAgain(task);
  else frame.cleanupWaits++;
}

function foreign(value: unknown): UsageError {
  if (value === POISON) return new LostKill();
  return new UsageError(
    "COOP_FOREIGN_YIELD",
    value === undefined
      ? "a bare yield is no suspension: use yield* with an operation, yieldNow() to let others run"
      : `cannot wait for ${describeValue(value)}: use yield* with an operation, not yield`,
  );
}
