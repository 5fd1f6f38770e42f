/**
 * Hooks for tools: tracers, profilers, leak detectors. Where none is installed each costs one null check.
 * Source: seeds C-129, C-130, X-54, X-56.
 */

import { StallError, UsageError } from "../errors.ts";
import { describeValue } from "../operation.ts";
import type { Cooperator } from "../scheduler/cooperator.ts";
import { current } from "../task/current.ts";
import type { KillCause } from "../task/exit.ts";
import { step } from "../task/step.ts";
import type { Task } from "../task/task.ts";
import { describeTask } from "./dump.ts";

/**
 * What a tool wants to hear. Each call sees a tree in which nothing is half done; none may wait. A hook that
 * throws is reported, and its instrument taken off.
 */
export interface Instrument {
  /** A step begins. Steps nest where a task spawns another with `start: "now"`. */
  beforeStep?(task: Task): void;
  /** The step is over: the task waits, is ready again, or has ended. */
  afterStep?(task: Task): void;
  /** It is in the tree, and has not run. */
  spawned?(task: Task): void;
  /** A kill has reached it; the whole subtree is marked, and nobody is woken yet. */
  killed?(task: Task, cause: KillCause): void;
  /** It has left the tree; `task.exit` says how it ended. */
  ended?(task: Task): void;
  /** It has handed an operation to the io driver. */
  submitted?(task: Task): void;
  /** Such an operation is over, whatever came of it. */
  completed?(task: Task): void;
}

type Hook = keyof Instrument;
const HOOKS: readonly Hook[] = [
  "beforeStep",
  "afterStep",
  "spawned",
  "killed",
  "ended",
  "submitted",
  "completed",
];

/** @internal An instrument that is on; the same one can be installed twice. */
export class Installed {
  readonly instrument: Instrument;
  constructor(instrument: Instrument) {
    this.instrument = instrument;
  }
}

/** @internal All instruments of a cooperator. */
export class Probe {
  /** When a task last ran, for dumps; null while only stalls are looked for. */
  since: WeakMap<Task, number> | null = null;
  private readonly cooperator: Cooperator;
  /** Replaced and never changed in place: a hook may install or remove one. */
  private installed: readonly Installed[] = [];

  constructor(cooperator: Cooperator) {
    this.cooperator = cooperator;
  }

  get idle(): boolean {
    return this.installed.length === 0;
  }

  add(instrument: Instrument): Installed {
    const entry = new Installed(instrument);
    this.installed = [...this.installed, entry];
    return entry;
  }

  remove(entry: Installed): void {
    this.installed = this.installed.filter((other) => other !== entry);
    if (this.idle && this.cooperator.probe === this) this.cooperator.probe = null;
  }

  step(task: Task): void {
    // Those that were told of the beginning are told of the end.
    const told = this.installed;
    this.tell(told, "beforeStep", task, null);
    step(task);
    this.since?.set(task, this.cooperator.now());
    for (let i = told.length - 1; i >= 0; i--) {
      if (this.installed.includes(told[i]!)) this.call(told[i]!, "afterStep", task, null);
    }
  }

  spawned(task: Task): void {
    this.since?.set(task, this.cooperator.now());
    this.tell(this.installed, "spawned", task, null);
  }

  killed(task: Task, cause: KillCause): void {
    this.tell(this.installed, "killed", task, cause);
  }

  ended(task: Task): void {
    this.tell(this.installed, "ended", task, null);
  }

  submitted(task: Task): void {
    this.tell(this.installed, "submitted", task, null);
  }

  completed(task: Task): void {
    this.tell(this.installed, "completed", task, null);
  }

  private tell(entries: readonly Installed[], hook: Hook, task: Task, cause: KillCause | null): void {
    for (const entry of entries) this.call(entry, hook, task, cause);
  }

  private call(entry: Installed, hook: Hook, task: Task, cause: KillCause | null): void {
    const { instrument } = entry;
    if (instrument[hook] === undefined) return;
    const outer = current.task;
    current.task = null;
    try {
      instrument[hook](task, cause!);
    } catch (error) {
      this.remove(entry);
      this.cooperator.report({ kind: "hook", task, where: hook, error });
    } finally {
      current.task = outer;
    }
  }
}

/** @internal Throws for what is no instrument. */
export function checkInstrument(instrument: unknown): asserts instrument is Instrument {
  const hooks = typeof instrument === "object" && instrument !== null ? (instrument as Instrument) : null;
  const given = hooks === null ? [] : HOOKS.filter((hook) => hooks[hook] !== undefined);
  if (given.length > 0 && given.every((hook) => typeof hooks![hook] === "function")) return;
  throw new UsageError(
    "COOP_NOT_AN_INSTRUMENT",
    `an instrument is an object with functions among ${HOOKS.join(", ")}, not ${describeValue(instrument)}`,
  );
}

/** @internal How long each step takes, without those of tasks that begin inside it (`start: "now"`). */
export class StepClock {
  private readonly cooperator: Cooperator;
  /** Beginnings of the steps under way, outermost first; time of inner steps has been added to them. */
  private readonly begun: number[] = [];

  constructor(cooperator: Cooperator) {
    this.cooperator = cooperator;
  }

  begin(): void {
    this.begun.push(this.cooperator.now());
  }

  /** Nanoseconds; -1 for a step that had begun before the first call of {@link begin}. */
  end(): number {
    const { begun } = this;
    const since = begun.pop();
    if (since === undefined) return -1;
    const took = this.cooperator.now() - since;
    if (begun.length > 0) begun[begun.length - 1]! += took;
    return took;
  }
}

/** @internal Reports every step that takes longer than `limit` nanoseconds. */
export class StallDetector implements Instrument {
  private readonly cooperator: Cooperator;
  private readonly limit: number;
  private readonly clock: StepClock;

  constructor(cooperator: Cooperator, limit: number) {
    this.cooperator = cooperator;
    this.limit = limit;
    this.clock = new StepClock(cooperator);
  }

  beforeStep(): void {
    this.clock.begin();
  }

  afterStep(task: Task): void {
    const took = this.clock.end();
    if (took <= this.limit) return;
    const where = describeTask(task);
    const error = new StallError(
      `${task.label} ran for ${Math.round(took / 1e4) / 100} ms without letting others run; then: ${where}`,
    );
    this.cooperator.report({ kind: "stall", task, where, error });
  }
}
