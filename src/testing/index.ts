/** Testing programs: a virtual clock, orders made of seeds, every schedule, kills at every point, leak checks. */
export { untilAllBlocked } from "./all-blocked.ts";
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
  killEverywhereAsync,
  type Program,
} from "./kill-everywhere.ts";
export { checkAtRest, type DescriptorWatch, watchDescriptors } from "./leaks.ts";
export { runSeeds, SeedError, type SeedsOptions, type SeedsResult } from "./seeds.ts";
export { Sequencer } from "./sequencer.ts";
export { runVirtual, type VirtualOptions, VirtualRuntime } from "./virtual.ts";
export type { ClockOptions } from "./virtual-clock.ts";
