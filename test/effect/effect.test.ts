import { Cause, Context, Effect, Exit } from "effect";
import { describe, expect, test } from "vitest";
import {
  type KilledError,
  never,
  type Operation,
  op,
  StuckError,
  spawn,
  type Task,
} from "../../src/coordinator/index.ts";
import { causeOf, EffectError, errorOf, KilledBy, runEffect, toEffect } from "../../src/effect/index.ts";
import { run } from "../../src/node/run.ts";
import { VirtualRuntime } from "../../src/testing/virtual.ts";
import { sleep } from "../../src/time/sleep.ts";
import { timeout } from "../../src/time/timeout.ts";
import { checked } from "../support/harness.ts";
import { expectNoUnhandledRejections } from "../support/rejections.ts";

expectNoUnhandledRejections();

const pause = (length: number) => toEffect(() => sleep(length));

/** What `body` throws. */
function* thrownIn(body: Operation<unknown>): Generator<unknown, unknown, unknown> {
  try {
    yield* body;
  } catch (error) {
    return error;
  }
  throw new Error("it was expected to throw");
}

test("an Effect is a task body, and operations are Effects in it; both in one tree", async () => {
  const rt = new VirtualRuntime();
  const main = await rt.runAsync(function* () {
    const child = spawn(
      runEffect(
        Effect.gen(function* () {
          yield* pause(5);
          // Effect in task in Effect in task.
          return yield* toEffect(
            op(function* inner() {
              yield* sleep(5);
              return yield* runEffect(Effect.succeed(42));
            }),
          );
        }),
      ),
      { name: "effect" },
    );
    return yield* child.join();
  });
  expect(main.result).toBe(42);
  expect(rt.now).toBe(10);
  expect(rt.statistics().spawned).toBe(4);
  checked(rt);
});

test("services come by an option", async () => {
  class Port extends Context.Service<Port, number>()("test/Port") {}
  const rt = new VirtualRuntime();
  const program = Effect.gen(function* () {
    yield* pause(1);
    return yield* Port;
  });
  const main = await rt.runAsync(() => runEffect(program, { services: Context.make(Port, 8080) }));
  expect(main.result).toBe(8080);
  checked(rt);
});

test("what is no Effect is refused; without a task, toEffect says what to do", async () => {
  expect(() => runEffect(5 as never)).toThrow(expect.objectContaining({ code: "COOP_NOT_AN_EFFECT" }));
  const exit = await Effect.runPromiseExit(pause(1));
  expect(Exit.isFailure(exit) && Cause.squash(exit.cause)).toMatchObject({ code: "COOP_NO_OWNER" });
  const rt = new VirtualRuntime();
  const running = Effect.runPromise(toEffect(() => sleep(1), { owner: rt.cooperator }));
  await rt.drainAsync();
  await running;
  checked(rt);
});

describe("causes", () => {
  const cases: readonly [string, Cause.Cause<unknown>, unknown][] = [
    ["a failure", Cause.fail(new Error("a")), { message: "a" }],
    ["a defect", Cause.die(new Error("b")), { message: "b" }],
    ["a failure that is no object", Cause.fail("text"), { code: "COOP_EFFECT", cause: "text" }],
    ["an interrupt", Cause.interrupt(7), { code: "COOP_KILLED", reason: "interrupted by fiber #7" }],
    [
      "several reasons",
      Cause.fromReasons<unknown>([
        Cause.makeInterruptReason(7),
        Cause.makeFailReason(new Error("first")),
        Cause.makeDieReason(new Error("second")),
        Cause.makeFailReason("third"),
      ]),
      { message: "first", errors: [{ message: "second" }, "third"] },
    ],
  ];

  test.each(cases)("%s goes through a task and comes back whole", async (_what, cause, shape) => {
    const rt = new VirtualRuntime();
    let back: Cause.Cause<unknown> | null = null;
    const main = await rt.runAsync(() =>
      runEffect(
        Effect.gen(function* () {
          const exit = yield* Effect.exit(toEffect(() => runEffect(Effect.failCause(cause))));
          if (Exit.isFailure(exit)) back = exit.cause;
        }),
      ),
    );
    expect(main.exit?.status).toBe("done");
    expect(back!.reasons).toEqual(cause.reasons);
    const failed = await rt.runAsync(() => runEffect(Effect.failCause(cause)));
    expect(failed.exit).toMatchObject({ status: "failed", error: shape });
    checked(rt);
  });

  test("the very error is thrown, and errors of operations are failures or, for bugs, defects", () => {
    const error = new Error("no luck");
    expect(errorOf(Cause.fail(error))).toBe(error);
    expect(causeOf(new Error("x")).reasons).toMatchObject([{ _tag: "Fail" }]);
    expect(causeOf(new StuckError("x")).reasons).toMatchObject([{ _tag: "Die" }]);
    const several = Object.assign(new Error("a"), { errors: [new Error("b")] });
    expect(causeOf(several).reasons).toMatchObject([
      { _tag: "Fail", error: { message: "a" } },
      { _tag: "Fail", error: { message: "b" } },
    ]);
    expect(new EffectError(5)).toMatchObject({ name: "EffectError", message: "the effect failed with 5" });
  });

  test("a killed task is an interrupt with the kill's cause, and a reason for each error of the clean-up", async () => {
    const rt = new VirtualRuntime();
    let cause: Cause.Cause<unknown> | null = null;
    await rt.runAsync(() =>
      runEffect(
        Effect.gen(function* () {
          const exit = yield* Effect.exit(
            toEffect<void>(async (self) => {
              self.task.kill("enough");
              await self.wait(never());
            }),
          );
          if (Exit.isFailure(exit)) cause = exit.cause;
        }),
      ),
    );
    expect(Cause.hasInterruptsOnly(cause!)).toBe(true);
    const annotations = Cause.reasonAnnotations(cause!.reasons[0]!);
    expect(Context.get(annotations, KilledBy)).toMatchObject({ reason: "enough" });
    checked(rt);
  });
});

