/**
 * The io_uring driver: submissions are written and completions read in the mapped rings, from here; one
 * native call per turn hands over both. Source: design D8; io_uring(7), io_uring_enter(2).
 *
 * `user_data` is `index | kind << 28` and the generation: a completion that comes late can never reach
 * another operation.
 */

import { UnsupportedError, UsageError, violation } from "../../coordinator/errors.ts";
import { given } from "../../coordinator/options.ts";
import { IDLE } from "../../handle/handle.ts";
import { Slab } from "../../handle/slab.ts";
import { loadBinding, type NativeBinding, type NativeRing, openRing } from "../../native/binding.ts";
import * as abi from "../../native/layout.ts";
import type { Alarm } from "../../time/timer-queue.ts";
import { EAGAIN, EBUSY, ECANCELED, EINTR, EMFILE, ENOMEM, IoError } from "../errno.ts";
import { FileGate } from "../file/file-gate.ts";
import { type Handle, OWN_CANCEL, OWN_COMPLETION } from "../handle.ts";
import { URGENT, USUAL } from "../io-priority.ts";
import { Memory } from "../memory/memory.ts";
import { DIRECT, type DriverStatistics, type IoDriver } from "./driver.ts";

/** Submissions that fit into one turn. What does not fit waits in a backlog. */
const SQ_ENTRIES = 1024;
/** Completions that fit before the kernel keeps them itself. */
const CQ_ENTRIES = 8192;
/** Operations in flight at once. */
export const INFLIGHT_MAX = 1 << 20;

/** Times a number below 2^53 it gives its high 32 bits. */
const TO_HIGH_WORD = 1 / 4294967296;

/** Places in the table of direct descriptors unless the program says how many. A place costs the kernel 8 bytes. */
const TABLE_DEFAULT = 1 << 16;
const TABLE_MIN = 64;
const TABLE_MAX = 1 << 20;

/** In the first word of an SQE: its descriptor is a direct one. */
const FIXED = abi.SQE_FIXED_FILE << abi.SQE_FLAGS_SHIFT;
/** In the first word of an SQE: the next one begins when this one has succeeded. */
const LINK = abi.SQE_IO_LINK << abi.SQE_FLAGS_SHIFT;

const KIND_SHIFT = 28;
const INDEX_MASK = (1 << KIND_SHIFT) - 1;
const KIND_OPERATION = 0;
const KIND_CANCEL = 1;
const KIND_ALARM = 2;
/** Completions nobody waits for. */
const KIND_NONE = 3;

/**
 * Operations of one chain. It is submitted as a whole, so it has to fit into the submission ring; and the longer it
 * is, the longer it keeps others from a ring that is nearly full.
 */
const CHAIN_MAX = 32;

/** Descriptor numbers we keep account of: the kernel's own limit, fs.nr_open, as it usually is. */
const OWNED_MAX = 1 << 20;
/** The same with a kernel that is none: the account is for the addon, which closes what is left. */
const OWNED_MAX_SIMULATED = 1 << 10;

/** The latest alarm, in nanoseconds: what is later has no exact words, and the kernel's clock ends there too. */
const ALARM_MAX = 9e18;

/** Words of the alarm's timespecs: each lives until the submission that names it has been taken. */
const ALARM_SLOTS = 16;

