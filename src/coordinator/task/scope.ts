/**
 * A scope is what a kill can be aimed at, and what owns children.
 *
 * A task is one. Inside a task's body a `group` (owns children, waits for them), a `timeout` (can be killed
 * by itself) and a `shield` (keeps outer kills away) are others; they sit on the task's frames, each with a
 * base frame that marks where its part of the stack begins.
 */
import { Embedded, EmbeddedList } from "../embedded-list.ts";
import { ClosedError } from "../errors.ts";
import type { Body } from "../operation.ts";
import type { Cause } from "./exit.ts";
import { Rare } from "./rare.ts";
import type { Task } from "./task.ts";

/** What the base frame's caller gets as the value when the scope itself was killed. */
export const UNWOUND: unique symbol = Symbol("unwound");

/** Clean-up registered with `defer`: an operation, a generator function, or a plain function. */
export type Deferred = Body<unknown> | (() => void);

export abstract class Scope extends Embedded {
  /** @internal The task on whose stack the scope lives: a task's own scope names itself, the root's none. */
  host: Task | null;
  /** The first kill aimed at this scope or at one around it. Later ones do not overwrite it. */
  cause: Cause | null;
  /** @internal Live tasks spawned here, oldest first. Null until the first. */
  children: EmbeddedList<Task> | null;
  /** @internal Nothing can be spawned here any more. */
  closed: boolean;
  /** @internal */
  rare: Rare | null;

  constructor() {
    super();
    this.host = null;
    this.cause = null;
    this.children = null;
    this.closed = false;
    this.rare = null;
  }

  /** @internal */
  needRare(): Rare {
    this.rare ??= new Rare();
    return this.rare;
  }

  /** @internal True for a scope that keeps kills of outer scopes away. */
  get shields(): boolean {
    return false;
  }

  /** @internal When it will be killed for want of time, in nanoseconds of the clock. */
  get limit(): number {
    return Number.POSITIVE_INFINITY;
  }

  /** @internal A child's failure arrives here. */
  abstract childFailed(errors: readonly unknown[], child: Task): void;

  /** @internal A defer of this scope threw. */
  cleanupFailed(error: unknown): void {
    throw error;
  }

  /** @internal */
  adopt(child: Task): void {
    this.children ??= new EmbeddedList();
    this.children.push(child);
  }

  /** @internal The last thing an ending child does. */
  release(child: Task): void {
    this.children!.remove(child);
    const { rare } = this;
    if (rare !== null && child.rare?.daemon === true) rare.daemons--;
    if (this.children!.length === (rare === null ? 0 : rare.daemons)) this.host?.drained();
  }

  /** @internal Live children that a group waits for. */
  get working(): number {
    return this.rare === null ? this.live : this.live - this.rare.daemons;
  }

  /** @internal Live children. */
  get live(): number {
    return this.children === null ? 0 : this.children.length;
  }

  /** @internal For messages. */
  get label(): string {
    return "the scope";
  }

  /** @internal Throws when no child may be added. */
  checkOpen(): void {
    if (this.cause !== null) throw new ClosedError(`${this.label} is being killed and takes no new children`);
    if (this.closed) throw new ClosedError(`${this.label} has ended and takes no new children`);
  }
}

/** Keeps kills from outside away until it is left, or lifted. */
export class ShieldScope extends Scope {
  /** @internal How often it has been lifted and not put back. */
  lifted = 0;
  override get shields(): boolean {
    return this.lifted === 0;
  }
  override childFailed(): void {}
}

/** A part of a task's stack that can be killed by itself, e.g. by a timeout. */
export class CancelScope extends Scope {
  override childFailed(): void {}
}
