/** Events, and async iterables both ways. However a task ends, no listener is left and every iterable is closed. */
import { EventEmitter } from "node:events";
import { Readable } from "node:stream";
import { op, run, spawn, yieldNow } from "cooperator";
import { consume, events, once, toAsyncIterable } from "cooperator/async";

const program = op(function* program() {
  const emitter = new EventEmitter();
  spawn(function* () {
    yield* yieldNow();
    for (const line of ["one", "two"]) emitter.emit("line", line);
    emitter.emit("close");
  });
  {
    using lines = events<[string]>(emitter, "line", { end: ["close"] });
    const [first] = yield* once(emitter, "line");
    console.log(`first: ${first}`);
    for (let next = yield* lines.next(); next !== null; next = yield* lines.next()) console.log(next[0]);
  }
  console.log(`listeners: ${emitter.eventNames().length}`);

  const total = yield* consume(Readable.from([1, 2, 3]), function* (numbers) {
    let sum = 0;
    for (let next = yield* numbers.next(); !next.done; next = yield* numbers.next()) sum += next.value;
    return sum;
  });
  console.log(`total: ${total}`);

  const child = spawn(async (self) => {
    const squares = toAsyncIterable<number>(
      self,
      (emit) =>
        function* () {
          try {
            for (let i = 1; ; i++) yield* emit(i * i);
          } finally {
            console.log("the maker cleans up");
          }
        },
    );
    for await (const square of squares) {
      console.log(`square: ${square}`);
      if (square === 9) break;
    }
  });
  yield* child.join();
});

await run(program());
