/**
 * A ring in ordinary memory: both queues as a driver finds them, and the other side of each, where a kernel would
 * be. What takes the submissions, and says what becomes of them, is up to the classes that extend it.
 */

import * as abi from "../../native/layout.ts";
import type { NativeRing, SharedView } from "../../native/native-types.ts";

const HEADER_BYTES = 64;
const SQ_HEAD = 0;
const SQ_TAIL = 4;
const SQ_FLAGS = 8;
const SQ_DROPPED = 12;
const CQ_HEAD = 16;
const CQ_TAIL = 20;
const CQ_FLAGS = 24;
const CQ_OVERFLOW = 28;
/** No descriptor has this number. */
const NOT_A_DESCRIPTOR = 1_000_000;

export abstract class MemoryRing implements NativeRing {
  readonly fd: number = NOT_A_DESCRIPTOR;
  readonly eventfd: number = NOT_A_DESCRIPTOR + 1;
  readonly features = 0;
  readonly setupFlags = 0;
  readonly sqEntries: number;
  readonly cqEntries: number;
  readonly opcodes: readonly number[];
  readonly canMuteEventfd = true;
  readonly ringMemory: ArrayBuffer;
  readonly sqeMemory: ArrayBuffer;
  readonly sqHeadOffset = SQ_HEAD;
  readonly sqTailOffset = SQ_TAIL;
  readonly sqFlagsOffset = SQ_FLAGS;
  readonly sqDroppedOffset = SQ_DROPPED;
  readonly cqHeadOffset = CQ_HEAD;
  readonly cqTailOffset = CQ_TAIL;
  readonly cqFlagsOffset = CQ_FLAGS;
  readonly cqOverflowOffset = CQ_OVERFLOW;
  readonly cqesOffset = HEADER_BYTES;
  /** The words of all SQEs. */
  protected readonly sqes: Int32Array;
  private readonly words: Int32Array;

  /** Sizes are powers of two. */
  constructor(sqEntries: number, cqEntries: number, opcodes: readonly number[]) {
    this.sqEntries = sqEntries;
    this.cqEntries = cqEntries;
    this.opcodes = opcodes;
    this.ringMemory = new ArrayBuffer(HEADER_BYTES + cqEntries * abi.CQE_SIZE);
    this.sqeMemory = new ArrayBuffer(sqEntries * abi.SQE_SIZE);
    this.words = new Int32Array(this.ringMemory);
    this.sqes = new Int32Array(this.sqeMemory);
  }

  abstract flush(toSubmit: number): number;

  /** SQEs that the driver has made visible and nobody has taken. */
  protected get visible(): number {
    return (this.words[SQ_TAIL >> 2]! - this.words[SQ_HEAD >> 2]!) | 0;
  }

  /** Where the next SQE begins in `sqes`. */
  protected get first(): number {
    return (this.words[SQ_HEAD >> 2]! & (this.sqEntries - 1)) * abi.SQE_WORDS;
  }

  /** The next SQE has been read. It is wiped: a driver that did not write its place again would submit rubbish. */
  protected advance(): void {
    const at = this.first;
    this.sqes.fill(-1, at, at + abi.SQE_WORDS);
    this.words[SQ_HEAD >> 2] = (this.words[SQ_HEAD >> 2]! + 1) | 0;
  }

  /** Completions that there is room for. */
  protected get room(): number {
    return this.cqEntries - ((this.words[CQ_TAIL >> 2]! - this.words[CQ_HEAD >> 2]!) | 0);
  }

  /** Shows a completion to the driver; there is room for it. */
  protected put(low: number, high: number, result: number, flags: number): void {
    const { words } = this;
    const tail = words[CQ_TAIL >> 2]!;
    const at = (HEADER_BYTES >> 2) + (tail & (this.cqEntries - 1)) * abi.CQE_WORDS;
    words[at] = low;
    words[at + 1] = high;
    words[at + abi.CQE_WORD_RES] = result;
    words[at + abi.CQE_WORD_FLAGS] = flags;
    words[CQ_TAIL >> 2] = (tail + 1) | 0;
  }

  /** SQ_TASKRUN and SQ_CQ_OVERFLOW: what the driver is told beside the queues. */
  protected get flags(): number {
    return this.words[SQ_FLAGS >> 2]!;
  }

  protected set flags(flags: number) {
    this.words[SQ_FLAGS >> 2] = flags;
  }

  enter(): number {
    return 0;
  }
  wait(): number {
    return 0;
  }
  registerFiles(_count: number): number {
    return 0;
  }
  registerBuffers(): number {
    return 0;
  }
  unregisterBuffers(): number {
    return 0;
  }
  registerBufferGroup(_view: SharedView, _entries: number, _group: number): number {
    return 0;
  }
  unregisterBufferGroup(): number {
    return 0;
  }
  syncCancelAll(): number {
    return 0;
  }
  watch(): number {
    return 0;
  }
  unwatch(): number {
    return 0;
  }
  ref(): number {
    return 0;
  }
  unref(): number {
    return 0;
  }
  close(): void {}
}
