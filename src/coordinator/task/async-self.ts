/** What a task body that is an `async` function knows its task by. */

import { signalOf } from "../kill/scope-signal.ts";
import type { Body } from "../operation.ts";
import { type AsyncBody, Request } from "./async-body.ts";
import { current } from "./current.ts";
import type { Deferred } from "./scope.ts";
import { addDefer, type SpawnOptions } from "./spawn.ts";
import type { Task } from "./task.ts";

/**
 * The task, as the `async` function that is its body sees it. Inside an async function no task is ever current,
 * so the free functions (`spawn`, `defer`, `self`) do not work there: these take their place.
 */
export class AsyncSelf {
  /** The task itself. */
  readonly task: Task;
  private readonly body: AsyncBody;

  /** @internal */
  constructor(body: AsyncBody, task: Task) {
    this.body = body;
    this.task = task;
  }

  /**
   * Runs an operation on behalf of the task, one at a time. When the task is killed, the promise of the operation
   * that runs then rejects with a {@link KilledError}, or that of the next one does. A `catch` can swallow it, but
   * the kill stands, and is not delivered again: what the function does from there on is clean-up. Its waits work;
   * they are not interrupted before the time of `within` is over.
   *
   * @throws {UsageError} `COOP_WAIT_BUSY` while the promise of another one is open.
   * @example const line = await self.wait(socket.readLine());
   */
  wait<A>(body: Body<A>): Promise<A> {
    const request = new Request(body as Body<unknown>);
    this.body.ask(request);
    return request.promise as Promise<A>;
  }

  /** Aborted when the task is killed, with a {@link KilledError} that has the reason; for `fetch` and the like. */
  get signal(): AbortSignal {
    return signalOf(this.body.scope!, this.task);
  }

  /** Spawns a child of the task. */
  spawn<A>(body: Body<A>, options?: SpawnOptions): Task<A> {
    const outer = current.task;
    // The child inherits priority and task-local values, as from a spawn in a generator.
    current.task = this.task;
    try {
      return this.task.spawn(body, options);
    } finally {
      current.task = outer;
    }
  }

  /** Registers clean-up that runs when the body is over and the children are gone, last first. */
  defer(cleanup: Deferred): void {
    if (this.task.closed) this.task.checkOpen();
    addDefer(this.task, cleanup);
  }
}