/** What the kernel is allowed to do on this ring; everything else completes with -EACCES. */
const OPCODES: readonly number[] = [
  abi.OP_NOP,
  abi.OP_READ,
  abi.OP_WRITE,
  abi.OP_READ_FIXED,
  abi.OP_WRITE_FIXED,
  abi.OP_READV,
  abi.OP_WRITEV,
  abi.OP_FSYNC,
  abi.OP_SYNC_FILE_RANGE,
  abi.OP_FALLOCATE,
  abi.OP_FTRUNCATE,
  abi.OP_FADVISE,
  abi.OP_OPENAT,
  abi.OP_OPENAT2,
  abi.OP_CLOSE,
  abi.OP_FILES_UPDATE,
  abi.OP_FIXED_FD_INSTALL,
  abi.OP_STATX,
  abi.OP_RENAMEAT,
  abi.OP_UNLINKAT,
  abi.OP_MKDIRAT,
  abi.OP_LINKAT,
  abi.OP_SYMLINKAT,
  abi.OP_FSETXATTR,
  abi.OP_SETXATTR,
  abi.OP_FGETXATTR,
  abi.OP_GETXATTR,
  abi.OP_PIPE,
  abi.OP_SPLICE,
  abi.OP_TEE,
  abi.OP_POLL_ADD,
  abi.OP_WAITID,
  abi.OP_FUTEX_WAIT,
  abi.OP_FUTEX_WAKE,
  abi.OP_SOCKET,
  abi.OP_BIND,
  abi.OP_LISTEN,
  abi.OP_ACCEPT,
  abi.OP_CONNECT,
  abi.OP_RECV,
  abi.OP_SEND,
  abi.OP_SENDMSG,
  abi.OP_RECVMSG,
  abi.OP_SHUTDOWN,
  abi.OP_TIMEOUT,
  abi.OP_TIMEOUT_REMOVE,
  abi.OP_ASYNC_CANCEL,
];

export interface UringOptions {
  readonly sqEntries?: number;
  readonly cqEntries?: number;
  readonly opcodes?: readonly number[];
  /**
   * Reads, writes and syncs of files with the kernel at a time; what is above waits in order. Reads that wait
   * for somebody, on pipes and terminals opened as files, count too. Costs a few look-ups per operation.
   * Default: no limit.
   */
  readonly fileOperationsMax?: number;
  /**
   * Debug: reports bytes that are changed while a write or a send of them is in flight, and pooled buffers that are
   * written to after their release; those have memory of their own for each lease then. Costs a look at every byte
   * that goes out. Default false.
   */
  readonly checkBuffers?: boolean;
  /**
   * Direct descriptors at a time: the size of the ring's table of files, which is made when the first is opened. Not
   * more than RLIMIT_NOFILE allows, nor than 1,048,576. Default: 65,536, or as many as are allowed.
   */
  readonly directDescriptors?: number;
}

/** What the driver stands on: the addon's, or one that simulates them. */
export interface UringSystem {
  readonly binding: Omit<NativeBinding, "createRing" | "layout">;
  readonly ring: NativeRing;
}

export class UringDriver implements IoDriver, Alarm {
  readonly name = "io_uring";
  readonly simulated: boolean;
  readonly memory: Memory;
  readonly limit: number = INFLIGHT_MAX;
  readonly chainMax: number;
  /** Called when the alarm goes off. */
  onAlarm: (() => void) | null = null;
  onQueued: (() => void) | null = null;
  private readonly binding: UringSystem["binding"];
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
  readonly #sqes: Int32Array;
  private readonly sqMask: number;
  private readonly sqEntries: number;
  private readonly cqMask: number;
  private readonly sqTailAt: number;
  private readonly sqFlagsAt: number;
  private readonly cqHeadAt: number;
  private readonly cqTailAt: number;
  private readonly cqFlagsAt: number;
  private readonly cqesAt: number;

  /** Our copies of the indexes only we move. */
  private sqTail: number;
  private cqHead: number;
  /** SQEs written and not taken yet. */
  private queued = 0;
  /** Where the next SQE goes: the ring, or behind those that wait for room in it. */
  #into: Int32Array;
  /** SQEs that found no room, in order: 16 words each, from `stagedHead`. */
  #staged: Int32Array = new Int32Array(0);
  private stagedHead = 0;
  /** SQEs of the chain that is being set up, how many, and where other SQEs go. */
  readonly #links: Int32Array;
  private linkCount = 0;
  /** For each place of the ring, the last tail at which it was given to one of a chain that is not the first. */
  private readonly followers: Int32Array;
  #intoBefore: Int32Array;
  /** Where the last SQE was written. */
  #lastInto: Int32Array;
  private lastAt = 0;
  /** Null without a limit on file operations. */
  readonly #gate: FileGate | null;
  /** Operations that were cancelled before they left the gate: done in the next turn. */
  private dropped: Handle[] = [];
  /** Done in this turn, but not of the usual urgency: they become ready before or after the others. */
  private unusual: Handle[] = [];
  private stagedTail = 0;
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

