/** What is particular to bodies that are `async` functions; the rules all kinds share are in body-kinds.test.ts. */
import { setImmediate as nextTurn } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import {
  type AsyncSelf,
  Coordinator,
  group,
  KilledError,
  never,
  op,
  StuckError,
  shield,
  spawn,
  TaskLocal,
  UsageError,
} from "../../src/coordinator/index.ts";
import { Channel } from "../../src/sync/index.ts";
import { VirtualRuntime } from "../../src/testing/virtual.ts";
import { sleep } from "../../src/time/sleep.ts";
import { timeout } from "../../src/time/timeout.ts";
import { checked } from "../support/harness.ts";
import { expectNoUnhandledRejections } from "../support/rejections.ts";

expectNoUnhandledRejections();

test("an async function is a task body, with operations awaited through self.wait", async () => {
  const rt = new VirtualRuntime();
  const main = await rt.runAsync(async (self) => {
    const child = self.spawn(async (inner) => {
      await inner.wait(sleep("1 hour"));
      return inner.task.parent === self.task ? 42 : 0;
    });
    await Promise.resolve();
    return self.wait(child.join());
  });
  expect(main.result).toBe(42);
  expect(rt.now).toBe(3_600_000);
  checked(rt);
});

test("the name of the task is that of the function", () => {
  const rt = new VirtualRuntime();
  const task = rt.cooperator.spawn(async function session() {});
  expect(task.label).toBe("session#1");
  task.kill();
  rt.drain();
  checked(rt);
});

test("A07 one that is killed before its first step is never called", async () => {
  const rt = new VirtualRuntime();
  let called = false;
  const main = await rt.runAsync(function* () {
    const child = spawn(async () => {
      called = true;
    });
    child.kill("too late");
    return yield* child.settled();
  });
  expect(main.result).toMatchObject({ status: "killed", cause: { reason: "too late" } });
  expect(called).toBe(false);
  checked(rt);
});

test("a function that calls an async one is told by its parameter, or by its promise", async () => {
  const session = async (self: AsyncSelf, length: number): Promise<number> => {
    await self.wait(sleep(length));
    return length;
  };
  const rt = new VirtualRuntime();
  const main = await rt.runAsync(function* () {
    const late = spawn((self) => session(self, 5));
    const early = spawn(() => Promise.resolve(7));
    return [yield* late.join(), yield* early.join()];
  });
  expect(main.result).toEqual([5, 7]);
  checked(rt);
});

test("A11 a function with a parameter that gives neither promise nor operation is an error of its task", async () => {
  const rt = new VirtualRuntime();
  const main = await rt.runAsync(((_self: unknown) => 5) as never);
  expect(main.exit).toMatchObject({ status: "failed", error: { code: "COOP_NOT_AN_OPERATION" } });
  expect(() => rt.cooperator.spawn(Promise.resolve() as never)).toThrow(/until\(promise\) is an operation/);
  checked(rt);
});

test("a second wait while one is open is refused; the first is not disturbed", async () => {
  const rt = new VirtualRuntime();
  const main = await rt.runAsync(async (self) => {
    const first = self.wait(sleep(10));
    await expect(self.wait(sleep(1))).rejects.toMatchObject({ code: "COOP_WAIT_BUSY" });
    await first;
    await self.wait(sleep(1));
  });
  expect(main.exit?.status).toBe("done");
  expect(rt.now).toBe(11);
  checked(rt);
});

test("an operation that fails rejects; what is no operation rejects with a typed error", async () => {
  const rt = new VirtualRuntime();
  const failing = op(function* () {
    yield* sleep(1);
    throw new Error("no luck");
  });
  const main = await rt.runAsync(async (self) => {
    await expect(self.wait(failing())).rejects.toThrow("no luck");
    await expect(self.wait(5 as never)).rejects.toBeInstanceOf(UsageError);
    return "went on";
  });
  expect(main.result).toBe("went on");
  checked(rt);
});

test("after the task has ended a wait rejects, and nobody has to look at it", async () => {
  const rt = new VirtualRuntime();
  let kept!: AsyncSelf;
  await rt.runAsync(async (self) => {
    kept = self;
  });
  await expect(kept.wait(sleep(1))).rejects.toMatchObject({ code: "COOP_CLOSED" });
  void kept.wait(sleep(1));
  expect(() => kept.spawn(never())).toThrow(/has ended/);
  expect(() => kept.defer(() => {})).toThrow(/has ended/);
  checked(rt);
});

