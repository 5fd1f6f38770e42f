/**
 * The end of a task, in this order: children are killed and drained, operations in flight are cancelled and
 * drained, defers run, the exit is recorded, the parent is told, the joiners are woken. Its owner can thus
 * never end before it. Source: seeds; design D5.
 */

import { noteExit } from "../diagnosis/trace.ts";
import type { EmbeddedList } from "../embedded-list.ts";
import { combineErrors } from "../errors.ts";
import { killChildren } from "../kill/kill.ts";
import { type Body, enter, isAsync } from "../operation.ts";
import type { Inflight } from "../scheduler/inflight.ts";
import { Wait } from "../wait.ts";
import { isThenable } from "./async-body.ts";
import { type Exit, NO_ERRORS } from "./exit.ts";
import { Frame } from "./frame.ts";
import type { Contended, Rare } from "./rare.ts";
import { CancelScope, type Deferred, type Scope, ShieldScope } from "./scope.ts";
import type { Task } from "./task.ts";
import { ENDED } from "./task-state.ts";

/** The bottom frame is gone: ends the task, or pushes the frame that does what is still to be done. */
export function bodyEnded(task: Task, failed: boolean, value: unknown): void {
  const { rare } = task;
  if (rare !== null && rare.cleanupErrors !== null) {
    for (const { error } of rare.cleanupErrors) task.cleanupFailed(error);
    rare.cleanupErrors = null;
  }
  if (failed) task.cleanupFailed(value);
  if (task.live === 0 && (rare === null || (rare.defers === null && !hasInflight(rare)))) {
    finishTask(task, value);
    return;
  }
  const shield = new ShieldScope();
  shield.host = task;
  task.closed = true;
  task.doomed = null;
  task.top = new Frame(windUp(task, value), null, shield, null, true);
}

/** What is left to do when the body of `task` is over. Shielded: a kill changes the outcome, not this. */
function* windUp(task: Task, value: unknown): Generator<unknown, unknown, unknown> {
  if (task.live > 0) killChildren(task, `${task.label} has ended`);
  task.rare?.inflight?.visit(abandon);
  yield* new Drain(task);
  yield* runDefers(task);
  // Defers may have queued operations and left them.
  task.rare?.inflight?.visit(abandon);
  yield* new Drain(task);
  return value;
}

function hasInflight(rare: Rare): boolean {
  return rare.inflight !== null && rare.inflight.length > 0;
}

function abandon(operation: Inflight): boolean {
  operation.abandon();
  return true;
}

/** Runs the defers of a scope, last registered first; all of them run, whatever some throw. */
export function* runDefers(scope: Scope): Generator<unknown, void, unknown> {
  const { rare } = scope;
  if (rare === null) return;
  while (rare.defers !== null) {
    const deferred = rare.defers.pop();
    if (deferred === undefined) rare.defers = null;
    else {
      try {
        yield* run(deferred);
      } catch (error) {
        scope.cleanupFailed(error);
      }
    }
  }
}

/** Each defer has a scope of its own, which is how one that overruns its time is cut short. */
export class DeferScope extends CancelScope {}

function* run(deferred: Deferred): Generator<unknown, void, unknown> {
  let body: unknown = deferred;
  if (typeof deferred === "function" && !isAsync(deferred, undefined)) {
    const made: unknown = (deferred as () => unknown)();
    if (typeof made !== "object" || made === null) return;
    if (isThenable(made)) body = () => made;
    else if (Symbol.iterator in made && !isCollection(made)) body = made;
    else return;
  }
  yield* enter(new DeferScope(), body as Body<unknown>, "defer()");
}

/** What a plain function gives by the way: `defer(() => seen.add(x))`. */
function isCollection(value: object): boolean {
  return Array.isArray(value) || value instanceof Map || value instanceof Set || ArrayBuffer.isView(value);
}

