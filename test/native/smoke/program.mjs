/**
 * A small program that touches every part of the addon: for tools that look at memory, which are slow. It is
 * run by `npm run sanitize`, under valgrind.
 */
import { op, run, spawn } from "cooperator";
import { allocate, connect, listen, nop, open } from "cooperator/io";

const session = op(function* session(listener) {
  const socket = yield* listener.accept();
  const buffer = allocate(64);
  const count = yield* socket.recv(buffer);
  yield* socket.sendAll(buffer.subarray(0, count));
  yield* socket.close();
});

const program = op(function* program() {
  yield* nop();
  const listener = yield* listen("127.0.0.1:0");
  const task = spawn(session(listener));
  const waiting = spawn(session(listener));
  const socket = yield* connect(listener.localAddress);
  yield* socket.sendAll(Buffer.from("hello"));
  const buffer = allocate(64);
  const count = yield* socket.recv(buffer);
  yield* task.join();
  yield* waiting.killAndWait("enough");
  yield* socket.close();
  yield* listener.close();
  const file = yield* open("/proc/self/stat");
  const copied = yield* file.read(new Uint8Array(16));
  yield* file.close();
  return count === 5 && copied === 16;
});

process.exitCode = (await run(program())) ? 0 : 1;
