/** Every order of three tasks that send, receive, select, signal, join and time out, with a kill of anybody anywhere. */
import { expect, test, vi } from "vitest";
import {
  Coordinator,
  coordinateWithKill,
  never,
  Signal,
  spawn,
  type Task,
  yieldNow,
} from "../../src/coordinator/index.ts";
import { Broadcast, Channel, type ChannelOptions, END, pipe, select, Watch } from "../../src/sync/index.ts";
import { sleep } from "../../src/time/sleep.ts";
import { timeout } from "../../src/time/timeout.ts";
import { everyOrder } from "../support/every-order.ts";
import { failure } from "../support/sync.ts";

vi.setConfig({ testTimeout: 300_000 });

const KINDS: readonly [string, ChannelOptions<number>][] = [
  ["rendezvous channel", { capacity: 0 }],
  ["buffered channel", { capacity: 1 }],
  ["buffered channel with room for two", { capacity: 2 }],
  ["sliding channel", { capacity: 1, overflow: "sliding" }],
  ["dropping channel", { capacity: 1, overflow: "dropping" }],
  ["dropping channel without room", { capacity: 0, overflow: "dropping" }],
];

for (const [kind, options] of KINDS) {
  test(`${kind}: every item is received, told as undelivered, or still there, once and in order`, () => {
    everyOrder(kind, () => {
      const lost: number[] = [];
      const got: number[] = [];
      const channel = new Channel<number>({ ...options, undelivered: (item) => lost.push(item) });
      const sender = (from: number) => [0, 1, 2].map((i) => () => channel.send(from + i));
      const receive = function* () {
        const item = yield* channel.receive();
        got.push(item);
      };
      return {
        tasks: [sender(10), sender(20), [receive, receive, receive]],
        state: () => [channel, got, lost],
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
          if (kills === 0 && options.overflow === undefined) expect(got.length).toBe(3);
          if (kills === 0) expect(all.length + channel.statistics().waitingSenders).toBeGreaterThanOrEqual(3);
          expect(channel.statistics()).toMatchObject({ size: 0 });
        },
      };
    });
  });
}

test("channel: a close lets receivers drain, then tells them of the end", () => {
  everyOrder("channel that is closed", () => {
    const got: unknown[] = [];
    const channel = new Channel<number>({ capacity: 2, undelivered: () => {} });
    const receive = function* () {
      got.push(yield* channel.receiveOrEnd());
    };
    return {
      tasks: [
        [() => channel.send(1), () => channel.send(2), () => channel.close()],
        [receive, receive, receive],
        [() => channel.size, () => channel.tryReceive(), () => channel.closed],
      ],
      state: () => [channel, got],
      stranded: true,
      check: ({ kills, results }) => {
        const seen = [...got, results[2]![1]].filter((item) => typeof item === "number");
        expect(new Set(seen).size).toBe(seen.length);
        if (kills > 0) return;
        expect(seen.sort()).toEqual([1, 2]);
        expect(got.at(-1)).toBe(END);
      },
    };
  });
});

test("dataflow: what is piped arrives in order, and the end arrives behind it", () => {
  everyOrder("dataflow", () => {
    const lost: number[] = [];
    const undelivered = (item: number) => lost.push(item);
    const from = new Channel<number>({ capacity: 1, undelivered });
    const to = new Channel<number>({ capacity: 0, undelivered });
    const got: unknown[] = [];
    const receive = function* () {
      got.push(yield* to.receiveOrEnd());
    };
    return {
      tasks: [
        [() => from.send(1), () => from.send(2), () => from.close()],
        [() => pipe(from, to, (item) => item * 10), () => to.closed, () => from.closed],
        [receive, receive, receive],
      ],
      state: () => [from, to, got, lost],
      failures: true,
      stranded: true,
      check: ({ kills }) => {
        if (kills === 0) expect([got, lost]).toEqual([[10, 20, END], []]);
        const items = got.filter((item) => typeof item === "number");
        expect(items).toEqual([10, 20].slice(0, items.length));
      },
    };
  });
});

test("select: the loser of a send and a receive has neither given nor taken", () => {
  everyOrder("select over channels", () => {
    const [a, b] = [new Channel<number>({ capacity: 0 }), new Channel<number>({ capacity: 0 })] as const;
    const seen: number[] = [];
    const either = function* () {
      const won = yield* select({ a: a.receive(), b: b.receive() });
      seen.push(won.value);
    };
    const send = (channel: Channel<number>, from: number) =>
      [0, 1, 2].map((i) => () => channel.send(from + i));
    return {
      tasks: [[either, either, either], send(a, 10), send(b, 20)],
      state: () => [a, b, seen],
      stranded: true,
      check: ({ kills, stranded }) => {
        // What a killed receiver held is back in its channel.
        const left = [a.tryReceive(), b.tryReceive()].filter((item) => typeof item === "number");
        const all = [...seen, ...left];
        expect(new Set(all).size).toBe(all.length);
        if (kills > 0) return;
        expect(seen.length).toBe(3);
        expect(stranded.length).toBeGreaterThan(0);
      },
    };
  });
});

test("select over locks: the one that loses is free again", () => {
  everyOrder("select over coordinators", () => {
    const [a, b] = [new Coordinator({ name: "a" }), new Coordinator({ name: "b" })] as const;
    const use = function* () {
      const won = yield* select({ a: a.acquire(), b: b.acquire() });
      const lock = won.key === "a" ? a : b;
      try {
        yield* yieldNow();
      } finally {
        lock.release();
      }
    };
    return {
      tasks: [
        [use, use, use],
        [use, use, use],
        [use, use, use],
      ],
      state: () => [a, b],
      gates: [a, b],
      check: () => expect([a.held, b.held]).toEqual([false, false]),
    };
  });
});

