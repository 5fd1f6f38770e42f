/**
 * Exits and causes, both ways and without loss.
 *
 * | Effect                         | task                                                                     |
 * |--------------------------------|--------------------------------------------------------------------------|
 * | success                        | its value                                                                |
 * | fail, die                      | throws that very error; one that is no object comes as an `EffectError`  |
 * | several of them in one cause   | throws the first, the others are on its `errors`                         |
 * | interrupts only                | throws a `KilledError`, with the kill's reason where a kill was behind it |
 *
 * | task                           | Effect                                                                   |
 * |--------------------------------|--------------------------------------------------------------------------|
 * | done                           | success                                                                  |
 * | failed                         | the cause the error had when it came from an Effect; else a fail for it and each of its `errors`, a die for a bug (`UsageError`, `InvariantError`, `StuckError`) |
 * | killed                         | an interrupt that has the kill's cause, and a reason for each error of the clean-up |
 */
import { Cause, Context, Effect, Exit as EffectExit } from "effect";
import {
  brand,
  CoopError,
  combineErrors,
  InvariantError,
  KilledError,
  StuckError,
  UsageError,
} from "../coordinator/errors.ts";
import { describeReason, type Exit, type KillCause } from "../coordinator/task/exit.ts";

/** On the interrupt of a fiber: the kill that is behind it. Read it with `Cause.annotations`. */
export const KilledBy: Context.Reference<KillCause | null> = Context.Reference<KillCause | null>(
  "cooperator/KilledBy",
  { defaultValue: () => null },
);

/** What an Effect failed with, where that is no object and cannot be thrown as it is; `cause` has it. */
export class EffectError extends CoopError {
  static override readonly brand: string = "EffectError";
  constructor(value: unknown) {
    super("COOP_EFFECT", `the effect failed with ${String(value)}`, { cause: value });
  }
}
brand(EffectError);

/** The causes of errors that have come from Effects. */
const causes = new WeakMap<object, Cause.Cause<unknown>>();

/** What a task throws for a cause. {@link causeOf} gives the cause back. */
export function errorOf(cause: Cause.Cause<unknown>): unknown {
  const errors = failuresOf(cause);
  const first = errors.length === 0 ? interruptedError(cause) : combineErrors(errors);
  const error = typeof first === "object" && first !== null ? first : new EffectError(first);
  causes.set(error, cause);
  return error;
}

/** The cause of an error: the one it came with from an Effect, or one made for it. */
export function causeOf(error: unknown): Cause.Cause<unknown> {
  const isObject = typeof error === "object" && error !== null;
  const known = isObject ? causes.get(error) : undefined;
  if (known !== undefined) return known;
  if (error instanceof UsageError || error instanceof InvariantError || error instanceof StuckError) {
    return Cause.die(error);
  }
  if (error instanceof KilledError) {
    return interruptOf({ reason: error.reason, origin: error.origin, failure: false });
  }
  const others =
    isObject && !(error instanceof AggregateError) ? (error as { errors?: unknown }).errors : null;
  const reasons = [error, ...(Array.isArray(others) ? others : [])].map(Cause.makeFailReason);
  return Cause.fromReasons(reasons);
}

/** @internal What it failed with, interrupts apart. */
export function failuresOf(cause: Cause.Cause<unknown>): unknown[] {
  const failures: unknown[] = [];
  for (const reason of cause.reasons) {
    if (Cause.isFailReason(reason)) failures.push(reason.error);
    else if (Cause.isDieReason(reason)) failures.push(reason.defect);
  }
  return failures;
}

/** @internal An exit of a task, as an Effect that ends so. */
export function effectOf<A>(exit: Exit<A>): Effect.Effect<A, unknown> {
  if (exit.status === "done") return Effect.succeed(exit.value);
  if (exit.status === "failed") return Effect.failCause(causeOf(exit.error));
  const reasons = exit.errors.flatMap((error) => causeOf(error).reasons);
  return Effect.failCause(Cause.fromReasons([...interruptOf(exit.cause).reasons, ...reasons]));
}

/** @internal The kill behind an interrupt, or one that says which fiber it was. */
export function killCauseOf(cause: Cause.Cause<unknown>): KillCause {
  for (const reason of cause.reasons) {
    if (!Cause.isInterruptReason(reason)) continue;
    const killed = Context.get(Cause.reasonAnnotations(reason), KilledBy);
    if (killed !== null) return killed;
  }
  const by = Cause.interruptors(cause).values().next().value;
  const reason = by === undefined ? "the effect was interrupted" : `interrupted by fiber #${by}`;
  return { reason, origin: null, failure: false };
}

/** @internal */
export function annotationOf(cause: KillCause | null): Context.Context<never> {
  return cause === null ? Context.empty() : (Context.make(KilledBy, cause) as Context.Context<never>);
}

/** @internal The cause of an exit that is none of success. */
export function causeOfExit(exit: EffectExit.Exit<unknown, unknown>): Cause.Cause<unknown> | null {
  return EffectExit.isFailure(exit) ? exit.cause : null;
}

function interruptOf(cause: KillCause): Cause.Cause<never> {
  return Cause.fromReasons([Cause.makeInterruptReason().annotate(annotationOf(cause))]);
}

function interruptedError(cause: Cause.Cause<unknown>): KilledError {
  const { reason, origin } = killCauseOf(cause);
  return new KilledError(`the effect was interrupted: ${describeReason(reason)}`, reason, origin);
}
