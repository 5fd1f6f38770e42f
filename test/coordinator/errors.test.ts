import { describe, expect, test } from "vitest";
import * as kernel from "../../src/coordinator/errors.ts";
import { combineErrors, invariant } from "../../src/coordinator/errors.ts";

const {
  BrokenError,
  BusyError,
  ClosedError,
  CoopError,
  DeadlineError,
  DeadlockError,
  InvariantError,
  KilledError,
  StuckError,
  UnsupportedError,
  UsageError,
} = kernel;

const FAMILY = [
  [new InvariantError("m"), InvariantError, "COOP_INVARIANT"],
  [new DeadlineError("m"), DeadlineError, "COOP_DEADLINE"],
  [new ClosedError("m"), ClosedError, "COOP_CLOSED"],
  [new BusyError("m"), BusyError, "COOP_BUSY"],
  [new BrokenError("m"), BrokenError, "COOP_OWNER_ENDED"],
  [new UnsupportedError("m"), UnsupportedError, "COOP_UNSUPPORTED"],
  [new DeadlockError("m"), DeadlockError, "COOP_DEADLOCK"],
  [new KilledError("m", "why", "main#1"), KilledError, "COOP_KILLED"],
  [new StuckError("m"), StuckError, "COOP_STUCK"],
  [new UsageError("COOP_SOMETHING", "m"), UsageError, "COOP_SOMETHING"],
] as const;

describe("the family", () => {
  test.each(FAMILY)("%s: code, name, message, class", (error, type, code) => {
    expect(error.code).toBe(code);
    expect(error.message).toBe("m");
    expect(error.name).toBe(type.brand);
    expect(error.name).toBe(type.name);
    expect(String(error)).toBe(`${type.name}: m`);
    expect(error.stack).toContain(`${type.name}: m`.slice(0, 5));
    expect(error).toBeInstanceOf(Error);
    expect(error instanceof CoopError).toBe(true);
    for (const [, other] of FAMILY) expect(error instanceof other).toBe(other === type);
    // The code is the only thing an instance carries besides what every error has.
    expect(Object.keys(error).filter((key) => key !== "reason" && key !== "origin")).toEqual(["code"]);
  });

  test("a cause is kept", () => {
    const cause = new Error("below");
    expect(new ClosedError("m", { cause }).cause).toBe(cause);
    expect("cause" in new ClosedError("m")).toBe(false);
  });

  test("a kill carries its reason and its origin", () => {
    expect(new KilledError("m", "why", "main#1")).toMatchObject({ reason: "why", origin: "main#1" });
  });
});

describe("instanceof", () => {
  test("holds across two copies of the package", async () => {
    const url = "../../src/coordinator/errors.ts?copy";
    const copy = (await import(url)) as typeof kernel;
    expect(copy.CoopError).not.toBe(CoopError);
    const theirs = new copy.DeadlineError("m");
    expect(theirs instanceof DeadlineError).toBe(true);
    expect(theirs instanceof CoopError).toBe(true);
    expect(theirs instanceof ClosedError).toBe(false);
    expect(new DeadlineError("m") instanceof copy.DeadlineError).toBe(true);
    expect(Object.getPrototypeOf(theirs) === DeadlineError.prototype).toBe(false);
  });

  test("is false for what is no error of the family", () => {
    for (const value of [null, undefined, 0, "COOP_CLOSED", {}, [], () => {}, new Error("m"), Symbol("s")]) {
      expect((value as unknown) instanceof CoopError).toBe(false);
      expect((value as unknown) instanceof ClosedError).toBe(false);
    }
    expect({ code: "COOP_CLOSED", name: "ClosedError" } instanceof (ClosedError as never)).toBe(false);
  });

  test("a user's own subclass is told by the prototype chain", () => {
    class Mine extends ClosedError {}
    const mine = new Mine("m");
    expect(mine instanceof Mine).toBe(true);
    expect(mine instanceof ClosedError).toBe(true);
    expect(mine instanceof CoopError).toBe(true);
    expect(new ClosedError("m") instanceof Mine).toBe(false);
    expect(mine.code).toBe("COOP_CLOSED");
  });
});

