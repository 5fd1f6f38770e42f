/**
 * What runs in a turn and is no task: work posted from outside, and continuations. First come, first served,
 * before the tasks of the turn, and bounded, so that neither starves the other. Source: seeds C-127, X-29.
 */
import { Embedded, EmbeddedList } from "../embedded-list.ts";

/** Something the loop calls once. It must not throw. */
export interface Callback extends Embedded {
  /** @internal */
  run(): void;
}

export interface PostOptions {
  /** Does nothing while the same function is queued: for "look again" requests. Default false. */
  readonly once?: boolean;
}

/** Callbacks run in one turn before tasks get to run. Larger delays tasks, timers and io more. */
export const CALLBACKS_PER_TURN_MAX = 256;
/** Posts that may be queued. Larger lets a producer that is too fast take more memory before it is told. */
export const POSTS_MAX = 65_536;
/** Callbacks between two looks at the clock. */
const CLOCK_STRIDE = 32;

class Post extends Embedded implements Callback {
  private readonly queue: Callbacks;
  private readonly fn: () => void;
  private readonly once: boolean;
  constructor(queue: Callbacks, fn: () => void, once: boolean) {
    super();
    this.queue = queue;
    this.fn = fn;
    this.once = once;
  }
  run(): void {
    const { fn } = this;
    // From here on a new request is a new call, also one that it makes itself.
    this.queue.taken(this.once ? fn : null);
    try {
      fn();
    } catch (error) {
      this.queue.failed(fn, error);
    }
  }
}

export class Callbacks {
  /** Told of what a post threw. */
  readonly failed: (fn: () => void, error: unknown) => void;
  private readonly queue: EmbeddedList<Callback> = new EmbeddedList();
  private posts = 0;
  /** Posted with `once` and not yet run. */
  private readonly unique = new Set<() => void>();

  constructor(failed: (fn: () => void, error: unknown) => void) {
    this.failed = failed;
  }

  get length(): number {
    return this.queue.length;
  }

  /** Queues a call; false when there is no room. */
  post(fn: () => void, once: boolean): boolean {
    if (once && this.unique.has(fn)) return true;
    if (this.posts >= POSTS_MAX) return false;
    if (once) this.unique.add(fn);
    this.posts++;
    this.queue.push(new Post(this, fn, once));
    return true;
  }

  /** Queues what exists anyway and so needs no bound. */
  push(callback: Callback): void {
    this.queue.push(callback);
  }

  /** A post is about to run. */
  taken(fn: (() => void) | null): void {
    this.posts--;
    if (fn !== null) this.unique.delete(fn);
  }

  /** Runs what is queued: at most `most`, and not much longer than until `end` by `now`. */
  run(most: number, now: () => number, budget: number): void {
    let end = 0;
    for (let ran = 1; ran <= most; ran++) {
      const callback = this.queue.shift();
      if (callback === null) return;
      callback.run();
      if (ran % CLOCK_STRIDE !== 0) continue;
      const time = now();
      if (end === 0) end = time + budget;
      else if (time > end) return;
    }
  }
}
