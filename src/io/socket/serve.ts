/** A server: a task for each connection, as many at a time as are wanted. */

import { UsageError } from "../../coordinator/errors.ts";
import { type Group, group } from "../../coordinator/group/group.ts";
import { checkFunction, describeValue, enter, type Operation, op } from "../../coordinator/operation.ts";
import { checkOptions, given, type Known } from "../../coordinator/options.ts";
import { Signal } from "../../coordinator/signal.ts";
import { sleep } from "../../time/sleep.ts";
import { checkDescriptor, type Descriptor } from "../descriptor/descriptor.ts";
import { ECONNABORTED, EINTR, EMFILE, ENFILE, ENOBUFS, ENOMEM, EPROTO, IoError } from "../errno.ts";
import { type AcceptAllOptions, Acceptor } from "./acceptor.ts";
import type { Socket } from "./stream-socket.ts";

/** Serves one connection, in a task of its own. The socket is closed when it ends, however it ends. */
export type Handler = (socket: Socket) => Operation<unknown>;

export interface ServeOptions {
  /** Connections at a time; while there are as many no more are accepted. Default 10,000. */
  readonly connections?: number;
  /** Connections become direct descriptors; see {@link DirectOptions}. Default: what the listener was told. */
  readonly direct?: boolean;
  /** Gets what a handler throws. Default: it is reported, as any failure that no task is told of. */
  readonly onError?: (error: unknown, socket: Socket) => void;
}

const KNOWN: Known<ServeOptions> = { connections: true, direct: true, onError: true };
const CONNECTIONS_DEFAULT = 10_000;
/** Accepted ahead of the tasks for them: enough for what arrives in one turn. */
const UNCLAIMED_MAX = 64;
/** The machine is out of something: a little later there may be some again. */
const PAUSE = "50 millis";
const SHORT_OF: ReadonlySet<number> = new Set([-EMFILE, -ENFILE, -ENOBUFS, -ENOMEM]);
/** The peer has gone before it was accepted. */
const TRANSIENT: ReadonlySet<number> = new Set([-ECONNABORTED, -EPROTO, -EINTR]);

/**
 * Serves the connections of a listener until it is killed, or the listener closed. A handler that fails closes
 * its connection and nothing else. A kill ends the handlers, waits for them, and leaves the listener open.
 *
 * @throws {ClosedError} when the listener is closed, after the handlers have been stopped.
 * @example yield* serve(listener, (socket) => session(socket), { connections: 1000 });
 */
export function serve(listener: Descriptor, handler: Handler, options?: ServeOptions): Operation<never> {
  if (typeof handler !== "function") {
    throw new UsageError("COOP_ARGUMENT", `serve takes a handler, not ${describeValue(handler)}`);
  }
  checkDescriptor(listener, "serve");
  checkOptions(options, "serve", KNOWN);
  const connections = given(options, "connections") ?? CONNECTIONS_DEFAULT;
  if (!Number.isSafeInteger(connections) || connections < 1) {
    throw new UsageError("COOP_ARGUMENT", "connections are a whole number from 1 up");
  }
  const onError = given(options, "onError") ?? null;
  if (onError !== null) checkFunction(onError, "onError");
  return group((g: Group) =>
    accepting(g, new Server(listener, handler, connections, given(options, "direct"), onError)),
  ) as Operation<never>;
}

class Server {
  readonly listener: Descriptor;
  readonly handler: Handler;
  readonly most: number;
  readonly direct: boolean | undefined;
  readonly onError: ((error: unknown, socket: Socket) => void) | null;
  live = 0;
  /** Notified when a connection has ended. */
  freed = new Signal();

  constructor(
    listener: Descriptor,
    handler: Handler,
    most: number,
    direct: boolean | undefined,
    onError: ((error: unknown, socket: Socket) => void) | null,
  ) {
    this.listener = listener;
    this.handler = handler;
    this.most = most;
    this.direct = direct;
    this.onError = onError;
  }
}

const accepting = op(function* serve(g: Group, server: Server) {
  using acceptor = new Acceptor(server.listener, acceptorOptions(server));
  for (;;) {
    while (server.live >= server.most) {
      server.freed = new Signal({ name: `an end among ${server.live} connections` });
      yield* server.freed.wait();
    }
    const socket = yield* nextOf(acceptor);
    server.live++;
    // "now": the session owns its socket before anything else can happen.
    g.spawn(session(server, socket), { start: "now", failure: "report" });
  }
});

function acceptorOptions({ most, direct }: Server): AcceptAllOptions {
  const unclaimed = Math.min(most, UNCLAIMED_MAX);
  return direct === undefined ? { unclaimed } : { unclaimed, direct };
}

const nextOf = op(function* accept(acceptor: Acceptor) {
  for (;;) {
    try {
      return yield* acceptor.next();
    } catch (error) {
      if (!(error instanceof IoError)) throw error;
      if (SHORT_OF.has(error.errno)) yield* sleep(PAUSE);
      else if (!TRANSIENT.has(error.errno)) throw error;
    }
  }
});

const session = op(function* connection(server: Server, socket: Socket) {
  try {
    yield* enter(null, server.handler, "serve()", socket);
  } catch (error) {
    if (server.onError === null) throw error;
    server.onError(error, socket);
  } finally {
    socket[Symbol.dispose]();
    server.live--;
    server.freed.notify();
  }
});
