/**
 * A resume at call depth 1, 10 and 100: calls are frames on the task's own stack and only the top one is
 * resumed, so depth should cost nothing. Native `yield*` goes through every level each time; an async function
 * resumes its innermost frame, as we do.
 */
import { type Operation, op, run, yieldNow } from "cooperator";
import { alternateWarm, type Bench, compare, nowNs, type Row, shortRounds } from "../harness.ts";

const framed: (depth: number, count: number) => Operation<number> = op(function* (
  depth: number,
  count: number,
) {
  if (depth > 1) return yield* framed(depth - 1, count);
  const start = nowNs();
  for (let i = 0; i < count; i++) yield* yieldNow();
  return (nowNs() - start) / count;
});

function* plain(depth: number, count: number): Generator<void, number, void> {
  if (depth > 1) return yield* plain(depth - 1, count);
  const start = nowNs();
  for (let i = 0; i < count; i++) yield;
  return (nowNs() - start) / count;
}

function runPlain(depth: number, count: number): number {
  const gen = plain(depth, count);
  for (;;) {
    const { done, value } = gen.next();
    if (done === true) return value;
  }
}

async function awaiting(depth: number, count: number): Promise<number> {
  if (depth > 1) return await awaiting(depth - 1, count);
  const start = nowNs();
  for (let i = 0; i < count; i++) await null;
  return (nowNs() - start) / count;
}

export const bench: Bench = {
  needsRing: false,
  parts: {
    all: (depth, rounds, count) =>
      alternateWarm(Number(rounds), {
        ours: () => run(framed(Number(depth), Number(count))),
        plain: () => runPlain(Number(depth), Number(count)),
        await: () => awaiting(Number(depth), Number(count)),
      }),
  },
  async rows({ rounds, size }) {
    const rows: Row[] = [];
    for (const depth of [1, 10, 100]) {
      const all = await shortRounds<"ours" | "plain" | "await">(rounds, "task/call-depth", "all", [
        depth,
        size(30, 2),
        size(20_000, 500),
      ]);
      for (const peerName of ["plain", "await"] as const) {
        rows.push(
          compare({
            name: `task/call-depth ${depth}, beside ${peerName === "plain" ? "yield*" : "async functions"}`,
            unit: "ns",
            ours: all.ours,
            peer: all[peerName],
            peerName: peerName === "plain" ? "yield* chain" : "await null",
            as: "cost",
            goal: { most: 80, of: "ours" },
            settings: "one task, per resume, no system call",
          }),
        );
      }
    }
    return rows;
  },
};
