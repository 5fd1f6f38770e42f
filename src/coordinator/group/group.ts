/**
 * A group waits for its children; the first failure among them, or in its body, kills the rest, unless its
 * options say otherwise.
 *
 * It is a scope of the task that opens it: `self()` inside is the same task, and its end is the end of the
 * `yield*`. Opened in clean-up it is a fresh scope that the kill being cleaned up after does not reach.
 *
 * `all`, `race` and their like, and supervisors, are groups with other ideas of what the end of a child means:
 * subclasses that override {@link Group.childFailed} and {@link Group.release}. Source: seeds C-236, X-03, X-04.
 */

import { BusyError, combineErrors, UsageError } from "../errors.ts";
import { killChildren, requestKill } from "../kill/kill.ts";
import { type Body, type BodyWith, describeValue, enter, type Operation, op } from "../operation.ts";
import { checkOptions, given, type Known, nameOf } from "../options.ts";
import { yieldNow } from "../primitives.ts";
import { current, currentTask } from "../task/current.ts";
import { killedError } from "../task/exit.ts";
import { Drain, reportUnobserved, runDefers } from "../task/finish.ts";
import { type Deferred, Scope, ShieldScope, UNWOUND } from "../task/scope.ts";
import { addDefer, type SpawnOptions, spawnInto } from "../task/spawn.ts";
import type { Task } from "../task/task.ts";
import { Places, PlaceWait } from "./places.ts";

/** Is told of a child that has failed, and of its error. It cannot wait; what it throws fails the group. */
export type FailureHandler = (error: unknown, task: Task) => void;

export interface GroupOptions {
  /** For dumps and messages. Default `"group"`. */
  readonly name?: string;
  /** Children that may live at a time, daemons not counted: {@link Group.start} waits for a place. */
  readonly limit?: number;
  /**
   * What the failure of a child does. `"kill"`, the default: it kills the body and the other children.
   * `"collect"`: nothing until all have ended; then the group fails with all the errors. A function makes the
   * group supervised: the function is told, once for each child that fails, and the others go on.
   */
  readonly onFailure?: "kill" | "collect" | FailureHandler;
}

const KNOWN: Known<GroupOptions> = { name: true, limit: true, onFailure: true };

export class Group extends Scope {
  readonly name: string;
  /** @internal */ readonly errors: unknown[] = [];
  /** @internal Null where the number of children is not limited. */
  readonly places: Places | null;
  private readonly onFailure: "kill" | "collect" | FailureHandler;

  /** @internal Groups are made by {@link group}. */
  constructor(options?: GroupOptions) {
    super();
    checkOptions(options, "group()", KNOWN);
    this.name = nameOf(options, "group");
    const limit = given(options, "limit");
    this.places = limit === undefined || limit === Number.POSITIVE_INFINITY ? null : new Places(limit);
    this.onFailure = given(options, "onFailure") ?? "kill";
    const { onFailure } = this;
    if (onFailure !== "kill" && onFailure !== "collect" && typeof onFailure !== "function") {
      throw new UsageError(
        "COOP_OPTION",
        `onFailure is "kill", "collect" or a function, not ${describeValue(onFailure)}`,
      );
    }
  }

  /** @internal */
  override get label(): string {
    return this.name;
  }

  /** Live children. */
  get size(): number {
    return this.live;
  }

  /**
   * Spawns a child of the group; allowed as long as the group waits, from any task that holds it.
   *
   * @throws {ClosedError} when the group is over or being killed.
   * @throws {BusyError} when the group's limit is reached: {@link start} waits for a place.
   */
  spawn<A>(body: Body<A>, options?: SpawnOptions): Task<A> {
    const { places } = this;
    if (
      places !== null &&
      this.working >= places.limit &&
      given(options, "daemon") !== true &&
      given(options, "detached") !== true
    ) {
      this.checkOpen();
      throw new BusyError(
        `${this.name} has all of its ${places.limit} places taken; wait for one with start()`,
      );
    }
    return spawnInto(this.host!.cooperator, this, body, options);
  }

  /**
   * Waits for a place, first come, first served, and spawns; in a group without a limit the same as `spawn`.
   * A child that waits here for a place in its own group keeps the one it has.
   *
   * @throws {ClosedError} when the group is over or being killed, also while this waits.
   * @example
   * yield* group(function* (g) {
   *   for (const url of urls) yield* g.start(fetchPage(url));
   * }, { limit: 8 });
   */
  start<A>(body: Body<A>, options?: SpawnOptions): Operation<Task<A>> {
    return new PlaceWait(this, body, options);
  }

