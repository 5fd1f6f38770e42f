/** Node's own servers on listeners of ours: http, https, HTTP/2, whatever takes its connections from an event. */
import type { EventEmitter } from "node:events";
import { UsageError } from "../coordinator/errors.ts";
import { describeValue, type Operation, op } from "../coordinator/operation.ts";
import type { Descriptor } from "../io/descriptor/descriptor.ts";
import { type ServeOptions, serve } from "../io/socket/serve.ts";
import type { Socket } from "../io/socket/stream-socket.ts";
import type { StreamLike } from "./source.ts";
import { toDuplex } from "./to-duplex.ts";

/** A `Server` of `node:http`, `node:https`, `node:http2`, `node:tls` or `node:net`. */
export type NodeServer = EventEmitter & { close?: () => unknown };

/**
 * Hands one connection to a Node server and waits until it is closed; gives the error it ended with, or null. A kill
 * ends the connection.
 *
 * @example yield* serve(listener, (socket) => nodeConnection(server, socket));
 */
export function nodeConnection(server: NodeServer, stream: StreamLike): Operation<Error | null> {
  checkServer(server, "nodeConnection()");
  return connection(server, stream);
}

const connection = op(function* connection(server: NodeServer, stream: StreamLike) {
  // Node's servers end their side themselves: an answer may follow the end of the request.
  const duplex = toDuplex(stream, { allowHalfOpen: true });
  server.emit("connection", duplex);
  return yield* duplex.settled();
});

/**
 * Serves the connections of a listener with a Node server that does not listen itself, until it is killed or the
 * listener closed. A kill ends the connections and waits for them.
 *
 * The server is told as if it listened: it emits `"listening"` at the beginning, with which an http server begins to
 * watch over its `headersTimeout` and `requestTimeout`, and is closed at the end.
 *
 * @throws {ClosedError} when the listener is closed.
 * @example
 * const server = createServer((request, response) => response.end("hello"));
 * yield* serveNode(yield* listen({ port: 8080 }), server);
 */
export function serveNode(
  listener: Descriptor,
  server: NodeServer,
  options?: ServeOptions,
): Operation<never> {
  checkServer(server, "serveNode()");
  return serving(listener, server, options) as Operation<never>;
}

const serving = op(function* serveNode(
  listener: Descriptor,
  server: NodeServer,
  options: ServeOptions | undefined,
) {
  server.emit("listening");
  try {
    return yield* serve(listener, (socket: Socket) => connection(server, socket), options);
  } finally {
    server.close?.();
  }
});

function checkServer(server: unknown, what: string): void {
  if (typeof (server as Partial<EventEmitter> | null)?.emit === "function") return;
  throw new UsageError("COOP_ARGUMENT", `${what} takes a Node server, not ${describeValue(server)}`);
}
