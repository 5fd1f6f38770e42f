/**
 * Async iterables, both ways: streams of Node and of the web are such. One that is left early is told so with
 * `return()`, and what that takes is waited for. Source: conformance U08.
 */

import { BusyError, combineErrors, UsageError } from "../coordinator/errors.ts";
import { type Body, describeValue, enter, type Operation, op } from "../coordinator/operation.ts";
import type { Cooperator } from "../coordinator/scheduler/cooperator.ts";
import { Signal } from "../coordinator/signal.ts";
import { unwrapExit } from "../coordinator/task/exit.ts";
import { whenEnded } from "../coordinator/task/join.ts";
import { checkOwner, type Spawner } from "../coordinator/task/spawn-ready.ts";
import type { Task } from "../coordinator/task/task.ts";
import { until } from "./until.ts";

/** What `consume` gives its body: the items, one by one. */
export class AsyncSource<A> {
  private readonly iterator: AsyncIterator<A>;
  /** @internal */ ended = false;
  /** The `next()` of a wait that was left: its item is for the next one who asks. */
  private pending: Promise<IteratorResult<A>> | null = null;
  private asked = false;

  /** @internal */
  constructor(iterator: AsyncIterator<A>) {
    this.iterator = iterator;
  }

  /**
   * The next item as `{ done, value }`. A kill ends the wait at once; the item it would have had is not lost.
   *
   * @throws {BusyError} when another task waits for it.
   */
  next(): Operation<IteratorResult<A, undefined>> {
    return nextOf(this as AsyncSource<unknown>) as Operation<IteratorResult<A, undefined>>;
  }

  /** @internal */
  step(): Promise<IteratorResult<A>> {
    this.pending ??= Promise.resolve(this.iterator.next());
    return this.pending;
  }

  /** @internal One at a time: two would get the same item. */
  enter(): void {
    if (this.asked) {
      throw new BusyError(
        "another task waits for the next item; let one task do it and send on what it gets",
      );
    }
    this.asked = true;
  }

  /** @internal */
  leave(): void {
    this.asked = false;
  }

  /** @internal It has been seen; after the last one, or an error, there is nothing more. */
  taken(last: boolean): void {
    this.pending = null;
    if (last) this.ended = true;
  }

  /** @internal Nobody wants more. */
  async close(): Promise<void> {
    if (this.ended) return;
    this.ended = true;
    this.pending?.then(undefined, () => {});
    await this.iterator.return?.();
  }
}

const nextOf = op(function* next(source: AsyncSource<unknown>) {
  if (source.ended) return { done: true, value: undefined };
  let result: IteratorResult<unknown>;
  source.enter();
  try {
    result = yield* until(source.step());
  } catch (error) {
    source.taken(true);
    throw error;
  } finally {
    source.leave();
  }
  const last = result.done === true;
  source.taken(last);
  return last ? { done: true, value: undefined } : { done: false, value: result.value };
});

/**
 * Runs `body` with the items of an async iterable. However it ends before the items do, the iterable's `return()`
 * is called and waited for. (An async generator that awaits something for ever does not return either: `within`
 * gives that up.)
 *
 * @throws {UsageError} `COOP_NOT_ITERABLE` when it is none.
 * @example
 * yield* consume(createReadStream(path), function* (chunks) {
 *   for (let next = yield* chunks.next(); !next.done; next = yield* chunks.next()) count(next.value);
 * });
 */
export function consume<A, B>(
  iterable: AsyncIterable<A>,
  body: (source: AsyncSource<A>) => Operation<B>,
): Operation<B> {
  if (typeof iterable?.[Symbol.asyncIterator] !== "function") {
    throw new UsageError(
      "COOP_NOT_ITERABLE",
      `consume() takes an async iterable, not ${describeValue(iterable)}`,
    );
  }
  return consumeAll(iterable, body as (source: AsyncSource<any>) => Operation<unknown>) as Operation<B>;
}

const consumeAll = op(function* consume(
  iterable: AsyncIterable<unknown>,
  body: (source: AsyncSource<any>) => Operation<unknown>,
) {
  const source = new AsyncSource(iterable[Symbol.asyncIterator]());
  const thrown: unknown[] = [];
  try {
    return yield* enter(null, body, "consume()", source);
  } catch (error) {
    thrown.push(error);
    throw error;
  } finally {
    yield* closing(source, thrown);
  }
});

