/** Testing programs: a virtual clock, and kills at every point. */
export { checkGate, checkQuiescent, checkTree } from "./checks.ts";
export {
  type InterleavedProgram,
  type InterleavedRun,
  type InterleaveOptions,
  type InterleaveResult,
  interleave,
  ScheduleError,
  type Step,
} from "./interleave.ts";
export {
  type KillEverywhereOptions,
  type KillEverywhereResult,
  type KillRun,
  killEverywhere,
  type Program,
} from "./kill-everywhere.ts";
export { runVirtual, type VirtualOptions, VirtualRuntime } from "./virtual.ts";
