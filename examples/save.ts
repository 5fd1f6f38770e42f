/** Saving settings so that a kill, an error or a power failure leaves the old ones or the new ones. */
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { op, run, spawn } from "cooperator";
import { readTextFile, writeFileAtomic } from "cooperator/io";

const directory = mkdtempSync(join(tmpdir(), "save-"));
const path = join(directory, "settings.json");

const program = op(function* program() {
  yield* writeFileAtomic(path, JSON.stringify({ theme: "light" }));
  const saving = spawn(writeFileAtomic(path, JSON.stringify({ theme: "dark" })), { start: "now" });
  yield* saving.killAndWait("the user has left");
  console.log(yield* readTextFile(path));
  console.log(readdirSync(directory).join(" "));
});

await run(program());
rmSync(directory, { recursive: true });
