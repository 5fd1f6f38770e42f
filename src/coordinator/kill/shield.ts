/** Sections that a kill from outside does not interrupt. Source: design D4; conformance G. */

import { type Body, type BodyWith, enter, type Operation, op } from "../operation.ts";
import { ShieldScope } from "../task/scope.ts";
import { shielded, unshielded } from "./kill.ts";

/** A shield that holds, for its own body. */
export interface Shield {
  /** Takes it away for good: a kill that is pending is delivered at the next wait, or to the wait under way. */
  lift(): void;
  /** Runs `body` as if the shield were not there, and puts it back: for the one wait that may be cut short. */
  restore<A>(body: Body<A>): Operation<A>;
}

/**
 * Runs `body` to its end before a kill from outside is delivered: for clean-up and for steps that must not
 * be cut in half. The kill meets the task at its first wait after the shield. Only clean-up that overruns the
 * time it was given (`killAndWait` with `within`) is cut short in a shield as well.
 *
 * @example
 * yield* shield(function* (s) {
 *   const item = yield* s.restore(queue.receive()); // may be killed while there is none
 *   yield* store(item);
 * });
 */
export function shield<A>(body: Operation<A> | BodyWith<Shield, A>): Operation<A> {
  const scope = new LiftableShield();
  return enter(scope, body, "shield()", scope);
}

class LiftableShield extends ShieldScope implements Shield {
  lift(): void {
    this.lifted++;
    unshielded(this);
  }
  restore<A>(body: Body<A>): Operation<A> {
    return restored(this, body as Body<unknown>) as Operation<A>;
  }
}

const restored = op(function* (scope: LiftableShield, body: Body<unknown>) {
  scope.lift();
  try {
    return yield* enter(null, body, "restore()");
  } finally {
    scope.lifted--;
    shielded(scope);
  }
});