  readonly #alarmTimes: Int32Array;
  private readonly alarmAddress: number;
  /** Alarms submitted whose completion is due; at most one is armed, the others are being replaced. */
  private alarmSlot = 0;
  private alarmGeneration = 0;
  private alarmArmed = false;
  /** Added to our clock it gives CLOCK_MONOTONIC, in nanoseconds. */
  private readonly clockOffset: number;

  /**
   * @param system What stands in for the kernel, in simulations.
   * @throws {UnsupportedError} naming the cause when there is no io_uring here.
   */
  constructor(options?: UringOptions, system?: UringSystem) {
    // What is wrong is said before a ring is open.
    this.wanted = tableSizeOf(given(options, "directDescriptors"));
    this.#gate = gateOf(given(options, "fileOperationsMax"));
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
    this.binding = binding;
    this.#ring = ring;
    this.supported = new Set(ring.opcodes);
    this.memory = new Memory((view) => binding.addressOf(view));
    this.memory.checks = given(options, "checkBuffers") === true;
    this.#words = new Int32Array(ring.ringMemory);
    this.#sqes = new Int32Array(ring.sqeMemory);
    this.#into = this.#sqes;
    this.#lastInto = this.#sqes;
    this.#intoBefore = this.#sqes;
    this.chainMax = Math.min(CHAIN_MAX, ring.sqEntries);
    this.#links = new Int32Array(this.chainMax * abi.SQE_WORDS);
    this.followers = new Int32Array(ring.sqEntries).fill(-1);
    this.sqEntries = ring.sqEntries;
    this.sqMask = ring.sqEntries - 1;
    this.cqMask = ring.cqEntries - 1;
    this.sqTailAt = ring.sqTailOffset >> 2;
    this.sqFlagsAt = ring.sqFlagsOffset >> 2;
    this.cqHeadAt = ring.cqHeadOffset >> 2;
    this.cqTailAt = ring.cqTailOffset >> 2;
    this.cqFlagsAt = ring.cqFlagsOffset >> 2;
    this.cqesAt = ring.cqesOffset >> 2;
    this.sqTail = this.#words[this.sqTailAt]!;
    this.cqHead = this.#words[this.cqHeadAt]!;
    const times = new SharedArrayBuffer(ALARM_SLOTS * abi.TIMESPEC_SIZE);
    this.#alarmTimes = new Int32Array(times);
    this.alarmAddress = binding.addressOf(new Uint8Array(times));
    this.clockOffset = measureClockOffset();
  }

  /** @internal The ring's own descriptor. */
  get fd(): number {
    return this.#ring.fd;
  }

  get inflight(): number {
    return this.submittedCount - this.completedCount;
  }

