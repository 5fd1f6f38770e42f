// Usage: kill-storm.mjs DIST [--operations N] [--seed N] [--patience SECONDS]. Tasks do every kind of io on the real ring, and about one
// in a hundred operations is met by a kill of the task that waits for it. Nothing may be lost, mixed up or left over.
// Prints one line of JSON; the exit code is 1 when something is wrong, and 3 when there is no ring to be had.
import { createHash } from "node:crypto";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const [dist, ...rest] = process.argv.slice(2);
const { defer, dumpTree, HIGH, LOW, NORMAL, op, run, self, sleep, spawn } = await import(`${dist}/index.js`);
const io = await import(`${dist}/io/index.js`);

const option = (name, otherwise) =>
  rest.includes(`--${name}`) ? Number(rest[rest.indexOf(`--${name}`) + 1]) : otherwise;
const OPERATIONS = option("operations", 30_000);
const SEED = option("seed", 1);
/** Seconds until it says where it hangs. */
const PATIENCE = option("patience", 600);
/** Operations per kill. */
const KILL_EVERY = 100;
const WORKERS_EACH = 12;
const RELAYS = 6;

/** Seeded numbers from 0 up to, and without, `below` (mulberry32). */
function randomOf(seed) {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 4294967296) * below);
  };
}

const hashOf = (bytes) => createHash("sha1").update(bytes).digest("hex");

const NOISE = Buffer.alloc(1 << 20);
for (let i = 0, random = randomOf(0); i < NOISE.length; i += 4) NOISE.writeUInt32LE(random(2 ** 32), i);

/** Fills with bytes that are most likely nowhere else. */
function fill(bytes, seed) {
  const from = seed % (NOISE.length - bytes.length);
  bytes.set(NOISE.subarray(from, from + bytes.length));
  return bytes;
}

const directory = mkdtempSync(join(tmpdir(), "cooperator-storm-"));
const problems = [];
let checked = 0;

function check(what, expected, found) {
  checked++;
  if (found !== expected) problems.push(`${what}: ${found} instead of ${expected}`);
}

const descriptorsOpen = () => readdirSync("/proc/self/fd").length;

/** Memory of either kind: what the kernel uses directly, and what travels through a block of ours. */
const memory = (random, size) => (random(2) === 0 ? io.allocate(size) : Buffer.alloc(size));

const receiveAll = op(function* receiveAll(from, into) {
  for (let count = 0; count < into.length; ) {
    const got = yield* from(into.subarray(count));
    if (got === 0) throw new Error("the stream has ended too early");
    count += got;
  }
});

/** Messages from one end to the other, one after the other: a whole message is the one that was sent. */
const exchange = op(function* exchange(random, what, send, receive) {
  const size = 1 + random(20_000);
  const [sent, got] = [memory(random, size), memory(random, size)];
  for (;;) {
    fill(sent, random(1 << 30));
    const wanted = hashOf(sent);
    const sender = spawn(send(sent), { failure: "hold" });
    yield* receiveAll(receive, got);
    yield* sender.join();
    check(what, wanted, hashOf(got));
  }
});

/** Closes it at the end of the task, however that comes. */
function closing(descriptor) {
  defer(() => descriptor.close());
  return descriptor;
}

const overSockets = op(function* overSockets(random, address, what, direct) {
  const listener = closing(yield* io.listen(address, { direct }));
  const near = closing(yield* io.connect(listener.localAddress, { direct }));
  const far = closing(yield* listener.accept());
  yield* exchange(
    random,
    what,
    (bytes) => near.sendAll(bytes),
    (into) => far.recv(into),
  );
});

let names = 0;
let pool = null;

