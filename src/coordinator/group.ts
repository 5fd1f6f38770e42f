/**
 * A group waits for its children; the first failure among them, or in its body, kills the rest.
 *
 * It is a scope of the task that opens it: `self()` inside is the same task, and its end is the end of the
 * `yield*`. Opened in clean-up it is a fresh scope that the kill being cleaned up after does not reach.
 */
import { currentTask } from "./current.ts";
import { combineErrors } from "./errors.ts";
import { killedError } from "./exit.ts";
import { Drain, reportUnobserved, runDefers } from "./finish.ts";
import { killChildren, requestKill } from "./kill.ts";
import { type Body, enter, type Operation, op } from "./operation.ts";
import { type Deferred, Scope, ShieldScope, UNWOUND } from "./scope.ts";
import { addDefer, type SpawnOptions, spawnInto } from "./spawn.ts";
import type { Task } from "./task.ts";

export class Group extends Scope {
  readonly name: string;
  /** @internal */ readonly errors: unknown[] = [];

  /** @internal Groups are made by {@link group}. */
  constructor(name: string) {
    super();
    this.name = name;
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
   */
  spawn<A>(body: Body<A>, options?: SpawnOptions): Task<A> {
    return spawnInto(this.host!.cooperator, this, body, options);
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

  /** @internal */
  override childFailed(errors: readonly unknown[], child: Task): void {
    this.errors.push(...errors);
    requestKill(this, errors[0], { origin: child.label, failure: true });
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
 * @example
 * const [a, b] = yield* group(function* (g) {
 *   const a = g.spawn(fetchPart(1)), b = g.spawn(fetchPart(2));
 *   return [yield* a.join(), yield* b.join()];
 * });
 */
export function group<A>(
  body: (g: Group) => Operation<A>,
  options?: { readonly name?: string },
): Operation<A> {
  return runGroup(body, options?.name ?? "group") as Operation<A>;
}

const runGroup = op(function* (body: (g: Group) => Operation<unknown>, name: string) {
  const g = new Group(name);
  g.host = currentTask("group()");
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

const groupBody = op(function* (g: Group, body: (g: Group) => Operation<unknown>) {
  const value = yield* enter(null, body(g), "group()");
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
