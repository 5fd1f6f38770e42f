/** U08: the rest of JavaScript. After a kill nothing of ours is left there, and nothing of theirs is lost here. */
import { EventEmitter, getEventListeners } from "node:events";
import { describe, expect, test } from "vitest";
import {
  abortSignal,
  consume,
  events,
  fromCallback,
  once,
  runIn,
  toAsyncIterable,
  toPromise,
  until,
  withSignal,
} from "../../src/async/index.ts";
import {
  type Body,
  group,
  type KilledError,
  never,
  op,
  spawn,
  type Task,
  yieldNow,
} from "../../src/coordinator/index.ts";
import { run } from "../../src/node/run.ts";
import { select } from "../../src/sync/index.ts";
import { VirtualRuntime } from "../../src/testing/virtual.ts";
import { sleep } from "../../src/time/sleep.ts";
import { timeout } from "../../src/time/timeout.ts";
import { checked, exhaustive, runChecked, sized } from "../support/harness.ts";
import { expectNoUnhandledRejections } from "../support/rejections.ts";

expectNoUnhandledRejections();

interface Handmade<A> {
  readonly promise: Promise<A>;
  readonly resolve: (value: A) => void;
  readonly reject: (error: unknown) => void;
}

function handmade<A>(): Handmade<A> {
  let resolve!: (value: A) => void;
  let reject!: (error: unknown) => void;
  const promise = new Promise<A>((yes, no) => {
    resolve = yes;
    reject = no;
  });
  return { promise, resolve, reject };
}

/** Spawns `body`, lets it come to its wait, kills it, and gives the runtime and the task. */
async function killedIn(body: Body<unknown>): Promise<{ rt: VirtualRuntime; task: Task }> {
  const rt = new VirtualRuntime();
  const task = rt.cooperator.spawn(body, { failure: "hold" });
  await rt.drainAsync();
  expect(task.status).toBe("blocked");
  task.kill("enough");
  await rt.drainAsync();
  expect(task.exit).toMatchObject({ status: "killed", cause: { reason: "enough" } });
  return { rt, task };
}

