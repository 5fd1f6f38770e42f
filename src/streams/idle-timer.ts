/** The time-out of an idle duplex: `setTimeout` as Node's sockets have it, on the cooperator's own clock. */
import type { Cooperator } from "../coordinator/scheduler/cooperator.ts";
import { type Timed, type TimerQueue, timerQueueOf } from "../time/timer-queue.ts";
import type { Bridge } from "./bridge.ts";

const MILLISECOND = 1e6;

/**
 * Activity only writes down the time: the timer stays armed and looks when it fires. A server that sets a time-out
 * after each answer and takes it back at each request moves nothing in the timer queue.
 */
export class IdleTimer implements Timed {
  deadline = 0;
  order = 0;
  heapIndex = -1;
  private readonly bridge: Bridge;
  private readonly queue: TimerQueue;
  /** Nanoseconds; 0 when there is no time-out. */
  private length = 0;
  private last = 0;
  /** Bytes of the write under way that were out when the timer fired last. */
  private sent = 0;

  constructor(bridge: Bridge, cooperator: Cooperator) {
    this.bridge = bridge;
    this.queue = timerQueueOf(cooperator);
  }

  set(milliseconds: number): void {
    this.length = milliseconds * MILLISECOND;
    this.touch();
  }

  /** Something has moved. After a time-out this begins the next one. */
  touch(): void {
    if (this.length === 0) return;
    this.last = this.queue.now();
    const due = this.last + this.length;
    if (this.heapIndex === -1 || this.deadline > due) this.queue.arm(this, due);
  }

  stop(): void {
    this.length = 0;
    this.queue.disarm(this);
  }

  fire(): void {
    if (this.length === 0) return;
    const { sent } = this.bridge;
    // A slow peer that takes a long write piece by piece is not idle.
    if (sent !== this.sent) {
      this.sent = sent;
      this.last = this.queue.now();
    }
    const due = this.last + this.length;
    if (due > this.queue.now()) this.queue.arm(this, due);
    else this.bridge.timedOut();
  }
}
