/**
 * A supervisor keeps children running: it starts again those that end, with longer and longer pauses, and
 * gives up when that happens too often.
 *
 * It is a group whose children are made by factories. Each goes round:
 *
 * ```
 *            ┌──────── ended, to be restarted ──────▶ waiting ── pause over ──┐
 *   running ─┤                                          ▲                     ▼
 *      │     └─ a sibling's strategy stops it ─▶ stopping ── ended ──┘       running
 *      └─ ended for good ─▶ over
 * ```
 * Everything is decided at the moment a child ends, by callbacks of the group and of timers: no task of its own
 * watches, so nothing about supervision can be killed by itself or be late. Source: seeds X-04; the strategies
 * are those of Erlang/OTP.
 */

import { RestartLimitError, UsageError } from "../errors.ts";
import { requestKill } from "../kill/kill.ts";
import { type Body, type BodyWith, describeValue, enter, type Operation, op } from "../operation.ts";
import { checkOptions, given, type Known, nameOf } from "../options.ts";
import type { Cooperator } from "../scheduler/cooperator.ts";
import { type Exit, unwrapExit } from "../task/exit.ts";
import { addDefer } from "../task/spawn.ts";
import type { Task } from "../task/task.ts";
import { Group, type GroupOptions, runGroup } from "./group.ts";
import {
  type Factory,
  PendingRestart,
  type RestartPolicy,
  SupervisedChild,
  type SupervisedOptions,
} from "./supervised.ts";

/**
 * Which children are started again when one is: that one, all, or that one and those spawned after it. The
 * others are killed first, and have cleaned up before any is started.
 */
export type Strategy = "one-for-one" | "one-for-all" | "rest-for-one";

/** A restart that is about to be made. */
export interface Restart {
  /** The child whose end is the reason. */
  readonly child: SupervisedChild;
  /** How it ended. */
  readonly exit: Exit<unknown>;
  /** The pause before it is started again, in milliseconds. */
  readonly pause: number;
}

export interface SupervisorOptions {
  /** For dumps and messages. Default `"supervisor"`. */
  readonly name?: string;
  /** Default `"one-for-one"`. */
  readonly strategy?: Strategy;
  /** For children that do not say otherwise. Default `"on-failure"`. */
  readonly restart?: RestartPolicy;
  /**
   * The pause before a restart: `first`, and twice as long with each restart in a row, up to `most`. A child that
   * has run for `most` begins anew. Default 100 milliseconds up to 30 seconds.
   */
  readonly backoff?: { readonly first?: number | string; readonly most?: number | string };
  /** More restarts than this in any such span fail the supervisor. Default 5 within 1 minute. */
  readonly intensity?: { readonly restarts?: number; readonly within?: number | string };
  /** Is told of each restart, and may throw to fail the supervisor. Default: the failure is reported. */
  readonly onRestart?: (restart: Restart) => void;
}

type Backoff = NonNullable<SupervisorOptions["backoff"]>;
type Intensity = NonNullable<SupervisorOptions["intensity"]>;

const KNOWN: Known<SupervisorOptions> = {
  name: true,
  strategy: true,
  restart: true,
  backoff: true,
  intensity: true,
  onRestart: true,
};
const BACKOFF: Known<Backoff> = { first: true, most: true };
const INTENSITY: Known<Intensity> = { restarts: true, within: true };
const SPAWN: Known<SupervisedOptions> = { name: true, priority: true, restart: true };

const FIRST_DEFAULT = 100;
const MOST_DEFAULT = "30 seconds";
const RESTARTS_DEFAULT = 5;
const WITHIN_DEFAULT = "1 minute";
const NS_PER_MS = 1e6;
/** Doublings of the pause that make a difference; many more, and no pause at all would become NaN. */
const DOUBLINGS_MAX = 64;
const strategies: readonly unknown[] = ["one-for-one", "one-for-all", "rest-for-one"];
const policies: readonly unknown[] = ["always", "on-failure", "never"];

/**
 * Runs `body` with a supervisor, and waits until no child runs or is to be restarted; gives the body's value.
 *
 * @throws {RestartLimitError} when children had to be restarted too often; its cause is the last failure.
 * @throws what the body throws; the children are killed first.
 * @example
 * yield* supervise(function* (s) {
 *   s.spawn(() => consumer(queue), { restart: "always" });
 *   s.spawn(() => listener(8080));
 * });
 */
export function supervise<A>(body: BodyWith<Supervisor, A>, options?: SupervisorOptions): Operation<A> {
  return runSupervisor(new Supervisor(options), body) as Operation<A>;
}

const runSupervisor = op(function* (s: Supervisor, body: BodyWith<Supervisor, unknown>) {
  const { scope } = s;
  addDefer(scope, () => s.disarm());
  const prepared = op(function* () {
    s.prepare(scope.host!.cooperator);
    return yield* enter(null, body, "supervise()", s);
  });
  return yield* runGroup(scope, prepared);
});

