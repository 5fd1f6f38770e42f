/**
 * Where an error came from: the task, the calls in it, who spawned it, and the same for its parents.
 *
 * A stack trace of the engine ends at the scheduler. What is above, the tree knows, but by the time an error
 * has come out of the tree the tree is gone: so it is noted when the error leaves its first frame and when it
 * ends its first task, in words only, so that an error kept for long keeps no task alive. Nothing is done for
 * tasks that end well but to remember the function that spawned them. Source: seeds X-55.
 */
import type { Frame } from "../task/frame.ts";
import type { Task } from "../task/task.ts";

/** A task that has ended with an error, or an ancestor of it. */
export interface TracedTask {
  /** Name and number: `session#12`. */
  readonly task: string;
  /** The function that spawned it; null for one that was spawned from outside of the tree, or without a name. */
  readonly spawnedBy: string | null;
  /** File, line and column of the spawn, where the cooperator was made with `spawnSites`. */
  readonly spawnedAt: string | null;
}

export interface TaskTrace extends TracedTask {
  /** Names of the operations that were under way where it was thrown, innermost first. */
  readonly calls: readonly string[];
  /** From the parent of the task up to the root. */
  readonly parents: readonly TracedTask[];
}

/** Deeper chains are cut: nobody reads more, and errors must stay cheap in deep trees. */
const CALLS_MAX = 32;
const PARENTS_MAX = 32;
/** Errors inside an error whose traces are shown with it. */
const SHOWN_INSIDE_MAX = 32;

class Trace implements TaskTrace {
  readonly task: string;
  readonly id: number;
  readonly spawnedBy: string | null;
  readonly spawnedAt: string | null;
  readonly calls: readonly string[];
  /** Empty until it has ended a task. */
  parents: readonly TracedTask[] = [];
  ended = false;
  shown = false;

  constructor(task: Task, frame: Frame | null) {
    const { spawner } = task;
    this.task = task.label;
    this.id = task.id;
    this.spawnedBy = nameOf(spawner);
    this.spawnedAt = spawner instanceof SpawnSite ? spawner.place : null;
    this.calls = frame === null ? [] : callsFrom(frame);
  }
}

const traces = new WeakMap<object, Trace>();

/**
 * What is known of the way an error has come; null for one that has ended no task, and for what is no object.
 *
 * @example
 * const trace = traceOf(error);
 * if (trace !== null) log.error({ task: trace.task, calls: trace.calls, parents: trace.parents });
 */
export function traceOf(error: unknown): TaskTrace | null {
  const trace = isObject(error) ? traces.get(error) : undefined;
  if (trace === undefined || !trace.ended) return null;
  const { task, spawnedBy, spawnedAt, calls, parents } = trace;
  return { task, spawnedBy, spawnedAt, calls, parents };
}

/** @internal `error` leaves `frame`, and with the first one it leaves the chain of calls is still there. */
export function noteThrown(task: Task, frame: Frame, error: unknown): void {
  if (!isObject(error)) return;
  const known = traces.get(error);
  if (known === undefined || (!known.ended && known.id !== task.id))
    traces.set(error, new Trace(task, frame));
}

/** @internal `error` ends `task`; of one that has ended another before, that is what counts. */
export function noteExit(task: Task, error: unknown): void {
  if (!isObject(error)) return;
  let trace = traces.get(error);
  if (trace?.ended === true) return;
  if (trace === undefined || trace.id !== task.id) {
    trace = new Trace(task, null);
    traces.set(error, trace);
  }
  trace.ended = true;
  const parents: TracedTask[] = [];
  for (let above = task.parent; above !== null && parents.length < PARENTS_MAX; above = above.parent) {
    const { spawner } = above;
    const spawnedAt = spawner instanceof SpawnSite ? spawner.place : null;
    parents.push({ task: above.label, spawnedBy: nameOf(spawner), spawnedAt });
  }
  trace.parents = parents;
}

/**
 * @internal The error leaves the tree: its trace is appended to its `stack`, once, so that whatever prints the
 * error prints it. An error that cannot be changed stays as it is.
 */
export function showTrace(error: unknown): void {
  const inside = [error];
  for (let i = 0; i < inside.length && i < SHOWN_INSIDE_MAX; i++) {
    const shown = inside[i];
    if (!isObject(shown)) continue;
    try {
      append(shown);
      const { errors, cause } = shown as { errors?: unknown; cause?: unknown };
      if (cause !== undefined && !inside.includes(cause)) inside.push(cause);
      if (Array.isArray(errors) && inside.length < SHOWN_INSIDE_MAX) {
        // The first of them are enough: there can be very many.
        for (const one of errors.slice(0, SHOWN_INSIDE_MAX)) if (!inside.includes(one)) inside.push(one);
      }
    } catch {
      // A frozen error, or one with accessors of its own.
    }
  }
}

function append(error: object): void {
  const trace = traces.get(error);
  if (trace === undefined || !trace.ended || trace.shown) return;
  trace.shown = true;
  const { stack } = error as { stack?: unknown };
  // In newer engines `stack` has a setter, which does not mind that the error is frozen.
  if (typeof stack !== "string" || !Object.isExtensible(error)) return;
  const calls = trace.calls.length === 0 ? "" : ` (${trace.calls.join(" < ")})`;
  const lines = [trace, ...trace.parents].map(
    (traced, i) => `\n    in task ${traced.task}${i === 0 ? calls : ""}${spawnOf(traced)}`,
  );
  (error as { stack?: unknown }).stack = stack + lines.join("");
}

function spawnOf({ spawnedBy, spawnedAt }: TracedTask): string {
  if (spawnedBy === null && spawnedAt === null) return "";
  return `, spawned${spawnedBy === null ? "" : ` by ${spawnedBy}`}${spawnedAt === null ? "" : ` at ${spawnedAt}`}`;
}

function callsFrom(first: Frame): string[] {
  const names: string[] = [];
  for (let frame: Frame | null = first; frame !== null; frame = frame.below) {
    const name = nameOf(frame.fn);
    if (name === null) continue;
    if (names.length === CALLS_MAX) return [...names, "…"];
    names.push(name);
  }
  return names;
}

function nameOf(fn: { readonly name: string } | null): string | null {
  return fn === null || typeof fn.name !== "string" || fn.name === "" ? null : fn.name;
}

function isObject(error: unknown): error is object {
  return typeof error === "object" && error !== null;
}

/** Where this library lies: its own lines are not the place of a spawn. */
const library = new URL("../..", import.meta.url).pathname;

/** @internal The function that has spawned a task, and the place in it. Made only where that was asked for. */
export class SpawnSite {
  readonly name: string;
  /** Its stack is put into words only when somebody asks. */
  private readonly captured = new Error("spawned");

  constructor(fn: { readonly name: string } | null) {
    this.name = fn === null ? "" : fn.name;
  }

  get place(): string | null {
    for (const line of (this.captured.stack ?? "").split("\n").slice(1)) {
      if (line.includes(library)) continue;
      return /\(?([^\s()]+:\d+:\d+)\)?$/.exec(line)?.[1] ?? null;
    }
    return null;
  }
}
