import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  BrokenError,
  Coordinator,
  HIGH,
  LOW,
  never,
  self,
  spawn,
  type Task,
  UsageError,
  yieldNow,
} from "../../src/coordinator/index.ts";
import { VirtualRuntime } from "../../src/testing/virtual.ts";
import { sleep } from "../../src/time/sleep.ts";
import { checked, runChecked } from "../support/harness.ts";

describe("taking and giving back", () => {
  test("starts free, or held when made so", () => {
    expect(new Coordinator()).toMatchObject({ held: false, owner: null, waiting: 0, name: "coordinator" });
    expect(new Coordinator({ held: true, name: "gate" })).toMatchObject({ held: true, name: "gate" });
  });

  test("tryAcquire takes what is free, for the running task or for nobody", () => {
    const gate = new Coordinator();
    expect(gate.tryAcquire()).toBe(true);
    expect(gate.owner).toBe(null);
    expect(gate.tryAcquire()).toBe(false);
    gate.release();
    runChecked(function* () {
      expect(gate.tryAcquire()).toBe(true);
      expect(gate.owner).toBe(self());
      gate.release();
      expect(gate.owner).toBe(null);
    }, gate);
  });

  test("tryAcquire fails in a child while the parent holds it", () => {
    const gate = new Coordinator();
    runChecked(function* () {
      yield* gate.acquire();
      const child = spawn(function* () {
        return gate.tryAcquire();
      });
      expect(yield* child.join()).toBe(false);
      gate.release();
      expect(gate.tryAcquire()).toBe(true);
      gate.release();
    }, gate);
  });

  test("acquire takes what is free without suspending", () => {
    const gate = new Coordinator();
    const rt = new VirtualRuntime();
    rt.run(function* () {
      yield* gate.acquire();
      gate.release();
      yield* gate.acquire();
      gate.release();
    }).result;
    expect(rt.statistics().steps).toBe(1);
    checked(rt, gate);
  });

  test("acquire blocks until a hand-off, which runs the new owner at once: 0 1 2 3", () => {
    const gate = new Coordinator();
    const order: number[] = [];
    runChecked(function* () {
      yield* gate.acquire();
      const child = spawn(
        function* () {
          order.push(0);
          yield* gate.acquire();
          order.push(2);
          gate.release();
        },
        { start: "now" },
      );
      order.push(1);
      yield* gate.handOff();
      order.push(3);
      yield* child.join();
    }, gate);
    expect(order).toEqual([0, 1, 2, 3]);
  });

  test("release only makes the new owner ready; the releaser goes on: 0 1 3 2", () => {
    const gate = new Coordinator();
    const order: number[] = [];
    runChecked(function* () {
      yield* gate.acquire();
      const child = spawn(
        function* () {
          order.push(0);
          yield* gate.acquire();
          order.push(2);
          gate.release();
        },
        { start: "now" },
      );
      order.push(1);
      gate.release();
      order.push(3);
      yield* child.join();
    }, gate);
    expect(order).toEqual([0, 1, 3, 2]);
  });

  test("a release gives it straight to the oldest waiter: nobody barges in", () => {
    const gate = new Coordinator();
    runChecked(function* () {
      yield* gate.acquire();
      const log: string[] = [];
      for (const name of ["a", "b"]) {
        spawn(function* () {
          yield* gate.acquire();
          log.push(name);
          gate.release();
        });
      }
      yield* yieldNow();
      gate.release();
      expect(gate.held).toBe(true);
      expect(gate.tryAcquire()).toBe(false);
      yield* gate.acquire();
      expect(log).toEqual(["a", "b"]);
      gate.release();
    }, gate);
  });

  test("anyone may release, also from outside every task", () => {
    const gate = new Coordinator({ held: true });
    const rt = new VirtualRuntime();
    const task = rt.cooperator.spawn(function* () {
      yield* gate.acquire();
      return "through";
    });
    rt.settle();
    gate.release();
    rt.settle();
    expect(task.result).toBe("through");
    checked(rt, gate);
  });
});

describe("flash", () => {
  test("passes at once when nobody holds it, and keeps nothing", () => {
    const gate = new Coordinator();
    const rt = new VirtualRuntime();
    rt.run(function* () {
      yield* gate.flash();
      expect(gate.held).toBe(false);
    }).result;
    expect(rt.statistics().steps).toBe(1);
    checked(rt, gate);
  });

  test("passes the barrier after the release, and after everyone queued before it", () => {
    const gate = new Coordinator();
    const log: string[] = [];
    runChecked(function* () {
      yield* gate.acquire();
      const enter = (name: string, flash: boolean) =>
        spawn(function* () {
          yield* flash ? gate.flash() : gate.acquire();
          log.push(name);
          if (flash) return;
          yield* sleep(1);
          gate.release();
        });
      enter("owner 1", false);
      enter("flash 1", true);
      enter("flash 2", true);
      enter("owner 2", false);
      enter("flash 3", true);
      yield* sleep(1);
      expect(log).toEqual([]);
      gate.release();
      yield* sleep(10);
      expect(log).toEqual(["owner 1", "flash 1", "flash 2", "owner 2", "flash 3"]);
      expect(gate.held).toBe(false);
    }, gate);
  });

  test("a flash that is killed after it was granted hands it on", () => {
    const gate = new Coordinator({ held: true });
    const log: string[] = [];
    runChecked(function* () {
      const flash = spawn(function* () {
        yield* gate.flash();
        log.push("BAD");
      });
      spawn(function* () {
        yield* gate.acquire();
        log.push("next");
        gate.release();
      });
      yield* yieldNow();
      gate.release();
      flash.kill();
      yield* sleep(1);
      expect(gate.held).toBe(false);
    }, gate);
    expect(log).toEqual(["next"]);
  });
});

