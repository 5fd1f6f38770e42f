/** Every order of three tasks that send, receive, select, signal, join and time out, with a kill of anybody anywhere. */
import { expect, test, vi } from "vitest";
import {
  Coordinator,
  coordinateWithKill,
  never,
  Signal,
  spawn,
  type Task,
} from "../../src/coordinator/index.ts";
import { Broadcast, Channel, END, select, Watch } from "../../src/sync/index.ts";
import { type InterleavedProgram, type InterleaveOptions, interleave } from "../../src/testing/interleave.ts";
import { sleep } from "../../src/time/sleep.ts";
import { timeout } from "../../src/time/timeout.ts";

vi.setConfig({ testTimeout: 60_000 });

const CI = process.env.COOP_LANE === "ci";

/** Without kills, and with one; a bound on preemptions keeps the number of orders in the thousands. */
function everyOrder(program: () => InterleavedProgram, options?: InterleaveOptions): void {
  const free = interleave(program, { preemptions: CI ? 2 : 1, ...options });
  const disturbed = interleave(program, { preemptions: CI ? 1 : 0, ...options, kills: 1 });
  expect(free.schedules).toBeGreaterThan(5);
  expect(disturbed.schedules).toBeGreaterThan(10);
}

for (const capacity of [0, 1, 2]) {
  test(`channel of capacity ${capacity}: every item is received, told as undelivered, or still there, once and in order`, () => {
    everyOrder(() => {
      const lost: number[] = [];
      const got: number[] = [];
      const channel = new Channel<number>({ capacity, undelivered: (item) => lost.push(item) });
      const sender = (from: number) => [0, 1, 2].map((i) => () => channel.send(from + i));
      const receive = function* () {
        const item = yield* channel.receive();
        got.push(item);
      };
      return {
        tasks: [sender(10), sender(20), [receive, receive, receive]],
        stranded: true,
        check: ({ kills }) => {
          const left: number[] = [];
          for (let item = channel.tryReceive(); typeof item === "number"; item = channel.tryReceive())
            left.push(item);
          const all = [...got, ...lost, ...left];
          expect(new Set(all).size).toBe(all.length);
          for (const of of [10, 20]) {
            const order = got.filter((item) => item >= of && item < of + 10);
            expect(order).toEqual([...order].sort((a, b) => a - b));
          }
          if (kills === 0) expect(got.length).toBe(3);
          expect(channel.statistics()).toMatchObject({ size: 0 });
        },
      };
    });
  });
}

test("channel: a close lets receivers drain, then tells them of the end", () => {
  everyOrder(() => {
    const got: unknown[] = [];
    const channel = new Channel<number>({ capacity: 2, undelivered: () => {} });
    const receive = function* () {
      got.push(yield* channel.receiveOrEnd());
    };
    return {
      tasks: [
        [() => channel.send(1), () => channel.send(2), () => channel.close()],
        [receive, receive, receive],
      ],
      stranded: true,
      check: ({ kills }) => {
        if (kills === 0) expect(got).toEqual([1, 2, END]);
      },
    };
  });
});

test("select: the loser of a send and a receive has neither given nor taken", () => {
  everyOrder(() => {
    const [a, b] = [new Channel<number>({ capacity: 0 }), new Channel<number>({ capacity: 0 })] as const;
    const seen: number[] = [];
    const either = function* () {
      const won = yield* select({ a: a.receive(), b: b.receive() });
      seen.push(won.value);
    };
    return {
      tasks: [[either, either], [() => a.send(1)], [() => b.send(2)]],
      stranded: true,
      check: ({ kills }) => {
        // What a killed receiver held is back in its channel.
        const left = [a.tryReceive(), b.tryReceive()].filter((item) => typeof item === "number");
        const all = [...seen, ...left];
        expect(new Set(all).size).toBe(all.length);
        if (kills === 0) expect([...seen].sort()).toEqual([1, 2]);
      },
    };
  });
});

test("select over locks: the one that loses is free again", () => {
  everyOrder(() => {
    const [a, b] = [new Coordinator({ name: "a" }), new Coordinator({ name: "b" })] as const;
    const user = [
      function* () {
        const won = yield* select({ a: a.acquire(), b: b.acquire() });
        const lock = won.key === "a" ? a : b;
        try {
          yield* sleep(1);
        } finally {
          lock.release();
        }
      },
    ];
    return {
      tasks: [user, user, user],
      gates: [a, b],
      check: () => expect([a.held, b.held]).toEqual([false, false]),
    };
  });
});

