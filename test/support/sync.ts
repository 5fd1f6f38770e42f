/** What the tests of locks share. */
import type { Operation } from "../../src/coordinator/index.ts";
import { Random } from "../../src/testing/random.ts";

/** A seeded generator of whole numbers from 0 up to, and without, its argument. */
export function random(seed: number): (below: number) => number {
  const generator = new Random(seed);
  return (below) => generator.next(below);
}

/** The code of what `run` throws, or null. */
export function codeOf(run: () => unknown): unknown {
  try {
    run();
    return null;
  } catch (error) {
    return (error as { code?: unknown }).code;
  }
}

/** The code of what `operation` throws, or null. */
export function* failure(operation: Operation<unknown>): Generator<unknown, unknown, any> {
  try {
    yield* operation;
    return null;
  } catch (error) {
    return (error as { code?: unknown }).code;
  }
}
