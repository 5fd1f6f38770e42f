/** What a supervisor keeps running, and the restarts that are on their way: see supervisor.ts. */

import { requestKill } from "../kill/kill.ts";
import type { Body } from "../operation.ts";
import { nameOf, pick } from "../options.ts";
import type { Timeout } from "../scheduler/timers.ts";
import type { SpawnOptions } from "../task/spawn.ts";
import type { Task } from "../task/task.ts";
import type { Supervisor } from "./supervisor.ts";

/** Makes what a child runs, anew for each start. */
export type Factory = Extract<Body<unknown>, (...args: never[]) => unknown>;

/** After which ends a child is started again. A kill by somebody's wish is no failure. */
export type RestartPolicy = "always" | "on-failure" | "never";

export interface SupervisedOptions extends Pick<SpawnOptions, "name" | "priority"> {
  /** Default: the supervisor's. */
  readonly restart?: RestartPolicy;
}

/** A child that a supervisor keeps running. */
export class SupervisedChild {
  readonly name: string;
  /** How often it has been started again. */
  restarts = 0;
  /** The task that runs now; null between two, and when it is over. */
  task: Task | null = null;
  private readonly supervisor: Supervisor;
  /** @internal */ readonly factory: Factory;
  /** @internal */ readonly options: SpawnOptions;
  /** @internal */ policy: RestartPolicy;
  /** @internal Killed to be started again with others. */
  stopping = false;
  /** @internal The restart it waits for. */
  pending: PendingRestart | null = null;
  /** @internal Restarts in a row. */
  inRow = 0;
  /** @internal When the task was started, in nanoseconds. */
  since = 0;

  /** @internal */
  constructor(supervisor: Supervisor, factory: Factory, policy: RestartPolicy, options?: SupervisedOptions) {
    this.supervisor = supervisor;
    this.factory = factory;
    this.policy = policy;
    this.name = nameOf(options, factory.name === "" ? "child" : factory.name);
    this.options = {
      name: this.name,
      ...pick(options, "priority"),
    };
  }

  /** Ends it for good: kills the task, which may take time to clean up, and starts no other. */
  stop(reason?: unknown): void {
    this.policy = "never";
    this.pending?.forget(this);
    if (this.task === null) this.supervisor.all.delete(this);
    else requestKill(this.task, reason);
  }
}

/** @internal Children that are started again together, when all of them are down and the pause is over. */
export class PendingRestart {
  readonly supervisor: Supervisor;
  readonly children = new Set<SupervisedChild>();
  pause = 0;
  timer: Timeout | null = null;

  constructor(supervisor: Supervisor) {
    this.supervisor = supervisor;
  }

  add(child: SupervisedChild): void {
    this.children.add(child);
    child.pending = this;
  }

  /** One of them has ended, or is wanted no more: arms the timer once none is left to wait for. */
  arm(): void {
    this.timer?.disarm();
    this.timer = null;
    for (const child of this.children) if (child.task !== null) return;
    const { supervisor } = this;
    const timers = supervisor.cooperator!.requireTimers();
    this.timer = timers.after(this.pause, () => supervisor.restart(this));
  }

  forget(child: SupervisedChild): void {
    child.pending = null;
    child.stopping = false;
    this.children.delete(child);
    if (this.children.size === 0) this.supervisor.cancel(this);
    else if (this.timer === null) this.arm();
  }
}