/** What `return()` throws comes after what the body has thrown. */
const closing = op(function* closing(source: AsyncSource<unknown>, thrown: readonly unknown[]) {
  try {
    yield* until(source.close());
  } catch (error) {
    throw combineErrors([...thrown, error]);
  }
});

/** Gives one item to whoever iterates, and waits until it is asked for the next. */
export type Emit<A> = (item: A) => Operation<void>;

/**
 * An async iterable whose items a task makes, one each time it is asked: `for await` over it. The task is spawned
 * with the first item that is asked for, by `owner`: a task, a group, or a cooperator. To leave the loop early
 * kills the task and waits for its end; an error of the task is thrown in the loop.
 *
 * @example
 * const lines = toAsyncIterable(self(), (emit) => function* () {
 *   for (let line = yield* inbox.receive(); line !== END; line = yield* inbox.receive()) yield* emit(line);
 * });
 */
export function toAsyncIterable<A>(
  owner: Spawner | Cooperator,
  body: (emit: Emit<A>) => Body<unknown>,
): AsyncIterableIterator<A> {
  checkOwner(owner, "toAsyncIterable()");
  if (typeof body !== "function") {
    throw new UsageError(
      "COOP_NOT_AN_OPERATION",
      `toAsyncIterable() takes a function that gets emit() and makes a body, not ${describeValue(body)}`,
    );
  }
  return new Production(owner, body);
}

/** A promise that somebody has been given for the next item. */
interface Request<A> {
  readonly resolve: (result: IteratorResult<A>) => void;
  readonly reject: (error: unknown) => void;
}

class Production<A> implements AsyncIterableIterator<A> {
  /** @internal Asked for and not given. Whoever iterates decides how many. */
  readonly requests: Request<A>[] = [];
  /** @internal Notified with the next request; the task makes a new one each time it has to wait. */
  wanted: Signal = new Signal({ name: "a consumer" });
  private readonly owner: Spawner | Cooperator;
  private readonly body: (emit: Emit<A>) => Body<unknown>;
  private task: Task | null = null;
  private over = false;
  /** Of a task that has failed while nothing was asked for. */
  private failure: { readonly error: unknown } | null = null;

  constructor(owner: Spawner | Cooperator, body: (emit: Emit<A>) => Body<unknown>) {
    this.owner = owner;
    this.body = body;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<A>> {
    const { failure } = this;
    this.failure = null;
    if (failure !== null) return Promise.reject(failure.error);
    if (this.over) return Promise.resolve({ done: true, value: undefined });
    return new Promise((resolve, reject) => {
      if (this.task === null) this.begin();
      this.requests.push({ resolve, reject });
      this.wanted.notify();
    });
  }

  async return(): Promise<IteratorResult<A>> {
    this.over = true;
    if (this.task !== null) await this.task[Symbol.asyncDispose]();
    return { done: true, value: undefined };
  }

  private begin(): void {
    const emit = (item: A): Operation<void> => give(this as Production<any>, item);
    try {
      this.task = this.owner.spawn(this.body(emit), { failure: "hold" }) as Task;
    } catch (error) {
      this.over = true;
      throw error;
    }
    const { task } = this;
    task.observe();
    whenEnded(task, () => this.ended(task));
  }

  private ended(task: Task): void {
    const left = this.over;
    this.over = true;
    try {
      if (!left) unwrapExit(task.exit!, task);
    } catch (error) {
      const first = this.requests.shift();
      if (first === undefined) this.failure = { error };
      else first.reject(error);
    }
    for (const { resolve } of this.requests.splice(0)) resolve({ done: true, value: undefined });
  }
}

const give = op(function* emit(production: Production<unknown>, item: unknown) {
  yield* asked(production);
  production.requests.shift()!.resolve({ done: false, value: item });
  // What comes after the item is done when the next one is asked for.
  yield* asked(production);
});

const asked = op(function* asked(production: Production<unknown>) {
  while (production.requests.length === 0) {
    if (production.wanted.signaled) production.wanted = new Signal({ name: "a consumer" });
    yield* production.wanted.wait();
  }
});