describe("handOff", () => {
  test("runs the new owner before anything else that is ready; the caller goes to the tail", () => {
    const gate = new Coordinator();
    const log: string[] = [];
    runChecked(function* () {
      yield* gate.acquire();
      spawn(function* () {
        yield* gate.acquire();
        log.push("new owner");
        gate.release();
      });
      yield* yieldNow();
      for (const name of ["ready 1", "ready 2"]) {
        spawn(function* () {
          log.push(name);
        });
      }
      yield* gate.handOff();
      log.push("caller");
    }, gate);
    expect(log).toEqual(["new owner", "ready 1", "ready 2", "caller"]);
  });

  test("returns at once when nobody waits", () => {
    const gate = new Coordinator({ held: true });
    const rt = new VirtualRuntime();
    rt.run(function* () {
      yield* gate.handOff();
    }).result;
    expect(gate.held).toBe(false);
    expect(rt.statistics().steps).toBe(1);
    checked(rt, gate);
  });

  test("of what is not held is an error, and the caller goes on", () => {
    const gate = new Coordinator();
    runChecked(function* () {
      let code = "";
      try {
        yield* gate.handOff();
      } catch (error) {
        code = (error as UsageError).code;
      }
      expect(code).toBe("COOP_NOT_HELD");
      yield* yieldNow();
    }, gate);
  });

  test("a kill while the caller waits for its turn does not take the hand-off back", () => {
    const gate = new Coordinator();
    const log: string[] = [];
    runChecked(function* () {
      const giver = spawn(function* () {
        yield* gate.acquire();
        yield* yieldNow();
        yield* gate.handOff();
        log.push("BAD");
      });
      spawn(function* () {
        yield* gate.acquire();
        log.push("got it");
        giver.kill();
        gate.release();
      });
      yield* sleep(1);
      expect(giver.exit!.status).toBe("killed");
      expect(gate.held).toBe(false);
    }, gate);
    expect(log).toEqual(["got it"]);
  });
});