describe("U08 a promise in a task", () => {
  test("U08 its value and its error come through", async () => {
    const rt = new VirtualRuntime();
    const main = await rt.runAsync(function* () {
      const value = yield* until(Promise.resolve(1));
      const made = yield* until(async () => 2);
      const plain = yield* until(() => 3);
      let caught: unknown;
      try {
        yield* until(Promise.reject(new Error("no luck")));
      } catch (error) {
        caught = error;
      }
      return [value, made, plain, (caught as Error).message];
    });
    expect(main.result).toEqual([1, 2, 3, "no luck"]);
    checked(rt);
  });

  test("U08 a kill ends the wait at once; a late error is nobody's", async () => {
    const late = handmade<void>();
    const { rt } = await killedIn(() => until(late.promise));
    late.reject(new Error("too late"));
    checked(rt);
  });

  test("U08 a late value goes to onLate, which may be async; what it throws is reported", async () => {
    const got: unknown[] = [];
    const first = handmade<string>();
    const { rt } = await killedIn(() => until(first.promise, { onLate: async (value) => got.push(value) }));
    first.resolve("a socket");
    await rt.drainAsync();
    expect(got).toEqual(["a socket"]);
    const second = handmade<string>();
    const other = await killedIn(() =>
      until(second.promise, {
        onLate: async () => {
          throw new Error("cannot close");
        },
      }),
    );
    second.resolve("a socket");
    await other.rt.drainAsync();
    expect(other.rt.reports.splice(0)).toMatchObject([
      { kind: "hook", where: "onLate of until()", error: { message: "cannot close" } },
    ]);
    checked(rt);
    checked(other.rt);
  });

  test("U08 B09 a value that has come when the kill does is late as well", async () => {
    const got: unknown[] = [];
    const rt = new VirtualRuntime();
    const made = handmade<string>();
    const task = rt.cooperator.spawn(() => until(made.promise, { onLate: (value) => got.push(value) }));
    rt.settle();
    made.resolve("a socket");
    await Promise.resolve();
    expect(task.status).toBe("ready");
    task.kill("enough");
    await rt.drainAsync();
    expect(got).toEqual(["a socket"]);
    expect(task.exit?.status).toBe("killed");
    checked(rt);
  });

  test("U08 with a kill on its way already the promise is dealt with all the same", async () => {
    const got: unknown[] = [];
    const rt = new VirtualRuntime();
    const task = rt.cooperator.spawn(function* (): Generator<unknown, void> {
      task.kill("myself");
      yield* until(Promise.resolve("a socket"), { onLate: (value) => got.push(value) });
    }) as Task;
    const other = rt.cooperator.spawn(function* (): Generator<unknown, void> {
      other.kill("myself");
      yield* until(Promise.reject(new Error("nobody's")));
    }) as Task;
    await rt.drainAsync();
    expect(got).toEqual(["a socket"]);
    checked(rt);
  });

  test("U08 the signal that the function gets is aborted with the kill's reason", async () => {
    let signal!: AbortSignal;
    const { rt } = await killedIn(() =>
      until((given) => {
        signal = given;
        return new Promise(() => {});
      }),
    );
    expect(signal.aborted).toBe(true);
    expect(signal.reason).toMatchObject({ code: "COOP_KILLED", reason: "enough" });
    checked(rt);
  });

  test("U08 the signal of an arm that loses a select is aborted, and one that has served its purpose is not", async () => {
    const signals: AbortSignal[] = [];
    const rt = new VirtualRuntime();
    const main = await rt.runAsync(function* () {
      yield* until((signal) => {
        signals.push(signal);
        return Promise.resolve();
      });
      const slow = until((signal) => {
        signals.push(signal);
        return new Promise(() => {});
      });
      return yield* select({ slow, tick: sleep(1) });
    });
    expect(main.result.key).toBe("tick");
    expect(signals.map((signal) => signal.aborted)).toEqual([false, true]);
    checked(rt);
  });

  test("U08 what merely behaves like a promise is asked once, and believed once", async () => {
    let asked = 0;
    const lazy: PromiseLike<string> = {
      // biome-ignore lint/suspicious/noThenProperty: a query builder is like this
      then(resolve: any) {
        asked++;
        resolve("first");
        resolve("second");
        return undefined as never;
      },
    };
    const rt = new VirtualRuntime();
    const main = await rt.runAsync(function* () {
      const given = yield* until(lazy);
      return [given, yield* until(() => lazy)];
    });
    expect(main.result).toEqual(["first", "first"]);
    expect(asked).toBe(2);
    checked(rt);
  });

  test("U08 what is no promise is refused", () => {
    runChecked(function* () {
      expect(() => until(5 as never)).toThrow(expect.objectContaining({ code: "COOP_NOT_A_PROMISE" }));
      expect(() => until(null as never)).toThrow(expect.objectContaining({ code: "COOP_NOT_A_PROMISE" }));
    });
  });
});

