/**
 * Paths of the operations that take one or two: relative ones begin at the working directory, or at an open
 * directory. Each path, with its NUL, lies in one block of ours until the last completion.
 */

import { UsageError } from "../../coordinator/errors.ts";
import { given } from "../../coordinator/options.ts";
import { AT_FDCWD } from "../../native/layout.ts";
import type { Descriptor } from "../descriptor/descriptor.ts";
import type { IoErrorDetails } from "../errno.ts";
import type { Handle, IoOptions } from "../handle.ts";
import type { Io } from "../io.ts";
import { IoOperation, Kind, QUEUED } from "../io-operation.ts";
import { requireOpcode } from "../require-opcode.ts";
import { type Path, pathBytes, pathText } from "./path.ts";

export interface AtOptions extends IoOptions {
  /** An open directory: where relative paths begin. Default: the working directory. */
  readonly at?: Descriptor;
}

/** What an operation on paths takes; both paths have been looked at and checked. */
export class PathArgument {
  readonly bytes: Uint8Array;
  readonly text: string;
  /** The second path, empty when there is none. */
  readonly otherBytes: Uint8Array;
  readonly otherText: string | undefined;
  readonly flags: number;

  constructor(path: Path, other: Path, flags: number) {
    this.bytes = pathBytes(path);
    this.text = pathText(path);
    this.otherBytes = other === NO_PATH ? NO_PATH : pathBytes(other);
    this.otherText = other === NO_PATH ? undefined : pathText(other);
    this.flags = flags;
  }
}

/** In place of a second path. */
export const NO_PATH: Path & Uint8Array = new Uint8Array(0);

/** The parts of an operation that say where. */
export interface OnPath {
  readonly descriptor: Descriptor | null;
  readonly argument: unknown;
}

/** The number a path begins at. */
export function startOf(operation: OnPath): number {
  const { descriptor } = operation;
  return descriptor === null ? AT_FDCWD : descriptor.number;
}

/** Puts both paths where the kernel can read them; the second begins `bytes.length + 1` after the first. */
export function pinPaths(handle: Handle, argument: PathArgument, before = 0): number {
  const { bytes, otherBytes } = argument;
  const second = before + bytes.length + 1;
  const block = handle.argument(second + otherBytes.length + 1);
  block.bytes.set(bytes, before);
  block.bytes[second - 1] = 0;
  block.bytes.set(otherBytes, second);
  block.bytes[second + otherBytes.length] = 0;
  return block.address;
}

export interface PathKindSource {
  readonly syscall: string;
  readonly opcode: number;
  /** The first kernel whose rings have the opcode. */
  readonly since: string;
  /** Queues it. `first` and `second` are the addresses of the paths, `number` what the operation was made with. */
  readonly submit: (
    io: Io,
    handle: Handle,
    start: number,
    first: number,
    second: number,
    operation: IoOperation<void>,
  ) => void;
}

/** A kind of operation that changes something at a path and gives nothing. */
export function pathKind(source: PathKindSource): Kind<void> {
  return new Kind<void>({
    syscall: source.syscall,
    setup(io, handle, operation) {
      requireOpcode(io, source.opcode, source.syscall, source.since);
      const argument = operation.argument as PathArgument;
      const first = pinPaths(handle, argument);
      const second = first + argument.bytes.length + 1;
      source.submit(io, handle, startOf(operation), first, second, operation);
      return QUEUED;
    },
    convert() {},
    details: pathDetails,
  });
}

/** What an error of an operation on paths says. */
export function pathDetails(operation: OnPath): IoErrorDetails | undefined {
  const { text, otherText } = operation.argument as PathArgument;
  return { path: text, dest: otherText };
}

/** An operation of a path kind. */
export function pathOperation(
  kind: Kind<void>,
  path: Path,
  other: Path,
  flags: number,
  number: number,
  options: AtOptions | undefined,
): IoOperation<void> {
  return new IoOperation(
    kind,
    given(options, "at") ?? null,
    null,
    number,
    new PathArgument(path, other, flags),
    options,
  );
}

/** @throws {UsageError} `COOP_ARGUMENT` unless they are permission bits. */
export function checkPermissions(permissions: number): number {
  if (Number.isInteger(permissions) && permissions >= 0 && permissions <= 0o7777) return permissions;
  throw new UsageError("COOP_ARGUMENT", "permissions are a number from 0 to 0o7777");
}
