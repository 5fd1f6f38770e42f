/** Waiting for the end of a task. */
import type { Coordinated } from "../coordinated.ts";
import { EmbeddedList } from "../embedded-list.ts";
import { UsageError } from "../errors.ts";
import { Listener } from "../listener.ts";
import { Wait } from "../wait.ts";
import { type Exit, unwrapExit } from "./exit.ts";
import type { Task } from "./task.ts";
import { ENDED } from "./task-state.ts";

function addJoiner(target: Task, joiner: Coordinated): void {
  if (target.joiner === null) target.joiner = joiner;
  else {
    const rare = target.needRare();
    rare.joiners ??= new EmbeddedList();
    rare.joiners.push(joiner);
  }
}

/**
 * Tells somebody who is no task of the end of `target`, in the step that ends it; at once when it has ended.
 * The listener may not throw.
 */
export function whenEnded(target: Task, listener: () => void): void {
  if (target.state === ENDED) listener();
  else addJoiner(target, new Listener(listener));
}

/** The wait of `join` (unwraps the exit) and `settled` (gives it). */
export class OutcomeWait<A, R> extends Wait<R> {
  protected readonly target: Task<A>;
  private readonly unwrap: boolean;

  constructor(target: Task<A>, unwrap: boolean) {
    super();
    this.target = target;
    this.unwrap = unwrap;
  }

  override describe(): string {
    return `end of ${this.target.label}`;
  }

  override awaitedTasks(): readonly Task[] {
    return [this.target as Task];
  }

  protected override begin(task: Task): boolean {
    const target = this.target;
    target.cooperator.checkThread(task.cooperator);
    if (target.state === ENDED) return true;
    if ((target as Task) === task) {
      throw new UsageError("COOP_SELF_JOIN", `${task.label} cannot wait for its own end`);
    }
    addJoiner(target as Task, this);
    return false;
  }

  protected override finish(): R {
    const target = this.target;
    target.observe();
    const exit = target.outcome!;
    return (this.unwrap ? unwrapExit(exit, target) : exit) as R;
  }

  override abort(): boolean {
    const target = this.target;
    if (target.joiner !== this) this.list?.remove(this);
    else target.joiner = target.rare?.joiners?.shift() ?? null;
    return true;
  }
}

/**
 * Kills, then waits for the end; what is still cleaning up when the time is over is cut short and reported, also
 * when the one who waits is killed before: it may be part of what it kills.
 */
export class KillWait<A> extends OutcomeWait<A, Exit<A>> {
  private readonly reason: unknown;
  private readonly within: number | string | undefined;

  constructor(target: Task<A>, reason: unknown, within: number | string | undefined) {
    super(target, false);
    this.reason = reason;
    this.within = within;
  }

  protected override begin(task: Task): boolean {
    const target = this.target;
    target.cooperator.checkThread(task.cooperator);
    if (this.within !== undefined && target.state !== ENDED) {
      const cooperator = target.cooperator;
      const timeout = cooperator.requireTimers().after(this.within, () => cooperator.hurry(target as Task));
      whenEnded(target as Task, () => timeout.disarm());
    }
    target.kill(this.reason);
    // The kill of oneself or of an ancestor: there is nothing to wait for.
    if (task.doomed !== null) return false;
    return super.begin(task);
  }
}
