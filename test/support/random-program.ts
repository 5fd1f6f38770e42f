/**
 * Random programs out of everything the kernel offers, for runs in which every task is killed at every point.
 *
 * A program is a tree of actions made from a seed; running it twice does the same twice. Every wait in it is
 * bounded, so that none may hang, and it keeps books: each `finally` and each defer runs once and, in a kill,
 * to its end and after the children; a task that is done has run its whole body; a group ends only by what
 * happened in it; locks are free at the end; every error turns up in an exit, in a catch or in a report.
 */
import { expect } from "vitest";
import {
  Coordinator,
  coordinateWith,
  coordinateWithKill,
  defer,
  type Group,
  group,
  KilledError,
  type Operation,
  op,
  Signal,
  type SpawnOptions,
  self,
  shield,
  spawn,
  type Task,
  yieldNow,
} from "../../src/coordinator/index.ts";
import { regionLive } from "../../src/coordinator/task/unwind.ts";
import type { Program } from "../../src/testing/kill-everywhere.ts";
import { sleep } from "../../src/time/sleep.ts";
import { timeout } from "../../src/time/timeout.ts";

type Random = (below: number) => number;

type Action =
  | { readonly kind: "sleep" | "signal" | "lock" | "several"; readonly time: number; readonly body?: Block }
  | { readonly kind: "yield" | "throw" | "notify" }
  | { readonly kind: "group"; readonly children: readonly Block[]; readonly body: Block }
  | { readonly kind: "timeout"; readonly time: number; readonly body: Block }
  | { readonly kind: "shield" | "catch" | "defer"; readonly body: Block }
  | { readonly kind: "finally"; readonly body: Block; readonly cleanup: Block }
  | { readonly kind: "spawn"; readonly options: SpawnOptions; readonly body: Block }
  | { readonly kind: "spawn elsewhere"; readonly which: number; readonly body: Block }
  | { readonly kind: "kill" | "kill and wait" | "join"; readonly which: number; readonly time: number };

type Block = readonly Action[];

/** A program that is the same for the same seed. */
export function randomProgram(seed: number, depth: number): () => Program {
  const random = mulberry32(seed);
  const block = (): Block => makeBlock(random, depth);
  // Several tasks from the start: a program of one would have little to interleave.
  const program: Block = [{ kind: "group", children: [block(), block()], body: block() }];
  return () => new Run(seed).program(program);
}