/** What the tasks do for ever, each in its own way. */
const kinds = {
  file: op(function* file(random) {
    const file = closing(yield* io.open(join(directory, `file-${names++}`), "w+"));
    const size = 1 + random(30_000);
    const [sent, got] = [memory(random, size), memory(random, size)];
    for (;;) {
      const position = random(100_000);
      fill(sent, random(1 << 30));
      yield* file.writeAll(sent, { position });
      let count = 0;
      while (count < size) {
        count += yield* file.read(got.subarray(count), { position: position + count });
      }
      check("file", hashOf(sent), hashOf(got));
      if (random(20) === 0) yield* io.fsync(file, { dataOnly: true });
    }
  }),
  names: op(function* names_(random) {
    const path = join(directory, `name-${names++}`);
    try {
      for (;;) {
        const bytes = fill(Buffer.alloc(1 + random(2000)), random(1 << 30));
        yield* io.writeFile(path, bytes);
        yield* io.rename(path, `${path}-there`);
        check("name", hashOf(bytes), hashOf(yield* io.readFile(`${path}-there`)));
        yield* io.unlink(`${path}-there`);
      }
    } finally {
      for (const left of [path, `${path}-there`]) rmSync(left, { force: true });
    }
  }),
  tcp: (random) => overSockets(random, "127.0.0.1:0", "tcp", false),
  direct: (random) => overSockets(random, "127.0.0.1:0", "direct", true),
  unix: (random) =>
    overSockets(random, { path: `\0cooperator-storm-${process.pid}-${names++}` }, "unix", false),
  chain: op(function* chain(random) {
    const direct = random(2) === 0;
    const file = closing(yield* io.open(join(directory, `chain-${names++}`), "w+", { direct }));
    const size = 1 + random(30_000);
    const [sent, got] = [memory(random, size), memory(random, size)];
    for (;;) {
      const position = random(100_000);
      fill(sent, random(1 << 30));
      const sync = random(20) === 0 ? [io.fsync(file, { dataOnly: true })] : [];
      // A read of all of it: what is before it in the chain has ended.
      const read = file.read(got, { position });
      const results = yield* io.chain([file.writeAll(sent, { position }), ...sync, read]);
      check("chain", size, results.at(-1));
      check("chain", hashOf(sent), hashOf(got));
    }
  }),
  pipe: op(function* pipe(random) {
    const pipe = yield* io.openPipe();
    closing(pipe.reader);
    closing(pipe.writer);
    yield* exchange(
      random,
      "pipe",
      (bytes) => pipe.writer.writeAll(bytes),
      (into) => pipe.reader.read(into),
    );
  }),
  connections: op(function* connections() {
    const listener = closing(yield* io.listen("127.0.0.1:0"));
    for (;;) {
      const near = yield* io.connect(listener.localAddress);
      try {
        const far = yield* listener.accept();
        yield* far.close();
      } finally {
        yield* near.close();
      }
      // Without it there are soon too many: each leaves a port in TIME_WAIT.
      yield* sleep(1);
    }
  }),
  pool: op(function* pooled(random) {
    const file = closing(yield* io.open(join(directory, `pool-${names++}`), "w+"));
    for (;;) {
      const lease = yield* pool.claim();
      try {
        fill(lease.bytes, random(1 << 30));
        const wanted = hashOf(lease.bytes);
        yield* file.writeAll(lease.bytes, { position: 0 });
        lease.bytes.fill(0);
        yield* file.read(lease.bytes, { position: 0 });
        check("pool", wanted, hashOf(lease.bytes));
      } finally {
        lease.release();
      }
    }
  }),
  timer: op(function* timer(random) {
    for (;;) yield* sleep(random(3000) / 1000);
  }),
  nop: op(function* nop() {
    for (;;) yield* io.nop();
  }),
};

/** A stream that outlives its readers: each is killed and another one goes on, and not one byte is missing. */
class Relay {
  sent = createHash("sha1");
  received = createHash("sha1");
  sentCount = 0;
  receivedCount = 0;
  stopping = false;

  constructor(near, far, random) {
    this.near = near;
    this.far = far;
    this.random = random;
    this.sender = spawn(this.send());
    this.reader = null;
    this.replace();
  }

  send = op(function* send() {
    while (!this.stopping) {
      const bytes = fill(memory(this.random, 1 + this.random(5000)), this.random(1 << 30));
      this.sent.update(bytes);
      this.sentCount += bytes.length;
      yield* this.near.sendAll(bytes);
      yield* sleep(0.2);
    }
    yield* this.near.shutdown("write");
  }).bind(this);

  read = op(function* read() {
    const into = memory(this.random, 500 + this.random(3000));
    for (;;) {
      const count = yield* this.far.recv(into);
      if (count === 0) return;
      this.received.update(into.subarray(0, count));
      this.receivedCount += count;
    }
  }).bind(this);

  replace() {
    this.reader = spawn(this.read(), { priority: priorityOf(this.random) });
  }

