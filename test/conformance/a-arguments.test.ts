/** Section A, third part: arguments that are none. Each is a typed error where it stands, and nothing has begun. */
import { Effect } from "effect";
import { expect, test } from "vitest";
import { events, once, runIn, toAsyncIterable, toPromise, until } from "../../src/async/index.ts";
import {
  all,
  allSettled,
  Coordinator,
  callChain,
  childrenOf,
  describeTask,
  dumpTree,
  findCycle,
  group,
  never,
  profile,
  Signal,
  self,
  spawn,
  spawnReady,
  supervise,
  UsageError,
} from "../../src/coordinator/index.ts";
import { runEffect, toEffect } from "../../src/effect/index.ts";
import {
  Barrier,
  Broadcast,
  Channel,
  Condition,
  Event,
  each,
  filter,
  Latch,
  Mutex,
  merge,
  Once,
  pipe,
  RateLimiter,
  RwLock,
  Semaphore,
  SingleFlight,
  select,
  trySelect,
  Watch,
} from "../../src/sync/index.ts";
import { checkAtRest } from "../../src/testing/index.ts";
import { sleep } from "../../src/time/index.ts";
import { runChecked } from "../support/harness.ts";

const body = function* () {};
const ready = (say: (value: unknown) => void) => {
  say(null);
  return sleep(1);
};

/** What takes options; what they are is up to the caller. */
const takeOptions: Record<string, (options: any) => unknown> = {
  spawn: (options) => spawn(body, options),
  spawnReady: (options) => spawnReady(ready, options),
  group: (options) => group(body, options),
  all: (options) => all([body], options),
  allSettled: (options) => allSettled([body], options),
  supervise: (options) => supervise(body, options),
  backoff: (backoff) => supervise(body, { backoff }),
  intensity: (intensity) => supervise(body, { intensity }),
  killAndWait: (options) => self().killAndWait("never begun", options),
  until: (options) => until(Promise.resolve(), options),
  runIn: (options) => runIn(self(), body, options),
  events: (options) => events(new EventTarget(), "x", options),
  select: (options) => select([sleep(1)], options),
  trySelect: (options) => trySelect([sleep(1)], options),
  toEffect: (options) => toEffect(body, options),
  runEffect: (options) => runEffect(Effect.void, options),
};

/** Those that know all their names. */
const closed = ["group", "all", "allSettled", "supervise", "backoff", "intensity", "killAndWait"].concat([
  "until",
  "events",
  "select",
  "trySelect",
  "runEffect",
]);

test.each(Object.entries(takeOptions))(
  "A11 options of %s that are no object, or have no such name",
  (name, call) => {
    runChecked(function* () {
      for (const wrong of [null, 5, "1 second", () => {}]) {
        expect(() => call(wrong)).toThrow(expect.objectContaining({ code: "COOP_OPTIONS" }));
      }
      if (closed.includes(name)) expect(() => call({ elephant: 1 })).toThrow(/has no option elephant/);
      expect(self().live).toBe(0);
    });
  },
);

const takeNames: Record<string, (options: any) => unknown> = {
  spawn: (options) => spawn(body, options),
  group: (options) => group(body, options),
  supervise: (options) => supervise(body, options),
  Coordinator: (options) => new Coordinator(options),
  Signal: (options) => new Signal(options),
  Barrier: (options) => new Barrier(1, options),
  Broadcast: (options) => new Broadcast(options),
  "a subscription": (options) => new Broadcast().subscribe(options),
  Condition: (options) => new Condition(new Mutex(), options),
  Event: (options) => new Event(options),
  Latch: (options) => new Latch(1, options),
  Channel: (options) => new Channel(options),
  Mutex: (options) => new Mutex(options),
  Once: (options) => new Once(body as never, options),
  RwLock: (options) => new RwLock(options),
  Semaphore: (options) => new Semaphore(1, options),
  SingleFlight: (options) => new SingleFlight(options),
  Watch: (options) => new Watch(1, options),
};

test.each(Object.entries(takeNames))(
  "A11 a name of %s that is no text, or stands where options do",
  (_name, call) => {
    runChecked(function* () {
      expect(() => call("name")).toThrow(expect.objectContaining({ code: "COOP_OPTIONS" }));
      for (const name of [Symbol("name"), 5, {}]) {
        expect(() => call({ name })).toThrow(expect.objectContaining({ code: "COOP_NAME" }));
      }
      expect(self().live).toBe(0);
    });
  },
);

const channel = (): Channel<any> => new Channel(4);