describe("U08 a task as a promise", () => {
  test("U08 it settles with the outcome, when the subtree has ended", async () => {
    const rt = new VirtualRuntime();
    const log: unknown[] = [];
    const good = rt.cooperator.spawn(function* () {
      yield* sleep(1);
      return 1;
    });
    const bad = rt.cooperator.spawn(
      function* () {
        yield* sleep(1);
        throw new Error("no luck");
      },
      { failure: "hold" },
    );
    const killed = rt.cooperator.spawn(never());
    const all = Promise.allSettled([toPromise(good), toPromise(bad), toPromise(killed)]).then((results) =>
      log.push(...results),
    );
    await rt.drainAsync();
    killed.kill("enough");
    await rt.drainAsync();
    await all;
    expect(log).toMatchObject([
      { status: "fulfilled", value: 1 },
      { status: "rejected", reason: { message: "no luck" } },
      { status: "rejected", reason: { code: "COOP_KILLED", reason: "enough" } },
    ]);
    expect(await toPromise(good)).toBe(1);
    checked(rt);
  });

  test("U08 runIn runs an operation on a cooperator that lives, and a signal kills it", async () => {
    const rt = new VirtualRuntime();
    const controller = new AbortController();
    const { signal } = controller;
    const answer = runIn(rt.cooperator, sleep(5), { signal });
    const stopped = runIn(rt.cooperator, never(), { signal, name: "page" });
    const after = expect(stopped).rejects.toMatchObject({
      message: "page#2 was killed by task#3: gone away",
      reason: "gone away",
    });
    expect(getEventListeners(signal, "abort").length).toBe(1);
    rt.cooperator.spawn(function* () {
      yield* sleep(10);
      controller.abort("gone away");
    });
    await rt.drainAsync();
    await answer;
    await after;
    expect(getEventListeners(signal, "abort").length).toBe(0);
    const tooLate = expect(runIn(rt.cooperator, never(), { signal })).rejects.toMatchObject({
      reason: "gone away",
    });
    await rt.drainAsync();
    await tooLate;
    checked(rt);
  });

  test("U08 run takes a signal", async () => {
    const controller = new AbortController();
    const over = run(
      function* () {
        setImmediate(() => controller.abort(new Error("closing")));
        yield* never();
      },
      { signal: controller.signal },
    );
    await expect(over).rejects.toMatchObject({ code: "COOP_KILLED", reason: { message: "closing" } });
    expect(getEventListeners(controller.signal, "abort").length).toBe(0);
    await expect(run(never(), { signal: controller.signal })).rejects.toMatchObject({ code: "COOP_KILLED" });
    expect(await run(async () => 5, { signal: new AbortController().signal })).toBe(5);
    await expect(run(never(), { signal: 5 as never })).rejects.toMatchObject({ code: "COOP_NOT_A_SIGNAL" });
  });
});

