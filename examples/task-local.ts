/** A task local is inherited by children; what a child sets, its parent does not see. */
import { op, run, spawn, TaskLocal } from "cooperator";

const requestId = new TaskLocal("none");

const log = (text: string): void => console.log(`[${requestId.get()}] ${text}`);

const query = op(function* query() {
  log("query");
  requestId.set(`${requestId.get()}/retry`);
  log("query again");
});

const handler = op(function* handler(id: string) {
  requestId.set(id);
  yield* spawn(query()).join();
  log("answered");
});

const program = op(function* program() {
  yield* spawn(handler("a")).join();
  yield* spawn(handler("b")).join();
  log("idle");
});

await run(program());
