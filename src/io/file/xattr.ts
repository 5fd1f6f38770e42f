/** getxattr(2), setxattr(2): named bytes that a file carries beside its contents. */

import { UsageError } from "../../coordinator/errors.ts";
import { type Operation, op } from "../../coordinator/operation.ts";
import { given } from "../../coordinator/options.ts";
import * as abi from "../../native/layout.ts";
import { Descriptor } from "../descriptor/descriptor.ts";
import { ENODATA, IoError } from "../errno.ts";
import type { Handle, IoOptions } from "../handle.ts";
import type { Io } from "../io.ts";
import { IoOperation, Kind, QUEUED } from "../io-operation.ts";
import { type Bytes, checkBytes } from "../memory/memory.ts";
import { requireOpcode } from "../require-opcode.ts";
import { NO_PATH, PathArgument } from "./at.ts";
import type { Path } from "./path.ts";

export interface SetXattrOptions extends IoOptions {
  /** `"create"` fails when it is there already, `"replace"` when it is not. Default: neither. */
  readonly mode?: "create" | "replace";
}

/** The kernel's limit, XATTR_SIZE_MAX. */
const VALUE_BYTES_MAX = 65536;
/** XATTR_NAME_MAX. */
const NAME_BYTES_MAX = 255;

/** Queues it. @see {@link setXattr} to wait. setxattr(2), since Linux 5.19 in a ring. */
export function setupSetXattr(
  handle: Handle,
  file: Path | Descriptor,
  name: string,
  value: Bytes,
  options?: SetXattrOptions,
): void {
  setOperation(file, name, value, options).setUp(handle);
}

/**
 * Gives the file an extended attribute, such as `user.checksum`. `value` is copied at the call. After a kill
 * it has happened, or not.
 *
 * @throws {IoError} `EOPNOTSUPP`, `ENOSPC`, `EEXIST`, `ENODATA`, …
 */
export function setXattr(
  file: Path | Descriptor,
  name: string,
  value: Bytes,
  options?: SetXattrOptions,
): Operation<void> {
  return setOperation(file, name, value, options);
}

/**
 * Queues the reading of an attribute into `into`; the result is its size. With no room, `into` of length 0,
 * only the size is told. @see {@link getXattr} to wait. getxattr(2), since Linux 5.19 in a ring.
 */
export function setupGetXattr(
  handle: Handle,
  file: Path | Descriptor,
  name: string,
  into: Bytes,
  options?: IoOptions,
): void {
  getOperation(file, name, into, options).setUp(handle);
}

/** The value of an extended attribute, or null when the file has none of that name. */
export const getXattr: (
  file: Path | Descriptor,
  name: string,
  options?: IoOptions,
) => Operation<Buffer | null> = op(function* getXattr(
  file: Path | Descriptor,
  name: string,
  options?: IoOptions,
) {
  const value = Buffer.alloc(VALUE_BYTES_MAX);
  try {
    const count = yield* getOperation(file, name, value, options);
    return Buffer.from(value.subarray(0, count));
  } catch (error) {
    if (error instanceof IoError && error.errno === -ENODATA) return null;
    throw error;
  }
});

/** The name, the path unless the file is open, and flags. */
class XattrArgument {
  readonly name: Uint8Array;
  readonly path: PathArgument | null;
  readonly flags: number;
  constructor(file: Path | Descriptor, name: string, flags: number) {
    this.path = file instanceof Descriptor ? null : new PathArgument(file, NO_PATH, 0);
    this.name = Buffer.from(checkName(name), "utf8");
    this.flags = flags;
    if (this.name.length > NAME_BYTES_MAX) throw badName(`has at most ${NAME_BYTES_MAX} bytes`);
  }
}

function checkName(name: unknown): string {
  if (typeof name !== "string" || name === "") throw badName("is a text such as user.checksum");
  if (name.includes("\0")) throw badName("has no NUL inside");
  return name;
}

function badName(what: string): UsageError {
  return new UsageError("COOP_ARGUMENT", `the name of an attribute ${what}`);
}

