/**
 * Operations: what a task body runs with `yield*`.
 *
 * Two kinds reach the scheduler. A wait suspends (see wait.ts). A {@link Call} asks the scheduler to run
 * another generator on top of the current one: the task keeps an explicit stack of frames and resumes only
 * the top, so a resume costs the same at any call depth and a kill can unwind one frame at a time.
 * Delegating to a plain generator works too and costs less for a leaf; docs/semantics.md has its limits.
 */
import { current, currentTask } from "./current.ts";
import { Embedded } from "./embedded-list.ts";
import { UsageError } from "./errors.ts";
import { Frame } from "./frame.ts";
import type { Scope } from "./scope.ts";

const GeneratorFunction = function* () {}.constructor;

/** @internal `next` of every generator object there is. */
export const generatorNext: (value?: unknown) => IteratorResult<unknown, unknown> =
  GeneratorFunction.prototype.prototype.next;

/** Something that can be run with `yield*` inside a task and yields a value of type `A` when it is done. */
export interface Operation<A> {
  [Symbol.iterator](): Iterator<unknown, A, any>;
}

/** What a task body may be: an operation, or a function without parameters that makes one, `function*` or not. */
export type Body<A> = Operation<A> | (() => Operation<A>);

/**
 * The one result object that means "suspended". Native `yield*` passes it through unchanged, so its
 * identity tells the scheduler a real suspension from a stray `yield` in user code.
 */
export const SUSPENDED: IteratorResult<never, never> = Object.freeze({
  done: false,
  value: undefined as never,
});

/** One run of an {@link op}: runs once, then is spent. */
export class Call<A> implements Operation<A>, Iterator<unknown, A, unknown> {
  /** @internal */ readonly gen: Iterator<unknown, A, unknown>;
  /** @internal */ readonly scope: Scope | null;
  /** @internal */ readonly fn: { readonly name: string } | null;
  /** @internal `gen` is a real generator: its `next` needs no look-up, which would be megamorphic. */
  readonly native: boolean;
  private state: 0 | 1 | 2 = FRESH;

  /** @internal */
  constructor(
    gen: Iterator<unknown, A, unknown>,
    scope: Scope | null,
    fn: { readonly name: string } | null,
    native: boolean,
  ) {
    this.gen = gen;
    this.native = native;
    this.scope = scope;
    this.fn = fn;
  }

  [Symbol.iterator](): Iterator<unknown, A, unknown> {
    return this;
  }

  /** Iterator protocol, driven by `yield*`. */
  next(value?: unknown): IteratorResult<unknown, A> {
    if (this.state === RUNNING) {
      this.state = SPENT;
      if (current.call === (this as Call<unknown>)) throw notDelegated();
      return { done: true, value: value as A };
    }
    if (this.state === SPENT) throw spent();
    currentTask("yield*");
    this.state = RUNNING;
    current.call = this as Call<unknown>;
    return SUSPENDED;
  }

  return(value?: unknown): IteratorResult<unknown, A> {
    this.state = SPENT;
    if (current.call === (this as Call<unknown>)) current.call = null;
    return { done: true, value: value as A };
  }

  throw(error?: unknown): IteratorResult<unknown, A> {
    this.state = SPENT;
    throw error;
  }

  /** @internal The generator, for a scheduler that makes a frame of its own; leaves the call spent. */
  take(): Iterator<unknown, A, unknown> {
    if (this.state !== FRESH) throw spent();
    this.state = SPENT;
    return this.gen;
  }

  /** @internal The frame at the bottom of a new task; leaves the call spent. */
  frame(): Frame {
    return new Frame(this.take(), null, this.scope, this.fn, this.native);
  }
}

const FRESH = 0;
const RUNNING = 1;
const SPENT = 2;

function spent(): UsageError {
  return new UsageError(
    "COOP_OPERATION_USED",
    "an operation runs once: call the function again for a second run",
  );
}

/** @internal Something other than the scheduler has asked for the next result; nothing has run. */
export function notDelegated(): UsageError {
  current.call = null;
  return new UsageError("COOP_NOT_DELEGATED", "an operation can only be run with yield*, not iterated over");
}

