/** A listening socket. */
import type { Operation } from "../../coordinator/operation.ts";
import type { DirectOptions } from "../descriptor/direct.ts";
import { accept } from "./accept.ts";
import { type AcceptAllOptions, Acceptor } from "./acceptor.ts";
import { AnySocket } from "./any-socket.ts";
import { type Handler, type ServeOptions, serve } from "./serve.ts";
import type { Socket } from "./stream-socket.ts";

/** A socket that waits for connections: see `listen`. `using listener = yield* listen({ port })` closes it. */
export class Listener extends AnySocket {
  /** See {@link accept}. */
  accept(options?: DirectOptions): Operation<Socket> {
    return accept(this, options);
  }
  /** Accepts ahead of need, many connections for one request to the kernel: see {@link Acceptor}. */
  acceptAll(options?: AcceptAllOptions): Acceptor {
    return new Acceptor(this, options);
  }
  /** See {@link serve}. */
  serve(handler: Handler, options?: ServeOptions): Operation<never> {
    return serve(this, handler, options);
  }
}
