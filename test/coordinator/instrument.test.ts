import { describe, expect, test } from "vitest";
import {
  type CooperatorStatistics,
  dumpTree,
  type Instrument,
  LOW,
  never,
  onKill,
  op,
  self,
  spawn,
  type Task,
  yieldNow,
} from "../../src/coordinator/index.ts";
import { VirtualRuntime } from "../../src/testing/virtual.ts";
import { sleep, timeout } from "../../src/time/index.ts";
import { checked } from "../support/harness.ts";
import { randomProgram } from "../support/random-program.ts";

const code = (code: string) => expect.objectContaining({ code });

/** Writes down everything, and checks on the way that the tree is whole. */
class Recorder implements Instrument {
  readonly log: string[] = [];
  readonly open: Task[] = [];
  private readonly rt: VirtualRuntime;
  constructor(rt: VirtualRuntime) {
    this.rt = rt;
  }
  beforeStep(task: Task): void {
    this.open.push(task);
    this.note("step", task);
  }
  afterStep(task: Task): void {
    expect(this.open.pop()).toBe(task);
    this.note("stepped", task);
  }
  spawned(task: Task): void {
    this.note("spawned", task);
  }
  killed(task: Task): void {
    expect(task.killed).toBe(true);
    this.note("killed", task);
  }
  ended(task: Task): void {
    expect(task.exit).not.toBe(null);
    this.note("ended", task);
  }
  private note(what: string, task: Task): void {
    this.log.push(`${what} ${task.label}`);
    expect(() => self()).toThrow();
    conserved(this.rt.statistics());
    dumpTree(this.rt.cooperator.tasks());
  }
}

function conserved(s: CooperatorStatistics): void {
  expect(s.spawned).toBe(s.done + s.failed + s.killed + s.live);
}

test("M12 hooks hear of every spawn, step, kill and end, in order and balanced", () => {
  const rt = new VirtualRuntime();
  const recorder = new Recorder(rt);
  const off = rt.cooperator.instrument(recorder);
  rt.run(function* () {
    const now = spawn(() => yieldNow(), { name: "now", start: "now" });
    const victim = spawn(never(), { name: "victim" });
    yield* now.join();
    victim.kill();
    yield* victim.settled();
    off();
    off();
    spawn(function* () {}, { name: "unheard" });
  }).result;
  expect(recorder.log).toEqual([
    "spawned main#1",
    "step main#1",
    "spawned now#2",
    "step now#2",
    "stepped now#2",
    "spawned victim#3",
    "stepped main#1",
    "step now#2",
    "ended now#2",
    "stepped now#2",
    "step victim#3",
    "stepped victim#3",
    "step main#1",
    "killed victim#3",
    "stepped main#1",
    "step victim#3",
    "ended victim#3",
    "stepped victim#3",
    "step main#1",
  ]);
  expect(rt.cooperator.probe).toBe(null);
  checked(rt);
});

test("M12 V07 balanced, and nothing half done to be seen, in 10 random programs", () => {
  for (let seed = 1; seed <= 10; seed++) {
    const rt = new VirtualRuntime();
    const recorder = new Recorder(rt);
    rt.cooperator.instrument(recorder);
    let last = rt.statistics();
    rt.cooperator.instrument({
      afterStep() {
        const next = rt.statistics();
        // What counts events never goes back.
        for (const key of ["spawned", "done", "failed", "killed", "steps", "turns"] as const) {
          expect(next[key]).toBeGreaterThanOrEqual(last[key]);
        }
        last = next;
      },
    });
    runRandom(rt, seed);
    expect(recorder.open).toEqual([]);
    const count = (what: string) => recorder.log.filter((line) => line.startsWith(`${what} `)).length;
    const { spawned, steps } = rt.statistics();
    expect([count("spawned"), count("ended")]).toEqual([spawned, spawned]);
    expect(count("step")).toBe(count("stepped"));
    expect(count("step")).toBeGreaterThanOrEqual(steps);
  }
});

describe("D14 a hook that throws", () => {
  test("D14 is reported once and its instrument taken off; tasks and other instruments go on", () => {
    for (const hook of ["beforeStep", "afterStep", "spawned", "killed", "ended"] as const) {
      const rt = new VirtualRuntime();
      const error = new Error(hook);
      let calls = 0;
      rt.cooperator.instrument({
        [hook]() {
          calls++;
          throw error;
        },
      });
      const other = new Recorder(rt);
      rt.cooperator.instrument(other);
      rt.run(function* () {
        const child = spawn(never());
        yield* yieldNow();
        child.kill();
        yield* child.settled();
      }).result;
      expect(calls).toBe(1);
      expect(rt.reports.splice(0)).toEqual([{ kind: "hook", task: expect.anything(), where: hook, error }]);
      expect(other.open).toEqual([]);
      expect(other.log).toContain("ended main#1");
      checked(rt);
    }
  });

  test("D14 nor does a kill hook, or a reporter, that throws disturb anything", () => {
    const rt = new VirtualRuntime();
    rt.run(function* () {
      const child = spawn(function* () {
        onKill(() => {
          throw new Error("hook");
        });
        yield* never();
      });
      yield* yieldNow();
      expect((yield* child.killAndWait()).status).toBe("killed");
    }).result;
    expect(rt.reports.splice(0).map(({ kind, where }) => [kind, where])).toEqual([["hook", "onKill"]]);
    checked(rt);
  });
});