/**
 * Makes an operation of a generator function. Each call of the result is one run, with its own frame:
 * a kill inside it runs its suspending `finally` blocks to their end, however deep the call.
 *
 * @example
 * const greet = op(function* (name: string) {
 *   yield* sleep("10 millis");
 *   return `hello ${name}`;
 * });
 * const text = yield* greet("Ada");
 */
export function op<This, Args extends readonly unknown[], A>(
  body: (this: This, ...args: Args) => Generator<unknown, A, any>,
): (this: This, ...args: Args) => Operation<A> {
  if (typeof body !== "function") throw notAnOperation(body, "op()");
  const native = Object.getPrototypeOf(body) === GeneratorFunction.prototype;
  const call = function (this: This): Operation<A> {
    // biome-ignore lint/complexity/noArguments: forwarding `arguments` through apply allocates no array
    const gen = body.apply(this, arguments as unknown as [...Args]);
    if (!native && !isIterable(gen)) throw notAnOperation(body, "op()");
    return new Call(gen, null, body, native);
  };
  Object.defineProperty(call, "name", { value: body.name, configurable: true });
  return call as (this: This, ...args: Args) => Operation<A>;
}

/** Generator objects that already belong to a task: a second owner would step on the first. */
const adopted = new WeakSet<object>();

/** @internal Takes the iterator of whatever may serve as a body, or throws a typed error naming it. */
export function takeIterator<A>(
  body: Body<A> | ((argument: any) => Operation<A>),
  what: string,
  argument?: unknown,
): Iterator<unknown, A, unknown> {
  if (body instanceof Call) return body.take() as Iterator<unknown, A, unknown>;
  if (typeof body === "function") {
    const made: unknown = body(argument);
    if (made instanceof Call) return made.take() as Iterator<unknown, A, unknown>;
    if (!isIterable(made) || typeof (made as { next?: unknown }).next !== "function") {
      throw notAnOperation(body, what);
    }
    return guarded(made as unknown as Iterator<unknown, A, unknown>);
  }
  if (!isIterable(body)) throw notAnOperation(body, what);
  const iterator = body[Symbol.iterator]();
  if (typeof iterator?.next !== "function") throw notAnOperation(body, what);
  if ((iterator as unknown) === body && Object.prototype.toString.call(body) === "[object Generator]") {
    if (adopted.has(body)) throw spent();
    adopted.add(body);
  }
  return guarded(iterator);
}

/** An iterator of the user's own is put behind a generator: the language checks whatever it gives. */
function guarded<A>(iterator: Iterator<unknown, A, unknown>): Iterator<unknown, A, unknown> {
  return iterator.next === generatorNext || iterator instanceof Embedded ? iterator : delegate(iterator);
}

function* delegate<A>(iterator: Iterator<unknown, A, unknown>): Generator<unknown, A, unknown> {
  return yield* { [Symbol.iterator]: () => iterator };
}

function isIterable(value: unknown): value is Iterable<unknown> {
  return (
    typeof value === "object" &&
    value !== null &&
    !Array.isArray(value) &&
    typeof (value as { [Symbol.iterator]?: unknown })[Symbol.iterator] === "function"
  );
}

/** What was passed, in words, for an error message. */
export function describeValue(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  if (typeof value === "function") {
    const kind = Object.prototype.toString.call(value).slice(8, -1);
    return `${kind === "Function" ? "a plain function" : `the ${kind}`} ${value.name || "(anonymous)"}`;
  }
  if (typeof value !== "object") return `the ${typeof value} ${String(value)}`;
  if (typeof (value as { then?: unknown }).then === "function") return "a promise";
  const kind = Object.prototype.toString.call(value).slice(8, -1);
  return kind === "Object" ? "a plain object" : `an object of type ${kind}`;
}

function notAnOperation(value: unknown, what: string): UsageError {
  return new UsageError(
    "COOP_NOT_AN_OPERATION",
    `${what} takes an operation or a generator function, not ${describeValue(value)}`,
  );
}

/**
 * @internal An operation that runs `body` in its own frame, inside `scope` when one is given. A body that is a
 * function gets `argument`.
 */
export function enter<A>(
  scope: Scope | null,
  body: Body<A> | ((argument: any) => Operation<A>),
  what: string,
  argument?: unknown,
): Operation<A> {
  const fn = body instanceof Call ? body.fn : (body as { readonly name: string });
  return new Call(takeIterator(body, what, argument), scope, fn, false);
}
