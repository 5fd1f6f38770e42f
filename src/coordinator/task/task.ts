/**
 * A node of the task tree: one body, one parent, any number of children.
 *
 * ```
 *            spawn            step                    wait
 *   (new) ─────────▶ READY ─────────▶ RUNNING ──────────────▶ BLOCKED
 *                      ▲                │  ▲                    │
 *                      │   wait satisfied or killed             │
 *                      └────────────────┼──┼────────────────────┘
 *                      ▲                │  │ children gone
 *                      └── DRAINING ◀───┘  │
 *                          killed, children still cleaning up
 *
 *   end: body over → children killed → subtree drained → defers, last first → exit recorded
 *        → parent told → joiners woken → ENDED (no longer admitted from here: spawn, kill, wake)
 * ```
 * Source: seeds C-060 … C-102 with the corrections; design D4, D5.
 */

import type { Coordinated } from "../coordinated.ts";
import { combineErrors, UsageError } from "../errors.ts";
import { effectiveDeadline, tightenDeadline } from "../kill/deadline.ts";
import { requestKill } from "../kill/kill.ts";
import { addKillHook, type KillHook } from "../kill/kill-hooks.ts";
import type { Body, Operation } from "../operation.ts";
import { checkOptions, given, type Known } from "../options.ts";
import type { Cooperator } from "../scheduler/cooperator.ts";
import { NORMAL, type Priority } from "../scheduler/run-queue.ts";
import type { Wait } from "../wait.ts";
import { type Exit, unwrapExit } from "./exit.ts";
import type { Frame } from "./frame.ts";
import { KillWait, OutcomeWait, whenEnded } from "./join.ts";
import { Scope } from "./scope.ts";
import { type SpawnOptions, spawnInto } from "./spawn.ts";
import { BLOCKED, DRAINING, ENDED, stateNames, type TaskState } from "./task-state.ts";
import { regionLive } from "./unwind.ts";

/** What a failure of the task does besides waking its joiners. */
export type FailureMode =
  /** Kills the parent with the error. The default. */
  | "parent"
  /** Nothing: it waits for a `join`. Reported when the parent ends and nobody has joined. */
  | "hold"
  /** Goes to the cooperator's reporter at once, and nowhere else. */
  | "report";

export interface KillOptions {
  /** Clean-up may take this long: `"5 seconds"`, or milliseconds. What has not stopped by then is reported. */
  readonly within?: number | string;
}

const KILL_OPTIONS: Known<KillOptions> = { within: true };

export class Task<A = unknown> extends Scope {
  /** Unique inside one cooperator, from 1. */
  readonly id: number;
  readonly cooperator: Cooperator;
  /** @internal The scope that owns it: a task, a group, or the root. */
  readonly owner: Scope;
  /** @internal Its name, or the function whose name it takes: names are only made when they are asked for. */
  private naming: string | { readonly name: string } | null;
  /** @internal The function that spawned it, or more about the place; null when no task did. */
  spawner: { readonly name: string } | null = null;
  /** @internal */ failure: FailureMode = "parent";
  /** @internal */ priority: Priority = NORMAL;
  /** @internal */ state: TaskState = BLOCKED;
  /** @internal The frame that runs. */
  top: Frame | null = null;
  /** @internal What it waits on. Kept while the task is ready, so that a kill can still hand the result back. */
  wait: Wait<unknown> | null = null;
  /** @internal Link of the run queue. */
  runNext: Task | null = null;
  /** @internal The outermost scope with a kill that may be delivered at the next suspension. */
  doomed: Scope | null = null;
  /** @internal The scope down to which frames are being unwound. */
  unwinding: Scope | null = null;
  /** @internal The first step has been taken. */
  started = false;
  /** @internal Values of {@link TaskLocal}s, shared with the spawner until one of the two sets one. */
  locals: ReadonlyMap<object, unknown> | null = null;
  /** @internal Its outcome has been looked at: a failure that is held need not be reported. */
  observed = false;
  /** @internal */ outcome: Exit<A> | null = null;
  /** @internal The first that waits for the end; nearly always the only one. */
  joiner: Coordinated | null = null;

  /** @internal Tasks are made by `spawn`. */
  constructor(
    cooperator: Cooperator,
    owner: Scope,
    id: number,
    naming: string | { readonly name: string } | null,
  ) {
    super();
    this.host = this as Task;
    this.cooperator = cooperator;
    this.owner = owner;
    this.id = id;
    this.naming = naming;
  }

  /** For dumps and messages; by default the name of the operation it runs. */
  get name(): string {
    const { naming } = this;
    return naming === null ? "" : typeof naming === "string" ? naming : naming.name;
  }
  set name(name: string) {
    this.naming = name;
  }

  /** Name and number, for messages: `session#12`. */
  override get label(): string {
    return `${this.name === "" ? "task" : this.name}#${this.id}`;
  }

  /** The task whose end ends this one; null for a task of the root. */
  get parent(): Task | null {
    return this.owner.host;
  }

