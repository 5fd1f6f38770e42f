/** A function that is called when its turn at a coordinator comes: in line with tasks, without a stack. */
import { Coordinator, op, run, spawn, yieldNow } from "cooperator";

const program = op(function* program() {
  const pen = new Coordinator({ name: "pen" });
  const page: string[] = [];
  yield* pen.acquire();

  const writer = op(function* writer(text: string) {
    yield* pen.acquire();
    page.push(text);
    pen.release();
  });
  const first = spawn(writer("first"));
  yield* yieldNow();
  const second = pen.continue(() => page.push("second"));
  const never = pen.continue(() => page.push("never"));
  const third = spawn(writer("third"));
  yield* yieldNow();

  console.log(`taken back: ${never.cancel()}`);
  pen.release();
  yield* third.join();
  yield* first.join();
  console.log(`${page.join(", ")}; the second made it ${yield* second}`);
});

await run(program());
