/** The rules of tasks, kills, clean-up and errors, for every kind of body and in trees of several kinds. */
import { describe, expect, test } from "vitest";
import {
  type AsyncSelf,
  type Body,
  Coordinator,
  group,
  KilledError,
  never,
  op,
  StuckError,
  shield,
  spawn,
  type Task,
} from "../../src/coordinator/index.ts";
import { killEverywhereAsync } from "../../src/testing/kill-everywhere.ts";
import { VirtualRuntime } from "../../src/testing/virtual.ts";
import { sleep } from "../../src/time/sleep.ts";
import { timeout } from "../../src/time/timeout.ts";
import { kinds, pairs } from "../support/body-kinds.ts";
import { checked } from "../support/harness.ts";
import { expectNoUnhandledRejections } from "../support/rejections.ts";

expectNoUnhandledRejections();

/** Runs `body` to its end and checks that nothing is left. */
async function ran<A>(body: Body<A>, ...gates: Coordinator[]): Promise<Task<A>> {
  const rt = new VirtualRuntime();
  const task = await rt.runAsync(body);
  checked(rt, ...gates);
  return task;
}

/** Spawns `body`, lets it come to rest, kills it, and gives it when it has ended. */
async function killed(body: Body<unknown>, ...gates: Coordinator[]): Promise<Task> {
  const rt = new VirtualRuntime();
  const task = rt.cooperator.spawn(body, { failure: "hold" });
  task.observe();
  await rt.drainAsync();
  expect(task.status).toBe("blocked");
  task.kill("enough");
  task.kill("again");
  await rt.drainAsync();
  checked(rt, ...gates);
  return task;
}

/** For constructs that give async bodies something more than their task. */
const plain = (body: Body<unknown>) =>
  typeof body === "function"
    ? async (_limit: unknown, self: AsyncSelf) => body(self) as PromiseLike<unknown>
    : body;

const KILLED = { status: "killed", cause: { reason: "enough", origin: null, failure: false }, errors: [] };