/** Public domain; small, and good enough to pick from a handful of actions. */
function mulberry32(seed: number): Random {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

const FAILURES = ["parent", "hold", "report"] as const;
const STARTS = ["queued", "next", "now"] as const;

function makeBlock(random: Random, depth: number): Block {
  return Array.from({ length: 2 + random(3) }, () => makeAction(random, depth));
}

function makeAction(random: Random, depth: number): Action {
  const body = (): Block => makeBlock(random, depth - 1);
  const time = random(4);
  switch (depth <= 0 ? random(5) : random(22)) {
    case 0:
      return { kind: "yield" };
    case 1:
      return { kind: "lock", time: 1 + time };
    case 2:
      return random(8) === 0 ? { kind: "throw" } : { kind: "notify" };
    case 3:
    case 4:
      return { kind: "sleep", time };
    case 5:
    case 6:
      return { kind: "group", children: Array.from({ length: 1 + random(2) }, body), body: body() };
    case 7:
      return { kind: "timeout", time, body: body() };
    case 8:
      return { kind: "shield", body: body() };
    case 9:
    case 10:
    case 11:
      return {
        kind: "spawn",
        options: { failure: FAILURES[random(3)]!, start: STARTS[random(3)]! },
        body: body(),
      };
    case 12:
      return { kind: "defer", body: body() };
    case 13:
    case 14:
      return { kind: "finally", body: body(), cleanup: body() };
    case 15:
      return { kind: "signal", time: 1 + time };
    case 16:
      return { kind: "several", time: 1 + time };
    case 17:
      return { kind: random(2) === 0 ? "kill" : "kill and wait", which: random(8), time: 1 + time };
    case 18:
      return { kind: "join", which: random(8), time: 1 + time };
    case 19:
      return random(2) === 0
        ? { kind: "catch", body: body() }
        : { kind: "lock", time: 1 + time, body: body() };
    case 20:
    case 21:
      return { kind: "spawn elsewhere", which: random(8), body: body() };
    default:
      return { kind: "sleep", time };
  }
}

/** One run: what it works on, and its books. */
class Run {
  private readonly locks = [
    new Coordinator({ name: "lock 0" }),
    new Coordinator({ name: "lock 1" }),
  ] as const;
  private readonly signal = new Signal({ name: "signal" });
  private readonly tasks: Task[] = [];
  private readonly thrown: Error[] = [];
  private readonly met = new Set<unknown>();
  private readonly groups: Group[] = [];
  private readonly whole = new Set<Task>();
  private readonly violations: string[] = [];
  private owed = 0;
  private runs = 0;
  private readonly seed: number;

  constructor(seed: number) {
    this.seed = seed;
  }

  program(block: Block): Program {
    return {
      body: this.body(block),
      gates: [...this.locks, this.signal],
      reports: true,
      check: ({ runtime, main }) => {
        for (const { kind, error } of runtime.reports) {
          expect(kind).toBe("failure");
          this.meet(error);
        }
        expect(this.violations).toEqual([]);
        for (const task of [main, ...this.tasks]) {
          const { exit, label } = task;
          if (exit === null) throw new Error(`${label} has no exit`);
          if (exit.status === "done" && !this.whole.has(task)) throw new Error(`${label} is done half-way`);
          if (exit.status === "failed") this.meet(exit.error);
          if (exit.status === "killed") exit.errors.forEach((error) => void this.meet(error));
        }
        expect(this.owed).toBe(0);
        for (const lock of this.locks) expect(lock.held).toBe(false);
        this.followCauses();
        expect(this.thrown.filter((error) => !this.met.has(error))).toEqual([]);
      },
    };
  }

  private readonly operation = op(function* block(this: Run, actions: Block): Generator<any, void, any> {
    for (const action of actions) yield* this.perform(action);
  });

  /** The body of a task. */
  private readonly body = op(function* body(this: Run, actions: Block): Generator<any, void, any> {
    yield* this.run(actions);
    this.whole.add(self());
  });

  private *plain(actions: Block): Generator<any, void, any> {
    for (const action of actions) yield* this.perform(action);
  }

  /** A frame of its own or plain delegation: which, is up to the seed as well. */
  private run(actions: Block): Operation<void> {
    return (this.runs++ + this.seed) % 3 === 0 ? this.plain(actions) : this.operation(actions);
  }

  private readonly perform = op(function* perform(this: Run, action: Action): Generator<any, void, any> {
    switch (action.kind) {
      case "yield":
        return yield* yieldNow();
      case "sleep":
        return yield* sleep(action.time);
      case "notify":
        return this.signal.notify();
      case "signal":
        return yield* this.bounded(action.time, this.signal.wait());
      case "shield":
        return yield* shield(this.run(action.body));
      case "timeout":
        return yield* this.bounded(action.time, this.run(action.body));
      case "throw":
        throw this.newError();
      case "lock":
        return yield* this.locked(this.locks[action.time % 2]!, action.time, action.body ?? []);
      case "several":
        return yield* this.several(action.time);
      case "group":
        return yield* this.group(action.children, action.body);
      case "spawn":
        if (!self().killed && !self().closed) this.tasks.push(spawn(this.body(action.body), action.options));
        return;
      case "spawn elsewhere":
        return this.spawnElsewhere(action.which, action.body);
      case "defer":
        this.owed++;
        return defer(() => {
          this.owed--;
          return this.operation(action.body);
        });
      case "finally":
        return yield* this.cleaned(action.body, action.cleanup);
      case "catch":
        return yield* this.caught(this.run(action.body));
      default:
        return yield* this.other(action.kind, action.which, action.time);
    }
  });

  private readonly bounded = op(function* bounded(this: Run, time: number, body: Operation<unknown>) {
    try {
      yield* timeout(time, body);
    } catch (error) {
      if ((error as { code?: string }).code !== "COOP_DEADLINE") throw error;
      this.meet(error);
    }
  });

  private readonly caught = op(function* caught(this: Run, body: Operation<unknown>) {
    try {
      yield* body;
    } catch (error) {
      this.meet(error);
    }
  });

  private readonly locked = op(function* locked(this: Run, lock: Coordinator, time: number, body: Block) {
    // Its own lock, or one whose owner is gone, is a usage error: it is met like any other.
    let got = false;
    try {
      yield* timeout(time, lock.acquire());
      got = true;
    } catch (error) {
      this.meet(error);
    }
    if (!got) return;
    try {
      yield* sleep(1);
      yield* this.run(body);
    } finally {
      lock.release();
    }
  });

  private readonly several = op(function* several(this: Run, time: number) {
    if (this.locks.some((lock) => lock.owner === self())) return;
    const wait = time % 2 === 0 ? coordinateWith : coordinateWithKill;
    const { coordinator } = yield* wait(...this.locks, { within: time });
    if (!(coordinator instanceof Coordinator)) return;
    try {
      yield* sleep(1);
    } finally {
      coordinator.release();
    }
  });

  private readonly group = op(function* groups(this: Run, children: readonly Block[], body: Block) {
    const run = this;
    const name = `group ${this.groups.length + 1}`;
    try {
      yield* group(
        function* (g) {
          run.groups.push(g);
          for (const child of children) run.tasks.push(g.spawn(run.body(child)));
          run.owed++;
          g.defer(function* () {
            run.owed--;
            yield* sleep(1);
          });
          yield* run.run(body);
        },
        { name },
      );
    } catch (error) {
      // Nobody here kills a group by itself: it may only fail with an error of its own.
      if (error instanceof KilledError && error.message.startsWith(`${name} `)) this.violate(error.message);
      throw error;
    }
    const cut = this.tasks.filter(
      ({ exit }) => exit?.status === "killed" && exit.cause.reason === `${name} has ended`,
    );
    if (cut.length > 0) this.violate(`${name} returned and has killed ${cut[0]!.label}`);
  });

  /** A child for another task, started or not, or for a group that is open. */
  private spawnElsewhere(which: number, body: Block): void {
    const owners = [...this.tasks, ...this.groups].filter((owner) => !owner.closed && owner.cause === null);
    const owner = owners[which % Math.max(1, owners.length)];
    if (owner !== undefined) this.tasks.push(owner.spawn(this.body(body), { failure: "report" }));
  }

  private readonly cleaned = op(function* cleaned(this: Run, body: Block, cleanup: Block) {
    this.owed++;
    let pending: unknown = null;
    try {
      yield* this.run(body);
    } catch (error) {
      pending = error;
      throw error;
    } finally {
      this.owed--;
      const me = self();
      const target = me.top!.unwinding;
      if (target !== null && regionLive(me, target))
        this.violate(`${me.label} is unwound before its children`);
      let whole = false;
      try {
        yield* this.run(cleanup);
        whole = true;
      } catch (error) {
        whole = true;
        // In JavaScript what ends a `finally` early replaces the error that was on its way through it.
        this.meet(pending);
        throw error;
      } finally {
        if (!whole) {
          this.meet(pending);
          if (target !== null && me.rare?.hurried !== true)
            this.violate(`clean-up of ${me.label} was cut short`);
        }
      }
    }
  });

  private readonly other = op(function* other(
    this: Run,
    kind: "kill" | "kill and wait" | "join",
    which: number,
    time: number,
  ) {
    const task = this.tasks[which % Math.max(1, this.tasks.length)];
    if (task === undefined) return;
    if (kind === "kill") task.kill("by another");
    else if (kind === "join") yield* this.caught(timeout(time, task.join()));
    else yield* this.bounded(time, task.killAndWait("by another", time === 2 ? { within: 50 } : undefined));
  });

  private violate(rule: string): void {
    this.violations.push(rule);
  }

  private newError(): Error {
    const error = new Error(`error ${this.thrown.length + 1} in ${self().label}`);
    this.thrown.push(error);
    return error;
  }

  private meet(error: unknown): void {
    if (error !== null) this.met.add(error);
  }

  /** Errors may hang on others, where they were put after those had been met. */
  private followCauses(): void {
    for (const error of this.met) {
      if (typeof error !== "object" || error === null) continue;
      const { errors, cause, reason } = error as { errors?: unknown; cause?: unknown; reason?: unknown };
      if (Array.isArray(errors)) for (const other of errors) this.meet(other);
      this.meet(cause ?? null);
      this.meet(reason ?? null);
    }
  }
}