test("signal: whoever waits passes, before or after", () => {
  everyOrder("signal", () => {
    const signal = new Signal();
    let passed = 0;
    const waiter = () => [signal.wait(), () => void passed++, signal.wait()];
    return {
      tasks: [waiter(), waiter(), [() => signal.waiting, () => signal.notify(), () => signal.notify()]],
      state: () => [signal, passed],
      gates: [signal],
      stranded: true,
      check: ({ kills }) => {
        if (kills === 0) expect(passed).toBe(2);
      },
    };
  });
});

test("coordinator: acquire, flash and a wait for several, and nobody is left with it", () => {
  everyOrder("coordinator", () => {
    const [a, b] = [new Coordinator({ name: "a" }), new Coordinator({ name: "b" })] as const;
    const first = function* () {
      const { coordinator } = yield* coordinateWithKill(a, b);
      if (coordinator instanceof Coordinator) coordinator.release();
    };
    return {
      tasks: [
        [a.acquire(), b.flash(), () => a.release()],
        [a.flash(), b.acquire(), () => b.release()],
        [first, first, first],
      ],
      state: () => [a, b],
      failures: true,
      check: ({ kills, stranded }) => {
        // The two of them may wait for each other: that is their order, and no fault of the coordinators.
        if (kills > 0) return;
        if (stranded.length === 0) expect([a.held, b.held]).toEqual([false, false]);
      },
      stranded: true,
    };
  });
});

test("join: everybody who waits for a task is told of its end, once", () => {
  everyOrder("join", () => {
    let worker: Task<number> | null = null;
    const seen: unknown[] = [];
    const ask = function* () {
      if (worker !== null) seen.push((yield* worker.settled()).status);
    };
    const begin = () => {
      worker = spawn(
        function* () {
          yield* sleep(1);
          return 1;
        },
        { failure: "hold" },
      );
    };
    return {
      tasks: [
        [begin, ask, ask],
        [ask, ask, ask],
        [ask, () => worker?.kill("enough"), ask],
      ],
      state: () => [worker, seen],
      check: () => {
        for (const status of seen) expect(["done", "killed"]).toContain(status);
        expect(new Set(seen).size).toBeLessThanOrEqual(1);
      },
    };
  });
});

test("timeout: the value or the deadline, never both, and no timer stays", () => {
  everyOrder(
    "timeout",
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
        tasks: [
          [bounded, bounded, () => gate.held],
          [() => gate.held, bounded, () => gate.held],
          [() => gate.held, () => gate.release(), () => gate.held],
        ],
        state: () => [gate, outcomes],
        gates: [gate],
        check: ({ kills }) => {
          if (kills === 0) expect(outcomes.length).toBe(3);
          for (const outcome of outcomes) expect(["got", "COOP_DEADLINE"]).toContain(outcome);
        },
      };
    },
    { clock: true },
  );
});

test("broadcast: a subscriber that is killed disturbs nobody", () => {
  everyOrder("broadcast", () => {
    const news = new Broadcast<number>();
    const subscriptions = [news.subscribe({ lag: 2 }), news.subscribe()] as const;
    const seen: unknown[][] = [[], []];
    const read = (i: 0 | 1) =>
      function* () {
        const code = yield* failure(
          (function* () {
            seen[i]!.push(yield* subscriptions[i].receive());
          })(),
        );
        if (code !== null) seen[i]!.push(code);
      };
    const publish = [1, 2, 3].map((item) => () => news.publish(item));
    return {
      tasks: [[read(0), read(0), read(0)], [read(1), read(1), read(1)], publish],
      state: () => [news, subscriptions, seen],
      stranded: true,
      check: ({ kills }) => {
        const [lagging, all] = seen as [unknown[], unknown[]];
        expect(all).toEqual([1, 2, 3].slice(0, all.length));
        expect(
          [
            [1, 2, 3],
            ["COOP_LAG", 2, 3],
          ].map((order) => order.slice(0, lagging.length)),
        ).toContainEqual(lagging);
        if (kills === 0) expect([lagging.length, all.length]).toEqual([3, 3]);
      },
    };
  });
});

test("watch: whoever watches comes to the last value, and sees none twice", () => {
  everyOrder("watch", () => {
    const latest = new Watch(0);
    const watchers = [latest.watch(), latest.watch({ now: true })] as const;
    const seen: unknown[][] = [[], []];
    const read = (i: 0 | 1) =>
      function* () {
        seen[i]!.push(yield* watchers[i].receiveOrEnd());
      };
    const change = (value: number) => () => {
      latest.value = value;
    };
    return {
      tasks: [
        [read(0), read(0), read(0)],
        [read(1), read(1), read(1)],
        [change(1), change(2), () => latest.close()],
      ],
      state: () => [latest, watchers, seen],
      stranded: true,
      check: ({ kills }) => {
        for (const values of seen) {
          const numbers = values.filter((value) => typeof value === "number");
          expect(numbers).toEqual([...new Set(numbers)].sort());
          if (kills === 0) expect(values.length).toBe(3);
          if (kills === 0 && values.includes(END)) expect(numbers.at(-1)).toBe(2);
        }
      },
    };
  });
});

test("negative control: a program in which an item is taken twice is found", () => {
  expect(() =>
    everyOrder("lost", () => {
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
        state: () => [item, taken],
        check: () => expect(taken.length).toBeLessThanOrEqual(1),
      };
    }),
  ).toThrow(/schedule/);
});
