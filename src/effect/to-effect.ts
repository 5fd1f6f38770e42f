/** An operation as an Effect: it runs in a task of its own, which the Effect waits for. */
import { Cause, Effect } from "effect";
import { UsageError } from "../coordinator/errors.ts";
import type { Body } from "../coordinator/operation.ts";
import { checkObject } from "../coordinator/options.ts";
import type { Cooperator } from "../coordinator/scheduler/cooperator.ts";
import { whenEnded } from "../coordinator/task/join.ts";
import type { SpawnOptions } from "../coordinator/task/spawn.ts";
import { checkOwner, type Spawner } from "../coordinator/task/spawn-ready.ts";
import type { Task } from "../coordinator/task/task.ts";
import { causeOf, causeOfExit, effectOf, killCauseOf } from "./cause.ts";
import { HostRef } from "./run-effect.ts";

export interface ToEffectOptions extends Omit<SpawnOptions, "failure" | "detached" | "daemon"> {
  /** Whose child the task is. Default: the task in which the fiber runs, by `runEffect`. */
  readonly owner?: Spawner | Cooperator;
}

/**
 * An Effect that spawns `body` and gives its value. An interrupt of the Effect kills the task and waits for its
 * end; a kill of the task is an interrupt of the Effect.
 *
 * A body that is a function can be run more than once, as Effects can; an operation cannot.
 *
 * @example const line = yield* toEffect(() => socket.readLine()); // in Effect.gen
 */
export function toEffect<A>(body: Body<A>, options?: ToEffectOptions): Effect.Effect<A, unknown> {
  if (options !== undefined) checkObject(options, "toEffect()");
  const { owner, ...rest } = options ?? {};
  if (owner !== undefined) checkOwner(owner, "toEffect()");
  return Effect.withFiber((fiber) => {
    const host = owner === undefined ? fiber.getRef(HostRef) : null;
    if (owner === undefined && host === null) return Effect.die(noOwner());
    let task: Task<A> | null = null;
    let stopped = false;
    const outcome = Effect.callback<A, unknown>((resume) => {
      const start = (place: Spawner | Cooperator): void => {
        if (stopped) return;
        try {
          task = place.spawn(body, { ...rest, failure: "hold" });
        } catch (error) {
          resume(Effect.failCause(causeOf(error)));
          return;
        }
        const spawned = task;
        spawned.observe();
        whenEnded(spawned as Task, () =>
          queueMicrotask(() => {
            const tell = (): void => resume(effectOf(spawned.exit!));
            if (host === null) tell();
            else host.tell(tell);
          }),
        );
      };
      if (host === null) start(owner!);
      else host.admit(start);
    });
    return Effect.onExit(outcome, (exit) => {
      stopped = true;
      const cause = causeOfExit(exit);
      return task === null || task.exit !== null || cause === null
        ? Effect.void
        : stop(task, killCauseOf(cause).reason);
    });
  });
}

/**
 * Kills and waits; what clean-up throws is added to the cause. Effects go on in a promise job, never inside of the
 * step that ends a task.
 */
function stop(task: Task<any>, reason: unknown): Effect.Effect<void, unknown> {
  return Effect.callback((resume) => {
    task.kill(reason);
    whenEnded(task, () =>
      queueMicrotask(() => {
        const exit = task.exit!;
        if (exit.status === "failed") resume(Effect.failCause(causeOf(exit.error)));
        else if (exit.status === "killed" && exit.errors.length > 0) {
          resume(Effect.failCause(Cause.fromReasons(exit.errors.flatMap((error) => causeOf(error).reasons))));
        } else resume(Effect.void);
      }),
    );
  });
}

function noOwner(): UsageError {
  return new UsageError(
    "COOP_NO_OWNER",
    "toEffect() needs a task to spawn in: run the Effect with runEffect(), or give an owner",
  );
}
