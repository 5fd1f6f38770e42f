/** A journal: each entry is written and on the device before anything is said of it, in one request to the kernel. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { op, run } from "cooperator";
import { chain, type File, fsync, IoError, open, read, writeAll } from "cooperator/io";

const append = op(function* append(journal: File, entry: string) {
  // The sync begins when the write has succeeded, in the kernel.
  yield* chain([writeAll(journal, Buffer.from(entry)), fsync(journal, { dataOnly: true })]);
  console.log(`kept: ${entry.trim()}`);
});

const directory = mkdtempSync(join(tmpdir(), "chain-"));
const path = join(directory, "journal");

const program = op(function* program() {
  using journal = yield* open(path, "a");
  yield* append(journal, "one\n");
  yield* append(journal, "two\n");
  try {
    // The file is open for writing only. What comes after the failure is not begun.
    yield* chain([read(journal, Buffer.alloc(8)), writeAll(journal, Buffer.from("three\n"))]);
  } catch (error) {
    if (error instanceof IoError) console.log(`${error.syscall} has failed: ${error.code}`);
  }
});

await run(program());
console.log(JSON.stringify(readFileSync(path, "utf8")));
rmSync(directory, { recursive: true });
