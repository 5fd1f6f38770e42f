/** The small operations of the kernel. */
import type { Operation } from "./operation.ts";
import type { Task } from "./task/task.ts";
import { Wait } from "./wait.ts";

/**
 * Lets everything that is ready at the same priority run first. A kill is met here.
 */
export function yieldNow(): Operation<void> {
  return new YieldNow();
}

/** @internal */
export class YieldNow extends Wait<void> {
  override get letsOthersFirst(): boolean {
    return true;
  }
  override describe(): string {
    return "its next turn";
  }
  protected override begin(): boolean {
    this.grant();
    return false;
  }
  protected override finish(): void {}
  override abort(): boolean {
    return true;
  }
}

/** Waits until the task is killed: for a body whose work is done by its children, or by callbacks. */
export function never(): Operation<never> {
  return new Never();
}

class Never extends Wait<never> {
  override get awaitsKill(): boolean {
    return true;
  }
  override describe(): string {
    return "a kill";
  }
  protected override begin(_task: Task): boolean {
    return false;
  }
  protected override finish(): never {
    throw new Error("never() was woken");
  }
  override abort(): boolean {
    return true;
  }
}
