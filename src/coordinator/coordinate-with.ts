/**
 * Waiting for several coordinators at once, level 0: nothing unwinds, the result says what happened.
 *
 * On return exactly one of the arguments has been acquired, or none when the wait was killed or timed out.
 * The leftmost that is available wins; others that fired meanwhile are released again, so their next waiter
 * gets them. Priority of outcomes: kill, then the arguments from the left, then the timeout. Everything is
 * tried before anything is queued or a timer is armed. Source: seeds C-030 … C-047, X-23.
 */

import { Coordinated } from "./coordinated.ts";
import { Coordinator } from "./coordinator.ts";
import { UsageError } from "./errors.ts";
import { describeValue, type Operation } from "./operation.ts";
import { checkOptions, given, type Known } from "./options.ts";
import type { Timeout } from "./scheduler/timers.ts";
import { Signal } from "./signal.ts";
import type { Task } from "./task/task.ts";
import { type KillMode, Wait } from "./wait.ts";

/** What can be waited for together. */
export type Coordinable = Coordinator | Signal;

export interface WaitOptions {
  /** Give up after this long: `"2 seconds"`, or milliseconds. Needs a cooperator with a clock. */
  readonly within?: number | string;
  /** Of several that are available, any may win and not the leftmost: none can starve another. */
  readonly fair?: boolean;
}

/** How a wait for several coordinators ended. */
export class CoordinationResult {
  /** Position of the winner among the arguments; -1 when killed, -2 when timed out. */
  readonly index: number;
  /** The winner, now owned by the caller (a signal is not owned); null when killed or timed out. */
  readonly coordinator: Coordinable | null;
  constructor(index: number, coordinator: Coordinable | null) {
    this.index = index;
    this.coordinator = coordinator;
  }
  get killed(): boolean {
    return this.index === KILLED;
  }
  get timedOut(): boolean {
    return this.index === TIMED_OUT;
  }
}

const KNOWN: Known<WaitOptions> = { within: true, fair: true };

/** Options, and not something that is no coordinator. */
function isPlain(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  const kind: unknown = Object.getPrototypeOf(value);
  return kind === Object.prototype || kind === null;
}

const KILLED = -1;
const TIMED_OUT = -2;

type Arguments = readonly [...Coordinable[], WaitOptions] | readonly Coordinable[];

/**
 * Waits for the first of `coordinators`. Not kill-aware: a kill meets the task at its next wait, which is
 * what clean-up after a kill needs.
 */
export function coordinateWith(...args: Arguments): Operation<CoordinationResult> {
  return new MultiWait(args, "ignore");
}

/** Waits for the first of `coordinators`, or for a kill, which comes back as `result.killed`. */
export function coordinateWithKill(...args: Arguments): Operation<CoordinationResult> {
  return new MultiWait(args, "observe");
}

/** One link of a wait for several. */
class MultiNode extends Coordinated {
  readonly wait: MultiWait;
  target: Coordinable;
  failure: unknown = null;
  constructor(wait: MultiWait, target: Coordinable, task: Task) {
    super();
    this.wait = wait;
    this.target = target;
    this.task = task;
  }
  override grant(): void {
    this.satisfied = true;
    this.wait.nodeSatisfied();
  }
  override fail(error: unknown): void {
    this.failure = error;
    this.grant();
  }
  override moved(to: Coordinator): void {
    this.target = to;
  }
}

class MultiWait extends Wait<CoordinationResult> {
  private readonly targets: readonly Coordinable[];
  private readonly within: number | string | undefined;
  private readonly mode: KillMode;
  private readonly fair: boolean;
  /** The argument that is looked at first. */
  private start = 0;
  private nodes: MultiNode[] | null = null;
  private timeout: Timeout | null = null;
  private immediate: CoordinationResult | null = null;

