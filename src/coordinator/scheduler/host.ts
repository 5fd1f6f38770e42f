/** What a cooperator is plugged into, and what it tells of itself. */
import type { Report } from "../diagnosis/report.ts";
import type { Chooser } from "./run-queue.ts";

/** What the kernel asks of whoever runs its turns. */
export interface Host {
  /** A task has become ready outside a turn: call `turn()` soon. Called once until the next turn. */
  requestTurn(): void;
  /** An internal rule was broken: the runtime has stopped. */
  panic(error: unknown): void;
}

/** Operations on their way: the io driver's part of a turn. */
export interface Driver {
  /** Submits what is queued and completes what is ready; one native call at most. Returns completions. */
  flush(): number;
  /** Operations the driver still works on. */
  readonly inflight: number;
  /** Operations that are queued and did not fit into the last submission: another turn is wanted. */
  readonly backlog: number;
}

export interface CooperatorOptions {
  readonly host: Host;
  /** For dumps. */
  readonly name?: string;
  /** Gets what no task can be told; default: `console.error`. */
  readonly report?: (report: Report) => void;
  /** Monotonic nanoseconds; default: `performance.now()`. */
  readonly now?: () => number;
  /** Reports every step that takes longer than this, in milliseconds. Default: nobody looks. */
  readonly stallAfter?: number;
  /** Notes the file and line of each spawn, for {@link traceOf}. Costs some microseconds a spawn. Default false. */
  readonly spawnSites?: boolean;
  /** Picks among the ready tasks of one priority, instead of first come, first served; for tests. */
  readonly chooser?: Chooser | null;
}

/** What has happened since the start. `spawned = done + failed + killed + live`, at any time. */
export interface CooperatorStatistics {
  readonly spawned: number;
  readonly done: number;
  readonly failed: number;
  readonly killed: number;
  readonly live: number;
  readonly ready: number;
  readonly steps: number;
  readonly turns: number;
  readonly timers: number;
  readonly inflight: number;
  readonly killsOverridden: number;
  /** Posts and continuations that are due. */
  readonly callbacks: number;
}
