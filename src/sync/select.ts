/**
 * Waits for the first of several operations, without a task for each.
 *
 * ```
 *   begin, arm by arm ──────── one is done at once ───┐
 *          │                                          ▼
 *          └─ all queued ── the first is granted ─▶ decided: the others are left
 *                │                                    │ operations in flight are cancelled and waited for
 *                └───────── a kill ─▶ all are left    ▼
 *                                                  the winner's result is taken
 * ```
 * The first grant decides, and takes the others out of their queues in the same moment: an arm that loses
 * has neither taken nor given anything. To look at the arms only when the task runs again, and to prefer the
 * leftmost of those granted by then, would not do: an item that was sent, and that its receiver has seen,
 * cannot be taken back. Source: seeds C-216, C-217, X-23.
 */

import { UsageError } from "../coordinator/errors.ts";
import { Call, describeValue, type Operation } from "../coordinator/operation.ts";
import { checkOptions, given, type Known } from "../coordinator/options.ts";
import { currentTask } from "../coordinator/task/current.ts";
import type { Task } from "../coordinator/task/task.ts";
import { type Arm, Wait } from "../coordinator/wait.ts";

/** What is waited for: operations by name, or in an array. */
export type Arms = Readonly<Record<string, Operation<unknown>>> | readonly Operation<unknown>[];

/** The arm that has won: its name, or its place in the array, and what it gave. */
export type Won<A extends Arms> = A extends readonly Operation<infer V>[]
  ? { readonly key: number; readonly value: V }
  : {
      [K in keyof A]: { readonly key: K; readonly value: A[K] extends Operation<infer V> ? V : never };
    }[keyof A];

export interface SelectOptions {
  /** Of several arms that are available at once any may win, and not the leftmost: none can starve another. */
  readonly fair?: boolean;
}

const KNOWN: Known<SelectOptions> = { fair: true };

/**
 * Waits for the first of `arms`: acquires, sends and receives, signals, joins, sleeps, io operations. Of those
 * that are available at once the leftmost wins. The others are left as if they had never begun; an io operation
 * among them is cancelled, and waited for before this returns. An arm that fails makes this throw its error.
 * Arms can be used again in another `select`.
 *
 * @throws {UsageError} `COOP_NOT_AN_ARM` for an operation that runs code, such as a call of an `op`.
 * @example
 * const won = yield* select({ message: inbox.receive(), tick: sleep("1 second"), stop: stopping.wait() });
 * if (won.key === "message") handle(won.value);
 */
export function select<const A extends Arms>(arms: A, options?: SelectOptions): Operation<Won<A>> {
  checkOptions(options, "select()", KNOWN);
  return new Select(arms, given(options, "fair") ?? false) as Operation<unknown> as Operation<Won<A>>;
}

/**
 * Takes the first of `arms` that is available at once, or gives null; never waits.
 *
 * @throws {UsageError} `COOP_NOT_AN_ARM` also for an io operation: only its end shows what it gives.
 */
export function trySelect<const A extends Arms>(arms: A, options?: SelectOptions): Won<A> | null {
  checkOptions(options, "trySelect()", KNOWN);
  const attempt = new Select(arms, given(options, "fair") ?? false);
  return attempt.now(currentTask("trySelect()")) as Won<A> | null;
}

/** Values of `winner` that are no position. */
const UNDECIDED = -1;
const KILLED = -2;

class Select extends Wait<unknown> {
  private readonly keys: readonly (string | number)[];
  private readonly arms: readonly Arm<unknown>[] = [];
  private readonly fair: boolean;
  /** The arm that is begun first; the others follow in order, and then those before it. */
  private start = 0;
  /** How many arms have been begun. */
  private begun = 0;
  private winner = UNDECIDED;
  /** The winner threw when it was begun. */
  private failed = false;
  private failure: unknown = null;
  /** Operations that were cancelled and have not ended. */
  private lingering = 0;

  constructor(arms: Arms, fair: boolean) {
    super();
    const named = Array.isArray(arms) ? null : Object.keys(arms ?? {});
    this.arms = checked(arms, named);
    this.keys = named ?? this.arms.map((_, i) => i);
    this.fair = fair;
  }

  override describe(): string {
    return `first of ${this.arms.map((arm, i) => `${this.keys[i]}: ${arm.describe()}`).join(", ")}`;
  }

  override awaitedTasks(): readonly Task[] {
    return this.arms.flatMap((arm) => arm.waiter?.awaitedTasks() ?? []);
  }

  protected override begin(task: Task): boolean {
    this.reset(task);
    const { length } = this.arms;
    while (this.begun < length) {
      const i = (this.start + this.begun++) % length;
      if (this.enlistArm(i, task)) {
        this.decide(i);
        return this.lingering === 0;
      }
      // One was granted meanwhile, or has killed this very task.
      if (this.winner !== UNDECIDED || task.doomed !== null) return false;
    }
    return false;
  }

