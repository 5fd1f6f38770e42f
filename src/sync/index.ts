/** Synchronisation between tasks: locks, events, channels, and waiting for the first of several. */
export { Barrier, type BarrierStatistics, BrokenBarrierError } from "./barrier.ts";
export { Condition, type ConditionStatistics } from "./condition.ts";
export { Event, type EventStatistics } from "./event.ts";
export type { Guard } from "./guard.ts";
export { Latch, type LatchStatistics } from "./latch.ts";
export { Mutex, type MutexStatistics } from "./mutex.ts";
export { Once, type OnceStatistics } from "./once.ts";
export { RateLimiter, type RateLimiterOptions, type RateLimiterStatistics } from "./rate-limiter.ts";
export { RwLock, type RwLockStatistics } from "./rw-lock.ts";
export { type Arms, type SelectOptions, select, trySelect, type Won } from "./select.ts";
export { type Permit, Semaphore, type SemaphoreStatistics } from "./semaphore.ts";
export { SingleFlight, type SingleFlightStatistics } from "./single-flight.ts";
