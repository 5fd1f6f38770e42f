// What becomes of descriptors that nobody refers to: prints one line of JSON. Needs --expose-gc.
import { closeSync, openSync, readdirSync } from "node:fs";

const dist = process.argv[2];
const { defer, op, run, self, spawn, until } = await import(`${dist}/index.js`);
const io = await import(`${dist}/io/index.js`);

const descriptors = () => readdirSync("/proc/self/fd").length;

/** Collections, and turns of the event loop: the engine tells of what it has collected in one of those. */
const collect = op(function* () {
  for (let i = 0; i < 4; i++) {
    globalThis.gc();
    yield* until(new Promise((resolve) => setTimeout(resolve, 5)));
  }
  yield* io.nop();
});

const pair = op(function* () {
  const listener = yield* io.listen("127.0.0.1:0");
  const near = yield* io.connect(listener.localAddress);
  const far = yield* listener.accept();
  yield* listener.close();
  return { near, far };
});

const openAndDrop = op(function* (count) {
  for (let i = 0; i < count; i++) yield* io.open("/dev/null");
  const { near } = yield* pair();
  near.setOption("noDelay", true);
  // Those that are closed are nobody's concern.
  for (let i = 0; i < count; i++) yield* (yield* io.open("/dev/null")).close();
});

const borrowAndDrop = op(function* (number) {
  yield* io.borrowFile(number).stat();
});

const programs = {
  *dropped() {
    const before = descriptors();
    yield* openAndDrop(20);
    const open = descriptors() - before;
    yield* collect();
    return { open, left: descriptors() - before, counted: io.ioStatistics(self().cooperator).descriptors };
  },

  /** A read in flight refers to its socket; when it has ended nothing does. */
  *inflight() {
    const before = descriptors();
    const reading = op(function* () {
      const { near, far } = yield* pair();
      spawn(function* () {
        const into = Buffer.alloc(8);
        const count = yield* far.recv(into);
        got.push(into.toString("utf8", 0, count));
      });
      return near;
    });
    const got = [];
    const near = yield* reading();
    yield* io.nop();
    yield* collect();
    const during = descriptors() - before;
    yield* near.sendAll(Buffer.from("late"));
    yield* near.close();
    yield* collect();
    return { during, got, left: descriptors() - before };
  },

  /** What a living scope owns, in whichever way, stays as it is. */
  *owned() {
    const before = descriptors();
    let ready = 0;
    let letGo;
    const held = new Promise((resolve) => {
      letGo = resolve;
    });
    const owner = op(function* (file) {
      try {
        yield* until(held);
      } finally {
        yield* file.close();
      }
    });
    const deferred = op(function* () {
      const file = yield* io.open("/dev/null");
      defer(() => file.close());
      ready++;
      yield* until(held);
    });
    const accepting = op(function* () {
      const listener = yield* io.listen("127.0.0.1:0");
      ready++;
      yield* io.serve(listener, function* () {});
    });
    const tasks = [spawn(owner(yield* io.open("/dev/null"))), spawn(deferred()), spawn(accepting())];
    while (ready < 2) yield* io.nop();
    yield* io.nop();
    const open = descriptors() - before;
    yield* collect();
    const after = descriptors() - before;
    letGo();
    for (const task of tasks.slice(0, 2)) yield* task.join();
    yield* tasks[2].killAndWait();
    return { same: open === after && open > 3, ended: tasks.map((task) => task.exit.status) };
  },

  *borrowed() {
    const number = openSync("/dev/null");
    yield* borrowAndDrop(number);
    yield* collect();
    closeSync(number);
    return { counted: io.ioStatistics(self().cooperator).descriptors };
  },
};

const reports = [];
const before = descriptors();
const result = await run(op(programs[process.argv[3]])(), {
  spawnSites: process.argv[4] === "sites",
  report: ({ kind, where, error }) => reports.push([kind, where, error.code, error.message]),
});
for (let i = 0; i < 8 && descriptors() > before; i++) await new Promise((resolve) => setImmediate(resolve));
console.log(JSON.stringify({ ...result, reports, atEnd: descriptors() - before }));
