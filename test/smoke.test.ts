import { expect, test } from "vitest";
import {
  Coordinator,
  defer,
  group,
  KilledError,
  never,
  op,
  shield,
  spawn,
  yieldNow,
} from "../src/coordinator/index.ts";
import { runVirtual, VirtualRuntime } from "../src/testing/virtual.ts";
import { sleep } from "../src/time/sleep.ts";
import { timeout } from "../src/time/timeout.ts";

test("runs", () => {
  expect(
    runVirtual(function* () {
      yield* sleep(10);
      return 42;
    }),
  ).toBe(42);
});
test("spawn join", () => {
  const log: string[] = [];
  const child = op(function* (name: string) {
    for (let i = 0; i < 2; i++) {
      log.push(name + i);
      yield* yieldNow();
    }
    return name;
  });
  expect(
    runVirtual(function* () {
      const a = spawn(child("a")),
        b = spawn(child("b"));
      return (yield* a.join()) + (yield* b.join());
    }),
  ).toBe("ab");
  expect(log).toEqual(["a0", "b0", "a1", "b1"]);
});
test("kill with suspending finally at depth", () => {
  const log: string[] = [];
  const inner = op(function* () {
    try {
      yield* never();
    } finally {
      log.push("i1");
      yield* sleep(5);
      log.push("i2");
    }
  });
  const outer = op(function* () {
    try {
      yield* inner();
      log.push("BAD");
    } finally {
      log.push("o1");
      yield* sleep(5);
      log.push("o2");
    }
  });
  runVirtual(function* () {
    const t = spawn(outer());
    defer(() => {
      log.push("defer");
    });
    yield* yieldNow();
    const exit = yield* t.killAndWait("why");
    expect(exit.status).toBe("killed");
  });
  expect(log).toEqual(["i1", "i2", "o1", "o2", "defer"]);
});
test("group and timeout", () => {
  const rt = new VirtualRuntime();
  const main = rt.run(function* () {
    const r = yield* group(function* (g) {
      const a = g.spawn(function* () {
        yield* sleep(10);
        return 1;
      });
      g.spawn(function* () {
        yield* sleep(20);
        return 1;
      });
      return yield* a.join();
    });
    let e: any;
    try {
      yield* timeout(50, function* () {
        try {
          yield* never();
        } finally {
          yield* sleep(7);
        }
      });
    } catch (x) {
      e = x;
    }
    expect(e.code).toBe("COOP_DEADLINE");
    try {
      yield* group(function* (g) {
        g.spawn(function* () {
          yield* sleep(1);
          throw new Error("boom");
        });
        yield* never();
      });
    } catch (x) {
      e = x;
    }
    expect(e.message).toBe("boom");
    return [r, rt.now];
  });
  expect(main.result).toEqual([1, 78]);
  expect(rt.statistics().live).toBe(0);
});
test("child failure kills parent", () => {
  const rt = new VirtualRuntime();
  const err = new Error("x");
  const main = rt.run(function* () {
    spawn(function* () {
      yield* sleep(1);
      throw err;
    });
    yield* never();
  });
  expect(main.exit).toEqual({ status: "failed", error: err });
});
test("coordinator fifo", () => {
  const c = new Coordinator();
  const log: number[] = [];
  runVirtual(function* () {
    yield* c.acquire();
    yield* group(function* (g) {
      for (let i = 0; i < 3; i++)
        g.spawn(function* () {
          yield* c.acquire();
          log.push(i);
          c.release();
        });
      yield* yieldNow();
      c.release();
    });
  });
  expect(log).toEqual([0, 1, 2]);
});
test("shield", () => {
  const log: string[] = [];
  runVirtual(function* () {
    const t = spawn(function* () {
      yield* shield(function* () {
        yield* sleep(10);
        log.push("s");
      });
      log.push("after");
      yield* yieldNow();
      log.push("BAD");
    });
    yield* yieldNow();
    t.kill("k");
    yield* t.settled();
    try {
      yield* t.join();
    } catch (e) {
      expect(e).toBeInstanceOf(KilledError);
    }
  });
  expect(log).toEqual(["s", "after"]);
});
test("finally continue swallow", () => {
  const rt = new VirtualRuntime();
  const main = rt.run(function* () {
    const t = spawn(
      function* () {
        for (;;) {
          try {
            yield* never();
          } finally {
          }
        }
      },
      { failure: "hold" },
    );
    yield* yieldNow();
    return yield* t.killAndWait("k");
  });
  expect((main.result as any).status).toBe("failed");
  expect((main.result as any).error.code).toBe("COOP_STUCK");
});
