/**
 * A cooperator as a guest of Node's event loop.
 *
 * Turns run while tasks are ready, for about a millisecond; then libuv gets its turn, so that Node's own
 * timers and io never starve. When nothing is ready the loop sleeps, and three things wake it: a completion
 * (through the ring's eventfd), the alarm for the earliest timer, and a task made ready from outside.
 * Source: design D7, D9.
 */

import { deadlockError } from "../coordinator/diagnosis/deadlock.ts";
import { type DeadlockError, UnsupportedError } from "../coordinator/errors.ts";
import { meetAgain } from "../coordinator/kill/kill.ts";
import { given, pick } from "../coordinator/options.ts";
import { Cooperator, type Host, type Report } from "../coordinator/scheduler/cooperator.ts";
import { allTasks } from "../coordinator/task/walk.ts";
import type { UringOptions } from "../io/driver/options.ts";
import { UringDriver } from "../io/driver/uring-driver.ts";
import { ioOf } from "../io/io.ts";
import { type Alarm, TimerQueue } from "../time/timer-queue.ts";

/** Time for turns before libuv gets its own, in nanoseconds. Larger is faster and starves Node longer. */
const BUDGET_NS = 1e6;
/** The longest delay setTimeout can express. */
const TIMEOUT_MAX_MS = 0x7fff_ffff;

export interface NodeHostOptions {
  readonly name?: string;
  readonly report?: (report: Report) => void;
  /** Reports every step that takes longer than this, in milliseconds. */
  readonly stallAfter?: number;
  readonly spawnSites?: boolean;
  /** Sizes of the ring and what may be done on it. */
  readonly ring?: UringOptions;
}

/** Hosts that are not closed. They share their listeners: Node warns of many. */
const hosts = new Set<NodeHost>();

function allIdle(): void {
  for (const host of [...hosts]) host.idle();
}

function allLeft(): void {
  for (const host of [...hosts]) host.leave();
}

function enlist(host: NodeHost): void {
  if (hosts.size === 0) process.on("beforeExit", allIdle).on("exit", allLeft);
  hosts.add(host);
}

function dismiss(host: NodeHost): void {
  hosts.delete(host);
  if (hosts.size === 0) process.off("beforeExit", allIdle).off("exit", allLeft);
}

export class NodeHost implements Host, Alarm {
  readonly cooperator: Cooperator;
  /** Called when the scheduler itself has failed. */
  onPanic: ((error: unknown) => void) | null = null;
  /** Called when the process would end with tasks that nothing can wake. */
  onDeadlock: ((error: DeadlockError) => void) | null = null;
  /** A kill may come from outside, by a signal: a task that waits for one is no deadlock. */
  killable = false;
  private readonly timers: TimerQueue;
  private readonly ringOptions: UringOptions | undefined;
  private driver: UringDriver | null = null;
  private scheduled = false;
  /** The event loop is kept alive for completions and alarms. */
  private held = false;
  private timeout: NodeJS.Timeout | null = null;
  /** Keeps the process alive while all that is left is to wait for a kill. */
  private vigil: NodeJS.Timeout | null = null;
  private closed = false;
  /** The alarm went off in this turn. */
  private alarmed = false;
  private panicked = false;
  /** There is no io_uring here, as far as timers are concerned. */
  private ringRefused = false;
  private readonly runTurns = (): void => this.turns();

  constructor(options?: NodeHostOptions) {
    const cooperator = new Cooperator({
      host: this,
      ...pick(options, "name"),
      ...pick(options, "report"),
      ...pick(options, "stallAfter"),
      ...pick(options, "spawnSites"),
    });
    this.cooperator = cooperator;
    this.ringOptions = given(options, "ring");
    this.timers = new TimerQueue(cooperator, this);
    cooperator.timers = this.timers;
    cooperator.openDriver = () => this.openDriver();
    enlist(this);
  }

  requestTurn(): void {
    if (this.scheduled || this.closed) return;
    this.scheduled = true;
    setImmediate(this.runTurns);
  }

  panic(error: unknown): void {
    this.panicked = true;
    if (this.onPanic === null) throw error;
    this.onPanic(error);
  }

  /** The earliest timer: in the ring where there is one, which is far more precise than setTimeout. */
  arm(deadline: number): void {
    const driver = this.driver ?? this.ringForTimers();
    if (driver !== null) {
      driver.arm(deadline);
      return;
    }
    this.disarm();
    const delay = Math.ceil((deadline - this.cooperator.now()) / 1e6);
    this.timeout = setTimeout(
      () => {
        this.timers.alarmFired();
        this.turns();
      },
      Math.min(Math.max(delay, 0), TIMEOUT_MAX_MS),
    );
  }

