/** A server whose connections take no descriptor of the process: they lie in the ring's own table. */
import { readdirSync } from "node:fs";
import { op, run, spawn } from "cooperator";
import { connect, listen, type Socket, serve } from "cooperator/io";

const greet = op(function* greet(socket: Socket) {
  const bytes = Buffer.alloc(64);
  const name = bytes.toString("utf8", 0, yield* socket.recv(bytes));
  yield* socket.sendAll(Buffer.from(`hello ${name}`));
  yield* socket.recv(bytes); // until the peer has gone
});

const program = op(function* program() {
  using listener = yield* listen("127.0.0.1:0", { direct: true });
  console.log("listening");
  const server = spawn(serve(listener, (socket) => greet(socket)));
  const before = readdirSync("/proc/self/fd").length;
  const clients: Socket[] = [];
  for (const name of ["Ada", "Grace"]) {
    const client = yield* connect(listener.localAddress!, { direct: true });
    clients.push(client);
    yield* client.sendAll(Buffer.from(name));
    const bytes = Buffer.alloc(64);
    console.log(bytes.toString("utf8", 0, yield* client.recv(bytes)));
  }
  console.log("descriptors of the process:", readdirSync("/proc/self/fd").length - before);
  // Options and addresses are asked of the process's table: that one gets a number there.
  yield* clients[0]!.makeOrdinary();
  console.log(clients[0]!.direct, clients[0]!.getOption("noDelay"), clients[1]!.direct);
  for (const client of clients) yield* client.close();
  server.kill("enough");
});

await run(program());
