/** Messages with their length in front, over a unix socket: a codec on top of any stream of bytes. */
import { op, run, spawn } from "cooperator";
import { BufferedReader, type ByteReader, type ByteWriter, connect, listen } from "cooperator/io";

const HEADER = 4;

class Frames {
  private readonly reader: BufferedReader;
  constructor(stream: ByteReader, limit: number) {
    this.reader = new BufferedReader(stream, { limit });
  }
  /** The next message. A kill in the middle leaves all of it for the next call. */
  next() {
    return nextFrame(this.reader);
  }
}

/** Peeks at the header, so that header and body are consumed together. */
const nextFrame = op(function* nextFrame(reader: BufferedReader) {
  const header = yield* reader.peek(HEADER);
  const frame = yield* reader.readExactly(HEADER + header.readUInt32BE());
  return frame.subarray(HEADER);
});

const sendFrame = op(function* sendFrame(stream: ByteWriter, message: string) {
  const frame = Buffer.alloc(HEADER + Buffer.byteLength(message));
  frame.writeUInt32BE(frame.length - HEADER);
  frame.write(message, HEADER);
  yield* stream.writeAll(frame);
});

const program = op(function* program() {
  // A name that begins with NUL is no file.
  using listener = yield* listen({ path: `\0framed-${process.pid}` });
  const dialling = spawn(connect(listener.localAddress!));
  using server = yield* listener.accept();
  using client = yield* dialling.join();
  console.log(`the peer is this process: ${server.peerCredentials.pid === process.pid}`);
  const frames = new Frames(server, 1000);
  for (const message of ["one", "two, a little longer"]) yield* sendFrame(client, message);
  for (let i = 0; i < 2; i++) console.log((yield* frames.next()).toString());
});

await run(program());
