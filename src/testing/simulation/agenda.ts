/** What a simulated kernel will do when: the order of what is due at the same time is up to the dice. */
import type { Dice } from "./dice.ts";

interface Entry<T> {
  readonly at: number;
  readonly tie: number;
  readonly item: T;
}

/** Times are sums, and the clock is moved by differences: they may miss each other by a rounding. */
const SLACK = 1;

export class Agenda<T> {
  /** Sorted, the next one last. */
  private readonly entries: Entry<T>[] = [];
  private readonly dice: Dice;

  constructor(dice: Dice) {
    this.dice = dice;
  }

  get size(): number {
    return this.entries.length;
  }

  /** Nanoseconds, infinite when there is nothing to do. */
  get next(): number {
    return this.entries.at(-1)?.at ?? Number.POSITIVE_INFINITY;
  }

  add(at: number, item: T): void {
    const entry = { at, tie: this.dice.next(1 << 30), item };
    const { entries } = this;
    let low = 0;
    let high = entries.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      const other = entries[middle]!;
      if (other.at > at || (other.at === at && other.tie > entry.tie)) low = middle + 1;
      else high = middle;
    }
    entries.splice(low, 0, entry);
  }

  /** The next thing that is due at `now`, or null. */
  take(now: number): T | null {
    return this.next <= now + SLACK ? this.entries.pop()!.item : null;
  }
}
