/** waitid(2): waits for the end of a child process without taking its status from whoever started it. */
import { UsageError } from "../../coordinator/errors.ts";
import { describeValue, type Operation } from "../../coordinator/operation.ts";
import * as abi from "../../native/layout.ts";
import type { IoOptions } from "../handle.ts";
import { IoOperation, Kind, QUEUED } from "../io-operation.ts";
import { allocate } from "../memory/memory.ts";
import { requireOpcode } from "../require-opcode.ts";

export interface ProcessEnd {
  readonly pid: number;
  /** The exit code; null when a signal has ended it. */
  readonly code: number | null;
  /** The number of the signal; null when it has exited. */
  readonly signal: number | null;
}

/**
 * Waits until a child of this process has ended. It stays a zombie, since whoever started it has to collect
 * it: Node does that for the children of `node:child_process`, and when it is faster this is `ECHILD`. Made
 * for children that other native code has started.
 *
 * @throws {IoError} `ECHILD` when it is no child of ours, or has been collected.
 * @throws {UnsupportedError} before Linux 6.7.
 */
export function waitProcess(pid: number, options?: IoOptions): Operation<ProcessEnd> {
  if (!Number.isInteger(pid) || pid < 1 || pid > 0x7fff_ffff) {
    throw new UsageError("COOP_ARGUMENT", `a process number is from 1 up, not ${describeValue(pid)}`);
  }
  return new IoOperation(WAIT, null, allocate(abi.SIGINFO_SIZE), pid, null, options);
}

const WAIT: Kind<ProcessEnd> = new Kind({
  syscall: "waitid",
  setup(io, handle, operation) {
    requireOpcode(io, abi.OP_WAITID, "waitid", "6.7");
    const into = handle.pin(operation.bytes!, false);
    const what = abi.WEXITED | abi.WNOWAIT;
    io.driver.submit(handle, abi.OP_WAITID, operation.number, 0, abi.P_PID, into, 0, 0, what);
    return QUEUED;
  },
  convert(_result, operation) {
    const { buffer, byteOffset } = operation.bytes!;
    const view = new DataView(buffer, byteOffset, abi.SIGINFO_SIZE);
    const status = view.getInt32(abi.SIGINFO_STATUS, true);
    const exited = view.getInt32(abi.SIGINFO_CODE, true) === abi.CLD_EXITED;
    return {
      pid: view.getInt32(abi.SIGINFO_PID, true),
      code: exited ? status : null,
      signal: exited ? null : status,
    };
  },
});