test("invariant throws an InvariantError that says whose bug it is", () => {
  invariant(true, "fine");
  expect(() => invariant(false, "the list is broken")).toThrow(InvariantError);
  expect(() => invariant(false, "the list is broken")).toThrow(/^the list is broken \(a bug in cooperator/);
});

describe("combineErrors", () => {
  const errorsOf = (error: unknown) => (error as { errors?: unknown[] }).errors;

  test("one error is itself, untouched", () => {
    const error = new Error("a");
    expect(combineErrors([error])).toBe(error);
    expect(errorsOf(error)).toBe(undefined);
  });

  test("the first is thrown, the others are on its errors, which does not show up as a field", () => {
    const [a, b, c] = ["a", "b", "c"].map((message) => new Error(message)) as [Error, Error, Error];
    expect(combineErrors([a, b, c])).toBe(a);
    expect(errorsOf(a)).toEqual([b, c]);
    expect(Object.keys(a)).toEqual([]);
  });

  test("where the first takes none, because of a getter or a proxy that throws, both are in an AggregateError", () => {
    const second = new Error("second");
    const getter = Object.defineProperty(new Error("getter"), "errors", {
      get() {
        throw new Error("from the getter");
      },
    });
    const proxy = new Proxy(new Error("proxy"), {
      isExtensible() {
        throw new Error("from the trap");
      },
    });
    for (const first of [getter, proxy]) {
      const combined = combineErrors([first, second]);
      expect(combined).toBeInstanceOf(AggregateError);
      expect((combined as AggregateError).errors[0]).toBe(first);
      expect((combined as AggregateError).errors[1]).toBe(second);
    }
  });

  test("the same error twice is one error", () => {
    const error = new Error("a");
    expect(combineErrors([error, error])).toBe(error);
    expect(errorsOf(error)).toBe(undefined);
  });

  test("errors that are there already are kept, and none is there twice", () => {
    const [a, b, c] = ["a", "b", "c"].map((message) => new Error(message)) as [Error, Error, Error];
    combineErrors([a, b]);
    expect(combineErrors([a, b, c])).toBe(a);
    expect(errorsOf(a)).toEqual([b, c]);
    const aggregate = new AggregateError([b], "several");
    expect(combineErrors([aggregate, c])).toBe(aggregate);
    expect(aggregate.errors).toEqual([b, c]);
  });

  test.each([
    ["a text", "text"],
    ["undefined", undefined],
    ["null", null],
    ["a frozen error", Object.freeze(new Error("frozen"))],
    ["one whose errors cannot be set", Object.defineProperty(new Error("a"), "errors", { value: 1 })],
  ])("%s, which can carry nothing: all go into an AggregateError, the first first", (_, first) => {
    const other = new Error("other");
    const combined = combineErrors([first, other]);
    expect(combined).toBeInstanceOf(AggregateError);
    expect(errorsOf(combined)).toEqual([first, other]);
  });
});

test("an error object that is thrown again and again does not collect those of its whole life", () => {
  const constant = new Error("the same");
  for (let i = 0; i < 5_000; i++) expect(combineErrors([constant, new Error(String(i))])).toBe(constant);
  const { errors } = constant as unknown as { errors: Error[] };
  expect(errors.length).toBeLessThan(1100);
  expect(errors.at(-1)!.message).toBe("4999");
  // Those of one failure are all there, however many they are.
  const many = Array.from({ length: 3_000 }, (_, i) => new Error(`one ${i}`));
  combineErrors([constant, ...many]);
  expect((constant as unknown as { errors: Error[] }).errors.slice(-3_000)).toEqual(many);
});
