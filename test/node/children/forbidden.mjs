// Usage: forbidden.mjs DIST. What every kind of io answers, here and in a worker, as JSON.
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";

const dist = isMainThread ? process.argv[2] : workerData;
const { run } = await import(`${dist}/index.js`);
const io = await import(`${dist}/io/index.js`);

const operations = {
  open: () => io.open("/etc/passwd"),
  readFile: () => io.readFile("/etc/passwd"),
  writeFile: () => io.writeFile("/tmp/cooperator-forbidden", "text"),
  stat: () => io.stat("/etc/passwd"),
  unlink: () => io.unlink("/tmp/cooperator-forbidden"),
  openDirectory: () => io.openDirectory("/etc"),
  readDirectory: () => io.readDirectory("/etc"),
  realPath: () => io.realPath("/etc/passwd"),
  listen: () => io.listen("127.0.0.1:0"),
  connect: () => io.connect("127.0.0.1:1"),
  unix: () => io.connect({ path: "/run/nothing" }),
};

async function told() {
  const answers = {};
  for (const [name, operation] of Object.entries(operations)) {
    try {
      await run(function* () {
        yield* operation();
      });
      answers[name] = "allowed";
    } catch (error) {
      answers[name] = error.code;
    }
  }
  return answers;
}

if (isMainThread) {
  const here = await told();
  let there = null;
  try {
    const worker = new Worker(new URL(import.meta.url), { workerData: dist });
    there = await new Promise((resolve, reject) => worker.once("message", resolve).once("error", reject));
  } catch (error) {
    there = error.code;
  }
  console.log(JSON.stringify({ here, there }));
} else {
  parentPort.postMessage(await told());
}