describe("U08 AbortSignal", () => {
  test("U08 abortSignal is that of the scope: the same one there, aborted by its kill only", async () => {
    const rt = new VirtualRuntime();
    const signals: AbortSignal[] = [];
    const main = await rt.runAsync(function* () {
      signals.push(abortSignal());
      expect(abortSignal()).toBe(signals[0]);
      try {
        yield* timeout(5, function* () {
          signals.push(abortSignal());
          yield* never();
        });
      } catch {}
      yield* group(function* (g) {
        signals.push(abortSignal());
        g.spawn(sleep(1));
      });
      return signals.map((signal) => signal.aborted);
    });
    expect(main.result).toEqual([false, true, false]);
    expect(signals[0]!.aborted).toBe(false);
    expect((signals[1]!.reason as KilledError).reason).toMatchObject({ code: "COOP_DEADLINE" });
    checked(rt);
  });

  test("U08 it is aborted inside the call that kills, and when the task fails", async () => {
    const rt = new VirtualRuntime();
    let signal!: AbortSignal;
    const task = rt.cooperator.spawn(function* () {
      signal = abortSignal();
      yield* never();
    });
    rt.settle();
    task.kill("enough");
    expect(signal.reason).toMatchObject({ reason: "enough" });
    rt.drain();
    const failing = rt.cooperator.spawn(
      function* () {
        signal = abortSignal();
        yield* sleep(1);
        throw new Error("no luck");
      },
      { failure: "hold" },
    );
    failing.observe();
    rt.drain();
    expect(signal.reason).toMatchObject({ message: "no luck" });
    checked(rt);
  });

  test("U08 withSignal kills its part of the task, with the signal's reason", async () => {
    const controller = new AbortController();
    const log: string[] = [];
    const rt = new VirtualRuntime();
    const main = await rt.runAsync(function* () {
      spawn(function* () {
        yield* sleep(2);
        controller.abort("gone away");
      });
      try {
        yield* withSignal(controller.signal, function* () {
          try {
            yield* never();
          } finally {
            yield* sleep(1);
            log.push("cleaned up");
          }
        });
      } catch (error) {
        log.push(`${(error as KilledError).code}: ${(error as KilledError).reason}`);
      }
      yield* sleep(1);
      // It has been aborted: the body does not begin.
      try {
        yield* withSignal(controller.signal, function* () {
          log.push("BAD");
          yield* sleep(1);
        });
      } catch (error) {
        log.push((error as KilledError).code);
      }
      return yield* withSignal(new AbortController().signal, () => until(Promise.resolve(7)));
    });
    expect(main.result).toBe(7);
    expect(log).toEqual(["cleaned up", "COOP_KILLED: gone away", "COOP_KILLED"]);
    expect(getEventListeners(controller.signal, "abort").length).toBe(0);
    checked(rt);
  });

  test("U08 a reason survives the way out and in again", async () => {
    const rt = new VirtualRuntime();
    let inner!: Task;
    const outer = rt.cooperator.spawn(function* () {
      const promise = runIn(rt.cooperator, never(), { signal: abortSignal() });
      inner = [...rt.cooperator.tasks()].at(-1)!;
      yield* until(promise);
    });
    await rt.drainAsync();
    outer.kill("enough");
    await rt.drainAsync();
    expect(inner.exit).toMatchObject({ status: "killed", cause: { reason: "enough" } });
    checked(rt);
  });

  test("U08 thousands of tasks on one signal have one listener, and none when they are done", () => {
    const controller = new AbortController();
    const { signal } = controller;
    const counts: number[] = [];
    const tasks = sized(5_000, 500);
    runChecked(function* () {
      yield* group(function* (g) {
        for (let i = 0; i < tasks; i++) g.spawn(withSignal(signal, sleep(1)));
        yield* yieldNow();
        counts.push(getEventListeners(signal, "abort").length);
      });
      counts.push(getEventListeners(signal, "abort").length);
    });
    expect(counts).toEqual([1, 0]);
  });

  test("U08 wherever a kill strikes, no listener is left", () => {
    exhaustive(() => {
      const controller = new AbortController();
      return {
        body: function* () {
          yield* group(function* (g) {
            g.spawn(withSignal(controller.signal, sleep(2)));
            g.spawn(withSignal(controller.signal, () => timeout(5, sleep(1))));
            yield* sleep(1);
          });
        },
        check: () => expect(getEventListeners(controller.signal, "abort").length).toBe(0),
      };
    });
  });
});

