/**
 * The error family. Every error this library throws on purpose is a {@link CoopError} with a stable `code`
 * and a sentence that says what to do.
 *
 * `instanceof` goes by a registered symbol and not by identity, so it still holds when two copies of the
 * package are loaded in one process.
 */

import type { Cooperator } from "./scheduler/cooperator.ts";
import type { Task } from "./task/task.ts";

const brandOf = (name: string): symbol => Symbol.for(`cooperator.${name}`);

/** Base of all errors of this library; catch it to tell them from your own. */
export class CoopError extends Error {
  static readonly brand: string = "CoopError";
  /** Stable, for programs: `COOP_*`, or the errno name for io errors. */
  readonly code: string;

  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }

  static override [Symbol.hasInstance](value: unknown): boolean {
    // A user's own subclass carries no brand of its own: it is told by the prototype chain as usual.
    if (!Object.hasOwn(this, "brand")) return Function.prototype[Symbol.hasInstance].call(this, value);
    return typeof value === "object" && value !== null && brandOf(this.brand) in value;
  }
}

/** A bug in the calling code; the message says what to do instead. */
export class UsageError extends CoopError {
  static override readonly brand = "UsageError";
}

/** A bug in this library, or memory it relies on was overwritten. The runtime stops rather than limp on. */
export class InvariantError extends CoopError {
  static override readonly brand = "InvariantError";
  /** The tree when the runtime stopped; absent from an error that has not stopped one. */
  declare readonly dump?: string;
  constructor(message: string, options?: ErrorOptions) {
    super("COOP_INVARIANT", message, options);
  }
}

/** A deadline passed before the work was done. */
export class DeadlineError extends CoopError {
  static override readonly brand = "DeadlineError";
  constructor(message: string, options?: ErrorOptions) {
    super("COOP_DEADLINE", message, options);
  }
}

/** The scope, handle, descriptor or runtime that was used has ended. */
export class ClosedError extends CoopError {
  static override readonly brand = "ClosedError";
  constructor(message: string, options?: ErrorOptions) {
    super("COOP_CLOSED", message, options);
  }
}

/** Somebody else is using it, and it does not queue. */
export class BusyError extends CoopError {
  static override readonly brand = "BusyError";
  constructor(message: string, options?: ErrorOptions) {
    super("COOP_BUSY", message, options);
  }
}

/** The owner of a coordinator ended without releasing it. */
export class BrokenError extends CoopError {
  static override readonly brand = "BrokenError";
  constructor(message: string, options?: ErrorOptions) {
    super("COOP_OWNER_ENDED", message, options);
  }
}

/** This machine, kernel or sandbox does not offer what was asked; the message lists likely causes. */
export class UnsupportedError extends CoopError {
  static override readonly brand = "UnsupportedError";
  constructor(message: string, options?: ErrorOptions) {
    super("COOP_UNSUPPORTED", message, options);
  }
}

/** Every task is blocked and nothing that could wake one is pending. */
export class DeadlockError extends CoopError {
  static override readonly brand = "DeadlockError";
  /** Tasks of which each waits for the next and the last for the first; empty where no cycle is known. */
  declare readonly cycle: readonly Task[];
  constructor(message: string, options?: ErrorOptions & { readonly cycle?: readonly Task[] }) {
    super("COOP_DEADLOCK", message, options);
    // Not enumerable: the message names them, and whoever prints the error does not want the tasks' insides.
    Object.defineProperty(this, "cycle", { value: options?.cycle ?? [] });
  }
}

/** A task ran for too long without letting others run. Only reported, never thrown. */
export class StallError extends CoopError {
  static override readonly brand = "StallError";
  constructor(message: string, options?: ErrorOptions) {
    super("COOP_STALL", message, options);
  }
}

/** What a join of a killed task throws. `reason` and `origin` are those of the first kill. */
export class KilledError extends CoopError {
  static override readonly brand = "KilledError";
  readonly reason: unknown;
  /** Name of the task that asked for the kill, null when it came from outside the tree. */
  readonly origin: string | null;
  constructor(message: string, reason: unknown, origin: string | null, options?: ErrorOptions) {
    super("COOP_KILLED", message, options);
    this.reason = reason;
    this.origin = origin;
  }
}

