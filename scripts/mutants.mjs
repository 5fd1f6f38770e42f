// Plants one bug after the other (test/mutants/mutants.ts) and runs the tests that must notice it. Each must make
// two of them fail: one test alone may go, or be wrong itself. Prints a table, and fails when a bug gets by.
//   node scripts/mutants.mjs [number …]
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { runnerImport } from "vite";

const FAILURES_MIN = 2;
/** A bug may make a test run for ever, which is noticed as well. */
const TIMEOUT_MS = 90_000;

const root = fileURLToPath(new URL("../", import.meta.url));
const results = mkdtempSync(join(tmpdir(), "mutants-"));
const mutants = await loadMutants();
const wanted = process.argv.slice(2).map(Number);
const queue = mutants
  .map((_, index) => index)
  .filter((index) => wanted.length === 0 || wanted.includes(index));
const rows = new Map();
const running = new Set();
for (const signal of ["SIGINT", "SIGTERM"]) {
  process.once(signal, () => {
    running.forEach(endGroup);
    process.exit(1);
  });
}

await Promise.all(Array.from({ length: Math.max(1, Math.min(2, availableParallelism())) }, work));
rmSync(results, { recursive: true, force: true });
let survivors = 0;
for (const [index, { failed, note, seconds }] of [...rows].sort(([a], [b]) => a - b)) {
  const noticed = failed >= FAILURES_MIN || note === "hangs";
  if (!noticed) survivors++;
  console.log(
    `${String(index).padStart(2)}  ${noticed ? "noticed" : "MISSED "}  ${String(failed).padStart(3)} failed ${note.padEnd(6)} ` +
      `${seconds.toFixed(1).padStart(5)} s  ${mutants[index].file}: ${mutants[index].name}`,
  );
}
console.log(`${rows.size - survivors} of ${rows.size} planted bugs noticed`);
process.exitCode = survivors === 0 ? 0 : 1;

async function work() {
  for (let index = queue.shift(); index !== undefined; index = queue.shift())
    rows.set(index, await run(index));
}

function run(index) {
  const report = join(results, `${index}.json`);
  const started = Date.now();
  const tests = mutants[index].tests.map((test) => `test/${test}`);
  const args = ["run", ...tests, "--bail=3", "--reporter=json", `--outputFile=${report}`, "--maxWorkers=1"];
  const child = spawn(process.execPath, [join(root, "node_modules/vitest/vitest.mjs"), ...args], {
    cwd: root,
    stdio: "ignore",
    // A group of its own: what the bug has left running ends with it.
    detached: true,
    env: { ...process.env, TMPDIR: results, COOP_MUTANT: String(index), COOP_SEEDS: "0", COOP_LANE: "" },
  });
  running.add(child);
  const timer = setTimeout(endGroup, TIMEOUT_MS, child);
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (_code, signal) => {
      clearTimeout(timer);
      running.delete(child);
      endGroup(child);
      const seconds = (Date.now() - started) / 1000;
      if (signal !== null) resolve({ failed: 0, note: "hangs", seconds });
      else resolve({ failed: failures(report), note: "", seconds });
    });
  });
}

function endGroup({ pid }) {
  try {
    process.kill(-pid, "SIGKILL");
  } catch (error) {
    if (error.code !== "ESRCH") throw error;
  }
}

function failures(report) {
  try {
    return JSON.parse(readFileSync(report, "utf8")).numFailedTests;
  } catch {
    return 0;
  }
}

/** The list is TypeScript, for the tests' sake, which Node 20 does not read. */
async function loadMutants() {
  const { module } = await runnerImport(join(root, "test/mutants/mutants.ts"));
  return module.mutants;
}
