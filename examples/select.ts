/** select waits for the first of several things in one task: a message, a tick, a signal to stop. */
import { Channel, END, every, op, run, Signal, select, spawn } from "cooperator";

const inbox = new Channel<string>({ capacity: 8, name: "inbox" });
const ticked = new Signal({ name: "ticked" });
const stopping = new Signal({ name: "stopping" });

const worker = op(function* worker() {
  const ticks = every("100 millis");
  for (;;) {
    const won = yield* select({ stop: stopping.wait(), message: inbox.receiveOrEnd(), tick: ticks.next() });
    if (won.key === "stop") return console.log(`stopped with ${inbox.size} left`);
    if (won.key === "tick") {
      console.log("tick");
      ticked.notify();
    } else if (won.value === END) return console.log("the inbox is closed");
    else console.log(won.value);
  }
});

const program = op(function* program() {
  const task = spawn(worker());
  yield* inbox.sendAll(["one", "two"]);
  yield* ticked.wait();
  stopping.notify();
  yield* inbox.send("three");
  yield* task.join();
});

await run(program());
