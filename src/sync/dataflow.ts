/**
 * Small operations that move items from channel to channel. Each runs until its sources have ended, and is
 * spawned like anything else: `spawn(pipe(lines, records, parse))`; who spawns it owns it.
 *
 * | what happens                  | what follows                                                        |
 * |-------------------------------|---------------------------------------------------------------------|
 * | the source ends               | the target is closed                                                |
 * | the source fails              | the target is closed with its error, and the operation is done      |
 * | the target is closed          | sources that are channels are abandoned, and the operation is done  |
 * | it is killed, or throws       | the target is closed with an error that says so                     |
 *
 * Source: seeds C-218, C-219.
 */
import { ClosedError, UsageError } from "../coordinator/errors.ts";
import { describeValue, type Operation, op } from "../coordinator/operation.ts";
import type { Channel, Source } from "./channel.ts";
import { END } from "./channel-waits.ts";
import { type Arms, select } from "./select.ts";

/** Runs `body` for each item of `source`, one after the other, until the end or until it gives `false`. */
export function each<T>(source: Source<T>, body: (item: T) => Operation<unknown>): Operation<void> {
  checkSource(source, "each()");
  checkFunction(body, "each()");
  return runEach(source as Source<unknown>, body as (item: unknown) => Operation<unknown>) as Operation<void>;
}

const runEach = op(function* each(source: Source<unknown>, body: (item: unknown) => Operation<unknown>) {
  for (let item = yield* source.receiveOrEnd(); item !== END; item = yield* source.receiveOrEnd()) {
    if ((yield* body(item)) === false) return;
  }
});

/** Sends `transform(item)` to `target` for each item of `source`; without a transform, the item. */
export function pipe<T, U = T>(
  source: Source<T>,
  target: Channel<U>,
  transform?: (item: T) => U,
): Operation<void> {
  if (transform !== undefined) checkFunction(transform, "pipe()");
  return flow("pipe()", [source], target, (item, to) =>
    to.send(transform === undefined ? item : transform(item as T)),
  );
}

/** Sends the items of `source` that `accept` is true of to `target`. */
export function filter<T>(
  source: Source<T>,
  target: Channel<T>,
  accept: (item: T) => boolean,
): Operation<void> {
  checkFunction(accept, "filter()");
  return flow("filter()", [source], target, (item, to) => (accept(item as T) ? to.send(item) : null));
}

/** Sends the items of all `sources` to `target`, as they come; none of them can starve another. */
export function merge<T>(sources: readonly Source<T>[], target: Channel<T>): Operation<void> {
  if (!Array.isArray(sources)) {
    throw new UsageError("COOP_NOT_A_SOURCE", `merge() takes an array, not ${describeValue(sources)}`);
  }
  return flow("merge()", sources, target, (item, to) => to.send(item));
}

type Sink = Channel<any>;

function flow(
  what: string,
  sources: readonly Source<unknown>[],
  target: Sink,
  pass: (item: unknown, target: Sink) => Operation<void> | null,
): Operation<void> {
  for (const source of sources) checkSource(source, what);
  if (typeof target?.send !== "function" || typeof target.close !== "function") {
    throw new UsageError("COOP_NOT_A_CHANNEL", `${what} sends to a channel, not to ${describeValue(target)}`);
  }
  return runFlow(sources, target, pass) as Operation<void>;
}

function checkSource(source: unknown, what: string): void {
  if (typeof (source as Source<unknown> | null | undefined)?.receiveOrEnd === "function") return;
  throw new UsageError(
    "COOP_NOT_A_SOURCE",
    `${what} receives from a channel or the like, not from ${describeValue(source)}`,
  );
}

function checkFunction(fn: unknown, what: string): void {
  if (typeof fn === "function") return;
  throw new UsageError(
    "COOP_NOT_A_CALLBACK",
    `${what} calls a function for each item, not ${describeValue(fn)}`,
  );
}

const runFlow = op(function* flow(
  sources: readonly Source<unknown>[],
  target: Sink,
  pass: (item: unknown, target: Sink) => Operation<void> | null,
) {
  let ended = false;
  try {
    yield* moveAll(sources, target, pass);
    ended = true;
  } catch (error) {
    if (!target.closed) target.close(error);
    throw error;
  } finally {
    if (!ended && !target.closed) {
      target.close(new ClosedError(`what sent to ${target.name} was killed`));
    }
  }
  target.close();
});

function* moveAll(
  sources: readonly Source<unknown>[],
  target: Sink,
  pass: (item: unknown, target: Sink) => Operation<void> | null,
): Generator<unknown, void, any> {
  let live = sources;
  while (live.length > 0) {
    let from: Source<unknown>;
    let item: unknown;
    try {
      // The next of one source costs less than the first of several.
      const arms: Arms = live.map((source) => source.receiveOrEnd());
      const won =
        live.length === 1 ? { key: 0, value: yield* arms[0]! } : yield* select(arms, { fair: true });
      from = live[won.key]!;
      item = won.value;
    } catch (error) {
      target.close(error);
      abandon(sources);
      return;
    }
    if (item === END) {
      live = live.filter((source) => source !== from);
      continue;
    }
    // Sent to a target that is closed as well: then it is told of what is lost.
    const sending = pass(item, target);
    try {
      if (sending !== null) yield* sending;
    } catch (error) {
      if (!target.closed) throw error;
    }
    if (!target.closed) continue;
    abandon(sources);
    return;
  }
}

/** Nobody receives from `sources` any more. */
function abandon(sources: readonly Source<unknown>[]): void {
  for (const source of sources) (source as { abandon?: () => void }).abandon?.();
}