test("signal: whoever waits passes, before or after", () => {
  everyOrder(() => {
    const signal = new Signal();
    let passed = 0;
    const waiter = [signal.wait(), () => void passed++, () => signal.wait()];
    return {
      tasks: [
        waiter,
        [() => signal.wait(), () => void passed++],
        [() => {}, () => signal.notify(), () => {}],
      ],
      gates: [signal],
      stranded: true,
      check: ({ kills }) => {
        if (kills === 0) expect(passed).toBe(2);
      },
    };
  });
});

test("coordinator: acquire, flash and a wait for several, and nobody is left with it", () => {
  everyOrder(() => {
    const [a, b] = [new Coordinator({ name: "a" }), new Coordinator({ name: "b" })] as const;
    return {
      tasks: [
        [a.acquire(), () => {}, () => a.release()],
        [a.flash(), () => {}, () => {}],
        [
          function* () {
            const { coordinator } = yield* coordinateWithKill(a, b);
            if (coordinator instanceof Coordinator) coordinator.release();
          },
        ],
      ],
      failures: true,
      check: ({ kills, stranded }) => {
        expect(stranded).toEqual([]);
        if (kills === 0) expect([a.held, b.held]).toEqual([false, false]);
      },
    };
  });
});

test("join: everybody who waits for a task is told of its end, once", () => {
  everyOrder(() => {
    let worker: Task<number> | null = null;
    const seen: unknown[] = [];
    const ask = function* () {
      if (worker !== null) seen.push((yield* worker.settled()).status);
    };
    return {
      tasks: [
        function* () {
          worker = spawn(
            function* () {
              yield* sleep(1);
              return 1;
            },
            { failure: "hold" },
          );
          yield* ask();
          yield* ask();
        },
        [ask, ask],
        [ask, () => worker?.kill("enough"), ask],
      ],
      check: () => {
        for (const status of seen) expect(["done", "killed"]).toContain(status);
        expect(new Set(seen).size).toBeLessThanOrEqual(1);
      },
    };
  });
});

test("timeout: the value or the deadline, never both, and no timer stays", () => {
  everyOrder(
    () => {
      const gate = new Coordinator({ held: true, name: "gate" });
      const outcomes: string[] = [];
      const bounded = function* () {
        try {
          yield* timeout(5, gate.acquire());
          outcomes.push("got");
          gate.release();
        } catch (error) {
          outcomes.push((error as { code: string }).code);
        }
      };
      return {
        tasks: [[bounded], [bounded], [() => {}, () => gate.release(), () => {}]],
        gates: [gate],
        check: ({ kills }) => {
          if (kills === 0) expect(outcomes.length).toBe(2);
          for (const outcome of outcomes) expect(["got", "COOP_DEADLINE"]).toContain(outcome);
        },
      };
    },
    { clock: true },
  );
});

test("broadcast and watch: a subscriber that is killed disturbs nobody", () => {
  everyOrder(() => {
    const news = new Broadcast<number>();
    const latest = new Watch(0);
    const subscription = news.subscribe();
    const watcher = latest.watch();
    const seen: number[] = [];
    const changes: number[] = [];
    const read = function* () {
      seen.push(yield* subscription.receive());
    };
    return {
      tasks: [
        [read, read],
        [
          function* () {
            changes.push(yield* watcher.receive());
          },
        ],
        [
          () => news.publish(1),
          () => {
            latest.value = 1;
          },
          () => news.publish(2),
        ],
      ],
      stranded: true,
      check: ({ kills }) => {
        expect(seen).toEqual([1, 2].slice(0, seen.length));
        expect(changes).toEqual([1].slice(0, changes.length));
        if (kills === 0) expect([seen, changes]).toEqual([[1, 2], [1]]);
      },
    };
  });
});

test("negative control: a program in which an item is taken twice is found", () => {
  expect(() =>
    everyOrder(() => {
      let item: number | null = 1;
      const taken: number[] = [];
      const take = function* () {
        const mine = item;
        yield* sleep(0);
        if (mine !== null) taken.push(mine);
        item = null;
      };
      return {
        tasks: [[take], [take], [() => spawn(never()).kill()]],
        check: () => expect(taken.length).toBeLessThanOrEqual(1),
      };
    }),
  ).toThrow(/schedule/);
});
