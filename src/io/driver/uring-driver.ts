/**
 * The io_uring driver: submissions are written and completions read in the mapped rings, from here; one
 * native call per turn hands over both. Source: design D8; io_uring(7), io_uring_enter(2).
 */
import { UnsupportedError, violation } from "../../coordinator/errors.ts";
import { given } from "../../coordinator/options.ts";
import { IDLE } from "../../handle/handle.ts";
import { Slab } from "../../handle/slab.ts";
import {
  loadBinding,
  type NativeBinding,
  type NativeRing,
  openRing,
  type SystemCalls,
} from "../../native/binding.ts";
import * as abi from "../../native/layout.ts";
import type { Alarm } from "../../time/timer-queue.ts";
import { EAGAIN, EBUSY, ECANCELED, EINTR, EMFILE, ENOMEM, IoError } from "../errno.ts";
import type { FileGate } from "../file/file-gate.ts";
import { type Handle, OWN_CANCEL, OWN_COMPLETION } from "../handle.ts";
import { URGENT, USUAL } from "../io-priority.ts";
import { Memory } from "../memory/memory.ts";
import { DIRECT, type DriverStatistics, type IoDriver } from "./driver.ts";
import { CQ_ENTRIES, fileGateOf, OPCODES, SQ_ENTRIES, tableSizeOf, type UringOptions } from "./options.ts";
import { RingAlarm } from "./ring-alarm.ts";
import { SubmissionQueue } from "./submission-queue.ts";
import { INDEX_MASK, KIND_ALARM, KIND_CANCEL, KIND_NONE, KIND_OPERATION, KIND_SHIFT } from "./user-data.ts";

/** Operations in flight at once. */
const INFLIGHT_MAX = 1 << 20;

/** Places in the table of direct descriptors unless the program says how many. A place costs the kernel 8 bytes. */
const TABLE_DEFAULT = 1 << 16;
const TABLE_MIN = 64;

/** In the first word of an SQE: its descriptor is a direct one. */
const FIXED = abi.SQE_FIXED_FILE << abi.SQE_FLAGS_SHIFT;

/** Descriptor numbers we keep account of: the kernel's own limit, fs.nr_open, as it usually is. */
const OWNED_MAX = 1 << 20;
/** The same with a kernel that is none: the account is for the addon, which closes what is left. */
const OWNED_MAX_SIMULATED = 1 << 10;

/** What the driver stands on: the addon's, or one that simulates them. */
export interface UringSystem {
  readonly binding: Omit<NativeBinding, "createRing" | "layout">;
  readonly ring: NativeRing;
}

export class UringDriver implements IoDriver, Alarm {
  readonly name = "io_uring";
  readonly simulated: boolean;
  readonly memory: Memory;
  readonly calls: SystemCalls;
  readonly limit: number = INFLIGHT_MAX;
  readonly chainMax: number;
  /** Called when the alarm goes off. */
  onAlarm: (() => void) | null = null;
  onQueued: (() => void) | null = null;
  readonly #ring: NativeRing;
  /** Background operations are not held to the limit. */
  private readonly slab = new Slab<Handle>(INFLIGHT_MAX * 2);
  /** What the kernel knows of the opcodes that were wanted. */
  private readonly supported: ReadonlySet<number>;
  private readonly opcodes: readonly number[];
  /** One bit per descriptor number that is ours to close. */
  readonly #owned: Int32Array<SharedArrayBuffer>;

  /**
   * Rings as 32-bit words, and where in them the fields are. They, and all else that the kernel acts on, are private to
   * the engine: no property of anything leads here.
   */
  readonly #words: Int32Array;
  readonly #sq: SubmissionQueue;
  private readonly cqMask: number;
  private readonly sqFlagsAt: number;
  private readonly cqHeadAt: number;
  private readonly cqTailAt: number;
  private readonly cqFlagsAt: number;
  private readonly cqesAt: number;

  /** Our copy of the index that only we move. */
  private cqHead: number;
  /** Null without a limit on file operations. */
  readonly #gate: FileGate | null;
  /** Operations that were cancelled before they left the gate: done in the next turn. */
  private dropped: Handle[] = [];
  /** Done in this turn, but not of the usual urgency: they become ready before or after the others. */
  private unusual: Handle[] = [];
  /** Direct descriptors that were asked for, and places there are: 0 before the first. */
  private readonly wanted: number | undefined;
  private tableSize = 0;

  private submittedCount = 0;
  private completedCount = 0;
  private cancelCount = 0;
  private staleCount = 0;
  private flushCount = 0;
  private retryCount = 0;
  private closed = false;
  readonly #alarm: RingAlarm;

