/** pipe2(2): a pipe inside the process, for splicing and for handing to others. */
import { UsageError } from "../../coordinator/errors.ts";
import type { Operation } from "../../coordinator/operation.ts";
import { DONE } from "../../handle/handle.ts";
import { O_CLOEXEC, OP_PIPE } from "../../native/layout.ts";
import { closeOrphan } from "../descriptor/descriptor.ts";
import type { Handle, IoOptions } from "../handle.ts";
import type { Io } from "../io.ts";
import { checkHandle, IoOperation, Kind, QUEUED } from "../io-operation.ts";
import { allocate } from "../memory/memory.ts";
import { File } from "./file.ts";

/** Both ends of a pipe; `using pipe = yield* openPipe()` closes both. */
export class Pipe {
  readonly reader: File;
  readonly writer: File;

  /** @internal */
  constructor(reader: File, writer: File) {
    this.reader = reader;
    this.writer = writer;
  }

  [Symbol.dispose](): void {
    this.reader[Symbol.dispose]();
    this.writer[Symbol.dispose]();
  }
}

/** Queues the making of a pipe; {@link pipeOf} takes it over. @see {@link openPipe} to wait. pipe2(2); before
 * Linux 6.16 the plain call, at once.
 */
export function setupPipe(handle: Handle, options?: IoOptions): void {
  pipeOperation(options).setUp(handle);
}

/**
 * The pipe of a handle's `setupPipe`; to be called once.
 *
 * @throws {UsageError} `COOP_NOT_ENDED` unless its last operation has made a pipe that nobody took over.
 */
export function pipeOf(handle: Handle): Pipe {
  checkHandle(handle, "pipe");
  const { bytes, io } = handle;
  if (
    handle.kind === (PIPE as Kind<unknown>) &&
    handle.state === DONE &&
    handle.outcome === 0 &&
    bytes !== null
  ) {
    handle.bytes = null;
    return take(io!, bytes);
  }
  throw new UsageError("COOP_NOT_ENDED", "the handle has made no pipe, or it has been taken over already");
}

/**
 * Makes a pipe. One that is made after the task was killed is closed. Child processes do not inherit it.
 *
 * @throws {IoError} `EMFILE`, `ENFILE`.
 */
export function openPipe(options?: IoOptions): Operation<Pipe> {
  return pipeOperation(options);
}

/** The two numbers the kernel writes. */
const NUMBERS_BYTES = 8;

function pipeOperation(options: IoOptions | undefined): IoOperation<Pipe> {
  return new IoOperation(PIPE, null, allocate(NUMBERS_BYTES), 0, null, options);
}

const PIPE: Kind<Pipe> = new Kind({
  syscall: "pipe",
  setup(io, handle, operation) {
    if (io.driver.lacks(OP_PIPE)) {
      handle.bytes = operation.bytes;
      return io.driver.calls.pipeNow(operation.bytes!);
    }
    const address = handle.pin(operation.bytes!, false);
    io.driver.submit(handle, OP_PIPE, 0, address, 0, 0, O_CLOEXEC, 0, 0);
    return QUEUED;
  },
  convert: (_result, operation, io) => take(io, operation.bytes!),
  reclaim(io, _result, handle) {
    for (const number of numbersIn(handle.bytes!)) closeOrphan(io, number);
  },
});

function take(io: Io, bytes: Uint8Array): Pipe {
  const [reader, writer] = numbersIn(bytes);
  const pipe = new Pipe(new File(io, reader), new File(io, writer));
  pipe.reader.exclusive = true;
  pipe.writer.exclusive = true;
  return pipe;
}

function numbersIn(bytes: Uint8Array): [number, number] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, NUMBERS_BYTES);
  return [view.getInt32(0, true), view.getInt32(4, true)];
}
