/**
 * Values that belong to a task and are inherited: a child sees what its spawner had when it was spawned, and
 * what one of them sets later the other does not see. Source: seeds C-073, X-27.
 */
import { currentTask } from "./current.ts";

/**
 * @example
 * const requestId = new TaskLocal("none");
 * requestId.set("42");
 * spawn(handler()); // requestId.get() is "42" in there
 */
export class TaskLocal<T> {
  private readonly initial: T;

  /** @param initial What `get` gives where nobody has set a value. */
  constructor(initial: T) {
    this.initial = initial;
  }

  /** The running task's value. */
  get(): T {
    const { locals } = currentTask("TaskLocal.get()");
    return locals?.has(this) === true ? (locals.get(this) as T) : this.initial;
  }

  /** Sets the value for the running task and for what it spawns from now on. */
  set(value: T): void {
    const task = currentTask("TaskLocal.set()");
    // The map is shared with others of the tree, so it is never changed in place.
    task.locals = new Map(task.locals).set(this, value);
  }
}