test("what is no instrument is refused", () => {
  const { cooperator } = new VirtualRuntime();
  for (const bad of [null, 7, {}, { beforeStep: 1 }, { before() {} }, () => {}] as never[]) {
    expect(() => cooperator.instrument(bad)).toThrow(code("COOP_NOT_AN_INSTRUMENT"));
  }
  expect(cooperator.probe).toBe(null);
});

describe("M13 the dump", () => {
  test("M13 lists every live task at any step with its parent, state, wait, and age; taking it changes nothing", () => {
    const trace = (looking: boolean): string[] => {
      const rt = new VirtualRuntime();
      const steps: string[] = [];
      rt.cooperator.instrument({
        beforeStep(task) {
          steps.push(task.label);
          if (!looking) return;
          const dump = dumpTree(rt.cooperator.tasks());
          expect(dump.split("\n").length).toBe(rt.statistics().live);
        },
      });
      runRandom(rt, 42);
      return steps;
    };
    expect(trace(true)).toEqual(trace(false));
  });

  test("M13 says what is unusual: priority, daemons, kills with their reasons, and how long", () => {
    const rt = new VirtualRuntime();
    rt.cooperator.instrument({ ended() {} });
    const leaf = op(function* leaf() {
      yield* never();
    });
    const main = rt.cooperator.spawn(
      function* () {
        spawn(leaf(), { name: "helper", priority: LOW, daemon: true });
        spawn(
          function* () {
            try {
              yield* never();
            } finally {
              yield* sleep(1000);
            }
          },
          { name: "stuck" },
        );
        yield* timeout(5000, never());
      },
      { name: "main" },
    );
    rt.settle();
    rt.advance(12);
    [...main.children!][1]!.kill("superseded");
    rt.settle();
    rt.advance(3);
    expect(dumpTree([main as Task])).toBe(
      [
        "main#1: wait for a kill [for 15 ms]",
        "  helper#2: wait for a kill in leaf [low, daemon, for 15 ms]",
        "  stuck#3 (killed: superseded): wait for sleep of 1000 ms [for 3 ms]",
      ].join("\n"),
    );
    rt.cooperator.kill("over");
    rt.drain();
    checked(rt);
  });
});

describe("the stall detector", () => {
  function stalling(stallAfter: number | undefined): VirtualRuntime {
    const rt: VirtualRuntime = new VirtualRuntime(stallAfter === undefined ? {} : { stallAfter });
    rt.run(function* () {
      const busy = op(function* busy(ms: number) {
        rt.advance(ms);
        yield* yieldNow();
      });
      yield* busy(50);
      yield* busy(51);
      yield* busy(10);
      // The time of a child that runs inside the call is the child's.
      rt.advance(30);
      const child = spawn(() => busy(60), { name: "child", start: "now" });
      yield* child.join();
      spawn(
        function* () {
          rt.advance(99);
        },
        { name: "last" },
      );
      yield* yieldNow();
    }).result;
    return rt;
  }

  test("names who ran too long without a wait, once per offence", () => {
    const rt = stalling(50);
    const reports = rt.reports.splice(0);
    expect(reports.map(({ kind, task }) => `${kind} ${task?.label}`)).toEqual([
      "stall main#1",
      "stall child#2",
      "stall last#3",
    ]);
    expect(reports[0]!.error).toMatchObject({
      code: "COOP_STALL",
      message: expect.stringMatching(/^main#1 ran for 51 ms without letting others run; then: .* in busy/),
    });
    expect(rt.cooperator.probe?.since).toBe(null);
    checked(rt);
  });

  test("costs nothing when nobody asked for it", () => {
    const rt = stalling(undefined);
    expect(rt.cooperator.probe).toBe(null);
    checked(rt);
  });

  test("a limit that is none is refused", () => {
    for (const bad of [0, -1, Number.NaN]) {
      expect(() => new VirtualRuntime({ stallAfter: bad })).toThrow(code("COOP_DURATION"));
    }
  });
});

function runRandom(rt: VirtualRuntime, seed: number): void {
  const main = rt.cooperator.spawn(randomProgram(seed, 3)().body, { name: "main", failure: "hold" });
  main.observe();
  rt.drain();
}
