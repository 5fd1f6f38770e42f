/** run(): a program as a promise. */
import { describe, expect, test } from "vitest";
import { Wait } from "../../src/coordinator/index.ts";
import {
  ClosedError,
  type CoopError,
  Cooperator,
  Coordinator,
  defer,
  InvariantError,
  KilledError,
  never,
  op,
  self,
  sleep,
  spawn,
  UsageError,
  yieldNow,
} from "../../src/index.ts";
import { Handle, nop, open, recv, setupRecv } from "../../src/io/index.ts";
import { main, Program, run } from "../../src/node/run.ts";
import { startChild } from "../support/children.ts";
import { expectDescriptors, expectError, openDescriptors, runIo, tcpPair, thrownBy } from "../support/io.ts";

const failure = (promise: Promise<unknown>): Promise<CoopError> =>
  promise.then(
    (value) => {
      throw new Error(`it was expected to reject, and gave ${String(value)}`);
    },
    (error) => error as CoopError,
  );

describe("the end of a program", () => {
  test("its value comes as it is", async () => {
    const value = { some: "object" };
    expect(
      await run(function* () {
        return value;
      }),
    ).toBe(value);
    expect(await run(op(() => (function* () {})())())).toBeUndefined();
  });

  test("so does what it throws, error or not", async () => {
    for (const thrown of [new RangeError("mine"), "text", null, undefined]) {
      const settled = await Promise.allSettled([
        run(function* () {
          yield* nop();
          throw thrown;
        }),
      ]);
      expect(settled[0]).toMatchObject({ status: "rejected" });
      expect((settled[0] as PromiseRejectedResult).reason).toBe(thrown);
    }
  });

  test("a child's error is the program's", async () => {
    const error = new Error("the child's");
    expect(
      await failure(
        run(function* () {
          spawn(function* () {
            yield* nop();
            throw error;
          });
          yield* never();
        }),
      ),
    ).toBe(error);
  });

  test("killed, it rejects with the reason, and says who asked", async () => {
    const byItself = await failure(
      run(
        function* () {
          self().kill("that is enough");
          yield* never();
        },
        { name: "program" },
      ),
    );
    expectError(byItself, KilledError, "COOP_KILLED", /program#1.*that is enough/);
    expect(byItself).toMatchObject({ reason: "that is enough", origin: "program#1" });
    const program = new Program(never(), { name: "program" });
    setImmediate(() => program.task.kill("from outside"));
    expect(await program.exit).toMatchObject({
      status: "killed",
      cause: { reason: "from outside", origin: null },
    });
  });

  test("comes only when the whole tree has ended and its clean-up has run", async () => {
    const events: string[] = [];
    await runIo(function* () {
      defer(() => void events.push("root defers"));
      const child = op(function* () {
        try {
          yield* never();
        } finally {
          yield* sleep(1);
          yield* nop();
          events.push("child cleaned up");
        }
      });
      spawn(child());
      yield* yieldNow();
      events.push("root body over");
    });
    expect(events).toEqual(["root body over", "child cleaned up", "root defers"]);
  });

  test("closes what the program has left open, and cancels what it has left in flight", async () => {
    await runIo(function* () {
      yield* open("/dev/null");
      const { far } = yield* tcpPair();
      setupRecv(new Handle(), far, Buffer.alloc(1));
      yield* nop();
    });
  });

  test("what nobody was told goes to the reporter", async () => {
    const reports: string[] = [];
    await run(
      function* () {
        spawn(
          function* lonely() {
            throw new Error("unheard");
          },
          { failure: "report" },
        );
        yield* nop();
      },
      {
        report: ({ kind, task, error }) => reports.push(`${kind} ${task?.name} ${(error as Error).message}`),
      },
    );
    expect(reports).toEqual(["failure lonely unheard"]);
  });
});

describe("what is no program", () => {
  test.each([
    ["a number", 42, /not the number 42/],
    ["a promise", Promise.resolve(), /not a promise/],
    ["nothing", undefined, /not undefined/],
    ["an async generator", async function* () {}, /the AsyncGeneratorFunction/],
    ["a plain function", () => 5, /a plain function/],
  ])("%s is refused with a typed error, and leaves nothing behind", async (_what, body, text) => {
    const listeners = process.listenerCount("beforeExit");
    const descriptors = openDescriptors();
    expectError(await failure(run(body as never)), UsageError, "COOP_NOT_AN_OPERATION", text);
    expect(process.listenerCount("beforeExit")).toBe(listeners);
    expect(openDescriptors()).toEqual(descriptors);
  });

  test.each<[string, object, string]>([
    ["a reporter", { report: 5 }, "COOP_NOT_A_CALLBACK"],
    ["a signal", { signal: { addEventListener() {} } }, "COOP_NOT_A_SIGNAL"],
    ["a ring", { ring: 5 }, "COOP_OPTIONS"],
    ["an option of a ring", { ring: { checkBufers: true } }, "COOP_OPTIONS"],
    ["a size of a ring", { ring: { sqEntries: 0 } }, "COOP_ARGUMENT"],
    ["opcodes", { ring: { opcodes: "all" } }, "COOP_ARGUMENT"],
  ])("what is not %s is refused (U12)", async (_what, options, code) => {
    const descriptors = openDescriptors();
    expect(await failure(run(nop(), options))).toMatchObject({ code, name: "UsageError" });
    expect(openDescriptors()).toEqual(descriptors);
  });

  test.each([5, {}, [Symbol("SIGINT")], ["SIGKILL"]])("%s are no signals (U05, U12)", async (signals) => {
    expect(await failure(main(never(), { signals: signals as never }))).toMatchObject({
      code: "COOP_ARGUMENT",
    });
  });

  test("A17 spawn where no task runs says what to do instead", async () => {
    expectError(
      thrownBy(() => spawn(never())),
      UsageError,
      "COOP_NO_TASK",
      /spawn\(\) needs a running task: call it inside a task body/,
    );
    // Nor is a task current in a callback that happens to run while a program does.
    await runIo(function* () {
      const gate = new Coordinator({ held: true });
      let error: CoopError | null = null;
      setImmediate(() => {
        error = thrownBy(() => spawn(never()));
        gate.release();
      });
      yield* gate.acquire();
      expectError(error, UsageError, "COOP_NO_TASK", /needs a running task/);
    });
  });

  test("io where no task runs says so, and in a cooperator without io too", () => {
    expectError(
      thrownBy(() => setupRecv(new Handle(), {} as never, Buffer.alloc(1))),
      UsageError,
      "COOP_NO_TASK",
      /the setup of recv needs a running task/,
    );
    const cooperator = new Cooperator({ host: { requestTurn() {}, panic() {} }, name: "bare" });
    const task = cooperator.spawn(nop(), { failure: "hold" });
    cooperator.turn();
    expect(task.exit).toMatchObject({
      status: "failed",
      error: {
        code: "COOP_UNSUPPORTED",
        message: expect.stringMatching(/bare has no io: .*run\(\) or main\(\)/),
      },
    });
    task.observe();
  });
});

describe("several programs at once", () => {
  test("U07 share nothing: each has its own tasks, ring and end", async () => {
    const descriptors = openDescriptors();
    const first = new Program(function* () {
      const { near, far } = yield* tcpPair();
      spawn(recv(near, Buffer.alloc(1)));
      return yield* recv(far, Buffer.alloc(1));
    });
    const second = new Program(function* () {
      let count = 0;
      for (; count < 500; count++) yield* nop();
      return count;
    });
    expect(await second.exit).toEqual({ status: "done", value: 500 });
    expect(first.task.exit).toBeNull();
    first.task.kill("its turn");
    expect(await first.exit).toMatchObject({ status: "killed" });
    expect(first.host.cooperator.statistics()).toMatchObject({ spawned: 2, live: 0, inflight: 0 });
    expect(second.host.cooperator.statistics()).toMatchObject({ spawned: 1, live: 0, inflight: 0 });
    await expectDescriptors(descriptors);
  });

  test("U07 a task of one cannot use a task of the other", async () => {
    const other = new Program(never());
    await runIo(function* () {
      yield* nop();
      const error = thrownBy(() => other.task.spawn(never()));
      expectError(error, UsageError, "COOP_OTHER_COOPERATOR", /belongs to/);
    });
    other.task.kill();
    await other.exit;
  });

  test("U07 one is not started inside the other, where nothing would own it", async () => {
    await runIo(function* () {
      const gate = new Coordinator({ held: true, name: "the answer" });
      let error: unknown = null;
      run(nop()).catch((thrown) => {
        error = thrown;
        gate.release();
      });
      yield* gate.acquire();
      expectError(error, UsageError, "COOP_NESTED_RUN", /a task cannot start a program.*spawn\(\) a child/);
    });
  });

  test("U07 from a callback one may be, and be waited for through a coordinator", async () => {
    const value = await runIo(function* () {
      const gate = new Coordinator({ held: true, name: "the inner program" });
      let inner = 0;
      setImmediate(async () => {
        inner = await run(function* () {
          yield* sleep(1);
          yield* nop();
          return 7;
        });
        gate.release();
      });
      yield* gate.acquire();
      return inner;
    });
    expect(value).toBe(7);
  });

  test("thirty of them draw no warning about listeners", async () => {
    const { stdout, stderr, code } = await startChild("program", "many").ended;
    expect({ stdout, stderr, code }).toEqual({ stdout: "435\nlisteners 0\n", stderr: "", code: 0 });
  });
});

describe("Node's own event loop", () => {
  test("M03 its timers and immediates fire while tasks spin", async () => {
    await runIo(function* () {
      const spinner = op(function* () {
        for (;;) yield* yieldNow();
      });
      for (let i = 0; i < 2; i++) spawn(spinner());
      let immediates = 0;
      let timeouts = 0;
      const again = (): void => {
        immediates++;
        if (immediates < 20) setImmediate(again);
      };
      setImmediate(again);
      const interval = setInterval(() => timeouts++, 1);
      const before = self().cooperator.statistics().steps;
      while (immediates < 20 || timeouts < 5) yield* yieldNow();
      clearInterval(interval);
      // And the tasks did not stand still meanwhile.
      expect(self().cooperator.statistics().steps - before).toBeGreaterThan(1000);
    });
  });

  test("M03 so do our timers and io", async () => {
    await runIo(function* () {
      const spinner = spawn(function* () {
        for (;;) yield* yieldNow();
      });
      yield* sleep(2);
      for (let i = 0; i < 20; i++) yield* nop();
      spinner.kill();
    });
  });

  test("a task that waits for a coordinator is woken by a callback of Node's that releases it", async () => {
    await runIo(function* () {
      for (const later of [setImmediate, (call: () => void) => setTimeout(call, 1), queueMicrotask]) {
        const gate = new Coordinator({ held: true });
        later(() => gate.release());
        yield* gate.acquire();
      }
    });
  });

  test("a promise gets its turn between two of ours", async () => {
    await runIo(function* () {
      const gate = new Coordinator({ held: true });
      void (async () => {
        for (let i = 0; i < 10; i++) await null;
        gate.release();
      })();
      yield* gate.acquire();
    });
  });

  test.each(["sleep", "io"])(
    "a program in %s keeps the process alive, and its end lets it go",
    async (mode) => {
      const { stdout, code } = await startChild("program", mode).ended;
      expect(stdout).toBe(`${mode === "io" ? "COOP_DEADLINE\n" : ""}ended\nlisteners 0\n`);
      expect(code).toBe(0);
    },
  );
});

describe("every task is blocked and nobody can wake one", () => {
  test("is a deadlock, with the tree, also after io and in a shield", async () => {
    for (const mode of ["deadlock after io", "deadlock in a shield"]) {
      const { stdout } = await startChild("program", mode).ended;
      expect(stdout).toMatch(/^COOP_DEADLOCK program#1: wait for acquire of the gate/);
      expect(stdout).toMatch(/listeners 0\n$/);
    }
  });

  test("is one for each program that is", async () => {
    const { stdout } = await startChild("program", "two deadlocks").ended;
    expect(stdout).toBe(
      "COOP_DEADLOCK one#1: wait for acquire of the gate\n" +
        "COOP_DEADLOCK two#1: wait for acquire of the gate\nlisteners 0\n",
    );
  });
});

describe("a fault of the scheduler", () => {
  /** A wait that breaks its contract in the worst way. */
  class Faulty extends Wait<void> {
    override describe(): string {
      return "a fault";
    }
    protected override begin(): boolean {
      this.grant();
      return false;
    }
    protected override finish(): void {}
    override abort(): boolean {
      return true;
    }
    override rollback(): void {
      throw new Error("rollback broke");
    }
  }

  test("ends the program with it, whatever is in flight or armed, and closes everything", async () => {
    const descriptors = openDescriptors();
    const handle = new Handle();
    const program = new Program(
      function* () {
        const { near, far } = yield* tcpPair();
        spawn(sleep("1 hour"));
        spawn(recv(near, Buffer.alloc(1)));
        setupRecv(handle, far, Buffer.alloc(1));
        yield* nop();
        // Killed when it has been granted and has not run: it is asked to hand back what it was given.
        spawn(new Faulty(), { start: "now" }).kill();
        yield* never();
      },
      { name: "program" },
    );
    const error = await failure(program.exit);
    expectError(error, InvariantError, "COOP_INVARIANT", /the scheduler failed/);
    expect((error.cause as Error).message).toBe("rollback broke");
    await expectDescriptors(descriptors);
    // What is left of it is of no use, and does no harm.
    handle.cancel();
    program.task.kill();
    expect(handle.pending).toBe(true);
    expectError(
      thrownBy(() => program.host.cooperator.spawn(never())),
      ClosedError,
      "COOP_CLOSED",
      /has stopped/,
    );
  });
});