  /**
   * @param system What stands in for the kernel, in simulations.
   * @throws {UnsupportedError} naming the cause when there is no io_uring here.
   */
  constructor(options?: UringOptions, system?: UringSystem) {
    // What is wrong is said before a ring is open.
    this.wanted = tableSizeOf(given(options, "directDescriptors"));
    this.#gate = fileGateOf(given(options, "fileOperationsMax"));
    const binding = system?.binding ?? loadBinding();
    const ownedMax = system === undefined ? OWNED_MAX : OWNED_MAX_SIMULATED;
    this.#owned = new Int32Array(new SharedArrayBuffer(ownedMax / 8));
    this.opcodes = given(options, "opcodes") ?? OPCODES;
    const ring =
      system?.ring ??
      openRing({
        sqEntries: given(options, "sqEntries") ?? SQ_ENTRIES,
        cqEntries: given(options, "cqEntries") ?? CQ_ENTRIES,
        opcodes: this.opcodes,
        owned: this.#owned,
      });
    this.simulated = system !== undefined;
    this.calls = binding;
    this.#ring = ring;
    this.supported = new Set(ring.opcodes);
    this.memory = new Memory((view) => binding.addressOf(view));
    this.memory.checks = given(options, "checkBuffers") === true;
    this.#words = new Int32Array(ring.ringMemory);
    this.#sq = new SubmissionQueue(ring, this.#words);
    this.chainMax = this.#sq.chainMax;
    this.cqMask = ring.cqEntries - 1;
    this.sqFlagsAt = ring.sqFlagsOffset >> 2;
    this.cqHeadAt = ring.cqHeadOffset >> 2;
    this.cqTailAt = ring.cqTailOffset >> 2;
    this.cqFlagsAt = ring.cqFlagsOffset >> 2;
    this.cqesAt = ring.cqesOffset >> 2;
    this.cqHead = this.#words[this.cqHeadAt]!;
    this.#alarm = new RingAlarm(this.#sq, (view) => binding.addressOf(view));
  }

  /** @internal The ring's own descriptor. */
  get fd(): number {
    return this.#ring.fd;
  }

  get inflight(): number {
    return this.submittedCount - this.completedCount;
  }

  get backlog(): number {
    return this.#sq.queued + this.#sq.waiting + this.dropped.length;
  }

  supports(opcode: number): boolean {
    return this.supported.has(opcode);
  }

  lacks(opcode: number): boolean {
    return !this.supported.has(opcode) && this.opcodes.includes(opcode);
  }

  submit(
    handle: Handle,
    opcode: number,
    fd: number,
    address: number,
    length: number,
    offset: number,
    opFlags: number,
    ioprio: number,
    extra: number,
  ): void {
    let { index } = handle;
    if (index === -1) {
      index = this.slab.claim(handle);
      handle.index = index;
      handle.generation = this.slab.generation(index);
    }
    const { generation } = handle;
    this.submittedCount++;
    const direct = fd >= DIRECT;
    if (direct && opcode === abi.OP_CLOSE) {
      this.#sq.write(null, opcode, 0, 0, 0, 0, 0, index, generation, 0, fd - DIRECT + 1);
      return;
    }
    const cancels = opcode === abi.OP_ASYNC_CANCEL;
    // One operation of a chain is with the kernel's workers at a time, and they have to stay together.
    const sq = this.#sq;
    const held = this.#gate === null || sq.chaining ? null : this.#gate.hold(handle, opcode);
    // A cancel of all on a descriptor: the kernel does not know of those that wait here.
    if (cancels && this.#gate !== null) this.dropped.push(...this.#gate.dropAll(fd));
    let head = opcode | (ioprio << abi.SQE_IOPRIO_SHIFT);
    let flags = opFlags;
    if (direct) {
      if (cancels) flags |= abi.CANCEL_FD_FIXED;
      else head |= FIXED;
    }
    const at = direct ? fd - DIRECT : fd;
    sq.write(held, head, at, address, length, offset, flags, index, generation, handle.bufferIndex, extra);
  }

  openTable(): void {
    if (this.tableSize > 0) return;
    const { wanted } = this;
    let size = wanted ?? TABLE_DEFAULT;
    let result = this.#ring.registerFiles(size);
    // Nobody has asked for that many.
    while (wanted === undefined && (result === -EMFILE || result === -ENOMEM) && size > TABLE_MIN) {
      size >>>= 1;
      result = this.#ring.registerFiles(size);
    }
    if (result < 0) throw noTable(size, result);
    this.tableSize = size;
  }

  setWide(word: number, low: number, high: number): void {
    this.#sq.setWide(word, low, high);
  }

  cancel(handle: Handle): void {
    this.cancelCount++;
    if (this.#gate?.drop(handle) === true) {
      this.dropped.push(handle);
      return;
    }
    const { index, generation } = handle;
    this.#sq.write(
      null,
      abi.OP_ASYNC_CANCEL,
      -1,
      0,
      0,
      0,
      0,
      index | (KIND_CANCEL << KIND_SHIFT),
      generation,
      0,
      0,
    );
    // The target is named by its user_data.
    this.#sq.setWide(abi.SQE_WORD_ADDR, index, generation);
  }