const calls: readonly (readonly [string, string, (wrong: any) => unknown])[] = [
  ["an owner of spawnReady", "COOP_NOT_AN_OWNER", (owner) => spawnReady(ready, { owner })],
  ["an owner of runIn", "COOP_NOT_AN_OWNER", (owner) => runIn(owner, body)],
  ["an owner of toAsyncIterable", "COOP_NOT_AN_OWNER", (owner) => toAsyncIterable(owner, () => body)],
  ["an owner of toEffect", "COOP_NOT_AN_OWNER", (owner) => toEffect(body, { owner })],
  ["the services of runEffect", "COOP_OPTION", (services) => runEffect(Effect.void, { services } as never)],
  ["the body of toAsyncIterable", "COOP_NOT_AN_OPERATION", (wrong) => toAsyncIterable(self(), wrong)],
  ["what toPromise takes", "COOP_NOT_A_TASK", (task) => toPromise(task)],
  ["what childrenOf takes", "COOP_NOT_A_TASK", (task) => childrenOf(task)],
  ["what describeTask takes", "COOP_NOT_A_TASK", (task) => describeTask(task)],
  ["what callChain takes", "COOP_NOT_A_TASK", (task) => callChain(task)],
  ["what dumpTree takes", "COOP_NOT_A_TASK", (tasks) => dumpTree(tasks)],
  ["a task of dumpTree", "COOP_NOT_A_TASK", (task) => dumpTree([task])],
  ["a task of findCycle", "COOP_NOT_A_TASK", (task) => findCycle([task])],
  ["what profile takes", "COOP_NOT_A_COOPERATOR", (cooperator) => profile(cooperator)],
  ["what checkAtRest takes", "COOP_NOT_A_COOPERATOR", (cooperator) => checkAtRest(cooperator)],
  ["the limit of a rate", "COOP_RATE", (limit) => new RateLimiter({ limit, per: 1 })],
  ["onLate", "COOP_NOT_A_CALLBACK", (onLate) => until(Promise.resolve(), { onLate })],
  ["undelivered", "COOP_NOT_A_CALLBACK", (undelivered) => new Channel({ undelivered })],
  ["onRestart", "COOP_OPTION", (onRestart) => supervise(body, { onRestart })],
  ["intensity.restarts", "COOP_OPTION", (restarts) => supervise(body, { intensity: { restarts } })],
  ["an event of once", "COOP_NOT_AN_EVENT", (event) => once(new EventTarget(), event)],
  ["an event of events", "COOP_NOT_AN_EVENT", (event) => events(new EventTarget(), event)],
  ["the ends of events", "COOP_OPTION", (end) => events(new EventTarget(), "x", { end })],
  ["an end of events", "COOP_NOT_AN_EVENT", (end) => events(new EventTarget(), "x", { end: [end] })],
  ["the mutex of a condition", "COOP_NOT_A_MUTEX", (mutex) => new Condition(mutex)],
  ["what sendAll takes", "COOP_NOT_ITERABLE", (items) => channel().sendAll(items)],
  ["a source of each", "COOP_NOT_A_SOURCE", (source) => each(source, body)],
  ["the body of each", "COOP_NOT_A_CALLBACK", (wrong) => each(channel(), wrong)],
  ["a source of pipe", "COOP_NOT_A_SOURCE", (source) => pipe(source, channel())],
  ["a target of pipe", "COOP_NOT_A_CHANNEL", (target) => pipe(channel(), target)],
  ["the transform of pipe", "COOP_NOT_A_CALLBACK", (wrong) => pipe(channel(), channel(), wrong)],
  ["what filter accepts", "COOP_NOT_A_CALLBACK", (wrong) => filter(channel(), channel(), wrong)],
  ["the sources of merge", "COOP_NOT_A_SOURCE", (sources) => merge(sources, channel())],
  ["a source of merge", "COOP_NOT_A_SOURCE", (source) => merge([source], channel())],
];

test.each(calls)("A11 %s that is none is a typed error", (_name, code, call) => {
  runChecked(function* () {
    for (const wrong of [5n, {}, Promise.resolve()]) {
      let error: unknown;
      try {
        call(wrong);
      } catch (thrown) {
        error = thrown;
      }
      expect(error).toBeInstanceOf(UsageError);
      expect(error).toMatchObject({ code });
    }
    expect(self().live).toBe(0);
  });
});

test("childrenOf a group gives those of the group", () => {
  runChecked(function* () {
    spawn(never());
    yield* group(function* (g) {
      const child = g.spawn(sleep(1));
      expect(childrenOf(g)).toEqual([child]);
      expect(childrenOf(self()).length).toBe(2);
    });
  });
});