test("the task-local values and the priority are those of the task", async () => {
  const local = new TaskLocal("nobody");
  const rt = new VirtualRuntime();
  const main = await rt.runAsync(function* () {
    local.set("Ada");
    const child = spawn(async (self) => {
      await null;
      const grandchild = self.spawn(function* () {
        return local.get();
      });
      return self.wait(grandchild.join());
    });
    return yield* child.join();
  });
  expect(main.result).toBe("Ada");
  checked(rt);
});

test("A17 no task is current in an async function, before its first await or after", async () => {
  const rt = new VirtualRuntime();
  const main = await rt.runAsync(async () => {
    const codes: unknown[] = [];
    const attempt = (): void => {
      try {
        spawn(never());
      } catch (error) {
        codes.push((error as UsageError).code);
      }
    };
    attempt();
    await null;
    attempt();
    return codes;
  });
  expect(main.result).toEqual(["COOP_NO_TASK", "COOP_NO_TASK"]);
  checked(rt);
});

test("group and timeout take async bodies, and give them what they give to others", async () => {
  const rt = new VirtualRuntime();
  const main = await rt.runAsync(async (self) => {
    const values = await self.wait(
      group(async (g, inner) => {
        const a = g.spawn(sleep(3));
        const b = g.spawn(async () => 2);
        await inner.wait(a.join());
        return inner.wait(b.join());
      }),
    );
    let reason: unknown = null;
    await expect(
      self.wait(
        timeout(5, async (limit, inner) => {
          inner.signal.addEventListener("abort", () => {
            reason = (inner.signal.reason as KilledError).reason;
          });
          expect(limit.at).toBe(8);
          await inner.wait(never());
        }),
      ),
    ).rejects.toMatchObject({ code: "COOP_DEADLINE" });
    expect(reason).toMatchObject({ code: "COOP_DEADLINE" });
    expect(self.signal.aborted).toBe(false);
    return values;
  });
  expect(main.result).toBe(2);
  checked(rt);
});

test("a defer may be async: it is waited for, and a kill does not interrupt it", async () => {
  const log: string[] = [];
  const rt = new VirtualRuntime();
  const main = await rt.runAsync(function* () {
    const child = spawn(async (self) => {
      self.defer(async (inner) => {
        await inner.wait(sleep(5));
        log.push("first in, last out");
      });
      self.defer(() => Promise.resolve().then(() => void log.push("last in, first out")));
      await self.wait(never());
    });
    yield* sleep(1);
    return yield* child.killAndWait("enough");
  });
  expect(main.result).toMatchObject({ status: "killed", errors: [] });
  expect(log).toEqual(["last in, first out", "first in, last out"]);
  expect(rt.now).toBe(6);
  checked(rt);
});

