/** The channel tests of coop (seeds 1.13), one by one, with the same or a stricter outcome. */
import { describe, expect, test } from "vitest";
import { group, op, spawn, type Task, yieldNow } from "../../src/coordinator/index.ts";
import { Channel, EMPTY, END } from "../../src/sync/channel.ts";
import { each, filter, merge, pipe } from "../../src/sync/dataflow.ts";
import { select, trySelect } from "../../src/sync/select.ts";
import { every } from "../../src/time/interval.ts";
import { now, sleep } from "../../src/time/sleep.ts";
import { runChecked } from "../support/harness.ts";

type Test = () => Generator<unknown, void, any>;

/** What a receiver gets until the end. */
const collect = op(function* <T>(channel: Channel<T>) {
  const items: T[] = [];
  yield* each(channel, function* (item) {
    items.push(item);
  });
  return items;
});

const filled = <T>(items: readonly T[], capacity = 16): Channel<T> => {
  const channel = new Channel<T>(capacity);
  for (const item of items) channel.trySend(item);
  return channel;
};

const ended = <T>(items: readonly T[]): Channel<T> => {
  const channel = filled(items);
  channel.close();
  return channel;
};

const isClosed = op(function* (task: Task<unknown>) {
  expect(yield* task.settled()).toMatchObject({ status: "failed", error: { code: "COOP_CLOSED" } });
});

const blocked = op(function* (task: Task<any>) {
  yield* yieldNow();
  expect(task.status).toBe("blocked");
});

const basics: Record<string, Test> = {
  *SendRecv() {
    const channel = new Channel<number>(4);
    yield* channel.send(42);
    expect(yield* channel.receive()).toBe(42);
  },
  *TrySendFull() {
    expect(filled([1, 2], 2).trySend(3)).toBe(false);
  },
  *TryRecvEmpty() {
    expect(new Channel<number>(1).tryReceive()).toBe(EMPTY);
  },
  *Shutdown() {
    const channel = ended([1]);
    channel.close();
    expect([channel.tryReceive(), channel.tryReceive(), channel.closed]).toEqual([1, END, true]);
    yield* isClosed(spawn(channel.send(2), { failure: "hold" }));
  },
  *SendBlocksWhenFull() {
    const channel = filled([1], 1);
    const sender = spawn(channel.send(2));
    yield* blocked(sender);
    expect([yield* channel.receive(), yield* channel.receive()]).toEqual([1, 2]);
    yield* sender.join();
  },
  *RecvBlocksWhenEmpty() {
    const channel = new Channel<number>(1);
    const receiver = spawn(channel.receive());
    yield* blocked(receiver);
    yield* channel.send(7);
    expect(yield* receiver.join()).toBe(7);
  },
  *ShutdownWakesBlockedRecv() {
    const channel = new Channel<number>(1);
    const receivers = [0, 1, 2].map(() => spawn(channel.receiveOrEnd()));
    yield* blocked(receivers[0]!);
    channel.close();
    for (const receiver of receivers) expect(yield* receiver.join()).toBe(END);
  },
  *ShutdownWakesBlockedSend() {
    const channel = filled([0], 1);
    const senders = [1, 2, 3].map((item) => spawn(channel.send(item), { failure: "hold" }));
    yield* blocked(senders[0]!);
    channel.close();
    for (const sender of senders) yield* isClosed(sender);
    expect(channel.drain()).toEqual([0]);
  },
  *SendAll() {
    const channel = new Channel<number>(4);
    yield* channel.sendAll([1, 2, 3]);
    expect(channel.drain()).toEqual([1, 2, 3]);
  },
  *SendAllBlocks() {
    const channel = new Channel<number>(2);
    const sender = spawn(function* () {
      yield* channel.sendAll([1, 2, 3, 4, 5]);
      channel.close();
    });
    yield* blocked(sender);
    expect(yield* collect(channel)).toEqual([1, 2, 3, 4, 5]);
  },
  *Drain() {
    expect(filled([1, 2, 3]).drain()).toEqual([1, 2, 3]);
  },
  *DrainPartial() {
    const channel = filled([1, 2, 3]);
    expect([channel.drain(2), channel.size, channel.drain(2), channel.drain(0)]).toEqual([
      [1, 2],
      1,
      [3],
      [],
    ]);
  },
  *MultipleProducersConsumers() {
    const channel = new Channel<number>(4);
    const got: number[] = [];
    yield* group(function* (g) {
      const producers = [0, 1, 2].map((p) =>
        g.spawn(channel.sendAll(Array.from({ length: 50 }, (_, i) => p * 50 + i))),
      );
      for (let c = 0; c < 3; c++) {
        g.spawn(function* () {
          got.push(...(yield* collect(channel)));
        });
      }
      for (const producer of producers) yield* producer.join();
      channel.close();
    });
    expect(got.sort((a, b) => a - b)).toEqual(Array.from({ length: 150 }, (_, i) => i));
  },
  *FixedChannel() {
    const channel = filled([1, 2, 3, 4], 4);
    expect([channel.capacity, channel.trySend(5), channel.drain().length]).toEqual([4, false, 4]);
  },
  *MoveOnlyType() {
    const item = { moved: true };
    const channel = filled([item]);
    expect(yield* channel.receive()).toBe(item);
  },
  *MoveOnlyTypeBlocking() {
    const item = {};
    const channel = new Channel<object>();
    const receiver = spawn(channel.receive());
    yield* channel.send(item);
    expect(yield* receiver.join()).toBe(item);
  },
  *MoveOnlyTypeSelect() {
    const item = {};
    expect((yield* select({ got: filled([item]).receive() })).value).toBe(item);
  },
  *VoidChannel() {
    const channel = filled([undefined, undefined], 2);
    expect([channel.trySend(undefined), channel.drain().length]).toEqual([false, 2]);
  },
};

