/**
 * The order in which a virtual runtime runs what is ready: first come, first served, or shuffled by a seed.
 *
 * Shuffling changes only what is nobody's promise. Priorities stay in force, a task that was put in front
 * (`start: "next"`, `handOff`) goes first, and one that lets others go first (`yieldNow`, `sleep(0)`) waits for
 * what was ready before it. A program that breaks under some seed relies on an order it was never given.
 */
import type { Chooser } from "../coordinator/scheduler/run-queue.ts";
import type { Task } from "../coordinator/task/task.ts";
import { ambientSeed } from "./ambient-seed.ts";
import { Random } from "./random.ts";

const ambient = ambientSeed();

/** Picks by a seed, or the oldest when there is none, and writes down who went when that is wanted. */
export class Order implements Chooser {
  private readonly random: Random | null;
  private readonly trace: number[] | null;

  constructor(seed: number | null, trace: number[] | null) {
    this.random = seed === null ? null : new Random(seed);
    this.trace = trace;
  }

  choose(candidates: readonly Task[]): Task {
    const { random, trace } = this;
    const { length } = candidates;
    if (random !== null && length > 1) ambient.decided++;
    const chosen = candidates[random === null ? 0 : random.next(length)]!;
    if (trace !== null) trace.push(chosen.id);
    return chosen;
  }
}
