/**
 * Conformance U, T and R: what a process does to a program, and a program to its process. Most of it happens in
 * processes of their own, on `dist/`.
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { childPath, dist, startChild } from "../support/children.ts";
import { freshFifo, openDescriptors } from "../support/io.ts";

/** For hangs only: on a busy machine all this takes seconds. */
const LIMIT = { timeout: 120_000 };

const directory = mkdtempSync(join(tmpdir(), "cooperator-process-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

/** Binds a port the way servers do, with SO_REUSEADDR. Gives `"free"` or the error's code. */
function tryPort(port: number): Promise<string> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    server.listen(port, "127.0.0.1", () => server.close(() => resolve("free")));
  });
}

/** A listener of a process that was cut off keeps its port for some milliseconds: the kernel is still at it. */
async function portIsFreeSoon(port: number): Promise<void> {
  while ((await tryPort(port)) !== "free") await new Promise((resolve) => setTimeout(resolve, 5));
}

function portIn(text: string): number {
  const match = /port (\d+)/.exec(text);
  if (match === null) throw new Error(`the program has not told its port: ${text}`);
  return Number(match[1]);
}

/** What the program has written is there or not, and nothing else is. */
function checkHalfWritten(file: string): void {
  expect(readFileSync(file).every((byte) => byte === 0x61 || byte === 0)).toBe(true);
}

describe("a process is left with some 1,000 operations in flight", () => {
  test.each([
    ["process.exit", "exit", 7, null, ""],
    ["an uncaught exception", "throw", 1, null, "Error: left by throwing"],
    ["an unhandled rejection", "reject", 1, null, "Error: left by rejecting"],
    ["the end of its program", "return", 0, null, ""],
    ["a signal that ends main()", "main", 143, null, ""],
  ] as const)(
    "U01 U02 by %s: the exit code is kept, and the port is free at once",
    LIMIT,
    async (_what, how, code, signal, text) => {
      const file = join(directory, `left-by-${how}`);
      const child = startChild("leave", how, freshFifo(), file);
      // And not when its output has been read to the end, which is later.
      await new Promise((resolve) => child.process.once("exit", resolve));
      await child.printed("port");
      const port = await tryPort(portIn(child.output));
      const ended = await child.ended;
      expect(ended).toMatchObject({ code, signal });
      expect(ended.stderr).not.toMatch(/FATAL|Assertion|free\(\)|corrupt|COOP_/);
      if (text === "") expect(ended.stderr).toBe("");
      else expect(ended.stderr).toContain(text);
      expect(port).toBe("free");
      checkHalfWritten(file);
    },
  );

  test.each([
    ["SIGTERM", "signal"],
    ["SIGKILL", "kill"],
  ] as const)("U01 by %s, which nobody waits for: the kernel does the rest", LIMIT, async (signal, how) => {
    const file = join(directory, `left-by-${how}`);
    const ended = await startChild("leave", how, freshFifo(), file).ended;
    expect(ended).toMatchObject({ code: null, signal, stderr: "" });
    await portIsFreeSoon(portIn(ended.stdout));
    checkHalfWritten(file);
  });
});

describe("a worker is left with some 1,000 operations in flight", () => {
  async function leaveWorker(how: string): Promise<{ code: number; error: unknown; port: string }> {
    const workerData = [dist, how, freshFifo(), join(directory, `worker-left-by-${how}`)];
    const worker = new Worker(childPath("leave"), { workerData, stderr: true });
    let error: unknown = null;
    worker.on("error", (thrown) => {
      error = thrown;
    });
    const left = new Promise<number>((resolve) => worker.once("exit", resolve));
    const text = await new Promise<string>((resolve) => worker.once("message", resolve));
    if (how === "spin" || how === "stay") await worker.terminate();
    const code = await left;
    return { code, error, port: await tryPort(portIn(text)) };
  }

  // Node opens some things once, with the first worker.
  beforeAll(async () => void (await leaveWorker("return")), LIMIT.timeout);

  test.each([
    ["termination while it sleeps", "stay", 1, null],
    ["termination while it runs", "spin", 1, null],
    ["process.exit", "exit", 7, null],
    ["an uncaught exception", "throw", 1, "left by throwing"],
    ["an unhandled rejection", "reject", 1, "left by rejecting"],
    ["the end of its program", "return", 0, null],
  ] as const)(
    "U01 U02 by %s: descriptors are closed, and the port is free",
    LIMIT,
    async (_what, how, code, message) => {
      const before = openDescriptors().length;
      const { error, ...ended } = await leaveWorker(how);
      expect(ended).toEqual({ code, port: "free" });
      expect((error as Error | null)?.message ?? null).toBe(message);
      expect(openDescriptors().length).toBe(before);
    },
  );
});
