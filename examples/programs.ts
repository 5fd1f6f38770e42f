/** Other programs in the tree: run to the end, talked to, ended by a time limit and with their owner. */
import { op, run, spawn, timeout } from "cooperator";
import { BufferedReader, type Process, runProcess, spawnProcess } from "cooperator/io";

/** Asks a program that answers line by line. */
const ask = op(function* ask(calculator: Process, answers: BufferedReader, question: string) {
  yield* calculator.stdin.writeAll(Buffer.from(`${question}\n`));
  return yield* answers.readLine();
});

const program = op(function* program() {
  const { code, stdout } = yield* runProcess("sort", ["-n"], { input: "10\n9\n2\n" });
  console.log(`sort: ${code}, ${stdout.toString().trim().split("\n")}`);

  using shell = yield* spawnProcess("sh", ["-c", "while read -r line; do echo $(($line)); done"]);
  const answers = new BufferedReader(shell.stdout);
  console.log(`6 * 7 = ${yield* ask(shell, answers, "6 * 7")}`);
  console.log(`1 << 10 = ${yield* ask(shell, answers, "1 << 10")}`);
  yield* shell.stdin.close();
  console.log(`the shell: ${(yield* shell.wait()).code}`);

  try {
    yield* timeout("20 millis", runProcess("sleep", ["1000"]));
  } catch (error) {
    console.log((error as Error).message);
  }

  let sleeper: Process | null = null;
  const owner = spawn(function* () {
    sleeper = yield* spawnProcess("sleep", ["1000"]);
    yield* sleeper.wait();
  });
  while (sleeper === null) yield* runProcess("true");
  yield* owner.killAndWait("no longer needed");
  console.log(`the sleeper: ${(sleeper as Process).exit?.signal}`);
});

await run(program());
