// Usage: storm.mjs DIST FILE. Echoes over a connection and reads what it writes to a file, and checks all of it,
// until SIGTERM. Counts SIGUSR2, and says when SIGUSR1 has come.
const [dist, path] = process.argv.slice(2);
const { main, op, self, sleep, spawn } = await import(`${dist}/index.js`);
const io = await import(`${dist}/io/index.js`);

let signals = 0;
const rounds = { echo: 0, file: 0, sleep: 0 };
process.on("SIGUSR2", () => signals++);
process.on("SIGUSR1", () => console.log("last"));

/** Bytes that differ from round to round. */
const stamp = (bytes, seed) => bytes.fill(seed & 0xff);

const echo = op(function* echo(socket) {
  const bytes = Buffer.alloc(1000);
  for (;;) yield* socket.sendAll(bytes.subarray(0, yield* socket.recv(bytes)));
});

const ask = op(function* ask(socket) {
  const sent = Buffer.alloc(1000);
  const got = Buffer.alloc(1000);
  for (;;) {
    yield* socket.sendAll(stamp(sent, ++rounds.echo));
    for (let count = 0; count < got.length; ) count += yield* socket.recv(got.subarray(count));
    if (!got.equals(sent)) throw new Error("the echo is not what was sent");
  }
});

const file = op(function* file() {
  const output = yield* io.open(path, "w+");
  const sent = Buffer.alloc(5000);
  const got = Buffer.alloc(5000);
  for (;;) {
    yield* output.writeAll(stamp(sent, ++rounds.file), { position: 0 });
    yield* output.read(got, { position: 0 });
    if (!got.equals(sent)) throw new Error("the file has not what was written");
  }
});

const doze = op(function* doze() {
  for (;;) {
    yield* sleep(1);
    rounds.sleep++;
  }
});

const program = op(function* program() {
  try {
    const listener = yield* io.listen("127.0.0.1:0");
    for (let i = 0; i < 4; i++) {
      spawn(ask(yield* io.connect(listener.localAddress)));
      spawn(echo(yield* listener.accept()));
    }
    spawn(file());
    spawn(doze());
    console.log("ready");
    yield* listener.accept();
  } finally {
    yield* sleep(1);
    const { inflight, stale, backlog } = io.ioStatistics(self().cooperator);
    console.log(JSON.stringify({ rounds, signals, inflight, stale, backlog }));
  }
});

const { status } = await main(program());
console.log(status);
