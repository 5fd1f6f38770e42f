/** A connection that is handed over: whoever accepts gives it to a worker over a unix socket, and is done with it. */
import { op, run, spawn } from "cooperator";
import { connect, listen, receiveDescriptors, type Socket, sendDescriptors } from "cooperator/io";

/** Might as well be another process: what it gets are descriptors of its own. */
const worker = op(function* worker(office: Socket) {
  const note = Buffer.alloc(64);
  for (;;) {
    using received = yield* receiveDescriptors(office, note);
    if (received.count === 0) return;
    using client = received.take() as Socket;
    console.log(`the worker is told: ${note.toString("utf8", 0, received.count)}`);
    yield* client.sendAll(Buffer.from("served by the worker"));
  }
});

const program = op(function* program() {
  using office = yield* listen({ path: `\0office-${process.pid}` });
  using desk = yield* connect(office.localAddress!);
  using workplace = yield* office.accept();
  const task = spawn(worker(workplace));

  using door = yield* listen("127.0.0.1:0");
  using guest = yield* connect(door.localAddress!);
  {
    using client = yield* door.accept();
    yield* sendDescriptors(desk, Buffer.from("a guest"), [client]);
  }
  const answer = Buffer.alloc(64);
  console.log(answer.toString("utf8", 0, yield* guest.recv(answer)));
  yield* desk.end();
  yield* task.join();
});

await run(program());
