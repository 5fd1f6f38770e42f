/** A mutex lets one task in at a time, in order; a condition is what tasks inside it wait for. */
import { op, run, sleep, spawn } from "cooperator";
import { Condition, Mutex } from "cooperator/sync";

const mutex = new Mutex({ name: "account" });
const paidIn = new Condition(mutex, { name: "money" });
let balance = 0;

const withdraw = op(function* withdraw(name: string, amount: number) {
  const guard = yield* mutex.lock();
  try {
    while (balance < amount) yield* paidIn.wait();
    balance -= amount;
    console.log(`${name} has ${amount}, ${balance} are left`);
  } finally {
    // A kill in the wait comes here with the mutex held again.
    guard.release();
  }
});

const deposit = (amount: number) =>
  mutex.withLock(function* () {
    balance += amount;
    paidIn.notifyAll();
  });

const program = op(function* program() {
  const tasks = [spawn(withdraw("Ada", 70)), spawn(withdraw("Bob", 20))];
  const gone = spawn(withdraw("Cy", 10));
  yield* sleep(1);
  yield* gone.killAndWait("Cy has left");
  yield* deposit(50);
  yield* sleep(1);
  yield* deposit(50);
  for (const task of tasks) yield* task.join();
  console.log(mutex.statistics());
});

await run(program());