describe("misuse", () => {
  test("a double release is an error", () => {
    const gate = new Coordinator({ held: true, name: "gate" });
    gate.release();
    expect(() => gate.release()).toThrow(UsageError);
    expect(() => gate.release()).toThrow("gate is not held: release it once per acquire");
  });

  test.each(["acquire", "flash"] as const)(
    "%s of what the task owns already is an error, not a deadlock",
    (how) => {
      const gate = new Coordinator({ name: "gate" });
      runChecked(function* () {
        yield* gate.acquire();
        let error: unknown;
        try {
          yield* gate[how]();
        } catch (caught) {
          error = caught;
        }
        expect(error).toMatchObject({ code: "COOP_SELF_ACQUIRE" });
        expect(error).toBeInstanceOf(UsageError);
        expect(gate.owner).toBe(self());
        gate.release();
      }, gate);
    },
  );

  test("acquire after the owner ended is an error that names it; tryAcquire just fails", () => {
    const gate = new Coordinator({ name: "gate" });
    runChecked(function* () {
      const owner = spawn(
        function* () {
          yield* gate.acquire();
        },
        { name: "owner" },
      );
      yield* owner.join();
      expect(gate.tryAcquire()).toBe(false);
      let error: unknown;
      try {
        yield* gate.acquire();
      } catch (caught) {
        error = caught;
      }
      expect(error).toBeInstanceOf(BrokenError);
      expect(error).toMatchObject({ code: "COOP_OWNER_ENDED" });
      expect((error as Error).message).toMatch(/^owner#2 ended while it owned gate/);
    }, gate);
  });

  test("acquire outside every task is an error", () => {
    const iterator = new Coordinator({ held: true }).acquire()[Symbol.iterator]();
    expect(() => iterator.next()).toThrow(expect.objectContaining({ code: "COOP_NO_TASK" }));
  });

  test("a second release while the first is on its way frees it, and a kill then takes nothing back", () => {
    const gate = new Coordinator({ held: true });
    runChecked(function* () {
      for (const wait of [() => gate.acquire(), () => gate.flash()]) {
        const waiter = spawn(function* () {
          yield* wait();
        });
        yield* yieldNow();
        gate.release();
        gate.release();
        expect(gate.held).toBe(false);
        waiter.kill();
        yield* waiter.settled();
        expect(gate.held).toBe(false);
        yield* gate.acquire();
      }
    }, gate);
  });

  test("a flash whose turn somebody else has ended meanwhile gives nobody else's away", () => {
    const gate = new Coordinator({ held: true });
    runChecked(function* () {
      const flash = spawn(function* () {
        yield* gate.flash();
      });
      yield* yieldNow();
      gate.release();
      gate.release();
      expect(gate.tryAcquire()).toBe(true);
      yield* flash.join();
      expect(gate.owner).toBe(self());
      gate.release();
    }, gate);
  });
});

// ---------------------------------------------------------------------------------------------------------
// Against a model

type Action = { readonly kind: "acquire" | "flash" | "release" | "kill" | "try"; readonly who: number };

const TASKS = 4;
const action: fc.Arbitrary<Action> = fc.record({
  kind: fc.constantFrom(
    "acquire" as const,
    "flash" as const,
    "release" as const,
    "kill" as const,
    "try" as const,
  ),
  who: fc.nat(TASKS - 1),
});

/** Who holds it, by a queue of names. `null`: free; -1: held from outside. */
class Model {
  owner: number | null = null;
  queue: { who: number; flash: boolean }[] = [];

  hand(): void {
    for (;;) {
      const next = this.queue.shift();
      if (next === undefined) {
        this.owner = null;
        return;
      }
      if (next.flash) continue;
      this.owner = next.who;
      return;
    }
  }
}

function compare(actions: readonly Action[]): void {
  const rt = new VirtualRuntime();
  const gate = new Coordinator();
  const model = new Model();
  const tasks: (Task | null)[] = Array.from({ length: TASKS }, () => null);
  for (const { kind, who } of actions) {
    const busy = tasks[who] !== null;
    if (kind === "try") {
      expect(gate.tryAcquire()).toBe(model.owner === null);
      model.owner ??= -1;
    } else if (kind === "release") {
      if (model.owner === null) expect(() => gate.release()).toThrow("not held");
      else {
        gate.release();
        const owner = model.owner;
        model.hand();
        // A task that has had it goes away.
        if (owner >= 0) {
          tasks[owner]!.kill();
          tasks[owner] = null;
        }
      }
    } else if (kind === "kill") {
      if (!busy) continue;
      tasks[who]!.kill();
      tasks[who] = null;
      if (model.owner === who) model.hand();
      else model.queue = model.queue.filter((waiter) => waiter.who !== who);
    } else if (!busy) {
      const flash = kind === "flash";
      tasks[who] = rt.cooperator.spawn(function* () {
        if (flash) yield* gate.flash();
        else {
          yield* gate.acquire();
          try {
            yield* never();
          } finally {
            if (gate.owner === self()) gate.release();
          }
        }
      });
      if (model.owner !== null) model.queue.push({ who, flash });
      else if (!flash) model.owner = who;
    }
    rt.settle();
    for (let i = 0; i < TASKS; i++) if (tasks[i]?.exit !== null) tasks[i] = null;
    const { owner } = model;
    expect(gate.held).toBe(owner !== null);
    expect(gate.owner).toBe(owner === null || owner === -1 ? null : tasks[owner]);
    expect(gate.waiting).toBe(model.queue.length);
    gate.waiters.validate();
  }
  rt.cooperator.kill();
  rt.settle();
  checked(rt, gate);
}

test("agrees with a queue of names under random acquires, flashes, releases and kills", () => {
  fc.assert(fc.property(fc.array(action, { maxLength: 40 }), compare), { numRuns: 500, seed: 3 });
});

test("negative control: the comparison notices a release that lets the youngest in first", () => {
  const original = Coordinator.prototype.enqueue;
  Coordinator.prototype.enqueue = function lifo(node) {
    const before = [...this.waiters];
    for (const each of before) this.waiters.remove(each);
    original.call(this, node);
    for (const each of before) this.waiters.push(each);
  };
  try {
    expect(() =>
      fc.assert(fc.property(fc.array(action, { maxLength: 40 }), compare), { numRuns: 500, seed: 3 }),
    ).toThrow(/Property failed/);
  } finally {
    Coordinator.prototype.enqueue = original;
  }
});

test("a hand-off respects priorities: first among its own", () => {
  const gate = new Coordinator({ held: true });
  const log: string[] = [];
  const rt = new VirtualRuntime();
  rt.run(function* () {
    spawn(
      function* () {
        yield* gate.acquire();
        log.push("low owner");
      },
      { priority: LOW },
    );
    yield* sleep(1);
    spawn(
      function* () {
        log.push("high");
      },
      { priority: HIGH },
    );
    spawn(
      function* () {
        log.push("low");
      },
      { priority: LOW },
    );
    yield* gate.handOff();
    log.push("caller");
    yield* sleep(1);
  }).result;
  expect(log).toEqual(["high", "caller", "low owner", "low"]);
  checked(rt, gate);
});
