/**
 * Programs with io on a virtual clock: files, sockets and pipes that do not exist, behind the driver that is used
 * with the real ones. A run is the same every time, and as bad as the faults it was given.
 */
import { UsageError } from "../../coordinator/errors.ts";
import type { Body } from "../../coordinator/operation.ts";
import { checkOptions, type Known } from "../../coordinator/options.ts";
import { UringDriver } from "../../io/driver/uring-driver.ts";
import { type IoStatistics, ioOf, ioStatistics } from "../../io/io.ts";
import { millisecondsOf, wholeFrom } from "../arguments.ts";
import { checkQuiescent } from "../checks.ts";
import { violated } from "../leaks.ts";
import { type VirtualOptions, VirtualRuntime } from "../virtual.ts";
import { SimulatedKernel } from "./kernel.ts";
import type { KernelOptions } from "./kernel-options.ts";
import { SimulatedRing, simulatedCalls } from "./ring.ts";

export interface SimulatedOptions extends KernelOptions, Pick<VirtualOptions, "trace"> {
  /** Order of ready tasks, delays and faults are made of it. Default: first come, first served, and seed 0. */
  readonly seed?: number;
  /** Sizes of the driver's queues, powers of two. Default 256 and 1024. */
  readonly sqEntries?: number;
  readonly cqEntries?: number;
  /** The clock moves by so many milliseconds at a time. Default: by as much as it has to. */
  readonly tick?: number;
}

const KNOWN: Known<SimulatedOptions> = {
  seed: true,
  trace: true,
  sqEntries: true,
  cqEntries: true,
  tick: true,
  faults: true,
  delay: true,
  bufferBytes: true,
  descriptors: true,
  without: true,
  script: true,
};

const SQ_ENTRIES = 256;
const CQ_ENTRIES = 1024;
const HOUR_MS = 3_600_000;
/** Longest time that the thread stands still. */
const STALL_MS = 10_000;

const ENTRIES_MAX = 2 ** 20;

function entriesOf(value: number | undefined, otherwise: number, what: string): number {
  const entries = wholeFrom(1, value, otherwise, what);
  if (entries <= ENTRIES_MAX && Number.isInteger(Math.log2(entries))) return entries;
  throw new UsageError("COOP_ARGUMENT", `${what} is a power of two, not ${entries}`);
}

export class SimulatedRuntime extends VirtualRuntime {
  readonly kernel: SimulatedKernel;
  readonly driver: UringDriver;
  private readonly ring: SimulatedRing;
  private readonly tick: number;
  /** The file of each descriptor when it was first looked at. */
  private readonly identities = new WeakMap<object, object>();

  constructor(options?: SimulatedOptions) {
    checkOptions(options, "a simulated runtime", KNOWN);
    super({ seed: options?.seed ?? null, trace: options?.trace ?? false });
    const kernel = new SimulatedKernel(() => this.cooperator.now(), options);
    this.kernel = kernel;
    this.tick = millisecondsOf(options?.tick, "tick");
    this.ring = new SimulatedRing(
      kernel,
      entriesOf(options?.sqEntries, SQ_ENTRIES, "sqEntries"),
      entriesOf(options?.cqEntries, CQ_ENTRIES, "cqEntries"),
    );
    this.driver = new UringDriver(undefined, { binding: simulatedCalls(kernel), ring: this.ring });
    this.cooperator.openDriver = () => this.driver;
  }

  /** What its io has counted; null before the first operation. */
  get io(): IoStatistics | null {
    return ioStatistics(this.cooperator);
  }

  protected override turn(): boolean {
    if (this.kernel.next <= this.cooperator.now() + 1) this.ring.interrupt();
    return super.turn();
  }

  protected override get ioIsReal(): boolean {
    return false;
  }

  /** To what happens next: a timer, or something in the kernel. */
  protected override jump(): boolean {
    const { kernel, tick } = this;
    const { next } = kernel;
    if (next < this.timers.next) this.advance(Math.max(0, next - this.cooperator.now()) / 1e6);
    else if (!super.jump()) return false;
    if (kernel.strikes("clockJump")) this.advance(HOUR_MS);
    if (kernel.strikes("stall")) this.advance(kernel.dice.next(STALL_MS));
    if (tick > 0) this.advance(tick - (this.now % tick));
    return true;
  }

  /** Moves the clock to what happens next. False when nothing will, whatever is waited for. */
  step(): boolean {
    return this.jump();
  }

  /**
   * Checks the rules that hold between any two turns: every descriptor of the program is open, is its own, and is the
   * file it was when it was opened.
   */
  checkIo(): void {
    const { kernel, driver } = this;
    if (kernel.badDescriptors > 0) {
      violated(`${kernel.badDescriptors} operations on descriptors that are not open`);
    }
    if (kernel.inflight > driver.inflight) {
      violated(`the kernel works on ${kernel.inflight} operations, the driver on ${driver.inflight}`);
    }
    if (this.cooperator.driver === null) return;
    const seen = new Set<number>();
    for (const entry of ioOf(this.cooperator).entries) {
      const { number } = entry;
      if (number === -1) continue;
      if (seen.has(number)) violated(`descriptor ${number} has two owners`);
      seen.add(number);
      const file = kernel.fileOf(number);
      if (file === null) violated(`${entry.label} is not open`);
      const known = this.identities.get(entry);
      if (known === undefined) this.identities.set(entry, file!);
      else if (known !== file) violated(`${entry.label} is another file than before`);
    }
  }

  /** Closes what the program has left open, and checks that then nothing is left at all. */
  checkAtRest(): void {
    const { kernel, driver } = this;
    if (this.io !== null) ioOf(this.cooperator).closeDescriptors();
    this.drain();
    checkQuiescent(this);
    this.checkIo();
    const { io } = this;
    if (io === null) return;
    const { inflight, backlog, blocks, descriptors, stale } = io;
    if (inflight + backlog + descriptors > 0) {
      violated(`${inflight} operations in flight, ${backlog} queued, ${descriptors} descriptors open`);
    }
    if (blocks !== 0) violated(`${blocks} blocks of memory are lent`);
    if (stale !== kernel.strays)
      violated(`${kernel.strays} stray completions were sent, ${stale} were ignored`);
    const open = kernel.descriptors.numbers();
    if (open.length > 0) violated(`descriptors ${open.join(", ")} are open and nobody's`);
    const direct = kernel.direct.numbers();
    if (direct.length > 0) violated(`direct descriptors ${direct.join(", ")} are open and nobody's`);
    const busy = driver.busyPlaces();
    if (busy > 0) violated(`${busy} places of the driver are in use`);
  }
}

/**
 * Runs `body` on a simulated kernel and a virtual clock and gives its value; throws what it throws. At the end
 * nothing may be left: no task, operation, timer, block of memory or descriptor.
 *
 * @example runSimulated(program, { seed: 7, delay: 10, faults: { shortRead: 0.5 } });
 */
export function runSimulated<A>(body: Body<A>, options?: SimulatedOptions): A {
  const runtime = new SimulatedRuntime(options);
  const value = runtime.run(body).result;
  runtime.checkAtRest();
  return value;
}