  /** `"ready"`, `"running"`, `"blocked"`, `"draining"` or `"ended"`. */
  get status(): (typeof stateNames)[TaskState] {
    return stateNames[this.state];
  }

  /** True once a kill has been asked for, delivered or not. */
  get killed(): boolean {
    return this.cause !== null;
  }

  /** How it ended, or null while it lives. */
  get exit(): Exit<A> | null {
    return this.outcome;
  }

  /**
   * The value it ended with. Throws its error, or a {@link KilledError}, when it did not end well.
   *
   * @throws {UsageError} `COOP_NOT_ENDED` while it lives: `join` waits for it.
   */
  get result(): A {
    if (this.outcome === null) {
      throw new UsageError("COOP_NOT_ENDED", `${this.label} has not ended; wait for it with join()`);
    }
    this.observe();
    return unwrapExit(this.outcome, this);
  }

  /**
   * When it will be stopped, in milliseconds on the scale of `now()`: the earliest end of the timeouts around
   * what it does, of its own deadline and of those it inherits. A shield hides what is outside of it.
   * `Infinity` where nothing limits it, `-Infinity` when a kill is on its way.
   */
  get deadline(): number {
    return effectiveDeadline(this as Task);
  }

  /**
   * Kills the task when `now()` reaches `at`, with everything below it; the cause's reason is then a
   * {@link DeadlineError}. A later time than the one already set changes nothing.
   *
   * @throws {UsageError} `COOP_DURATION` when `at` is no number; `COOP_NO_CLOCK` where there is no clock.
   */
  tightenDeadline(at: number): void {
    tightenDeadline(this as Task, at);
  }

  /** @internal */
  override get limit(): number {
    const expiry = this.rare === null ? null : this.rare.expiry;
    return expiry === null ? Number.POSITIVE_INFINITY : expiry.deadline;
  }

  /** Waits for its end and gives the value; throws its error, or a {@link KilledError}. */
  join(): Operation<A> {
    return new OutcomeWait<A, A>(this, true);
  }

  /** Waits for its end and gives the exit; never throws on account of how it ended. */
  settled(): Operation<Exit<A>> {
    return new OutcomeWait<A, Exit<A>>(this, false);
  }

  /**
   * Asks the task and everything below it to stop, and returns at once. The first reason wins; a repeated
   * or late request changes nothing.
   */
  kill(reason?: unknown): void {
    requestKill(this, reason);
  }

  /**
   * Calls `hook` when this task is killed, before anything in it is woken; at once when it has been killed
   * already, and never when it ends by itself.
   *
   * @returns takes the hook off again.
   */
  onKill(hook: KillHook): () => void {
    return addKillHook(this as Task, hook);
  }

  /** Asks for the kill and waits until the whole subtree has cleaned up and ended. */
  killAndWait(reason?: unknown, options?: KillOptions): Operation<Exit<A>> {
    checkOptions(options, "killAndWait()", KILL_OPTIONS);
    return new KillWait<A>(this, reason, given(options, "within"));
  }

  /** Spawns a child of this task from anywhere on its thread. Most code wants the free `spawn`. */
  spawn<B>(body: Body<B>, options?: SpawnOptions): Task<B> {
    return spawnInto(this.cooperator, this, body, options);
  }

  /** Disposal asks for a kill and does not wait. */
  [Symbol.dispose](): void {
    this.kill("disposed");
  }

  /**
   * Asks for a kill and waits, outside of the tree, until the whole subtree has cleaned up and ended. Rejects with
   * what was thrown meanwhile; a task that has ended before is left as it is.
   */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.state === ENDED) return;
    this.kill("disposed");
    await new Promise<void>((resolve) => whenEnded(this as Task, resolve));
    this.observe();
    const exit = this.outcome!;
    if (exit.status === "failed") throw exit.error;
    if (exit.status === "killed" && exit.errors.length > 0) throw combineErrors(exit.errors);
  }

  /** @internal */
  override childFailed(errors: readonly unknown[], child: Task): void {
    const rare = this.needRare();
    rare.errors ??= [];
    // There can be more of them than a call takes arguments.
    for (const error of errors) rare.errors.push(error);
    requestKill(this, errors[0], { origin: child.label, failure: true });
  }

  /** @internal */
  override cleanupFailed(error: unknown): void {
    const rare = this.needRare();
    rare.errors ??= [];
    rare.errors.push(error);
    rare.ownFailure = true;
  }

  /** @internal Somebody has looked at the outcome. */
  observe(): void {
    this.observed = true;
    this.owner.rare?.held?.delete(this as Task);
  }

  /** @internal Something this task had to outlive is gone: its last child of a scope, or an operation. */
  drained(): void {
    if (this.state === DRAINING) {
      if (!regionLive(this as Task, this.doomed!)) this.cooperator.ready(this as Task);
    } else if (this.state === BLOCKED && this.wait !== null) this.wait.drained();
  }

  /** @internal */
  get ended(): boolean {
    return this.state === ENDED;
  }
}
