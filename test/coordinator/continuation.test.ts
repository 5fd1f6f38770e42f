import { expect, test } from "vitest";
import {
  type Continuation,
  Coordinator,
  onKill,
  Signal,
  self,
  spawn,
  yieldNow,
} from "../../src/coordinator/index.ts";
import { trySelect } from "../../src/sync/index.ts";
import { VirtualRuntime } from "../../src/testing/virtual.ts";
import { sleep } from "../../src/time/index.ts";
import { checked, exhaustive, runChecked } from "../support/harness.ts";
import { thrownBy } from "../support/thrown.ts";

const code = (code: string) => expect.objectContaining({ code });

test("it owns the coordinator while it runs and from its turn on, and nobody barges in", () => {
  const log: string[] = [];
  const gate = new Coordinator({ held: true });
  runChecked(function* () {
    const first = gate.continue(() =>
      log.push(`first, held ${gate.held}, free to take ${gate.tryAcquire()}`),
    );
    spawn(function* () {
      yield* gate.acquire();
      log.push("task");
      gate.release();
    });
    yield* yieldNow();
    gate.continue(() => log.push("second"));
    gate.release();
    log.push(`released, held ${gate.held}, free to take ${gate.tryAcquire()}`);
    yield* first;
    yield* sleep(1);
    expect(gate.held).toBe(false);
  }, gate);
  expect(log).toEqual([
    "released, held true, free to take false",
    "first, held true, free to take false",
    "task",
    "second",
  ]);
});

test("on a free one it runs in the next turn, not inside the call", () => {
  const log: string[] = [];
  const gate = new Coordinator();
  runChecked(function* () {
    const continuation = gate.continue(() => {
      log.push("ran");
      return 7;
    });
    expect([...log, gate.held, continuation.pending]).toEqual([true, true]);
    expect(yield* continuation).toBe(7);
    expect(continuation.pending).toBe(false);
    expect(gate.held).toBe(false);
    // The result can be had again, and by several.
    expect(yield* continuation.result()).toBe(7);
  }, gate);
});

test("cancelled when it is due, it passes what it owned to the next in line", () => {
  const gate = new Coordinator({ held: true });
  runChecked(function* () {
    const due = gate.continue(() => expect.unreachable());
    const next = spawn(function* () {
      yield* gate.acquire();
      gate.release();
      return "next";
    });
    yield* yieldNow();
    gate.release();
    expect(due.cancel()).toBe(true);
    expect(due.cancel()).toBe(false);
    expect(yield* next.join()).toBe("next");
    expect((yield* thrownBy(due.result())).code).toBe("COOP_CLOSED");
    expect(gate.held).toBe(false);
  }, gate);
});

test("what it throws is thrown where its result is awaited, and the coordinator is released", () => {
  const gate = new Coordinator();
  runChecked(function* () {
    const error = new Error("callback");
    const awaited = gate.continue(() => {
      throw error;
    });
    expect(yield* thrownBy(awaited)).toBe(error);
    const late = gate.continue(() => {
      throw error;
    });
    yield* sleep(1);
    expect(yield* thrownBy(late)).toBe(error);
    expect(gate.held).toBe(false);
  }, gate);
});

test("a failure that nobody looks at is reported at the end of its maker, a detached one at once", () => {
  const rt = new VirtualRuntime();
  const gate = new Coordinator({ name: "gate" });
  rt.run(function* () {
    const maker = spawn(function* maker() {
      gate.continue(() => {
        throw new Error("first");
      });
      yield* sleep(1);
      expect(rt.reports).toEqual([]);
    });
    yield* maker.join();
    expect(rt.reports.splice(0)).toEqual([
      { kind: "callback", task: maker, where: "continuation on gate", error: new Error("first") },
    ]);
    const options = { detached: true };
    gate.continue(() => {
      throw new Error("second");
    }, options);
    yield* sleep(1);
    expect(rt.reports.splice(0).map(({ task }) => task)).toEqual([null]);
  }).result;
  checked(rt, gate);
});

test("the end of its maker takes it back, detached ones excepted", () => {
  const log: string[] = [];
  const gate = new Coordinator({ held: true });
  runChecked(function* () {
    let made: Continuation<unknown> | null = null;
    const maker = spawn(function* () {
      made = gate.continue(() => log.push("BAD"));
      gate.continue(() => log.push("detached"), { detached: true });
      yield* yieldNow();
    });
    yield* maker.join();
    expect(made!.pending).toBe(false);
    expect(gate.waiting).toBe(1);
    gate.release();
    yield* sleep(1);
  }, gate);
  expect(log).toEqual(["detached"]);
});

