/** Somebody who is no task and wants to be told, once: in a task's list of joiners, at a signal or a gate. */
import { Coordinated } from "./coordinated.ts";

/** Calls `listener` in the step that grants it. The listener may not throw. */
export class Listener extends Coordinated {
  private readonly listener: () => void;
  constructor(listener: () => void) {
    super();
    this.listener = listener;
  }
  override grant(): void {
    this.listener();
  }
  override fail(): void {
    this.listener();
  }
  override moved(): void {}
}
