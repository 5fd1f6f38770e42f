import { setImmediate, setTimeout } from "node:timers/promises";
import { expect, test } from "vitest";
import {
  Coordinator,
  coordinateWith,
  type DeadlockError,
  findCycle,
  group,
  never,
  type Operation,
  self,
  shield,
  spawn,
  type Task,
} from "../../src/coordinator/index.ts";
import { NodeHost } from "../../src/node/host.ts";
import { VirtualRuntime } from "../../src/testing/virtual.ts";
import { sleep } from "../../src/time/index.ts";

function deadlockOf(body: () => Operation<unknown>): DeadlockError {
  const rt = new VirtualRuntime();
  try {
    rt.run(body);
  } catch (error) {
    return error as DeadlockError;
  }
  throw new Error("there was no deadlock");
}

/** The labels of a cycle, beginning with the least. */
function labels(cycle: readonly Task[]): string[] {
  const all = cycle.map(({ label }) => label);
  const first = all.indexOf([...all].sort()[0]!);
  return [...all.slice(first), ...all.slice(0, first)];
}

function* lockAndJoin(): Generator<unknown, void, any> {
  const gate = new Coordinator({ name: "gate" });
  const waiter: Task = spawn(
    function* () {
      yield* sleep(1);
      yield* gate.acquire();
    },
    { name: "waiter" },
  );
  yield* gate.acquire();
  yield* waiter.join();
}

test("a cycle through a lock and a join is named, in words and as tasks", () => {
  const error = deadlockOf(lockAndJoin);
  expect(error.code).toBe("COOP_DEADLOCK");
  expect(labels(error.cycle)).toEqual(["main#1", "waiter#2"]);
  expect(error.message.split("\n")).toEqual([
    "every task is blocked and nothing can wake one:",
    "a cycle: main#1 waits for waiter#2 (end of waiter#2), waiter#2 waits for main#1 (acquire of gate)",
    "main#1: wait for end of waiter#2 in lockAndJoin",
    "  waiter#2: wait for acquire of gate",
  ]);
  // Printing the error does not print what is inside of the tasks.
  expect(Object.keys(error)).toEqual(["code"]);
});

test("the same words in Node, once its loop has run dry", async () => {
  const host = new NodeHost();
  const errors: DeadlockError[] = [];
  host.onDeadlock = (error) => errors.push(error);
  const main = host.cooperator.spawn(lockAndJoin, { name: "main", failure: "hold" });
  main.observe();
  while ([...host.cooperator.tasks()][0]?.wait?.describe() !== "end of waiter#2") await setImmediate();
  await setTimeout(5);
  host.idle();
  expect(errors.map(({ message }) => message)).toEqual([deadlockOf(lockAndJoin).message]);
  main.kill();
  while (!main.ended) await setImmediate();
  await host.close();
});

test("three locks, a wait for several and a group are followed", () => {
  const [a, b, c] = ["a", "b", "c"].map((name) => new Coordinator({ name })) as [
    Coordinator,
    Coordinator,
    Coordinator,
  ];
  const error = deadlockOf(function* () {
    yield* group(function* (g) {
      const philosopher = (name: string, first: Coordinator, second: Coordinator): Task =>
        g.spawn(
          function* () {
            yield* first.acquire();
            yield* sleep(1);
            yield* name === "two"
              ? coordinateWith(second, new Coordinator({ held: true }))
              : second.acquire();
          },
          { name },
        );
      philosopher("one", a, b);
      philosopher("two", b, c);
      philosopher("three", c, a);
    });
  });
  expect(labels(error.cycle)).toEqual(["one#2", "two#3", "three#4"]);
});

test("a parent that waits for its children and holds what one of them wants is a cycle", () => {
  const error = deadlockOf(function* () {
    const gate = new Coordinator({ name: "gate" });
    yield* gate.acquire();
    yield* group(function* (g) {
      g.spawn(gate.acquire(), { name: "member" });
    });
  });
  expect(labels(error.cycle)).toEqual(["main#1", "member#2"]);
});

test("a task that was killed and waits for a child in a shield is followed as well", () => {
  const error = deadlockOf(function* () {
    const gate = new Coordinator({ name: "gate" });
    yield* gate.acquire();
    spawn(() => shield(gate.acquire()), { name: "child" });
    yield* sleep(1);
    self().kill("enough");
    yield* never();
  });
  expect(labels(error.cycle)).toEqual(["child#2", "main#1"]);
  expect(error.message).toContain("main#1 waits for child#2 (the end of its children)");
});

test("where nobody waits for anybody there is no cycle", () => {
  const error = deadlockOf(() => new Coordinator({ held: true, name: "nobody's" }).acquire());
  expect(error.cycle).toEqual([]);
  expect(error.message).toBe(
    "every task is blocked and nothing can wake one:\nmain#1: wait for acquire of nobody's",
  );
});

test("the search is iterative: 20,000 tasks in a chain, with and without a cycle at its end", () => {
  const rt = new VirtualRuntime();
  const chain: Task[] = [];
  rt.cooperator.spawn(function* () {
    for (let i = 0; i < 20_000; i++) {
      const target = chain.at(-1);
      chain.push(spawn(target === undefined ? never() : target.settled()));
    }
    yield* never();
  });
  rt.settle();
  expect(findCycle(chain)).toEqual([]);
  rt.cooperator.kill();
  rt.drain();
});