/** A task did not stop: its clean-up swallowed the kill over and over, or overran its time. */
export class StuckError extends CoopError {
  static override readonly brand = "StuckError";
  constructor(message: string, options?: ErrorOptions) {
    super("COOP_STUCK", message, options);
  }
}

/** Children of a supervisor had to be restarted too often. The cause is the last failure. */
export class RestartLimitError extends CoopError {
  static override readonly brand = "RestartLimitError";
  constructor(message: string, options?: ErrorOptions) {
    super("COOP_RESTART_LIMIT", message, options);
  }
}

/** Sets `prototype.name` and the brand once per class, so that instances carry neither as own fields. */
export function brand(
  ...classes: readonly (typeof CoopError | { brand: string; prototype: CoopError })[]
): void {
  for (const type of classes) {
    Object.defineProperty(type.prototype, "name", { value: type.brand, configurable: true, writable: true });
    Object.defineProperty(type.prototype, brandOf(type.brand), { value: true });
  }
}

brand(
  CoopError,
  UsageError,
  InvariantError,
  DeadlineError,
  ClosedError,
  BusyError,
  BrokenError,
  UnsupportedError,
  DeadlockError,
  KilledError,
  StuckError,
  StallError,
  RestartLimitError,
);

/**
 * @internal The first broken rule since the turn began, and whose turn it is: code that catches the error cannot
 * hide it.
 */
export const fault: { first: InvariantError | null; cooperator: Cooperator | null } = {
  first: null,
  cooperator: null,
};

/** @internal The error for a broken rule, to be thrown: it stops the runtime, whoever catches it. */
export function violation(message: string, options?: ErrorOptions): InvariantError {
  const error = new InvariantError(`${message} (a bug in cooperator, please report it)`, options);
  if (fault.first === null) {
    fault.first = error;
    fault.cooperator?.dumpInto(error);
  }
  return error;
}

/** Stops the runtime when an internal rule is broken; cheap enough to stay on in production. */
export function invariant(condition: boolean, message: string): asserts condition {
  if (!condition) throw violation(message);
}

/**
 * One object that a program throws over and over would collect the errors of its whole life. After so many failures,
 * more than a failure meets levels on its way up, it keeps as many of the errors it has had before.
 */
const KNOWN_MAX = 1024;

/** How often an error has been the first of several. */
const failures = new WeakMap<object, number>();

/** Those of `others` that are not `known` follow them. */
function merge(known: readonly unknown[], others: readonly unknown[]): unknown[] {
  const seen = new Set(known);
  return known.concat(others.filter((error) => !seen.has(error)));
}

/**
 * One error for several: the first itself, the others on its `errors`, so that nothing is lost and the
 * identity of the first is kept. `errors` of an AggregateError is extended, never replaced.
 */
export function combineErrors(errors: readonly unknown[]): unknown {
  const first = errors[0];
  if (errors.length === 1) return first;
  const others = errors.slice(1).filter((error) => error !== first);
  if (others.length === 0) return first;
  try {
    if (typeof first === "object" && first !== null && hang(first, others)) return first;
  } catch {
    // A getter or a proxy that throws: nothing can be hung on it.
  }
  return new AggregateError([first, ...others], "several tasks failed");
}

/** Adds `others` to the `errors` of `first`. False when it takes none. */
function hang(first: object, others: readonly unknown[]): boolean {
  if (!Object.isExtensible(first)) return false;
  const known = (first as { errors?: unknown }).errors;
  const times = (failures.get(first) ?? 0) + 1;
  failures.set(first, times);
  const kept = Array.isArray(known) && times > KNOWN_MAX ? known.slice(-KNOWN_MAX) : known;
  return Reflect.defineProperty(first, "errors", {
    value: Array.isArray(kept) ? merge(kept, others) : others,
    configurable: true,
    writable: true,
    enumerable: false,
  });
}
