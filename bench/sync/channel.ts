/**
 * Channels, per item: one task that sends and receives where there is always room, beside a bare switch of this
 * scheduler; a producer and a consumer on a channel of 16, and of none, beside the same on bare generators, on
 * promises, and on Effect's Queue.
 */
import { Channel, op, run, yieldNow } from "cooperator";
import { Effect, Queue } from "effect";
import { alternateWarm, type Bench, compare, nowNs, type Row, shortRounds, together } from "../harness.ts";

const uncontended = op(function* (count: number) {
  const channel = new Channel<number>(16);
  const start = nowNs();
  for (let i = 0; i < count; i++) {
    yield* channel.send(i);
    yield* channel.receive();
  }
  return (nowNs() - start) / count;
});

const switches = op(function* (count: number) {
  const start = nowNs();
  for (let i = 0; i < count; i++) yield* yieldNow();
  return (nowNs() - start) / count;
});

const produce = op(function* (channel: Channel<number>, count: number) {
  for (let i = 0; i < count; i++) yield* channel.send(i);
});

const consume = op(function* (channel: Channel<number>, count: number) {
  for (let i = 0; i < count; i++) yield* channel.receive();
});

const through = op(function* (capacity: number, count: number) {
  const channel = new Channel<number>(capacity);
  const start = nowNs();
  yield* together(2, (i) => (i === 0 ? produce(channel, count) : consume(channel, count)));
  return (nowNs() - start) / count;
});

/** Two generators and an array: no tasks, no kill, no errors. */
function bareThrough(capacity: number, count: number): number {
  const queue: number[] = [];
  function* producer(): Generator<void, void, void> {
    for (let i = 0; i < count; i++) {
      while (queue.length >= capacity) yield;
      queue.push(i);
    }
  }
  function* consumer(): Generator<void, void, void> {
    for (let i = 0; i < count; i++) {
      while (queue.length === 0) yield;
      queue.shift();
    }
  }
  const start = nowNs();
  const [from, to] = [producer(), consumer()];
  let over = false;
  while (!over) {
    from.next();
    over = to.next().done === true;
  }
  return (nowNs() - start) / count;
}

/** The usual queue of promises: arrays of waiting resolvers on either side. */
class PromiseQueue {
  private readonly items: number[] = [];
  private readonly takers: ((item: number) => void)[] = [];
  private readonly givers: (() => void)[] = [];
  private readonly capacity: number;
  constructor(capacity: number) {
    this.capacity = capacity;
  }
  async send(item: number): Promise<void> {
    const taker = this.takers.shift();
    if (taker !== undefined) {
      taker(item);
      return;
    }
    this.items.push(item);
    if (this.items.length > this.capacity) await new Promise<void>((resolve) => this.givers.push(resolve));
  }
  async receive(): Promise<number> {
    if (this.items.length === 0) return new Promise((resolve) => this.takers.push(resolve));
    const item = this.items.shift()!;
    this.givers.shift()?.();
    return item;
  }
}

async function promiseThrough(capacity: number, count: number): Promise<number> {
  const queue = new PromiseQueue(capacity);
  const start = nowNs();
  await Promise.all([
    (async () => {
      for (let i = 0; i < count; i++) await queue.send(i);
    })(),
    (async () => {
      for (let i = 0; i < count; i++) await queue.receive();
    })(),
  ]);
  return (nowNs() - start) / count;
}

function effectThrough(capacity: number, count: number): Promise<number> {
  const program = Effect.gen(function* () {
    const queue = yield* Queue.bounded<number>(capacity);
    const start = nowNs();
    const producer = Effect.gen(function* () {
      for (let i = 0; i < count; i++) yield* Queue.offer(queue, i);
    });
    const consumer = Effect.gen(function* () {
      for (let i = 0; i < count; i++) yield* Queue.take(queue);
    });
    yield* Effect.all([producer, consumer], { concurrency: "unbounded" });
    return (nowNs() - start) / count;
  });
  return Effect.runPromise(program);
}

const contenders: Record<
  string,
  (count: number) => Readonly<Record<"ours" | "peer", () => Promise<number> | number>>
> = {
  switch: (count) => ({ ours: () => run(uncontended(count)), peer: () => run(switches(count)) }),
  bare: (count) => ({ ours: () => run(through(16, count)), peer: () => bareThrough(16, count) }),
  promise: (count) => ({ ours: () => run(through(16, count)), peer: () => promiseThrough(16, count) }),
  effect: (count) => ({ ours: () => run(through(16, count)), peer: () => effectThrough(16, count) }),
  rendezvous: (count) => ({ ours: () => run(through(0, count)), peer: () => promiseThrough(0, count) }),
};

export const bench: Bench = {
  needsRing: false,
  parts: {
    pairs: (which, rounds, count) => alternateWarm(Number(rounds), contenders[which!]!(Number(count))),
  },
  async rows({ rounds, size }) {
    const rows: Row[] = [];
    for (const [which, name, peerName, goal] of [
      ["switch", "send + receive, one task", "a switch", { most: 2 }],
      ["bare", "capacity 16", "bare generators", { most: 120, of: "ours" }],
      ["promise", "capacity 16", "promises", { most: 1 }],
      ["effect", "capacity 16", "Effect Queue", { most: 0.2 }],
      ["rendezvous", "capacity 0", "promises", { most: 1 }],
    ] as const) {
      const { ours, peer } = await shortRounds<"ours" | "peer">(rounds, "sync/channel", "pairs", [
        which,
        size(20, 2),
        size(50_000, 1000),
      ]);
      rows.push(
        compare({
          name: `sync/channel ${name}, beside ${peerName}`,
          unit: "ns",
          ours,
          peer,
          peerName,
          as: "cost",
          goal,
          settings: `min ${Math.min(...ours).toFixed(0)} beside ${Math.min(...peer).toFixed(0)} ns per item`,
        }),
      );
    }
    return rows;
  },
};
