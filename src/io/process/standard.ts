/**
 * The standard streams of this process: files, pipes, terminals, whatever they lead to. Other processes hold them too,
 * so they are borrowed: never closed, and their flags stay as they are. With O_NONBLOCK, which Node sets on some when
 * `process.stdin` is used, a shell or a pipeline that shares the stream would find reads failing; a ring waits without.
 */
import { borrowFile } from "../descriptor/adopt.ts";
import type { File } from "../file/file.ts";
import { currentIo, type Io } from "../io.ts";

const NAMES = ["stdin", "stdout", "stderr"] as const;

/** Those in use, by number. */
const streams = new WeakMap<Io, (File | undefined)[]>();

/**
 * Standard input, the same each time; closing it ends what is in flight on it and leaves the descriptor open. One
 * task reads. At a terminal, 0 is Ctrl-D, and a later read waits again.
 *
 * @throws {UsageError} `COOP_DESCRIPTOR` when this process was started without one, or it is borrowed already.
 * @example const input = new BufferedReader(stdin());
 */
export function stdin(): File {
  return standard(0);
}

/** Standard output, likewise. One task writes. Every write is with the system when it is over: nothing is buffered. */
export function stdout(): File {
  return standard(1);
}

/** Standard error, likewise. */
export function stderr(): File {
  return standard(2);
}

/** Throws when bytes of standard input are kept here: a program that inherits it would not get them. */
export function checkInheritedInput(io: Io): void {
  streams.get(io)?.[0]?.checkRead("spawn");
}

function standard(number: 0 | 1 | 2): File {
  const name = NAMES[number];
  const io = currentIo(`${name}()`);
  let files = streams.get(io);
  if (files === undefined) {
    files = [];
    streams.set(io, files);
  }
  const known = files[number];
  if (known !== undefined && !known.closed) return known;
  const file = borrowFile(number);
  file.exclusive = true;
  file.details = { path: name };
  files[number] = file;
  return file;
}
