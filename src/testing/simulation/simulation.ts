/**
 * Runs of a program on a simulated kernel, one per seed, in two phases. In the first everything goes wrong that may,
 * and tasks are killed at random; a run that gets through it must be consistent. In the second nothing goes wrong any
 * more, and the program is killed: it must come to its end, in 60 seconds of virtual time.
 */

import { dumpTree } from "../../coordinator/diagnosis/dump.ts";
import { UsageError } from "../../coordinator/errors.ts";
import { type Body, describeValue } from "../../coordinator/operation.ts";
import { checkOptions, type Known, pick } from "../../coordinator/options.ts";
import type { Task } from "../../coordinator/task/task.ts";
import { checkProgram } from "../arguments.ts";
import { checkTree } from "../checks.ts";
import { violated } from "../leaks.ts";
import { runSeeds, type SeedsOptions } from "../seeds.ts";
import { Dice } from "./dice.ts";
import { drawFaults, FAULTS, type Fault, type FaultOptions, faultsOf } from "./faults.ts";
import { randomIoProgram } from "./programs.ts";
import { SimulatedRuntime } from "./runtime.ts";
import { isWorldly } from "./worldly.ts";

/** What a program of a simulation is made with: each run gets its own. */
export class Simulation {
  readonly seed: number;
  readonly runtime: SimulatedRuntime;
  /** For whatever the program leaves to chance. */
  readonly dice: Dice;
  /** The first thing that was not as it must be. */
  divergence: Error | null = null;
  private readonly checks: (() => void)[] = [];

  constructor(seed: number, runtime: SimulatedRuntime, dice: Dice) {
    this.seed = seed;
    this.runtime = runtime;
    this.dice = dice;
  }

  /** Says that something is not as it must be: the run stops, whoever catches this. */
  fail(rule: string): never {
    const error = new Error(`broken invariant: ${rule}`);
    this.divergence ??= error;
    throw error;
  }

  /** Has `check` called when the program is over and nothing is left of it. */
  atRest(check: () => void): void {
    this.checks.push(check);
  }

  /** @internal */
  finish(): void {
    for (const check of this.checks) check();
  }
}

/** Makes a program, afresh for each run. */
export type SimulatedProgram = (simulation: Simulation) => Body<unknown>;

export interface SimulationOptions extends SeedsOptions {
  /** Default: drawn for each run, up to `FAULTS_MAX`. */
  readonly faults?: FaultOptions;
  /** Probability of a kill at each step of the clock. Default: drawn for each run, up to 0.1. */
  readonly kills?: number;
}

const KNOWN: Known<SimulationOptions> = { also: true, from: true, only: true, faults: true, kills: true };

/** What the runs have done together. */
export interface SimulationResult {
  readonly runs: number;
  readonly tasks: number;
  readonly operations: number;
  readonly cancels: number;
  readonly kills: number;
  readonly virtualSeconds: number;
  /** Times that there were more completions than the driver's queue has room for. */
  readonly overflows: number;
  /** How often each fault has happened. */
  readonly faults: Readonly<Record<Fault, number>>;
}

class Totals implements SimulationResult {
  runs = 0;
  tasks = 0;
  operations = 0;
  cancels = 0;
  kills = 0;
  virtualSeconds = 0;
  overflows = 0;
  readonly faults: Record<Fault, number> = faultsOf(undefined);
}

/** Steps of the clock in the first phase. */
const STEPS_MAX = 600;
const LIVENESS_MS = 60_000;
const KILLS = [0, 0.005, 0.02, 0.1];
const DELAYS_MS = [0, 0.001, 0.1, 5, 1000, 5000];
const COARSE_TICK_MS = 10;
const BUFFERS = [1, 7, 64, 1024, 16_384];
const ENTRIES = [2, 4, 8];
/** Hardly ever full, and made at once. */
const SQ_ENTRIES = 64;
const CQ_ENTRIES = 128;

/**
 * Runs `program`, or programs of a library made of the seed, under `count` seeds. Everything is made of the seed: the
 * order of ready tasks, delays, faults, sizes of queues and buffers, kills.
 *
 * @throws {SeedError} with the first seed that failed; it fails every time.
 * @example runSimulation(1000, (simulation) => () => session(simulation.dice));
 */
