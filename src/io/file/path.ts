/** Paths for the kernel. */
import { UsageError } from "../../coordinator/errors.ts";
import { describeValue } from "../../coordinator/operation.ts";
import type { Handle } from "../handle.ts";
import { checkBytes } from "../memory/memory.ts";

/** A file's path: text, bytes that need not be UTF-8, or a `file:` URL. */
export type Path = string | Uint8Array | URL;

/** PATH_MAX with its NUL. */
const PATH_BYTES_MAX = 4096;

/**
 * A path as bytes without the NUL; it is looked at once.
 *
 * @throws {UsageError} `COOP_PATH` when it is empty, too long, or has a NUL: the kernel would stop reading there.
 */
export function pathBytes(path: Path): Uint8Array {
  let bytes: Uint8Array;
  if (typeof path === "string") bytes = Buffer.from(path, "utf8");
  else if (path instanceof Uint8Array) bytes = Uint8Array.from(checkBytes(path, "a path"));
  else if (path instanceof URL) bytes = Buffer.from(urlPath(path), "utf8");
  else throw bad(`a path is a text, bytes or a file: URL, not ${describeValue(path)}`);
  if (bytes.length === 0) throw bad("the path is empty");
  if (bytes.length >= PATH_BYTES_MAX) {
    throw bad(`a path has at most ${PATH_BYTES_MAX - 1} bytes, this one has ${bytes.length}`);
  }
  if (bytes.includes(0)) throw bad("the path has a NUL inside; the kernel would open what is in front of it");
  return bytes;
}

/** A path in words, for messages. */
export function pathText(path: Path): string {
  return typeof path === "string" ? path : path instanceof URL ? path.href : Buffer.from(path).toString();
}

/** Puts a path, with its NUL, where the kernel can read it until the operation is over. */
export function pinPath(handle: Handle, bytes: Uint8Array): number {
  const block = handle.argument(PATH_BYTES_MAX);
  block.bytes.set(bytes);
  block.bytes[bytes.length] = 0;
  return block.address;
}

function urlPath(url: URL): string {
  if (url.protocol !== "file:" || url.host !== "") throw bad(`${url.href} is no file: URL of this machine`);
  if (/%2f/i.test(url.pathname)) throw bad("a file: URL has no encoded slash");
  try {
    return decodeURIComponent(url.pathname);
  } catch {
    throw bad(`${url.href} is no path in UTF-8; give the path as bytes`);
  }
}

function bad(message: string): UsageError {
  return new UsageError("COOP_PATH", message);
}
