/** A supervisor starts its children again when they fail, and gives up when that happens too often. */
import { op, RestartLimitError, run, sleep, supervise } from "cooperator";

let attempts = 0;

const consumer = op(function* consumer() {
  attempts++;
  console.log(`consumer: attempt ${attempts}`);
  yield* sleep(1);
  if (attempts < 3) throw new Error("the queue is away");
  console.log("consumer: all consumed");
});

const hopeless = op(function* hopeless() {
  yield* sleep(1);
  throw new Error("bad configuration");
});

const program = op(function* program() {
  const options = {
    backoff: { first: "5 millis", most: "1 second" },
    intensity: { restarts: 3, within: "10 seconds" },
    onRestart: ({ child, pause }: { child: { name: string }; pause: number }) =>
      console.log(`${child.name} is started again in ${pause} ms`),
  };
  yield* supervise(function* (s) {
    s.spawn(consumer, { name: "consumer" });
  }, options);

  try {
    yield* supervise(function* (s) {
      s.spawn(hopeless, { name: "hopeless" });
    }, options);
  } catch (error) {
    if (error instanceof RestartLimitError) console.log(`gave up: ${(error.cause as Error).message}`);
  }
});

await run(program());
