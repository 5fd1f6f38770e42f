import type { Coordinator } from "./coordinator.ts";
import { Embedded } from "./embedded-list.ts";
import type { Task } from "./task/task.ts";

/**
 * One waiter's link on a {@link Coordinator} or {@link Signal}.
 *
 * | state     | `list`   | `satisfied` |
 * |-----------|----------|-------------|
 * | idle      | null     | any         |
 * | queued    | the FIFO | false       |
 * | satisfied | null     | true        |
 *
 * `satisfied` is recorded per link because several coordinators may fire before a task that waits for all
 * of them runs again. Source: seeds C-020 … C-024.
 */
export abstract class Coordinated extends Embedded {
  /** @internal The task that waits, null when idle. */
  task: Task | null;
  /** @internal */ satisfied: boolean;

  // Spelled out, here and in the other classes that are made often: without a constructor of its own a class
  // with fields gets one that passes `...arguments` on, which the engine neither inlines nor elides.
  constructor() {
    super();
    this.task = null;
    this.satisfied = false;
  }

  /** Called once when it is this link's turn; it has already left the FIFO. */
  abstract grant(): void;
  /** @internal The link has been put into the FIFO of another coordinator. */
  abstract moved(to: Coordinator): void;
  /** @internal Called instead of `grant` when the wait can never be satisfied. */
  abstract fail(error: unknown): void;
}
