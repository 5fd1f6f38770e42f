/**
 * Runs the body of each conformance test once as it is, and then under shuffled orders of ready tasks: what must
 * hold must hold whichever ready task goes first. A body that makes no virtual runtime has nothing to shuffle
 * and runs once; so does one that says `inOrder()`, because the order is its subject or makes its race. One in which
 * never two tasks are ready has one order, and runs under one seed, which shows that.
 *
 * `COOP_SEEDS` is the number of seeds, `COOP_SEED` the only one to run. A seed that has found a bug goes into
 * test/seeds/corpus.json, under the name of the test, and is run first from then on.
 */
import { readFileSync } from "node:fs";
import { relative } from "node:path";
import { fileURLToPath } from "node:url";
import { type RunnerTestCase, TestRunner } from "vitest";
import { ambientSeed, checkSeed } from "../../src/testing/ambient-seed.ts";
import { tally } from "./tally.ts";

const { env } = process;
const root = fileURLToPath(new URL("../../", import.meta.url));
/** Seeds of a test when nothing else is said; a thousand where there is time. */
const SEEDS = Number(env.COOP_SEEDS ?? (env.COOP_LANE === "ci" ? 1000 : 3));
/**
 * Time for all shuffled runs of one test: one that takes long gets fewer seeds, so that the whole stays in minutes. Tests make
 * their fixtures smaller under a seed (`sized` of the harness), so that few come near it.
 */
const BUDGET_MS = 200 + 20 * SEEDS;
/** With so many seeds the run says who got them. */
const TOLD_FROM = 1000;

const corpus = JSON.parse(readFileSync(`${root}test/seeds/corpus.json`, "utf8")) as Record<string, number[]>;

export default class SeededRunner extends TestRunner {
  async runTask(test: RunnerTestCase): Promise<void> {
    const body = TestRunner.getTestFn(test);
    const file = relative(root, test.file.filepath);
    const ambient = ambientSeed();
    ambient.taken = 0;
    ambient.ordered = false;
    if (env.COOP_SEED === undefined) await body();
    const started = performance.now();
    if (!file.startsWith("test/conformance/")) return;
    const seeds = seedsOf(`${file}: ${test.name}`);
    let runs = 0;
    for (const seed of seeds) {
      if (runs === 0 && ambient.taken === 0 && env.COOP_SEED === undefined) break;
      if (runs > 0 && (ambient.decided === 0 || performance.now() - started > BUDGET_MS)) break;
      ambient.seed = seed;
      ambient.taken = ambient.decided = 0;
      try {
        await body();
        runs++;
      } catch (error) {
        throw withSeed(error, seed);
      } finally {
        ambient.seed = null;
      }
    }
    if (SEEDS >= TOLD_FROM && env.COOP_SEED === undefined) tell(`${file}: ${test.name}`, runs, seeds.length);
    (test.meta as { seeds?: number }).seeds = runs;
  }
}

function tell(name: string, runs: number, most: number): void {
  const ambient = ambientSeed();
  const heading = "conformance tests under shuffled orders";
  if (runs === 0) {
    tally(heading, ambient.ordered ? `in order, its subject: ${name}` : `nothing to shuffle: ${name}`);
  } else if (ambient.decided === 0) tally(heading, "one order only, never two tasks ready");
  else
    tally(heading, runs === most ? `all ${SEEDS} seeds` : `only ${runs} seeds, since it takes long: ${name}`);
}

function seedsOf(name: string): readonly number[] {
  if (env.COOP_SEED !== undefined) return [checkSeed(env.COOP_SEED, "COOP_SEED")];
  return [...(corpus[name] ?? []), ...Array.from({ length: SEEDS }, (_, index) => index + 1)];
}

function withSeed(error: unknown, seed: number): unknown {
  if (error instanceof Error) error.message += `\n(under seed ${seed}: COOP_SEED=${seed} runs it alone)`;
  return error;
}
