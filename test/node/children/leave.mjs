// Usage: leave.mjs DIST HOW FIFO FILE. Has some 1,000 operations of every kind in flight, tells the port of its
// listener, and leaves in the way HOW says. In a worker: `workerData` has these arguments.
import { parentPort, workerData } from "node:worker_threads";

const [dist, how, fifo, file] = workerData ?? process.argv.slice(2);
const { main, never, op, run, self, sleep, spawn } = await import(`${dist}/index.js`);
const io = await import(`${dist}/io/index.js`);

const EACH = 200;
const PART = 1 << 14;

const tell = (text) => {
  if (parentPort !== null) parentPort.postMessage(text);
  else process.stdout.write(`${text}\n`);
};

const program = op(function* program() {
  const listener = yield* io.listen("127.0.0.1:0");
  const other = yield* io.listen("127.0.0.1:0");
  const acceptor = new io.Acceptor(other);
  spawn(acceptor.next());
  const pipe = yield* io.open(fifo, "r+");
  const output = yield* io.open(file, "w");
  const block = io.allocate(PART).fill(0x61);
  for (let i = 0; i < EACH; i++) {
    const near = yield* io.connect(listener.localAddress);
    const far = yield* listener.accept();
    spawn(near.recv(Buffer.alloc(100)));
    // Fills what the system buffers and then waits for a reader.
    if (i % 20 === 0) spawn(far.sendAll(io.allocate(8 << 20)));
  }
  for (let i = 0; i < EACH; i++) {
    io.setupRead(new io.Handle(), pipe, Buffer.alloc(100));
    io.setupAccept(new io.Handle(), listener);
    spawn(sleep("1 hour"));
  }
  // Handed over with this, and still on their way when the process is left.
  for (let i = 0; i < EACH; i++) io.setupWrite(new io.Handle(), output, block, { position: i * PART });
  yield* io.nop();
  const { inflight } = io.ioStatistics(self().cooperator);
  if (inflight < 3 * EACH) throw new Error(`only ${inflight} operations are in flight`);
  tell(`port ${listener.localAddress.port}`);
  leave();
  if (how !== "return") yield* never();
});

function leave() {
  if (how === "exit") process.exit(7);
  if (how === "throw") {
    setImmediate(() => {
      throw new Error("left by throwing");
    });
  }
  if (how === "reject") void Promise.reject(new Error("left by rejecting"));
  if (how === "signal" || how === "main") process.kill(process.pid, "SIGTERM");
  if (how === "kill") process.kill(process.pid, "SIGKILL");
  if (how === "spin") for (;;);
}

await (how === "main" ? main(program()) : run(program()));