  constructor(args: Arguments, mode: KillMode) {
    super();
    const last = args[args.length - 1];
    const options = isPlain(last) ? (last as WaitOptions) : undefined;
    checkOptions(options, "coordinateWith", KNOWN);
    this.targets = (options === undefined ? args : args.slice(0, -1)) as readonly Coordinable[];
    this.within = given(options, "within");
    this.mode = mode;
    this.fair = given(options, "fair") ?? false;
    if (this.targets.length === 0) {
      throw new UsageError("COOP_NOTHING_TO_WAIT_FOR", "give at least one coordinator or signal");
    }
    for (const target of this.targets) {
      if (!(target instanceof Coordinator || target instanceof Signal)) {
        throw new UsageError(
          "COOP_NOT_A_COORDINATOR",
          `coordinateWith takes coordinators and signals, not ${describeValue(target)}`,
        );
      }
    }
  }

  override get killMode(): KillMode {
    return this.mode;
  }

  override describe(): string {
    return `first of ${this.targets.map((target) => target.name).join(", ")}`;
  }

  override awaitedTasks(): readonly Task[] {
    const owners = this.targets.map((target) => (target instanceof Coordinator ? target.owner : null));
    return owners.filter((owner) => owner !== null);
  }

  protected override begin(task: Task): boolean {
    this.immediate = null;
    if (this.mode === "observe" && task.doomed !== null) {
      this.immediate = new CoordinationResult(KILLED, null);
      return true;
    }
    const targets = this.targets;
    this.start = this.fair ? task.cooperator.fairStart(targets.length) : 0;
    for (let k = 0; k < targets.length; k++) {
      const i = (this.start + k) % targets.length;
      const target = targets[i]!;
      if (target instanceof Signal ? target.signaled : target.tryAcquire()) {
        this.immediate = new CoordinationResult(i, target);
        return true;
      }
    }
    for (const target of targets) if (target instanceof Coordinator) target.check(task);
    if (this.within !== undefined) {
      this.timeout = task.cooperator.requireTimers().after(this.within);
    }
    const nodes: MultiNode[] = [];
    for (const target of targets) {
      const node = new MultiNode(this, target, task);
      nodes.push(node);
      if (target instanceof Signal) target.waiters.push(node);
      else target.enqueue(node);
    }
    if (this.timeout !== null) {
      const node = new MultiNode(this, this.timeout.coordinator, task);
      nodes.push(node);
      this.timeout.coordinator.enqueue(node);
    }
    this.nodes = nodes;
    return false;
  }

  /** Later links that fire before the task runs are sorted out when it does. */
  nodeSatisfied(): void {
    if (!this.satisfied) this.grant();
  }

  protected override finish(task: Task): CoordinationResult {
    if (this.immediate !== null) return this.immediate;
    const killed = this.mode === "observe" && task.doomed !== null;
    return this.settle(killed);
  }

  override abort(): boolean {
    // Links stay queued until the task runs: the kill is leftmost, so whatever fires meanwhile is passed on.
    return true;
  }

  override rollback(): void {
    this.settle(true);
  }

  /** Nobody will run on behalf of the links. */
  protected override withdrawBegun(task: Task): void {
    if (!this.satisfied) this.settle(true);
    super.withdrawBegun(task);
  }

  private settle(killed: boolean): CoordinationResult {
    const nodes = this.nodes!;
    this.nodes = null;
    this.timeout?.disarm();
    const count = this.targets.length;
    let winner = -1;
    // The timeout is the last node, wherever the others begin.
    for (let k = 0; k < nodes.length; k++) {
      const i = k < count ? (this.start + k) % count : k;
      const node = nodes[i]!;
      if (!node.satisfied) node.list?.remove(node);
      else if (winner === -1 && !killed) winner = i;
      else if (node.failure === null && node.target instanceof Coordinator) node.target.handBack(node.task);
    }
    this.timeout = null;
    if (winner === -1) return new CoordinationResult(KILLED, null);
    if (winner === this.targets.length) return new CoordinationResult(TIMED_OUT, null);
    const failure = nodes[winner]!.failure;
    if (failure !== null) throw failure;
    return new CoordinationResult(winner, nodes[winner]!.target);
  }
}
