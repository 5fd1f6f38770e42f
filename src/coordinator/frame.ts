import type { Scope } from "./scope.ts";

/**
 * One call on a task's stack. The scheduler resumes only the top frame, and unwinds one frame at a time.
 */
export class Frame {
  readonly gen: Iterator<unknown, unknown, unknown>;
  /** The caller's frame, null at the bottom. */
  readonly below: Frame | null;
  /** The scope whose base this frame is: a kill of that scope unwinds down to here and no further. */
  readonly scope: Scope | null;
  /** For the call chain in dumps. */
  readonly fn: { readonly name: string } | null;
  /**
   * A kill has been delivered here and the frame is in its `finally` blocks. What they wait for or call is
   * clean-up, which no kill of this scope or of an outer one interrupts.
   */
  unwinding = false;
  /** Suspensions since the kill was delivered; many mean that the code swallowed it and went on. */
  cleanupWaits = 0;
  /** Times the kill had to be delivered again. */
  redeliveries = 0;

  constructor(
    gen: Iterator<unknown, unknown, unknown>,
    below: Frame | null,
    scope: Scope | null,
    fn: { readonly name: string } | null,
  ) {
    this.gen = gen;
    this.below = below;
    this.scope = scope;
    this.fn = fn;
  }
}
