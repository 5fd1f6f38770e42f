/** Running a program to its end, with all that it writes. */

import { UsageError } from "../../coordinator/errors.ts";
import type { Group } from "../../coordinator/group/group.ts";
import { group } from "../../coordinator/group/group.ts";
import { describeValue, type Operation, op } from "../../coordinator/operation.ts";
import { checkOptions, given, type Known, ownOf } from "../../coordinator/options.ts";
import { EPIPE, IoError } from "../errno.ts";
import type { File } from "../file/file.ts";
import { allocate, type Bytes, checkBytes } from "../memory/memory.ts";
import { LimitError } from "../stream/stream-errors.ts";
import { Plan, PROCESS_OPTIONS, type ProcessOptions } from "./plan.ts";
import type { ProcessExit } from "./process.ts";
import { start } from "./spawn-process.ts";

export interface RunProcessOptions extends ProcessOptions {
  /** What it reads, to its end. Default: nothing. A program that does not read all of it is no error. */
  readonly input?: Bytes | string;
  /** Most bytes of stdout, and of stderr. Default 1 MiB. */
  readonly limit?: number;
}

/** How a program ended and what it wrote; a stream that is no pipe is empty. */
export interface ProcessResult extends ProcessExit {
  readonly stdout: Buffer;
  readonly stderr: Buffer;
}

const KNOWN: Known<RunProcessOptions> = { ...PROCESS_OPTIONS, input: true, limit: true };
const LIMIT_DEFAULT = 1024 * 1024;
const CHUNK_BYTES = 64 * 1024;

/**
 * Runs a program and gives how it ended and what it wrote, all of it: both streams are read to their end, so this
 * also waits for programs that it has left behind with one of them. An exit code is no error, whatever it is. A kill,
 * and a `timeout` around it, end the program as {@link spawnProcess} says.
 *
 * @throws {LimitError} when it writes more than `limit` to a stream; it has been ended then.
 * @throws {IoError} as {@link spawnProcess}.
 * @example const { stdout } = yield* timeout("10 seconds", runProcess("git", ["rev-parse", "HEAD"]));
 */
export function runProcess(
  command: string,
  args: readonly string[] = [],
  options?: RunProcessOptions,
): Operation<ProcessResult> {
  checkOptions(options, "runProcess", KNOWN);
  const { input, stdin } = ownOf(options);
  if (input !== undefined && stdin !== undefined && stdin !== "pipe") {
    throw new UsageError(
      "COOP_ARGUMENT",
      "a program gets its input from `input` or from `stdin`, not from both",
    );
  }
  const bytes =
    input === undefined
      ? null
      : typeof input === "string"
        ? Buffer.from(input)
        : checkBytes(input, "runProcess");
  const limit = given(options, "limit") ?? LIMIT_DEFAULT;
  if (!Number.isSafeInteger(limit) || limit < 0) {
    throw new UsageError("COOP_ARGUMENT", `a limit is a whole number from 0 up, not ${describeValue(limit)}`);
  }
  const plan = new Plan(command, args, { ...options, stdin: bytes === null ? (stdin ?? "ignore") : "pipe" });
  return run(plan, bytes, limit);
}

const run = op(function* runProcess(plan: Plan, input: Bytes | null, limit: number) {
  return yield* group((g) => within(g, plan, input, limit), { name: `run of ${plan.command}` });
});

const within = op(function* within(g: Group, plan: Plan, input: Bytes | null, limit: number) {
  const child = yield* start((body, options) => g.spawn(body, options), plan);
  const { streams } = plan;
  const out = streams.stdout === "pipe" ? g.spawn(collect(child.stdout, limit, plan, "stdout")) : null;
  const err = streams.stderr === "pipe" ? g.spawn(collect(child.stderr, limit, plan, "stderr")) : null;
  if (streams.stdin === "pipe") g.spawn(feed(child.stdin, input));
  const { pid, code, signal } = yield* child.wait();
  return {
    pid,
    code,
    signal,
    stdout: out === null ? Buffer.alloc(0) : yield* out.join(),
    stderr: err === null ? Buffer.alloc(0) : yield* err.join(),
  };
});

const collect = op(function* collect(from: File, limit: number, plan: Plan, name: string) {
  const chunk = allocate(CHUNK_BYTES);
  const parts: Buffer[] = [];
  let length = 0;
  for (let count = yield* from.read(chunk); count > 0; count = yield* from.read(chunk)) {
    length += count;
    if (length > limit)
      throw new LimitError(`${name} of ${plan.command} has more than ${limit} bytes`, limit);
    parts.push(Buffer.from(chunk.subarray(0, count)));
  }
  return Buffer.concat(parts, length);
});

const feed = op(function* feed(to: File, input: Bytes | null) {
  try {
    if (input !== null) yield* to.writeAll(input);
  } catch (error) {
    // It has ended, or does not want to know the rest.
    if (!(error instanceof IoError && error.errno === -EPIPE)) throw error;
  } finally {
    to[Symbol.dispose]();
  }
});
