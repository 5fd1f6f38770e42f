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
export { FAULTS_MAX, type Fault, type FaultOptions } from "./simulation/faults.ts";
export { SimulatedKernel } from "./simulation/kernel.ts";
export type { KernelOptions, SimulatedRequest } from "./simulation/kernel-options.ts";
export { randomIoProgram } from "./simulation/programs.ts";
export { runSimulated, type SimulatedOptions, SimulatedRuntime } from "./simulation/runtime.ts";
export {
  runSimulation,
  type SimulatedProgram,
  Simulation,
  type SimulationOptions,
  type SimulationResult,
} from "./simulation/simulation.ts";
export { runVirtual, type VirtualOptions, VirtualRuntime } from "./virtual.ts";
export type { ClockOptions } from "./virtual-clock.ts";