export function runSimulation(
  count: number,
  program: SimulatedProgram = randomIoProgram,
  options?: SimulationOptions,
): SimulationResult {
  checkProgram(program, "runSimulation()");
  checkOptions(options, "runSimulation()", KNOWN);
  const { kills } = options ?? {};
  if (kills !== undefined && !(typeof kills === "number" && kills >= 0 && kills <= 1)) {
    throw new UsageError("COOP_ARGUMENT", `kills is a probability from 0 to 1, not ${describeValue(kills)}`);
  }
  const totals = new Totals();
  runSeeds(count, (seed) => simulateTwice(seed, program, options, totals), {
    ...pick(options, "also"),
    ...pick(options, "from"),
    ...pick(options, "only"),
  });
  return totals;
}

/**
 * Errors are a part of most runs, and most of what an error costs is its stack: they are only made in a second run
 * of a seed that fails.
 */
function simulateTwice(
  seed: number,
  program: SimulatedProgram,
  options: SimulationOptions | undefined,
  totals: Totals,
): void {
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 0;
  try {
    simulate(seed, program, options, totals);
  } catch (error) {
    Error.stackTraceLimit = stackTraceLimit;
    simulate(seed, program, options, totals);
    throw error;
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
  }
}

function simulate(
  seed: number,
  program: SimulatedProgram,
  options: SimulationOptions | undefined,
  totals: Totals,
): void {
  const dice = new Dice(seed);
  const small = dice.chance(0.25);
  const runtime = new SimulatedRuntime({
    seed,
    faults: options?.faults ?? drawFaults(dice),
    delay: dice.pick(DELAYS_MS),
    bufferBytes: dice.pick(BUFFERS),
    ...(dice.chance(0.1) ? { tick: COARSE_TICK_MS } : {}),
    ...(dice.chance(0.1) ? { descriptors: dice.between(1, 12) } : {}),
    sqEntries: small ? dice.pick(ENTRIES) : SQ_ENTRIES,
    cqEntries: small ? dice.pick(ENTRIES) * 2 : CQ_ENTRIES,
  });
  const simulation = new Simulation(seed, runtime, dice);
  const main = runtime.cooperator.spawn(program(simulation), { name: "main", failure: "hold" });
  main.observe();
  const kills = new Kills(dice, options?.kills ?? dice.pick(KILLS));
  safety(simulation, kills);
  liveness(simulation);
  runtime.checkAtRest();
  checkErrors(simulation, main as Task);
  simulation.finish();
  totals.runs++;
  totals.tasks += runtime.statistics().spawned;
  totals.operations += runtime.io?.submitted ?? 0;
  totals.cancels += runtime.io?.cancels ?? 0;
  totals.kills += kills.count;
  totals.virtualSeconds += runtime.now / 1000;
  totals.overflows += runtime.kernel.overflows;
  for (const fault of FAULTS) totals.faults[fault] += runtime.kernel.struck[fault];
}

class Kills {
  count = 0;
  private readonly dice: Dice;
  private readonly probability: number;

  constructor(dice: Dice, probability: number) {
    this.dice = dice;
    this.probability = probability;
  }

  perhaps(live: readonly Task[]): void {
    if (live.length === 0 || !this.dice.chance(this.probability)) return;
    this.count++;
    this.dice.pick(live).kill("killed by the simulation");
  }
}

function safety(simulation: Simulation, kills: Kills): void {
  const { runtime } = simulation;
  for (let steps = 0; steps < STEPS_MAX; steps++) {
    runtime.settle();
    if (simulation.divergence !== null) throw simulation.divergence;
    const live = checkTree(runtime);
    runtime.checkIo();
    if (live.length === 0) return;
    kills.perhaps(live);
    if (!runtime.step()) return;
  }
}

function liveness(simulation: Simulation): void {
  const { runtime } = simulation;
  const { cooperator, kernel } = runtime;
  kernel.calm();
  cooperator.kill("the simulation is over");
  const since = runtime.now;
  for (;;) {
    runtime.settle();
    if (simulation.divergence !== null) throw simulation.divergence;
    if (cooperator.live === 0) return;
    if (runtime.now - since > LIVENESS_MS) {
      violated(`alive 60 seconds after a kill:\n${dumpTree(cooperator.tasks())}`);
    }
    if (!runtime.step()) violated(`waiting for ever after a kill:\n${dumpTree(cooperator.tasks())}`);
  }
}

function checkErrors({ runtime }: Simulation, main: Task): void {
  const { exit } = main;
  if (exit?.status === "failed" && !isWorldly(exit.error)) throw exit.error;
  for (const { kind, task, error } of runtime.reports) {
    if (kind === "failure" && isWorldly(error)) continue;
    throw new Error(`${task?.label ?? "a callback"} reported ${kind}: ${String(error)}`, { cause: error });
  }
}