function setOperation(
  file: Path | Descriptor,
  name: string,
  value: Bytes,
  options: SetXattrOptions | undefined,
): IoOperation<void> {
  const mode = given(options, "mode");
  if (mode !== undefined && mode !== "create" && mode !== "replace") {
    throw new UsageError("COOP_ARGUMENT", `mode is "create" or "replace"`);
  }
  if (checkBytes(value, "setXattr").byteLength > VALUE_BYTES_MAX) {
    throw new UsageError("COOP_BUFFER", `an attribute has at most ${VALUE_BYTES_MAX} bytes`);
  }
  const flags = mode === undefined ? 0 : mode === "create" ? abi.XATTR_CREATE : abi.XATTR_REPLACE;
  const argument = new XattrArgument(file, name, flags);
  // The caller may change its bytes from now on.
  return new IoOperation(SET, openFile(file), Uint8Array.from(value), 0, argument, options);
}

function getOperation(
  file: Path | Descriptor,
  name: string,
  into: Bytes,
  options: IoOptions | undefined,
): IoOperation<number> {
  const argument = new XattrArgument(file, name, 0);
  return new IoOperation(GET, openFile(file), checkBytes(into, "getXattr"), 0, argument, options);
}

function openFile(file: Path | Descriptor): Descriptor | null {
  return file instanceof Descriptor ? file : null;
}

/** One block: room for the value, then the name, then the path. Gives where the value begins. */
function pinAll(handle: Handle, argument: XattrArgument, room: number): number {
  const { name, path } = argument;
  const end = room + name.length + 1;
  const block = handle.argument(end + (path === null ? 0 : path.bytes.length + 1));
  block.bytes.set(name, room);
  block.bytes[end - 1] = 0;
  if (path !== null) {
    block.bytes.set(path.bytes, end);
    block.bytes[end + path.bytes.length] = 0;
  }
  return block.address;
}

function submit(
  io: Io,
  handle: Handle,
  operation: Pick<IoOperation<unknown>, "descriptor" | "argument">,
  opcodes: readonly [open: number, path: number],
  value: number,
  length: number,
): number {
  const { descriptor } = operation;
  const { name, path, flags } = operation.argument as XattrArgument;
  const opcode = descriptor === null ? opcodes[1] : opcodes[0];
  const at = value + length;
  io.driver.submit(handle, opcode, descriptor?.number ?? -1, at, length, value, flags, 0, 0);
  if (path !== null) {
    const third = at + name.length + 1;
    io.driver.setWide(abi.SQE_WORD_ADDR3, third | 0, Math.floor(third / 2 ** 32));
  }
  return QUEUED;
}

const pathOf = (operation: Pick<IoOperation<unknown>, "argument">) => {
  const { path } = operation.argument as XattrArgument;
  return path === null ? undefined : { path: path.text };
};

const SET: Kind<void> = new Kind<void>({
  syscall: "setxattr",
  setup(io, handle, operation) {
    requireOpcode(io, abi.OP_SETXATTR, "setxattr", "5.19");
    const value = operation.bytes!;
    const at = pinAll(handle, operation.argument as XattrArgument, value.byteLength);
    handle.argumentBlock().bytes.set(value);
    return submit(io, handle, operation, [abi.OP_FSETXATTR, abi.OP_SETXATTR], at, value.byteLength);
  },
  convert() {},
  details: pathOf,
});

const GET: Kind<number> = new Kind({
  syscall: "getxattr",
  setup(io, handle, operation) {
    requireOpcode(io, abi.OP_GETXATTR, "getxattr", "5.19");
    const into = operation.bytes!;
    const at = pinAll(handle, operation.argument as XattrArgument, into.byteLength);
    handle.bytes = into;
    if (into.byteLength > 0) handle.copyOut();
    return submit(io, handle, operation, [abi.OP_FGETXATTR, abi.OP_GETXATTR], at, into.byteLength);
  },
  convert: (result) => result,
  details: pathOf,
});
