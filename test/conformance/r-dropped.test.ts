/** Conformance R06: a descriptor that nobody refers to any more. In programs of their own, which can collect. */
import { expect, test } from "vitest";
import { runWrapped } from "../support/children.ts";

interface Result {
  readonly reports: readonly (readonly [kind: string, where: string, code: string, message: string])[];
  readonly [other: string]: unknown;
}

async function dropped(program: string, ...args: string[]): Promise<Result> {
  const { code, stdout, stderr } = await runWrapped({ node: ["--expose-gc"] }, "dropped", program, ...args);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  return JSON.parse(stdout) as Result;
}

test("R06 it is closed in the background, and reported; one that was closed is not", async () => {
  const { reports, ...rest } = await dropped("dropped");
  // Both ends of the connection, and the ring's own descriptors, which came with the first of them.
  expect(rest).toMatchObject({ left: expect.any(Number), counted: 0, atEnd: 0 });
  expect((rest.open as number) - (rest.left as number)).toBe(22);
  expect(reports).toHaveLength(22);
  const files = reports.filter(([, where]) => /^file \d+ \(\/dev\/null\)$/.test(where));
  expect(files).toHaveLength(20);
  for (const [kind, where, code, message] of reports) {
    expect([kind, code]).toEqual(["dropped", "COOP_DROPPED"]);
    expect(message).toContain(`${where} was open when nothing referred to it any more`);
    expect(message).toMatch(/close it, or let "using" do that; with spawnSites/);
  }
}, 60_000);

test("R06 with spawnSites the report names the task and the line that opened it", async () => {
  const { reports } = await dropped("dropped", "sites");
  const [, , , message] = reports.find(([, where]) => where.startsWith("file"))!;
  expect(message).toMatch(/it was opened by dropped#1 at .*dropped\.mjs:\d+:\d+$/);
}, 60_000);

test("R06 an operation in flight ends first, and its result is seen", async () => {
  const { during, got, left, reports, atEnd } = await dropped("inflight");
  expect({ during: (during as number) - (left as number), got, atEnd }).toEqual({
    during: 2,
    got: ["late"],
    atEnd: 0,
  });
  expect(reports.map(([kind]) => kind)).toEqual(["dropped"]);
}, 60_000);

test("R06 what a living scope owns is not closed: a finally block, a defer, an acceptor", async () => {
  const { same, ended, reports, atEnd } = await dropped("owned");
  // The listener of the server that was killed is nobody's from then on, and the program has ended before that shows.
  expect({ same, ended, atEnd }).toEqual({ same: true, ended: ["done", "done", "killed"], atEnd: 0 });
  expect(reports).toEqual([]);
}, 60_000);

test("R06 a borrowed number stays open, and nobody is told", async () => {
  const { counted, reports } = await dropped("borrowed");
  expect({ counted, reports }).toEqual({ counted: 0, reports: [] });
}, 60_000);
