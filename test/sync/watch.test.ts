/** A value that changes, and those who wait for it. */
import { expect, test } from "vitest";
import { ClosedError, spawn, yieldNow } from "../../src/coordinator/index.ts";
import { END } from "../../src/sync/channel.ts";
import { select } from "../../src/sync/select.ts";
import { Watch } from "../../src/sync/watch.ts";
import { sleep } from "../../src/time/sleep.ts";
import { exhaustive, runChecked } from "../support/harness.ts";

test("a watcher gets the latest value, and not those between", () => {
  runChecked(function* () {
    const level = new Watch(1);
    const watcher = level.watch();
    const task = spawn(watcher.receive());
    yield* yieldNow();
    expect(level.waiting).toBe(1);
    for (const value of [2, 3]) level.value = value;
    expect(yield* task.join()).toBe(3);
    level.value = 4;
    expect(yield* watcher.receive()).toBe(4);
    expect((yield* select({ change: watcher.receive(), tick: sleep(1) })).key).toBe("tick");
    expect(yield* level.watch({ now: true }).receive()).toBe(4);
  });
});

test("all watchers are woken, and each has seen what it has seen", () => {
  runChecked(function* () {
    const level = new Watch<string | undefined>("a");
    const [one, two] = [level.watch(), level.watch()];
    const tasks = [spawn(one.receive()), spawn(two.receive())];
    yield* yieldNow();
    level.value = undefined;
    for (const task of tasks) expect(yield* task.join()).toBe(undefined);
  });
});

test("after a close: a change that was not seen, then the end, or the error", () => {
  runChecked(function* () {
    const level = new Watch(1);
    const watcher = level.watch();
    const waiting = spawn(level.watch({ now: true }).receiveOrEnd());
    level.value = 2;
    level.close();
    level.close(new Error("too late"));
    expect(yield* waiting.join()).toBe(2);
    expect(yield* watcher.receiveOrEnd()).toBe(2);
    expect(yield* watcher.receiveOrEnd()).toBe(END);
    expect(yield* spawn(watcher.receive(), { failure: "hold" }).settled()).toMatchObject({
      error: { code: "COOP_CLOSED" },
    });
    expect(() => {
      level.value = 3;
    }).toThrow(ClosedError);
    const broken = new Watch(1);
    const error = new Error("broken");
    broken.close(error);
    expect(yield* spawn(broken.watch().receiveOrEnd(), { failure: "hold" }).settled()).toMatchObject({
      error,
    });
  });
});

test("a watcher that is killed, at any point, is left nowhere, and has not seen what it did not get", () => {
  exhaustive(() => {
    const level = new Watch(0);
    const watcher = level.watch();
    return {
      body: function* () {
        spawn(watcher.receive());
        yield* sleep(1);
        level.value = 1;
        yield* sleep(1);
      },
      check: () => expect(level.waiting).toBe(0),
    };
  });
});

test("two waits of one watcher both get the change that ends them", () => {
  runChecked(function* () {
    const level = new Watch(1);
    const watcher = level.watch();
    const tasks = [spawn(watcher.receive()), spawn(watcher.receive())];
    yield* sleep(1);
    level.value = 2;
    for (const task of tasks) expect(yield* task.join()).toBe(2);
    const next = spawn(watcher.receive());
    yield* sleep(1);
    expect(next.status).toBe("blocked");
    level.value = 3;
    expect(yield* next.join()).toBe(3);
  });
});