/** Waits until the children of a scope, and for a task its operations in flight, are gone. */
export class Drain extends Wait<void> {
  private readonly scope: Scope;
  constructor(scope: Scope) {
    super();
    this.scope = scope;
  }
  override get killMode(): "ignore" {
    return "ignore";
  }
  override get awaitedScope(): Scope {
    return this.scope;
  }
  override describe(): string {
    const { scope } = this;
    return scope.live > 0 ? `end of ${scope.live} children` : "operations in flight";
  }
  override awaitedTasks(): readonly Task[] {
    return this.scope.children === null ? [] : [...this.scope.children];
  }
  protected override begin(): boolean {
    return this.done();
  }
  protected override finish(): void {}
  override abort(): boolean {
    return true;
  }
  override drained(): void {
    if (this.done()) this.grant();
  }
  /** Children that are waited for. */
  protected count(scope: Scope): number {
    return scope.live;
  }
  private done(): boolean {
    const { scope } = this;
    if (this.count(scope) > 0) return false;
    return scope.rare === null || !hasInflight(scope.rare);
  }
}

/** Records the exit and lets go of everything. */
export function finishTask(task: Task, value: unknown): void {
  const { cooperator, owner, rare } = task;
  const exit = exitOf(task, value);
  task.outcome = exit;
  task.state = ENDED;
  task.closed = true;
  task.doomed = null;
  task.top = null;
  if (exit.status === "done") cooperator.counts.done++;
  else if (exit.status === "failed") cooperator.counts.failed++;
  else cooperator.counts.killed++;
  if (rare !== null && rare.contended !== null) breakContended(task, rare.contended);
  if (rare !== null && rare.held !== null) reportUnobserved(task);
  if (rare !== null && rare.expiry !== null) rare.expiry.disarm();
  if (exit.status !== "done") tellOwner(task, exit);
  owner.release(task);
  if (cooperator.probe !== null) cooperator.probe.ended(task);
  const { joiner } = task;
  if (joiner === null) return;
  task.joiner = null;
  joiner.grant();
  const joiners = rare === null ? null : rare.joiners;
  if (joiners !== null) for (let node = joiners.shift(); node !== null; node = joiners.shift()) node.grant();
}

function exitOf(task: Task, value: unknown): Exit<unknown> {
  const { cause, rare } = task;
  const errors = rare === null ? null : rare.errors;
  if (errors !== null && (rare!.ownFailure || cause === null || cause.failure)) {
    for (const error of errors) noteExit(task, error);
    return { status: "failed", error: combineErrors(errors) };
  }
  if (cause !== null) return errors === null ? cause.exit : { status: "killed", cause, errors };
  return { status: "done", value };
}

function breakContended(task: Task, contended: EmbeddedList<Contended>): void {
  for (let held = contended.shift(); held !== null; held = contended.shift()) held.breakWaiters(task);
}

/** Errors go up unless they are held for a join; a task that was merely killed tells nobody. */
function tellOwner(task: Task, exit: Exit<unknown>): void {
  const errors = exit.status === "failed" ? [exit.error] : exit.status === "killed" ? exit.errors : NO_ERRORS;
  if (errors.length === 0) return;
  if (task.failure === "parent") task.owner.childFailed(errors, task);
  else if (task.failure === "report") {
    for (const error of errors) task.cooperator.report({ kind: "failure", task, where: "", error });
  } else if (!task.observed) {
    const rare = task.owner.needRare();
    rare.held ??= new Set();
    rare.held.add(task);
  }
}

/** Reports the held failures that nobody has looked at by the time their owner ends. */
export function reportUnobserved(owner: Scope): void {
  const held = owner.rare?.held ?? null;
  if (held === null) return;
  for (const task of held) {
    const exit = task.outcome!;
    if (exit.status === "failed") {
      task.cooperator.report({ kind: "failure", task, where: "", error: exit.error });
    }
  }
  held.clear();
}
