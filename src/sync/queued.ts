/** The part that waits in a FIFO have in common: they leave it on a kill, and can be told of a failure. */
import { Wait } from "../coordinator/wait.ts";

export abstract class QueuedWait<A> extends Wait<A> {
  protected failure: unknown = null;

  override abort(): boolean {
    this.list?.remove(this);
    return true;
  }

  override rollback(): void {
    this.failure = null;
  }

  override fail(error: unknown): void {
    this.failure = error;
    this.grant();
  }

  /** Throws what the wait has failed with. */
  protected checkFailure(): void {
    if (this.failure === null) return;
    const failure = this.failure;
    this.failure = null;
    throw failure;
  }
}
