/** Synchronisation between tasks: locks, events, channels, and waiting for the first of several. */
export { type Arms, type SelectOptions, select, trySelect, type Won } from "./select.ts";
