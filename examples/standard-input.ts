/** Standard input and output as streams of bytes: the words of each line, counted as they come. */
import { op, run, spawn } from "cooperator";
import { BufferedReader, spawnProcess, stdin, stdout } from "cooperator/io";

const count = op(function* count() {
  const input = new BufferedReader(stdin());
  const output = stdout();
  let total = 0;
  for (let line = yield* input.readLine(); line !== null; line = yield* input.readLine()) {
    const words = line.split(/\s+/).filter((word) => word !== "").length;
    total += words;
    yield* output.writeAll(Buffer.from(`${words}: ${line}\n`));
  }
  yield* output.writeAll(Buffer.from(`${total} words\n`));
});

/** Without input to read it makes some: it starts itself once more, and writes to that. */
const demonstrate = op(function* demonstrate() {
  using self = yield* spawnProcess(process.execPath, [...process.argv.slice(1), "count"], {
    stdout: "inherit",
    stderr: "inherit",
  });
  yield* self.stdin.writeAll(Buffer.from("to be or not to be\nthat is the question\n"));
  yield* self.stdin.close();
  yield* self.wait();

  // A kill ends a read of standard input, whatever it leads to.
  const reader = spawn(stdin().read(Buffer.alloc(1)));
  yield* stdout().writeAll(Buffer.from(`a reader: ${(yield* reader.killAndWait("enough")).status}\n`));
});

await run(process.argv.includes("count") ? count() : demonstrate());
