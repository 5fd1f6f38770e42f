/**
 * The kill matrix of design D4: how deep the call, which levels are `op` frames and which are delegated to
 * as plain generators, where the kill meets the task, how often its `finally` blocks suspend, whether a second
 * kill arrives meanwhile, and whether clean-up throws.
 *
 * What must happen is computed by a model of a generator call and not by the scheduler. Its one assumption:
 * `return()` goes through one frame by itself, and what a plain generator delegates to with native `yield*`
 * ends normally for its caller once a `finally` inside has suspended.
 */
import { describe, expect, test } from "vitest";
import {
  Coordinator,
  type DeadlineError,
  defer,
  group,
  never,
  op,
  shield,
  spawn,
  type Task,
  yieldNow,
} from "../../src/coordinator/index.ts";
import { LostKill, POISON } from "../../src/coordinator/kill/poison.ts";
import { VirtualRuntime } from "../../src/testing/virtual.ts";
import { sleep } from "../../src/time/sleep.ts";
import { timeout } from "../../src/time/timeout.ts";
import { checked, inOrder, sampled } from "../support/harness.ts";

type Kind = "op" | "plain";

const PLACES = [
  "top wait",
  "nested call",
  "before start",
  "while ready",
  "normal finally",
  "shield",
  "group",
  "timeout",
] as const;

interface Case {
  /** Levels from the body of the task to the leaf. */
  readonly kinds: readonly Kind[];
  readonly place: (typeof PLACES)[number];
  /** Suspensions in each `finally`. */
  readonly waits: number;
  /** More kills, of the task and of its parent, while the first is being cleaned up after. */
  readonly again: boolean;
  /** The level whose clean-up throws. */
  readonly fault: "none" | "inner" | "outer";
  /** The code after a call uses what the call gave. */
  readonly use: boolean;
}

// ---------------------------------------------------------------------------------------------------------
// The program

interface Run {
  readonly plan: Case;
  readonly log: string[];
  readonly gate: Coordinator;
}

function* cleanUp(run: Run, name: string | number): Generator<unknown, void, any> {
  run.log.push(`finally ${name}`);
  for (let i = 0; i < run.plan.waits; i++) yield* sleep(1);
  if (name === faultyLevel(run.plan)) throw new Error(`fault ${name}`);
  run.log.push(`clean ${name}`);
}

function faultyLevel({ fault, kinds }: Case): number | null {
  return fault === "none" ? null : fault === "inner" ? kinds.length : 1;
}

function* level(run: Run, i: number): Generator<unknown, string, any> {
  const { plan, log } = run;
  log.push(`enter ${i}`);
  defer(function* () {
    log.push(`defer ${i}`);
    yield* sleep(1);
    log.push(`deferred ${i}`);
  });
  try {
    const value = i === plan.kinds.length ? yield* leaf(run) : yield* call(run, i + 1);
    log.push(value === POISON ? `after ${i}, poison` : `after ${i}`);
    if (plan.use) void (value as string).length;
  } finally {
    // Not delegated to, so that this level alone decides what suspends in it.
    log.push(`finally ${i}`);
    for (let n = 0; n < plan.waits; n++) yield* sleep(1);
    if (i === faultyLevel(plan)) throw new Error(`fault ${i}`);
    log.push(`clean ${i}`);
  }
  log.push(`tail ${i}`);
  return `value ${i}`;
}

const levelOp = op(level);

function call(run: Run, i: number) {
  return run.plan.kinds[i - 1] === "op" ? levelOp(run, i) : level(run, i);
}

const blockInCall = op(function* (run: Run) {
  try {
    yield* never();
  } finally {
    yield* cleanUp(run, "call");
  }
});

const blockAndCleanUp = op(function* (run: Run, name: string) {
  try {
    yield* never();
  } finally {
    yield* cleanUpOp(run, name);
  }
});
const cleanUpOp = op(cleanUp);

function* leaf(run: Run): Generator<unknown, string, any> {
  const { log } = run;
  switch (run.plan.place) {
    case "top wait":
    case "before start":
      return yield* never();
    case "nested call":
      yield* blockInCall(run);
      break;
    case "while ready":
      yield* run.gate.acquire();
      break;
    case "normal finally":
      break;
    case "shield":
      yield* shield(function* () {
        log.push("shield");
        yield* sleep(5);
        log.push("shielded");
      });
      log.push("between");
      yield* never();
      break;
    case "group":
      yield* group(function* (g) {
        g.spawn(blockAndCleanUp(run, "child"));
        yield* yieldNow();
        yield* never();
      });
      break;
    case "timeout":
      yield* timeout(1000, blockAndCleanUp(run, "bounded"));
      break;
  }
  return "leaf";
}

