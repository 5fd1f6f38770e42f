/**
 * How options are read: only what the object itself has. What somebody has put on `Object.prototype` is no option, and
 * a name that no option has is a typing error, which is told.
 */
import { UsageError } from "./errors.ts";

/** The value of an option; undefined when the object itself does not have it. */
export function given<T extends object, K extends keyof T>(
  options: T | null | undefined,
  key: K,
): T[K] | undefined {
  if (options === undefined || options === null) return undefined;
  const value = options[key];
  // The look-up comes first, since most options are not given and it costs a tenth of the question whose the value is.
  return value === undefined || !Object.hasOwn(options, key) ? undefined : value;
}

/** A copy of what the object itself has. */
export function ownOf<T extends object>(options: T | null | undefined): T {
  return { __proto__: null, ...options } as unknown as T;
}

/** Options with that one only, or with none: what is handed on to another operation. */
export function pick<T extends object, K extends keyof T>(
  options: T | null | undefined,
  key: K,
): { readonly [P in K]?: Exclude<T[P], undefined> } {
  const value = given(options, key);
  return (value === undefined ? {} : { [key]: value }) as { readonly [P in K]?: Exclude<T[P], undefined> };
}

/** The names of all options of a kind: the compiler sees that none is missing. */
export type Known<T> = { readonly [K in keyof Required<T>]: true };

/**
 * Checks the names of options.
 *
 * @throws {UsageError} `COOP_OPTIONS` for what is no object, and for a name that `known` does not have.
 */
export function checkOptions<T extends object>(options: T | undefined, what: string, known: Known<T>): void {
  if (options === undefined) return;
  checkObject(options, what);
  for (const key of Object.keys(options)) {
    if (Object.hasOwn(known, key)) continue;
    const names = Object.keys(known);
    const nearest = names.reduce((best, name) => (distance(key, name) < distance(key, best) ? name : best));
    const meant = distance(key, nearest) <= Math.max(2, key.length / 3) ? `: did you mean ${nearest}?` : "";
    throw new UsageError(
      "COOP_OPTIONS",
      `${what} has no option ${key}${meant === "" ? `; it has ${names.join(", ")}` : meant}`,
    );
  }
}

/** @throws {UsageError} `COOP_OPTIONS` for options that are no object. */
export function checkObject(options: unknown, what: string): void {
  if (typeof options === "object" && options !== null) return;
  throw new UsageError(
    "COOP_OPTIONS",
    `${what} takes an object with options, not ${options === null ? "null" : `a ${typeof options}`}`,
  );
}

/** @throws {UsageError} `COOP_NAME` for a name that is no text: what goes wrong later would be told with it. */
export function checkName(name: unknown): void {
  if (typeof name === "string") return;
  throw new UsageError("COOP_NAME", `a name is a text, not a ${typeof name}`);
}

/** The name among the options of a thing that can do with none. */
export function nameOf(options: { readonly name?: string } | undefined, otherwise: string): string {
  if (options === undefined) return otherwise;
  checkObject(options, otherwise);
  const name = given(options, "name");
  if (name === undefined) return otherwise;
  checkName(name);
  return name;
}

/** Letters to add, take away or change. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const change = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(change, row[j]! + 1, next[j - 1]! + 1));
    }
    row = next;
  }
  return row[b.length]!;
}