describe("U08 events", () => {
  test("U08 once gives the arguments, and throws an error the emitter has meanwhile", () => {
    const emitter = new EventEmitter();
    runChecked(function* () {
      spawn(function* () {
        yield* sleep(1);
        emitter.emit("ready", 1, 2);
        yield* sleep(1);
        emitter.emit("error", new Error("no luck"));
      });
      expect(yield* once(emitter, "ready")).toEqual([1, 2]);
      let caught: unknown;
      try {
        yield* once(emitter, "ready");
      } catch (error) {
        caught = error;
      }
      expect(caught).toMatchObject({ message: "no luck" });
    });
    expect(emitter.eventNames()).toEqual([]);
  });

  test("U08 once on an event target", () => {
    const target = new EventTarget();
    runChecked(function* () {
      spawn(function* () {
        yield* sleep(1);
        target.dispatchEvent(new Event("ready"));
      });
      const [event] = yield* once<[Event]>(target, "ready");
      expect(event.type).toBe("ready");
    });
  });

  test("U08 events come one by one and in order; then the end, or the error", () => {
    const emitter = new EventEmitter();
    const log: unknown[] = [];
    runChecked(function* () {
      using lines = events<[string]>(emitter, "line", { end: ["close"] });
      emitter.emit("line", "a");
      emitter.emit("line", "b");
      spawn(function* () {
        yield* sleep(1);
        emitter.emit("line", "c");
        emitter.emit("close");
      });
      for (let next = yield* lines.next(); next !== null; next = yield* lines.next()) log.push(next[0]);
      expect(lines.closed).toBe(true);
      const failing = events(emitter, "line");
      emitter.emit("line", "d");
      emitter.emit("error", new Error("no luck"));
      log.push((yield* failing.next())?.[0]);
      try {
        yield* failing.next();
      } catch (error) {
        log.push((error as Error).message);
      }
    });
    expect(log).toEqual(["a", "b", "c", "d", "no luck"]);
    expect(emitter.eventNames()).toEqual([]);
  });

  test("U08 B09 the error is not lost with the task that it woke, and everybody gets it", () => {
    const emitter = new EventEmitter();
    const error = new Error("no luck");
    runChecked(function* () {
      const lines = events(emitter, "line");
      const killed = spawn(lines.next());
      const other = spawn(lines.next(), { failure: "hold" });
      yield* yieldNow();
      emitter.emit("error", error);
      killed.kill();
      expect(yield* other.settled()).toEqual({ status: "failed", error });
      for (let i = 0; i < 2; i++) {
        const late = spawn(lines.next(), { failure: "hold" });
        expect(yield* late.settled()).toEqual({ status: "failed", error });
      }
    });
  });

  test("U08 B09 an event that a killed task gave back after the end is not lost", () => {
    const emitter = new EventEmitter();
    runChecked(function* () {
      const lines = events(emitter, "line", { end: ["close"] });
      const killed = spawn(lines.next());
      const other = spawn(lines.next());
      yield* yieldNow();
      emitter.emit("line", "kept");
      emitter.emit("close");
      killed.kill();
      // Whichever of the two goes first.
      const given = [yield* other.join()];
      yield* killed.settled();
      given.push(yield* lines.next(), yield* lines.next());
      expect(given.filter((next) => next !== null)).toEqual([["kept"]]);
    });
  });

  test("U08 more events than the limit are an error, never a growing heap", () => {
    const emitter = new EventEmitter();
    runChecked(function* () {
      const lines = events(emitter, "line", { limit: 2 });
      for (let i = 0; i < 4; i++) emitter.emit("line", i);
      expect(emitter.listenerCount("line")).toBe(0);
      expect(yield* lines.next()).toEqual([0]);
      expect(yield* lines.next()).toEqual([1]);
      let caught: unknown;
      try {
        yield* lines.next();
      } catch (error) {
        caught = error;
      }
      expect(caught).toMatchObject({ code: "COOP_BUSY" });
      expect(() => events(emitter, "line", { limit: 0 })).toThrow(/whole number/);
      expect(() => events(5 as never, "line")).toThrow(
        expect.objectContaining({ code: "COOP_NOT_AN_EMITTER" }),
      );
    });
  });

  test("U08 wherever a kill strikes no listener is left, and no event is lost", () => {
    exhaustive(() => {
      const emitter = new EventEmitter();
      const taken: number[] = [];
      let sent = 0;
      let open = false;
      const taker = op(function* taker(lines: ReturnType<typeof events<[number]>>) {
        for (let next = yield* lines.next(); next !== null; next = yield* lines.next()) taken.push(next[0]);
      });
      return {
        body: function* () {
          const lines = events<[number]>(emitter, "line", { end: ["close"] });
          open = true;
          const one = spawn(taker(lines));
          const two = spawn(taker(lines));
          spawn(function* () {
            yield* once(emitter, "line");
          });
          for (let i = 0; i < 3; i++) {
            yield* sleep(1);
            if (emitter.emit("line", sent)) sent++;
          }
          emitter.emit("close");
          yield* one.settled();
          yield* two.settled();
        },
        check: ({ main, kills }) => {
          expect(emitter.eventNames()).toEqual([]);
          if (open && main.exit?.status === "done" && kills.every(({ task }) => task !== 2 && task !== 3)) {
            expect(taken).toEqual([0, 1, 2].slice(0, sent));
          }
        },
      };
    });
  });
});

