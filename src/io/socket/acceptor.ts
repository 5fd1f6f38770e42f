/**
 * Multishot accept: one submission, a completion per connection. Connections are accepted ahead of need, up to
 * a bound; above it the kernel is asked to stop, and their peers wait in the listener's backlog.
 *
 * ```
 *   IDLE ──next() finds nothing──▶ ARMED ──bound reached: cancel──▶ STOPPING ──last completion──▶ IDLE
 *                                    └────last completion, nobody waits────────────────────────────▲
 *                                    └────last completion, somebody waits: armed again
 * ```
 *
 * A kill of a task in `next()` loses nothing: a connection that was meant for it is the next one's.
 * Source: seeds X-39; conformance P12, S11; io_uring_prep_multishot_accept(3).
 */

import { closeSync, openSync } from "node:fs";
import { Embedded, EmbeddedList } from "../../coordinator/embedded-list.ts";
import { ClosedError, UsageError } from "../../coordinator/errors.ts";
import type { Operation } from "../../coordinator/operation.ts";
import { checkOptions, given, type Known } from "../../coordinator/options.ts";
import { Wait } from "../../coordinator/wait.ts";
import { ACCEPT_MULTISHOT, FILE_INDEX_ALLOC, OP_ACCEPT, SOCK_CLOEXEC } from "../../native/layout.ts";
import { checkDescriptor, closeOrphan, type Dependent, type Descriptor } from "../descriptor/descriptor.ts";
import { DIRECT } from "../driver/driver.ts";
import { ECANCELED, EMFILE, IoError } from "../errno.ts";
import type { Handle, Shots } from "../handle.ts";
import type { Io } from "../io.ts";
import { Kind } from "../io-operation.ts";
import { Socket } from "./stream-socket.ts";

export interface AcceptAllOptions {
  /**
   * Connections accepted and not claimed; with that many the kernel is asked to stop. Those it has accepted by
   * then still come. Default 64.
   */
  readonly unclaimed?: number;
  /** Connections become direct descriptors; see {@link DirectOptions}. Default: what the listener was told. */
  readonly direct?: boolean;
}

export interface AcceptorStatistics {
  /** `accepted = claimed + unclaimed + shed`, and those that were closed with the acceptor. */
  readonly accepted: number;
  readonly claimed: number;
  readonly unclaimed: number;
  /** Closed at once because the process had no descriptor left for them. */
  readonly shed: number;
  /** Submissions. */
  readonly armed: number;
}

const KNOWN: Known<AcceptAllOptions> = { unclaimed: true, direct: true };
const UNCLAIMED_DEFAULT = 64;

const ACCEPT_ALL = new Kind<unknown>({
  syscall: "accept",
  direct: true,
  setup: () => 0,
  convert() {},
  background: true,
});

/** Accepts all connections of a listener; one at a time should. `using` closes those nobody claimed. */
export class Acceptor extends Embedded implements Shots, Dependent {
  private readonly listener: Descriptor;
  private readonly io: Io;
  private readonly unclaimedMax: number;
  private readonly direct: boolean;
  private readonly numbers: number[] = [];
  private readonly waiters: EmbeddedList<Next> = new EmbeddedList();
  private handle: Handle | null = null;
  /** -errno for the next one that asks. */
  private error = 0;
  private stopped = false;
  /** A descriptor kept for the day there are no more, -1 while it is lent. */
  private reserve: number;
  private acceptedCount = 0;
  private claimedCount = 0;
  private shedCount = 0;
  private armedCount = 0;

  /** @throws {UsageError} `COOP_ARGUMENT` when `options.unclaimed` is not from 1 up. */
  constructor(listener: Descriptor, options?: AcceptAllOptions) {
    super();
    checkOptions(options, "an Acceptor", KNOWN);
    const unclaimed = given(options, "unclaimed") ?? UNCLAIMED_DEFAULT;
    if (!Number.isSafeInteger(unclaimed) || unclaimed < 1) {
      throw new UsageError("COOP_ARGUMENT", "unclaimed is a number of connections from 1 up");
    }
    checkDescriptor(listener, "accept");
    listener.checkOpen("accept");
    this.listener = listener;
    this.io = listener.io;
    this.unclaimedMax = unclaimed;
    this.direct = given(options, "direct") ?? listener.acceptsDirect;
    // Direct ones are none of the process's.
    if (this.direct) this.io.driver.openTable();
    this.reserve = this.direct ? -1 : openReserve();
    listener.addDependent(this);
  }

  /**
   * Waits for a connection. Tasks that wait are served first come, first served.
   *
   * @throws {ClosedError} when the listener or the acceptor is closed. @throws {IoError} what accept(2) says;
   * to have no descriptor left (`EMFILE`) is dealt with: connections are closed until there are some again.
   */
  next(): Operation<Socket> {
    return new Next(this);
  }

  statistics(): AcceptorStatistics {
    return {
      accepted: this.acceptedCount,
      claimed: this.claimedCount,
      unclaimed: this.numbers.length,
      shed: this.shedCount,
      armed: this.armedCount,
    };
  }

  /** Closes what nobody claimed and lets the listener be: it may be accepted from in another way. */
  [Symbol.dispose](): void {
    if (this.stopped) return;
    this.stopped = true;
    this.listener.removeDependent(this);
    this.handle?.cancel();
    for (const number of this.numbers.splice(0)) closeOrphan(this.io, number);
    if (this.reserve !== -1) closeSync(this.reserve);
    this.reserve = -1;
    this.failAll();
  }

  /** @internal */
  descriptorClosing(): void {
    this[Symbol.dispose]();
  }

