/** The way out: what a task gives, as a promise, and operations run from code that has no task. */

import { UsageError } from "../coordinator/errors.ts";
import { type Body, describeValue } from "../coordinator/operation.ts";
import { checkObject, ownOf } from "../coordinator/options.ts";
import type { Cooperator } from "../coordinator/scheduler/cooperator.ts";
import { unwrapExit } from "../coordinator/task/exit.ts";
import { whenEnded } from "../coordinator/task/join.ts";
import type { SpawnOptions } from "../coordinator/task/spawn.ts";
import { checkOwner, type Spawner } from "../coordinator/task/spawn-ready.ts";
import type { Task } from "../coordinator/task/task.ts";
import { checkSignal, killOnAbort } from "./abort.ts";

/**
 * The outcome of a task as a promise: its value, its error, or a {@link KilledError}. It settles when the whole
 * subtree has ended. Like a `join`, it makes the failure of a task that holds it known.
 *
 * @throws {UsageError} `COOP_NOT_A_TASK` for anything else.
 */
export function toPromise<A>(task: Task<A>): Promise<A> {
  if (typeof task?.settled !== "function") {
    throw new UsageError("COOP_NOT_A_TASK", `toPromise() takes a task, not ${describeValue(task)}`);
  }
  return new Promise((resolve, reject) => {
    whenEnded(task as Task, () => {
      task.observe();
      try {
        resolve(unwrapExit(task.exit!, task));
      } catch (error) {
        reject(error);
      }
    });
  });
}

export interface RunInOptions extends Omit<SpawnOptions, "failure" | "detached" | "daemon"> {
  /** Kills the task when it aborts, with its reason. */
  readonly signal?: AbortSignal;
}

/**
 * Runs `body` as a task on a cooperator that lives, from code that has no task: a request handler, a callback. The
 * owner is a task, a group, or the cooperator itself; its end ends the task. A failure goes to the promise only.
 *
 * @throws {ClosedError} when the owner takes no tasks any more.
 * @example app.get("/", (request, response) => runIn(pool, page(request), { signal: request.signal }));
 */
export function runIn<A>(owner: Spawner | Cooperator, body: Body<A>, options?: RunInOptions): Promise<A> {
  checkOwner(owner, "runIn()");
  if (options !== undefined) checkObject(options, "runIn()");
  const { signal, ...rest } = ownOf(options);
  if (signal !== undefined) checkSignal(signal, "runIn()");
  const task = owner.spawn(body, { ...rest, failure: "hold" });
  task.observe();
  if (signal !== undefined) {
    const off = killOnAbort(signal, task as Task);
    whenEnded(task as Task, off);
  }
  return toPromise(task);
}