  /** The form that never waits. */
  now(task: Task): unknown {
    for (const [i, arm] of this.arms.entries()) {
      if (arm.lingers) throw notAnArm(this.keys[i]!, `${arm.describe()}, which has to be waited for`);
    }
    this.reset(task);
    const { length } = this.arms;
    while (this.winner === UNDECIDED && this.begun < length) {
      const i = (this.start + this.begun++) % length;
      if (this.enlistArm(i, task) || this.arms[i]!.waiter.satisfied) this.decide(i);
    }
    if (this.winner !== UNDECIDED) return this.finish(task);
    this.leave();
    this.rollback();
    return null;
  }

  private reset(task: Task): void {
    this.start = this.fair ? task.cooperator.fairStart(this.arms.length) : 0;
    this.begun = 0;
    this.winner = UNDECIDED;
    this.failed = false;
    this.failure = null;
    this.lingering = 0;
  }

  /** True when the arm is done at once, be it with an error. */
  private enlistArm(i: number, task: Task): boolean {
    try {
      return this.arms[i]!.enlist(task);
    } catch (error) {
      this.failed = true;
      this.failure = error;
      return true;
    }
  }

  override armGranted(waiter: Wait<unknown>): void {
    const i = this.arms.findIndex((arm) => arm.waiter === waiter);
    // A late grant of something else that the task has begun.
    if (i === -1) return;
    if (waiter.aborting) this.lingering--;
    else if (this.winner === UNDECIDED) this.decide(i);
    else return;
    if (this.lingering === 0) this.grant();
  }

  private decide(winner: number): void {
    this.winner = winner;
    this.leave();
  }

  /** Takes all arms but the winner out of their queues; what a driver works on is cancelled. */
  private leave(): void {
    // Kept above zero until the end: a timer's cancel is complete at once.
    this.lingering++;
    for (let k = 0; k < this.begun; k++) {
      const i = (this.start + k) % this.arms.length;
      if (i === this.winner) continue;
      const arm = this.arms[i]!;
      const { waiter } = arm;
      if (waiter.satisfied) continue;
      waiter.aborting = true;
      this.lingering++;
      if (!waiter.abort()) continue;
      this.lingering--;
      waiter.aborting = false;
      arm.forgo();
    }
    this.lingering--;
  }

  /** Lets go of what was cancelled and has now ended. */
  private forgoCancelled(): void {
    for (let k = 0; k < this.begun; k++) {
      const i = (this.start + k) % this.arms.length;
      if (i !== this.winner) this.giveBack(this.arms[i]!);
    }
  }

  private giveBack(arm: Arm<unknown>): void {
    const { waiter } = arm;
    if (waiter === null || waiter.task === null) return;
    waiter.aborting = false;
    waiter.rollback();
    arm.forgo();
  }

  protected override finish(task: Task): unknown {
    const { winner, failed, failure } = this;
    this.forgoCancelled();
    this.begun = 0;
    if (failed) {
      this.failed = false;
      this.failure = null;
      throw failure;
    }
    return { key: this.keys[winner]!, value: this.arms[winner]!.conclude(task) };
  }

  override abort(): boolean {
    if (this.winner === UNDECIDED) {
      this.winner = KILLED;
      this.leave();
    }
    if (this.lingering > 0) return false;
    this.rollback();
    return true;
  }

  override rollback(): void {
    this.forgoCancelled();
    if (this.winner >= 0 && !this.failed && this.begun > 0) this.giveBack(this.arms[this.winner]!);
    this.begun = 0;
  }

  protected override withdrawBegun(task: Task): void {
    super.withdrawBegun(task);
    // Nobody will come back for the operations that were cancelled just now.
    for (const arm of this.arms) arm.forgo();
  }
}

function checked(arms: Arms, named: readonly string[] | null): readonly Arm<unknown>[] {
  if (typeof arms !== "object" || arms === null) {
    throw new UsageError("COOP_NOT_AN_ARM", `select takes operations by name, not ${describeValue(arms)}`);
  }
  const keys: readonly (string | number)[] = named ?? [...(arms as readonly unknown[]).keys()];
  if (keys.length === 0)
    throw new UsageError("COOP_NOTHING_TO_WAIT_FOR", "give select at least one operation");
  return keys.map((key) => {
    const arm = (arms as Readonly<Record<string | number, unknown>>)[key];
    const isArm = typeof (arm as Arm<unknown> | null | undefined)?.enlist === "function";
    if (!isArm) {
      const what = arm instanceof Call ? `a call of ${arm.fn?.name || "an op"}` : describeValue(arm);
      throw notAnArm(key, what);
    }
    if (arm instanceof Select) throw notAnArm(key, "another select: put its arms into this one");
    if (arm instanceof Wait && arm.killMode !== "unwind") {
      throw notAnArm(key, `${arm.describe()}, which cannot be left once it has begun`);
    }
    return arm as Arm<unknown>;
  });
}

function notAnArm(key: string | number, what: string): UsageError {
  return new UsageError(
    "COOP_NOT_AN_ARM",
    `${key} is ${what}; an arm is an operation that only waits, such as receive(), acquire() or sleep(). ` +
      "Use race() for operations that run code",
  );
}
