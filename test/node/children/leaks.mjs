// Whether what has ended can be collected: prints one line of JSON. Needs --expose-gc.
const dist = process.argv[2];
const { Coordinator, group, sleep, spawn, timeout, yieldNow, op, never } = await import(`${dist}/index.js`);
const { runVirtual } = await import(`${dist}/testing/index.js`);

const scale = Number(process.argv[4] ?? 1);

async function collect() {
  for (let i = 0; i < 3; i++) {
    globalThis.gc();
    await new Promise((resolve) => setImmediate(resolve));
  }
}

const programs = {
  /** Kills, and weak references to the last killed task, its argument and the error of its clean-up. */
  *kills() {
    const refs = [];
    const victim = op(function* (argument) {
      try {
        yield* never();
      } finally {
        argument.touched = true;
        if (argument.last) {
          const error = new Error("clean-up");
          refs.push(new WeakRef(error));
          throw error;
        }
      }
    });
    const count = 100_000 * scale;
    for (let i = 0; i < count; i++) {
      const argument = { last: i === count - 1 };
      const task = spawn(victim(argument), { failure: "hold" });
      yield* yieldNow();
      task.kill();
      yield* task.settled();
      if (argument.last) refs.push(new WeakRef(task), new WeakRef(argument));
    }
    return refs;
  },
  /** Timeouts that do not fire, around a wait on something that lives on. */
  *timeouts() {
    const lock = new Coordinator();
    const count = 100_000 * scale;
    for (let i = 0; i < count; i++) {
      yield* timeout("1 hour", lock.acquire());
      lock.release();
    }
    return [];
  },
  /** Failed children that have been joined: their errors. */
  *failures() {
    const refs = [];
    const count = 20_000 * scale;
    for (let i = 0; i < count; i++) {
      const error = new Error("one");
      if (i % 1000 === 0) refs.push(new WeakRef(error));
      const task = spawn(
        function* () {
          yield* sleep(1);
          throw error;
        },
        { failure: "hold" },
      );
      try {
        yield* task.join();
      } catch {}
      if (i % 1000 === 0) refs.push(new WeakRef(task));
    }
    return refs;
  },
  /** The same where the child's failure ends a group. */
  *groups() {
    const refs = [];
    for (let i = 0; i < 2000 * scale; i++) {
      const error = new Error("one");
      refs.push(new WeakRef(error));
      try {
        yield* group(function* (g) {
          g.spawn(function* () {
            throw error;
          });
          yield* never();
        });
      } catch {}
    }
    return refs;
  },
  /** Short children of one parent, joined or not: what it holds while it lives, from a tenth of them on. */
  *children() {
    const child = op(function* (number) {
      if (number % 3 === 0) yield* yieldNow();
      return number;
    });
    const count = 100_000 * scale;
    let first = 0;
    for (let i = 1; i <= count; i++) {
      const task = spawn(child(i));
      if (i % 2 === 0) yield* task.join();
      else if (i % 100 === 1) yield* yieldNow();
      if (i % (count / 10) !== 0) continue;
      globalThis.gc();
      const { heapUsed } = process.memoryUsage();
      if (first === 0) first = heapUsed;
      growth = Math.max(growth, heapUsed - first);
    }
    return [];
  },
};

/** Seen by the program itself, in bytes. */
let growth = 0;

const program = programs[process.argv[3]];
runVirtual(program);
growth = 0;
await collect();
const before = process.memoryUsage().heapUsed;
// The program goes on living while it is looked at: what it holds must not grow with what has ended.
const held = runVirtual(function* () {
  return yield* program();
});
await collect();
const grown = process.memoryUsage().heapUsed - before;
const alive = held.filter((ref) => ref.deref() !== undefined).length;
console.log(JSON.stringify({ refs: held.length, alive, grown, growth }));