export class Supervisor {
  /** @internal */ readonly scope: SupervisorScope;
  /** @internal */ cooperator: Cooperator | null = null;
  /** @internal Restarts that have not been made yet. */
  readonly pending = new Set<PendingRestart>();
  /** @internal Those that run or are to be started again. */
  readonly all = new Set<SupervisedChild>();
  private readonly strategy: Strategy;
  private readonly policy: RestartPolicy;
  private readonly options: SupervisorOptions | undefined;
  private readonly restartsMax: number;
  private readonly onRestart: ((restart: Restart) => void) | null;
  private first = 0;
  private most = 0;
  private within = 0;
  /** When the last restarts were decided on, in nanoseconds; at most one more than are allowed. */
  private readonly times: number[] = [];

  /** @internal Supervisors are made by {@link supervise}. */
  constructor(options?: SupervisorOptions) {
    checkOptions(options, "supervise()", KNOWN);
    checkOptions(given(options, "backoff"), "backoff", BACKOFF);
    checkOptions(given(options, "intensity"), "intensity", INTENSITY);
    this.options = options;
    this.strategy = oneOf(strategies, given(options, "strategy") ?? "one-for-one", "a strategy") as Strategy;
    this.policy = oneOf(policies, given(options, "restart") ?? "on-failure", "restart") as RestartPolicy;
    this.onRestart = given(options, "onRestart") ?? null;
    if (this.onRestart !== null && typeof this.onRestart !== "function") {
      throw new UsageError("COOP_OPTION", `onRestart is a function, not ${describeValue(this.onRestart)}`);
    }
    this.restartsMax = given(given(options, "intensity"), "restarts") ?? RESTARTS_DEFAULT;
    if (typeof this.restartsMax !== "number" || !(this.restartsMax >= 0))
      throw new UsageError("COOP_OPTION", "intensity.restarts is a number from 0 up");
    this.scope = new SupervisorScope(this, { name: nameOf(options, "supervisor") });
  }

  get name(): string {
    return this.scope.name;
  }

  /** Children that run or are to be started again, in the order in which they were spawned. */
  get children(): readonly SupervisedChild[] {
    return [...this.all];
  }

  /**
   * Starts a child and keeps it running. `factory` is called for every start; what it throws is a failure of the
   * child.
   *
   * @throws {ClosedError} when the supervisor is over or being killed.
   */
  spawn(factory: Factory, options?: SupervisedOptions): SupervisedChild {
    if (typeof factory !== "function") {
      throw new UsageError(
        "COOP_NOT_A_FACTORY",
        `a supervisor calls a function for each start, and cannot use ${describeValue(factory)}: give () => it`,
      );
    }
    checkOptions(options, "a supervised child", SPAWN);
    this.scope.checkOpen();
    const policy = oneOf(policies, given(options, "restart") ?? this.policy, "restart") as RestartPolicy;
    const child = new SupervisedChild(this, factory, policy, options);
    this.all.add(child);
    this.start(child);
    return child;
  }

  /** Kills the body and all children; `yield* supervise(…)` then throws a {@link KilledError}. */
  kill(reason?: unknown): void {
    requestKill(this.scope, reason);
  }

  /** @internal */
  prepare(cooperator: Cooperator): void {
    const timers = cooperator.requireTimers();
    const backoff = given(this.options, "backoff");
    this.cooperator = cooperator;
    this.most = timers.nanoseconds(given(backoff, "most") ?? MOST_DEFAULT);
    this.first = Math.min(this.most, timers.nanoseconds(given(backoff, "first") ?? FIRST_DEFAULT));
    this.within = timers.nanoseconds(given(given(this.options, "intensity"), "within") ?? WITHIN_DEFAULT);
  }

  /** @internal A child's task has ended and left the group. */
  ended(task: Task): void {
    const child = this.childOf(task);
    if (child === null) return;
    child.task = null;
    const exit = task.exit!;
    if (this.scope.cause !== null || this.scope.closed) {
      this.all.delete(child);
      return;
    }
    if (child.stopping) {
      child.stopping = false;
      this.tellErrors(exit, task, "was being restarted");
      child.pending!.arm();
    } else if (child.policy === "always" || (child.policy === "on-failure" && exit.status === "failed")) {
      this.decide(child, exit, task);
    } else {
      this.all.delete(child);
      this.tellErrors(exit, task, "");
    }
  }

  /** @internal The children are down and the pause is over. */
  restart(pending: PendingRestart): void {
    this.pending.delete(pending);
    if (this.scope.cause !== null || this.scope.closed) return;
    // Set order is the order of the failures; a start is in the order of the first spawns.
    for (const child of this.all) {
      if (child.pending !== pending) continue;
      child.pending = null;
      child.restarts++;
      this.start(child);
    }
  }

