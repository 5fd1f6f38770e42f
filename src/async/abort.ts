/**
 * `AbortSignal` at the edge of the tree, both ways. Listeners of a signal are a list that is searched, and the
 * host warns of many: so there is one listener per signal, however many tasks depend on it, and it is gone when
 * the last of them is. Source: seeds C-101, peers 3 and 4.
 */

import { Embedded, EmbeddedList } from "../coordinator/embedded-list.ts";
import { UsageError } from "../coordinator/errors.ts";
import { requestKill } from "../coordinator/kill/kill.ts";
import { innermostScope, reasonOf, signalOf } from "../coordinator/kill/scope-signal.ts";
import { type Body, describeValue, enter, type Operation, op } from "../coordinator/operation.ts";
import { currentTask } from "../coordinator/task/current.ts";
import { Cause, killedError } from "../coordinator/task/exit.ts";
import { CancelScope, type Scope, UNWOUND } from "../coordinator/task/scope.ts";

/**
 * A signal for code that takes one: aborted when the scope that runs here (the task, or the `group`, `timeout` or
 * `withSignal` around) is killed, with a {@link KilledError} that has the kill's reason; and when the task fails,
 * with its error. A scope that ends well leaves it alone. The same one each time it is asked for in a scope.
 *
 * @example server.listen({ port, signal: abortSignal() });
 */
export function abortSignal(): AbortSignal {
  const task = currentTask("abortSignal()");
  return signalOf(innermostScope(task), task);
}

/**
 * Runs `body`, and kills it when `signal` aborts, with the signal's reason.
 *
 * @throws {KilledError} when the signal was aborted first, also where the body had a value by then.
 * @example const page = yield* withSignal(request.signal, render(request));
 */
export function withSignal<A>(signal: AbortSignal, body: Body<A>): Operation<A> {
  checkSignal(signal, "withSignal()");
  return run(signal, body) as Operation<A>;
}

const run = op(function* withSignal(signal: AbortSignal, body: Body<unknown>) {
  const task = currentTask("withSignal()");
  const scope = new CancelScope();
  scope.host = task;
  let value: unknown = UNWOUND;
  let off = nothing;
  if (signal.aborted) scope.cause = abortCause(signal);
  else off = killOnAbort(signal, scope);
  try {
    if (scope.cause === null) value = yield* enter(scope, body, "withSignal()");
  } finally {
    off();
  }
  if (scope.cause !== null || value === UNWOUND) throw killedError(scope.cause!, "withSignal()", []);
  return value;
});

/** @internal */
export function checkSignal(signal: unknown, what: string): void {
  const { addEventListener, removeEventListener } = Object(signal) as Partial<AbortSignal>;
  if (typeof addEventListener === "function" && typeof removeEventListener === "function") return;
  throw new UsageError("COOP_NOT_A_SIGNAL", `${what} takes an AbortSignal, not ${describeValue(signal)}`);
}

function abortCause(signal: AbortSignal): Cause {
  return new Cause(reasonOf(signal.reason), null, false);
}

/**
 * @internal Kills `scope` when `signal` aborts; at once when it has.
 *
 * @returns takes that back; harmless when it has happened.
 */
export function killOnAbort(signal: AbortSignal, scope: Scope): () => void {
  if (signal.aborted) {
    requestKill(scope, reasonOf(signal.reason));
    return nothing;
  }
  let hub = hubs.get(signal);
  if (hub === undefined) {
    hub = new Hub(signal);
    hubs.set(signal, hub);
  }
  const dependent = new Dependent(scope);
  hub.add(dependent);
  return () => hub.remove(dependent);
}

function nothing(): void {}

const hubs = new WeakMap<AbortSignal, Hub>();

class Dependent extends Embedded {
  readonly scope: Scope;
  constructor(scope: Scope) {
    super();
    this.scope = scope;
  }
}

/** All that depends on one signal. */
class Hub {
  private readonly signal: AbortSignal;
  private readonly dependents: EmbeddedList<Dependent> = new EmbeddedList();
  private readonly onAbort = (): void => {
    const reason = reasonOf(this.signal.reason);
    const { dependents } = this;
    for (let one = dependents.shift(); one !== null; one = dependents.shift()) requestKill(one.scope, reason);
  };

  constructor(signal: AbortSignal) {
    this.signal = signal;
  }

  add(dependent: Dependent): void {
    if (this.dependents.length === 0) this.signal.addEventListener("abort", this.onAbort, { once: true });
    this.dependents.push(dependent);
  }

  remove(dependent: Dependent): void {
    if (!this.dependents.remove(dependent)) return;
    if (this.dependents.length === 0) this.signal.removeEventListener("abort", this.onAbort);
  }
}
