/**
 * Every kind of wait there is, in a select beside an operation that can only be left slowly: what an arm was given
 * while the other is being left goes back when a kill wins, and nothing is lost whenever that kill comes.
 */
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { fromCallback } from "../../src/async/callback.ts";
import {
  Coordinator,
  type Group,
  group,
  never,
  type Operation,
  op,
  Signal,
  self,
  spawn,
  type Task,
  yieldNow,
} from "../../src/coordinator/index.ts";
import { Wait } from "../../src/coordinator/wait.ts";
import { CompletionQueue } from "../../src/handle/completion-queue.ts";
import {
  Barrier,
  Broadcast,
  Channel,
  Condition,
  Event,
  Mutex,
  RateLimiter,
  RwLock,
  Semaphore,
  SingleFlight,
  select,
  Watch,
} from "../../src/sync/index.ts";
import { untilAllBlocked } from "../../src/testing/all-blocked.ts";
import { killEverywhere } from "../../src/testing/kill-everywhere.ts";
import { Handle, sleep } from "../../src/time/index.ts";
import { every } from "../../src/time/interval.ts";

/** Cancelled at once, and over a millisecond later: what an operation in the kernel is like. */
class Lingering extends Wait<void> {
  override get lingers(): boolean {
    return true;
  }
  override describe(): string {
    return "something slow";
  }
  protected override begin(): boolean {
    return false;
  }
  protected override finish(): void {}
  override abort(): boolean {
    this.task!.cooperator.requireTimers().after(1, () => this.grant());
    return false;
  }
}

/** One kind of wait: what makes it wait, what lets it go on, and what must be so in the end. */
interface Kind {
  /** Made in the task that selects. */
  arm(g: Group): Operation<unknown>;
  /** Before it is made another task takes what it wants. Absent: it is not there anyway. */
  take?(): Operation<unknown>;
  /** That task lets it go on. */
  give?(): Operation<unknown> | undefined;
  /** The arm has won. */
  won?(value: any): void;
  /** However the select has ended. */
  after?(): void;
  /** Nobody lives any more. `taken` says how often an arm has won, `given` how often `give` has been called. */
  intact(taken: number, given: number): void;
}

const nothing = (): void => {};
const does = (act: () => unknown) => (): undefined => void act();
const gone = (...waiters: { readonly waiting: number }[]): void => {
  for (const { waiting } of waiters) expect(waiting).toBe(0);
};

