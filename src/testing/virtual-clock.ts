/** A clock that moves when it is told to, and by itself only at a rate it was given. */
import { UsageError } from "../coordinator/errors.ts";
import { checkOptions, type Known } from "../coordinator/options.ts";

export interface ClockOptions {
  /** Virtual time per real time: 0, the default, stands still between jumps; 60 makes a minute of a second. */
  readonly rate?: number;
  /** The real clock, in milliseconds. Default: `performance.now()`. */
  readonly real?: () => number;
}

const KNOWN: Known<ClockOptions> = { rate: true, real: true };

export class VirtualClock {
  /** Virtual nanoseconds per real nanosecond. */
  readonly rate: number;
  private readonly real: () => number;
  private readonly start: number;
  /** Nanoseconds that it was moved by. */
  private moved = 0;
  private last = 0;

  constructor(options?: ClockOptions) {
    checkOptions(options, "a virtual clock", KNOWN);
    this.rate = options?.rate ?? 0;
    if (typeof this.rate !== "number" || !(this.rate >= 0 && this.rate < Number.POSITIVE_INFINITY)) {
      throw new UsageError("COOP_CLOCK", "the rate of a clock is a number from 0: time does not go back");
    }
    this.real = options?.real ?? (() => performance.now());
    this.start = this.rate === 0 ? 0 : this.real();
  }

  /** Virtual nanoseconds since it was made. Never less than before, whatever the real clock does. */
  now(): number {
    if (this.rate === 0) return this.moved;
    this.last = Math.max(this.last, this.moved + (this.real() - this.start) * 1e6 * this.rate);
    return this.last;
  }

  /** Moves it on. */
  advance(nanoseconds: number): void {
    if (!(nanoseconds >= 0)) throw new RangeError("time does not go back");
    this.moved += nanoseconds;
  }

  /** Moves it on to a point in time, unless that has passed. */
  jumpTo(nanoseconds: number): void {
    const now = this.now();
    if (nanoseconds <= now) return;
    // Added up the difference can fall short by a rounding; the timer that is jumped to would not be due.
    if (this.rate === 0) this.moved = nanoseconds;
    else {
      this.moved += nanoseconds - now;
      for (let more = 1; this.now() < nanoseconds; more *= 2) this.moved += more;
    }
  }
}
