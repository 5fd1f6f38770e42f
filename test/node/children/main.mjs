// Usage: main.mjs DIST MODE. A program that runs under main(), and what is done to it is up to the test.
const [dist, mode] = process.argv.slice(2);
const { Coordinator, main, never, op, self, shield, sleep, spawn } = await import(`${dist}/index.js`);
const { accept, listen, nop } = await import(`${dist}/io/index.js`);

/** Waits until a signal comes, then cleans up, which takes `cleanUp`. */
const served = op(function* served(wait, cleanUp) {
  try {
    console.log("ready");
    yield* wait;
  } finally {
    console.log("cleaning");
    yield* cleanUp();
    console.log("cleaned");
  }
});

const quick = op(function* quick() {
  yield* sleep(5);
  yield* nop();
});
const hang = op(function* hang() {
  yield* new Coordinator({ held: true, name: "the impossible" }).acquire();
});

const programs = {
  *value() {
    yield* sleep(1);
    return 42;
  },
  *error() {
    yield* sleep(1);
    throw new Error("it broke");
  },
  *"child error"() {
    spawn(function* failing() {
      throw new RangeError("the child broke");
    });
    yield* never();
  },
  *never() {
    yield* served(never(), quick);
  },
  *sleep() {
    yield* served(sleep("1 hour"), quick);
  },
  *accept() {
    const listener = yield* listen("127.0.0.1:0");
    spawn(function* session() {
      yield* served(never(), quick);
    });
    yield* accept(listener);
  },
  *"ends itself"() {
    spawn(function* () {
      yield* sleep(5);
      process.exitCode = 3;
      self().cooperator.kill("enough");
    });
    yield* served(never(), quick);
  },
  *"fails in clean-up"() {
    yield* served(never(), function* () {
      yield* sleep(1);
      throw new Error("clean-up broke");
    });
  },
  *hang() {
    yield* served(never(), hang);
  },
  *"hang in io"() {
    const listener = yield* listen("127.0.0.1:0");
    yield* served(never(), function* hang() {
      yield* accept(listener);
    });
  },
  *"hang for long"() {
    yield* served(never(), hang);
  },
  *"hang in a shield"() {
    // Something of Node's may still happen: without it there would be nothing to wait for.
    interval = setInterval(() => {}, 1_000_000);
    console.log("ready");
    yield* shield(hang());
  },
  *"deadlock in a shield"() {
    yield* shield(hang());
  },
  *"deadlock with clean-up"() {
    yield* served(hang(), quick);
  },
  *deadlock() {
    const gate = new Coordinator({ name: "the gate" });
    const waiter = op(function* waiter() {
      yield* gate.acquire();
    });
    yield* gate.acquire();
    spawn(waiter(), { name: "left" });
    const right = spawn(waiter(), { name: "right" });
    yield* right.join();
  },
};

const options = {
  hang: { grace: 40 },
  "hang in io": { grace: 40 },
  "hang for long": { grace: "1 hour" },
  "hang in a shield": { grace: 40 },
  "fails in clean-up": { grace: 1000 },
};
let interval = null;
const signals = process.argv[4] === undefined ? {} : { signals: process.argv[4].split(",") };
const exit = await main(programs[mode], { name: "program", ...options[mode], ...signals });
clearInterval(interval);
console.log(`exit ${exit.status}`);
