/** Making a Node `Duplex` of a stream of ours. */
import { addAbortSignal } from "node:stream";
import { UsageError } from "../coordinator/errors.ts";
import { describeValue, type Operation } from "../coordinator/operation.ts";
import { ownOf } from "../coordinator/options.ts";
import type { Cooperator } from "../coordinator/scheduler/cooperator.ts";
import { currentTask } from "../coordinator/task/current.ts";
import type { Spawner } from "../coordinator/task/spawn-ready.ts";
import { endsOf, isOpening, type StreamLike } from "./source.ts";
import { type NodeOptions, TaskDuplex } from "./task-duplex.ts";

export interface ToDuplexOptions {
  /** Who owns it: its end ends the duplex. A task, a group, or a cooperator. Default: the running task. */
  readonly owner?: Spawner | Cooperator;
  /** The writing side stays open when the peer has sent its last. Default false, as for Node's sockets. */
  readonly allowHalfOpen?: boolean;
  /** Bytes that are read ahead, and bytes that may wait to be written. Default: Node's own. */
  readonly highWaterMark?: number;
  readonly readableHighWaterMark?: number;
  readonly writableHighWaterMark?: number;
  /** False leaves out one direction, whatever the stream has. */
  readonly readable?: boolean;
  readonly writable?: boolean;
  /** Destroys it. */
  readonly signal?: AbortSignal;
}

/**
 * Makes a `Duplex` of a stream, which belongs to it from then on: when it ends or is destroyed the stream is closed.
 * It lives in a task of its owner. A kill of that destroys it with a `KilledError`, and so does the owner's end.
 *
 * @param source A `Socket`, `File` or `Pipe`, whatever reads or writes as they do, or an operation that gives one, such
 * as `connect(…)`: then it can be written to at once, and emits `"connect"`.
 * @throws {ClosedError} when the owner takes no more children.
 * @throws {UsageError} `COOP_ARGUMENT` for what is no stream, and for wrong options.
 * @example
 * const duplex = toDuplex(socket);
 * https.get({ host, createConnection: () => tls.connect({ socket: duplex, servername: host }) });
 */
export function toDuplex(source: StreamLike | Operation<StreamLike>, options?: ToDuplexOptions): TaskDuplex {
  const own = ownOptions(options);
  const opening = isOpening(source) ? source : null;
  const ends = opening === null ? endsOf(source) : null;
  if (ends?.reader === null) own.node.readable = false;
  if (ends?.writer === null) own.node.writable = false;
  const duplex = new TaskDuplex(own.node, ends);
  duplex.start(own.owner ?? currentTask("toDuplex()"), opening);
  if (own.signal !== undefined) addAbortSignal(own.signal, duplex);
  return duplex;
}

interface Own {
  readonly owner: Spawner | Cooperator | undefined;
  readonly signal: AbortSignal | undefined;
  readonly node: NodeOptions;
}

function ownOptions(options: ToDuplexOptions | undefined): Own {
  if (options !== undefined && (typeof options !== "object" || options === null)) {
    throw new UsageError(
      "COOP_ARGUMENT",
      `the options of toDuplex() are an object, not ${describeValue(options)}`,
    );
  }
  const given = ownOf(options);
  const node: NodeOptions = {
    allowHalfOpen: given.allowHalfOpen === true,
    readable: given.readable !== false,
    writable: given.writable !== false,
  };
  for (const key of MARKS) if (given[key] !== undefined) node[key] = checkMark(given[key], key);
  const { owner, signal } = given;
  if (owner !== undefined && typeof owner?.spawn !== "function") {
    throw new UsageError(
      "COOP_ARGUMENT",
      `an owner is a task, a group or a cooperator, not ${describeValue(owner)}`,
    );
  }
  if (signal !== undefined && !isSignal(signal)) {
    throw new UsageError(
      "COOP_NOT_A_SIGNAL",
      `toDuplex() takes an AbortSignal, not ${describeValue(signal)}`,
    );
  }
  return { owner, signal, node };
}

/** What Node takes for one: it looks when the duplex has its task already. */
function isSignal(value: AbortSignal): boolean {
  return typeof value?.addEventListener === "function" && typeof value.aborted === "boolean";
}

function checkMark(mark: number, name: string): number {
  if (Number.isSafeInteger(mark) && mark >= 0) return mark;
  throw new UsageError(
    "COOP_ARGUMENT",
    `${name} is a whole number of bytes from 0 up, not ${describeValue(mark)}`,
  );
}

const MARKS = ["highWaterMark", "readableHighWaterMark", "writableHighWaterMark"] as const;
