/** A socket: the operations of this folder as methods. */
import type { Operation } from "../../coordinator/operation.ts";
import type { DirectOptions } from "../descriptor/direct.ts";
import type { IoErrorDetails } from "../errno.ts";
import type { IoOptions } from "../handle.ts";
import type { Io } from "../io.ts";
import type { Bytes } from "../memory/memory.ts";
import type { ByteStream } from "../stream/byte-stream.ts";
import { accept } from "./accept.ts";
import { AnySocket } from "./any-socket.ts";
import { recv } from "./recv.ts";
import { send, sendAll } from "./send.ts";
import { type ShutdownHow, shutdown } from "./shutdown.ts";

/**
 * A stream socket; `using socket = yield* listener.accept()` closes it however the block ends. One task at a
 * time receives and one sends: a second one gets a `BusyError`.
 */
export class Socket extends AnySocket implements ByteStream {
  /** @internal */
  constructor(io: Io, number: number, details?: IoErrorDetails) {
    super(io, number, details);
    this.exclusive = true;
  }

  /** @internal It is no stream but a socket of another type: several may read messages, each whole. */
  holdMessages(): void {
    this.exclusive = false;
    this.inbox.messages = true;
  }

  /** See {@link recv}. */
  recv(into: Bytes, options?: IoOptions): Operation<number> {
    return recv(this, into, options);
  }
  /** See {@link send}. */
  send(bytes: Bytes, options?: IoOptions): Operation<number> {
    return send(this, bytes, options);
  }
  /** See {@link sendAll}. */
  sendAll(bytes: Bytes, options?: IoOptions): Operation<void> {
    return sendAll(this, bytes, options);
  }
  /** As {@link Socket.recv}: the name all byte streams have for it. */
  read(into: Bytes, options?: IoOptions): Operation<number> {
    return recv(this, into, options);
  }
  /** As {@link Socket.sendAll}. */
  writeAll(bytes: Bytes, options?: IoOptions): Operation<void> {
    return sendAll(this, bytes, options);
  }
  /** Says that nothing more is sent; the other direction stays open. */
  end(options?: IoOptions): Operation<void> {
    return shutdown(this, "write", options);
  }
  /** See {@link shutdown}. */
  shutdown(how: ShutdownHow, options?: IoOptions): Operation<void> {
    return shutdown(this, how, options);
  }
  /** See {@link accept}; for a socket that was made, bound and set to listen by hand. */
  accept(options?: DirectOptions): Operation<Socket> {
    return accept(this, options);
  }
}
