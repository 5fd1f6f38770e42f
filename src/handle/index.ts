/** The life of a pending operation, and references that know when they are stale. */
export { CompletionQueue } from "./completion-queue.ts";
export { Handle } from "./handle.ts";
export { Slab } from "./slab.ts";
