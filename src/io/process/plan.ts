/** What a process is started with: checked, and put into words of node:child_process. */

import type { SpawnOptions as NodeOptions } from "node:child_process";
import { constants } from "node:os";
import { UsageError } from "../../coordinator/errors.ts";
import { describeValue } from "../../coordinator/operation.ts";
import { given, type Known, ownOf } from "../../coordinator/options.ts";
import { type Duration, nanoseconds } from "../../time/duration.ts";
import { Descriptor } from "../descriptor/descriptor.ts";
import type { Io } from "../io.ts";
import { checkInheritedInput } from "./standard.ts";

/**
 * Where a standard stream leads: a pipe with the other end here, nowhere, to where that of this process leads, or to
 * an open file, pipe or socket.
 */
export type ProcessStream = "pipe" | "ignore" | "inherit" | Descriptor;

export interface ProcessOptions {
  /** Working directory. Default: that of this process. */
  readonly cwd?: string;
  /** All of its environment. Default: that of this process. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Default `"pipe"`. */
  readonly stdin?: ProcessStream;
  /** Default `"pipe"`. What is not read is at most a pipe full; then the program waits. */
  readonly stdout?: ProcessStream;
  /** Default `"pipe"`. */
  readonly stderr?: ProcessStream;
  /** What a kill of its task sends first. Default `"SIGTERM"`. */
  readonly signal?: NodeJS.Signals;
  /** How long it then may take to end before it gets SIGKILL. Default `"5 seconds"`. */
  readonly grace?: Duration;
  /**
   * It leads a process group of its own, and signals go to all of that: for shells and others that start programs
   * themselves. A Ctrl-C at the terminal does not reach it. Default false.
   */
  readonly group?: boolean;
}

/** The names of all of them. */
export const PROCESS_OPTIONS: Known<ProcessOptions> = {
  cwd: true,
  env: true,
  stdin: true,
  stdout: true,
  stderr: true,
  signal: true,
  grace: true,
  group: true,
};
const STREAMS = ["stdin", "stdout", "stderr"] as const;
export type StreamName = (typeof STREAMS)[number];

export class Plan {
  readonly command: string;
  readonly args: readonly string[];
  readonly streams: Readonly<Record<StreamName, ProcessStream>>;
  readonly signal: NodeJS.Signals;
  readonly grace: Duration;
  readonly group: boolean;
  /** Complete once the pipes are there. */
  readonly options: NodeOptions;

  constructor(command: string, args: readonly string[], options: ProcessOptions | undefined) {
    this.command = checkText(command, "a command");
    if (command === "")
      throw new UsageError("COOP_ARGUMENT", "a command is the name of a program, and not empty");
    if (!Array.isArray(args)) {
      throw new UsageError("COOP_ARGUMENT", `arguments are an array of texts, not ${describeValue(args)}`);
    }
    this.args = args.map((argument) => checkText(argument, "an argument"));
    const { cwd, env, stdin, stdout, stderr } = ownOf(options);
    this.streams = {
      stdin: checkStream(stdin, "stdin"),
      stdout: checkStream(stdout, "stdout"),
      stderr: checkStream(stderr, "stderr"),
    };
    this.signal = given(options, "signal") ?? "SIGTERM";
    checkSignal(this.signal);
    this.grace = given(options, "grace") ?? "5 seconds";
    nanoseconds(this.grace);
    this.group = given(options, "group") === true;
    this.options = {
      cwd: cwd === undefined ? undefined : checkText(cwd, "cwd"),
      env: env === undefined ? undefined : checkEnvironment(env),
      detached: this.group,
    };
  }

  /** @param pipes The ends that go to the process. */
  connect(io: Io, pipes: Readonly<Record<StreamName, Descriptor | null>>): void {
    if (this.streams.stdin === "inherit") checkInheritedInput(io);
    this.options.stdio = STREAMS.map((name) => {
      const stream = pipes[name] ?? this.streams[name];
      if (typeof stream === "string") return stream as "ignore" | "inherit";
      stream.checkUsable(io, "spawn");
      stream.checkOrdinary("spawn");
      // Bytes that are kept here would be missing from what the program reads.
      if (name === "stdin") stream.checkRead("spawn");
      return stream.number;
    });
  }
}

function checkText(value: unknown, what: string): string {
  if (typeof value === "string" && !value.includes("\0")) return value;
  throw new UsageError("COOP_ARGUMENT", `${what} is a text without NUL, not ${describeValue(value)}`);
}

function checkEnvironment(env: Readonly<Record<string, string | undefined>>): NodeJS.ProcessEnv {
  if (typeof env !== "object" || env === null || Array.isArray(env)) {
    throw new UsageError("COOP_ARGUMENT", `env is an object of texts, not ${describeValue(env)}`);
  }
  const checked: NodeJS.ProcessEnv = {};
  for (const [name, value] of Object.entries(env)) {
    if (value !== undefined) checked[checkText(name, "a name in env")] = checkText(value, `${name} in env`);
  }
  return checked;
}

/** @throws {UsageError} `COOP_ARGUMENT` when it is no signal. */
export function checkSignal(signal: unknown): void {
  if (typeof signal === "string" && Object.hasOwn(constants.signals, signal)) return;
  throw new UsageError("COOP_ARGUMENT", `a signal has a name like SIGTERM, not ${describeValue(signal)}`);
}

function checkStream(stream: unknown, name: StreamName): ProcessStream {
  if (stream === undefined) return "pipe";
  if (stream === "pipe" || stream === "ignore" || stream === "inherit") return stream;
  if (stream instanceof Descriptor) return stream;
  throw new UsageError(
    "COOP_ARGUMENT",
    `${name} is "pipe", "ignore", "inherit" or an open descriptor, not ${describeValue(stream)}`,
  );
}
