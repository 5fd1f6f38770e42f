/** Conformance J: channels and queues. */
import { describe, expect, test } from "vitest";
import { group } from "../../src/coordinator/group/group.ts";
import { ClosedError, never, op, self, spawn, type Task, yieldNow } from "../../src/coordinator/index.ts";
import { Broadcast, LagError, type Subscription } from "../../src/sync/broadcast.ts";
import { Channel, type ChannelOptions, EMPTY, END, type Undelivered } from "../../src/sync/channel.ts";
import { each } from "../../src/sync/dataflow.ts";
import { RingBuffer } from "../../src/sync/ring-buffer.ts";
import { select } from "../../src/sync/select.ts";
import { sleep } from "../../src/time/sleep.ts";
import { timeout } from "../../src/time/timeout.ts";
import { exhaustive, inOrder, programs, runChecked, sized } from "../support/harness.ts";

/** What every run has to add up to, and what became of each item. */
class Ledger {
  readonly sent: unknown[] = [];
  readonly received: unknown[] = [];
  readonly lost: [unknown, Undelivered][] = [];
  readonly channel: Channel<any>;
  constructor(options: ChannelOptions<any>) {
    this.channel = new Channel({ ...options, undelivered: (item, why) => this.lost.push([item, why]) });
  }
  /** Sent is received, undelivered, or still there; nothing twice; nobody waits. */
  balance(): void {
    const { sent, received, undelivered, size, waitingReceivers, waitingSenders } = this.channel.statistics();
    expect({ waitingReceivers, waitingSenders }).toEqual({ waitingReceivers: 0, waitingSenders: 0 });
    expect(sent).toBe(received + undelivered + size);
    const left = this.channel.drain();
    const out = [...this.received, ...this.lost.map(([item]) => item), ...left];
    expect(new Set(out).size).toBe(out.length);
    expect(out.length).toBe(sent);
    this.channel.senders.validate();
    this.channel.receivers.validate();
  }
}

const sendEach = op(function* (channel: Channel<any>, items: readonly unknown[]) {
  for (const item of items) yield* channel.send(item);
});

const receiveAll = op(function* (channel: Channel<any>, into: unknown[]) {
  for (let item = yield* channel.receiveOrEnd(); item !== END; item = yield* channel.receiveOrEnd())
    into.push(item);
});

const closedBy = op(function* (operation: Parameters<typeof spawn>[0]) {
  const exit = yield* spawn(operation, { failure: "hold" }).settled();
  expect(exit).toMatchObject({ status: "failed", error: { code: "COOP_CLOSED" } });
});

describe("J01 a rendezvous", () => {
  const values = [undefined, null, Number.NaN, 0, "", false, { an: "object" }];

  test.each(["receiver first", "sender first"])("J01 %s: every value arrives as it is", (order) => {
    runChecked(function* () {
      const channel = new Channel<unknown>();
      const received: unknown[] = [];
      const bodies = [receiveAll(channel, received), sendEach(channel, values)];
      if (order === "sender first") bodies.reverse();
      const tasks = bodies.map((body) => spawn(body));
      yield* sleep(1);
      channel.close();
      for (const task of tasks) yield* task.join();
      expect(received).toHaveLength(values.length);
      for (const [i, value] of values.entries()) expect(Object.is(received[i], value)).toBe(true);
    });
  });

  test("J01 a send is over when its item has been taken, and not before", () => {
    runChecked(function* () {
      const channel = new Channel<number>(0);
      const sender = spawn(channel.send(1));
      yield* sleep(1);
      expect([sender.status, channel.trySend(2)]).toEqual(["blocked", false]);
      expect(yield* channel.receive()).toBe(1);
      yield* sender.join();
      expect(channel.tryReceive()).toBe(EMPTY);
    });
  });

  test("J01 undefined in a buffer is an item as well", () => {
    runChecked(function* () {
      const channel = new Channel<undefined>(2);
      yield* channel.send(undefined);
      expect(channel.size).toBe(1);
      expect(channel.tryReceive()).toBe(undefined);
      expect(channel.tryReceive()).toBe(EMPTY);
    });
  });

  test("J01 what says that there is no item is no item", () => {
    runChecked(function* () {
      const channel = new Channel<unknown>(2);
      for (const sign of [END, EMPTY]) expect(() => channel.trySend(sign)).toThrow(/cannot be sent/);
      yield* yieldNow();
    });
  });
});

