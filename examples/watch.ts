/** Watching a directory for files that are complete, renames in two halves, and the end of it. */
import { mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { op, run, sleep, spawn } from "cooperator";
import { watch } from "cooperator/io";

const inbox = mkdtempSync(join(tmpdir(), "inbox-"));

const sender = op(function* sender() {
  for (const name of ["first", "second"]) {
    yield* sleep("1 milli");
    writeFileSync(join(inbox, `${name}.part`), `the ${name} letter`);
    renameSync(join(inbox, `${name}.part`), join(inbox, name));
  }
  rmSync(inbox, { recursive: true });
});

const program = op(function* program() {
  using watcher = yield* watch(inbox, { changes: ["movedFrom", "movedTo", "delete"] });
  spawn(sender());
  const moved = new Map<number, string | null>();
  for (let event = yield* watcher.next(); event !== null; event = yield* watcher.next()) {
    if (event.type === "movedFrom") moved.set(event.cookie, event.name);
    else if (event.type === "movedTo") console.log(`${moved.get(event.cookie)} is now ${event.name}`);
    else console.log(event.name === null ? event.type : `${event.type} ${event.name}`);
  }
  console.log("nothing is watched any more");
});

await run(program());
