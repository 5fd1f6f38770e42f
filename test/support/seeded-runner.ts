/**
 * Runs the body of each conformance test once as it is, and then under shuffled orders of ready tasks: what must
 * hold must hold whichever ready task goes first. A body that makes no virtual runtime has nothing to shuffle
 * and runs once; so does one that says `inOrder()`, because the order is its subject or makes its race.
 *
 * `COOP_SEEDS` is the number of seeds, `COOP_SEED` the only one to run. A seed that has found a bug goes into
 * test/seeds/corpus.json, under the name of the test, and is run first from then on.
 */
import { readFileSync } from "node:fs";
import { relative } from "node:path";
import { fileURLToPath } from "node:url";
import { type RunnerTestCase, TestRunner } from "vitest";
import { ambientSeed, checkSeed } from "../../src/testing/ambient-seed.ts";

const { env } = process;
const root = fileURLToPath(new URL("../../", import.meta.url));
/** Seeds of a test when nothing else is said; a thousand where there is time. */
const SEEDS = Number(env.COOP_SEEDS ?? (env.COOP_LANE === "ci" ? 1000 : 3));
/** Time for all runs of one test: one that takes long gets fewer seeds, so that the whole stays in minutes. */
const BUDGET_MS = 200 + 1.5 * SEEDS;

const corpus = JSON.parse(readFileSync(`${root}test/seeds/corpus.json`, "utf8")) as Record<string, number[]>;

export default class SeededRunner extends TestRunner {
  async runTask(test: RunnerTestCase): Promise<void> {
    const body = TestRunner.getTestFn(test);
    const file = relative(root, test.file.filepath);
    const ambient = ambientSeed();
    ambient.taken = 0;
    ambient.ordered = false;
    const started = performance.now();
    if (env.COOP_SEED === undefined) await body();
    if (!file.startsWith("test/conformance/")) return;
    const seeds = seedsOf(`${file}: ${test.name}`);
    let runs = 0;
    for (const seed of seeds) {
      const nothingToShuffle = ambient.taken === 0 && (runs > 0 || env.COOP_SEED === undefined);
      if (nothingToShuffle || performance.now() - started > BUDGET_MS) break;
      ambient.seed = seed;
      ambient.taken = 0;
      try {
        await body();
        runs++;
      } catch (error) {
        throw withSeed(error, seed);
      } finally {
        ambient.seed = null;
      }
    }
    (test.meta as { seeds?: number }).seeds = runs;
  }
}

function seedsOf(name: string): readonly number[] {
  if (env.COOP_SEED !== undefined) return [checkSeed(env.COOP_SEED, "COOP_SEED")];
  return [...(corpus[name] ?? []), ...Array.from({ length: SEEDS }, (_, index) => index + 1)];
}

function withSeed(error: unknown, seed: number): unknown {
  if (error instanceof Error) error.message += `\n(under seed ${seed}: COOP_SEED=${seed} runs it alone)`;
  return error;
}
