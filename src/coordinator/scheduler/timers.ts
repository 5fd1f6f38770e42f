/**
 * What the kernel asks of a clock. The kernel never imports time: `time/` implements this and gives it to
 * the cooperator, so the kernel runs on whatever clock it is handed.
 */
import type { Coordinator } from "../coordinator.ts";

/** A timeout that has been armed. */
export interface Timeout {
  /** Held until the time is up, then released. */
  readonly coordinator: Coordinator;
  /** When it fires, in nanoseconds of the clock. */
  readonly deadline: number;
  /** Takes the timer off; harmless after it has fired. */
  disarm(): void;
}

export interface Timers {
  /** Arms a timeout: `"2 seconds"`, or milliseconds. `onFire` runs in the turn in which it fires. */
  after(duration: number | string, onFire?: () => void): Timeout;
  /** Like `after`, at a time of the clock in nanoseconds. */
  at(deadline: number, onFire?: () => void): Timeout;
  /** A duration in nanoseconds: `"2 seconds"`, or milliseconds. */
  nanoseconds(duration: number | string): number;
  /** Fires what is due. Returns how many fired. */
  expire(): number;
  /** Timers armed. */
  readonly size: number;
}
