import type { Coordinated } from "../coordinated.ts";
import type { Embedded, EmbeddedList } from "../embedded-list.ts";
import type { KillHookLink } from "../kill/kill-hooks.ts";
import type { Inflight } from "../scheduler/inflight.ts";
import type { Timeout } from "../scheduler/timers.ts";
import type { Deferred, Scope } from "./scope.ts";
import type { Task } from "./task.ts";

/** What a frame threw while it was being unwound to `target`. */
export interface CleanupError {
  readonly target: Scope;
  readonly error: unknown;
}

/** Something a task owns and others wait for. It is told when the owner ends and still owns it. */
export interface Contended extends Embedded {
  /** @internal Nobody is left to release it: the waiters get an error. */
  breakWaiters(owner: Task): void;
}

/** What few scopes ever need; kept apart so that the others, which are many, stay small. */
export class Rare {
  /** Clean-up to run once the children are gone, last first. */
  defers: Deferred[] | null = null;
  /** How many of the children are daemons. */
  daemons = 0;
  /** A group does not wait for this task. */
  daemon = false;
  /** Operations a task has started and that still belong to the kernel or a driver. */
  inflight: EmbeddedList<Inflight> | null = null;
  /** Children whose failure waits for a join that has not come yet. */
  held: Set<Task> | null = null;
  /** Thrown by children and by the body, in order. */
  errors: unknown[] | null = null;
  /** Thrown by frames that were being unwound. */
  cleanupErrors: CleanupError[] | null = null;
  /** One of the errors is the body's own. */
  ownFailure = false;
  /** The time for clean-up is over: every wait in it is cut short. */
  hurried = false;
  /** Waiters for the end beyond the first, in order. */
  joiners: EmbeddedList<Coordinated> | null = null;
  /** What it owns and others wait for. */
  contended: EmbeddedList<Contended> | null = null;
  /** To be told of the kill, oldest first. */
  killHooks: EmbeddedList<KillHookLink> | null = null;
  /** The task's own deadline. */
  expiry: Timeout | null = null;
}
