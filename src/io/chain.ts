/**
 * Chains: several operations in one submission, of which the kernel begins each when the one before it has
 * succeeded. Between two of them there is no trip to this side. Source: seeds X-32; conformance P18;
 * io_uring_enter(2), IOSQE_IO_LINK.
 *
 * A link holds when the operation did all it was asked to: a read or a write that is short breaks it as an error
 * does, a `recv` or a `send` that is short does not. What comes after a broken link is not begun and ends with
 * -ECANCELED. The kernel does not find an operation that has not begun, so a cancel is repeated when its turn has
 * come (`Handle.leaveChain`).
 */
import { UsageError } from "../coordinator/errors.ts";
import { describeValue, type Operation, op } from "../coordinator/operation.ts";
import { ECANCELED } from "./errno.ts";
import { Handle } from "./handle.ts";
import { currentIo, type Io } from "./io.ts";
import { IoOperation, type Kind, QUEUED } from "./io-operation.ts";

/** What each operation of a chain gives, in their order. */
export type ChainResults<A extends readonly Operation<unknown>[]> = {
  -readonly [K in keyof A]: A[K] extends Operation<infer V> ? V : never;
};

/**
 * Queues operations that the kernel runs one after the other, each on its handle, and returns at once. When one
 * fails or is short, the result of those after it is -125 (ECANCELED).
 *
 * @param operations What blocking forms of this package give, made and not run: `write(file, bytes)`, `fsync(file)`.
 * @throws {UsageError} `COOP_CHAIN` for what cannot be chained, or is too long. @throws {BusyError} when a handle is
 * pending. Nothing is queued then.
 * @see {@link chain} to wait.
 * @example setupChain([writing, syncing], [write(file, bytes), fsync(file)]);
 */
export function setupChain(handles: readonly Handle[], operations: readonly Operation<unknown>[]): void {
  const io = currentIo("the setup of a chain");
  const links = check(io, operations);
  checkHandles(handles, links.length);
  queue(io, handles, links, 0);
}

/**
 * Runs operations one after the other in one submission, and gives what they give. It ends at the first that fails,
 * and throws what that throws; those after it are not begun. A `writeAll` or `sendAll` that the kernel does in
 * several parts is completed, and the chain goes on. After another short read or write the next operation fails with
 * `ECANCELED`.
 *
 * A kill cancels the one that runs, and those after it are not begun; one that cannot be stopped, such as a write to a
 * disk, runs to its end. What the earlier ones have got goes back as after a kill of each.
 *
 * @throws {UsageError} `COOP_CHAIN` for an operation that is not one of the kernel's own, as `close` and `connect`.
 * @example const [count] = yield* chain([write(file, bytes), fsync(file)]);
 */
export const chain: <const A extends readonly Operation<unknown>[]>(
  operations: A,
) => Operation<ChainResults<A>> = op(function* chain(operations: readonly Operation<unknown>[]) {
  const io = currentIo("a chain");
  const links = check(io, operations);
  const handles = links.map(() => new Handle());
  let from = 0;
  let complete = false;
  try {
    while (from < links.length) {
      queue(io, handles, links, from);
      // In order: a kill cancels the one that runs, and so ends the others.
      for (let i = from; i < handles.length; i++) yield* handles[i]!;
      const failed = handles.findIndex((handle) => handle.result < 0);
      if (failed === -1) break;
      // The kernel took it for short, and it is whole by now.
      const goesOn = failed > from && handles[failed]!.result === -ECANCELED && handles[failed - 1]!.wentOn;
      if (!goesOn) throw links[failed]!.error(handles[failed]!.result, handles[failed]!.timedOut);
      from = failed;
    }
    complete = true;
    return links.map((link, i) => link.kind.convert(handles[i]!.result, link, io));
  } finally {
    if (!complete) {
      // What had been kept goes back from the last to the first; what has come since is kept in its order.
      for (let i = handles.length - 1; i >= 0; i--) if (handles[i]!.atOnce) handles[i]!.forsake();
      for (const handle of handles) if (!handle.atOnce) handle.forsake();
      for (const handle of handles) if (handle.pending) yield* handle.settled();
    }
  }
}) as <A extends readonly Operation<unknown>[]>(operations: A) => Operation<ChainResults<A>>;

function check(io: Io, operations: readonly Operation<unknown>[]): readonly IoOperation<unknown>[] {
  const { chainMax } = io.driver;
  const count = Array.isArray(operations) ? operations.length : 0;
  if (count < 1 || count > chainMax) {
    throw new UsageError("COOP_CHAIN", `a chain is a list of 1 to ${chainMax} operations`);
  }
  for (let i = 0; i < count; i++) {
    const operation = operations[i];
    if (!(operation instanceof IoOperation)) {
      throw new UsageError(
        "COOP_CHAIN",
        `a chain takes operations that are one request to the kernel, such as write() and fsync(), not ${describeValue(operation)}`,
      );
    }
    if (operations.indexOf(operation) !== i) {
      throw new UsageError("COOP_CHAIN", `${operation.describe()} is twice in the chain; make another one`);
    }
  }
  return operations as readonly unknown[] as readonly IoOperation<unknown>[];
}

function checkHandles(handles: readonly Handle[], count: number): void {
  if (!Array.isArray(handles) || handles.length !== count) {
    throw new UsageError("COOP_CHAIN", `a chain of ${count} operations takes as many handles`);
  }
  for (let i = 0; i < count; i++) {
    if (!(handles[i] instanceof Handle) || handles.indexOf(handles[i]!) !== i) {
      throw new UsageError("COOP_CHAIN", "each operation of a chain takes an io Handle of its own");
    }
  }
}

/** Hands all over, the first few left out, or none. */
function queue(
  io: Io,
  handles: readonly Handle[],
  links: readonly IoOperation<unknown>[],
  from: number,
): void {
  const results: number[] = [];
  const { driver } = io;
  let prepared = 0;
  let last: Handle | null = null;
  // Not begun are also those after one whose error is known before it is asked for.
  let broken = false;
  driver.beginChain();
  try {
    for (let i = from; i < links.length; i++) {
      const handle = handles[i]!;
      const { kind, descriptor, options } = links[i]!;
      handle.prepare(io, kind as Kind<unknown>, descriptor, options);
      prepared++;
      handle.join(last, i < links.length - 1);
      links[i]!.sent = 0;
      const result: number = broken ? -ECANCELED : kind.setup(io, handle, links[i]!);
      results.push(result);
      if (result === QUEUED) {
        if (last !== null) last.follower = handle;
        last = handle;
      } else {
        handle.leader = null;
        broken ||= result < 0;
      }
    }
  } catch (error) {
    driver.dropChain();
    // From the last to the first: what they have taken of one stream goes back in its order.
    for (let i = prepared - 1; i >= 0; i--) {
      const result = results[i] ?? -ECANCELED;
      handles[from + i]!.unchain(result === QUEUED, result, links[from + i]!.bytes);
    }
    throw links[from + results.length]!.explain(error);
  }
  driver.endChain();
  for (let i = from; i < links.length; i++) {
    const handle = handles[i]!;
    const result = results[i - from]!;
    if (result === QUEUED) handle.started();
    else {
      // Where it is reclaimed from.
      handle.bytes = links[i]!.bytes;
      handle.immediate(result);
    }
  }
}