describe.each(kinds)("with $name as its body", ({ make }) => {
  test("A01 a task has the value of its body, and a join gives it", async () => {
    const value = { it: "self" };
    const main = await ran(function* () {
      const child = spawn(make({ steps: [() => sleep(1)], value }));
      return yield* child.join();
    });
    expect(main.result).toBe(value);
  });

  test("A07 K3 it never begins when it is killed before its first step", async () => {
    let begun = false;
    const begin = (): void => {
      begun = true;
    };
    const main = await ran(function* () {
      const child = spawn(make({ steps: [begin], cleanup: [begin] }));
      child.kill("enough");
      return yield* child.settled();
    });
    expect(main.result.status).toBe("killed");
    expect(begun).toBe(false);
  });

  test("A08 it can start inside the call of spawn", async () => {
    let begun = false;
    const begin = (): void => {
      begun = true;
    };
    await ran(function* () {
      const child = spawn(make({ steps: [begin] }), { start: "now" });
      // A kind that awaits something first begins all the same, and is not where it was by the time.
      expect(child.status === "ended" || child.status === "blocked").toBe(true);
      yield* child.join();
    });
    expect(begun).toBe(true);
  });

  test("A05 K9 it takes no children when it has ended, nor when it has been killed", async () => {
    const codes: unknown[] = [];
    const attempt = (task: Task): void => {
      try {
        task.spawn(never());
      } catch (error) {
        codes.push((error as { code: string }).code);
      }
    };
    attempt(await ran(make({ steps: [] })));
    await killed(make({ steps: [() => never()], cleanup: [attempt] }));
    expect(codes).toEqual(["COOP_CLOSED", "COOP_CLOSED"]);
  });

  test("B01 a kill ends its wait, and its clean-up runs once", async () => {
    const log: string[] = [];
    const gate = new Coordinator({ held: true });
    const task = await killed(
      make({ steps: [() => gate.acquire()], cleanup: [() => void log.push("cleaned up")] }),
      gate,
    );
    expect(task.exit).toMatchObject(KILLED);
    expect(log).toEqual(["cleaned up"]);
  });

  test("B05 K5 a kill by itself is met at its next wait", async () => {
    const log: string[] = [];
    const rt = new VirtualRuntime();
    const task = rt.cooperator.spawn(
      make({
        steps: [
          (self) => {
            self.kill("myself");
            log.push("goes on");
          },
          () => sleep(1),
          () => void log.push("never"),
        ],
      }),
    );
    await rt.drainAsync();
    expect(log).toEqual(["goes on"]);
    expect(task.exit).toMatchObject({ status: "killed", cause: { reason: "myself" } });
    checked(rt);
  });

  test("B06 a kill beats a value", async () => {
    const rt = new VirtualRuntime();
    const task = rt.cooperator.spawn(make({ steps: [(self) => self.kill("myself")], value: 1 }));
    await rt.drainAsync();
    expect(task.exit).toMatchObject({ status: "killed" });
    checked(rt);
  });

  test("B07 a child that kills its ancestor ends both", async () => {
    const log: string[] = [];
    const rt = new VirtualRuntime();
    const parent = rt.cooperator.spawn(
      make({
        steps: [
          (self) => {
            self.spawn(
              make({
                steps: [() => sleep(1), () => self.kill("from below"), () => never()],
                cleanup: [() => void log.push("child")],
              }),
            );
          },
          () => never(),
        ],
        cleanup: [() => void log.push("parent")],
      }),
    );
    await rt.drainAsync();
    expect(log).toEqual(["child", "parent"]);
    expect(parent.exit).toMatchObject({ status: "killed", cause: { reason: "from below" } });
    checked(rt);
  });

  test("B13 a kill of one that joins leaves the joined one alone", async () => {
    const main = await ran(function* () {
      const target = spawn(sleep(5));
      const joiner = spawn(make({ steps: [() => target.join()] }));
      yield* sleep(1);
      yield* joiner.killAndWait();
      expect(target.exit).toBeNull();
      return yield* target.settled();
    });
    expect(main.result.status).toBe("done");
  });

  test("B16 a catch does not make a killed task live", async () => {
    const task = await killed(make({ steps: [() => never()], catches: true, value: "survived" }));
    expect(task.exit).toMatchObject(KILLED);
  });

  test("B20 K12 a timeout in it ends its part, and it goes on", async () => {
    const log: string[] = [];
    const main = await ran(
      make({
        steps: [
          () =>
            timeout(2, plain(make({ steps: [() => never()], cleanup: [() => void log.push("cleaned up")] }))),
          () => void log.push("not reached"),
        ],
        catches: true,
        value: "went on",
      }),
    );
    expect(main.result).toBe("went on");
    expect(log).toEqual(["cleaned up"]);
  });

  test("B27 to wait for one's own kill does not block", async () => {
    const rt = new VirtualRuntime();
    const task = rt.cooperator.spawn(make({ steps: [(self) => self.killAndWait("myself")] }));
    await rt.drainAsync();
    expect(task.exit?.status).toBe("killed");
    checked(rt);
  });

  test("C01 K8 its clean-up may wait, and no second kill interrupts it", async () => {
    const log: string[] = [];
    const rt = new VirtualRuntime();
    const task = rt.cooperator.spawn(
      make({
        steps: [() => never()],
        cleanup: [
          (self) =>
            void rt.cooperator.spawn(
              op(function* () {
                self.kill("second");
              })(),
            ),
          () => shield(sleep(2)),
          () => void log.push(`at ${rt.now}`),
        ],
      }),
    );
    await rt.drainAsync();
    task.kill("enough");
    await rt.drainAsync();
    expect(log).toEqual(["at 2"]);
    expect(task.exit).toMatchObject(KILLED);
    checked(rt);
  });

  test("C03 K10 clean-up that does not end is cut short when its time is over", async () => {
    const rt = new VirtualRuntime();
    const main = await rt.runAsync(function* () {
      const child = spawn(make({ steps: [() => never()], cleanup: [() => never()] }), { failure: "hold" });
      yield* sleep(1);
      return yield* child.killAndWait("enough", { within: 10 });
    });
    expect((main.result as { error: unknown }).error).toBeInstanceOf(StuckError);
    expect(rt.reports.splice(0).every(({ kind }) => kind === "stuck")).toBe(true);
    checked(rt);
  });

  test("C05 an error of its clean-up beats the kill", async () => {
    const error = new Error("in clean-up");
    const task = await killed(
      make({
        steps: [() => never()],
        cleanup: [
          () => {
            throw error;
          },
        ],
      }),
    );
    expect(task.exit).toMatchObject({ status: "failed", error });
    expect((task.exit as { error: unknown }).error).toBe(error);
  });

  test("X1 its error is thrown by a join, itself and not a copy", async () => {
    const error = new Error("no luck");
    const main = await ran(function* () {
      const child = spawn(
        make({
          steps: [
            () => sleep(1),
            () => {
              throw error;
            },
          ],
        }),
        { failure: "hold" },
      );
      return yield* child.settled();
    });
    expect((main.result as { error: unknown }).error).toBe(error);
  });

  test("X1 an error of an operation comes through it", async () => {
    const error = new Error("no luck");
    const failing = op(function* () {
      yield* sleep(1);
      throw error;
    });
    const main = await ran(function* () {
      const child = spawn(make({ steps: [() => failing()] }), { failure: "hold" });
      return yield* child.settled();
    });
    expect((main.result as { error: unknown }).error).toBe(error);
  });

  test("K11 a kill by somebody's wish is no failure of its parent", async () => {
    const main = await ran(function* () {
      const child = spawn(make({ steps: [() => never()] }));
      yield* sleep(1);
      child.kill("enough");
      let caught: unknown;
      try {
        yield* child.join();
      } catch (thrown) {
        caught = thrown;
      }
      return caught;
    });
    expect(main.result).toBeInstanceOf(KilledError);
    expect(main.result).toMatchObject({ reason: "enough" });
  });

  test("S1 a shield in it keeps the kill away to its end", async () => {
    const log: string[] = [];
    const rt = new VirtualRuntime();
    const task = rt.cooperator.spawn(
      make({
        steps: [
          () =>
            shield(
              op(function* () {
                yield* sleep(5);
                log.push(`whole at ${rt.now}`);
              })(),
            ),
          () => sleep(1),
          () => void log.push("never"),
        ],
      }),
    );
    // Up to where it sleeps, and not until it has.
    rt.settle();
    for (let i = 0; i < 10; i++) {
      await Promise.resolve();
      rt.settle();
    }
    task.kill("enough");
    await rt.drainAsync();
    expect(log).toEqual(["whole at 5"]);
    expect(task.exit).toMatchObject({ status: "killed" });
    checked(rt);
  });

  test("E1 its defers run when its children are gone, last first", async () => {
    const log: string[] = [];
    const rt = new VirtualRuntime();
    await rt.runAsync(async (self) => {
      self.defer(make({ steps: [() => sleep(1), () => void log.push("first in")] }));
      self.defer(make({ steps: [() => sleep(1), () => void log.push("last in")] }));
      self.spawn(make({ steps: [() => never()], cleanup: [() => sleep(3), () => void log.push("child")] }));
      await self.wait(sleep(1));
    });
    expect(log).toEqual(["child", "last in", "first in"]);
    checked(rt);
  });
});

