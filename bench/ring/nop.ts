/**
 * Suspend and resume through the ring: 1, 8, 64 or 1024 tasks that wait for NOPs, beside a C loop that submits
 * and reaps as many at a time. This is what an operation costs before the kernel does anything for it.
 *
 * Level 1 is `yield* nop()`; level 0 sets one handle per task up again and again.
 */
import { type Operation, op, run, self } from "cooperator";
import { Handle, ioStatistics, nop, setupNop } from "cooperator/io";
import {
  alternate,
  type Bench,
  compare,
  compiled,
  median,
  nowNs,
  type Row,
  runNative,
  runPart,
  together,
} from "../harness.ts";

interface Sample {
  readonly ns: number;
  /** Native calls per operation. */
  readonly calls: number;
  /** Native calls per turn of the scheduler. */
  readonly callsPerTurn: number;
}

const level1 = op(function* (count: number) {
  for (let i = 0; i < count; i++) yield* nop();
});

const level0 = op(function* (count: number) {
  const handle = new Handle();
  for (let i = 0; i < count; i++) {
    setupNop(handle);
    yield* handle;
  }
});

const measured = op(function* (body: (count: number) => Operation<void>, tasks: number, count: number) {
  const { cooperator } = self();
  const each = Math.max(1, Math.floor(count / tasks));
  yield* together(tasks, () => body(Math.ceil(each / 10)));
  const io = ioStatistics(cooperator)!;
  const { turns } = cooperator.statistics();
  const start = nowNs();
  yield* together(tasks, () => body(each));
  const elapsed = nowNs() - start;
  const calls = ioStatistics(cooperator)!.flushes - io.flushes;
  const done = ioStatistics(cooperator)!.completed - io.completed;
  const sample: Sample = {
    ns: elapsed / done,
    calls: calls / done,
    callsPerTurn: calls / (cooperator.statistics().turns - turns),
  };
  return sample;
});

async function part(body: (count: number) => Operation<void>, tasks: string, count: string): Promise<Sample> {
  return run(measured(body, Number(tasks), Number(count)));
}

export const bench: Bench = {
  needsRing: true,
  parts: {
    level1: (tasks, count) => part(level1, tasks!, count!),
    level0: (tasks, count) => part(level0, tasks!, count!),
  },
  async rows({ rounds, size }) {
    const program = compiled("nop");
    if (program === null) return [];
    const rows: Row[] = [];
    for (const [level, batch] of [
      ["level1", 64],
      ["level1", 1],
      ["level1", 8],
      ["level1", 1024],
      ["level0", 64],
      ["level0", 1],
    ] as const) {
      const count = batch === 1 ? size(400_000, 2000) : size(2_500_000, 20_000);
      const { ours, c } = await alternate<"ours" | "c", Sample | { ns: number }>(rounds, {
        ours: () => runPart<Sample>("ring/nop", level, [batch, count]),
        c: () => runNative<{ ns: number }>(program, [batch, count]),
      });
      const sample = ours as Sample[];
      rows.push(
        compare({
          name: `ring/nop ${batch} ${batch === 1 ? "task" : "tasks"}, level ${level === "level1" ? 1 : 0}`,
          unit: "ns",
          ours: ours.map(({ ns }) => ns),
          peer: c.map(({ ns }) => ns),
          peerName: "C loop",
          as: "cost",
          ...(level === "level1" && batch === 64 ? { floor: { most: 1.5 }, goal: { most: 1.3 } } : {}),
          settings:
            `batch ${batch}, ${median(sample.map(({ calls }) => calls)).toFixed(4)} native calls per op, ` +
            `${median(sample.map(({ callsPerTurn }) => callsPerTurn)).toFixed(2)} per turn`,
        }),
      );
    }
    return rows;
  },
};
