// Does a bit of everything, with every option's name on Object.prototype or not, and prints what came of it.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const dist = process.argv[2];
const { group, op, run, self, sleep, spawn, timeout } = await import(`${dist}/index.js`);
const io = await import(`${dist}/io/index.js`);
const { Channel, Mutex } = await import(`${dist}/sync/index.js`);

const directory = mkdtempSync(join(tmpdir(), "polluted-"));
const names =
  "timeout position limit size count held unclaimed connections noDelay backlog reusePort direct dataOnly permissions at exclusive depth existing link symlinks noFollow detached daemon failure priority deadline start capacity overflow patience classes stallAfter spawnSites report grace signals fileOperationsMax checkBuffers directDescriptors sqEntries cqEntries opcodes attemptDelay toPosition fromPosition more advice mode onError group".split(
    " ",
  );

const talk = op(function* (options) {
  const listener = yield* io.listen("127.0.0.1:0", options);
  const near = yield* io.connect(listener.localAddress, options);
  const far = yield* listener.accept(options);
  yield* near.sendAll(Buffer.from("hello\nworld\n"), options);
  yield* near.end();
  const reader = new io.BufferedReader(far, options);
  const lines = [yield* reader.readLine(options), yield* reader.readLine(), yield* reader.readLine()];
  for (const one of [near, far, listener]) yield* one.close();
  return lines;
});

const files = op(function* (options) {
  const path = join(directory, "file");
  const file = yield* io.open(path, "w+", options);
  yield* file.writeAll(Buffer.from("0123456789"));
  yield* file.sync(options);
  const into = Buffer.alloc(4);
  const count = yield* file.read(into, { ...options, position: 2 });
  const { permissions, size } = yield* io.stat(path, options);
  yield* file.close();
  yield* io.writeFileAtomic(path, "whole", options);
  return [
    count,
    into.toString(),
    (permissions & 0o777).toString(8),
    size,
    (yield* io.readFile(path, options)).length,
  ];
});

const tasks = op(function* (options) {
  const channel = new Channel(options);
  const child = spawn(
    op(function* () {
      yield* channel.send(1);
      return self().priority;
    })(),
    options,
  );
  const got = yield* timeout("5 seconds", channel.receive());
  const lock = new Mutex(options);
  (yield* lock.lock()).release();
  const value = yield* group(function* (g) {
    const one = g.spawn(sleep(1), options);
    yield* one.join();
    return "grouped";
  }, options);
  const pool = new io.BufferPool(options);
  const lease = yield* pool.claim();
  return [got, yield* child.join(), value, pool.size, pool.count, lease.bytes.length];
});

const program = op(function* (options) {
  return [yield* talk(options), yield* files(options), yield* tasks(options)];
});

if (process.argv[3] === "polluted") {
  for (const name of names)
    Object.defineProperty(Object.prototype, name, { value: -12345.5, configurable: true, writable: true });
}
const results = [await run(program(undefined)), await run(program({}), {})];
for (const name of names) delete Object.prototype[name];
rmSync(directory, { recursive: true });
console.log(JSON.stringify(results));
