import { expect, test } from "vitest";
import {
  Coordinator,
  callChain,
  coordinateWith,
  describeTask,
  dumpTree,
  group,
  never,
  op,
  Signal,
  spawn,
  yieldNow,
} from "../../src/coordinator/index.ts";
import { VirtualRuntime } from "../../src/testing/virtual.ts";
import { sleep } from "../../src/time/sleep.ts";
import { timeout } from "../../src/time/timeout.ts";
import { checked } from "../support/harness.ts";

function finish(rt: VirtualRuntime): void {
  rt.cooperator.kill("the test is over");
  rt.drain();
  checked(rt);
}

test("shows the tree with names, numbers, states, waits and where they are", () => {
  const rt = new VirtualRuntime();
  const gate = new Coordinator({ held: true, name: "gate" });
  const inner = op(function* inner() {
    yield* gate.acquire();
  });
  const outer = op(function* outer() {
    yield* inner();
  });
  rt.cooperator.spawn(
    function* () {
      const child = spawn(outer(), { name: "child" });
      spawn(
        function* () {
          yield* child.join();
        },
        { name: "joiner" },
      );
      spawn(function* anonymousNot() {
        yield* sleep(250);
      });
      yield* coordinateWith(gate, new Signal({ name: "stop" }));
    },
    { name: "main" },
  );
  rt.cooperator.spawn(function* () {
    yield* gate.flash();
  });
  rt.settle();
  const dump = dumpTree(rt.cooperator.tasks());
  expect(dump).toBe(
    [
      "main#1: wait for first of gate, stop",
      "  child#3: wait for acquire of gate in inner < outer",
      "  joiner#4: wait for end of child#3",
      "  anonymousNot#5: wait for sleep of 250 ms in anonymousNot",
      "task#2: wait for flash of gate",
    ].join("\n"),
  );
  // Taking it changes nothing.
  expect(dumpTree(rt.cooperator.tasks())).toBe(dump);
  gate.release();
  gate.release();
  rt.cooperator.kill("the test is over");
  rt.drain();
  checked(rt);
});

test("shows children of groups, also of one that is closing", () => {
  const rt = new VirtualRuntime();
  rt.cooperator.spawn(
    function* () {
      spawn(
        function* () {
          yield* never();
        },
        { name: "own" },
      );
      yield* group(
        function* (g) {
          g.spawn(
            function* () {
              try {
                yield* never();
              } finally {
                yield* sleep(10);
              }
            },
            { name: "member" },
          );
          yield* sleep(1);
        },
        { name: "crew" },
      );
    },
    { name: "main" },
  );
  rt.settle();
  expect(dumpTree(rt.cooperator.tasks())).toMatch(
    /^main#1: wait for sleep of 1 ms.*\n {2}own#2: .*\n {2}member#3: /,
  );
  rt.advance(1);
  rt.settle();
  expect(dumpTree(rt.cooperator.tasks())).toMatch(
    /^main#1: wait for end of 1 children.*\n.*\n {2}member#3: wait/,
  );
  rt.cooperator.kill("the test is over");
  rt.settle();
  expect(dumpTree(rt.cooperator.tasks())).toMatch(
    /^main#1 \(killed: the test is over\): draining.*\n {2}member#3 \(killed: the test is over\): wait for sleep of 10 ms$/,
  );
  finish(rt);
});

test("tells ready, running, draining and ended", () => {
  const rt = new VirtualRuntime();
  let seen = "";
  const task = rt.cooperator.spawn(
    function* worker() {
      seen = describeTask(task);
      yield* yieldNow();
      yield* timeout(
        5,
        op(function* body() {
          yield* never();
        })(),
      );
    },
    { failure: "hold" },
  );
  task.observe();
  expect([task.status, describeTask(task)]).toEqual(["ready", "ready in worker"]);
  rt.settle();
  expect(seen).toBe("running in worker");
  expect(callChain(task)[0]).toBe("body");
  expect(callChain(task).at(-1)).toBe("worker");
  expect([task.status, task.label]).toEqual(["blocked", "worker#1"]);
  rt.drain();
  expect([task.status, describeTask(task)]).toEqual(["ended", "ended"]);
  checked(rt);
});

test("a tree of three thousand levels can be dumped and killed", () => {
  const DEPTH = 3000;
  const rt = new VirtualRuntime();
  const level = function* (depth: number): Generator<unknown, void, any> {
    if (depth > 1) spawn(() => level(depth - 1), { start: "next" });
    yield* never();
  };
  rt.cooperator.spawn(() => level(DEPTH));
  rt.settle();
  expect(dumpTree(rt.cooperator.tasks()).split("\n")).toHaveLength(DEPTH);
  rt.cooperator.kill("stop");
  rt.drain();
  expect(rt.statistics()).toMatchObject({ spawned: DEPTH, killed: DEPTH, live: 0 });
  checked(rt);
});
