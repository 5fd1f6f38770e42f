/**
 * Several operations at once: each branch is a child task in a group of the task that calls, and all of them
 * have ended, clean-up included, before the call goes on.
 *
 * What the end of a branch means is decided at that moment, in O(1); the calling task runs once, at the end.
 * Source: seeds C-236, X-04; peers' `all`, `race`, `any`, `allSettled`.
 */

import { UsageError } from "../errors.ts";
import { killChildren, requestKill } from "../kill/kill.ts";
import { type Body, describeValue, type Operation, op } from "../operation.ts";
import { checkOptions, given, type Known } from "../options.ts";
import { type Exit, unwrapExit } from "../task/exit.ts";
import type { Task } from "../task/task.ts";
import { Group, runGroup } from "./group.ts";
import { checkLimit } from "./places.ts";

/** Branches, in an array or by name. */
export type Branches = readonly Body<unknown>[] | Readonly<Record<string, Body<unknown>>>;

/** What a branch gives. */
export type ValueOf<B> =
  B extends Operation<infer A>
    ? A
    : B extends (self: any) => Operation<infer A>
      ? A
      : B extends (self: any) => PromiseLike<infer A>
        ? A
        : never;

/** For each branch what it gives, in the same shape. */
export type ValuesOf<B extends Branches> = { -readonly [K in keyof B]: ValueOf<B[K]> };

/** For each branch how it ended, in the same shape. */
export type ExitsOf<B extends Branches> = { -readonly [K in keyof B]: Exit<ValueOf<B[K]>> };

export interface ConcurrencyOptions {
  /** Branches that may be under way at a time; the others start in order as places become free. Default: all. */
  readonly limit?: number;
}

/**
 * Runs all branches and gives their values, in the order or under the names of `branches`. The first failure
 * kills the others, and is thrown once they have cleaned up. Nothing to run gives nothing, at once.
 *
 * @throws the first error, those of other branches on its `errors`; a {@link KilledError} for a branch that
 * somebody else has killed.
 * @example const [user, orders] = yield* all([fetchUser(id), fetchOrders(id)]);
 */
export function all<const B extends Branches>(
  branches: B,
  options?: ConcurrencyOptions,
): Operation<ValuesOf<B>> {
  const run = new AllOf("all", branches, limitOf(options, "all()"));
  return gather(run, (task) => unwrapExit(task.exit!, task)) as Operation<ValuesOf<B>>;
}

/**
 * Runs all branches to their end and gives their exits, in the order or under the names of `branches`. No
 * failure stops another branch, and none is thrown.
 *
 * @example
 * for (const exit of yield* allSettled(urls.map((url) => fetchPage(url)), { limit: 8 })) …
 */
export function allSettled<const B extends Branches>(
  branches: B,
  options?: ConcurrencyOptions,
): Operation<ExitsOf<B>> {
  const run = new SettledOf("allSettled", branches, limitOf(options, "allSettled()"));
  return gather(run, (task) => task.exit!) as Operation<ExitsOf<B>>;
}

/**
 * Runs all branches until the first ends, and gives its value or throws its error. The others are killed, and
 * have cleaned up before this returns. What their clean-up throws is reported when there is a value to give, and
 * else on the `errors` of what is thrown.
 *
 * @throws {UsageError} `COOP_NOTHING_TO_WAIT_FOR` when there are no branches: that would never end.
 * @example const page = yield* race([fetchPage(url, mirror1), fetchPage(url, mirror2)]);
 */
export function race<const B extends Branches>(branches: B): Operation<ValueOf<B[keyof B & BranchKey<B>]>> {
  const run = new FirstOf("race", branches);
  run.needOne();
  return firstOf(run) as Operation<any>;
}

/**
 * Runs all branches until one gives a value; the others are killed, and have cleaned up before this returns. A
 * branch that fails or is killed is out. What the losers' clean-up throws is reported.
 *
 * @throws {AggregateError} when none gives a value: its `errors` are those of the branches, in their order.
 * @throws {UsageError} `COOP_NOTHING_TO_WAIT_FOR` when there are no branches.
 * @example const socket = yield* any(addresses.map((address) => connect(address)));
 */
export function any<const B extends Branches>(branches: B): Operation<ValueOf<B[keyof B & BranchKey<B>]>> {
  const run = new AnyOf("any", branches);
  run.needOne();
  return firstOf(run) as Operation<any>;
}

const KNOWN: Known<ConcurrencyOptions> = { limit: true };

function limitOf(options: ConcurrencyOptions | undefined, what: string): number | undefined {
  checkOptions(options, what, KNOWN);
  return given(options, "limit");
}

/** The keys of an array that are branches, and not its methods. */
type BranchKey<B> = B extends readonly unknown[] ? number : string;

/** The group of the branches. */
abstract class BranchGroup extends Group {
  /** Names of the branches; null when they are in an array. */
  readonly keys: readonly string[] | null;
  readonly bodies: readonly Body<unknown>[];
  /** Those that have been started, in order. */
  readonly tasks: Task[] = [];

