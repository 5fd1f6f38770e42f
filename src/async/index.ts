/** Bridges to the rest of JavaScript: promises, async functions, AbortSignal, async iterables, events. */
export {};