describe("a kill", () => {
  test("interrupts the fiber, waits for its finalizers, and those may run operations", async () => {
    const log: string[] = [];
    const rt = new VirtualRuntime();
    const main = await rt.runAsync(function* () {
      const child = spawn(
        runEffect(
          Effect.gen(function* () {
            yield* Effect.acquireRelease(Effect.succeed("a connection"), () =>
              Effect.gen(function* () {
                log.push("says goodbye");
                yield* pause(5);
                log.push("closed");
              }).pipe(Effect.orDie),
            );
            yield* toEffect(
              op(function* () {
                try {
                  yield* never();
                } finally {
                  yield* sleep(1);
                  log.push("the operation cleans up first");
                }
              }),
            );
          }).pipe(Effect.scoped),
        ),
      );
      yield* sleep(1);
      const exit = yield* child.killAndWait("enough");
      log.push(exit.status);
      return exit;
    });
    expect(main.result).toMatchObject({ status: "killed", cause: { reason: "enough" }, errors: [] });
    expect(log).toEqual(["the operation cleans up first", "says goodbye", "closed", "killed"]);
    expect(rt.now).toBe(7);
    checked(rt);
  });

  test("of an Effect that waits for nothing of ours is an interrupt with the reason on it", async () => {
    const rt = new VirtualRuntime();
    let cause: Cause.Cause<unknown> | null = null;
    const task = rt.cooperator.spawn(
      runEffect(
        Effect.onExit(Effect.never, (exit) =>
          Effect.sync(() => {
            if (Exit.isFailure(exit)) cause = exit.cause;
          }),
        ),
      ),
    );
    await rt.drainAsync();
    task.kill("enough");
    await rt.drainAsync();
    expect(task.exit).toMatchObject({ status: "killed", errors: [] });
    expect(Context.get(Cause.reasonAnnotations(cause!.reasons[0]!), KilledBy)).toMatchObject({
      reason: "enough",
    });
    checked(rt);
  });

  test("an error of a finalizer beats it", async () => {
    const rt = new VirtualRuntime();
    const main = await rt.runAsync(function* () {
      const child = spawn(runEffect(Effect.ensuring(Effect.never, Effect.die(new Error("in clean-up")))), {
        failure: "hold",
      });
      yield* sleep(1);
      return yield* child.killAndWait("enough");
    });
    expect(main.result).toMatchObject({ status: "failed", error: { message: "in clean-up" } });
    checked(rt);
  });

  test("K3 before the first step, the Effect never begins", async () => {
    const rt = new VirtualRuntime();
    let begun = false;
    const task = rt.cooperator.spawn(
      runEffect(
        Effect.sync(() => {
          begun = true;
        }),
      ),
    );
    task.kill();
    await rt.drainAsync();
    expect(begun).toBe(false);
    expect(task.exit?.status).toBe("killed");
    checked(rt);
  });

  test("with `within` gives up finalizers that do not end", async () => {
    const rt = new VirtualRuntime();
    const main = await rt.runAsync(function* () {
      const child = spawn(runEffect(Effect.ensuring(Effect.never, Effect.never)), {
        failure: "hold",
        name: "stubborn",
      });
      yield* sleep(1);
      return yield* child.killAndWait("enough", { within: 10 });
    });
    expect(main.result).toMatchObject({ status: "failed" });
    expect((main.result as { error: unknown }).error).toBeInstanceOf(StuckError);
    expect(rt.reports.splice(0).map(({ kind }) => kind)).toContain("stuck");
    checked(rt);
  });

  test("of a scope around the Effect interrupts that one only", async () => {
    const rt = new VirtualRuntime();
    const main = await rt.runAsync(function* () {
      const error = yield* thrownIn(timeout(5, runEffect(Effect.never)));
      yield* runEffect(pause(1));
      return error;
    });
    expect(main.result).toMatchObject({ code: "COOP_DEADLINE" });
    expect(rt.now).toBe(6);
    checked(rt);
  });
});

