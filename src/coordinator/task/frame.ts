import type { Scope } from "./scope.ts";

/**
 * Suspensions inside one frame's clean-up before the kill is taken for swallowed (`finally { continue }`)
 * and delivered again. A longer clean-up belongs in an operation of its own or in a `defer`.
 */
export const CLEANUP_WAITS_MAX = 100_000;
/** Deliveries to one frame before it is abandoned and reported. */
export const REDELIVERIES_MAX = 100;

/**
 * One call on a task's stack. The scheduler resumes only the top frame, and unwinds one frame at a time.
 */
export class Frame {
  readonly gen: Iterator<unknown, unknown, unknown>;
  /** `gen` is a real generator: its `next` needs no look-up, which would be megamorphic. */
  readonly native: boolean;
  /** The caller's frame, null at the bottom. */
  readonly below: Frame | null;
  /** The scope whose base this frame is: a kill of that scope unwinds down to here and no further. */
  readonly scope: Scope | null;
  /** For the call chain in dumps. */
  readonly fn: { readonly name: string } | null;
  /**
   * The scope whose kill has been delivered here: the frame is in its `finally` blocks. What they wait for or
   * call is clean-up, which no kill of this scope or of an outer one interrupts.
   */
  unwinding: Scope | null = null;
  /**
   * Suspensions since the kill was delivered. Many mean that the code swallowed it and went on: above
   * {@link CLEANUP_WAITS_MAX} each one is a delivery more, and {@link REDELIVERIES_MAX} of those are enough.
   */
  cleanupWaits = 0;

  constructor(
    gen: Iterator<unknown, unknown, unknown>,
    below: Frame | null,
    scope: Scope | null,
    fn: { readonly name: string } | null,
    native: boolean,
  ) {
    this.gen = gen;
    this.native = native;
    this.below = below;
    this.scope = scope;
    this.fn = fn;
  }
}