interface Outcome {
  readonly run: Run;
  readonly victim: Task;
  readonly runtime: VirtualRuntime;
}

function perform(plan: Case): Outcome {
  // That the victim has not taken its first step is a matter of order.
  if (plan.place === "before start") inOrder();
  const runtime = new VirtualRuntime();
  const run: Run = { plan, log: [], gate: new Coordinator({ held: true, name: "gate" }) };
  let victim!: Task;
  runtime.run(function* () {
    const host = spawn(function* host() {
      victim = spawn(plan.kinds[0] === "op" ? levelOp(run, 1) : () => level(run, 1), { failure: "hold" });
      victim.observe();
      yield* victim.settled();
    });
    yield* yieldNow();
    if (plan.place !== "before start") for (let i = 0; i < 5; i++) yield* yieldNow();
    if (plan.place === "while ready") run.gate.release();
    victim.kill("first");
    if (plan.again) {
      if (plan.place !== "before start") yield* sleep(plan.place === "shield" ? 5.5 : 0.5);
      victim.kill("second");
      host.kill("third");
    }
    yield* host.settled();
  });
  return { run, victim, runtime };
}

// ---------------------------------------------------------------------------------------------------------
// The model

interface Expected {
  readonly log: string[];
  readonly errors: string[];
  /** Frames whose kill was lost. */
  readonly lost: number;
}

/** What a generator ends with while it is unwound. */
type Completion =
  | { readonly kind: "return" }
  | { readonly kind: "throw"; readonly error: string | typeof LostKill }
  | { readonly kind: "normal"; readonly poison: boolean };

function predict(plan: Case): Expected {
  const { kinds, place } = plan;
  const depth = kinds.length;
  const log: string[] = [];
  const errors: string[] = [];
  let lost = 0;
  if (place === "before start") return { log, errors, lost };

  for (let i = 1; i <= depth; i++) log.push(`enter ${i}`);
  if (place === "normal finally") log.push(`after ${depth}`, `finally ${depth}`);
  if (place === "shield") log.push("shield", "shielded", "between");
  if (place === "nested call") log.push("finally call", "clean call");
  if (place === "group") log.push("finally child", "clean child");
  if (place === "timeout") log.push("finally bounded", "clean bounded");

  for (let i = depth; i >= 1; ) {
    let completion: Completion = { kind: "return" };
    for (;;) {
      completion = unwindLevel(plan, i, completion, log);
      i--;
      if (i === 0 || kinds[i] === "op") break;
    }
    if (completion.kind === "throw" && typeof completion.error === "string") errors.push(completion.error);
    else if (completion.kind === "throw" || (completion.kind === "normal" && !completion.poison)) lost++;
  }
  for (let i = depth; i >= 1; i--) log.push(`defer ${i}`, `deferred ${i}`);
  return { log, errors, lost };
}

/** Level `i` is resumed with how its callee ended; gives how the level itself ends for its own caller. */
function unwindLevel(plan: Case, i: number, callee: Completion, log: string[]): Completion {
  let completion = callee;
  if (plan.place === "normal finally" && i === plan.kinds.length) {
    // The kill met a wait of this finally, which is cut short like any other code.
    return { kind: "return" };
  }
  if (callee.kind === "normal") {
    log.push(callee.poison ? `after ${i}, poison` : `after ${i}`);
    if (plan.use && callee.poison) completion = { kind: "throw", error: LostKill };
  }
  log.push(`finally ${i}`);
  if (i === faultyLevel(plan)) return { kind: "throw", error: `fault ${i}` };
  log.push(`clean ${i}`);
  if (completion.kind === "normal") {
    log.push(`tail ${i}`);
    return { kind: "normal", poison: false };
  }
  if (completion.kind === "return" && plan.waits > 0) return { kind: "normal", poison: true };
  return completion;
}

// ---------------------------------------------------------------------------------------------------------
// The check