describe("an interrupt", () => {
  test("of the Effect kills the task and waits for it", async () => {
    const log: string[] = [];
    const rt = new VirtualRuntime();
    let task!: Task;
    const main = await rt.runAsync(() =>
      runEffect(
        Effect.gen(function* () {
          const fiber = yield* Effect.forkChild(
            toEffect<void>(async (self) => {
              task = self.task;
              try {
                await self.wait(never());
              } finally {
                await self.wait(sleep(5));
                log.push("cleaned up");
              }
            }),
            { startImmediately: true },
          );
          yield* pause(1);
          fiber.interruptUnsafe(99);
          yield* Effect.exit(
            Effect.callback<void>((resume) => {
              fiber.addObserver(() => resume(Effect.void));
            }),
          );
          log.push("interrupted");
        }),
      ),
    );
    expect(main.exit?.status).toBe("done");
    expect(log).toEqual(["cleaned up", "interrupted"]);
    expect(task.exit).toMatchObject({ status: "killed", cause: { reason: "interrupted by fiber #99" } });
    checked(rt);
  });

  test("of an Effect by itself is a KilledError of its task, which is not killed", async () => {
    const rt = new VirtualRuntime();
    const main = await rt.runAsync(function* () {
      return yield* thrownIn(runEffect(Effect.interrupt));
    });
    expect((main.result as KilledError).code).toBe("COOP_KILLED");
    checked(rt);
  });

  test("an error of the operation's clean-up is added to the cause", async () => {
    const rt = new VirtualRuntime();
    let cause: Cause.Cause<unknown> | null = null;
    await rt.runAsync(() =>
      runEffect(
        Effect.gen(function* () {
          const failing = op(function* () {
            try {
              yield* never();
            } finally {
              yield* sleep(1);
              throw new Error("in clean-up");
            }
          });
          const fiber = yield* Effect.forkChild(toEffect(failing()), { startImmediately: true });
          yield* pause(1);
          fiber.interruptUnsafe(99);
          yield* Effect.callback<void>((resume) => {
            fiber.addObserver((exit) => {
              if (Exit.isFailure(exit)) cause = exit.cause;
              resume(Effect.void);
            });
          });
        }),
      ),
    );
    expect(cause!.reasons).toMatchObject([
      { _tag: "Interrupt", fiberId: 99 },
      { _tag: "Fail", error: { message: "in clean-up" } },
    ]);
    checked(rt);
  });

  test("a part that cannot be interrupted gets what has ended while others still clean up", async () => {
    const seen: string[] = [];
    const slow = op(function* () {
      try {
        yield* never();
      } finally {
        yield* sleep(20);
        seen.push("cleaned up");
      }
    });
    const critical = Effect.gen(function* () {
      const exit = yield* Effect.exit(pause(1000));
      seen.push(exit._tag);
    });
    // The promise jobs in which a fiber goes on come between the turns here.
    await run(function* () {
      const both = [toEffect(() => slow()), Effect.uninterruptible(critical)];
      const task = spawn(runEffect(Effect.all(both, { concurrency: "unbounded" })), { start: "now" });
      yield* sleep(5);
      yield* task.killAndWait("enough");
      expect(task.exit?.status).toBe("killed");
    });
    expect(seen).toEqual(["cleaned up", "Failure"]);
  });
});