  *finish() {
    this.stopping = true;
    yield* this.sender.join();
    yield* this.reader.join();
    check("bytes of a relay", this.sentCount, this.receivedCount);
    check("contents of a relay", this.sent.digest("hex"), this.received.digest("hex"));
    yield* this.near.close();
    yield* this.far.close();
  }
}

const priorityOf = (random) => [HIGH, NORMAL, LOW][random(3)];

const storm = op(function* storm() {
  const random = randomOf(SEED);
  yield* io.nop();
  const statistics = () => io.ioStatistics(self().cooperator);
  pool = new io.BufferPool({ size: 4096, count: 8 });
  const relays = [];
  const listener = yield* io.listen("127.0.0.1:0");
  for (let i = 0; i < RELAYS; i++) {
    const near = yield* io.connect(listener.localAddress);
    relays.push(new Relay(near, yield* listener.accept(), randomOf(SEED + i + 1)));
  }
  yield* listener.close();

  const start = (kind) => ({
    kind,
    task: spawn(kinds[kind](randomOf(random(1 << 30))), { priority: priorityOf(random), name: kind }),
  });
  const workers = [];
  for (const kind of Object.keys(kinds)) for (let i = 0; i < WORKERS_EACH; i++) workers.push(start(kind));

  const kills = { request: 0, awaited: 0, relay: 0 };
  const killed = () => kills.request + kills.awaited + kills.relay;
  while (statistics().submitted < OPERATIONS) {
    yield* io.nop();
    while (killed() * KILL_EVERY < statistics().submitted) {
      const at = random(workers.length + RELAYS);
      if (at >= workers.length) {
        const relay = relays[at - workers.length];
        // There is one reader at a time: the next begins when this one has gone.
        yield* relay.reader.killAndWait("the storm");
        relay.replace();
        kills.relay++;
        continue;
      }
      const { kind, task } = workers[at];
      if (random(8) === 0) {
        yield* task.killAndWait("the storm");
        kills.awaited++;
      } else {
        task.kill("the storm");
        kills.request++;
      }
      workers[at] = start(kind);
    }
  }
  for (const { task } of workers) task.kill("the storm is over");
  for (const { task } of workers) yield* task.settled();
  for (const relay of relays) yield* relay.finish();
  // Tasks that were killed and not waited for are still on their way out.
  while (self().cooperator.statistics().live > 2 || statistics().inflight > 0) yield* sleep(1);
  const { submitted, completed, inflight, backlog, cancels, stale, blocks, descriptors } = statistics();
  check("completed", submitted, completed);
  for (const [what, found] of Object.entries({ inflight, backlog, stale, blocks, descriptors })) {
    check(what, 0, found);
  }
  const { claimed, released, free } = pool.statistics();
  check("released", claimed, released);
  check("free buffers", 8, free);
  const { spawned, done, failed, live } = self().cooperator.statistics();
  check("failed tasks", 0, failed);
  check("live tasks", 2, live);
  return { operations: submitted, kills, cancels, spawned, done, claimed };
});

const before = descriptorsOpen();
const began = performance.now();
let told;
try {
  // Before all those it kills, or there would be no room for it.
  told = await run(function* () {
    const task = spawn(storm(), { priority: HIGH });
    setTimeout(() => {
      console.error(`after ${PATIENCE} seconds it has not ended\n${dumpTree([task])}`);
      process.exit(4);
    }, PATIENCE * 1000).unref();
    return yield* task.join();
  });
  // Node closes its own side of the ring in a callback.
  for (let i = 0; i < 8 && descriptorsOpen() !== before; i++) await new Promise((next) => setImmediate(next));
  check("descriptors of the process", before, descriptorsOpen());
} catch (error) {
  if (error.code === "COOP_UNSUPPORTED") {
    console.log(JSON.stringify({ unsupported: error.message }));
    process.exitCode = 3;
  } else {
    problems.push(String(error.stack));
  }
} finally {
  rmSync(directory, { recursive: true, force: true });
}
if (process.exitCode !== 3) {
  const seconds = Math.round(performance.now() - began) / 1000;
  console.log(JSON.stringify({ seed: SEED, ...told, checked, seconds, problems: problems.slice(0, 10) }));
  if (problems.length > 0) process.exitCode = 1;
}
