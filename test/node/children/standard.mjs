// Usage: standard.mjs DIST WHAT. Works on its standard streams, and tells on standard error what became of them.
import { readFileSync } from "node:fs";

const [dist, what] = process.argv.slice(2);
const { main, op, sleep, spawn } = await import(`${dist}/index.js`);
const { BufferedReader, nop, stderr, stdin, stdout } = await import(`${dist}/io/index.js`);

const flags = () =>
  [0, 1]
    .map((number) => /flags:\s+(\d+)/.exec(readFileSync(`/proc/self/fdinfo/${number}`, "utf8"))[1])
    .join(" ");

const tell = (text) => stderr().writeAll(Buffer.from(`${text}\n`));

const read = op(function* () {
  return yield* stdin().read(Buffer.alloc(64));
});

const programs = {
  *lines() {
    const before = flags();
    const source = stdin();
    const input = new BufferedReader(source);
    for (let line = yield* input.readLine(); line !== null; line = yield* input.readLine()) {
      yield* stdout().writeAll(Buffer.from(`${line.toUpperCase()}\n`));
    }
    yield* tell(`the same flags: ${flags() === before}, the same object: ${stdin() === source}`);
  },
  *kill() {
    const before = flags();
    const reader = spawn(read());
    for (let i = 0; i < 5; i++) yield* nop();
    yield* sleep(5);
    const { status } = yield* reader.killAndWait("enough");
    yield* tell(`the reader: ${status}, the same flags: ${flags() === before}`);
    // What comes later is for the next one.
    const next = Buffer.alloc(64);
    yield* stdout().writeAll(Buffer.from("ready\n"));
    const count = yield* stdin().read(next);
    yield* tell(`read: ${JSON.stringify(next.toString("utf8", 0, count))}`);
  },
  *close() {
    const reader = spawn(read(), { failure: "hold" });
    yield* nop();
    yield* stdin().close();
    const { error } = yield* reader.settled();
    yield* tell(`${error.code}, still open: ${/flags/.test(readFileSync("/proc/self/fdinfo/0", "utf8"))}`);
    const again = spawn(read());
    for (let i = 0; i < 3; i++) yield* nop();
    again.kill();
  },
  *end() {
    spawn(read());
    for (let i = 0; i < 5; i++) yield* nop();
    yield* sleep(2);
    yield* tell("the end");
  },
  *exit() {
    spawn(read());
    for (let i = 0; i < 5; i++) yield* nop();
    yield* sleep(2);
    yield* tell("left");
    process.exit(4);
  },
};

const exit = await main(programs[what]);
if (exit.status === "failed") console.error(exit.error);
