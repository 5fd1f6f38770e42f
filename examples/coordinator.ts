/** A coordinator is a lock with a strict queue; made held, it is an event that one release fires. */
import { Coordinator, op, run, sleep, spawn, yieldNow } from "cooperator";

const printer = new Coordinator({ name: "printer" });

const print = op(function* print(text: string) {
  yield* printer.acquire();
  try {
    yield* sleep("5 millis");
    console.log(text);
  } finally {
    printer.release();
  }
});

const waiter = op(function* waiter(event: Coordinator) {
  yield* event.acquire();
  console.log("the event has fired");
});

const program = op(function* program() {
  const jobs = ["one", "two", "three"].map((text) => spawn(print(text)));
  yield* yieldNow();
  console.log(`waiting for the printer: ${printer.waiting}`);
  for (const job of jobs) yield* job.join();

  const event = new Coordinator({ held: true, name: "event" });
  const task = spawn(waiter(event));
  yield* yieldNow();
  event.release();
  yield* task.join();
});

await run(program());