/** By the name of the class of their wait. */
const KINDS: Readonly<Record<string, () => Kind>> = {
  SignalWait: () => {
    const signal = new Signal();
    return { arm: () => signal.wait(), give: does(() => signal.notify()), intact: () => gone(signal) };
  },
  Acquire: () => {
    const gate = new Coordinator();
    return {
      take: () => gate.acquire(),
      give: does(() => gate.release()),
      arm: () => gate.acquire(),
      won: () => gate.release(),
      intact: () => expect([gate.held, gate.waiting]).toEqual([false, 0]),
    };
  },
  Flash: () => {
    const gate = new Coordinator();
    return {
      take: () => gate.acquire(),
      give: does(() => gate.release()),
      arm: () => gate.flash(),
      intact: () => expect([gate.held, gate.waiting]).toEqual([false, 0]),
    };
  },
  HandOff: () => {
    const gate = new Coordinator();
    return {
      arm: () => {
        gate.tryAcquire();
        return gate.handOff();
      },
      after: () => {
        if (gate.owner === self()) gate.release();
      },
      intact: () => expect(gate.held && gate.owner!.status !== "ended").toBe(false),
    };
  },
  OutcomeWait: () => {
    const over = new Signal();
    return {
      arm: (g) => g.spawn(over.wait(), { daemon: true }).join(),
      give: does(() => over.notify()),
      intact: () => gone(over),
    };
  },
  KillWait: () => {
    let worker: Task | null = null;
    return {
      arm: (g) => {
        worker = g.spawn(never(), { daemon: true }) as Task;
        return worker.killAndWait("enough", { within: 50 });
      },
      intact: () => expect(worker === null || worker.exit !== null).toBe(true),
    };
  },
  PlaceWait: () => {
    let begun = 0;
    const over = new Signal();
    return {
      arm: (g) => {
        if (g.working === 0) g.spawn(over.wait());
        return g.start(function* () {
          begun++;
        });
      },
      give: does(() => over.notify()),
      after: () => over.notify(),
      intact: (taken) => expect(begun).toBeLessThanOrEqual(taken),
    };
  },
  YieldNow: () => ({ arm: () => yieldNow(), intact: nothing }),
  Never: () => ({ arm: () => never(), intact: (taken) => expect(taken).toBe(0) }),
  Sleep: () => ({ arm: () => sleep(2), intact: nothing }),
  Tick: () => ({ arm: () => every(2).next(), intact: nothing }),
  AllBlocked: () => ({ arm: () => untilAllBlocked(), intact: nothing }),
  Handle: () => ({
    arm: () => {
      const handle = new Handle();
      handle.setup(2);
      return handle;
    },
    intact: nothing,
  }),
  Take: () => {
    const done = new CompletionQueue<Handle>();
    return {
      arm: () => {
        const handle = new Handle();
        handle.queue = done;
        handle.setup(2);
        return done.take();
      },
      // What nobody took is there for the next.
      intact: (taken) => expect(taken + done.ready).toBeLessThanOrEqual(1),
    };
  },
  Callback: () => {
    let answer: (() => void) | null = null;
    return {
      arm: () =>
        fromCallback<void>((done) => {
          answer = () => done(undefined as never);
          return nothing;
        }),
      give: does(() => answer?.()),
      intact: nothing,
    };
  },
  LockWait: () => {
    const mutex = new Mutex();
    return {
      take: () => mutex.lock(),
      give: does(() => mutex.unlock()),
      arm: () => mutex.lock(),
      won: (guard) => guard.release(),
      intact: () => expect([mutex.locked, mutex.waiting]).toEqual([false, 0]),
    };
  },
  SemaphoreWait: () => {
    const semaphore = new Semaphore(2);
    return {
      take: () => semaphore.acquire(1),
      give: does(() => semaphore.release(1)),
      arm: () => semaphore.acquire(2),
      won: () => semaphore.release(2),
      intact: () => expect(semaphore.statistics()).toMatchObject({ free: 2, waiting: 0 }),
    };
  },
  RwWait: () => {
    const lock = new RwLock();
    let guard: { release(): void } | null = null;
    return {
      take: op(function* () {
        guard = yield* lock.read();
      }),
      give: does(() => guard?.release()),
      arm: () => lock.write(),
      won: (held) => held.release(),
      intact: () => expect(lock.statistics()).toMatchObject({ readers: 0, writer: null, waiting: 0 }),
    };
  },
  ConditionWait: () => {
    const mutex = new Mutex();
    const changed = new Condition(mutex);
    return {
      arm: () => {
        mutex.tryLock();
        return changed.wait();
      },
      give: does(() => changed.notify()),
      after: () => {
        if (mutex.owner === self()) mutex.unlock();
      },
      intact: () => expect([mutex.locked, changed.waiting]).toEqual([false, 0]),
    };
  },
  EventWait: () => {
    const event = new Event();
    return { arm: () => event.wait(), give: does(() => event.set()), intact: () => gone(event) };
  },
  BarrierWait: () => {
    const barrier = new Barrier(2);
    return { arm: () => barrier.arrive(), give: () => barrier.arrive(), intact: () => gone(barrier) };
  },
  Passenger: () => {
    const flights = new SingleFlight<string, number>();
    return {
      arm: () => flights.run("k", sleep(2) as unknown as Operation<number>),
      intact: () => expect(flights.statistics()).toEqual({ flights: 0, waiting: 0 }),
    };
  },
  TokenWait: () => {
    const limiter = new RateLimiter({ limit: 1, per: 2, burst: 1 });
    let used = 0;
    return {
      take: op(function* () {
        yield* limiter.acquire();
        used++;
      }),
      arm: () => limiter.acquire(),
      intact: (taken) => expect(limiter.statistics()).toEqual({ taken: taken + used, waiting: 0 }),
    };
  },
  Send: () => {
    const channel = new Channel<number>();
    let received = 0;
    return {
      arm: () => channel.send(7),
      give: op(function* () {
        yield* channel.receive();
        received++;
      }),
      intact: (taken) => {
        // With somebody; in the channel again, since he was killed with it; or never sent. A sender that is killed when
        // its item has been taken does not see that.
        const there = received + (channel.tryReceive() === 7 ? 1 : 0);
        expect([taken, 1]).toContain(there);
        expect(channel.statistics()).toMatchObject({ waitingSenders: 0, waitingReceivers: 0 });
      },
    };
  },
  Receive: () => {
    const channel = new Channel<number>({ capacity: 1 });
    return {
      arm: () => channel.receive(),
      give: does(() => channel.trySend(7)),
      intact: (taken, given) => {
        expect(taken + channel.size).toBe(given);
        expect(channel.statistics()).toMatchObject({ waitingSenders: 0, waitingReceivers: 0 });
      },
    };
  },
  SubscriptionReceive: () => {
    const news = new Broadcast<number>();
    const mine = news.subscribe();
    return {
      arm: () => mine.receive(),
      give: does(() => news.publish(7)),
      intact: (taken, given) => expect(taken + (mine.tryReceive() === 7 ? 1 : 0)).toBe(given),
    };
  },
  Change: () => {
    const value = new Watch(0);
    const watcher = value.watch();
    return {
      arm: () => watcher.receive(),
      give: does(() => value.value++),
      // A change that was not seen is seen by the next.
      intact: (taken, given) => expect(watcher.seen === value.version).toBe(taken === given),
    };
  },
};

