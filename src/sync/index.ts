/** Synchronisation between tasks: locks, events, channels, and waiting for the first of several. */
export {};