const selects: Record<string, Test> = {
  *SelectRecv() {
    const [a, b] = [new Channel<number>(1), filled([2])];
    expect(yield* select({ a: a.receive(), b: b.receive() })).toEqual({ key: "b", value: 2 });
  },
  *SelectRecvShutdown() {
    const won = yield* select({
      a: new Channel<number>(1).receiveOrEnd(),
      b: ended<number>([]).receiveOrEnd(),
    });
    expect(won).toEqual({ key: "b", value: END });
  },
  *VoidChannelSelect() {
    expect(yield* select({ a: filled([undefined]).receive() })).toEqual({ key: "a", value: undefined });
  },
  *SelectAnyVoid() {
    const channels = [new Channel<void>(1), filled<void>([undefined])];
    expect((yield* select(channels.map((channel) => channel.receive()))).key).toBe(1);
  },
  *SelectSend() {
    const [full, free] = [filled([0], 1), new Channel<number>(1)];
    expect((yield* select({ full: full.send(1), free: free.send(2) })).key).toBe("free");
    expect([full.drain(), free.drain()]).toEqual([[0], [2]]);
  },
  *SelectMixedRecvSend() {
    const [empty, free] = [new Channel<number>(1), new Channel<number>(1)];
    expect((yield* select({ receive: empty.receive(), send: free.send(2) })).key).toBe("send");
    expect((yield* select({ receive: free.receive(), send: empty.send(3) })).key).toBe("receive");
    expect(empty.size).toBe(0);
  },
  *SelectSendShutdown() {
    const channel = ended<number>([]);
    yield* isClosed(spawn(select({ send: channel.send(1) }), { failure: "hold" }));
  },
  *SelectDefault() {
    expect(trySelect({ a: new Channel<number>(1).receive() })).toBe(null);
    expect(trySelect({ a: filled([1]).receive() })).toEqual({ key: "a", value: 1 });
  },
  *SelectTimeout() {
    expect((yield* select({ a: new Channel<number>(1).receive(), timeout: sleep(5) })).key).toBe("timeout");
    expect(now()).toBe(5);
  },
  *SelectTimeoutNotFired() {
    expect((yield* select({ a: filled([1]).receive(), timeout: sleep(5) })).key).toBe("a");
    expect(now()).toBe(0);
  },
  *SelectTimeoutMixed() {
    const [full, empty] = [filled([0], 1), new Channel<number>(1)];
    const won = yield* select({ send: full.send(1), receive: empty.receive(), timeout: sleep(1) });
    expect([won.key, full.statistics().waitingSenders, full.size]).toEqual(["timeout", 0, 1]);
  },
  *SelectAny() {
    const channels = [new Channel<number>(1), new Channel<number>(1), new Channel<number>(1)];
    const task = spawn(select(channels.map((channel) => channel.receive())));
    yield* blocked(task);
    yield* channels[2]!.send(9);
    expect(yield* task.join()).toEqual({ key: 2, value: 9 });
    for (const channel of channels) expect(channel.statistics().waitingReceivers).toBe(0);
  },
  *TickerRecv() {
    const ticks = every(10);
    for (const at of [10, 20, 30]) {
      yield* ticks.next();
      expect(now()).toBe(at);
    }
  },
  *TickerSelect() {
    const ticks = every(10);
    expect((yield* select({ a: new Channel<number>(1).receive(), tick: ticks.next() })).key).toBe("tick");
  },
  *TickerStopImmediate() {
    const task = spawn(every(10).next());
    yield* task.killAndWait();
    expect(now()).toBe(0);
  },
  *TickerDestroyWithoutStop() {
    every(10);
    expect(now()).toBe(0);
  },
};