type When = "before" | "later" | "never";

for (const [name, make] of Object.entries(KINDS)) {
  test(`${name}: in a select that lingers, killed anywhere, nothing is lost`, () => {
    for (const when of ["before", "later", "never"] as const)
      for (const first of [true, false]) run(name, make, when, first);
  });
}

/** Waits that are no arms, or that are one elsewhere. */
const ELSEWHERE: Readonly<Record<string, string>> = {
  MultiWait: "tells of a kill, or ignores it: select refuses it",
  Drain: "ignores kills",
  ChildrenWait: "ignores kills",
  Settled: "ignores kills",
  Idle: "the wait of an async body for its own promise",
  ResultWait: "a continuation is no arm: select refuses it",
  Select: "its arms go into the outer one: select refuses it",
  SchedulePoint: "a yield, in interleave only",
};
/** What needs promises, events or a ring: in the tests of these folders. */
const FOLDERS = /^(async|effect|io|node|streams)\//;

test("every class of waits is here, or is said to be elsewhere", () => {
  const root = fileURLToPath(new URL("../../src/", import.meta.url));
  const parents = new Map<
    string,
    { readonly parent: string; readonly abstract: boolean; readonly file: string }
  >();
  for (const file of readdirSync(root, { recursive: true, encoding: "utf8" })) {
    if (!file.endsWith(".ts") || FOLDERS.test(file)) continue;
    const text = readFileSync(root + file, "utf8");
    for (const [, abstract, name, parent] of text.matchAll(
      /^(?:export )?(abstract )?class (\w+)(?:<[^>]*>)? extends (\w+)/gm,
    )) {
      parents.set(name!, { parent: parent!, abstract: abstract !== undefined, file });
    }
  }
  const isWait = (name: string): boolean => {
    const parent = name === "Handle" ? "BaseHandle" : parents.get(name)?.parent;
    return parent === "Wait" || parent === "BaseHandle" || (parent !== undefined && isWait(parent));
  };
  const waits = [...parents]
    .filter(([name, { abstract }]) => !abstract && isWait(name))
    .map(([name]) => name);
  expect(waits.length).toBeGreaterThan(25);
  expect(waits.filter((name) => KINDS[name] === undefined && ELSEWHERE[name] === undefined)).toEqual([]);
});

/** The arm can go on before the select begins, while it waits, or not; and it is begun first, or behind the slow one. */
function run(name: string, make: () => Kind, when: When, first: boolean): void {
  killEverywhere(() => {
    const kind = make();
    let taken = 0;
    let given = 0;
    const give = op(function* () {
      const made = kind.give?.();
      given++;
      if (made !== undefined) yield* made;
    });
    const other = function* () {
      yield* kind.take?.() ?? yieldNow();
      try {
        yield* sleep(when === "before" ? 0 : when === "later" ? 2 : 20);
      } finally {
        // Whoever has taken it gives it, killed or not.
        if (kind.take !== undefined) kind.give?.();
      }
      if (kind.take === undefined && when !== "never") yield* give();
    };
    return {
      *body() {
        const helper = spawn(other, { failure: "hold" });
        yield* yieldNow();
        if (when === "before" && kind.take !== undefined) yield* helper.settled();
        yield* group(
          function* (g) {
            const arm = kind.arm(g);
            expect(arm.constructor.name).toBe(name);
            const slow = new Lingering();
            try {
              if (when === "before") yield* yieldNow();
              const won = yield* select(
                first ? { arm, slow, late: sleep(8) } : { slow, arm, late: sleep(8) },
              );
              if (won.key === "arm") {
                taken++;
                kind.won?.(won.value);
              }
            } finally {
              kind.after?.();
            }
          },
          { limit: 1 },
        );
        helper.observe();
      },
      check: () => kind.intact(taken, given),
      reports: true,
    };
  });
}