  /** Kills the body and the children; `yield* group(…)` then throws a {@link KilledError}. */
  kill(reason?: unknown): void {
    requestKill(this, reason);
  }

  /**
   * Like the free `defer`, for the end of the group: runs once its children are gone. Accepted while a kill
   * is on its way, too: what the body already holds must not leak.
   *
   * @throws {ClosedError} when the group is over.
   */
  defer(cleanup: Deferred): void {
    if (this.closed) this.checkOpen();
    addDefer(this, cleanup);
  }

  /** @internal What is about to be spawned is waited for as well. */
  override get working(): number {
    return this.places === null ? super.working : super.working + this.places.promised;
  }

  /** @internal */
  override release(child: Task): void {
    if (this.places !== null && child.rare?.daemon !== true) this.places.handOver();
    super.release(child);
  }

  /** @internal */
  override childFailed(errors: readonly unknown[], child: Task): void {
    const { onFailure } = this;
    if (onFailure === "collect") this.keep(errors);
    else if (onFailure === "kill") this.fail(errors, child);
    else this.tell(() => onFailure(combineErrors(errors), child), errors, child);
  }

  /** @internal The group fails with `errors`; what is left of it is killed. */
  fail(errors: readonly unknown[], child: Task): void {
    this.keep(errors);
    requestKill(this, errors[0], { origin: child.label, failure: true });
  }

  /** @internal The group fails with `errors` too. There can be more of them than a call takes arguments. */
  keep(errors: readonly unknown[]): void {
    for (const error of errors) this.errors.push(error);
  }

  /** @internal Calls back, as code of the task whose group it is. What that throws fails the group. */
  tell(callback: () => void, errors: readonly unknown[], child: Task): void {
    try {
      this.asHost(callback);
    } catch (error) {
      const known = (error as { cause?: unknown } | null | undefined)?.cause;
      this.fail([error, ...errors.filter((other) => other !== error && other !== known)], child);
    }
  }

  /** @internal What it spawns is then as if the group's own task had done it. */
  asHost(callback: () => void): void {
    const outer = current.task;
    current.task = this.host;
    try {
      callback();
    } finally {
      current.task = outer;
    }
  }

  /** @internal */
  override cleanupFailed(error: unknown): void {
    this.errors.push(error);
  }
}

/**
 * Runs `body` with a group, waits for every task it has spawned there, and gives the body's value.
 *
 * @throws the first error of the body or of a child, the others on its `errors`.
 * @throws {UsageError} `COOP_OPTION` for a limit that is no whole number from 1 up.
 * @example
 * const [a, b] = yield* group(function* (g) {
 *   const a = g.spawn(fetchPart(1)), b = g.spawn(fetchPart(2));
 *   return [yield* a.join(), yield* b.join()];
 * });
 */
export function group<A>(body: BodyWith<Group, A>, options?: GroupOptions): Operation<A> {
  return runGroup(new Group(options), body) as Operation<A>;
}

/** @internal Runs `body` in `g`, which is fresh. */
export const runGroup = op(function* (g: Group, body: BodyWith<any, unknown>) {
  const task = currentTask("group()");
  // A pending kill is met before anything is started: what is spawned would be refused, and an error beats a kill.
  if (task.doomed !== null) yield* yieldNow();
  g.host = task;
  let value: unknown;
  try {
    value = yield* enter(g, groupBody(g, body), "group()");
  } catch (error) {
    // A child's failure that comes back through a join in the body is the same error, not a second one.
    if (!g.errors.includes(error)) g.errors.push(error);
  } finally {
    yield* close(g);
  }
  if (value === UNWOUND) throw killedError(g.cause!, g.name, []);
  return value;
});

const groupBody = op(function* (g: Group, body: BodyWith<Group, unknown>) {
  const value = yield* enter(null, body, "group()", g);
  // Another task may have spawned one between the end of the last child and this step.
  do yield* new ChildrenWait(g);
  while (g.working > 0);
  return value;
});

/** Waits for the children like a {@link Drain}, daemons excepted, but a failure among them or a kill ends it. */
class ChildrenWait extends Drain {
  override get killMode(): any {
    return "unwind";
  }
  protected override count(scope: Scope): number {
    return scope.working;
  }
}

const close = op(function* (g: Group) {
  killChildren(g, `${g.name} has ended`);
  yield* new Drain(g);
  g.closed = true;
  yield* enter(new ShieldScope(), runDefers(g), "group()");
  reportUnobserved(g);
  if (g.errors.length > 0) throw combineErrors(g.errors);
});
