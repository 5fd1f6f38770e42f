/** Starting a task and waiting until it says that it is ready; what it throws before that is thrown here. */
import { never, op, run, sleep, spawnReady } from "cooperator";

const service = op(function* service(name: string, ready: (port: number) => void) {
  yield* sleep("10 millis");
  if (name === "broken") throw new Error("the address is in use");
  ready(8080);
  yield* never();
});

const program = op(function* program() {
  const { task, value: port } = yield* spawnReady<void, number>((ready) => service("web", ready));
  console.log(`${task.name} listens on ${port} and is ${task.status}`);
  try {
    yield* spawnReady<void, number>((ready) => service("broken", ready));
  } catch (error) {
    console.log(`not started: ${(error as Error).message}`);
  }
});

await run(program());
