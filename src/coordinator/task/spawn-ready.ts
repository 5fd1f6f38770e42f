/** Starting a task and waiting until it says that it is ready. */

import { UsageError } from "../errors.ts";
import { type Body, describeValue, type Operation, op } from "../operation.ts";
import { checkObject, given } from "../options.ts";
import { Signal } from "../signal.ts";
import { currentTask } from "./current.ts";
import { unwrapExit } from "./exit.ts";
import { whenEnded } from "./join.ts";
import type { SpawnOptions } from "./spawn.ts";
import type { Task } from "./task.ts";

/** Something children can be spawned in: a task or a group. */
export interface Spawner {
  spawn<A>(body: Body<A>, options?: SpawnOptions): Task<A>;
}

/** @internal @throws {UsageError} `COOP_NOT_AN_OWNER` for what nothing can be spawned in. */
export function checkOwner(owner: unknown, what: string): void {
  if (typeof (owner as Spawner | null | undefined)?.spawn === "function") return;
  throw new UsageError(
    "COOP_NOT_AN_OWNER",
    `${what} spawns in a task, a group or a cooperator, not in ${describeValue(owner)}`,
  );
}

export interface SpawnReadyOptions extends SpawnOptions {
  /** Where the task is spawned. Default: the running task. */
  readonly owner?: Spawner;
}

/** A task that is ready, and what it said. */
export interface Started<A, R> {
  readonly task: Task<A>;
  readonly value: R;
}

/**
 * Spawns a task and waits until it calls `ready(value)`; it goes on from there as any other child. What it
 * throws before is thrown here, and nowhere else.
 *
 * @throws {UsageError} `COOP_NOT_READY` when it ends without having called `ready`.
 * @example
 * const { value: port } = yield* spawnReady((ready) => server(ready));
 */
export function spawnReady<A, R>(
  body: (ready: (value: R) => void) => Body<A>,
  options?: SpawnReadyOptions,
): Operation<Started<A, R>> {
  if (typeof body !== "function") {
    throw new UsageError(
      "COOP_NOT_AN_OPERATION",
      `spawnReady() takes a function that gets ready() and makes an operation, not ${describeValue(body)}`,
    );
  }
  if (options !== undefined) checkObject(options, "spawnReady()");
  const owner = given(options, "owner");
  if (owner !== undefined) checkOwner(owner, "spawnReady()");
  return start(body as (ready: (value: unknown) => void) => Body<unknown>, options) as Operation<
    Started<A, R>
  >;
}

const start = op(function* (
  body: (ready: (value: unknown) => void) => Body<unknown>,
  options: SpawnReadyOptions | undefined,
) {
  const owner = given(options, "owner") ?? currentTask("spawnReady()");
  const failure = given(options, "failure") ?? "parent";
  const signal = new Signal({ name: "ready" });
  const said = { ready: false, value: undefined as unknown };
  const ready = (value: unknown): void => {
    if (said.ready) throw new UsageError("COOP_READY_TWICE", "ready() was called before: call it once");
    said.ready = true;
    said.value = value;
    // From here on a failure is the owner's business.
    if (task !== null) task.failure = failure;
    signal.notify();
  };
  let task: Task | null = null;
  const made = body(ready);
  task = owner.spawn(made, { ...options, failure: "hold" }) as Task;
  // It may have said so before there was a task, or inside of the call.
  if (said.ready) task.failure = failure;
  whenEnded(task, () => signal.notify());
  yield* signal.wait();
  if (said.ready) return { task, value: said.value };
  task.observe();
  unwrapExit(task.exit!, task);
  throw new UsageError("COOP_NOT_READY", `${task.label} ended without having called ready()`);
});