function check({ run, victim, runtime }: Outcome, expected: Expected): void {
  expect(run.log).toEqual(expected.log);
  const exit = victim.exit!;
  if (expected.errors.length === 0) {
    expect(exit).toMatchObject({ status: "killed", cause: { reason: "first", failure: false }, errors: [] });
  } else {
    const [first, ...others] = expected.errors;
    expect(exit).toMatchObject({ status: "failed", error: { message: first } });
    const { error } = exit as { error: { errors?: Error[] } };
    expect((error.errors ?? []).map(({ message }) => message)).toEqual(others);
  }
  const reports = runtime.reports.splice(0);
  expect(reports.map(({ kind, task }) => [kind, task])).toEqual(
    Array.from({ length: expected.lost }, () => ["kill-overridden", victim]),
  );
  expect(runtime.statistics().killsOverridden).toBe(expected.lost);
  expect(run.gate.held).toBe(run.plan.place !== "while ready");
  checked(runtime, run.gate);
}

/** The promise for frames in so many words: what the model says for them, said without it. */
function checkFrameRules({ run, victim }: Outcome): void {
  const { plan, log } = run;
  const depth = plan.kinds.length;
  const levels = Array.from({ length: depth }, (_, i) => depth - i);
  if (plan.place === "before start") {
    expect(log).toEqual([]);
    return;
  }
  const cut = plan.place === "normal finally" ? depth : null;
  const faulty = faultyLevel(plan);
  const at = (line: string) => log.filter((each) => each === line).length;
  // Every finally begins once, innermost first, and runs to its end unless it throws or was itself cut short.
  expect(log.filter((line) => /^finally \d/.test(line))).toEqual(levels.map((i) => `finally ${i}`));
  expect(log.filter((line) => /^clean \d/.test(line))).toEqual(
    levels.filter((i) => i !== faulty && i !== cut).map((i) => `clean ${i}`),
  );
  // Nothing after the killed wait runs, at any level.
  for (const i of levels) {
    expect(at(`after ${i}`)).toBe(i === cut ? 1 : 0);
    expect(at(`after ${i}, poison`)).toBe(0);
    expect(at(`tail ${i}`)).toBe(0);
    expect(at(`deferred ${i}`)).toBe(1);
  }
  const threw = faulty !== null && faulty !== cut;
  expect(victim.exit!.status).toBe(threw ? "failed" : "killed");
}

// ---------------------------------------------------------------------------------------------------------
// The table

function stacks(): Kind[][] {
  const all: Kind[][] = [];
  for (const depth of [1, 2, 3]) {
    for (let bits = 0; bits < 1 << depth; bits++) {
      all.push(Array.from({ length: depth }, (_, i) => ((bits >> i) & 1 ? "plain" : "op")));
    }
  }
  const deep = (plain: (i: number) => boolean) =>
    all.push(Array.from({ length: 10 }, (_, i) => (plain(i) ? "plain" : "op")));
  deep(() => false);
  deep(() => true);
  deep((i) => i % 2 === 1);
  deep((i) => i % 2 === 0);
  deep((i) => i === 9);
  deep((i) => i === 4 || i === 5);
  return all;
}

function casesOf(place: Case["place"]): Case[] {
  const cases: Case[] = [];
  for (const kinds of stacks()) {
    for (const waits of [0, 1, 3]) {
      // Without a wait in it there is no moment at which a finally can be killed.
      if (place === "normal finally" && waits === 0) continue;
      for (const again of [false, true]) {
        for (const fault of ["none", "inner", "outer"] as const) {
          cases.push({ kinds, place, waits, again, fault, use: false });
          if (kinds.includes("plain") && waits > 0)
            cases.push({ kinds, place, waits, again, fault, use: true });
        }
      }
    }
  }
  return cases;
}

function inContext(plan: object, body: () => void): void {
  try {
    body();
  } catch (error) {
    throw new Error(`${JSON.stringify(plan)}\n${(error as Error).message}`, { cause: error });
  }
}

