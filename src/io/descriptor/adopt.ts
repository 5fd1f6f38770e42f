/** Taking over descriptor numbers from elsewhere: from a setup form's result, direct or not, or from another library. */
import { UsageError } from "../../coordinator/errors.ts";
import { describeValue } from "../../coordinator/operation.ts";
import { SO_TYPE, SOCK_STREAM } from "../../native/layout.ts";
import { DIRECT } from "../driver/driver.ts";
import { File } from "../file/file.ts";
import { currentIo, type Io } from "../io.ts";
import { socketFact } from "../socket/socket-options.ts";
import { Socket } from "../socket/stream-socket.ts";

/**
 * A file of a descriptor number. From now on it is closed here, and must not be closed elsewhere.
 *
 * @throws {UsageError} `COOP_DESCRIPTOR` when it is no open descriptor.
 */
export function adoptFile(number: number): File {
  return new File(checked(number), number);
}

/**
 * A file of a descriptor number that stays somebody else's: closing it ends what is in flight on it, and
 * leaves the number open. For standard input and output, and descriptors of other libraries.
 *
 * @throws {UsageError} `COOP_DESCRIPTOR` when it is no open descriptor.
 * @example const input = borrowFile(0);
 */
export function borrowFile(number: number): File {
  if (typeof number === "number" && number >= DIRECT) throw notOpen(number);
  const file = new File(checked(number), number);
  file.entry.borrowed = true;
  file.io.driver.disown(number);
  return file;
}

/** Likewise a socket. */
export function adoptSocket(number: number): Socket {
  const io = checked(number);
  return socketOf(io, number, socketType(io, number));
}

/** @internal A descriptor that was received, as what it is. */
export function adoptReceived(file: File): File | Socket {
  const { io } = file;
  const type = socketType(io, file.number);
  return type === -1 ? file : socketOf(io, file.release(), type);
}

/** Its SO_TYPE, -1 when it is no socket. */
function socketType(io: Io, number: number): number {
  // No system call can ask; it is taken for a stream.
  return number >= DIRECT ? SOCK_STREAM : socketFact(io, number, SO_TYPE);
}

function socketOf(io: Io, number: number, type: number): Socket {
  const adopted = new Socket(io, number);
  if (type !== -1 && type !== SOCK_STREAM) adopted.holdMessages();
  return adopted;
}

function checked(number: number): Io {
  const io = currentIo("adopt");
  if (
    !Number.isInteger(number) ||
    number < 0 ||
    number > 0x7fff_ffff ||
    !io.driver.validDescriptor(number) ||
    io.owns(number)
  ) {
    throw notOpen(number);
  }
  return io;
}

function notOpen(number: unknown): UsageError {
  return new UsageError(
    "COOP_DESCRIPTOR",
    `${describeValue(number)} is not an open descriptor that can be taken over`,
  );
}
