/** Conformance L04 to L11: timers. The virtual clock itself, L01 to L03, is tested with it. */
import { describe, expect, test } from "vitest";
import { Coordinator, DeadlockError, run, self, spawn, yieldNow } from "../../src/index.ts";
import { VirtualRuntime } from "../../src/testing/virtual.ts";
import { now, sleep, sleepUntil } from "../../src/time/index.ts";
import type { Timed } from "../../src/time/timer-queue.ts";
import { checked, exhaustive, runChecked, sized } from "../support/harness.ts";

/** A timer that does what it is told. */
class Probe implements Timed {
  deadline = 0;
  order = 0;
  heapIndex = -1;
  fired = 0;
  readonly onFire: () => void;
  constructor(onFire: () => void = () => {}) {
    this.onFire = onFire;
  }
  fire(): void {
    this.fired++;
    this.onFire();
  }
}

test("L04 timers with equal deadlines fire in the order they were armed", () => {
  const rt = new VirtualRuntime({ seed: null });
  const log: number[] = [];
  const probes = Array.from({ length: 100 }, (_, i) => new Probe(() => log.push(i)));
  for (const probe of probes) rt.timers.arm(probe, 5e6);
  // Taken off and armed again it is the youngest.
  rt.timers.disarm(probes[3]!);
  rt.timers.arm(probes[3]!, 5e6);
  rt.advance(5);
  rt.settle();
  const expected = Array.from({ length: 100 }, (_, i) => i).filter((i) => i !== 3);
  expect(log).toEqual([...expected, 3]);
  const woken: number[] = [];
  rt.run(function* () {
    const tasks = [0, 1, 2, 3].map((i) =>
      spawn(function* () {
        yield* sleep(10);
        woken.push(i);
      }),
    );
    for (const task of tasks) yield* task.join();
  }).result;
  expect(woken).toEqual([0, 1, 2, 3]);
  checked(rt);
});

describe("L05 timers that change timers in the same batch", () => {
  test("L05 one that is cancelled by another does not fire; one that cancels itself fires once", () => {
    const rt = new VirtualRuntime();
    const victim = new Probe();
    const first: Probe = new Probe(() => {
      rt.timers.disarm(victim);
      expect(rt.timers.disarm(first)).toBe(false);
    });
    rt.timers.arm(first, 1e6);
    rt.timers.arm(victim, 1e6);
    rt.advance(1);
    rt.settle();
    expect([first.fired, victim.fired]).toEqual([1, 0]);
    checked(rt);
  });

  test("L05 one that is armed again while it fires, fires once more, later", () => {
    const rt = new VirtualRuntime();
    const times: number[] = [];
    const probe: Probe = new Probe(() => {
      times.push(rt.now);
      if (times.length === 1) rt.timers.arm(probe, 3e6);
    });
    rt.timers.arm(probe, 1e6);
    rt.advance(1);
    rt.settle();
    expect(times).toEqual([1]);
    rt.advance(1);
    rt.settle();
    expect(times).toEqual([1]);
    rt.advance(1);
    rt.settle();
    expect(times).toEqual([1, 3]);
    checked(rt);
  });

  test("L05 tasks that kill sleepers whose time is up lose and leave nothing, wherever a kill strikes", () => {
    exhaustive(() => ({
      body: function* () {
        const sleepers = [0, 1, 2].map((i) =>
          spawn(function* () {
            yield* sleep(10);
            // The next in line is due as well.
            if (i < 2) sleepers[i + 1]!.kill();
            yield* sleep(10);
          }),
        ) as ReturnType<typeof spawn>[];
        for (const sleeper of sleepers) yield* sleeper.settled();
      },
    }));
  });
});

test("L06 a sleep of nothing, or into the past, lets others run once and meets a kill", () => {
  const rt = new VirtualRuntime({ seed: null });
  const log: string[] = [];
  rt.run(function* () {
    yield* sleep(10);
    for (const nap of [() => sleep(0), () => sleepUntil(3), () => sleepUntil(now())]) {
      spawn(function* () {
        log.push("other");
      });
      yield* nap();
      log.push(`awake at ${now()}`);
    }
    const killed = spawn(function* () {
      self().kill();
      yield* sleep(0);
      log.push("BAD");
    });
    expect((yield* killed.settled()).status).toBe("killed");
  }).result;
  expect(log).toEqual(Array.from({ length: 3 }, () => ["other", "awake at 10"]).flat());
  checked(rt);
});

test("L07 30 days, 2^31 ms and 2^53 ms are exact and do not wrap; Infinity is for ever", () => {
  for (const long of [30 * 86_400_000, 2 ** 31, 2 ** 53]) {
    const rt = new VirtualRuntime();
    rt.run(function* () {
      yield* sleep(long);
      expect(now()).toBe(long);
    }).result;
    checked(rt);
  }
  runChecked(function* () {
    const forever = spawn(sleep(Number.POSITIVE_INFINITY));
    yield* sleep("365 days");
    expect(forever.status).toBe("blocked");
    forever.kill();
  });
});

test("L08 a million timers, armed and cancelled, then armed and fired, leave nothing behind", () => {
  const rt = new VirtualRuntime();
  const count = sized(1_000_000, 1_000);
  let fired = 0;
  const probes = Array.from({ length: count }, () => new Probe(() => fired++));
  const at = (i: number): number => ((i * 7919) % count) + 1;
  for (let i = 0; i < count; i++) rt.timers.arm(probes[i]!, at(i));
  expect(rt.timers.size).toBe(count);
  for (let i = 0; i < count; i++) rt.timers.disarm(probes[(i * 31) % count]!);
  expect([rt.timers.size, fired]).toEqual([0, 0]);
  for (let i = 0; i < count; i++) rt.timers.arm(probes[i]!, at(i));
  rt.advance(1000);
  let turns = 0;
  while (rt.timers.size > 0) {
    rt.cooperator.turn();
    turns++;
  }
  expect(fired).toBe(count);
  expect(turns).toBeLessThan(count / 1024 + 2);
  checked(rt);
}, 60_000);

test("L09 on the real clock a sleep is never early", async () => {
  await run(function* () {
    for (let i = 0; i < 20; i++) {
      const before = process.hrtime.bigint();
      yield* sleep(5);
      expect(Number(process.hrtime.bigint() - before)).toBeGreaterThanOrEqual(5e6);
    }
  });
});

test("L10 tasks that nothing can wake are reported, and the loop does not spin meanwhile", () => {
  const rt = new VirtualRuntime();
  let error: unknown;
  try {
    rt.run(() => new Coordinator({ held: true }).acquire());
  } catch (caught) {
    error = caught;
  }
  expect(error).toBeInstanceOf(DeadlockError);
  const { turns, steps } = rt.statistics();
  expect([turns, steps]).toEqual([2, 1].map((n) => expect.toSatisfy((x: number) => x <= n + 1)));
  rt.cooperator.kill();
  rt.drain();
  checked(rt);
});

test("L11 what still sleeps when the root is done is killed with it, and keeps nothing alive", async () => {
  const before = performance.now();
  await run(function* () {
    spawn(sleep("1 hour"));
    spawn(sleep("1 hour"), { daemon: true });
    yield* yieldNow();
  });
  expect(performance.now() - before).toBeLessThan(5000);
});
