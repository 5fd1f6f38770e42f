/**
 * What the benchmarks share: contenders run alternately, most of them in fresh processes; a row is the median
 * of each and the median of the paired ratios. On a machine where other things run too the absolute figures
 * move together, and the ratios stay.
 */
import { execFile, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, statSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { type Operation, op, spawn } from "cooperator";

/** One benchmark: a module of its own, `bench/<area>/<operation>.ts`. */
export interface Bench {
  /** It is skipped, with a line that says why, where there is no io_uring. */
  readonly needsRing: boolean;
  /** Measures, by running parts. */
  readonly rows: (context: Context) => Promise<Row[]>;
  /** What runs in a process of its own; prints what it returns. */
  readonly parts: Readonly<Record<string, (...args: string[]) => unknown>>;
}

export interface Context {
  /** Tiny inputs, one round: only to see that everything still runs. */
  readonly smoke: boolean;
  /** Rounds of alternation between processes. */
  readonly rounds: number;
  /** An amount of work, or a token amount in a smoke run. */
  size(full: number, smoke: number): number;
}

/** A limit on the ratio, or on our own figure. */
export interface Bound {
  readonly most?: number;
  readonly least?: number;
  readonly of?: "ratio" | "ours";
}

export interface Row {
  readonly name: string;
  readonly unit: string;
  readonly ours: number;
  readonly peer: number;
  readonly peerName: string;
  /** Median of the paired ratios, and their quartiles. */
  readonly ratio: number;
  readonly quartiles: readonly [number, number];
  readonly floor: Bound | null;
  readonly goal: Bound | null;
  readonly verdict: "goal" | "ok" | "below" | "";
  readonly settings: string;
}

export interface Comparison {
  readonly name: string;
  readonly unit: string;
  readonly ours: readonly number[];
  readonly peer: readonly number[];
  readonly peerName: string;
  /** `cost`: ours / peer, less is better. `gain`: peer / ours, how many times cheaper. `rate`: ours / peer, more is better. */
  readonly as: "cost" | "gain" | "rate";
  /** What must hold. */
  readonly floor?: Bound;
  /** What is aimed at. */
  readonly goal?: Bound;
  readonly settings?: string;
}

/** Figures by contender; position is the round. */
export type Series<K extends string, T> = Record<K, T[]>;

/**
 * Runs each contender once per round, one after the other, beginning with another one each time: whatever
 * disturbs the machine for a while then disturbs all of them.
 */
export async function alternate<K extends string, T>(
  rounds: number,
  contenders: Readonly<Record<K, () => Promise<T> | T>>,
): Promise<Series<K, T>> {
  const names = Object.keys(contenders) as K[];
  const series = Object.fromEntries(names.map((name) => [name, []])) as unknown as Series<K, T>;
  for (let round = 0; round < rounds; round++) {
    for (let i = 0; i < names.length; i++) {
      const name = names[(i + round) % names.length]!;
      series[name].push(await contenders[name]());
    }
  }
  return series;
}

/** Rounds inside one process that do not count: its code is still being compiled. */
export const WARM_ROUNDS = 5;

/** {@link alternate} inside one process, without the rounds that warm it up. */
export async function alternateWarm<K extends string, T>(
  rounds: number,
  contenders: Readonly<Record<K, () => Promise<T> | T>>,
): Promise<Series<K, T>> {
  const series = await alternate(rounds + WARM_ROUNDS, contenders);
  for (const name of Object.keys(series) as K[]) series[name].splice(0, WARM_ROUNDS);
  return series;
}

/** The rounds of a part that alternates inside its process, from several processes in a row. */
export async function shortRounds<K extends string>(
  processes: number,
  bench: string,
  part: string,
  args: readonly (string | number)[],
): Promise<Series<K, number>> {
  const all: Partial<Series<K, number>> = {};
  for (let i = 0; i < processes; i++) {
    const series = await runPart<Series<K, number>>(bench, part, args);
    for (const name of Object.keys(series) as K[]) all[name] = [...(all[name] ?? []), ...series[name]];
  }
  return all as Series<K, number>;
}

export function compare(c: Comparison): Row {
  const ratios = c.ours.map((ours, i) => (c.as === "gain" ? c.peer[i]! / ours : ours / c.peer[i]!));
  const ours = quantile(c.ours, 0.5);
  const ratio = quantile(ratios, 0.5);
  const floor = c.floor ?? null;
  const goal = c.goal ?? null;
  return {
    name: c.name,
    unit: c.unit,
    ours,
    peer: quantile(c.peer, 0.5),
    peerName: c.peerName,
    ratio,
    quartiles: [quantile(ratios, 0.25), quantile(ratios, 0.75)],
    floor,
    goal,
    verdict: verdictOf(ours, ratio, floor, goal),
    settings: c.settings ?? "",
  };
}

function verdictOf(ours: number, ratio: number, floor: Bound | null, goal: Bound | null): Row["verdict"] {
  if (goal !== null && meets(goal, ours, ratio)) return "goal";
  if (floor !== null) return meets(floor, ours, ratio) ? "ok" : "below";
  return goal === null ? "" : "below";
}

function meets(bound: Bound, ours: number, ratio: number): boolean {
  const value = bound.of === "ours" ? ours : ratio;
  return value <= (bound.most ?? Number.POSITIVE_INFINITY) && value >= (bound.least ?? 0);
}

/**
 * Runs `depth` chains of together `count` calls at once, after a tenth of that to warm up. Returns nanoseconds per call.
 */
export async function timeChains(
  depth: number,
  count: number,
  chain: (slot: number, length: number) => Promise<void>,
): Promise<number> {
  const each = Math.ceil(count / depth);
  const all = (length: number) =>
    Promise.all(Array.from({ length: depth }, (_, slot) => chain(slot, length)));
  await all(Math.ceil(each / 10));
  const start = nowNs();
  await all(each);
  return (nowNs() - start) / (each * depth);
}

/** The value below which a share `q` of `values` lies. */
export function quantile(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (sorted.length - 1) * q;
  const low = sorted[Math.floor(at)]!;
  return low + (sorted[Math.ceil(at)]! - low) * (at - Math.floor(at));
}

export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

/** Spawns `count` children and waits until all of them have ended. */
export const together: (count: number, body: (index: number) => Operation<void>) => Operation<void> = op(
  function* (count: number, body: (index: number) => Operation<void>) {
    const children = [];
    for (let i = 0; i < count; i++) children.push(spawn(body(i)));
    for (const child of children) yield* child.join();
  },
);

/** Monotonic nanoseconds. */
export function nowNs(): number {
  return performance.now() * 1e6;
}

/** Collects all garbage; the part must run with `--expose-gc`. */
export function collect(): void {
  const { gc } = globalThis;
  if (gc === undefined) throw new Error("run with --expose-gc");
  gc();
  gc();
}

/** Pseudo-random page numbers, the same in every run and in the C programs' generator. */
export function randomPages(pages: number, seed: number): () => number {
  let state = seed;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % pages;
  };
}

