/** Durations as people write them. */
import { UsageError } from "../coordinator/errors.ts";
import { describeValue } from "../coordinator/operation.ts";

/** Milliseconds, or a number with a unit: `"250 millis"`, `"1.5 seconds"`, `"2 hours"`. `Infinity` never ends. */
export type Duration = number | string;

const UNITS: Readonly<Record<string, number>> = Object.assign(Object.create(null) as object, {
  ns: 1,
  nano: 1,
  us: 1e3,
  micro: 1e3,
  ms: 1e6,
  milli: 1e6,
  millisecond: 1e6,
  s: 1e9,
  sec: 1e9,
  second: 1e9,
  m: 60e9,
  min: 60e9,
  minute: 60e9,
  h: 3600e9,
  hour: 3600e9,
  d: 86400e9,
  day: 86400e9,
  week: 604800e9,
});

const PATTERN = /^(\d+(?:\.\d+)?) ?([a-z]+)$/;
const PARSED_MAX = 64;
/** Durations in a program are few and are parsed over and over. */
const parsed = new Map<string, number>();

/** Words have a plural, symbols have not: `secs` but not `hs`. */
function singular(unit: string): string {
  return unit.length > 3 && unit.endsWith("s") ? unit.slice(0, -1) : unit;
}

/**
 * A duration in nanoseconds.
 *
 * @throws {UsageError} `COOP_DURATION` when it is negative, NaN, or not a duration at all.
 */
export function nanoseconds(duration: Duration): number {
  if (typeof duration === "number") {
    if (duration >= 0) return duration * 1e6;
  } else if (typeof duration === "string") {
    const known = parsed.get(duration);
    if (known !== undefined) return known;
    const match = PATTERN.exec(duration);
    const unit = match === null ? undefined : (UNITS[match[2]!] ?? UNITS[singular(match[2]!)]);
    if (match !== null && unit !== undefined) {
      const value = Number(match[1]) * unit;
      if (parsed.size >= PARSED_MAX) parsed.clear();
      parsed.set(duration, value);
      return value;
    }
  }
  throw new UsageError(
    "COOP_DURATION",
    `${typeof duration === "string" ? `"${duration}"` : describeValue(duration)} is not a duration: ` +
      'give milliseconds from 0 up, or a text such as "250 millis" or "2 seconds"',
  );
}
