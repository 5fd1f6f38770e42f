/** Runs a program under many orders of its ready tasks, and says under which it fails. */
import { UsageError } from "../coordinator/errors.ts";
import { checkOptions, type Known } from "../coordinator/options.ts";
import { ambientSeed, checkSeed } from "./ambient-seed.ts";
import { checkProgram } from "./arguments.ts";

export interface SeedsOptions {
  /** Seeds to run before the others: those that have failed once. */
  readonly also?: readonly number[];
  /** The first of them. Default 1. */
  readonly from?: number;
  /** Only this one. The environment variable `COOP_SEED` does the same. */
  readonly only?: number;
}

const KNOWN: Known<SeedsOptions> = { also: true, from: true, only: true };

export interface SeedsResult {
  /** Runs, each under another seed. */
  readonly runs: number;
}

/** A program failed under `seed`; `cause` is what it threw. */
export class SeedError extends Error {
  readonly seed: number;

  constructor(seed: number, cause: unknown, again: boolean) {
    const what = cause instanceof Error ? cause.message : String(cause);
    const note = again
      ? ""
      : "; a second run under it did not fail: the program depends on more than its order";
    super(`seed ${seed}: ${what} (COOP_SEED=${seed} runs it alone${note})`, { cause });
    this.name = "SeedError";
    this.seed = seed;
  }
}

/**
 * Calls `program` once for each of `count` seeds. Every virtual runtime that it makes without an order of its
 * own runs its ready tasks in the order of the seed. A seed that fails is run a second time, to see whether it
 * does so again.
 *
 * @throws {UsageError} `COOP_SEEDS` for what is no seed, also in `COOP_SEED`.
 * @throws {SeedError} with the first seed that failed. A program that gives a promise makes a promise of this.
 * @example runSeeds(1000, () => { runVirtual(program); });
 */
export function runSeeds(
  count: number,
  program: (seed: number) => Promise<unknown>,
  options?: SeedsOptions,
): Promise<SeedsResult>;
export function runSeeds(
  count: number,
  program: (seed: number) => unknown,
  options?: SeedsOptions,
): SeedsResult;
export function runSeeds(
  count: number,
  program: (seed: number) => unknown,
  options?: SeedsOptions,
): SeedsResult | Promise<SeedsResult> {
  checkProgram(program, "runSeeds()");
  checkOptions(options, "runSeeds()", KNOWN);
  const seeds = seedsOf(count, options);
  for (let i = 0; i < seeds.length; i++) {
    const seed = seeds[i]!;
    let made: unknown;
    try {
      made = under(seed, program);
    } catch (error) {
      throw new SeedError(seed, error, failsAgain(seed, program));
    }
    if (isPromise(made)) return runAsync(seeds, i, made, program);
  }
  return { runs: seeds.length };
}

async function runAsync(
  seeds: readonly number[],
  first: number,
  begun: PromiseLike<unknown>,
  program: (seed: number) => unknown,
): Promise<SeedsResult> {
  let made: unknown = begun;
  const ambient = ambientSeed();
  for (let i = first; i < seeds.length; i++) {
    const seed = seeds[i]!;
    ambient.seed = seed;
    try {
      if (i > first) made = program(seed);
      await made;
    } catch (error) {
      let again = false;
      try {
        ambient.seed = seed;
        await program(seed);
      } catch {
        again = true;
      }
      throw new SeedError(seed, error, again);
    } finally {
      ambient.seed = null;
    }
  }
  return { runs: seeds.length };
}

function seedsOf(count: number, options: SeedsOptions | undefined): readonly number[] {
  if (!Number.isInteger(count) || count < 1) {
    throw new UsageError("COOP_SEEDS", "runSeeds() takes a whole number of seeds, 1 or more");
  }
  const only = options?.only ?? fromEnvironment();
  if (only !== null) return [checkSeed(only, "the seed to run alone")];
  const from = checkSeed(options?.from ?? 1, "the first seed");
  const also = options?.also ?? [];
  if (!Array.isArray(also)) throw new UsageError("COOP_SEEDS", "the seeds to run first are a list");
  for (const seed of also) checkSeed(seed, "a seed to run first");
  return [...also, ...Array.from({ length: count }, (_, index) => from + index)];
}

/** Read where there is an environment to read from: this runs without Node too. */
function fromEnvironment(): number | null {
  const { process } = globalThis as { process?: { env?: Record<string, string | undefined> } };
  const seed = process?.env?.COOP_SEED;
  return seed === undefined || seed === "" ? null : checkSeed(seed, "COOP_SEED");
}

function under(seed: number, program: (seed: number) => unknown): unknown {
  const ambient = ambientSeed();
  const before = ambient.seed;
  ambient.seed = seed;
  try {
    return program(seed);
  } finally {
    ambient.seed = before;
  }
}

function failsAgain(seed: number, program: (seed: number) => unknown): boolean {
  try {
    under(seed, program);
    return false;
  } catch {
    return true;
  }
}

function isPromise(value: unknown): value is PromiseLike<unknown> {
  return (
    typeof value === "object" && value !== null && typeof (value as { then?: unknown }).then === "function"
  );
}
