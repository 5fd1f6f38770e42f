/** Collecting events. However the task ends, no listener is left behind. Source: conformance U08. */

import { Embedded, EmbeddedList } from "../coordinator/embedded-list.ts";
import { BusyError, UsageError } from "../coordinator/errors.ts";
import { describeValue, type Operation } from "../coordinator/operation.ts";
import { checkOptions, given, type Known } from "../coordinator/options.ts";
import { addInflight, type Inflight, removeInflight } from "../coordinator/scheduler/inflight.ts";
import { currentTask } from "../coordinator/task/current.ts";
import type { Task } from "../coordinator/task/task.ts";
import { Wait } from "../coordinator/wait.ts";
import { checkSource, type EventSource, emits, listen, unlisten } from "./event-source.ts";

export interface EventsOptions {
  /** Events that may wait to be taken. When one more comes, `next` throws a {@link BusyError}. Default 1024. */
  readonly limit?: number;
  /** Events after which no others come. */
  readonly end?: readonly (string | symbol)[];
}

const KNOWN: Known<EventsOptions> = { limit: true, end: true };

const LIMIT_DEFAULT = 1024;

/**
 * Collects the events of `source` from here on; `next` gives them one by one. Closed by `using`, by `close`, or at
 * the end of the task at the latest.
 *
 * @example
 * using lines = events<[string]>(readline, "line", { end: ["close"] });
 * for (let line = yield* lines.next(); line !== null; line = yield* lines.next()) console.log(line[0]);
 */
export function events<Args extends unknown[] = any[]>(
  source: EventSource,
  event: string | symbol,
  options?: EventsOptions,
): Events<Args> {
  checkSource(source, event, "events()");
  checkOptions(options, "events()", KNOWN);
  const limit = given(options, "limit") ?? LIMIT_DEFAULT;
  if (!(Number.isInteger(limit) && limit > 0)) {
    throw new UsageError("COOP_OPTION", "the limit of events() is a whole number from 1 up");
  }
  const end = given(options, "end") ?? [];
  if (!Array.isArray(end)) {
    throw new UsageError("COOP_OPTION", `end of events() is a list of events, not ${describeValue(end)}`);
  }
  for (const other of end) checkSource(source, other, "events()");
  return new Events<Args>(currentTask("events()"), source, event, limit, end);
}

/** Events that wait to be taken. */
export class Events<Args extends unknown[] = any[]> extends Embedded implements Inflight {
  private readonly source: EventSource;
  private readonly event: string | symbol;
  private readonly limit: number;
  private readonly ends: readonly (string | symbol)[];
  private readonly owner: Task;
  private readonly queue: Args[] = [];
  private failure: { readonly value: unknown } | null = null;
  private isClosed = false;
  /** @internal The tasks that wait for the next one, oldest first. */
  readonly takers: EmbeddedList<Taker> = new EmbeddedList();
  private readonly onEvent = (...args: unknown[]): void => {
    const taker = this.takers.shift();
    if (taker !== null) taker.give(args);
    else if (this.queue.length < this.limit) this.queue.push(args as Args);
    else {
      const name = String(this.event);
      this.fail(new BusyError(`${this.limit} events "${name}" wait to be taken, and one more came`));
    }
  };
  private readonly onError = (value: unknown): void => this.fail(value);
  private readonly onEnd = (): void => this.close();

  /** @internal */
  constructor(
    owner: Task,
    source: EventSource,
    event: string | symbol,
    limit: number,
    ends: readonly (string | symbol)[],
  ) {
    super();
    this.owner = owner;
    this.source = source;
    this.event = event;
    this.limit = limit;
    this.ends = ends;
    listen(source, event, this.onEvent);
    if (this.watchesErrors) listen(source, "error", this.onError);
    for (const end of ends) listen(source, end, this.onEnd);
    addInflight(owner, this);
  }

  /** Events that wait to be taken. */
  get size(): number {
    return this.queue.length;
  }

  get closed(): boolean {
    return this.isClosed;
  }

  /**
   * The arguments of the next event; null when no more can come. What has been collected before the end is given
   * first, then an error.
   *
   * @throws what the emitter's `"error"` had; {@link BusyError} when more came than `limit` allows.
   */
  next(): Operation<Args | null> {
    return new Taker(this as Events<any>) as Operation<unknown> as Operation<Args | null>;
  }

  /** Takes the listeners off. What has been collected can still be taken. Idempotent. */
  close(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    unlisten(this.source, this.event, this.onEvent);
    if (this.watchesErrors) unlisten(this.source, "error", this.onError);
    for (const end of this.ends) unlisten(this.source, end, this.onEnd);
    removeInflight(this.owner, this as Inflight);
    for (let taker = this.takers.shift(); taker !== null; taker = this.takers.shift()) taker.give(null);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** @internal The task that opened it is over. */
  abandon(): void {
    this.close();
  }

  /** @internal What there is for one who comes now; undefined when it has to wait. */
  take(): Args | null | undefined {
    const args = this.queue.shift();
    if (args !== undefined) return args;
    if (this.failure !== null) throw this.failure.value;
    return this.isClosed ? null : undefined;
  }

  /** @internal A kill came first: the event is there for whoever comes next. */
  putBack(args: Args): void {
    const taker = this.takers.shift();
    if (taker !== null) taker.give(args);
    else this.queue.unshift(args);
  }

  /** @internal */
  get name(): string {
    return `the events ${String(this.event)}`;
  }

  private get watchesErrors(): boolean {
    return this.event !== "error" && emits(this.source);
  }

  private fail(value: unknown): void {
    this.failure ??= { value };
    this.close();
  }
}

class Taker extends Wait<unknown> {
  private readonly events: Events<any>;
  private args: unknown = null;

  constructor(events: Events<any>) {
    super();
    this.events = events;
  }

  override describe(): string {
    return this.events.name;
  }

  protected override begin(): boolean {
    const args = this.events.take();
    this.args = args;
    if (args !== undefined) return true;
    this.events.takers.push(this);
    return false;
  }

  protected override finish(): unknown {
    // No more come. What another taker had and gave back is there all the same, and so is the error.
    return this.args ?? this.events.take();
  }

  override abort(): boolean {
    this.list?.remove(this);
    return true;
  }

  override rollback(): void {
    if (this.args !== null) this.events.putBack(this.args as unknown[]);
  }

  give(args: unknown): void {
    this.args = args;
    this.grant();
  }
}
