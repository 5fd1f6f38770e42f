// Usage: few-descriptors.mjs DIST. Receives more descriptors than it may have open, and tells what becomes of it.
import { readdirSync } from "node:fs";

const [dist] = process.argv.slice(2);
const { run } = await import(`${dist}/index.js`);
const io = await import(`${dist}/io/index.js`);
const opened = () => readdirSync("/proc/self/fd").length;

await run(function* () {
  const listener = yield* io.listen({ path: `\0few-descriptors-${process.pid}` });
  const near = yield* io.connect(listener.localAddress);
  const far = yield* listener.accept();
  const file = yield* io.open("/dev/null", "r");
  yield* io.sendDescriptors(near, Buffer.from("abc"), Array(253).fill(file));
  const before = opened();
  const into = Buffer.alloc(8);
  try {
    yield* io.receiveDescriptors(far, into);
  } catch (error) {
    for (let i = 0; i < 4; i++) yield* io.nop();
    console.log(error.code, error.count, into.toString("utf8", 0, 3), opened() === before);
  }
  // The stream goes on.
  yield* io.sendDescriptors(near, Buffer.from("d"), [file]);
  const received = yield* io.receiveDescriptors(far, into);
  console.log(received.count, received.remaining);
  received[Symbol.dispose]();
});
