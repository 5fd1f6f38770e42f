/**
 * A ring in ordinary memory, with a test in the kernel's place: it takes the submissions and posts the
 * completions, so that the driver can be shown what a real kernel does once in a blue moon.
 */
import type { NativeRing, RingOptions } from "../../src/native/binding.ts";
import * as abi from "../../src/native/layout.ts";

/** An SQE the driver has made visible. */
export interface Sqe {
  readonly opcode: number;
  /** Both words of `user_data`. */
  readonly low: number;
  readonly high: number;
  /** All 16 words. */
  readonly words: readonly number[];
}

const HEADER_BYTES = 64;
const SQ_HEAD = 0;
const SQ_TAIL = 4;
const SQ_FLAGS = 8;
const SQ_DROPPED = 12;
const CQ_HEAD = 16;
const CQ_TAIL = 20;
const CQ_FLAGS = 24;
const CQ_OVERFLOW = 28;

export class FakeRing implements NativeRing {
  readonly fd = 1_000_000;
  readonly eventfd = 1_000_001;
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
  /** What the next calls of `flush` do: -errno, or how many SQEs they take at most. Then all are taken. */
  readonly answers: number[] = [];
  /** Everything that was taken, in order. */
  readonly taken: Sqe[] = [];
  /** What becomes of an SQE that is taken. Default: its completion with 0. */
  serve: (sqe: Sqe) => void = (sqe) => this.post(sqe, 0);
  private readonly words: Int32Array;
  private readonly sqes: Int32Array;

  constructor(options: RingOptions) {
    this.sqEntries = options.sqEntries;
    this.cqEntries = options.cqEntries;
    this.opcodes = [...options.opcodes];
    this.ringMemory = new ArrayBuffer(HEADER_BYTES + this.cqEntries * abi.CQE_SIZE);
    this.sqeMemory = new ArrayBuffer(this.sqEntries * abi.SQE_SIZE);
    this.words = new Int32Array(this.ringMemory);
    this.sqes = new Int32Array(this.sqeMemory);
  }

  flush(toSubmit: number): number {
    const answer = this.answers.shift() ?? this.sqEntries;
    if (answer < 0) return answer;
    const visible = (this.words[SQ_TAIL >> 2] - this.words[SQ_HEAD >> 2]) | 0;
    const count = Math.min(answer, toSubmit, visible);
    for (let i = 0; i < count; i++) {
      const head = this.words[SQ_HEAD >> 2];
      const at = (head & (this.sqEntries - 1)) * abi.SQE_WORDS;
      const words = [...this.sqes.subarray(at, at + abi.SQE_WORDS)];
      this.words[SQ_HEAD >> 2] = head + 1;
      const sqe = {
        opcode: words[abi.SQE_WORD_OPCODE] & 0xff,
        low: words[abi.SQE_WORD_USER_DATA],
        high: words[abi.SQE_WORD_USER_DATA + 1],
        words,
      };
      this.taken.push(sqe);
      this.serve(sqe);
    }
    return count;
  }

  /** Posts a completion for `user_data`. */
  post({ low, high }: { readonly low: number; readonly high: number }, result: number, flags = 0): void {
    const tail = this.words[CQ_TAIL >> 2];
    const at = (HEADER_BYTES >> 2) + (tail & (this.cqEntries - 1)) * abi.CQE_WORDS;
    this.words[at] = low;
    this.words[at + 1] = high;
    this.words[at + abi.CQE_WORD_RES] = result;
    this.words[at + abi.CQE_WORD_FLAGS] = flags;
    this.words[CQ_TAIL >> 2] = tail + 1;
  }

  enter(): number {
    return 0;
  }
  wait(): number {
    return 0;
  }
  registerBuffers(): number {
    return -12;
  }
  unregisterBuffers(): number {
    return 0;
  }
  registerBufferGroup(): number {
    return -12;
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
