/**
 * An Effect as a part of a task. Its fiber is the task's own: a kill interrupts it, and the task waits for its
 * finalizers before it ends.
 *
 * ```
 *   the fiber runs ──── it ends by itself ──▶ value or error
 *        │ a kill: interrupted in the call that asks for it
 *        ▼
 *   children of the task end ──▶ a group opens, in which finalizers can run operations ──▶ the fiber has ended
 * ```
 * Source: seeds M-001 … M-005; design D1.
 */
import { type Context, Context as Contexts, Effect, Exit, type Fiber } from "effect";
import { current, currentTask } from "../coordinator/current.ts";
import { UsageError } from "../coordinator/errors.ts";
import { type Group, group } from "../coordinator/group.ts";
import { addKillHook } from "../coordinator/kill-hooks.ts";
import { describeValue, type Operation, op } from "../coordinator/operation.ts";
import type { Scope } from "../coordinator/scope.ts";
import { innermostScope } from "../coordinator/scope-signal.ts";
import { Signal } from "../coordinator/signal.ts";
import type { Spawner } from "../coordinator/spawn-ready.ts";
import type { Task } from "../coordinator/task.ts";
import { annotationOf, causeOfExit, errorOf, failuresOf } from "./cause.ts";

export interface RunEffectOptions<R> {
  /** The services the effect needs. */
  readonly services?: Context.Context<R>;
}

type Services<R> = [R] extends [never]
  ? [options?: RunEffectOptions<R>]
  : [options: RunEffectOptions<R> & { readonly services: Context.Context<R> }];

/**
 * Runs an Effect in the task that calls it, or as the body of one: `spawn(runEffect(program))`. Throws what it
 * fails with; see `causeOf` for all of it. Operations inside of it ({@link toEffect}) are children of the task.
 *
 * @throws {KilledError} when it is interrupted, and not by a kill of the task.
 * @example const user = yield* runEffect(findUser(id), { services });
 */
export function runEffect<A, E, R = never>(
  program: Effect.Effect<A, E, R>,
  ...[options]: Services<R>
): Operation<A> {
  if (!Effect.isEffect(program)) {
    throw new UsageError("COOP_NOT_AN_EFFECT", `runEffect() takes an Effect, not ${describeValue(program)}`);
  }
  return run(program as Effect.Effect<unknown, unknown>, options?.services ?? null) as Operation<A>;
}

const run = op(function* effect(
  program: Effect.Effect<unknown, unknown>,
  services: Context.Context<never> | null,
) {
  const task = currentTask("runEffect()");
  const scope = innermostScope(task);
  const host = new Host(task, scope);
  const fiber = fork(program, Contexts.add(services ?? Contexts.empty(), HostRef, host), host);
  const off = addKillHook(scope, (cause) => fiber.interruptUnsafe(undefined, annotationOf(cause)));
  let over = false;
  try {
    yield* host.ended.wait();
    over = true;
  } finally {
    off();
    if (!over) yield* cleanUp(fiber, host);
  }
  const exit = fiber.pollUnsafe()!;
  if (Exit.isSuccess(exit)) return exit.value;
  throw errorOf(exit.cause);
});

/** The frames are unwound: what finalizers run has a group of its own, which the kill does not reach. */
const cleanUp = op(function* cleanUp(fiber: Fiber.Fiber<unknown, unknown>, host: Host) {
  yield* group(function* (g) {
    host.open(g);
    fiber.interruptUnsafe(undefined, annotationOf(host.scope.cause));
    yield* host.ended.wait();
  });
  // An error beats a kill; the interrupt is the kill itself.
  const cause = causeOfExit(fiber.pollUnsafe()!);
  if (cause !== null && failuresOf(cause).length > 0) throw errorOf(cause);
});

function fork(
  program: Effect.Effect<unknown, unknown>,
  services: Context.Context<never>,
  host: Host,
): Fiber.Fiber<unknown, unknown> {
  // The fiber goes on when no task is current, so none is when it begins.
  const outer = current.task;
  current.task = null;
  try {
    const fiber = Effect.runForkWith(services)(program);
    fiber.addObserver(() => host.ended.notify());
    return fiber;
  } finally {
    current.task = outer;
  }
}

/** @internal Where the operations of a fiber become tasks. */
export class Host {
  readonly task: Task;
  readonly scope: Scope;
  /** Notified when the fiber has ended. */
  readonly ended: Signal = new Signal({ name: "its effect" });
  private group: Group | null = null;
  /** Asked for by finalizers while the children of the task still clean up. */
  private readonly waiting: ((owner: Spawner) => void)[] = [];

  constructor(task: Task, scope: Scope) {
    this.task = task;
    this.scope = scope;
  }

  /** Calls `start` with the owner of new tasks: at once, or when finalizers may have some. */
  admit(start: (owner: Spawner) => void): void {
    if (this.group !== null) start(this.group);
    else if (this.scope.cause === null && this.task.cause === null) start(this.task);
    else this.waiting.push(start);
  }

  open(g: Group): void {
    this.group = g;
    for (const start of this.waiting.splice(0)) start(g);
  }
}

/** @internal In the context of every fiber that runs in a task. */
export const HostRef: Context.Reference<Host | null> = Contexts.Reference<Host | null>("cooperator/Host", {
  defaultValue: () => null,
});