describe("a kill", () => {
  test("rejects the wait of the moment, and lets clean-up wait", async () => {
    const log: unknown[] = [];
    const rt = new VirtualRuntime();
    const main = await rt.runAsync(function* () {
      const child = spawn(async (self) => {
        try {
          await self.wait(never());
        } catch (error) {
          log.push(error);
          throw error;
        } finally {
          await self.wait(sleep(3));
          log.push("cleaned up");
        }
      });
      yield* sleep(1);
      return yield* child.killAndWait("enough");
    });
    expect(main.result).toMatchObject({ status: "killed", cause: { reason: "enough" }, errors: [] });
    expect(log).toEqual([expect.any(KilledError), "cleaned up"]);
    expect(log[0]).toMatchObject({ reason: "enough", origin: "main#1" });
    expect(rt.now).toBe(4);
    checked(rt);
  });

  test("that comes while a foreign promise is awaited meets the next wait; the task ends with the function", async () => {
    const rt = new VirtualRuntime();
    let release!: () => void;
    const foreign = new Promise<void>((resolve) => {
      release = resolve;
    });
    const log: unknown[] = [];
    const child = rt.cooperator.spawn(
      async (self) => {
        await foreign;
        log.push("still runs");
        await self.wait(sleep(1)).catch((error) => log.push(error.reason));
        await self.wait(sleep(1));
        log.push("cleaned up");
      },
      { failure: "hold" },
    );
    await rt.drainAsync();
    child.kill("enough");
    await rt.drainAsync();
    expect(child.status).toBe("blocked");
    release();
    await rt.drainAsync();
    expect(log).toEqual(["still runs", "enough", "cleaned up"]);
    expect(child.exit?.status).toBe("killed");
    checked(rt);
  });

  test("aborts self.signal with the reason, and what comes back from that is no failure", async () => {
    const rt = new VirtualRuntime();
    const child = rt.cooperator.spawn(
      (self) =>
        new Promise((_resolve, reject) => {
          self.signal.addEventListener("abort", () => {
            // As Node's own functions do it.
            const error = new Error("The operation was aborted", { cause: self.signal.reason });
            error.name = "AbortError";
            reject(error);
          });
        }),
    );
    await rt.drainAsync();
    child.kill("enough");
    await rt.drainAsync();
    expect(child.exit).toMatchObject({ status: "killed", cause: { reason: "enough" }, errors: [] });
    checked(rt);
  });

  test("that is swallowed stands: what the function returns is nobody's", async () => {
    const rt = new VirtualRuntime();
    const child = rt.cooperator.spawn(async (self) => {
      await self.wait(never()).catch(() => {});
      return "a value";
    });
    await rt.drainAsync();
    child.kill("enough");
    await rt.drainAsync();
    expect(child.exit).toMatchObject({ status: "killed" });
    checked(rt);
  });

  test("a wait that nobody looked at is no unhandled rejection", async () => {
    const rt = new VirtualRuntime();
    const child = rt.cooperator.spawn(async (self) => {
      void self.wait(never());
      await nextTurn();
      await nextTurn();
      await nextTurn();
    });
    rt.settle();
    child.kill("enough");
    rt.settle();
    for (let i = 0; i < 5; i++) await nextTurn();
    await rt.drainAsync();
    expect(child.exit?.status).toBe("killed");
    checked(rt);
  });

  test("what clean-up throws makes it failed: an error beats a kill", async () => {
    const rt = new VirtualRuntime();
    const main = await rt.runAsync(function* () {
      const child = spawn(
        async (self) => {
          await self.wait(never()).catch(() => {});
          throw new Error("in clean-up");
        },
        { failure: "hold" },
      );
      yield* sleep(1);
      return yield* child.killAndWait();
    });
    expect(main.result).toMatchObject({ status: "failed", error: { message: "in clean-up" } });
    checked(rt);
  });

  test("with `within` abandons a function that awaits what nobody can end; its late error is nobody's", async () => {
    const rt = new VirtualRuntime();
    let fail!: (error: Error) => void;
    let kept!: AsyncSelf;
    const foreign = new Promise<void>((_resolve, reject) => {
      fail = reject;
    });
    const main = await rt.runAsync(function* () {
      const child = spawn(
        async function stubborn(self) {
          kept = self;
          await foreign;
        },
        { failure: "hold" },
      );
      yield* sleep(1);
      return yield* child.killAndWait("enough", { within: 10 });
    });
    expect(main.result).toMatchObject({ status: "failed" });
    expect((main.result as { error: unknown }).error).toBeInstanceOf(StuckError);
    expect(rt.reports.splice(0)).toMatchObject([
      { kind: "stuck", where: "wait for its async function in stubborn" },
    ]);
    expect(rt.now).toBeLessThan(20);
    fail(new Error("too late"));
    await expect(kept.wait(sleep(1))).rejects.toBeInstanceOf(KilledError);
    checked(rt);
  });

  test("with `within` cuts a wait in clean-up short, and lets the function end", async () => {
    const log: string[] = [];
    const rt = new VirtualRuntime();
    const main = await rt.runAsync(function* () {
      const child = spawn(
        async (self) => {
          try {
            await self.wait(never());
          } finally {
            try {
              await self.wait(sleep("1 hour"));
            } finally {
              log.push("ended");
            }
          }
        },
        { failure: "hold" },
      );
      yield* sleep(1);
      return yield* child.killAndWait("enough", { within: 10 });
    });
    expect(main.result).toMatchObject({ status: "failed", error: { code: "COOP_STUCK" } });
    expect(log).toEqual(["ended"]);
    expect(rt.now).toBeLessThan(20);
    expect(rt.reports.splice(0)).toMatchObject([{ kind: "stuck" }]);
    checked(rt);
  });

  test("B05 of the task by itself is met at the next wait", async () => {
    const log: string[] = [];
    const rt = new VirtualRuntime();
    const child = rt.cooperator.spawn(async (self) => {
      self.task.kill("myself");
      log.push("goes on");
      await null;
      log.push("until it waits");
      await self.wait(sleep(1));
      log.push("never");
    });
    await rt.drainAsync();
    expect(log).toEqual(["goes on", "until it waits"]);
    expect(child.exit).toMatchObject({ status: "killed", cause: { reason: "myself" } });
    checked(rt);
  });

  test("stays outside of a shield in an async function", async () => {
    const log: string[] = [];
    const rt = new VirtualRuntime();
    const child = rt.cooperator.spawn(async (self) => {
      await self.wait(
        shield(async (_, inner) => {
          await inner.wait(sleep(5));
          log.push("whole");
        }),
      );
      log.push("not reached by a wait");
      await self.wait(sleep(1));
      log.push("never");
    });
    await Promise.resolve();
    rt.settle();
    child.kill("enough");
    await rt.drainAsync();
    expect(log).toEqual(["whole", "not reached by a wait"]);
    expect(child.exit?.status).toBe("killed");
    checked(rt);
  });

  test("K6 children clean up before the function of their parent does", async () => {
    const log: string[] = [];
    const gate = new Coordinator({ held: true });
    const rt = new VirtualRuntime();
    const parent = rt.cooperator.spawn(async (self) => {
      self.spawn(async (inner) => {
        try {
          await inner.wait(gate.acquire());
        } finally {
          await inner.wait(sleep(2));
          log.push("child");
        }
      });
      try {
        await self.wait(never());
      } finally {
        log.push("parent");
      }
    });
    await rt.drainAsync();
    parent.kill();
    await rt.drainAsync();
    expect(log).toEqual(["child", "parent"]);
    checked(rt, gate);
  });
});

