/** Testing programs: a virtual clock, and kills at every point. */
export {
  checkGate,
  checkQuiescent,
  checkTree,
  type KillEverywhereOptions,
  type KillEverywhereResult,
  type KillRun,
  killEverywhere,
  type Program,
} from "./kill-everywhere.ts";
export { runVirtual, VirtualRuntime } from "./virtual.ts";
