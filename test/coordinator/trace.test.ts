import { inspect } from "node:util";
import { describe, expect, test } from "vitest";
import { showTrace } from "../../src/coordinator/diagnosis/trace.ts";
import { Cooperator, defer, group, op, spawn, traceOf } from "../../src/coordinator/index.ts";
import { run } from "../../src/node/run.ts";
import { VirtualRuntime } from "../../src/testing/virtual.ts";
import { sleep } from "../../src/time/sleep.ts";
import { timeout } from "../../src/time/timeout.ts";
import { checked, runChecked } from "../support/harness.ts";
import { thrownBy } from "../support/thrown.ts";

const readFrame = op(function* readFrame(error: unknown) {
  yield* sleep(1);
  throw error;
});

const session = op(function* session(error: unknown) {
  try {
    return yield* readFrame(error);
  } finally {
    // The frames below have gone by the time the task ends, and some waited on the way.
    yield* sleep(1);
  }
});

const server = op(function* server(error: unknown) {
  yield* group(function* crew(g) {
    g.spawn(session(error), { name: "client" });
  });
});

describe("traceOf", () => {
  test("tells the task, the calls in it, who spawned it, and its parents", () => {
    const boom = new Error("boom");
    const rt = new VirtualRuntime();
    rt.run(function* main() {
      const child = spawn(server(boom), { failure: "hold" });
      expect(yield* thrownBy(child.join())).toBe(boom);
      expect(traceOf(boom)).toEqual({
        task: "client#3",
        calls: ["readFrame", "session"],
        spawnedBy: "crew",
        spawnedAt: null,
        parents: [
          { task: "server#2", spawnedBy: "main", spawnedAt: null },
          { task: "main#1", spawnedBy: null, spawnedAt: null },
        ],
      });
    }).result;
    checked(rt);
  });

  test("an error that is caught where it was thrown has no trace, and takes that of the task it ends", () => {
    const boom = new Error("boom");
    runChecked(function* () {
      yield* thrownBy(readFrame(boom));
      expect(traceOf(boom)).toBe(null);
      const other = op(function* other() {
        yield* sleep(1);
        throw boom;
      });
      yield* spawn(other(), { failure: "hold" }).settled();
      expect(traceOf(boom)).toMatchObject({ task: "other#2", calls: ["other"] });
      // What counts is the first task it has ended.
      yield* spawn(readFrame(boom), { failure: "hold" }).settled();
      expect(traceOf(boom)).toMatchObject({ task: "other#2" });
    });
  });

  test("what a defer throws, and what a timeout throws, has a trace", () => {
    runChecked(function* () {
      const late = new Error("late");
      const plain = new Error("plain");
      const cleanup = op(function* cleanup() {
        yield* sleep(1);
        throw late;
      });
      const body = op(function* body() {
        defer(() => {
          throw plain;
        });
        defer(cleanup());
        yield* sleep(1);
      });
      yield* spawn(body(), { failure: "hold" }).settled();
      expect(traceOf(late)).toMatchObject({ task: "body#2", calls: ["cleanup"] });
      expect(traceOf(plain)).toMatchObject({ task: "body#2", calls: [] });
      const slow = op(function* slow() {
        yield* timeout(1, sleep(5));
      });
      const error = yield* thrownBy(spawn(slow(), { failure: "hold" }).join());
      expect(traceOf(error)).toMatchObject({ task: "slow#3", calls: ["slow"] });
    });
  });

  test("what is no object has none, and does no harm", () => {
    runChecked(function* () {
      for (const error of ["text", 1, null, undefined, () => {}]) {
        const exit = yield* spawn(readFrame(error), { failure: "hold" }).settled();
        expect(exit).toEqual({ status: "failed", error });
        expect(traceOf(error)).toBe(null);
        showTrace(error);
      }
    });
  });

  test("chains are cut at 32", () => {
    const boom = new Error("boom");
    const deep = op(function* deeper(depth: number): Generator<unknown, void, any> {
      if (depth === 0) throw boom;
      yield* deep(depth - 1);
    });
    const down = op(function* below(depth: number): Generator<unknown, void, any> {
      if (depth === 0) yield* deep(100);
      else yield* spawn(down(depth - 1)).join();
    });
    const rt = new VirtualRuntime();
    expect(rt.run(down(100)).exit?.status).toBe("failed");
    const { calls, parents } = traceOf(boom)!;
    expect(calls.length).toBe(33);
    expect(calls.at(-1)).toBe("…");
    expect(parents.length).toBe(32);
    checked(rt);
  });
});

describe("what prints the error shows it", () => {
  test("an error that leaves run() has it on its stack, once", async () => {
    const boom = new Error("boom");
    const thrown = await run(server(boom)).catch((error: unknown) => error);
    expect(thrown).toBe(boom);
    const shown = inspect(thrown);
    expect(shown).toMatch(
      /^Error: boom\n {4}at [\s\S]*\n {4}in task client#2 \(readFrame < session\), spawned by crew\n {4}in task server#1$/,
    );
    showTrace(boom);
    expect(inspect(boom)).toBe(shown);
    // A second run changes nothing either.
    await run(readFrame(boom)).catch(() => {});
    expect(inspect(boom)).toBe(shown);
  });

  test("so has one that is reported, and those on its `errors` and its `cause`", async () => {
    const [boom, second] = [new Error("boom", { cause: new Error("cause") }), new Error("second")] as const;
    const reported: unknown[] = [];
    await run(
      op(function* main() {
        const fails = op(function* fails(error: unknown) {
          defer(() => {
            throw second;
          });
          yield* sleep(0);
          throw error;
        });
        spawn(fails(boom), { failure: "report" });
        yield* sleep("2 millis");
      })(),
      { report: ({ error }) => reported.push(error) },
    );
    expect(reported).toEqual([boom]);
    expect(inspect(boom)).toContain("in task fails#2 (fails), spawned by main\n    in task main#1");
    expect(second.stack).toContain("in task fails#2, spawned by main");
  });

  test("with spawnSites it tells file and line of each spawn", async () => {
    const boom = new Error("boom");
    const main = op(function* main() {
      yield* server(boom);
    });
    await run(main(), { spawnSites: true }).catch(() => {});
    expect(traceOf(boom)!.spawnedAt).toMatch(/trace\.test\.ts:\d+:\d+$/);
    expect(inspect(boom)).toMatch(/spawned by crew at \S*trace\.test\.ts:\d+:\d+\n {4}in task main#1/);
  });

  test("an error that cannot be changed is left as it is", async () => {
    const frozen = Object.freeze(new Error("frozen"));
    const { stack } = frozen;
    expect(await run(readFrame(frozen)).catch((error: unknown) => error)).toBe(frozen);
    expect(frozen.stack).toBe(stack);
    expect(traceOf(frozen)).toMatchObject({ task: "readFrame#1" });
    const hostile = Object.defineProperty(new Error("hostile"), "stack", {
      get() {
        throw new Error("no");
      },
    });
    expect(await run(readFrame(hostile)).catch((error: unknown) => error)).toBe(hostile);
  });

  test("spawn remembers nothing more than the spawning function where it is not asked to", () => {
    const cooperator = new Cooperator({ host: { requestTurn() {}, panic() {} } });
    const task = cooperator.spawn(function* () {
      return spawn(function* () {});
    });
    expect(task.spawner).toBe(null);
    while (cooperator.turn()) {
      /* until nothing is ready */
    }
    expect(typeof task.result.spawner).toBe("function");
  });
});