  /** @internal Nobody wants that restart any more. */
  cancel(pending: PendingRestart): void {
    pending.timer?.disarm();
    this.pending.delete(pending);
    if (this.scope.working === 0) this.scope.host?.drained();
  }

  /** @internal */
  disarm(): void {
    for (const pending of this.pending) pending.timer?.disarm();
    this.pending.clear();
  }

  private start(child: SupervisedChild): void {
    child.since = this.scope.host!.cooperator.now();
    const { factory } = child;
    this.scope.asHost(() => {
      child.task = this.scope.spawn(incarnation(factory), child.options);
      this.scope.byTask.set(child.task, child);
    });
  }

  private childOf(task: Task): SupervisedChild | null {
    const child = this.scope.byTask.get(task) ?? null;
    this.scope.byTask.delete(task);
    return child;
  }

  /** The end of `child` is reason to start it again, and others with it. */
  private decide(child: SupervisedChild, exit: Exit<unknown>, task: Task): void {
    const now = this.cooperator!.now();
    if (this.tooOften(now)) {
      this.all.delete(child);
      this.scope.fail([limitError(this, child, exit, task)], task);
      return;
    }
    if (now - child.since >= this.most) child.inRow = 0;
    const pause = Math.min(this.most, this.first * 2 ** Math.min(child.inRow++, DOUBLINGS_MAX)) / NS_PER_MS;
    const errors = exit.status === "failed" ? [exit.error] : [];
    const { onRestart } = this;
    if (onRestart === null) this.tellErrors(exit, task, `is restarted in ${pause} ms`);
    else this.scope.tell(() => onRestart({ child, exit, pause }), errors, task);
    if (this.scope.cause !== null) return;
    // Told of the end, somebody may have stopped it.
    if (!this.all.has(child)) return;
    const shared = this.strategy === "one-for-one" ? undefined : this.pending.values().next().value;
    const pending = shared ?? new PendingRestart(this);
    pending.pause = pause;
    this.pending.add(pending);
    pending.add(child);
    if (this.strategy !== "one-for-one") this.stopOthers(child, pending);
    pending.arm();
  }

  private stopOthers(child: SupervisedChild, pending: PendingRestart): void {
    let reached = this.strategy === "one-for-all";
    for (const other of this.children) {
      if (other === child) reached = true;
      else if (reached && other.task !== null && !other.stopping) {
        // One that is never restarted goes down with the others, and is over.
        if (other.policy !== "never") {
          other.stopping = true;
          pending.add(other);
        }
        requestKill(other.task, `${child.name} is restarted`);
      }
    }
  }

  private tooOften(now: number): boolean {
    const { times, within, restartsMax } = this;
    if (restartsMax === Number.POSITIVE_INFINITY) return false;
    times.push(now);
    while (times.length > 0 && times[0]! <= now - within) times.shift();
    return times.length > restartsMax;
  }

  private tellErrors(exit: Exit<unknown>, task: Task, where: string): void {
    const errors = exit.status === "failed" ? [exit.error] : exit.status === "killed" ? exit.errors : [];
    for (const error of errors) task.cooperator.report({ kind: "failure", task, where, error });
  }
}

/** The group behind a supervisor. */
class SupervisorScope extends Group {
  readonly byTask = new Map<Task, SupervisedChild>();
  private readonly supervisor: Supervisor;

  constructor(supervisor: Supervisor, options: GroupOptions) {
    super(options);
    this.supervisor = supervisor;
  }

  /** What is to be restarted is waited for as well. */
  override get working(): number {
    return super.working + this.supervisor.pending.size;
  }

  /** A failure while all are being stopped is the supervisor's; any other is looked at in `release`. */
  override childFailed(errors: readonly unknown[]): void {
    if (this.cause !== null || this.closed) this.keep(errors);
  }

  override release(child: Task): void {
    // Before the group looks whether anything is left to wait for.
    this.supervisor.ended(child);
    super.release(child);
  }
}

/** A start: the factory is called in the task, so that what it throws is the child's failure. */
const incarnation = op(function* (factory: Factory) {
  return yield* enter(null, factory as Body<unknown>, "a supervised child");
});

function limitError(
  s: Supervisor,
  child: SupervisedChild,
  exit: Exit<unknown>,
  task: Task,
): RestartLimitError {
  let cause: unknown;
  try {
    unwrapExit(exit, task);
  } catch (error) {
    cause = error;
  }
  return new RestartLimitError(
    `${s.name} gives up: ${child.name} ended once more, and more restarts than it allows were needed`,
    cause === undefined ? undefined : { cause },
  );
}

function oneOf(allowed: readonly unknown[], value: unknown, what: string): unknown {
  if (allowed.includes(value)) return value;
  throw new UsageError("COOP_OPTION", `${what} is one of ${allowed.join(", ")}, not ${describeValue(value)}`);
}
