/** A channel between a producer and two consumers; nothing is lost when one of them is killed. */
import { Channel, END, op, run, sleep, spawn, yieldNow } from "cooperator";

const jobs = new Channel<number>({
  capacity: 2,
  name: "jobs",
  undelivered: (job, why) => console.log(`job ${job} reaches nobody: ${why}`),
});

const consumer = op(function* consumer(name: string) {
  for (let job = yield* jobs.receiveOrEnd(); job !== END; job = yield* jobs.receiveOrEnd()) {
    console.log(`${name} does ${job}`);
    yield* sleep("10 millis");
  }
  console.log(`${name} is done`);
});

const program = op(function* program() {
  const first = spawn(consumer("first"));
  const second = spawn(consumer("second"));
  yield* yieldNow();
  // Handed to the second consumer, which is killed before it has seen it: the first one gets it.
  jobs.trySend(1);
  jobs.trySend(2);
  second.kill();
  yield* jobs.sendAll([3, 4]);
  const producer = spawn(jobs.sendAll([5, 6]));
  yield* yieldNow();
  yield* producer.killAndWait();
  jobs.close();
  yield* first.join();
});

await run(program());