  beginChain(): void {
    this.#sq.beginChain();
  }

  endChain(): void {
    this.#sq.endChain();
  }

  dropChain(): void {
    this.submittedCount -= this.#sq.dropChain();
  }

  flush(): number {
    const sq = this.#sq;
    if (sq.waiting > 0) sq.unstage();
    if (this.dropped.length > 0) this.finishDropped();
    if (sq.queued > 0) sq.publish();
    else if ((Atomics.load(this.#words, this.sqFlagsAt) & (abi.SQ_TASKRUN | abi.SQ_CQ_OVERFLOW)) === 0) {
      return this.reap();
    }
    this.flushCount++;
    const taken = this.#ring.flush(sq.queued);
    if (taken >= 0) sq.taken(taken, this.slab);
    else if (taken === -EAGAIN || taken === -EBUSY || taken === -EINTR || taken === -ENOMEM)
      this.retryCount++;
    else throw violation(`io_uring_enter failed with errno ${-taken}`);
    return this.reap();
  }

  private reap(): number {
    const words = this.#words;
    const { cqMask, cqesAt } = this;
    let head = this.cqHead;
    const tail = Atomics.load(words, this.cqTailAt);
    if (head === tail) return 0;
    const count = (tail - head) | 0;
    while (head !== tail) {
      const at = cqesAt + ((head & cqMask) << 2);
      const low = words[at]!;
      const generation = words[at + 1]!;
      const result = words[at + 2]!;
      head = (head + 1) | 0;
      const kind = low >>> KIND_SHIFT;
      if (kind <= KIND_CANCEL) this.complete(low & INDEX_MASK, generation, kind, result, words[at + 3]!);
      else if (kind === KIND_ALARM) {
        if (this.#alarm.wentOff(generation)) this.onAlarm?.();
      } else if (kind !== KIND_NONE) this.staleCount++;
    }
    this.cqHead = head;
    Atomics.store(words, this.cqHeadAt, head);
    if (this.unusual.length > 0) this.finishUnusual();
    if (this.#gate !== null) this.openGate(this.#gate);
    return count;
  }

  private complete(index: number, generation: number, kind: number, result: number, flags: number): void {
    const handle = this.slab.get(index, generation);
    const part = kind === KIND_OPERATION ? OWN_COMPLETION : OWN_CANCEL;
    if (handle === null || (handle.expected & part) === 0) {
      this.staleCount++;
      return;
    }
    if (kind === KIND_OPERATION) {
      if (handle.shots !== null) {
        handle.shots.arrived(result, flags);
        if ((flags & abi.CQE_MORE) !== 0) return;
      }
      handle.outcome = result;
      if (handle.descriptor !== null) handle.descriptor.hasMore = (flags & abi.CQE_SOCK_NONEMPTY) !== 0;
    }
    handle.expected ^= part;
    if (handle.expected !== 0) {
      if (kind === KIND_CANCEL) handle.cancelEnded(result);
      return;
    }
    this.settled(handle);
  }

  /** All completions of the handle are in. */
  private settled(handle: Handle): void {
    this.completedCount++;
    if (this.#gate !== null) this.#gate.ended(handle);
    // From here on a completion with the old generation is stale, whoever uses the place next.
    if (handle.pooled) handle.generation = this.slab.renew(handle.index);
    else this.forget(handle);
    if (handle.urgency === USUAL) handle.finished(handle.outcome);
    else this.unusual.push(handle);
  }

  /** Urgent ones run before everybody who is ready, in order; the others after everybody. */
  private finishUnusual(): void {
    const handles = this.unusual;
    this.unusual = [];
    for (const handle of handles) if (handle.urgency !== URGENT) handle.finished(handle.outcome);
    for (let i = handles.length - 1; i >= 0; i--) {
      const handle = handles[i]!;
      if (handle.urgency !== URGENT) continue;
      const { cooperator } = handle.io!;
      cooperator.readyFirst = true;
      try {
        handle.finished(handle.outcome);
      } finally {
        cooperator.readyFirst = false;
      }
    }
  }

  /** Operations that never left the gate end as the kernel would have ended them. */
  private finishDropped(): void {
    const handles = this.dropped;
    this.dropped = [];
    for (const handle of handles) {
      handle.outcome = -ECANCELED;
      handle.expected = 0;
      this.settled(handle);
    }
    if (this.unusual.length > 0) this.finishUnusual();
  }

  /** What has waited takes the places that are free. */
  private openGate(gate: FileGate): void {
    for (let handle = gate.next(); handle !== null; handle = gate.next()) {
      this.#sq.add(gate.release(handle));
    }
  }

  forget(handle: Handle): void {
    if (handle.index === -1) return;
    this.slab.free(handle.index, handle.generation);
    handle.index = -1;
  }

  /** @internal Places of handles that are in use: 0 when nothing is in flight. */
  busyPlaces(): number {
    let busy = 0;
    this.slab.visit((handle) => {
      if (handle.state !== IDLE) busy++;
    });
    return busy;
  }

  /** Sets the one timer of the ring to `deadline`, nanoseconds of our clock; replaces the one that is set. */
  arm(deadline: number): void {
    this.#alarm.arm(deadline);
  }

  disarm(): void {
    this.#alarm.disarm();
  }

  /** Calls back from the event loop when completions arrive while the thread sleeps. */
  watch(callback: () => void): void {
    this.#ring.watch(callback);
    this.#ring.unref();
  }

  /** Keeps the process alive for completions, or not. */
  hold(alive: boolean): void {
    if (alive) this.#ring.ref();
    else this.#ring.unref();
  }

  /** While awake, completions are found without a wake-up. */
  wake(): void {
    if (this.#ring.canMuteEventfd) Atomics.store(this.#words, this.cqFlagsAt, abi.CQ_EVENTFD_DISABLED);
  }

  /**
   * From now on a completion wakes the event loop. Returns false when some are here already: flush again.
   * The flag is cleared before the look, and the kernel sets its own before it looks at ours.
   */
  sleep(): boolean {
    const words = this.#words;
    if (this.#ring.canMuteEventfd) Atomics.store(words, this.cqFlagsAt, 0);
    return (
      (Atomics.load(words, this.sqFlagsAt) & (abi.SQ_TASKRUN | abi.SQ_CQ_OVERFLOW)) === 0 &&
      Atomics.load(words, this.cqTailAt) === this.cqHead
    );
  }

  own(fd: number): void {
    const word = fd >>> 5;
    if (word < this.#owned.length) this.#owned[word]! |= 1 << (fd & 31);
  }

  disown(fd: number): void {
    const word = fd >>> 5;
    if (word < this.#owned.length) this.#owned[word]! &= ~(1 << (fd & 31));
  }

  registerBuffers(arena: Uint8Array<SharedArrayBuffer>, count: number, size: number): number {
    return this.#ring.registerBuffers(arena, count, size);
  }

  registerBufferGroup(ring: Uint8Array<SharedArrayBuffer>, count: number, group: number): number {
    return this.#ring.registerBufferGroup(ring, count, group);
  }

  unregisterBufferGroup(group: number): void {
    if (!this.closed) this.#ring.unregisterBufferGroup(group);
  }

  unregisterBuffers(): void {
    this.#ring.unregisterBuffers();
  }

  validDescriptor(fd: number): boolean {
    if (fd >= DIRECT) return fd - DIRECT < this.tableSize;
    return this.calls.validFd(fd) && fd !== this.#ring.fd && fd !== this.#ring.eventfd;
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    // Only after a panic, or at the end of the process: the ring cancels, and waits for a second. Whatever the kernel
    // still writes to then has to stay where it is, and the handles know.
    if (this.inflight > 0) unfinished.push(this);
    this.#ring.close();
  }

  statistics(): DriverStatistics {
    return {
      submitted: this.submittedCount,
      completed: this.completedCount,
      inflight: this.inflight,
      cancels: this.cancelCount,
      stale: this.staleCount,
      flushes: this.flushCount,
      retries: this.retryCount,
      backlog: this.backlog,
    };
  }
}

/** Drivers that were closed with operations in flight, for ever. A program that goes on after a panic has few. */
const unfinished: UringDriver[] = [];

function noTable(size: number, result: number): UnsupportedError {
  const cause = new IoError(result, "io_uring_register");
  const why =
    result === -EMFILE
      ? "it may have as many as RLIMIT_NOFILE allows (`ulimit -n`); ask for fewer with directDescriptors"
      : "it needs Linux 6.0 or newer, and a sandbox that allows it";
  return new UnsupportedError(`no table of ${size} direct descriptors (${cause.code}): ${why}`, { cause });
}
