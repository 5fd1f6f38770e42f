// Usage: half-open.mjs DIST, in a network namespace of its own. Connections whose peer can no longer be reached: who
// waits with a deadline, with keep-alive, or with unacknowledged bytes, is told, and what they held is free.
import { execFileSync } from "node:child_process";

const [dist] = process.argv.slice(2);
const { op, run, self, spawn } = await import(`${dist}/index.js`);
const io = await import(`${dist}/io/index.js`);

const codeOf = op(function* codeOf(operation) {
  try {
    yield* operation;
    return "nothing";
  } catch (error) {
    return error.code;
  }
});

const told = await run(function* () {
  const listener = yield* io.listen("127.0.0.1:0");
  const pair = function* (options) {
    const near = yield* io.connect(listener.localAddress);
    for (const [name, value] of Object.entries(options)) near.setOption(name, value);
    // The other side is there and does nothing.
    yield* listener.accept();
    return near;
  };
  const patient = yield* pair({});
  const asking = yield* pair({ keepAlive: true, keepAliveIdle: 1, keepAliveInterval: 1, keepAliveCount: 1 });
  const sending = yield* pair({ userTimeout: 500 });
  execFileSync("ip", ["link", "set", "lo", "down"]);
  const deadline = spawn(codeOf(patient.recv(Buffer.alloc(1), { timeout: "200 millis" })));
  const keepAlive = spawn(codeOf(asking.recv(Buffer.alloc(1))));
  const userTimeout = spawn(function* () {
    yield* sending.sendAll(Buffer.from("is anybody there?"));
    return yield* codeOf(sending.recv(Buffer.alloc(1)));
  });
  const answers = {
    deadline: yield* deadline.join(),
    keepAlive: yield* keepAlive.join(),
    userTimeout: yield* userTimeout.join(),
  };
  for (const socket of [patient, asking, sending]) yield* socket.close();
  const { inflight, blocks } = io.ioStatistics(self().cooperator);
  return { ...answers, inflight, blocks };
});
console.log(JSON.stringify(told));
