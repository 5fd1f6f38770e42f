/** A protocol of lines: served with a limit on connections, dialled by name. */
import { op, run, spawn } from "cooperator";
import { BufferedReader, connect, listen, type Socket, serve } from "cooperator/io";

const session = op(function* session(socket: Socket) {
  // What one peer can make this side hold is bounded.
  const lines = new BufferedReader(socket, { limit: 1000 });
  for (let line = yield* lines.readLine(); line !== null; line = yield* lines.readLine()) {
    if (line === "boom") throw new Error("a handler that fails");
    yield* socket.sendAll(Buffer.from(`${line.toUpperCase()}\n`));
  }
});

const ask = op(function* ask(port: number, ...questions: string[]) {
  using socket = yield* connect(`localhost:${port}`, { timeout: "5 seconds" });
  const answers = new BufferedReader(socket);
  yield* socket.sendAll(Buffer.from(questions.map((line) => `${line}\n`).join("")));
  yield* socket.end();
  for (let line = yield* answers.readLine(); line !== null; line = yield* answers.readLine()) {
    console.log(line);
  }
});

const program = op(function* program() {
  using listener = yield* listen({ host: "127.0.0.1", port: 0, backlog: 100 });
  const onError = (error: unknown) => console.log(`closed one connection: ${(error as Error).message}`);
  spawn(serve(listener, session, { connections: 100, onError }));
  const { port } = listener.localAddress as { port: number };
  yield* ask(port, "first", "second");
  yield* ask(port, "boom");
  yield* ask(port, "still there");
});

await run(program());
