/**
 * How the Node side of a duplex, which is no task, tells a task of ours that there is something to do. A ring that
 * nobody waits for is kept, and several count as one.
 */
import { Wait } from "../coordinator/wait.ts";

/** One task at a time waits for it, again and again: nothing is allocated for a wait. */
export class Bell extends Wait<void> {
  private readonly what: string;
  private rung = false;

  constructor(what: string) {
    super();
    this.what = what;
  }

  override describe(): string {
    return this.what;
  }

  ring(): void {
    if (this.task === null || this.satisfied) this.rung = true;
    else this.grant();
  }

  /** Forgets a ring that nobody has waited for. */
  clear(): void {
    this.rung = false;
  }

  protected override begin(): boolean {
    if (!this.rung) return false;
    this.rung = false;
    return true;
  }

  protected override finish(): void {}

  override abort(): boolean {
    return true;
  }

  override rollback(): void {
    this.rung = true;
  }
}