const MAIN = fileURLToPath(new URL("./main.js", import.meta.url));
const run = promisify(execFile);

/** The command line of a part. */
export function partArguments(bench: string, part: string, args: readonly (string | number)[]): string[] {
  return [MAIN, "--part", bench, part, ...args.map(String)];
}

/** Runs a part and gives what it returned. */
type PartRunner = (bench: string, part: string, args: readonly string[]) => unknown;
let partRunner: PartRunner | null = null;

/** From now on parts that need no options of Node's run in this process: for smoke runs, which are to be quick. */
export function runPartsHere(runner: PartRunner): void {
  partRunner = runner;
}

/** Runs a part in a fresh process and gives what it returned. */
export async function runPart<T>(
  bench: string,
  part: string,
  args: readonly (string | number)[],
  nodeOptions: readonly string[] = [],
): Promise<T> {
  if (partRunner !== null && nodeOptions.length === 0) {
    return (await partRunner(bench, part, args.map(String))) as T;
  }
  return output<T>(process.execPath, [...nodeOptions, ...partArguments(bench, part, args)]);
}

/** Runs a C program and gives what it printed. */
export async function runNative<T>(program: string, args: readonly (string | number)[]): Promise<T> {
  return output<T>(program, args.map(String));
}

async function output<T>(file: string, args: readonly string[]): Promise<T> {
  try {
    const { stdout } = await run(file, args);
    return JSON.parse(stdout) as T;
  } catch (error) {
    const { stderr, code, signal } = error as { stderr?: string; code?: unknown; signal?: unknown };
    if (stderr === undefined) throw error;
    throw new Error(`${file} ${args.join(" ")} ended with ${signal ?? code}:\n${stderr}`);
  }
}

const SOURCES = fileURLToPath(new URL("../../bench/native/", import.meta.url));
const BINARIES = fileURLToPath(new URL("./native/", import.meta.url));
let complained = false;

/** The path of a C program of `bench/native`, compiled when its source is newer; null without a compiler. */
export function compiled(name: string): string | null {
  const source = `${SOURCES}${name}.c`;
  const binary = `${BINARIES}${name}`;
  if (existsSync(binary) && statSync(binary).mtimeMs > newest(source, `${SOURCES}ring.h`)) return binary;
  mkdirSync(BINARIES, { recursive: true });
  const { status, stderr } = spawnSync(process.env.CC ?? "cc", ["-O2", "-o", binary, source], {
    encoding: "utf8",
  });
  if (status === 0) return binary;
  if (!complained) {
    const reason = status === null ? "no C compiler (cc, or $CC)" : `cc failed: ${stderr.split("\n")[0]}`;
    console.error(`bench: ${reason}; rows that need a C program are skipped`);
  }
  complained = true;
  return null;
}

function newest(...paths: string[]): number {
  return Math.max(...paths.map((path) => statSync(path).mtimeMs));
}
