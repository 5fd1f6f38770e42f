/** The seed's ShutdownTest: the end of whole cooperators. Nothing is global here, so that "all" is a list. */
import { expect, test } from "vitest";
import { Coordinator, defer, never, spawn } from "../../src/coordinator/index.ts";
import { VirtualRuntime } from "../../src/testing/virtual.ts";
import { sleep } from "../../src/time/index.ts";
import { checked } from "../support/harness.ts";

function shutDown(rt: VirtualRuntime): void {
  rt.cooperator.kill("shutdown");
  rt.drain();
  rt.cooperator.close();
}

test("ShutdownTest ShutdownKillsAllContexts", () => {
  const rt = new VirtualRuntime();
  for (let i = 0; i < 10; i++) {
    rt.cooperator.spawn(function* () {
      spawn(never());
      for (;;) yield* sleep(1);
    });
  }
  rt.settle();
  shutDown(rt);
  expect(rt.statistics()).toMatchObject({ live: 0, killed: 20 });
  checked(rt);
});

test("ShutdownTest ShutdownWithBlockedContexts", () => {
  const rt = new VirtualRuntime();
  const gate = new Coordinator({ held: true });
  let cleaned = 0;
  for (let i = 0; i < 10; i++) {
    rt.cooperator.spawn(function* () {
      defer(function* () {
        yield* sleep(1);
        cleaned++;
      });
      yield* gate.acquire();
    });
  }
  rt.settle();
  expect(gate.waiting).toBe(10);
  shutDown(rt);
  expect(cleaned).toBe(10);
  checked(rt, gate);
});

test("ShutdownTest ShutdownIdempotent", () => {
  const rt = new VirtualRuntime();
  const task = rt.cooperator.spawn(never());
  rt.settle();
  rt.cooperator.kill("first");
  rt.cooperator.kill("second");
  shutDown(rt);
  shutDown(rt);
  expect(task.exit).toMatchObject({ status: "killed", cause: { reason: "first" } });
  checked(rt);
});

test("ShutdownTest SubmitDuringShutdown: accepted while tasks clean up, refused afterwards", () => {
  const rt = new VirtualRuntime();
  let ran = 0;
  rt.cooperator.spawn(function* () {
    try {
      yield* never();
    } finally {
      expect(rt.cooperator.post(() => ran++)).toBe(true);
      yield* sleep(1);
    }
  });
  rt.settle();
  shutDown(rt);
  expect(ran).toBe(1);
  expect(() => rt.cooperator.post(() => {})).toThrow(expect.objectContaining({ code: "COOP_CLOSED" }));
  checked(rt);
});

test("ShutdownTest SubmitDrainsDuringShutdown: what was accepted runs, also at the very end", () => {
  const rt = new VirtualRuntime();
  let ran = 0;
  for (let i = 0; i < 1000; i++) rt.cooperator.post(() => ran++);
  rt.cooperator.kill("shutdown");
  rt.cooperator.close();
  expect(ran).toBe(1000);
  checked(rt);
});

test("ShutdownTest SubmitSyncReturnsFalseWhenSpawnFails: a spawn that is refused says so at once", () => {
  const rt = new VirtualRuntime();
  shutDown(rt);
  const before = rt.statistics();
  expect(() => rt.cooperator.spawn(never())).toThrow(expect.objectContaining({ code: "COOP_CLOSED" }));
  expect(rt.statistics()).toEqual(before);
});

test("ShutdownTest ShutdownAllMultipleCooperators, ShutdownAllThenReset: each for itself, and new ones work", () => {
  for (let round = 0; round < 2; round++) {
    const runtimes = [0, 1, 2].map(() => new VirtualRuntime());
    for (const rt of runtimes) {
      rt.cooperator.spawn(never());
      rt.settle();
    }
    shutDown(runtimes[1]!);
    expect(runtimes.map((rt) => rt.statistics().live)).toEqual([1, 0, 1]);
    for (const rt of runtimes) shutDown(rt);
    for (const rt of runtimes) checked(rt);
  }
});

test("ShutdownTest ShutdownAllNoCooperators: one that never ran anything", () => {
  const rt = new VirtualRuntime();
  shutDown(rt);
  expect(rt.statistics()).toMatchObject({ spawned: 0, steps: 0 });
});
