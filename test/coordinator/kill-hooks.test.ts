import { expect, test } from "vitest";
import { Coordinator, never, onKill, self, spawn, type Task, yieldNow } from "../../src/coordinator/index.ts";
import { VirtualRuntime } from "../../src/testing/virtual.ts";
import { sleep } from "../../src/time/sleep.ts";
import { checked, exhaustive, runChecked } from "../support/harness.ts";

test("a hook runs once, when the whole subtree is marked and before anybody is woken", () => {
  const log: string[] = [];
  runChecked(function* () {
    const gate = new Coordinator({ held: true, name: "gate" });
    const parent: Task = spawn(function* () {
      const child = spawn(function* child() {
        onKill((cause) => {
          log.push(`child: ${cause.reason}, parent marked ${parent.killed}, still waits ${gate.waiting}`);
        });
        yield* gate.acquire();
      });
      onKill((cause) => {
        log.push(`parent: ${cause.origin}, child marked ${child.killed}, still waits ${gate.waiting}`);
      });
      yield* never();
    });
    yield* sleep(1);
    parent.kill("enough");
    log.push("kill returned");
    parent.kill("again");
    yield* parent.settled();
  });
  expect(log).toEqual([
    "child: enough, parent marked true, still waits 1",
    "parent: main#1, child marked true, still waits 1",
    "kill returned",
  ]);
});

test("one that was taken off does not run, in any order of registration", () => {
  const log: string[] = [];
  runChecked(function* () {
    const child = spawn(never());
    const first = child.onKill(() => log.push("first"));
    child.onKill(() => {
      log.push("second");
      third();
    });
    const third = child.onKill(() => log.push("third"));
    child.onKill(() => log.push("fourth"));
    first();
    first();
    child.kill();
    third();
    yield* child.settled();
  });
  expect(log).toEqual(["second", "fourth"]);
});

test("a hook of a task that is killed already runs at once, of one that has ended never", () => {
  const log: string[] = [];
  runChecked(function* () {
    const quick = spawn(function* () {});
    yield* quick.join();
    quick.onKill(() => log.push("BAD"));
    quick.kill();
    const child = spawn(function* () {
      self().kill("myself");
      onKill(({ reason }) => log.push(`at once: ${reason}`));
      yield* never();
    });
    yield* child.settled();
    child.onKill(() => log.push("late"));
  });
  expect(log).toEqual(["at once: myself", "late"]);
});

test("a task that ends by itself drops its hooks", () => {
  runChecked(function* () {
    const child = spawn(function* () {
      onKill(() => expect.unreachable());
      yield* yieldNow();
    });
    yield* child.join();
    child.kill();
  });
});

test("a hook that throws is reported, and the others and the kill go on", () => {
  const rt = new VirtualRuntime();
  const log: string[] = [];
  const error = new Error("hook");
  rt.run(function* () {
    const child = spawn(never(), { name: "child" });
    child.onKill(() => {
      throw error;
    });
    child.onKill(() => log.push("second"));
    child.kill();
    expect((yield* child.settled()).status).toBe("killed");
  }).result;
  expect(log).toEqual(["second"]);
  expect(rt.reports.splice(0)).toEqual([
    { kind: "hook", task: expect.objectContaining({ id: 2 }), where: "onKill", error },
  ]);
  checked(rt);
});

test("a hook may kill, release and register; it is nobody's step and cannot spawn", () => {
  const log: string[] = [];
  runChecked(function* () {
    const gate = new Coordinator({ held: true });
    const other = spawn(never());
    const child = spawn(function* () {
      yield* gate.acquire();
    });
    yield* yieldNow();
    child.onKill(() => {
      other.kill("along");
      // The waiter is marked: it may be given the gate now, but never sees it.
      gate.release();
      child.onKill(() => log.push("nested"));
      expect(() => self()).toThrow(expect.objectContaining({ code: "COOP_NO_TASK" }));
      log.push("hook");
    });
    child.kill();
    expect((yield* child.settled()).status).toBe("killed");
    yield* other.settled();
    expect(gate.held).toBe(false);
  });
  expect(log).toEqual(["nested", "hook"]);
});

test("what is no function is refused before anything is registered", () => {
  runChecked(function* () {
    const task = self();
    expect(() => task.onKill(7 as never)).toThrow(expect.objectContaining({ code: "COOP_NOT_A_CALLBACK" }));
    expect(task.rare).toBe(null);
    yield* yieldNow();
  });
});

test("hooks run exactly for the tasks that a kill reached, wherever it strikes", () => {
  exhaustive(() => {
    const heard: number[] = [];
    const hooked: { id: number; killed: boolean; ended: boolean }[] = [];
    return {
      body: function* () {
        const children = [0, 1, 2].map(() =>
          spawn(function* () {
            const task = self();
            hooked.push(task as never);
            onKill(() => heard.push(task.id));
            yield* sleep(1);
            yield* sleep(1);
          }),
        );
        yield* sleep(1);
        children[1]!.kill();
        for (const child of children) yield* child.settled();
      },
      check() {
        const killed = hooked.filter((task) => task.killed).map((task) => task.id);
        expect([...heard].sort()).toEqual(killed.sort());
      },
    };
  });
});
