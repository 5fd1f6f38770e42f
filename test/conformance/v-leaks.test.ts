/** Section V: nothing that has ended is kept, and a leak that is made on purpose is found. */
import { closeSync, openSync } from "node:fs";
import { expect, test } from "vitest";
import { Coordinator, op, self, spawn } from "../../src/coordinator/index.ts";
import { open } from "../../src/io/file/open.ts";
import { run } from "../../src/node/run.ts";
import { checkAtRest, watchDescriptors } from "../../src/testing/leaks.ts";
import { VirtualRuntime } from "../../src/testing/virtual.ts";
import { sleep } from "../../src/time/sleep.ts";
import { runWrapped } from "../support/children.ts";

test("V01 a task, a timer and an operation in flight that are left behind are each found", () => {
  const rt = new VirtualRuntime();
  const task = rt.cooperator.spawn(sleep("1 hour"));
  rt.settle();
  expect(() => checkAtRest(rt.cooperator)).toThrow(/1 tasks live:\n.*wait for sleep of 3600000 ms/);
  task.kill();
  rt.settle();
  checkAtRest(rt.cooperator);
  const timer = rt.timers.after(5);
  expect(() => checkAtRest(rt.cooperator)).toThrow("1 timers are armed");
  timer.disarm();
  rt.cooperator.driver = { inflight: 1, backlog: 0, flush: () => 0 };
  expect(() => checkAtRest(rt.cooperator)).toThrow("1 operations are in flight");
});

test("V01 a descriptor that is left open is found, by the process and by the cooperator", async () => {
  const descriptors = watchDescriptors();
  const fd = openSync("/dev/null", "r");
  await expect(descriptors.check()).rejects.toThrow(/1 descriptors were left open: \d+ \/dev\/null/);
  closeSync(fd);
  await descriptors.check();
  await run(function* () {
    const { cooperator } = self();
    const file = yield* open("/dev/null");
    yield* spawn(sleep(0)).join();
    expect(() => checkAtRest(cooperator)).toThrow("1 tasks live");
    yield* file.close();
  });
  await descriptors.check();
});

test("V01 after a run on the ring everything is at its baseline", async () => {
  const descriptors = watchDescriptors();
  let cooperator = null as ReturnType<typeof self>["cooperator"] | null;
  const read = op(function* () {
    const file = yield* open("/proc/self/status");
    try {
      yield* file.read(new Uint8Array(100));
    } finally {
      yield* file.close();
    }
  });
  await run(function* () {
    cooperator = self().cooperator;
    const gate = new Coordinator();
    yield* gate.acquire();
    for (let i = 0; i < 10; i++) spawn(read());
    yield* sleep(0);
    gate.release();
  });
  checkAtRest(cooperator!);
  await descriptors.check();
});

interface Result {
  readonly refs: number;
  readonly alive: number;
  readonly grown: number;
  /** While it ran. */
  readonly growth: number;
}

const scale = process.env.COOP_LANE === "ci" ? "10" : "0.1";

async function collected(program: string, times = scale): Promise<Result> {
  const { code, stdout, stderr } = await runWrapped({ node: ["--expose-gc"] }, "leaks", program, times);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  return JSON.parse(stdout) as Result;
}

/** What the collector and the engine's own tables may move by; one retained object each would be far more. */
const GROWTH_MAX = 512 * 1024;

test("V02 after many kills the last killed task, its argument and its error can be collected", async () => {
  const { refs, alive, grown } = await collected("kills");
  expect({ refs, alive }).toEqual({ refs: 3, alive: 0 });
  expect(grown).toBeLessThan(GROWTH_MAX);
}, 60_000);

test("V03 timeouts that do not fire leave nothing", async () => {
  expect((await collected("timeouts")).grown).toBeLessThan(GROWTH_MAX);
}, 60_000);

test("V05 errors of failed tasks that were joined, and of groups that threw, can be collected", async () => {
  for (const program of ["failures", "groups"]) {
    const { refs, alive } = await collected(program);
    expect(refs).toBeGreaterThan(0);
    expect({ program, alive }).toEqual({ program, alive: 0 });
  }
}, 60_000);

// A hundred million take some minutes: node --expose-gc test/node/children/leaks.mjs $PWD/dist children 1000
test("V06 a parent that has had a million short children holds no more than after the first", async () => {
  const { grown, growth } = await collected("children", "10");
  expect(growth).toBeLessThan(GROWTH_MAX);
  expect(grown).toBeLessThan(GROWTH_MAX);
}, 60_000);
