/** Timers, sleeping and deadlines. */
export { type Duration, nanoseconds } from "./duration.ts";
export { Handle } from "./handle.ts";
export { every, type Interval } from "./interval.ts";
export { now, sleep, sleepUntil } from "./sleep.ts";
export { deadline, type Limited, type LimitedBody, moveOnAfter, type TimeLimit, timeout } from "./timeout.ts";
