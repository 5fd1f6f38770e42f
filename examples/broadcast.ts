/** A broadcast gives every subscriber everything, a watch the latest value; neither ever makes its source wait. */
import { op, run, spawn, yieldNow } from "cooperator";
import { Broadcast, each, LagError, Watch } from "cooperator/sync";

const news = new Broadcast<string>({ name: "news" });
const level = new Watch("info", { name: "level" });

const reader = op(function* reader() {
  using mine = news.subscribe();
  yield* each(mine, function* (item) {
    console.log(`read ${item}`);
  });
});

const logger = op(function* logger() {
  const changes = level.watch({ now: true });
  yield* each(changes, function* (now) {
    console.log(`level ${now}`);
  });
});

const program = op(function* program() {
  using slow = news.subscribe({ lag: 1 });
  const tasks = [spawn(reader()), spawn(logger())];
  yield* yieldNow();
  for (const item of ["a", "b", "c"]) news.publish(item);
  level.value = "debug";
  level.value = "trace";
  news.close();
  level.close();
  for (const task of tasks) yield* task.join();
  try {
    yield* slow.receive();
  } catch (error) {
    if (error instanceof LagError) console.log(`the slow one has missed ${error.missed}`);
  }
  console.log(`and goes on with ${yield* slow.receive()}`);
});

await run(program());