const double = (n: number): number => n * 2;
const even = (n: number): boolean => n % 2 === 0;

const flows: Record<string, Test> = {
  *PipeBasicTransform() {
    const out = new Channel<number>(1);
    spawn(pipe(ended([1, 2, 3]), out, double));
    expect(yield* collect(out)).toEqual([2, 4, 6]);
  },
  *PipeSourceShutdownPropagates() {
    const [source, out] = [new Channel<number>(1), new Channel<number>(1)];
    spawn(pipe(source, out));
    const receiver = spawn(out.receiveOrEnd());
    yield* blocked(receiver);
    source.close();
    expect(yield* receiver.join()).toBe(END);
  },
  *PipeSourceErrorPropagates() {
    const [source, out] = [new Channel<number>(1), new Channel<number>(1)];
    const task = spawn(pipe(source, out));
    const error = new Error("the source failed");
    source.close(error);
    expect(yield* spawn(out.receive(), { failure: "hold" }).settled()).toMatchObject({ error });
    expect((yield* task.settled()).status).toBe("done");
  },
  *PipeChained() {
    const [middle, out] = [new Channel<number>(1), new Channel<string>(1)];
    spawn(pipe(ended([1, 2]), middle, double));
    spawn(pipe(middle, out, String));
    expect(yield* collect(out)).toEqual(["2", "4"]);
  },
  *PipeStopEarly() {
    const [source, out] = [new Channel<number>(1), new Channel<number>(1)];
    const producer = spawn(source.sendAll([1, 2, 3, 4, 5, 6]), { failure: "hold" });
    const task = spawn(pipe(source, out));
    expect(yield* out.receive()).toBe(1);
    out.abandon();
    yield* task.join();
    expect(source.closed).toBe(true);
    yield* isClosed(producer);
  },
  *PipeKilled() {
    const [source, out] = [new Channel<number>(1), new Channel<number>(1)];
    const task = spawn(pipe(source, out));
    const receiver = spawn(out.receive(), { failure: "hold" });
    yield* blocked(receiver);
    yield* task.killAndWait();
    expect(yield* receiver.settled()).toMatchObject({ error: { message: /was killed/ } });
  },
  *PipeThrows() {
    const out = new Channel<number>(1);
    const error = new Error("transform");
    const task = spawn(
      pipe(ended([1]), out, () => {
        throw error;
      }),
      { failure: "hold" },
    );
    expect(yield* task.settled()).toMatchObject({ error });
    expect(yield* spawn(out.receive(), { failure: "hold" }).settled()).toMatchObject({ error });
  },
  *PipeSelectComposition() {
    const [out, other] = [new Channel<number>(1), new Channel<number>(1)];
    spawn(pipe(ended([5]), out, double));
    expect(yield* select({ other: other.receive(), out: out.receive() })).toEqual({ key: "out", value: 10 });
  },
  *MergeBasic() {
    const out = new Channel<number>(1);
    spawn(merge([ended([1, 2]), ended([3, 4])], out));
    expect((yield* collect(out)).sort()).toEqual([1, 2, 3, 4]);
  },
  *MergeOneSourceDiesEarly() {
    const [late, out] = [new Channel<number>(1), new Channel<number>(4)];
    spawn(merge([ended([1]), late], out));
    expect(yield* out.receive()).toBe(1);
    yield* late.send(2);
    expect(yield* out.receive()).toBe(2);
    late.close();
    expect(yield* out.receiveOrEnd()).toBe(END);
  },
  *MergePipeComposition() {
    const [piped, out] = [new Channel<number>(1), new Channel<number>(1)];
    spawn(pipe(ended([1, 2]), piped, double));
    spawn(merge([piped, ended([7])], out));
    expect((yield* collect(out)).sort()).toEqual([2, 4, 7]);
  },
  *MergeStopEarly() {
    const [a, b, out] = [new Channel<number>(1), new Channel<number>(1), new Channel<number>(1)];
    const task = spawn(merge([a, b], out));
    yield* a.send(1);
    expect(yield* out.receive()).toBe(1);
    out.abandon();
    yield* b.send(2);
    yield* task.join();
    expect([a.closed, b.closed]).toEqual([true, true]);
  },
  *MergeChained() {
    const [first, out] = [new Channel<number>(1), new Channel<number>(1)];
    spawn(merge([ended([1]), ended([2])], first));
    spawn(merge([first, ended([3])], out));
    expect((yield* collect(out)).sort()).toEqual([1, 2, 3]);
  },
  *FilterBasic() {
    const out = new Channel<number>(1);
    spawn(filter(ended([1, 2, 3, 4]), out, even));
    expect(yield* collect(out)).toEqual([2, 4]);
  },
  *FilterRejectAll() {
    const out = new Channel<number>(1);
    spawn(filter(ended([1, 3]), out, even));
    expect(yield* collect(out)).toEqual([]);
  },
  *FilterPipeComposition() {
    const [middle, out] = [new Channel<number>(1), new Channel<number>(1)];
    spawn(filter(ended([1, 2, 3, 4]), middle, even));
    spawn(pipe(middle, out, double));
    expect(yield* collect(out)).toEqual([4, 8]);
  },
  *FilterStopEarly() {
    const [source, out] = [new Channel<number>(1), new Channel<number>(1)];
    const task = spawn(filter(source, out, even));
    const producer = spawn(source.sendAll([2, 4, 6, 8, 10]), { failure: "hold" });
    expect(yield* out.receive()).toBe(2);
    out.abandon();
    yield* task.join();
    yield* isClosed(producer);
  },
};