test("it cannot wait: it is no task, and what would wait is refused", () => {
  const gate = new Coordinator();
  runChecked(function* () {
    for (const bad of [function* () {}, async () => {}, 7, null] as never[]) {
      expect(() => gate.continue(bad)).toThrow(code("COOP_NOT_A_CALLBACK"));
      expect(() => new Signal().continue(bad)).toThrow(code("COOP_NOT_A_CALLBACK"));
    }
    expect([gate.held, gate.waiting]).toEqual([false, 0]);
    for (const waits of [() => sleep(1), () => gate.acquire(), () => Promise.resolve()]) {
      expect((yield* thrownBy(gate.continue(waits as () => unknown))).code).toBe("COOP_CALLBACK_WAITS");
    }
    for (const needsTask of [() => self(), () => spawn(sleep(1)), () => onKill(() => {})]) {
      expect((yield* thrownBy(gate.continue(needsTask as () => unknown))).code).toBe("COOP_NO_TASK");
    }
    expect(gate.held).toBe(false);
  }, gate);
  expect(() => gate.continue(() => {})).toThrow(code("COOP_NO_TASK"));
});

test("a chain of 100,000 needs no stack, and tasks, timers and the turn's budget have their share", () => {
  const rt = new VirtualRuntime();
  const gate = new Coordinator();
  let links = 0;
  let ticks = 0;
  rt.run(function* () {
    const link = (): void => {
      links++;
      if (links < 100_000) gate.continue(link);
    };
    spawn(
      function* () {
        for (;;) {
          yield* yieldNow();
          ticks++;
        }
      },
      { daemon: true },
    );
    gate.continue(link);
    while (links < 100_000) yield* yieldNow();
  }).result;
  expect(links).toBe(100_000);
  expect(ticks).toBeGreaterThan(100_000 / 256 - 2);
  checked(rt, gate);
});

test("the owner's end fails it like any waiter", () => {
  const gate = new Coordinator({ name: "gate" });
  runChecked(function* () {
    const owner = spawn(function* () {
      yield* gate.acquire();
      yield* sleep(1);
    });
    yield* yieldNow();
    const broken = gate.continue(() => expect.unreachable());
    yield* owner.join();
    expect((yield* thrownBy(broken)).code).toBe("COOP_OWNER_ENDED");
    expect((yield* thrownBy(gate.continue(() => {}))).code).toBe("COOP_OWNER_ENDED");
  });
});

test("waiters that are moved take continuations along", () => {
  const gate = new Coordinator({ held: true });
  const other = new Coordinator({ held: true });
  runChecked(
    function* () {
      const continuation = gate.continue(() => other.held);
      gate.moveWaiters(other);
      other.release();
      expect(yield* continuation).toBe(true);
      expect(other.held).toBe(false);
    },
    gate,
    other,
  );
});

test("on a signal it runs after the notification, and at once when that has been", () => {
  const signal = new Signal({ name: "ready" });
  const log: string[] = [];
  runChecked(function* () {
    const before = signal.continue(() => log.push("before"));
    const cancelled = signal.continue(() => log.push("BAD"));
    expect(cancelled.cancel()).toBe(true);
    signal.notify();
    const after = signal.continue(() => log.push("after"));
    expect(log).toEqual([]);
    yield* after;
    expect(before.pending).toBe(false);
  }, signal);
  expect(log).toEqual(["before", "after"]);
});

test("its result is an arm like any wait", () => {
  runChecked(function* () {
    const continuation = new Coordinator().continue(() => 7);
    expect(trySelect([continuation.result()])).toBe(null);
    yield* sleep(1);
    expect(trySelect([continuation.result()])).toMatchObject({ value: 7 });
  });
});

test("nothing is lost and nobody is left waiting, wherever a kill strikes", () => {
  exhaustive(() => {
    const gate = new Coordinator({ held: true, name: "gate" });
    const log: string[] = [];
    return {
      gates: [gate],
      body: function* () {
        const maker = spawn(function* () {
          const first = gate.continue(() => log.push("first"));
          gate.continue(() => log.push("second"));
          yield* first;
          yield* sleep(1);
        });
        const waiter = spawn(function* () {
          yield* gate.acquire();
          try {
            yield* sleep(1);
          } finally {
            gate.release();
          }
        });
        spawn(
          function* () {
            yield* sleep(1);
            gate.release();
          },
          { detached: true },
        );
        yield* maker.settled();
        yield* waiter.settled();
      },
      check({ kills }) {
        if (kills.length === 0) expect(log).toEqual(["first", "second"]);
        expect(new Set(log).size).toBe(log.length);
      },
    };
  });
});

test("a continuation in which another runtime runs continuations is still the running one", () => {
  const made = runChecked(function* () {
    const gate = new Coordinator();
    const outer = gate.continue(() => {
      runChecked(function* () {
        yield* new Coordinator().continue(() => 1);
      });
      return new Coordinator().continue(() => 2).pending;
    });
    return yield* outer;
  });
  expect(made).toBe(true);
});
