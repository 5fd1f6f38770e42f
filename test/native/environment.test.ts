import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { afterAll, describe, expect, it } from "vitest";
import { child, openDescriptors, openPipe, runChild, runProgram, shared, TestRing } from "./support.ts";

const directory = mkdtempSync(join(tmpdir(), "cooperator-environment-"));
const fifo = join(directory, "fifo");
execFileSync("mkfifo", [fifo]);
afterAll(() => rmSync(directory, { recursive: true }));

interface Left {
  readonly code: number;
  readonly error: unknown;
}

function startWorker(
  name: string,
  workerData: object,
): { ready: Promise<unknown>; left: Promise<Left>; worker: Worker } {
  const worker = new Worker(child(name), { workerData, stdout: true, stderr: true });
  let error: unknown;
  worker.on("error", (thrown) => {
    error = thrown;
  });
  const left = new Promise<Left>((resolve) => worker.once("exit", (code) => resolve({ code, error })));
  const ready = new Promise((resolve) => worker.once("message", resolve));
  return { ready, left, worker };
}

function ringMappings(): number {
  return readFileSync("/proc/self/maps", "utf8").split("io_uring").length;
}

describe("worker threads", () => {
  it("U04 eight of them and the main thread each have rings of their own", async () => {
    using ring = new TestRing();
    const ids = [1, 2, 3, 4, 5, 6, 7, 8];
    const workers = ids.map((id) => startWorker("batches", { id }));
    const sums = await Promise.all(workers.map(({ ready }) => ready));
    expect(sums).toEqual(ids.map((id) => id * 200 * 32));
    expect((await Promise.all(workers.map(({ left }) => left))).map(({ code }) => code)).toEqual(
      ids.map(() => 0),
    );
    expect(ring.flush()).toBe(0);
  });

  it("U03 can be terminated with reads pending, over and over", async () => {
    const fd = openPipe();
    let before: number[] = [];
    let slowest = 0;
    for (let round = 0; round < 14; round++) {
      if (round === 2) before = [openDescriptors(), ringMappings()];
      const { ready, worker } = startWorker("pending-reads", {
        fd,
        leave: round % 2 === 0 ? "stay" : "spin",
      });
      await ready;
      const began = performance.now();
      await worker.terminate();
      slowest = Math.max(slowest, performance.now() - began);
    }
    expect(slowest).toBeLessThan(500);
    expect([openDescriptors(), ringMappings()]).toEqual(before);
    // None of the reads is left to take this.
    writeSync(fd, "still here");
    using ring = new TestRing();
    ring.read(fd, shared(64), 1);
    ring.flush();
    expect(ring.reap().map((c) => c.res)).toEqual([10]);
  });

  it.each([
    ["return", 0, undefined],
    ["exit", 3, undefined],
    ["throw", 1, "left by throwing"],
  ])("can %s with reads pending", async (leave, code, message) => {
    const { left } = startWorker("pending-reads", { fd: openPipe(), leave });
    const ended = await left;
    expect(ended.code).toBe(code);
    expect((ended.error as Error | undefined)?.message).toBe(message);
  });
});

describe("the process", () => {
  it.each([
    ["exit", 7, null],
    ["return", 0, null],
    ["throw", 1, null],
    ["reject", 1, null],
    ["signal", null, "SIGTERM"],
  ])("U01 U02 ends promptly by %s with 1,000 operations in flight", async (how, code, signal) => {
    const ended = await runChild("leave", how, fifo);
    expect(ended).toMatchObject({ code, signal });
    expect(ended.stderr).not.toMatch(/FATAL|Assertion|free\(\)|corrupt/);
    // Most of it is the start of Node; the bound is for hangs.
    expect(ended.milliseconds).toBeLessThan(10_000);
  });
});

describe("little locked memory", () => {
  it("P20 R23 yields smaller rings, then ENOMEM, and recovers after closing", async () => {
    const ended = await runProgram("prlimit", ["--memlock=65536:65536", process.execPath, child("memlock")]);
    expect(ended).toMatchObject({ code: 0, stderr: "" });
    const { sizes, failure, again, lopsided } = JSON.parse(ended.stdout);
    // Kernels that charge rings to RLIMIT_MEMLOCK allow one or two of these; others all fifty.
    if (failure === null) return;
    expect(failure).toEqual({ errno: 12, step: "io_uring_setup" });
    expect(sizes.length).toBeGreaterThan(0);
    expect(Math.min(...sizes)).toBeGreaterThanOrEqual(64);
    expect(again.sqEntries).toBeGreaterThanOrEqual(64);
    expect(lopsided.cqEntries).toBeGreaterThanOrEqual(128);
  });
});
