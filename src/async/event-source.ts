/** What has events: emitters as Node's, and the event targets of the web. */
import { UsageError } from "../coordinator/errors.ts";
import { describeValue } from "../coordinator/operation.ts";

export type EventListener = (...args: any[]) => void;

/** What has `on` and `off`, as Node's `EventEmitter` does. */
export interface EmitterLike {
  on(event: any, listener: EventListener): unknown;
  off(event: any, listener: EventListener): unknown;
}

/** An emitter, or an event target such as those of the web. */
export type EventSource = EmitterLike | Pick<EventTarget, "addEventListener" | "removeEventListener">;

/** @internal */
export function listen(source: EventSource, event: string | symbol, listener: EventListener): void {
  if ("on" in source) source.on(event, listener);
  else source.addEventListener(event as string, listener);
}

/** @internal */
export function unlisten(source: EventSource, event: string | symbol, listener: EventListener): void {
  if ("on" in source) source.off(event, listener);
  else source.removeEventListener(event as string, listener);
}

/** @internal An emitter has a way to tell of errors by itself. */
export function emits(source: EventSource): boolean {
  return "on" in source;
}

/** @internal */
export function checkSource(source: unknown, event: unknown, what: string): void {
  const { on, off, addEventListener } = (source ?? {}) as Partial<EmitterLike & EventTarget>;
  if ((typeof on === "function" && typeof off === "function") || typeof addEventListener === "function") {
    if (typeof event === "string" || typeof event === "symbol") return;
    throw new UsageError(
      "COOP_NOT_AN_EVENT",
      `an event for ${what} is a name or a symbol, not ${describeValue(event)}`,
    );
  }
  throw new UsageError(
    "COOP_NOT_AN_EMITTER",
    `${what} takes an EventEmitter or an EventTarget, not ${describeValue(source)}`,
  );
}
