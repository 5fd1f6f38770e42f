/** Callers that want the same thing at once share one run; `Once` also keeps what it gave. */
import { op, run, Signal, sleep, spawn } from "cooperator";
import { Once, SingleFlight } from "cooperator/sync";

const fetching = new Signal({ name: "fetching" });
const users = new SingleFlight<number, string>({ name: "user" });
const config = new Once(
  op(function* load() {
    console.log("reading the configuration");
    yield* sleep("1 millis");
    return { greeting: "good morning" };
  }),
);

const fetchUser = op(function* fetchUser(id: number) {
  const { greeting } = yield* config.get();
  console.log(`fetching user ${id}`);
  fetching.notify();
  yield* sleep("5 millis");
  return `${greeting}, user ${id}`;
});

const request = (id: number) => users.run(id, () => fetchUser(id));

const program = op(function* program() {
  const tasks = [7, 7, 8, 7].map((id) => spawn(request(id), { failure: "hold" }));
  yield* fetching.wait();
  // It began the flight; those who share it do not notice.
  tasks[0]!.kill("the client is gone");
  for (const task of tasks) {
    const exit = yield* task.settled();
    console.log(exit.status === "done" ? exit.value : exit.status);
  }
});

await run(program());
