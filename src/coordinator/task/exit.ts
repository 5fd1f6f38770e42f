/** How a task ended, and why it was killed. */
import { KilledError } from "../errors.ts";

/** @internal */
export const NO_ERRORS: readonly unknown[] = Object.freeze([]);

/** The first request to kill a scope; shared by everything the request reached. */
export interface KillCause {
  /** What the caller gave: usually a short text. */
  readonly reason: unknown;
  /** Label of the task that asked, null when the request came from outside the tree. */
  readonly origin: string | null;
  /** True when the kill is the consequence of a child's failure and not somebody's wish. */
  readonly failure: boolean;
}

/**
 * A cause as `kill` makes it. What it killed without further ado shares one exit: of a hundred thousand
 * tasks that end together each would else leave an object of its own behind.
 */
export class Cause implements KillCause {
  readonly reason: unknown;
  readonly origin: string | null;
  readonly failure: boolean;
  #exit: Exit<never> | null;
  constructor(reason: unknown, origin: string | null, failure: boolean) {
    this.reason = reason;
    this.origin = origin;
    this.failure = failure;
    this.#exit = null;
  }
  /** The exit of a task that was killed for this and whose clean-up threw nothing. */
  get exit(): Exit<never> {
    this.#exit ??= { status: "killed", cause: this, errors: NO_ERRORS };
    return this.#exit;
  }
}

/** The outcome of a task. A kill beats a value; an error beats a kill. */
export type Exit<A> =
  | { readonly status: "done"; readonly value: A }
  | { readonly status: "failed"; readonly error: unknown }
  | {
      readonly status: "killed";
      readonly cause: KillCause;
      /** What children threw while they cleaned up; empty in the normal case. */
      readonly errors: readonly unknown[];
    };

/** The value of a `done` exit; throws the error of a failed and a {@link KilledError} of a killed one. */
export function unwrapExit<A>(exit: Exit<A>, task: { readonly label: string }): A {
  if (exit.status === "done") return exit.value;
  if (exit.status === "failed") throw exit.error;
  throw killedError(exit.cause, task.label, exit.errors);
}

/** @internal */
export function killedError(cause: KillCause, label: string, errors: readonly unknown[]): KilledError {
  const by = cause.origin === null ? "" : ` by ${cause.origin}`;
  const error = new KilledError(
    `${label} was killed${by}: ${describeReason(cause.reason)}`,
    cause.reason,
    cause.origin,
  );
  if (errors.length > 0) Object.defineProperty(error, "errors", { value: errors, configurable: true });
  return error;
}

/** A kill reason in words. */
export function describeReason(reason: unknown): string {
  if (typeof reason === "string") return reason;
  if (reason === undefined) return "no reason given";
  try {
    return reason instanceof Error ? String(reason.message) : String(reason);
  } catch {
    // An object without a prototype, say: whoever asks wants to hear of the kill, and not of that.
    return `an ${typeof reason} that has no text`;
  }
}