describe("kill matrix", () => {
  test.each(PLACES)("kill in %s", (place) => {
    for (const plan of sampled(casesOf(place), 2)) {
      inContext(plan, () => {
        const outcome = perform(plan);
        check(outcome, predict(plan));
        if (plan.kinds.slice(1).every((kind) => kind === "op")) checkFrameRules(outcome);
      });
    }
  });

  test("covers what it says", () => {
    const cases = PLACES.flatMap(casesOf);
    expect(new Set(cases.map((plan) => JSON.stringify(plan))).size).toBe(cases.length);
    expect(cases.length).toBeGreaterThan(2000);
    expect(new Set(cases.map(({ kinds }) => kinds.length))).toEqual(new Set([1, 2, 3, 10]));
    const lost = cases.filter((plan) => predict(plan).lost > 0);
    expect(lost.length).toBeGreaterThan(300);
  });

  test("negative control: the rules for frames do not hold for plain generators", () => {
    const plan: Case = {
      kinds: ["op", "plain", "plain"],
      place: "top wait",
      waits: 1,
      again: false,
      fault: "none",
      use: false,
    };
    const outcome = perform(plan);
    expect(() => checkFrameRules(outcome)).toThrow();
    expect(outcome.run.log).toContain("after 2, poison");
    expect(outcome.victim.exit!.status).toBe("killed");
  });

  test("negative control: a wrong prediction is noticed", () => {
    const plan: Case = {
      kinds: ["op", "op"],
      place: "top wait",
      waits: 1,
      again: false,
      fault: "none",
      use: false,
    };
    const expected = predict(plan);
    check(perform(plan), expected);
    for (const i of sampled([...expected.log.keys()], 1)) {
      const log = expected.log.filter((_, at) => at !== i);
      expect(() => check(perform(plan), { ...expected, log })).toThrow();
    }
    expect(() => check(perform(plan), { ...expected, errors: ["fault 1"] })).toThrow();
    expect(() => check(perform(plan), { ...expected, lost: 1 })).toThrow();
  });
});

// ---------------------------------------------------------------------------------------------------------
// The same stacks, unwound by a timeout around them: the task itself goes on

interface Bounded {
  readonly kinds: readonly Kind[];
  readonly waits: number;
  /** The task is killed while the timeout's clean-up runs, or never. */
  readonly again: boolean;
  readonly fault: Case["fault"];
}

describe("kill by a timeout", () => {
  const cases: Bounded[] = stacks().flatMap((kinds) =>
    [0, 1, 3].flatMap((waits) =>
      [false, true].flatMap((again) =>
        (["none", "inner", "outer"] as const).map((fault) => ({ kinds, waits, again, fault })),
      ),
    ),
  );

  test("unwinds to its base and no further", () => {
    expect(cases.length).toBeGreaterThan(300);
    for (const bounded of sampled(cases, 2)) inContext(bounded, () => checkBounded(bounded));
  });
});

function checkBounded({ kinds, waits, again, fault }: Bounded): void {
  const plan: Case = { kinds, place: "top wait", waits, again: false, fault, use: false };
  const expected = predict(plan);
  const unwound = expected.log.filter((line) => !line.startsWith("defer"));
  const defers = expected.log.filter((line) => line.startsWith("defer"));

  const runtime = new VirtualRuntime();
  const run: Run = { plan, log: [], gate: new Coordinator({ name: "gate" }) };
  const { log } = run;
  let caught: unknown;
  let victim!: Task;
  runtime.run(function* () {
    victim = spawn(
      function* () {
        try {
          yield* timeout(10, kinds[0] === "op" ? levelOp(run, 1) : () => level(run, 1));
          log.push("BAD");
        } catch (error) {
          caught = error;
        }
        log.push("goes on");
        yield* sleep(1);
        log.push("went on");
      },
      { failure: "hold" },
    );
    victim.observe();
    yield* sleep(10);
    // The first wait of a clean-up begins at 10; a body without any goes on then.
    if (again) {
      yield* sleep(0.5);
      victim.kill("second");
    }
    yield* victim.settled();
  });

  const faults = expected.errors;
  if (!again) {
    expect(log).toEqual([...unwound, "goes on", "went on", ...defers]);
    expect(victim.exit!.status).toBe("done");
  } else if (waits === 0) {
    expect(log).toEqual([...unwound, "goes on", ...defers]);
    expect(victim.exit).toMatchObject({ status: "killed", cause: { reason: "second" }, errors: [] });
  } else {
    expect(log).toEqual([...unwound, ...defers]);
    if (faults.length === 0) expect(victim.exit!.status).toBe("killed");
    else expect(victim.exit).toMatchObject({ status: "failed", error: { message: faults[0] } });
  }
  if (again && waits > 0) expect(caught).toBe(undefined);
  else if (faults.length === 0) expect((caught as DeadlineError).code).toBe("COOP_DEADLINE");
  else expect(caught).toMatchObject({ message: faults[0], cause: { code: "COOP_DEADLINE" } });
  expect(runtime.reports.splice(0).map(({ kind }) => kind)).toEqual(
    Array.from({ length: expected.lost }, () => "kill-overridden"),
  );
  checked(runtime, run.gate);
}
