/** A TCP server with a task for each connection. Try it: node echo-server.js 7000, and nc 127.0.0.1 7000. */
import { main, op, spawn } from "cooperator";
import { allocate, formatAddress, listen, type Socket } from "cooperator/io";

const session = op(function* session(socket: Socket) {
  using _ = socket;
  const buffer = allocate(4096);
  for (;;) {
    const count = yield* socket.recv(buffer);
    if (count === 0) return;
    yield* socket.sendAll(buffer.subarray(0, count));
  }
});

const server = op(function* server(port: number) {
  using listener = yield* listen({ host: "127.0.0.1", port });
  console.log(`listening on ${formatAddress(listener.localAddress!)}`);
  for (;;) {
    const socket = yield* listener.accept();
    // "now": the session owns its socket before anything else can happen. A failure of one is not one of all.
    spawn(session(socket), { start: "now", failure: "report" });
  }
});

// Ctrl-C kills the tree: the sessions, then the listener.
await main(server(Number(process.argv[2] ?? 0)));