/** A subscription of coop is a task that runs `each`: cancelling it is a kill, waiting for it is a join. */
const subscribe = (channel: Channel<number>, log: number[], stopAt = -1) =>
  spawn(
    each(channel, function* (item) {
      log.push(item);
      return item !== stopAt;
    }),
  );

const subscriptions: Record<string, Test> = {
  *DeliversInOrder() {
    const [channel, log] = [new Channel<number>(2), [] as number[]];
    const task = subscribe(channel, log);
    yield* channel.sendAll([1, 2, 3, 4]);
    channel.close();
    yield* task.join();
    expect(log).toEqual([1, 2, 3, 4]);
  },
  *DrainsBurstInOneFire() {
    const [channel, log] = [new Channel<number>(8), [] as number[]];
    const task = subscribe(channel, log);
    yield* yieldNow();
    for (const item of [1, 2, 3]) channel.trySend(item);
    yield* yieldNow();
    expect(log).toEqual([1, 2, 3]);
    yield* task.killAndWait();
  },
  *ShutdownRetiresArm() {
    const channel = new Channel<number>(1);
    const task = subscribe(channel, []);
    yield* blocked(task);
    channel.close();
    yield* task.join();
  },
  *ControlStopRetiresOneArm() {
    const [a, b, log] = [filled([1, 2]), filled([10, 20]), [] as number[]];
    const tasks = [subscribe(a, log, 1), subscribe(b, log)];
    yield* tasks[0]!.join();
    yield* yieldNow();
    expect([log, a.size]).toEqual([[1, 10, 20], 1]);
    yield* tasks[1]!.killAndWait();
  },
  *ControlCancelAllRetiresSubscription() {
    const [a, b] = [new Channel<number>(1), filled([1])];
    const all = spawn(
      group(function* (g) {
        g.spawn(each(a, function* () {}));
        g.spawn(
          each(b, function* () {
            g.kill("all of it");
          }),
        );
      }),
      { failure: "hold" },
    );
    expect(yield* all.settled()).toMatchObject({ status: "failed", error: { code: "COOP_KILLED" } });
    expect(a.statistics().waitingReceivers).toBe(0);
  },
  *WaitJoinsOnAllShutdown() {
    const channels = [new Channel<number>(1), new Channel<number>(1)];
    const all = spawn(
      group(function* (g) {
        for (const channel of channels) g.spawn(each(channel, function* () {}));
      }),
    );
    yield* blocked(all);
    channels[0]!.close();
    yield* blocked(all);
    channels[1]!.close();
    yield* all.join();
  },
  *AdoptsBufferedItems() {
    const log: number[] = [];
    yield* subscribe(ended([1, 2]), log).join();
    expect(log).toEqual([1, 2]);
  },
  *AlreadyShutdownEmptyRetiresImmediately() {
    yield* subscribe(ended<number>([]), []).join();
  },
  *AlreadyShutdownDrainsBufferThenRetires() {
    const log: number[] = [];
    yield* subscribe(ended([3]), log).join();
    expect(log).toEqual([3]);
  },
  *DrivenThroughBaseInterface() {
    const channel = ended([1]);
    const log: number[] = [];
    yield* each(
      { receive: () => channel.receive(), receiveOrEnd: () => channel.receiveOrEnd() },
      function* (item) {
        log.push(item);
      },
    );
    expect(log).toEqual([1]);
  },
};

describe.each(Object.entries({ Channel: basics, Select: selects, Flow: flows, Subscribe: subscriptions }))(
  "%s",
  (_suite, tests) => {
    test.each(Object.entries(tests))("%s", (_name, body) => {
      runChecked(body);
    });
  },
);
