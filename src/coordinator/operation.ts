/**
 * Operations: what a task body runs with `yield*`.
 *
 * Two kinds reach the scheduler. A wait suspends (see wait.ts). A {@link Call} asks the scheduler to run
 * another generator on top of the current one: the task keeps an explicit stack of frames and resumes only
 * the top, so a resume costs the same at any call depth and a kill can unwind one frame at a time.
 * Delegating to a plain generator works too and costs less for a leaf; docs/semantics.md has its limits.
 */

import { Embedded } from "./embedded-list.ts";
import { UsageError } from "./errors.ts";
import { LostKill } from "./kill/poison.ts";
import { notDelegated, SUSPENDED } from "./suspended.ts";
import { AsyncBody, isThenable } from "./task/async-body.ts";
import type { AsyncSelf } from "./task/async-self.ts";
import { current, currentTask } from "./task/current.ts";
import { Frame } from "./task/frame.ts";
import type { Scope } from "./task/scope.ts";

const GeneratorFunction = function* () {}.constructor;
const AsyncFunctionConstructor = (async () => {}).constructor;

/** @internal `next` of every generator object there is. */
export const generatorNext: (value?: unknown) => IteratorResult<unknown, unknown> =
  GeneratorFunction.prototype.prototype.next;

/** Something that can be run with `yield*` inside a task and yields a value of type `A` when it is done. */
export interface Operation<A> {
  [Symbol.iterator](): Iterator<unknown, A, any>;
}

/**
 * What a task body may be: an operation; a function without parameters that makes one, `function*` or not; or an
 * `async` function.
 */
export type Body<A> = Operation<A> | (() => Operation<A>) | ((self: AsyncSelf) => PromiseLike<A>);

/**
 * Like {@link Body}, for constructs that give the body something to work with. An `async` function, and only
 * that, gets its task as well.
 */
export type BodyWith<T, A> = (argument: T, self: AsyncSelf) => Operation<A> | PromiseLike<A>;

/** @internal An `async` function; it gets what the construct around it gives, if anything, and its task. */
export type AsyncFunction = (...args: any[]) => unknown;

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

  /** @internal The iterator for a frame that somebody else makes; leaves the call spent. */
  take(): Iterator<unknown, A, unknown> {
    this.spend();
    // Its scope needs a frame of its own.
    return this.scope === null ? this.gen : within(this as Call<any>);
  }

  /** @internal The frame at the bottom of a new task; leaves the call spent. */
  frame(): Frame {
    this.spend();
    return new Frame(this.gen, null, this.scope, this.fn, this.native);
  }

  /** @internal Whoever runs it from here on is the only one. */
  spend(): void {
    if (this.state !== FRESH) throw spent();
    this.state = SPENT;
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

/** The iterator of an operation that is no call, or a typed error naming what it is. */
function takeIterator<A>(body: Operation<A>, what: string): Iterator<unknown, A, unknown> {
  if (!isIterable(body)) throw notAnOperation(body, what);
  const iterator = body[Symbol.iterator]();
  if (typeof iterator?.next !== "function") throw notAnOperation(body, what);
  if ((iterator as unknown) === body && Object.prototype.toString.call(body) === "[object Generator]") {
    if (adopted.has(body)) throw spent();
    adopted.add(body);
  }
  return guarded(iterator);
}

/**
 * @internal An async function is called in the first step of its task, and not before: a task that never starts never runs
 * it. One that was compiled to something older, or that another function calls, is told by the parameter it has
 * for its task; without one it is called at once like any body, and told by the promise it returns.
 */
export function isAsync(body: AsyncFunction, argument: unknown): boolean {
  const kind = Object.getPrototypeOf(body);
  if (kind === GeneratorFunction.prototype) return false;
  return kind === AsyncFunctionConstructor.prototype || body.length > (argument === undefined ? 0 : 1);
}

/** An iterator of the user's own is put behind a generator: the language checks whatever it gives. */
function guarded<A>(iterator: Iterator<unknown, A, unknown>): Iterator<unknown, A, unknown> {
  return iterator.next === generatorNext || iterator instanceof Embedded ? iterator : delegate(iterator);
}

function* within<A>({ gen, scope, fn, native }: Call<A>): Generator<unknown, A, unknown> {
  return yield* new Call(gen, scope, fn, native);
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

/** @throws {UsageError} `COOP_NOT_A_CALLBACK` for an option that is to be called and is no function. */
export function checkFunction(value: unknown, name: string): void {
  if (typeof value === "function") return;
  throw new UsageError("COOP_NOT_A_CALLBACK", `${name} is a function, not ${describeValue(value)}`);
}

/** What was passed, in words, for an error message. */
export function describeValue(value: unknown): string {
  try {
    return inWords(value);
  } catch (error) {
    if (error instanceof LostKill) throw error;
    // A getter or a proxy that throws: the message is about something else.
    return `a strange ${typeof value}`;
  }
}

function inWords(value: unknown): string {
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

/** @internal */
export function notAnOperation(value: unknown, what: string): UsageError {
  const advice = isThenable(value) ? ": until(promise) is an operation" : "";
  return new UsageError(
    "COOP_NOT_AN_OPERATION",
    `${what} takes an operation, a generator function or an async function, not ${describeValue(value)}${advice}`,
  );
}

/**
 * @internal A call that runs `body` in its own frame, inside `scope` when one is given. A body that is a
 * function gets `argument`. Whatever cannot serve as a body is a typed error that names it.
 */
export function enter<A>(
  scope: Scope | null,
  body: Body<A> | BodyWith<any, A>,
  what: string,
  argument?: unknown,
): Call<A> {
  if (body instanceof Call) return new Call<A>(body.take(), scope, body.fn, body.native);
  if (typeof body !== "function") return new Call(takeIterator(body, what), scope, null, false);
  if (isAsync(body, argument)) {
    return new Call(new AsyncBody(body, what, argument) as Iterator<any, A>, scope, body, false);
  }
  const made: unknown = (body as (argument: unknown) => unknown)(argument);
  // What a function written in place makes has a name more often than the function.
  if (made instanceof Call) return new Call<A>(made.take(), scope, made.fn, made.native);
  return new Call(iteratorMade<A>(made, body, what), scope, body, false);
}

function iteratorMade<A>(made: unknown, body: unknown, what: string): Iterator<unknown, A, unknown> {
  if (isThenable(made)) return AsyncBody.of(made) as Iterator<any, A>;
  if (!isIterable(made) || typeof (made as { next?: unknown }).next !== "function") {
    throw notAnOperation(body, what);
  }
  return guarded(made as unknown as Iterator<unknown, A, unknown>);
}
