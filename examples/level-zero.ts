/** Level 0: several operations lined up, one wait, and a kill that comes back as a result. */
import { coordinateWithKill, op, run, sleep, spawn } from "cooperator";
import { allocate, connect, Handle, listen, setupRecv } from "cooperator/io";
import { Handle as Timer } from "cooperator/time";

const reader = op(function* reader(port: number) {
  using socket = yield* connect({ host: "127.0.0.1", port });
  const bytes = allocate(64);
  const read = new Handle();
  const timer = new Timer();
  setupRecv(read, socket, bytes);
  timer.setup("2 seconds");
  const first = yield* coordinateWithKill(read.coordinator, timer.coordinator);
  timer.cancel();
  if (first.killed) {
    // Nothing has been unwound: this task decides what a kill means.
    read.cancel();
    console.log(`killed; the read ended with ${yield* read.settled()}`);
  } else console.log(first.index === 0 ? bytes.toString("utf8", 0, read.result) : "too late");
});

const program = op(function* program() {
  using listener = yield* listen("127.0.0.1:0");
  const address = listener.localAddress;
  const port = address?.family === "ipv4" ? address.port : 0;
  for (const greeting of ["good morning", ""]) {
    const task = spawn(reader(port));
    using socket = yield* listener.accept();
    yield* socket.sendAll(Buffer.from(greeting));
    if (greeting === "") {
      yield* sleep("20 millis");
      task.kill("enough");
    }
    const exit = yield* task.settled();
    console.log(`exit: ${exit.status}`);
  }
});

await run(program());