  constructor(name: string, branches: Branches, limit?: number) {
    super(limit === undefined ? { name } : { name, limit: checkLimit(limit) });
    if (typeof branches !== "object" || branches === null) throw notBranches(name, branches);
    if (Array.isArray(branches)) this.keys = null;
    else if (Symbol.iterator in branches) throw notBranches(name, branches);
    else this.keys = Object.keys(branches);
    this.bodies = this.keys === null ? [...(branches as readonly Body<unknown>[])] : Object.values(branches);
    for (let i = 0; i < this.bodies.length; i++) {
      const body: unknown = this.bodies[i];
      if (typeof body === "function") continue;
      if (typeof body === "object" && body !== null && Symbol.iterator in body && !Array.isArray(body))
        continue;
      throw new UsageError(
        "COOP_NOT_AN_OPERATION",
        `${name}() takes operations or generator functions; ${this.keys?.[i] ?? `[${i}]`} is ${describeValue(body)}`,
      );
    }
  }

  needOne(): void {
    if (this.bodies.length > 0) return;
    throw new UsageError(
      "COOP_NOTHING_TO_WAIT_FOR",
      `${this.name}() of nothing would never end: give at least one branch`,
    );
  }

  /** A branch has ended. What its failure does is left to this, and not to `childFailed`. */
  abstract branchEnded(task: Task): void;

  /** The whole ends as this branch did, with its error or killed for its reason. */
  endWith(task: Task): void {
    const exit = task.exit!;
    if (exit.status === "failed") this.fail([exit.error], task);
    else if (exit.status === "killed") {
      const { reason, origin } = exit.cause;
      this.keep(exit.errors);
      requestKill(this, reason, origin === null ? undefined : { origin });
    }
  }

  override release(child: Task): void {
    this.branchEnded(child);
    super.release(child);
  }

  override childFailed(): void {}
}

function notBranches(name: string, value: unknown): UsageError {
  return new UsageError(
    "COOP_NOT_AN_OPERATION",
    `${name}() takes an array or a record of operations, not ${describeValue(value)}`,
  );
}

/** The error of an exit that is none of ours: of a failure, or of a kill from elsewhere. */
function errorOf(task: Task): unknown {
  try {
    unwrapExit(task.exit!, task);
    return null;
  } catch (error) {
    return error;
  }
}

class AllOf extends BranchGroup {
  override branchEnded(task: Task): void {
    if (task.exit!.status === "done") return;
    // What was killed with the rest has nothing to say but what its clean-up threw.
    if (this.cause === null && !this.closed) this.endWith(task);
    else this.keep(cleanupErrors(task));
  }
}

class SettledOf extends BranchGroup {
  override branchEnded(task: Task): void {
    // Nobody will see the exits of a call that is being killed.
    if (this.cause !== null || this.closed) this.keep(cleanupErrors(task));
  }
}

class FirstOf extends BranchGroup {
  winner: Task | null = null;

  override branchEnded(task: Task): void {
    if (this.winner !== null) this.lost(task);
    else if (this.cause === null && !this.closed) this.win(task);
    else this.keep(cleanupErrors(task));
  }

  win(task: Task): void {
    this.winner = task;
    if (task.exit!.status === "done") killChildren(this, `${task.label} has won the ${this.name}`);
    else this.endWith(task);
  }

  lost(task: Task): void {
    const errors = cleanupErrors(task);
    if (this.winner!.exit!.status !== "done") this.keep(errors);
    else {
      for (const error of errors) {
        task.cooperator.report({ kind: "failure", task, where: `had lost the ${this.name}`, error });
      }
    }
  }

  result(): unknown {
    return unwrapExit(this.winner!.exit!, this.winner!);
  }
}

function cleanupErrors(task: Task): readonly unknown[] {
  const exit = task.exit!;
  return exit.status === "failed" ? [exit.error] : exit.status === "killed" ? exit.errors : [];
}

class AnyOf extends FirstOf {
  override win(task: Task): void {
    if (task.exit!.status === "done") super.win(task);
  }

  override result(): unknown {
    if (this.winner !== null) return super.result();
    const errors = this.tasks.map(errorOf);
    throw new AggregateError(errors, `all ${errors.length} branches failed`);
  }
}

const startAll = op(function* (run: BranchGroup) {
  for (const body of run.bodies) {
    let task: Task;
    try {
      task = run.places === null ? run.spawn(body) : yield* run.start(body);
    } catch (error) {
      if (run.cause !== null || run.closed) throw error;
      // A function that throws when it is called is a branch that fails, like any other.
      const failing = throwing(error);
      task = run.places === null ? run.spawn(failing) : yield* run.start(failing);
    }
    run.tasks.push(task);
  }
});

function throwing(error: unknown): Operation<never> {
  return {
    [Symbol.iterator]: () => ({
      next() {
        throw error;
      },
    }),
  };
}

const gather = op(function* (run: BranchGroup, resultOf: (task: Task) => unknown) {
  yield* runGroup(run, () => startAll(run));
  const { keys, tasks } = run;
  if (keys === null) return tasks.map(resultOf);
  return Object.fromEntries(keys.map((key, i) => [key, resultOf(tasks[i]!)]));
});

const firstOf = op(function* (run: FirstOf) {
  yield* runGroup(run, () => startAll(run));
  return run.result();
});
