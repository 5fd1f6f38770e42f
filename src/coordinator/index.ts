/** The kernel: task tree, waiting and killing. No io, no clock, no Node. */

export {
  type Coordinable,
  CoordinationResult,
  coordinateWith,
  coordinateWithKill,
  type WaitOptions,
} from "./coordinate-with.ts";
export { Coordinated } from "./coordinated.ts";
export { Coordinator } from "./coordinator.ts";
export { findCycle } from "./diagnosis/deadlock.ts";
export { callChain, describeTask, dumpTree } from "./diagnosis/dump.ts";
export type { Instrument } from "./diagnosis/instrument.ts";
export { type KillStatistics, type Profile, profile, type TaskStatistics } from "./diagnosis/profile.ts";
export { type TaskTrace, type TracedTask, traceOf } from "./diagnosis/trace.ts";
export { Embedded, EmbeddedList } from "./embedded-list.ts";
export {
  BrokenError,
  BusyError,
  ClosedError,
  CoopError,
  DeadlineError,
  DeadlockError,
  InvariantError,
  KilledError,
  RestartLimitError,
  StallError,
  StuckError,
  UnsupportedError,
  UsageError,
} from "./errors.ts";
export {
  all,
  allSettled,
  any,
  type Branches,
  type ConcurrencyOptions,
  type ExitsOf,
  race,
  type ValueOf,
  type ValuesOf,
} from "./group/combine.ts";
export { type FailureHandler, type Group, type GroupOptions, group } from "./group/group.ts";
export type { RestartPolicy, SupervisedChild, SupervisedOptions } from "./group/supervised.ts";
export {
  type Restart,
  type Strategy,
  type Supervisor,
  type SupervisorOptions,
  supervise,
} from "./group/supervisor.ts";
export { type KillHook, onKill } from "./kill/kill-hooks.ts";
export { type Shield, shield } from "./kill/shield.ts";
export { type Body, type BodyWith, type Operation, op } from "./operation.ts";
export { never, yieldNow } from "./primitives.ts";
export type { PostOptions } from "./scheduler/callbacks.ts";
export type { Continuation, ContinueOptions } from "./scheduler/continuation.ts";
export {
  Cooperator,
  type CooperatorOptions,
  type CooperatorStatistics,
  type Driver,
  type Host,
  type Report,
} from "./scheduler/cooperator.ts";
export { type Chooser, HIGH, LOW, NORMAL, type Priority } from "./scheduler/run-queue.ts";
export type { Timeout, Timers } from "./scheduler/timers.ts";
export { Signal } from "./signal.ts";
export type { AsyncSelf } from "./task/async-self.ts";
export type { Exit, KillCause } from "./task/exit.ts";
export type { Deferred } from "./task/scope.ts";
export { defer, type SpawnOptions, self, spawn } from "./task/spawn.ts";
export { type Spawner, type SpawnReadyOptions, type Started, spawnReady } from "./task/spawn-ready.ts";
export type { FailureMode, KillOptions, Task } from "./task/task.ts";
export { TaskLocal } from "./task/task-local.ts";
export { childrenOf } from "./task/walk.ts";
export { type KillMode, Wait } from "./wait.ts";
