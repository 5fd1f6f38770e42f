/**
 * An Effect as a part of a task. Its fiber is the task's own: a kill interrupts it when the children are gone, as
 * frames are unwound then, and the task waits for its finalizers.
 *
 * ```
 *   the fiber runs ──── it ends by itself ──▶ value or error
 *        │ a kill
 *        ▼
 *   its operations and the other children of the task end ──▶ the fiber is interrupted, and a group is open in
 *   which its finalizers can run operations ──▶ it has ended
 * ```
 * Source: seeds M-001 … M-005; design D1.
 */
import { type Context, Context as Contexts, Effect, Exit, type Fiber } from "effect";
import { UsageError } from "../coordinator/errors.ts";
import { type Group, group } from "../coordinator/group/group.ts";
import { describeValue, type Operation, op } from "../coordinator/operation.ts";
import { checkOptions, type Known } from "../coordinator/options.ts";
import { Signal } from "../coordinator/signal.ts";
import { current } from "../coordinator/task/current.ts";
import type { KillCause } from "../coordinator/task/exit.ts";
import type { Spawner } from "../coordinator/task/spawn-ready.ts";
import { annotationOf, causeOfExit, errorOf, failuresOf } from "./cause.ts";

export interface RunEffectOptions<R> {
  /** The services the effect needs. */
  readonly services?: Context.Context<R>;
}

const KNOWN: Known<RunEffectOptions<never>> = { services: true };

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
  checkOptions(options, "runEffect()", KNOWN);
  const services = options?.services ?? null;
  if (services !== null && !Contexts.isContext(services)) {
    throw new UsageError("COOP_OPTION", `services is a Context, not ${describeValue(services)}`);
  }
  return run(program as Effect.Effect<unknown, unknown>, services) as Operation<A>;
}

const run = op(function* effect(
  program: Effect.Effect<unknown, unknown>,
  services: Context.Context<never> | null,
) {
  return yield* group((g) => inFiber(new Host(g), program, services ?? Contexts.empty()), { name: "effect" });
});

const inFiber = op(function* fiber(
  host: Host,
  program: Effect.Effect<unknown, unknown>,
  services: Context.Context<never>,
) {
  const fiber = fork(program, Contexts.add(services, HostRef, host), host);
  let over = false;
  try {
    yield* host.ended.wait();
    over = true;
  } finally {
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
    outside(() => fiber.interruptUnsafe(undefined, annotationOf(host.cause)));
    host.interrupted();
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
  const fiber = outside(() => Effect.runForkWith(services)(program));
  fiber.addObserver(() => host.ended.notify());
  return fiber;
}

/** A fiber goes on when no task is current, so none is when it begins, or is interrupted. */
function outside<A>(act: () => A): A {
  const outer = current.task;
  current.task = null;
  try {
    return act();
  } finally {
    current.task = outer;
  }
}

/** @internal Where the operations of a fiber become tasks: in a group, and in another one once that is killed. */
export class Host {
  /** Notified when the fiber has ended. */
  readonly ended: Signal = new Signal({ name: "its effect" });
  private readonly work: Group;
  private cleaning: Group | null = null;
  /** Asked for by a fiber that runs on while the children of the killed group still clean up. */
  private readonly waiting: ((owner: Spawner) => void)[] = [];
  /** How operations of the killed group have ended, for what of the fiber an interrupt does not end. */
  private readonly outcomes: (() => void)[] = [];

  constructor(work: Group) {
    this.work = work;
  }

  get cause(): KillCause | null {
    return this.work.cause;
  }

  /** It has been killed and will be interrupted when its children are gone: what it waits for does not go on. */
  get dying(): boolean {
    return this.work.cause !== null && this.cleaning === null;
  }

  /** Calls `start` with the owner of new tasks: at once, or when finalizers may have some. */
  admit(start: (owner: Spawner) => void): void {
    if (this.dying) this.waiting.push(start);
    else start(this.cleaning ?? this.work);
  }

  open(g: Group): void {
    this.cleaning = g;
    for (const start of this.waiting.splice(0)) start(g);
  }

  /** Calls `resume`: at once, or after the interrupt, which has to come first where it may. */
  tell(resume: () => void): void {
    if (this.dying) this.outcomes.push(resume);
    else resume();
  }

  /** The fiber has been interrupted. What still waits cannot be, and goes on. */
  interrupted(): void {
    for (const resume of this.outcomes.splice(0)) queueMicrotask(resume);
  }
}

/** @internal In the context of every fiber that runs in a task. */
export const HostRef: Context.Reference<Host | null> = Contexts.Reference<Host | null>("cooperator/Host", {
  defaultValue: () => null,
});
