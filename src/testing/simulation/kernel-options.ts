/** What a simulated kernel is made with. */
import type { FaultOptions } from "./faults.ts";

/** What a script is shown of a request. */
export interface SimulatedRequest {
  /** An OP_* of io_uring. */
  readonly opcode: number;
  readonly fd: number;
  readonly length: number;
  readonly offset: number;
}

export interface KernelOptions {
  readonly seed?: number;
  readonly faults?: FaultOptions;
  /** Mean time of an operation, in milliseconds; default 0: everything that can be done is done at once. */
  readonly delay?: number;
  /** Bytes of a socket's or a pipe's buffer. Default 64 KiB. */
  readonly bufferBytes?: number;
  /** Descriptors at a time. Default 1024. */
  readonly descriptors?: number;
  /** Opcodes the kernel does not have. Default: none. */
  readonly without?: readonly number[];
  /** Gives the result of a request, -errno or a count, or null for what the kernel would do. */
  readonly script?: (request: SimulatedRequest) => number | null;
}