  /** @internal */
  abandoned(): void {
    this.stopped = true;
    const { driver } = this.io;
    for (const number of this.numbers.splice(0)) {
      driver.disown(number);
      driver.calls.closeFd(number);
    }
    if (this.reserve !== -1) closeSync(this.reserve);
    this.reserve = -1;
  }

  /** @internal A completion: a connection, or the reason why there are no more. */
  arrived(result: number): void {
    if (result < 0) return;
    this.acceptedCount++;
    if (this.direct) this.arrivedDirect(result + DIRECT);
    else if (this.stopped) closeOrphan(this.io, result);
    else if (this.reserve === -1 && this.isShort()) this.shed(result);
    else this.offer(result);
  }

  private arrivedDirect(number: number): void {
    if (this.stopped) closeOrphan(this.io, number);
    else this.offer(number);
  }

  /** @internal To the oldest waiter, or kept. */
  offer(number: number): void {
    this.io.driver.own(number);
    const waiter = this.waiters.shift();
    if (waiter !== null) {
      this.claimedCount++;
      waiter.give(number);
      return;
    }
    this.numbers.push(number);
    if (this.numbers.length >= this.unclaimedMax) this.handle?.cancel();
  }

  /** @internal A connection that is there, -1 when one has to be waited for. */
  claim(): number {
    this.listener.checkOpen("accept");
    if (this.stopped) throw new ClosedError("accept: the acceptor is closed");
    const number = this.numbers.shift();
    if (number !== undefined) {
      this.claimedCount++;
      return number;
    }
    if (this.error !== 0) {
      const { error } = this;
      this.error = 0;
      throw new IoError(error, "accept", this.listener.details);
    }
    return -1;
  }

  /** @internal */
  wait(waiter: Next): void {
    this.waiters.push(waiter);
    if (this.handle === null) this.arm();
  }

  /** @internal A waiter was killed after it had been given a connection: it is the next one's. */
  giveBack(number: number): void {
    this.claimedCount--;
    if (this.stopped) {
      closeOrphan(this.io, number);
      return;
    }
    const waiter = this.waiters.shift();
    if (waiter === null) this.numbers.unshift(number);
    else {
      this.claimedCount++;
      waiter.give(number);
    }
  }

  /** @internal */
  connection(number: number): Socket {
    return new Socket(this.io, number);
  }

  private arm(): void {
    const { io, listener } = this;
    const handle = io.take();
    handle.prepare(io, ACCEPT_ALL, listener, undefined);
    handle.shots = this;
    const flags = this.direct ? 0 : SOCK_CLOEXEC;
    const place = this.direct ? FILE_INDEX_ALLOC : 0;
    io.driver.submit(handle, OP_ACCEPT, listener.number, 0, 0, 0, flags, ACCEPT_MULTISHOT, place);
    this.armedCount++;
    this.handle = handle;
    handle.startedInBackground((result) => this.over(result));
    io.driver.onQueued?.();
  }

  /** The last completion is in. Whether it was an error, or the kernel had a reason of its own to stop. */
  private over(result: number): void {
    this.handle = null;
    if (this.stopped) return;
    if (result === -EMFILE && this.reserve !== -1) {
      // One connection gets the reserve's place, to be closed: its peer learns that it is not served.
      closeSync(this.reserve);
      this.reserve = -1;
    } else if (result < 0 && result !== -ECANCELED) {
      this.fail(result);
      if (this.reserve === -1 && !this.direct) this.reserve = openReserve();
    }
    // An error is one waiter's: the others try on, and each is told of its own.
    if (this.waiters.length > 0) this.arm();
  }

  /** Whether there is still no other descriptor than the one the reserve had. */
  private isShort(): boolean {
    this.reserve = openReserve();
    return this.reserve === -1;
  }

  /** Closes a connection to have the reserve again. */
  private shed(number: number): void {
    this.io.driver.calls.closeFd(number);
    this.reserve = openReserve();
    this.shedCount++;
  }

  private fail(result: number): void {
    const waiter = this.waiters.shift();
    if (waiter === null) this.error = result;
    else waiter.failWith(new IoError(result, "accept", this.listener.details));
  }

  private failAll(): void {
    for (let waiter = this.waiters.shift(); waiter !== null; waiter = this.waiters.shift()) {
      waiter.failWith(new ClosedError(`accept: ${this.listener.label} is closed`));
    }
  }
}

/** A descriptor on nothing, -1 when there is none to be had. */
function openReserve(): number {
  try {
    return openSync("/dev/null", "r");
  } catch {
    return -1;
  }
}

class Next extends Wait<Socket> {
  private readonly acceptor: Acceptor;
  private number = -1;
  private error: Error | null = null;

  constructor(acceptor: Acceptor) {
    super();
    this.acceptor = acceptor;
  }

  override describe(): string {
    return "a connection";
  }

  give(number: number): void {
    this.number = number;
    this.grant();
  }

  failWith(error: Error): void {
    this.error = error;
    this.grant();
  }

  protected override begin(): boolean {
    this.number = this.acceptor.claim();
    if (this.number !== -1) return true;
    this.acceptor.wait(this);
    return false;
  }

  protected override finish(): Socket {
    const { number, error } = this;
    this.number = -1;
    this.error = null;
    if (error !== null) throw error;
    return this.acceptor.connection(number);
  }

  override abort(): boolean {
    this.list?.remove(this);
    return true;
  }

  override rollback(): void {
    const { number } = this;
    this.number = -1;
    this.error = null;
    if (number !== -1) this.acceptor.giveBack(number);
  }
}