describe("U08 callbacks", () => {
  test("U08 the first call counts, at once or later", () => {
    runChecked(function* () {
      expect(yield* fromCallback<number>((resolve) => resolve(1))).toBe(1);
      spawn(function* () {
        yield* sleep(1);
        later(2);
        later(3);
      });
      let later!: (value: number) => void;
      const value = yield* fromCallback<number>((resolve) => {
        later = resolve;
      });
      expect(value).toBe(2);
      let caught: unknown;
      try {
        yield* fromCallback((_resolve, reject) => reject(new Error("no luck")));
      } catch (error) {
        caught = error;
      }
      expect(caught).toMatchObject({ message: "no luck" });
    });
  });

  test("U08 a kill stops the work with its cause; B11 a late call is nobody's", async () => {
    let late!: (value: number) => void;
    let cause: unknown = null;
    const { rt } = await killedIn(() =>
      fromCallback<number>((resolve, _reject, onKill) => {
        late = resolve;
        onKill((given) => {
          cause = given?.reason;
        });
      }),
    );
    expect(cause).toBe("enough");
    late(1);
    await rt.drainAsync();
    checked(rt);
  });
});

describe("U08 async iterables", () => {
  async function* numbers(log: string[], upTo = 3): AsyncGenerator<number> {
    try {
      for (let i = 0; i < upTo; i++) {
        await null;
        yield i;
      }
    } finally {
      await null;
      log.push("returned");
    }
  }

  test("U08 all items, then the end", async () => {
    const log: string[] = [];
    const rt = new VirtualRuntime();
    const main = await rt.runAsync(() =>
      consume(numbers(log), function* (source) {
        const got: number[] = [];
        for (let next = yield* source.next(); !next.done; next = yield* source.next()) got.push(next.value);
        expect(yield* source.next()).toEqual({ done: true, value: undefined });
        return got;
      }),
    );
    expect(main.result).toEqual([0, 1, 2]);
    expect(log).toEqual(["returned"]);
    checked(rt);
  });

  test("U08 to leave early calls return, and waits for it; so does a kill, and so does an error", async () => {
    const log: string[] = [];
    const rt = new VirtualRuntime();
    const main = await rt.runAsync(function* () {
      const first = yield* consume(numbers(log), function* (source) {
        return (yield* source.next()).value;
      });
      log.push(`left with ${first}`);
      const child = spawn(() =>
        consume(numbers(log), function* (source) {
          yield* source.next();
          yield* never();
        }),
      );
      yield* sleep(1);
      yield* child.killAndWait();
      log.push("killed");
      try {
        yield* consume(numbers(log), function* () {
          yield* yieldNow();
          throw new Error("no luck");
        });
      } catch (error) {
        log.push((error as Error).message);
      }
    });
    expect(main.exit?.status).toBe("done");
    // One that never began has nothing to clean up.
    expect(log).toEqual(["returned", "left with 0", "returned", "killed", "no luck"]);
    checked(rt);
  });

  test("U08 C06 what return() throws comes after what the body has thrown", async () => {
    const [first, second] = [new Error("body"), new Error("return")];
    const broken: AsyncIterable<number> = {
      [Symbol.asyncIterator]: () => ({
        next: async () => ({ done: false, value: 1 }),
        return: () => Promise.reject(second),
      }),
    };
    const rt = new VirtualRuntime();
    const task = rt.cooperator.spawn(
      () =>
        consume(broken, function* (source) {
          yield* source.next();
          throw first;
        }),
      { failure: "hold" },
    );
    await rt.drainAsync();
    expect(task.exit).toEqual({ status: "failed", error: first });
    expect((first as { errors?: unknown }).errors).toEqual([second]);
    task.observe();
    checked(rt);
  });

  test("U08 an item whose wait was left is there for the next one; an error is thrown once", async () => {
    const slow = handmade<void>();
    async function* items(): AsyncGenerator<number> {
      await slow.promise;
      yield 1;
      throw new Error("no luck");
    }
    const rt = new VirtualRuntime();
    const main = await rt.runAsync(() =>
      consume(items(), function* (source) {
        const got: unknown[] = [];
        try {
          yield* timeout(1, source.next());
        } catch (error) {
          got.push((error as { code: string }).code);
        }
        slow.resolve();
        got.push((yield* source.next()).value);
        try {
          yield* source.next();
        } catch (error) {
          got.push((error as Error).message);
        }
        got.push((yield* source.next()).done);
        return got;
      }),
    );
    expect(main.result).toEqual(["COOP_DEADLINE", 1, "no luck", true]);
    checked(rt);
  });

  test("U08 a task makes the items of an async iterable, one each time it is asked", async () => {
    const log: string[] = [];
    const rt = new VirtualRuntime();
    const main = await rt.runAsync(async (self) => {
      const squares = toAsyncIterable<number>(
        self,
        (emit) =>
          function* () {
            for (let i = 1; i <= 3; i++) {
              log.push(`makes ${i}`);
              yield* sleep(1);
              yield* emit(i * i);
            }
          },
      );
      for await (const square of squares) log.push(`got ${square}`);
      expect(await squares.next()).toEqual({ done: true, value: undefined });
    });
    expect(main.exit?.status).toBe("done");
    expect(log).toEqual(["makes 1", "got 1", "makes 2", "got 4", "makes 3", "got 9"]);
    checked(rt);
  });

  test("U08 breaking out of the loop kills the task and waits for it; its error is thrown in the loop", async () => {
    const log: string[] = [];
    const rt = new VirtualRuntime();
    const main = await rt.runAsync(async (self) => {
      const endless = toAsyncIterable<number>(
        self,
        (emit) =>
          function* () {
            try {
              for (let i = 0; ; i++) yield* emit(i);
            } finally {
              yield* sleep(5);
              log.push("cleaned up");
            }
          },
      );
      for await (const item of endless) if (item === 2) break;
      log.push("left");
      const failing = toAsyncIterable<number>(
        self,
        (emit) =>
          function* () {
            yield* emit(1);
            throw new Error("no luck");
          },
      );
      try {
        for await (const item of failing) log.push(`got ${item}`);
      } catch (error) {
        log.push((error as Error).message);
      }
      const several = toAsyncIterable<number>(
        self,
        (emit) =>
          function* () {
            yield* emit(1);
            yield* emit(2);
          },
      );
      log.push(
        JSON.stringify(await Promise.all([several.next(), several.next(), several.next(), several.next()])),
      );
    });
    expect(main.exit?.status).toBe("done");
    expect(log).toEqual([
      "cleaned up",
      "left",
      "got 1",
      "no luck",
      '[{"done":false,"value":1},{"done":false,"value":2},{"done":true},{"done":true}]',
    ]);
    checked(rt);
  });

  test("U08 the end of the owner ends the task, and the loop", async () => {
    const rt = new VirtualRuntime();
    const owner = rt.cooperator.spawn(never());
    const items = toAsyncIterable<number>(owner, () => never());
    rt.settle();
    const over = expect(items.next()).rejects.toMatchObject({ code: "COOP_KILLED", reason: "enough" });
    rt.settle();
    owner.kill("enough");
    await rt.drainAsync();
    await over;
    const closed = toAsyncIterable<number>(owner, () => never());
    await expect(closed.next()).rejects.toMatchObject({ code: "COOP_CLOSED" });
    checked(rt);
  });
});
