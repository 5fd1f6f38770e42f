/** Timers, sleeping and deadlines. */
export { type Duration, nanoseconds } from "./duration.ts";
export { Handle } from "./handle.ts";
export { now, sleep, sleepUntil } from "./sleep.ts";
export { deadline, timeout } from "./timeout.ts";
