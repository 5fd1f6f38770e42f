/** Waiting for one event. Whatever ends the wait, no listener is left behind. Source: conformance U08. */
import type { Operation } from "../coordinator/operation.ts";
import { Wait } from "../coordinator/wait.ts";
import { checkSource, type EventSource, emits, listen, unlisten } from "./event-source.ts";

/**
 * Waits for the next `event` and gives its arguments. An `"error"` that an emitter has meanwhile is thrown. What
 * was emitted before the task got here is not seen: see {@link events}.
 *
 * @example const [code] = yield* once(child, "exit");
 */
export function once<Args extends unknown[] = any[]>(
  source: EventSource,
  event: string | symbol,
): Operation<Args> {
  checkSource(source, event, "once()");
  return new Once(source, event) as Operation<unknown> as Operation<Args>;
}

class Once extends Wait<unknown[]> {
  private readonly source: EventSource;
  private readonly event: string | symbol;
  private args: unknown[] | null = null;
  private error: { readonly value: unknown } | null = null;
  private readonly onEvent = (...args: unknown[]): void => {
    this.args = args;
    this.detach();
    this.grant();
  };
  private readonly onError = (value: unknown): void => {
    this.error = { value };
    this.detach();
    this.grant();
  };

  constructor(source: EventSource, event: string | symbol) {
    super();
    this.source = source;
    this.event = event;
  }

  override describe(): string {
    return `the event ${String(this.event)}`;
  }

  protected override begin(): boolean {
    this.args = null;
    this.error = null;
    listen(this.source, this.event, this.onEvent);
    if (this.watchesErrors) listen(this.source, "error", this.onError);
    return false;
  }

  protected override finish(): unknown[] {
    if (this.error !== null) throw this.error.value;
    return this.args!;
  }

  override abort(): boolean {
    this.detach();
    return true;
  }

  private get watchesErrors(): boolean {
    return this.event !== "error" && emits(this.source);
  }

  private detach(): void {
    unlisten(this.source, this.event, this.onEvent);
    if (this.watchesErrors) unlisten(this.source, "error", this.onError);
  }
}
