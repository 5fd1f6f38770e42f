/** Everything that a simulation leaves to chance: a seed, and the questions asked of it in order. */
import { Random } from "../random.ts";

const PRECISION = 1 << 24;

export class Dice extends Random {
  /** True with this probability, from 0 to 1. */
  chance(probability: number): boolean {
    // Nothing is drawn where there is nothing to decide, so that faults that are off do not change the others.
    if (probability <= 0) return false;
    if (probability >= 1) return true;
    return this.next(PRECISION) < probability * PRECISION;
  }

  /** A whole number from `least` to `most`, both included. */
  between(least: number, most: number): number {
    return least + this.next(most - least + 1);
  }

  pick<T>(items: readonly T[]): T {
    return items[this.next(items.length)]!;
  }

  /** Waiting time with this mean, as of events that know nothing of each other; at most four times the mean. */
  exponential(mean: number): number {
    if (mean <= 0) return 0;
    const uniform = (this.next(PRECISION) + 1) / PRECISION;
    return Math.floor(Math.min(-Math.log(uniform), 4) * mean);
  }
}
