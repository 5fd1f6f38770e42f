/** Handles in the order of their completion: one task with many in flight, another that reaps for it. */
import { describe, expect, test } from "vitest";
import { EmbeddedList, op, spawn } from "../../src/coordinator/index.ts";
import { CompletionQueue } from "../../src/handle/index.ts";
import { allocate, Handle as IoHandle, open, setupRead, setupWrite } from "../../src/io/index.ts";
import { VirtualRuntime } from "../../src/testing/virtual.ts";
import { Handle as TimeHandle } from "../../src/time/index.ts";
import { sleep } from "../../src/time/sleep.ts";
import { checked, exhaustive, runChecked } from "../support/harness.ts";
import { freshPath, pattern, runIo } from "../support/io.ts";

class Timer extends TimeHandle {
  readonly millis: number;
  constructor(millis: number, queue: CompletionQueue<Timer> | null) {
    super();
    this.millis = millis;
    this.queue = queue;
  }
  start(): void {
    this.setup(this.millis);
  }
}

describe("a task with many operations", () => {
  test("takes them in the order of their completion, not in that of their start", () => {
    const order = runChecked(function* () {
      const queue = new CompletionQueue<Timer>();
      for (const millis of [30, 10, 20, 10]) new Timer(millis, queue).start();
      expect([queue.expected, queue.ready]).toEqual([4, 0]);
      const found: number[] = [];
      while (queue.expected > 0) found.push((yield* queue.take()).millis);
      return found;
    });
    expect(order).toEqual([10, 10, 20, 30]);
  });

  test("takes that were made and not begun are each a wait of its own", () => {
    const found = runChecked(function* () {
      const queue = new CompletionQueue<Timer>();
      const tasks = [spawn(queue.take()), spawn(queue.take())];
      for (const millis of [2, 1]) new Timer(millis, queue).start();
      return [(yield* tasks[0].join()).millis, (yield* tasks[1].join()).millis];
    });
    expect(found).toEqual([1, 2]);
  });

  test("finds those that are done already without waiting", () => {
    runChecked(function* () {
      const queue = new CompletionQueue<Timer>();
      expect(queue.tryTake()).toBe(null);
      for (const millis of [2, 1]) new Timer(millis, queue).start();
      yield* sleep(5);
      expect([queue.expected, queue.ready]).toEqual([2, 2]);
      expect(queue.tryTake()?.millis).toBe(1);
      expect((yield* queue.take()).millis).toBe(2);
      expect([queue.expected, queue.ready]).toEqual([0, 0]);
    });
  });

  test("M-053 a cancelled one comes too, with its errno", () => {
    runChecked(function* () {
      const queue = new CompletionQueue<Timer>();
      const [slow, quick] = [new Timer(1000, queue), new Timer(1, queue)];
      slow.start();
      quick.start();
      expect(yield* queue.take()).toBe(quick);
      slow.cancel();
      expect(yield* queue.take()).toBe(slow);
      expect(slow.result).toBe(-125);
    });
  });

  test("a handle that is set up again before it was taken is expected once", () => {
    runChecked(function* () {
      const queue = new CompletionQueue<Timer>();
      const timer = new Timer(1, queue);
      timer.start();
      yield* sleep(5);
      timer.start();
      expect([queue.expected, queue.ready]).toEqual([1, 0]);
      expect(yield* queue.take()).toBe(timer);
      const other = new CompletionQueue<Timer>();
      timer.start();
      yield* sleep(5);
      timer.queue = other;
      timer.start();
      expect([queue.expected, queue.ready, other.expected]).toEqual([0, 0, 1]);
      yield* other.take();
      timer.queue = null;
      timer.start();
      yield* timer;
      expect(other.ready).toBe(0);
    });
  });

  test("another task reaps for it (M-034)", () => {
    runChecked(function* () {
      const queue = new CompletionQueue<Timer>();
      const found: number[] = [];
      const reaper = spawn(function* () {
        for (let left = 3; left > 0; left--) found.push((yield* queue.take()).millis);
      });
      const starter = spawn(function* () {
        for (const millis of [3, 1, 2]) new Timer(millis, queue).start();
        yield* reaper.join();
      });
      yield* starter.join();
      expect(found).toEqual([1, 2, 3]);
    });
  });

  test("the end of the task that set them up ends what is pending, and the reaper sees it", () => {
    const rt = new VirtualRuntime();
    rt.run(function* () {
      const queue = new CompletionQueue<Timer>();
      yield* spawn(function* () {
        yield* sleep(0);
        new Timer(1000, queue).start();
      }).join();
      expect((yield* queue.take()).result).toBe(-125);
    });
    checked(rt);
    expect(rt.cooperator.now()).toBeLessThan(1e9);
  });

  test("exh: whoever is killed, no completion is lost or taken twice", () => {
    exhaustive(() => {
      const queue = new CompletionQueue<Timer>();
      const taken: Timer[] = [];
      let started = 0;
      const reaper = op(function* () {
        while (true) taken.push(yield* queue.take());
      });
      return {
        body: function* () {
          const reapers = [spawn(reaper()), spawn(reaper())];
          for (const millis of [2, 1, 2, 3]) {
            new Timer(millis, queue).start();
            started++;
          }
          yield* sleep(10);
          for (const task of reapers) task.kill();
          yield* reapers[0]!.settled();
          yield* reapers[1]!.settled();
        },
        check() {
          expect(queue.expected).toBe(queue.ready);
          expect(taken.length + queue.ready).toBe(started);
          expect(new Set(taken).size).toBe(taken.length);
        },
      };
    });
  });
});

describe("on the real ring", () => {
  test("M-052 sixty-four reads in flight are reaped as they come, and each buffer has its own page", async () => {
    await runIo(function* () {
      const file = yield* open(freshPath(), "w+");
      const content = pattern(64 * 512);
      yield* file.writeAll(content);
      const queue = new CompletionQueue<IoHandle>();
      const pages = new Map<IoHandle, { page: number; into: Buffer }>();
      for (let page = 0; page < 64; page++) {
        const handle = new IoHandle();
        handle.queue = queue;
        const into = allocate(512);
        pages.set(handle, { page, into });
        setupRead(handle, file, into, { position: page * 512 });
      }
      while (queue.expected > 0) {
        const handle = yield* queue.take();
        expect(handle.result).toBe(512);
        const { page, into } = pages.get(handle)!;
        expect(into.equals(content.subarray(page * 512, (page + 1) * 512))).toBe(true);
        pages.delete(handle);
        if (page % 8 !== 0) continue;
        // It can be used again at once, for this queue or for none.
        handle.queue = null;
        setupWrite(handle, file, into, { position: page * 512 });
        expect(yield* handle).toBe(512);
      }
    });
  });
});

test("a list can take a node in front", () => {
  const list = new EmbeddedList<Timer>();
  const [a, b, c] = [new Timer(1, null), new Timer(2, null), new Timer(3, null)];
  list.unshift(b);
  list.unshift(a);
  list.push(c);
  list.validate();
  expect([...list].map(({ millis }) => millis)).toEqual([1, 2, 3]);
});