  get backlog(): number {
    return this.queued + (this.stagedTail - this.stagedHead) + this.dropped.length;
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
    if (fd >= DIRECT) {
      this.submitDirect(handle, opcode, fd, address, length, offset, opFlags, ioprio, extra);
      return;
    }
    // One operation of a chain is with the kernel's workers at a time, and they have to stay together.
    const held = this.#gate === null || this.#into === this.#links ? null : this.#gate.hold(handle, opcode);
    // A cancel of all on a descriptor: the kernel does not know of those that wait here.
    if (this.#gate !== null && opcode === abi.OP_ASYNC_CANCEL) this.dropped.push(...this.#gate.dropAll(fd));
    const at = held === null ? this.slot() : 0;
    this.write(
      held ?? this.#into,
      at,
      opcode | (ioprio << abi.SQE_IOPRIO_SHIFT),
      fd,
      address,
      length,
      offset,
      opFlags,
      index,
      generation,
      handle.bufferIndex,
      extra,
    );
  }

  /** As {@link submit}, for a direct descriptor, once the handle has its place. */
  private submitDirect(
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
    const place = fd - DIRECT;
    const { index, generation, bufferIndex } = handle;
    if (opcode === abi.OP_CLOSE) {
      // The place comes first: whether there is room for it decides where it lies.
      const at = this.slot();
      this.write(this.#into, at, opcode, 0, 0, 0, 0, 0, index, generation, 0, place + 1);
      return;
    }
    const cancels = opcode === abi.OP_ASYNC_CANCEL;
    if (cancels && this.#gate !== null) this.dropped.push(...this.#gate.dropAll(fd));
    const held = this.#gate === null || this.#into === this.#links ? null : this.#gate.hold(handle, opcode);
    const at = held === null ? this.slot() : 0;
    const head = opcode | (ioprio << abi.SQE_IOPRIO_SHIFT) | (cancels ? 0 : FIXED);
    const flags = cancels ? opFlags | abi.CANCEL_FD_FIXED : opFlags;
    const words = held ?? this.#into;
    this.write(words, at, head, place, address, length, offset, flags, index, generation, bufferIndex, extra);
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
    this.#lastInto[this.lastAt + word] = low;
    this.#lastInto[this.lastAt + word + 1] = high;
  }

  cancel(handle: Handle): void {
    this.cancelCount++;
    if (this.#gate?.drop(handle) === true) {
      this.dropped.push(handle);
      return;
    }
    const { index, generation } = handle;
    const at = this.slot();
    this.write(
      this.#into,
      at,
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
    this.#into[at + abi.SQE_WORD_ADDR] = index;
    this.#into[at + abi.SQE_WORD_ADDR + 1] = generation;
  }

  /** Room for one SQE: where it begins in `into`. */
  private slot(): number {
    if (this.queued >= this.sqEntries || this.#into !== this.#sqes) return this.stage();
    const at = (this.sqTail & this.sqMask) << 4;
    this.sqTail = (this.sqTail + 1) | 0;
    this.queued++;
    return at;
  }

  /** Writes all 16 words of one SQE: the kernel acts on stale ones. */
  private write(
    words: Int32Array,
    at: number,
    head: number,
    fd: number,
    address: number,
    length: number,
    offset: number,
    opFlags: number,
    dataLow: number,
    dataHigh: number,
    buffer: number,
    extra: number,
  ): void {
    this.#lastInto = words;
    this.lastAt = at;
    words[at] = head;
    words[at + 1] = fd;
    words[at + 2] = offset;
    // Rounded down, so that -1 fills both words.
    words[at + 3] = Math.floor(offset * TO_HIGH_WORD);
    words[at + 4] = address;
    words[at + 5] = address * TO_HIGH_WORD;
    words[at + 6] = length;
    words[at + 7] = opFlags;
    words[at + 8] = dataLow;
    words[at + 9] = dataHigh;
    words[at + 10] = buffer;
    words[at + 11] = extra;
    words[at + 12] = 0;
    words[at + 13] = 0;
    words[at + 14] = 0;
    words[at + 15] = 0;
  }

  /** Room for one SQE behind the others that wait. The operations in flight bound how many there are. */
  private stage(): number {
    if (this.#into === this.#links) return this.linkCount++ * abi.SQE_WORDS;
    const at = this.stagedTail * abi.SQE_WORDS;
    if (at === this.#staged.length) {
      const grown = new Int32Array(Math.max(64 * abi.SQE_WORDS, at * 2));
      grown.set(this.#staged);
      this.#staged = grown;
    }
    this.#into = this.#staged;
    this.stagedTail++;
    return at;
  }

  private unstage(): void {
    while (this.stagedHead < this.stagedTail) {
      // The kernel ends a chain where a submission ends: it goes as a whole, or waits.
      const count = this.linked(this.stagedHead);
      if (this.queued + count > this.sqEntries) break;
      for (let i = 0; i < count; i++) this.put(this.#staged, this.stagedHead++ * abi.SQE_WORDS, i > 0);
    }
    if (this.stagedHead === this.stagedTail) {
      this.#into = this.#sqes;
      this.stagedHead = 0;
      this.stagedTail = 0;
      if (this.#staged.length > 4096 * abi.SQE_WORDS) this.#staged = new Int32Array(0);
    }
  }

  /** How many staged SQEs, from this one on, are one chain: 1 for one that is none. */
  private linked(place: number): number {
    let count = 1;
    while ((this.#staged[(place + count - 1) * abi.SQE_WORDS]! & LINK) !== 0) count++;
    return count;
  }

  /** Copies an SQE to the ring, where there is room. */
  private put(from: Int32Array, at: number, follows: boolean): void {
    if (follows) this.followers[this.sqTail & this.sqMask] = this.sqTail;
    copySqe(from, at, this.#sqes, (this.sqTail & this.sqMask) << 4);
    this.sqTail = (this.sqTail + 1) | 0;
    this.queued++;
  }

  beginChain(): void {
    this.#intoBefore = this.#into;
    this.#into = this.#links;
  }

  endChain(): void {
    const links = this.#links;
    const { linkCount } = this;
    this.linkCount = 0;
    this.#into = this.#intoBefore;
    for (let i = 0; i < linkCount - 1; i++) links[i * abi.SQE_WORDS]! |= LINK;
    const fits = this.#into === this.#sqes && this.queued + linkCount <= this.sqEntries;
    for (let i = 0; i < linkCount; i++) {
      const from = i * abi.SQE_WORDS;
      if (fits) this.put(links, from, i > 0);
      else {
        const at = this.stage();
        copySqe(links, from, this.#into, at);
      }
    }
  }

  dropChain(): void {
    this.submittedCount -= this.linkCount;
    this.linkCount = 0;
    this.#into = this.#intoBefore;
  }

  /**
   * The kernel has taken some of what was queued and stopped, for want of memory: a chain that this has cut in two is
   * over. What is left of it would no longer wait for its beginning, so it does nothing, and ends as cancelled.
   */
  private cutChain(taken: number): void {
    const sqes = this.#sqes;
    const { sqMask, followers } = this;
    for (let left = (this.sqTail - this.queued + taken) | 0; left !== this.sqTail; left = (left + 1) | 0) {
      if (followers[left & sqMask] !== left) return;
      const at = (left & sqMask) << 4;
      this.slab.get(sqes[at + abi.SQE_WORD_USER_DATA]!, sqes[at + abi.SQE_WORD_USER_DATA + 1]!)!.sever();
      sqes.fill(0, at, at + abi.SQE_WORD_USER_DATA);
      sqes[at] = abi.OP_NOP;
      sqes.fill(0, at + abi.SQE_WORD_BUFFER, at + abi.SQE_WORDS);
    }
  }

  flush(): number {
    const words = this.#words;
    if (this.stagedHead !== this.stagedTail) this.unstage();
    if (this.dropped.length > 0) this.finishDropped();
    if (this.queued > 0) {
      Atomics.store(words, this.sqTailAt, this.sqTail);
    } else if ((Atomics.load(words, this.sqFlagsAt) & (abi.SQ_TASKRUN | abi.SQ_CQ_OVERFLOW)) === 0) {
      return this.reap();
    }
    this.flushCount++;
    const taken = this.#ring.flush(this.queued);
    if (taken >= 0) {
      if (taken > 0 && taken < this.queued) this.cutChain(taken);
      this.queued -= taken;
    } else if (taken === -EAGAIN || taken === -EBUSY || taken === -EINTR || taken === -ENOMEM)
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
      else if (kind === KIND_ALARM) this.alarmDone(generation);
      else if (kind !== KIND_NONE) this.staleCount++;
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
      const words = gate.release(handle);
      const at = this.slot();
      this.#into.set(words, at);
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
    const time = Math.min(deadline + this.clockOffset, ALARM_MAX);
    const seconds = Math.floor(time / 1e9);
    const slot = this.alarmSlot;
    this.alarmSlot = (slot + 1) % ALARM_SLOTS;
    const at = slot * 4;
    this.#alarmTimes[at] = seconds;
    this.#alarmTimes[at + 1] = seconds / 4294967296;
    this.#alarmTimes[at + 2] = Math.ceil(time - seconds * 1e9);
    this.#alarmTimes[at + 3] = 0;
    const address = this.alarmAddress + slot * abi.TIMESPEC_SIZE;
    this.disarm();
    this.alarmArmed = true;
    const generation = (this.alarmGeneration + 1) | 0;
    this.alarmGeneration = generation;
    const place = this.slot();
    this.write(
      this.#into,
      place,
      abi.OP_TIMEOUT,
      -1,
      address,
      1,
      0,
      abi.TIMEOUT_ABS,
      KIND_ALARM << KIND_SHIFT,
      generation,
      0,
      0,
    );
  }

  disarm(): void {
    if (!this.alarmArmed) return;
    this.alarmArmed = false;
    const at = this.slot();
    this.write(this.#into, at, abi.OP_TIMEOUT_REMOVE, -1, 0, 0, 0, 0, KIND_NONE << KIND_SHIFT, 0, 0, 0);
    this.#into[at + abi.SQE_WORD_ADDR] = KIND_ALARM << KIND_SHIFT;
    this.#into[at + abi.SQE_WORD_ADDR + 1] = this.alarmGeneration;
  }

  private alarmDone(generation: number): void {
    if (generation !== this.alarmGeneration || !this.alarmArmed) return;
    this.alarmArmed = false;
    this.onAlarm?.();
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

  closeNow(fd: number): number {
    return this.binding.closeFd(fd);
  }

  socketName(fd: number, peer: boolean, out: Uint8Array): number {
    return this.binding.socketName(fd, peer, out);
  }

  setSocketOption(fd: number, level: number, name: number, value: number | Uint8Array): number {
    return this.binding.setSocketOption(fd, level, name, value);
  }

  getSocketOption(fd: number, level: number, name: number, out: Uint8Array): number {
    return this.binding.getSocketOption(fd, level, name, out);
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
    return this.binding.validFd(fd) && fd !== this.#ring.fd && fd !== this.#ring.eventfd;
  }

  socketNow(domain: number, type: number): number {
    return this.binding.socketNow(domain, type);
  }

  bindNow(fd: number, address: Uint8Array): number {
    return this.binding.bindNow(fd, address);
  }

  listenNow(fd: number, backlog: number): number {
    return this.binding.listenNow(fd, backlog);
  }

  pipeNow(out: Uint8Array): number {
    return this.binding.pipeNow(out);
  }

  inotifyOpen(): number {
    return this.binding.inotifyOpen();
  }

  inotifyAdd(fd: number, path: Uint8Array, mask: number): number {
    return this.binding.inotifyAdd(fd, path, mask);
  }

  inotifyRemove(fd: number, watch: number): number {
    return this.binding.inotifyRemove(fd, watch);
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

/** Word by word: a view of 16 words costs more than they do. */
function copySqe(from: Int32Array, at: number, to: Int32Array, toAt: number): void {
  for (let i = 0; i < abi.SQE_WORDS; i++) to[toAt + i] = from[at + i]!;
}

/** Drivers that were closed with operations in flight, for ever. A program that goes on after a panic has few. */
const unfinished: UringDriver[] = [];

/** CLOCK_MONOTONIC minus `performance.now()`, in nanoseconds: both tick alike. The closest of a few looks. */
function measureClockOffset(): number {
  let best = Number.POSITIVE_INFINITY;
  let offset = 0;
  for (let i = 0; i < 8; i++) {
    const before = performance.now() * 1e6;
    const monotonic = Number(process.hrtime.bigint());
    const after = performance.now() * 1e6;
    if (after - before >= best) continue;
    best = after - before;
    offset = monotonic - (before + after) / 2;
  }
  return offset;
}

function tableSizeOf(size: number | undefined): number | undefined {
  if (size === undefined || (Number.isInteger(size) && size >= 1 && size <= TABLE_MAX)) return size;
  throw new UsageError(
    "COOP_ARGUMENT",
    `directDescriptors is a number from 1 to ${TABLE_MAX}, not ${String(size)}`,
  );
}

function noTable(size: number, result: number): UnsupportedError {
  const cause = new IoError(result, "io_uring_register");
  const why =
    result === -EMFILE
      ? "it may have as many as RLIMIT_NOFILE allows (`ulimit -n`); ask for fewer with directDescriptors"
      : "it needs Linux 6.0 or newer, and a sandbox that allows it";
  return new UnsupportedError(`no table of ${size} direct descriptors (${cause.code}): ${why}`, { cause });
}

function gateOf(limit: number | undefined): FileGate | null {
  if (limit === undefined) return null;
  if (Number.isInteger(limit) && limit >= 1) return new FileGate(limit);
  throw new UsageError("COOP_ARGUMENT", `fileOperationsMax is a number from 1 up, not ${String(limit)}`);
}
