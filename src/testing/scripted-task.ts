/** A task of `interleave`: its steps in order, and a point at which others may go before each but the first. */
import type { Body, Operation } from "../coordinator/operation.ts";
import { YieldNow } from "../coordinator/primitives.ts";
import { self } from "../coordinator/task/spawn.ts";
import type { Task } from "../coordinator/task/task.ts";
import { Wait } from "../coordinator/wait.ts";
import type { InterleavedRun, Step } from "./interleave.ts";

/** Spawns the next task of `run`. */
export function scripted(
  run: InterleavedRun,
  results: unknown[][],
  steps: readonly Step[] | Body<unknown>,
): Task {
  const name = nameOf(results.length);
  const given: unknown[] = [];
  results.push(given);
  const body = isSteps(steps) ? () => perform(run, given, steps) : steps;
  const task = run.runtime.cooperator.spawn(body, { name, failure: "hold" });
  task.observe();
  run.runtime.watch(task as Task, name, !isSteps(steps));
  return task as Task;
}

/** a, b, c, …, and numbers when the letters are used up. */
function nameOf(index: number): string {
  return index < 26 ? String.fromCharCode(97 + index) : `task ${index}`;
}

function isSteps(steps: readonly Step[] | Body<unknown>): steps is readonly Step[] {
  return Array.isArray(steps);
}

function* perform(
  run: InterleavedRun,
  given: unknown[],
  steps: readonly Step[],
): Generator<unknown, void, any> {
  const { runtime } = run;
  const task = self();
  for (let i = 0; i < steps.length; i++) {
    if (i > 0) {
      runtime.hides(task, false);
      yield* new SchedulePoint();
    }
    runtime.begins(task);
    const step = steps[i]!;
    const made = typeof step === "function" ? step(run) : step;
    if (isOperation(made, step)) {
      runtime.hides(task, !(made instanceof Wait));
      given.push(yield* made);
    } else given.push(made);
  }
}

/** What a function gives is only run when it can be nothing but an operation: arrays and strings are values. */
function isOperation(made: unknown, step: Step): made is Operation<unknown> {
  if (made === step) return true;
  return (
    typeof made === "object" &&
    made !== null &&
    Symbol.iterator in made &&
    typeof (made as { next?: unknown }).next === "function"
  );
}

/** Anybody that is ready may go first, this task included. */
class SchedulePoint extends YieldNow {
  override get letsOthersFirst(): boolean {
    return false;
  }
  override describe(): string {
    return "its next operation";
  }
}
