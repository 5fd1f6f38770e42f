/** Synchronisation between tasks: locks, events, channels, and waiting for the first of several. */
export { Barrier, type BarrierStatistics, BrokenBarrierError } from "./barrier.ts";
export { Broadcast, LagError, type SubscribeOptions, type Subscription } from "./broadcast.ts";
export {
  Channel,
  type ChannelOptions,
  type ChannelStatistics,
  EMPTY,
  END,
  type Overflow,
  type Source,
  type Undelivered,
} from "./channel.ts";
export type { Receiver, Sender } from "./channel-ends.ts";
export { Condition, type ConditionStatistics } from "./condition.ts";
export { each, filter, merge, pipe } from "./dataflow.ts";
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
export { Watch, type Watcher } from "./watch.ts";
