/**
 * The seed that a virtual runtime takes when it is not given one, so that a test that knows nothing of seeds
 * can be run under many. Only set while a run under a seed is going on.
 */

export interface AmbientSeed {
  /** Null: first come, first served. */
  seed: number | null;
  /** Runtimes that took it: 0 after a run means that another seed would change nothing. */
  taken: number;
  /** The program counts on first come, first served: its runtimes take no seed. */
  ordered: boolean;
}

/** On the global object: a test runner may have loaded this file more than once. */
const KEY = Symbol.for("cooperator.testing.seed");

/** The one record of this thread. */
export function ambientSeed(): AmbientSeed {
  const global = globalThis as unknown as Record<symbol, AmbientSeed | undefined>;
  global[KEY] ??= { seed: null, taken: 0, ordered: false };
  return global[KEY];
}
