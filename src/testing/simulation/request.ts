/** One submission in a simulated kernel, from the moment it is taken to its last completion. */
import * as abi from "../../native/layout.ts";
import type { OpenFile } from "./open-file.ts";

/**
 * ```
 *   STARTING ──attempt──▶ OVER
 *      ▲         │ has to wait
 *      │ woken   ▼
 *      └────── WAITING
 * ```
 */
export type RequestState = 0 | 1 | 2;
export const STARTING = 0;
export const WAITING = 1;
export const OVER = 2;

/** A short one of these is a failure to those that are linked to it. */
const WHOLE: ReadonlySet<number> = new Set([
  abi.OP_READ,
  abi.OP_WRITE,
  abi.OP_READ_FIXED,
  abi.OP_WRITE_FIXED,
]);

const TWO_32 = 4294967296;

export class Request {
  readonly opcode: number;
  readonly sqeFlags: number;
  readonly ioprio: number;
  readonly fd: number;
  readonly address: number;
  readonly length: number;
  /** -1 for the current position. From 2^53 up it is not exact. */
  readonly offset: number;
  readonly opFlags: number;
  readonly bufferIndex: number;
  readonly extra: number;
  /** `user_data`. */
  readonly low: number;
  readonly high: number;
  state: RequestState = STARTING;
  file: OpenFile | null = null;
  /** Bytes of a send for all that have gone out. */
  done = 0;
  /** A cancel came too late to stop it, and ends it if it would wait. */
  cancelled = false;
  /** Flags of its last completion. */
  lastFlags = 0;
  /** When its last completion is posted: those of one request keep their order. */
  lastAt = 0;
  /** Begins when this one has succeeded. */
  next: Request | null = null;
  /** Tells its attempts apart: one that was planned before it was woken or cancelled is void. */
  round = 0;

  constructor(words: Int32Array, at: number) {
    const head = words[at]!;
    this.opcode = head & 0xff;
    this.sqeFlags = (head >>> abi.SQE_FLAGS_SHIFT) & 0xff;
    this.ioprio = head >>> abi.SQE_IOPRIO_SHIFT;
    this.fd = words[at + abi.SQE_WORD_FD]!;
    this.offset = words[at + 3]! * TWO_32 + (words[at + 2]! >>> 0);
    this.address = words[at + 5]! * TWO_32 + (words[at + 4]! >>> 0);
    this.length = words[at + abi.SQE_WORD_LEN]! >>> 0;
    this.opFlags = words[at + abi.SQE_WORD_OP_FLAGS]! >>> 0;
    this.low = words[at + abi.SQE_WORD_USER_DATA]!;
    this.high = words[at + abi.SQE_WORD_USER_DATA + 1]!;
    this.bufferIndex = words[at + abi.SQE_WORD_BUFFER]! & 0xffff;
    this.extra = words[at + abi.SQE_WORD_FILE_INDEX]!;
  }

  get multishot(): boolean {
    if (this.opcode === abi.OP_ACCEPT) return (this.ioprio & abi.ACCEPT_MULTISHOT) !== 0;
    return this.opcode === abi.OP_RECV && (this.ioprio & abi.RECV_MULTISHOT) !== 0;
  }

  /** The next one in the submission begins when this one has succeeded. */
  get leads(): boolean {
    return (this.sqeFlags & abi.SQE_IO_LINK) !== 0;
  }

  /** Whether a result breaks a chain: an error, and less than was asked for where the kernel counts that as one. */
  breaksChain(result: number): boolean {
    if (result < 0) return true;
    if (this.opcode === abi.OP_SEND) return (this.opFlags & abi.MSG_WAITALL) !== 0 && result < this.length;
    return WHOLE.has(this.opcode) && result < this.length;
  }

  /** Its descriptor is a place in the table of direct ones. */
  get fixed(): boolean {
    return (this.sqeFlags & abi.SQE_FIXED_FILE) !== 0;
  }

  /** What it opens becomes a direct descriptor. */
  get opensDirect(): boolean {
    return this.extra === (abi.FILE_INDEX_ALLOC | 0);
  }

  /** Takes its buffer from a group. */
  get selectsBuffer(): boolean {
    return (this.sqeFlags & abi.SQE_BUFFER_SELECT) !== 0;
  }
}
