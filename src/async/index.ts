/** Bridges to the rest of JavaScript: promises, AbortSignal, async iterables, events and callbacks. */
export { abortSignal, withSignal } from "./abort.ts";
export { type CallbackStarter, fromCallback } from "./callback.ts";
export type { EmitterLike, EventSource } from "./event-source.ts";
export { type Events, type EventsOptions, events } from "./events.ts";
export { type AsyncSource, consume, type Emit, toAsyncIterable } from "./iterables.ts";
export { once } from "./once.ts";
export { type RunInOptions, runIn, toPromise } from "./promises.ts";
export { type Starter, type UntilOptions, until } from "./until.ts";
