/** What tasks have done, and how long kills take, on a virtual clock: the figures are exact. */
import { expect, test } from "vitest";
import {
  defer,
  group,
  never,
  type Operation,
  op,
  profile,
  spawn,
  type Task,
  yieldNow,
} from "../../src/coordinator/index.ts";
import { openPipe } from "../../src/io/index.ts";
import { SimulatedRuntime } from "../../src/testing/simulation/runtime.ts";
import { VirtualRuntime } from "../../src/testing/virtual.ts";
import { sleep, timeout } from "../../src/time/index.ts";
import { checked } from "../support/harness.ts";

/** Clean-up takes so many milliseconds. */
const slow = op(function* (cleanup: number) {
  defer(() => sleep(cleanup));
  yield* never();
});

/** A line of tasks, each the child of the one before, each with a millisecond of clean-up. */
const line = op(function* (depth: number): Generator<unknown, void, any> {
  defer(() => sleep(1));
  if (depth > 1) spawn(line(depth - 1));
  yield* never();
});

/** Kills what `body` is, and gives what the profile says. */
function killed(body: () => Operation<unknown>) {
  const rt = new VirtualRuntime({ seed: null });
  const counted = profile(rt.cooperator);
  rt.run(function* () {
    const victim = spawn(body(), { failure: "hold" });
    yield* sleep(1);
    victim.kill("enough");
    expect(counted.kills.pending).toBe(1);
    yield* victim.settled();
  });
  counted.stop();
  expect(rt.cooperator.probe).toBe(null);
  checked(rt);
  return counted.kills;
}

test("X-13 a kill takes as long as the slowest clean-up below, for 1, 1,000 and 100,000 tasks", () => {
  expect(killed(() => slow(5))).toEqual({ kills: 1, tasks: 1, pending: 0, last: 5, longest: 5, total: 5 });
  for (const count of [1_000, 100_000]) {
    const figures = killed(
      op(function* () {
        for (let i = 0; i < count; i++) spawn(slow(i % 10));
        yield* never();
      }),
    );
    expect(figures).toEqual({ kills: 1, tasks: count + 1, pending: 0, last: 9, longest: 9, total: 9 });
  }
});

test("X-13 in a line of 10,000 tasks each waits for the one below", () => {
  expect(killed(() => line(10_000))).toMatchObject({ kills: 1, tasks: 10_000, last: 10_000 });
});

test("X-13 kills that overlap are told apart, and one that nobody asked for is none", () => {
  const rt = new VirtualRuntime({ seed: null });
  const counted = profile(rt.cooperator);
  rt.run(function* () {
    const tasks = [3, 1, 2].map((cleanup) => spawn(slow(cleanup)));
    yield* yieldNow();
    for (const task of tasks) task.kill();
    expect(counted.kills).toMatchObject({ kills: 0, pending: 3 });
    for (const task of tasks) yield* task.settled();
    // A scope that is killed, and is no task, with a task in it.
    const late = group(function* (g) {
      g.spawn(slow(2));
      yield* never();
    });
    try {
      yield* timeout(4, late);
    } catch {
      // Its time was up.
    }
  });
  // Two milliseconds after its time was up the group's task had ended; the others in 1, 2 and 3.
  expect(counted.kills).toEqual({ kills: 4, tasks: 4, pending: 0, last: 2, longest: 3, total: 8 });
  counted.stop();
});

test("C-072 steps, yields, blocks and time are counted for each task", () => {
  let clock = 0;
  const rt = new VirtualRuntime({ seed: null });
  const counted = profile(rt.cooperator);
  let worker: Task | null = null;
  rt.run(function* () {
    worker = spawn(function* () {
      rt.advance(3);
      yield* yieldNow();
      rt.advance(4);
      yield* sleep(10);
      clock = rt.now;
    }) as Task;
    yield* worker.join();
  });
  expect(clock).toBe(17);
  expect(counted.of(worker!)).toEqual({
    steps: 3,
    yields: 1,
    blocks: 1,
    submitted: 0,
    completed: 0,
    runTime: 7,
  });
});

test("C-072 time of a task that begins inside a step is its own", () => {
  const rt = new VirtualRuntime({ seed: null });
  const counted = profile(rt.cooperator);
  const tasks: Task[] = [];
  const main = rt.run(function* () {
    rt.advance(1);
    tasks.push(
      spawn(
        function* () {
          rt.advance(5);
          yield* yieldNow();
        },
        { start: "now" },
      ) as Task,
    );
    rt.advance(2);
    yield* tasks[0]!.join();
  });
  expect(counted.of(main).runTime).toBe(3);
  expect(counted.of(tasks[0]!).runTime).toBe(5);
});

test("C-072 io operations are counted where they are submitted, and all come to an end, killed or not", () => {
  const rt = new SimulatedRuntime();
  const counted = profile(rt.cooperator);
  const tasks: Task[] = [];
  rt.run(function* () {
    using ends = yield* openPipe();
    const { reader: from, writer: to } = ends;
    tasks.push(
      spawn(function* () {
        for (let i = 0; i < 3; i++) yield* to.write(new Uint8Array(1));
      }) as Task,
      spawn(function* () {
        for (let i = 0; i < 3; i++) yield* from.read(new Uint8Array(1));
      }) as Task,
    );
    for (const task of tasks) yield* task.join();
    const stuck = spawn(from.read(new Uint8Array(1))) as Task;
    tasks.push(stuck);
    yield* yieldNow();
    expect(counted.of(stuck)).toMatchObject({ submitted: 1, completed: 0 });
    stuck.kill();
    yield* stuck.settled();
  }).result;
  expect(tasks.map((task) => counted.of(task).submitted)).toEqual([3, 3, 1]);
  expect(tasks.map((task) => counted.of(task).completed)).toEqual([3, 3, 1]);
});
