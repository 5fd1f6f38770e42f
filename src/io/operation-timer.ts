/** The time limit of one operation. */
import { type Timed, timerQueueOf } from "../time/timer-queue.ts";
import type { Handle } from "./handle.ts";

/** Cancels a handle's operation when its time is up. */
export class OperationTimer implements Timed {
  deadline = 0;
  order = 0;
  heapIndex = -1;
  /** Nanoseconds. */
  length = 0;
  private readonly handle: Handle;

  constructor(handle: Handle) {
    this.handle = handle;
  }

  start(): void {
    const { cooperator } = this.handle.io!;
    timerQueueOf(cooperator).arm(this, cooperator.now() + this.length);
  }

  stop(): void {
    timerQueueOf(this.handle.io!.cooperator).disarm(this);
  }

  fire(): void {
    this.handle.timeUp();
  }
}
