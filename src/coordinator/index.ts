/** The kernel: task tree, waiting and killing. No io, no clock, no Node. */

export type { AsyncSelf } from "./async-self.ts";
export type { PostOptions } from "./callbacks.ts";
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
} from "./combine.ts";
export type { Continuation, ContinueOptions } from "./continuation.ts";
export {
  Cooperator,
  type CooperatorOptions,
  type CooperatorStatistics,
  type Driver,
  type Host,
  type Report,
} from "./cooperator.ts";
export {
  type Coordinable,
  CoordinationResult,
  coordinateWith,
  coordinateWithKill,
  type WaitOptions,
} from "./coordinate-with.ts";
export { Coordinated } from "./coordinated.ts";
export { Coordinator } from "./coordinator.ts";
export { findCycle } from "./deadlock.ts";
export { callChain, describeTask, dumpTree } from "./dump.ts";
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
export type { Exit, KillCause } from "./exit.ts";
export { type FailureHandler, type Group, type GroupOptions, group } from "./group.ts";
export type { Instrument } from "./instrument.ts";
export { type KillHook, onKill } from "./kill-hooks.ts";
export { type Body, type BodyWith, type Operation, op } from "./operation.ts";
export { never, yieldNow } from "./primitives.ts";
export { type Chooser, HIGH, LOW, NORMAL, type Priority } from "./run-queue.ts";
export type { Deferred } from "./scope.ts";
export { type Shield, shield } from "./shield.ts";
export { Signal } from "./signal.ts";
export { defer, type SpawnOptions, self, spawn } from "./spawn.ts";
export { type Spawner, type SpawnReadyOptions, type Started, spawnReady } from "./spawn-ready.ts";
export type { RestartPolicy, SupervisedChild, SupervisedOptions } from "./supervised.ts";
export {
  type Restart,
  type Strategy,
  type Supervisor,
  type SupervisorOptions,
  supervise,
} from "./supervisor.ts";
export type { FailureMode, KillOptions, Task } from "./task.ts";
export { TaskLocal } from "./task-local.ts";
export type { Timeout, Timers } from "./timers.ts";
export { type TaskTrace, type TracedTask, traceOf } from "./trace.ts";
export { type KillMode, Wait } from "./wait.ts";
export { childrenOf } from "./walk.ts";
