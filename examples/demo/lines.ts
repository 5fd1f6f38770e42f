/** Lines of text over a socket, in a buffer the kernel writes to directly. */
import { type Operation, op } from "cooperator";
import { IoError, type Socket } from "cooperator/io";

const NEWLINE = 0x0a;

export class Lines {
  readonly socket: Socket;
  private readonly bytes: Buffer;
  /** What has been received and not been read yet lies between the two. */
  private from = 0;
  private to = 0;

  constructor(socket: Socket, bytes: Buffer) {
    this.socket = socket;
    this.bytes = bytes;
  }

  /** Waits for a line; null when the peer has sent its last. */
  read(): Operation<string | null> {
    return readLine(this);
  }

  write(text: string): Operation<void> {
    return this.socket.sendAll(Buffer.from(`${text}\n`));
  }

  /** A line that is here already, or null. */
  take(): string | null {
    const { bytes, from, to } = this;
    const end = bytes.indexOf(NEWLINE, from);
    if (end === -1 || end >= to) return null;
    this.from = end + 1;
    return bytes.toString("utf8", from, end);
  }

  /** Where the next bytes go. */
  room(): Buffer {
    const { bytes, from, to } = this;
    if (from > 0) {
      bytes.copyWithin(0, from, to);
      this.from = 0;
      this.to = to - from;
    }
    if (this.to === bytes.length) throw new Error(`a line is longer than ${bytes.length} bytes`);
    return bytes.subarray(this.to);
  }

  received(count: number): void {
    this.to += count;
  }
}

const readLine = op(function* readLine(lines: Lines) {
  for (;;) {
    const line = lines.take();
    if (line !== null) return line;
    const count = yield* lines.socket.recv(lines.room());
    if (count === 0) return null;
    lines.received(count);
  }
});

/** True for the errors that only say that nobody is at the other end any more. */
export function peerIsGone(error: unknown): boolean {
  return error instanceof IoError && ["ECONNRESET", "EPIPE", "ECONNREFUSED"].includes(error.code);
}
