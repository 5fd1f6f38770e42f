/** Many readers or one writer, in order of arrival: nobody starves. */
import { group, op, run, sleep } from "cooperator";
import { RwLock } from "cooperator/sync";

const lock = new RwLock({ name: "table" });
let version = 1;

const reader = op(function* reader(name: string) {
  yield* lock.withRead(function* () {
    console.log(`${name} reads version ${version} with ${lock.readers - 1} others`);
    yield* sleep("1 millis");
  });
});

const writer = op(function* writer() {
  yield* lock.withWrite(function* () {
    version++;
    console.log(`the writer is alone: ${lock.readers === 0}`);
  });
});

const program = op(function* program() {
  yield* group(function* (g) {
    g.spawn(reader("a"));
    g.spawn(reader("b"));
    g.spawn(writer());
    g.spawn(reader("c"));
  });
});

await run(program());
