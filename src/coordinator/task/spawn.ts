/** Making tasks. Source: seeds C-060 … C-063; design D5. */

import { SpawnSite } from "../diagnosis/trace.ts";
import { UsageError } from "../errors.ts";
import { checkDeadline, tightenDeadline } from "../kill/deadline.ts";
import { type Body, Call, describeValue, enter } from "../operation.ts";
import { checkName, checkObject, given } from "../options.ts";
import type { Cooperator } from "../scheduler/cooperator.ts";
import { checkPriority, type Priority } from "../scheduler/run-queue.ts";
import { current, currentTask } from "./current.ts";
import type { Deferred, Scope } from "./scope.ts";
import { step } from "./step.ts";
import { type FailureMode, Task } from "./task.ts";

export interface SpawnOptions {
  /** For dumps and messages. */
  readonly name?: string;
  /** `HIGH` 0, `NORMAL` 1, `LOW` 2. Default: that of the spawning task. */
  readonly priority?: Priority;
  /** What a failure does. Default `"parent"`: it kills the parent with the error. */
  readonly failure?: FailureMode;
  /**
   * When the first step is taken: `"queued"` behind what is ready (the default), `"next"` before anything
   * else that is ready, `"now"` inside the call.
   */
  readonly start?: "queued" | "next" | "now";
  /** When it is killed if it has not ended, in milliseconds on the scale of `now()`. */
  readonly deadline?: number;
  /** A group does not wait for it: it is killed when the group's other work is done. Default false. */
  readonly daemon?: boolean;
  /** Owned by the root and not by the spawner: ends by itself, or with the program. Default false. */
  readonly detached?: boolean;
}

/** Nested `start: "now"` calls before the rest are queued instead: each costs native stack. */
const START_NOW_DEPTH_MAX = 64;

/**
 * Spawns a child of the running task. It runs in a later step and never outlives its parent: when the
 * parent's body ends, what is left of its children is killed.
 *
 * @throws {ClosedError} when the running task has been killed.
 * @throws {UsageError} when `body` is not an operation, or its arguments make it throw.
 * @example
 * const child = spawn(session(socket), { name: "session", failure: "report" });
 */
export function spawn<A>(body: Body<A>, options?: SpawnOptions): Task<A> {
  const parent = currentTask("spawn()");
  return spawnInto(parent.cooperator, parent, body, options);
}

/** The task that runs. */
export function self(): Task {
  return currentTask("self()");
}

/**
 * Registers clean-up of the running task: it runs after the body has ended and every child is gone, last
 * registered first, whether the task returned, failed or was killed. It may wait, and no kill interrupts it.
 */
export function defer(cleanup: Deferred): void {
  addDefer(currentTask("defer()"), cleanup);
}

/** @internal */
export function addDefer(scope: Scope, cleanup: Deferred): void {
  if (typeof cleanup !== "function" && typeof cleanup?.[Symbol.iterator] !== "function") {
    throw new UsageError("COOP_NOT_AN_OPERATION", "defer() takes a function or an operation");
  }
  const rare = scope.needRare();
  rare.defers ??= [];
  rare.defers.push(cleanup);
}

/**
 * @internal Kept short, and the unusual kept out of it: the engine inlines all of a plain spawn into its
 * caller only while the whole stays below its limit.
 */
export function spawnInto<A>(
  cooperator: Cooperator,
  spawner: Scope,
  body: Body<A>,
  options?: SpawnOptions,
): Task<A> {
  const owner = options === undefined ? spawner : ownerOf(cooperator, spawner, options);
  if (owner.cause !== null || owner.closed) owner.checkOpen();
  const running = current.task;
  if (running !== null && running.cooperator !== cooperator) cooperator.checkThread(running.cooperator);
  if (options !== undefined) checkOptions(cooperator, options);
  const frame = body instanceof Call ? body.frame() : enter(null, body, "spawn()").frame();
  const task = new Task<A>(cooperator, owner, cooperator.nextId(), frame.fn);
  task.top = frame;
  if (frame.scope !== null) frame.scope.host = task as Task;
  if (running !== null) {
    task.priority = running.priority;
    task.locals = running.locals;
    task.spawner = running.top === null ? null : running.top.fn;
  }
  owner.adopt(task as Task);
  cooperator.counts.spawned++;
  if (cooperator.spawnSites) task.spawner = new SpawnSite(task.spawner);
  if (options === undefined) cooperator.admit(task as Task);
  else startAs(task as Task, options);
  return task;
}

function ownerOf(cooperator: Cooperator, spawner: Scope, options: SpawnOptions): Scope {
  return given(options, "detached") === true ? cooperator.root : spawner;
}

/** Throws for what is no option, before there is a task. */
function checkOptions(cooperator: Cooperator, options: SpawnOptions): void {
  checkObject(options, "spawn()");
  const name = given(options, "name");
  if (name !== undefined) checkName(name);
  const priority = given(options, "priority");
  const failure = given(options, "failure");
  const start = given(options, "start");
  const deadline = given(options, "deadline");
  if (priority !== undefined) checkPriority(priority);
  if (failure !== undefined) checkOption(FAILURE_MODES, failure, "failure");
  if (start !== undefined) checkOption(STARTS, start, "start");
  if (deadline !== undefined) checkDeadline(cooperator, deadline);
}

const FAILURE_MODES: readonly unknown[] = ["parent", "hold", "report"];
const STARTS: readonly unknown[] = ["queued", "next", "now"];

function checkOption(allowed: readonly unknown[], value: unknown, what: string): void {
  if (allowed.includes(value)) return;
  throw new UsageError("COOP_OPTION", `${what} is one of ${allowed.join(", ")}, not ${describeValue(value)}`);
}

function startAs(task: Task, options: SpawnOptions): void {
  const name = given(options, "name");
  if (name !== undefined) task.name = name;
  if (given(options, "daemon") === true) {
    task.needRare().daemon = true;
    task.owner.needRare().daemons++;
  }
  task.failure = given(options, "failure") ?? task.failure;
  task.priority = given(options, "priority") ?? task.priority;
  if (task.cooperator.probe !== null) task.cooperator.probe.spawned(task);
  const deadline = given(options, "deadline");
  if (deadline !== undefined) tightenDeadline(task, deadline);
  start(task.cooperator, task, given(options, "start") ?? "queued");
}

let nowDepth = 0;

function start(cooperator: Cooperator, task: Task, when: "queued" | "next" | "now"): void {
  if (when === "queued") {
    cooperator.ready(task);
    return;
  }
  if (when === "now" && nowDepth < START_NOW_DEPTH_MAX && current.task !== null) {
    const spawner = current.task;
    nowDepth++;
    try {
      if (cooperator.probe === null) step(task);
      else cooperator.probe.step(task);
    } finally {
      nowDepth--;
      current.task = spawner;
    }
    return;
  }
  cooperator.readyFirst = true;
  try {
    cooperator.ready(task);
  } finally {
    cooperator.readyFirst = false;
  }
}