/** A small generator, so that a failing seed can be named. */
function random(seed: number): (below: number) => number {
  let state = seed * 2654435761 + 1;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

test.each([0, 1, 2, 7, 100])("J02 ten producers and five consumers on capacity %i", (capacity) => {
  const each = sized(50, 10);
  for (const seed of programs(5)) {
    runChecked(function* () {
      const next = random(seed);
      const channel = new Channel<[number, number]>(capacity);
      const received: [number, number][][] = [];
      yield* group(function* (g) {
        const producers = Array.from({ length: 10 }, (_, p) =>
          g.spawn(function* () {
            for (let i = 0; i < each; i++) {
              if (next(4) === 0) yield* next(2) === 0 ? yieldNow() : sleep(next(3));
              yield* channel.send([p, i]);
            }
          }),
        );
        for (let c = 0; c < 5; c++) {
          const mine: [number, number][] = [];
          received.push(mine);
          g.spawn(receiveAll(channel, mine));
        }
        for (const producer of producers) yield* producer.join();
        channel.close();
      });
      const all = received.flat();
      expect(new Set(all.map(String)).size, `seed ${seed}`).toBe(10 * each);
      expect(all.length).toBe(10 * each);
      for (const mine of received) {
        for (let p = 0; p < 10; p++) {
          const order = mine.filter(([from]) => from === p).map(([, i]) => i);
          expect(order).toEqual([...order].sort((a, b) => a - b));
        }
      }
    });
  }
});

describe("J03 a blocked sender is killed", () => {
  test.each([0, 1])("J03 with capacity %i its item reaches nobody, and the hook gets it once", (capacity) => {
    inOrder();
    const ledger = new Ledger({ capacity });
    const { channel } = ledger;
    runChecked(function* () {
      for (let i = 0; i < capacity; i++) yield* channel.send(`fill ${i}`);
      const senders = ["a", "b", "c"].map((item) => spawn(channel.send(item)));
      yield* yieldNow();
      yield* senders[1]!.killAndWait();
      expect(channel.statistics().waitingSenders).toBe(2);
      expect(ledger.lost).toEqual([["b", "killed"]]);
      ledger.received.push(...channel.drain());
      expect(ledger.received.slice(capacity)).toEqual(["a", "c"]);
      for (const task of senders) yield* task.settled();
    });
    ledger.balance();
  });

  test("J03 a sender whose kill was pending when it came to the send", () => {
    const ledger = new Ledger({ capacity: 4 });
    runChecked(function* () {
      const task: Task = spawn(function* () {
        self().kill();
        yield* ledger.channel.send("never");
      });
      yield* task.settled();
      expect(ledger.lost).toEqual([["never", "killed"]]);
    });
    ledger.balance();
  });

  test("J03 a hook that throws becomes the error of the sender's clean-up", () => {
    runChecked(function* () {
      const channel = new Channel<number>({
        undelivered: () => {
          throw new Error("the hook");
        },
      });
      const task = spawn(channel.send(1), { failure: "hold" });
      yield* yieldNow();
      const exit = yield* task.killAndWait();
      expect(exit).toMatchObject({ status: "failed", error: { message: "the hook" } });
    });
  });

  test.each([0, 1, 2])(
    "J03 J04 at every point, capacity %i: nothing is lost and nothing comes twice",
    (capacity) => {
      exhaustive(() => {
        const ledger = new Ledger({ capacity });
        const { channel } = ledger;
        return {
          body: function* () {
            const tasks: Task<unknown>[] = [];
            for (let p = 0; p < 2; p++) tasks.push(spawn(sendEach(channel, [`${p}a`, `${p}b`, `${p}c`])));
            for (let c = 0; c < 2; c++) {
              tasks.push(
                spawn(function* () {
                  for (let i = 0; i < 3; i++) ledger.received.push(yield* channel.receive());
                }),
              );
            }
            yield* sleep(1);
            channel.close();
            for (const task of tasks) yield* task.settled();
          },
          check: ({ main }) => {
            if (main.exit!.status === "done") expect(channel.closed).toBe(true);
            ledger.balance();
          },
        };
      });
    },
  );
});

describe("J04 a blocked receiver is killed", () => {
  test("J04 before an item comes: the next receiver gets it", () => {
    inOrder();
    runChecked(function* () {
      const channel = new Channel<string>();
      const receivers = [0, 1, 2].map(() => spawn(channel.receive()));
      yield* yieldNow();
      receivers[0]!.kill();
      yield* channel.send("item");
      expect(yield* receivers[1]!.join()).toBe("item");
      receivers[2]!.kill();
    });
  });

  test("J04 with an item in its hand: the next receiver gets it, in the old order", () => {
    inOrder();
    runChecked(function* () {
      const channel = new Channel<number>(8);
      const receivers = [0, 1, 2].map(() => spawn(channel.receive()));
      yield* yieldNow();
      for (let i = 1; i <= 5; i++) expect(channel.trySend(i)).toBe(true);
      receivers[0]!.kill();
      receivers[1]!.kill();
      yield* yieldNow();
      expect(yield* receivers[2]!.join()).toBe(3);
      expect(channel.statistics()).toMatchObject({ sent: 5, received: 1, size: 4 });
      expect(channel.drain()).toEqual([1, 2, 4, 5]);
    });
  });

  test("J04 items that come back in another order than they went go out in the old one", () => {
    runChecked(function* () {
      const channel = new Channel<number>(8);
      const receivers = [0, 1, 2].map(() => spawn(channel.receive()));
      yield* sleep(1);
      // The one that was handed the first item is the last to run, and to hand it back.
      for (const [i, priority] of ([2, 0, 1] as const).entries()) {
        self().cooperator.setPriority(receivers[i]!, priority);
      }
      for (let i = 1; i <= 4; i++) channel.trySend(i);
      for (const receiver of receivers) receiver.kill();
      yield* sleep(1);
      expect(channel.drain()).toEqual([1, 2, 3, 4]);
    });
  });

  test("J04 items that came back count against the capacity, and go out first", () => {
    runChecked(function* () {
      const channel = new Channel<number>(1);
      const receiver = spawn(channel.receive());
      yield* yieldNow();
      channel.trySend(1);
      receiver.kill();
      yield* yieldNow();
      expect(channel.trySend(2)).toBe(false);
      const sender = spawn(channel.send(2));
      yield* yieldNow();
      expect(yield* channel.receive()).toBe(1);
      yield* sender.join();
      expect(yield* channel.receive()).toBe(2);
    });
  });

  test("J04 a kill that strikes a receiver after the close hands its item on", () => {
    runChecked(function* () {
      const channel = new Channel<number>();
      const receiver = spawn(channel.receive());
      yield* yieldNow();
      channel.trySend(1);
      channel.close();
      receiver.kill();
      yield* yieldNow();
      expect(yield* channel.receiveOrEnd()).toBe(1);
      expect(yield* channel.receiveOrEnd()).toBe(END);
    });
  });

  test("J04 where nobody receives any more, the hook gets it; one that throws is reported", () => {
    for (const throws of [false, true]) {
      const lost: unknown[] = [];
      const channel = new Channel<number>({
        undelivered: (item) => {
          lost.push(item);
          if (throws) throw new Error("the hook");
        },
      });
      runChecked(function* () {
        const { cooperator } = self();
        const receiver = spawn(channel.receive());
        yield* yieldNow();
        channel.trySend(1);
        channel.abandon();
        receiver.kill();
        const reports: unknown[] = [];
        const { report } = cooperator;
        cooperator.report = ({ kind }) => reports.push(kind);
        yield* yieldNow();
        cooperator.report = report;
        expect([lost, reports]).toEqual([[1], throws ? ["hook"] : []]);
      });
    }
  });
});

test("J06 what a receiver has in its hand nobody else gets", () => {
  runChecked(function* () {
    const channel = new Channel<number>(4);
    const receiver = spawn(channel.receive());
    yield* yieldNow();
    channel.trySend(1);
    expect(channel.tryReceive()).toBe(EMPTY);
    expect(channel.drain()).toEqual([]);
    expect(yield* receiver.join()).toBe(1);
  });
});

test("J06 nor does a place that a sender was given", () => {
  runChecked(function* () {
    const channel = new Channel<number>(1);
    yield* channel.send(1);
    const sender = spawn(channel.send(2));
    yield* yieldNow();
    expect(channel.tryReceive()).toBe(1);
    expect(channel.trySend(3)).toBe(false);
    yield* sender.join();
    expect(channel.drain()).toEqual([2]);
  });
});

describe("J07 close", () => {
  test("J07 receivers get what is left and then the end; senders that wait get a ClosedError", () => {
    inOrder();
    const ledger = new Ledger({ capacity: 2 });
    const { channel } = ledger;
    runChecked(function* () {
      yield* channel.sendAll([1, 2]);
      const senders = [3, 4].map((item) => spawn(channel.send(item), { failure: "hold" }));
      yield* yieldNow();
      channel.close();
      channel.close(new Error("too late"));
      for (const sender of senders) yield* closedBy(sender.join());
      expect(ledger.lost).toEqual([
        [3, "closed"],
        [4, "closed"],
      ]);
      expect(() => channel.trySend(5)).toThrow(ClosedError);
      yield* closedBy(channel.send(6));
      expect(yield* channel.receive()).toBe(1);
      expect(channel.tryReceive()).toBe(2);
      expect(channel.tryReceive()).toBe(END);
      expect(yield* channel.receiveOrEnd()).toBe(END);
      yield* closedBy(channel.receive());
      expect(channel.drain()).toEqual([]);
      ledger.received.push(1, 2);
    });
    ledger.balance();
  });

  test("J07 receivers that wait all end", () => {
    runChecked(function* () {
      const channel = new Channel<number>();
      const receivers = [0, 1, 2].map(() => spawn(channel.receiveOrEnd()));
      const strict = spawn(channel.receive(), { failure: "hold" });
      yield* yieldNow();
      channel.close();
      for (const receiver of receivers) expect(yield* receiver.join()).toBe(END);
      yield* closedBy(strict.join());
    });
  });

  test("J07 abandon tells the hook of everything that is left, whatever the hook throws", () => {
    const lost: unknown[] = [];
    runChecked(function* () {
      const channel = new Channel<number>({
        capacity: 2,
        undelivered: (item) => {
          lost.push(item);
          throw new Error(`hook ${item}`);
        },
      });
      yield* channel.sendAll([1, 2]);
      const sender = spawn(channel.send(3), { failure: "hold" });
      yield* yieldNow();
      expect(() => channel.abandon()).toThrow("hook 3");
      yield* closedBy(sender.join());
      expect(lost).toEqual([3, 1, 2]);
      channel.abandon();
      expect(yield* channel.receiveOrEnd()).toBe(END);
    });
  });

  test("J07 at every kill", () => {
    exhaustive(() => {
      const ledger = new Ledger({ capacity: 1 });
      const { channel } = ledger;
      return {
        body: function* () {
          const tasks = [
            spawn(sendEach(channel, [1, 2, 3]), { failure: "hold" }),
            spawn(channel.sendAll([4, 5, 6]), { failure: "hold" }),
            spawn(receiveAll(channel, ledger.received)),
          ];
          for (const task of tasks) task.observe();
          yield* yieldNow();
          yield* yieldNow();
          channel.close();
          for (const task of tasks) yield* task.settled();
        },
        check: () => ledger.balance(),
      };
    });
  });
});

test("J08 an error of close comes after what is left, to everybody and for ever", () => {
  runChecked(function* () {
    const error = new Error("the source failed");
    const channel = new Channel<number>(2);
    yield* channel.send(1);
    channel.close(error);
    expect(yield* channel.receive()).toBe(1);
    for (const receive of [channel.receive(), channel.receiveOrEnd(), channel.receive()]) {
      const exit = yield* spawn(receive, { failure: "hold" }).settled();
      expect(exit).toMatchObject({ status: "failed" });
      expect((exit as { error: unknown }).error).toBe(error);
    }
    expect(() => channel.tryReceive()).toThrow(error);
    const exit = yield* spawn(channel.send(2), { failure: "hold" }).settled();
    expect(exit).toMatchObject({ status: "failed", error: { code: "COOP_CLOSED", cause: error } });
  });
});

describe("J09 ends", () => {
  test("J09 closing one concerns its own waits; the last one closes the channel", () => {
    runChecked(function* () {
      const channel = new Channel<number>();
      const a = channel.sender();
      const b = a.clone();
      const fromA = spawn(a.send(1), { failure: "hold" });
      const fromB = spawn(b.send(2));
      yield* yieldNow();
      a.close();
      a.close();
      yield* closedBy(fromA.join());
      expect(fromB.status).toBe("blocked");
      expect(() => a.trySend(3)).toThrow(ClosedError);
      expect(() => a.clone()).toThrow(ClosedError);
      yield* closedBy(a.send(3));
      expect(yield* channel.receive()).toBe(2);
      expect(channel.closed).toBe(false);
      b.close();
      expect(channel.closed).toBe(true);
      expect(yield* channel.receiveOrEnd()).toBe(END);
      expect(() => channel.sender()).toThrow(ClosedError);
    });
  });

  test("J09 the last receiver that goes takes the senders along", () => {
    const ledger = new Ledger({ capacity: 1 });
    const { channel } = ledger;
    runChecked(function* () {
      const a = channel.receiver();
      const b = a.clone();
      const atA = spawn(a.receiveOrEnd(), { failure: "hold" });
      const atB = spawn(b.receive());
      yield* yieldNow();
      a.close();
      yield* closedBy(atA.join());
      yield* closedBy(a.receiveOrEnd());
      expect(() => a.tryReceive()).toThrow(ClosedError);
      yield* channel.send(1);
      expect(yield* atB.join()).toBe(1);
      ledger.received.push(1);
      yield* channel.send(2);
      const sender = spawn(channel.send(3), { failure: "hold" });
      yield* yieldNow();
      b.close();
      yield* closedBy(sender.join());
      expect(ledger.lost).toEqual([
        [3, "closed"],
        [2, "closed"],
      ]);
    });
    ledger.balance();
  });

  test("J09 a consumer that is killed closes its end", () => {
    runChecked(function* () {
      const channel = new Channel<number>();
      const consumer = spawn(function* () {
        using end = channel.receiver();
        for (;;) yield* end.receive();
      });
      yield* yieldNow();
      yield* channel.send(1);
      yield* consumer.killAndWait();
      yield* closedBy(channel.send(2));
    });
  });
});

test.each([0, 1, 3])(
  "J10 a producer killed at every point leaves no phantom place, capacity %i",
  (capacity) => {
    exhaustive(() => {
      const ledger = new Ledger({ capacity });
      const { channel } = ledger;
      return {
        body: function* () {
          const first = spawn(sendEach(channel, [0, 1, 2, 3, 4]));
          const second = spawn(channel.sendAll([5, 6, 7]));
          yield* sleep(1);
          for (let i = 0; i < 2; i++) ledger.received.push(yield* channel.receive());
          yield* sleep(1);
          first.kill();
          second.kill();
          yield* first.settled();
          yield* second.settled();
          ledger.received.push(...channel.drain());
          for (let i = 0; i < capacity; i++) expect(channel.trySend(`again ${i}`)).toBe(true);
          expect(channel.trySend("too much")).toBe(false);
        },
        check: () => ledger.balance(),
      };
    });
  },
);

describe("J11 what does not fit", () => {
  test("J11 sliding drops the oldest", () => {
    const ledger = new Ledger({ capacity: 2, overflow: "sliding" });
    const { channel } = ledger;
    runChecked(function* () {
      for (let i = 1; i <= 4; i++) yield* channel.send(i);
      expect(channel.trySend(5)).toBe(true);
      expect(ledger.lost).toEqual([
        [1, "overflow"],
        [2, "overflow"],
        [3, "overflow"],
      ]);
      ledger.received.push(...channel.drain());
      expect(ledger.received).toEqual([4, 5]);
    });
    ledger.balance();
  });

  test("J11 dropping drops the new; trySend leaves it with the caller", () => {
    const ledger = new Ledger({ capacity: 2, overflow: "dropping" });
    const { channel } = ledger;
    runChecked(function* () {
      for (let i = 1; i <= 4; i++) yield* channel.send(i);
      expect(channel.trySend(5)).toBe(false);
      expect(ledger.lost).toEqual([
        [3, "overflow"],
        [4, "overflow"],
      ]);
      ledger.received.push(...channel.drain());
      expect(ledger.received).toEqual([1, 2]);
    });
    ledger.balance();
  });

  test("J11 one that keeps the latest; a receiver that waits gets everything", () => {
    runChecked(function* () {
      const latest = new Channel<number>({ capacity: 1, overflow: "sliding" });
      const received: unknown[] = [];
      const receiver = spawn(receiveAll(latest, received));
      yield* yieldNow();
      for (const i of [1, 2, 3]) latest.trySend(i);
      yield* yieldNow();
      latest.close();
      yield* receiver.join();
      expect(received).toEqual([1, 3]);
    });
  });

  test("J11 options that make no channel", () => {
    for (const capacity of [-1, 1.5, Number.NaN, "4" as never, null as never]) {
      expect(() => new Channel({ capacity })).toThrow(/holds 0 or more items/);
    }
    expect(() => new Channel({ overflow: "sliding" })).toThrow(/give it a capacity/);
    expect(() => new Channel({ overflow: "drop" as never })).toThrow(/"sliding" or "dropping"/);
    expect(new Channel(Number.POSITIVE_INFINITY).capacity).toBe(Number.POSITIVE_INFINITY);
  });
});

describe("J12 a broadcast", () => {
  test("J12 a slow subscriber is told how many it missed; the others miss nothing", () => {
    runChecked(function* () {
      const topic = new Broadcast<number>();
      using slow = topic.subscribe({ lag: 3 });
      using fast = topic.subscribe({ lag: 3 });
      const seen: unknown[] = [];
      const reader = spawn(
        each(fast, function* (item) {
          seen.push(item);
        }),
      );
      for (let i = 0; i < 10; i++) {
        topic.publish(i);
        yield* yieldNow();
      }
      expect(slow.missed).toBe(7);
      const exit = yield* spawn(slow.receive(), { failure: "hold" }).settled();
      expect(exit).toMatchObject({ status: "failed", error: { code: "COOP_LAG", missed: 7 } });
      expect((exit as { error: unknown }).error).toBeInstanceOf(LagError);
      expect(yield* slow.receive()).toBe(7);
      topic.close();
      expect(yield* slow.receiveOrEnd()).toBe(8);
      expect(slow.tryReceive()).toBe(9);
      expect(yield* slow.receiveOrEnd()).toBe(END);
      yield* reader.join();
      expect(seen).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
      expect(() => topic.publish(1)).toThrow(ClosedError);
    });
  });

  test("J12 a subscriber that is killed is gone at once", () => {
    runChecked(function* () {
      const topic = new Broadcast<number>();
      const tasks = Array.from({ length: 3 }, () =>
        spawn(function* () {
          using mine = topic.subscribe();
          yield* mine.receive();
          yield* mine.receive();
        }),
      );
      yield* yieldNow();
      topic.publish(1);
      expect(topic.size).toBe(3);
      yield* tasks[1]!.killAndWait();
      expect(topic.size).toBe(2);
      topic.publish(2);
      for (const task of tasks) yield* task.settled();
      expect(topic.size).toBe(0);
    });
  });

  test("J12 who subscribes late gets what comes later; after the close, the end", () => {
    runChecked(function* () {
      const topic = new Broadcast<number>();
      topic.publish(1);
      using early = topic.subscribe();
      topic.publish(2);
      expect(yield* early.receive()).toBe(2);
      const error = new Error("over");
      topic.close(error);
      using late = topic.subscribe();
      expect(() => late.tryReceive()).toThrow(error);
    });
  });

  test("J12 at every kill nobody stays subscribed", () => {
    exhaustive(() => {
      const topic = new Broadcast<number>();
      return {
        body: function* () {
          for (let i = 0; i < 2; i++) {
            spawn(function* () {
              using mine = topic.subscribe({ lag: 1 });
              yield* select({ item: mine.receive(), tick: sleep(3) });
              yield* sleep(1);
              yield* mine.receiveOrEnd();
            });
          }
          yield* sleep(1);
          topic.publish(1);
          yield* sleep(2);
          topic.publish(2);
          yield* sleep(1);
          topic.close();
        },
        check: () => expect(topic.size).toBe(0),
      };
    });
  });
});

describe("J13 a consumer stops half-way", () => {
  test("J13 its subscription is closed, and the publisher is not held up", () => {
    runChecked(function* () {
      const topic = new Broadcast<number>();
      let left: Subscription<number> | undefined;
      const consumer = spawn(function* () {
        using mine = topic.subscribe();
        left = mine;
        for (;;) if ((yield* mine.receive()) === 2) break;
      });
      yield* yieldNow();
      for (let i = 0; i < 100; i++) {
        topic.publish(i);
        yield* yieldNow();
      }
      yield* consumer.join();
      expect([topic.size, left!.size]).toEqual([0, 0]);
    });
  });

  test("J13 each ends when its body gives false, fails with it, and the rest stays in the channel", () => {
    runChecked(function* () {
      const channel = new Channel<number>(8);
      yield* channel.sendAll([1, 2, 3, 4]);
      yield* each(channel, function* (item) {
        return item !== 2;
      });
      expect(channel.size).toBe(2);
      const failing = each(channel, function* () {
        yield* yieldNow();
        throw new Error("the body");
      });
      expect(yield* spawn(failing, { failure: "hold" }).settled()).toMatchObject({
        error: { message: "the body" },
      });
      expect(channel.size).toBe(1);
    });
  });
});

test("J14 an item sent from within a consumer's step is received in a later one: 100,000 hops, one stack", () => {
  runChecked(function* () {
    const there = new Channel<number>(1);
    const back = new Channel<number>(1);
    const hops = sized(100_000, 500);
    let depth = 0;
    let deepest = 0;
    const bounce = op(function* (from: Channel<number>, to: Channel<number>) {
      for (;;) {
        const hop = yield* from.receive();
        deepest = Math.max(deepest, ++depth);
        if (hop === hops) {
          from.close();
          to.close();
        } else to.trySend(hop + 1);
        depth--;
        if (to.closed) return;
      }
    });
    const tasks = [spawn(bounce(there, back)), spawn(bounce(back, there), { failure: "hold" })];
    there.trySend(0);
    for (const task of tasks) yield* task.settled();
    expect(deepest).toBe(1);
  });
});

test("J15 a task that selects both ends of a channel does not meet itself", () => {
  const ledger = new Ledger({ capacity: 0 });
  const { channel } = ledger;
  runChecked(function* () {
    const both = () => select({ sent: channel.send("mine"), received: channel.receive() });
    let late = false;
    try {
      yield* timeout(5, both());
    } catch {
      late = true;
    }
    expect(late).toBe(true);
    expect(ledger.lost).toEqual([]);
    // Two of them do meet, each other.
    const tasks = [spawn(both()), spawn(both())];
    const won = [yield* tasks[0]!.join(), yield* tasks[1]!.join()];
    expect(won.map(({ key }) => key).sort()).toEqual(["received", "sent"]);
    ledger.received.push("mine");
  });
  ledger.balance();
});

describe("J16 items and random kills", () => {
  const kinds: readonly ChannelOptions<number>[] = [
    { capacity: 0 },
    { capacity: 1 },
    { capacity: 16 },
    { capacity: 4, overflow: "sliding" },
    { capacity: 4, overflow: "dropping" },
  ];
  test.each(kinds)("J16 %o", (options) => {
    for (const seed of programs(4)) {
      const next = random(seed);
      const ledger = new Ledger(options);
      const { channel } = ledger;
      let item = 0;
      runChecked(function* () {
        const make = [
          () =>
            spawn(function* () {
              for (;;) {
                yield* channel.send(item++);
                if (channel.statistics().waitingReceivers === 0 || next(3) === 0) yield* yieldNow();
              }
            }),
          () => spawn(channel.sendAll(Array.from({ length: 20 }, () => item++))),
          () =>
            spawn(function* () {
              for (;;) {
                const got = yield* channel.receive();
                ledger.received.push(got);
              }
            }),
          () =>
            spawn(function* () {
              for (;;) {
                const won = yield* select({ got: channel.receive(), tick: yieldNow() });
                if (won.key === "got") ledger.received.push(won.value);
              }
            }),
        ];
        const tasks = Array.from({ length: 8 }, (_, i) => make[i % make.length]!());
        for (let kills = sized(60, 5); kills > 0; kills--) {
          for (let steps = next(20); steps >= 0; steps--) yield* yieldNow();
          const at = next(tasks.length);
          tasks[at]!.kill();
          tasks[at] = make[next(make.length)]!();
        }
        for (const task of tasks) yield* task.killAndWait();
      });
      expect(ledger.received.length, `seed ${seed}`).toBeGreaterThan(sized(20, 0));
      ledger.balance();
    }
  });
});

describe("J17 memory", () => {
  test("J17 a ring grows as it fills and is small again when it is empty", () => {
    const ring = new RingBuffer<number>();
    const model: number[] = [];
    const small = ring.room;
    const next = random(7);
    let most = 0;
    for (let i = 0; i < 20_000; i++) {
      const filling = Math.floor(i / 2500) % 2 === 0;
      if (next(10) < (filling ? 8 : 2)) {
        ring.push(i);
        model.push(i);
      } else if (model.length > 0) expect(ring.shift()).toBe(model.shift());
      expect(ring.length).toBe(model.length);
      expect(ring.room).toBeLessThanOrEqual(Math.max(small, model.length * 8));
      most = Math.max(most, ring.room);
    }
    while (model.length > 0) expect(ring.shift()).toBe(model.shift());
    expect(ring.room).toBe(small);
    expect(most).toBeGreaterThan(512);
  });

  test("J17 a huge capacity takes no memory before it is used", () => {
    const before = process.memoryUsage().heapUsed;
    const channels = Array.from({ length: 100 }, () => new Channel<number>(1e9));
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(4e6);
    expect(channels.length).toBe(100);
  });
});

test("V04 receives that never come, as arms: nobody stays in the channel's queue", () => {
  runChecked(function* () {
    const quiet = new Channel<number>();
    const busy = new Channel<number>(1);
    for (let i = 0; i < 10_000; i++) {
      busy.trySend(i);
      yield* select({ quiet: quiet.receive(), busy: busy.receive(), sent: quiet.send(1) });
    }
    expect(quiet.statistics()).toMatchObject({ waitingReceivers: 0, waitingSenders: 0, sent: 0 });
  });
});

test("K04 a kill between win and resume: the item a select has won is not lost", () => {
  exhaustive(() => {
    const ledger = new Ledger({ capacity: 1 });
    const other = new Channel<number>();
    const { channel } = ledger;
    return {
      body: function* () {
        const tasks = [0, 1, 2].map(() =>
          spawn(function* () {
            for (let i = 0; i < 2; i++) {
              const won = yield* select({
                never: never(),
                other: other.send(1),
                got: channel.receiveOrEnd(),
              });
              if (won.key === "got" && won.value !== END) ledger.received.push(won.value);
            }
          }),
        );
        const producer = spawn(sendEach(channel, [1, 2, 3, 4]));
        yield* producer.settled();
        channel.close();
        for (const task of tasks) yield* task.settled();
      },
      check: () => {
        ledger.balance();
        expect(other.statistics()).toMatchObject({ sent: 0, waitingSenders: 0 });
      },
    };
  });
});
