/** Where a task is in its life. Plain numbers: they are compared in the hottest code there is. */
export type TaskState = 0 | 1 | 2 | 3 | 4;

/** In the run queue. */
export const READY = 0;
/** Its body is executing, or another task is and this one called into it. */
export const RUNNING = 1;
/** On a wait. */
export const BLOCKED = 2;
/** Killed, but children it spawned are still cleaning up; its own clean-up comes after theirs. */
export const DRAINING = 3;
/** Over; the exit is recorded. */
export const ENDED = 4;

export const stateNames = ["ready", "running", "blocked", "draining", "ended"] as const;