describe.each(pairs)("%s over %s", (_parent, _child, { make }, { make: makeChild }) => {
  test("A03 E1 the end of the parent kills the child and waits for its clean-up", async () => {
    const log: string[] = [];
    const main = await ran(
      make({
        steps: [
          (self) =>
            void self.spawn(
              makeChild({ steps: [() => never()], cleanup: [() => sleep(5), () => void log.push("child")] }),
            ),
          () => sleep(1),
          () => void log.push("the parent's body is over"),
        ],
      }),
    );
    expect(main.exit?.status).toBe("done");
    expect(log).toEqual(["the parent's body is over", "child"]);
  });

  test("B02 K6 a kill reaches both; the child cleans up first", async () => {
    const log: string[] = [];
    const exits: unknown[] = [];
    const task = await killed(
      make({
        steps: [
          (self) => {
            const child = self.spawn(
              makeChild({ steps: [() => never()], cleanup: [() => sleep(5), () => void log.push("child")] }),
            );
            self.onKill(() => exits.push(child.killed));
          },
          () => never(),
        ],
        cleanup: [() => void log.push("parent")],
      }),
    );
    expect(task.exit).toMatchObject(KILLED);
    expect(log).toEqual(["child", "parent"]);
    expect(exits).toEqual([true]);
  });

  test("X1 the child's error kills the parent and is its error", async () => {
    const error = new Error("no luck");
    const log: string[] = [];
    const rt = new VirtualRuntime();
    const main = await rt.runAsync(
      make({
        steps: [
          (self) =>
            void self.spawn(
              makeChild({
                steps: [
                  () => sleep(1),
                  () => {
                    throw error;
                  },
                ],
              }),
            ),
          () => never(),
        ],
        cleanup: [() => void log.push("parent cleans up")],
      }),
    );
    expect(main.exit).toMatchObject({ status: "failed" });
    expect((main.exit as { error: unknown }).error).toBe(error);
    expect(log).toEqual(["parent cleans up"]);
    checked(rt);
  });

  test("X2 a group in the parent kills its other children and throws the first error", async () => {
    const error = new Error("no luck");
    const log: string[] = [];
    const main = await ran(
      make({
        steps: [
          () =>
            group(function* (g) {
              g.spawn(makeChild({ steps: [() => never()], cleanup: [() => void log.push("sibling")] }));
              g.spawn(
                makeChild({
                  steps: [
                    () => sleep(1),
                    () => {
                      throw error;
                    },
                  ],
                }),
              );
              yield* never();
            }),
        ],
      }),
    );
    expect((main.exit as { error: unknown }).error).toBe(error);
    expect(log).toEqual(["sibling"]);
  });
});

test("B18 wherever a kill strikes in a tree of all kinds, every clean-up runs and nothing is held", async () => {
  const { points, reach, runs } = await killEverywhereAsync(() => {
    const lock = new Coordinator({ name: "lock" });
    let entered = 0;
    let left = 0;
    const critical = op(function* () {
      yield* lock.acquire();
      try {
        entered++;
        yield* sleep(1);
      } finally {
        left++;
        lock.release();
      }
    });
    let begun = 0;
    let cleaned = 0;
    return {
      gates: [lock],
      body: function* () {
        yield* group(function* (g) {
          for (const { make } of kinds) {
            g.spawn(
              make({
                steps: [() => void begun++, () => critical()],
                cleanup: [() => void cleaned++, () => shield(sleep(1))],
              }),
            );
          }
        });
      },
      check: () => {
        expect(lock.held).toBe(false);
        expect(left).toBe(entered);
        expect(cleaned).toBe(begun);
      },
    };
  });
  expect(points).toBeGreaterThan(10);
  expect(reach).toBeGreaterThanOrEqual(0.99);
  expect(runs).toBeGreaterThan(points);
});