test("the signals of scopes that are over are not kept by the task", async () => {
  const rt = new VirtualRuntime();
  const main = await rt.runAsync(async (self) => {
    for (let i = 0; i < 20; i++) {
      await self.wait(
        timeout(1000, async (_limit: unknown, inner: AsyncSelf) => {
          expect(inner.signal.aborted).toBe(false);
        }),
      );
    }
    return self.task.rare?.defers?.length;
  });
  expect(main.result).toBe(1);
  checked(rt);
});

test("what merely behaves like a promise is believed once, and fails its task when it throws", async () => {
  const error = new Error("from then");
  const rt = new VirtualRuntime();
  const twice = rt.cooperator.spawn(() => thenable((resolve, reject) => [resolve("first"), reject(error)]));
  const broken = rt.cooperator.spawn(
    () =>
      thenable(() => {
        throw error;
      }),
    { failure: "hold" },
  );
  broken.observe();
  await rt.drainAsync();
  expect(twice.exit).toEqual({ status: "done", value: "first" });
  expect(broken.exit).toEqual({ status: "failed", error });
  checked(rt);
});

function thenable(then: (resolve: (value: string) => void, reject: (error: Error) => void) => unknown): any {
  return { then };
}

describe("a wait that the function has left behind", () => {
  test("ends with it, after its clean-up, and is nobody's", async () => {
    const log: string[] = [];
    const rt = new VirtualRuntime();
    const channel = new Channel<number>();
    const cleaning = op(function* cleaning() {
      try {
        yield* channel.receive();
      } finally {
        yield* sleep(5);
        log.push("cleaned up");
      }
    });
    const task = await rt.runAsync(async (self) => {
      const left = self.wait(cleaning());
      return await Promise.race([left, nextTurn("first")]);
    });
    expect(task.exit).toEqual({ status: "done", value: "first" });
    expect(log).toEqual(["cleaned up"]);
    expect(channel.statistics().waitingReceivers).toBe(0);
    expect(rt.now).toBe(5);
    checked(rt);
  });

  test("at its very end is not begun any more", async () => {
    let begun = false;
    let left: Promise<unknown> | null = null;
    const rt = new VirtualRuntime();
    const task = await rt.runAsync(async (self) => {
      await nextTurn();
      left = self.wait(function* () {
        begun = true;
        yield* never();
      });
      return "at once";
    });
    expect(task.exit).toEqual({ status: "done", value: "at once" });
    await expect(left).rejects.toMatchObject({ code: "COOP_CLOSED" });
    expect(begun).toBe(false);
    checked(rt);
  });

  test("whose clean-up throws makes the task fail; the function's own error comes first", async () => {
    for (const own of [null, new Error("own")]) {
      const late = new Error("clean-up");
      const rt = new VirtualRuntime();
      const task = rt.cooperator.spawn(
        async (self) => {
          self.wait(function* () {
            try {
              yield* never();
            } finally {
              throw late;
            }
          });
          await nextTurn();
          if (own !== null) throw own;
        },
        { failure: "hold" },
      );
      await rt.drainAsync();
      task.observe();
      expect(task.exit).toEqual({ status: "failed", error: own ?? late });
      if (own !== null) expect((own as { errors?: unknown }).errors).toEqual([late]);
      checked(rt);
    }
  });
});