  disarm(): void {
    this.driver?.disarm();
    if (this.timeout !== null) clearTimeout(this.timeout);
    this.timeout = null;
  }

  /** Ends everything: descriptors are closed, operations waited for, the ring given back. */
  async close(): Promise<void> {
    if (this.vigil !== null) clearInterval(this.vigil);
    const { driver, cooperator } = this;
    if (driver !== null && !this.panicked) {
      ioOf(cooperator).closeDescriptors();
      while (driver.inflight > 0) {
        this.requestTurn();
        await new Promise<void>((resolve) => setImmediate(resolve));
      }
    }
    cooperator.close();
    this.disarm();
    this.closed = true;
    dismiss(this);
    driver?.close();
    if (driver !== null && this.panicked) this.abandonDescriptors(driver);
  }

  /**
   * @internal The process ends, by process.exit or an error, and no task will run again. What the system would
   * cancel and close by itself is done here, because there it takes some milliseconds longer than the process,
   * in which the port of a listener is not free. Node does not run an addon's own clean-up on this way out.
   */
  leave(): void {
    this.closed = true;
    dismiss(this);
    const { driver } = this;
    if (driver === null) return;
    driver.close();
    this.abandonDescriptors(driver);
  }

  /** There are no more turns. The ring has cancelled what was in flight when it was closed. */
  private abandonDescriptors(driver: UringDriver): void {
    for (const entry of [...ioOf(this.cooperator).entries]) {
      const { number, borrowed, held } = entry;
      if (held !== null && held.dependents !== null) {
        for (const dependent of [...held.dependents]) dependent.abandoned?.();
      }
      entry.forget();
      // Others have last words to say on standard output and error.
      if (!borrowed && number > 2) driver.calls.closeFd(number);
    }
  }

  /** A program that only sleeps has a ring too, for the precision; without io_uring setTimeout must do. */
  private ringForTimers(): UringDriver | null {
    if (this.ringRefused) return null;
    try {
      this.cooperator.driver = this.openDriver();
    } catch (error) {
      if (!(error instanceof UnsupportedError)) throw error;
      this.ringRefused = true;
    }
    return this.driver;
  }

  private openDriver(): UringDriver {
    const driver = new UringDriver(this.ringOptions);
    driver.onAlarm = () => {
      this.timers.alarmFired();
      this.alarmed = true;
    };
    driver.onQueued = () => this.requestTurn();
    driver.watch(this.runTurns);
    this.driver = driver;
    // The timer that is armed moves into the ring.
    if (this.timeout !== null) {
      clearTimeout(this.timeout);
      this.timeout = null;
      this.timers.alarmFired();
    }
    return driver;
  }

  private turns(): void {
    if (this.closed) return;
    // What is queued from here on is part of these turns.
    this.scheduled = true;
    const { cooperator, driver } = this;
    driver?.wake();
    const end = cooperator.now() + BUDGET_NS;
    // An alarm is reaped after the timers were looked at, and may be early by a hair: they are looked at again.
    let more: boolean;
    do {
      this.alarmed = false;
      more = cooperator.turn() || this.alarmed;
    } while (more && cooperator.now() < end);
    this.scheduled = false;
    // The driver may have been opened in these turns.
    const ring = this.driver;
    if (more) this.requestTurn();
    else if (ring !== null && !ring.sleep()) this.requestTurn();
    if (ring !== null) this.holdLoop(ring.inflight > 0 || this.timers.size > 0);
  }

  private holdLoop(alive: boolean): void {
    if (alive === this.held) return;
    this.held = alive;
    this.driver!.hold(alive);
  }

  /** @internal The loop has run dry. Tasks that still live can be woken by nobody. */
  idle(): void {
    const { cooperator } = this;
    if (cooperator.live === 0) return;
    // Clean-up that waits for ever is cut short first: its kill is delivered again.
    let cut = false;
    for (const task of allTasks(cooperator.tasks())) if (meetAgain(task)) cut = true;
    if (cut || this.onDeadlock === null) return;
    if (this.killable && allTasks(cooperator.tasks()).some((task) => task.wait?.awaitsKill === true)) {
      this.vigil ??= setInterval(() => {}, TIMEOUT_MAX_MS);
      return;
    }
    this.onDeadlock(deadlockError(cooperator));
  }
}
