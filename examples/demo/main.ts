/**
 * A small service under load, killed in parts while it works, and shut down. At the end it is counted
 * whether anything was lost and whether anything is left.
 *
 *     npm run demo
 *     npm run demo -- --seconds 5 --clients 50
 *
 * The exit code is 0 when nothing was lost or left; 1 when something was; 130 after Ctrl-C.
 */
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { type Cooperator, main, op, run, self } from "cooperator";
import { ioStatistics } from "cooperator/io";
import { audit } from "./audit.ts";
import { Screen } from "./screen.ts";
import { journalPath, type Outcome, type Plan, service } from "./service.ts";
import { formatTable, integer, milliseconds, percentile, type Row } from "./table.ts";

const { values } = parseArgs({
  options: { seconds: { type: "string", default: "9" }, clients: { type: "string", default: "200" } },
});
const seconds = Number(values.seconds);
const clients = Number(values.clients);
if (!(seconds > 0 && seconds <= 3600 && Number.isInteger(clients) && clients > 0 && clients <= 10_000)) {
  console.error("usage: demo [--seconds <up to 3600>] [--clients <up to 10000>]");
  process.exit(2);
}

const directory = mkdtempSync(join(tmpdir(), "cooperator-demo-"));
process.on("exit", () => rmSync(directory, { recursive: true, force: true }));
const plan: Plan = { directory, seconds, clients };
const outcome: Outcome = { records: [], kills: [], shutdown: null, journal: null, pool: null, traffic: 0 };

const screen = new Screen();
let cooperator: Cooperator | null = null;
const demo = op(function* demo() {
  cooperator = self().cooperator;
  yield* service(plan, outcome, screen);
});

const openFiles = (): number => readdirSync("/proc/self/fd").length;

// The screen is there already: Node opens descriptors of its own for a terminal.
const before = openFiles();
const exit = await main(demo(), { name: "demo", grace: "4 seconds" });
// From here on there is nothing left to shut down.
for (const [signal, code] of [
  ["SIGINT", 130],
  ["SIGTERM", 143],
] as const) {
  process.once(signal, () => process.exit(code));
}
const begun = exit.status !== "failed" && outcome.journal !== null;
const books = begun ? await run(audit(journalPath(plan), outcome.records)) : null;
const fds = openFiles() - before;

if (books !== null && cooperator !== null) {
  const { live, inflight, spawned } = (cooperator as Cooperator).statistics();
  const io = ioStatistics(cooperator);
  const pool = outcome.pool?.statistics();
  const lent = (io?.blocks ?? 0) + (pool === undefined ? 0 : pool.total - pool.free);
  const { kills, shutdown, journal } = outcome;
  const connections = outcome.records.reduce((sum, record) => sum + record.connections, 0);
  const rows: Row[] = [
    ["requests acknowledged", `${integer(books.acknowledged)} by ${integer(connections)} connections`],
    ["requests/s", integer((books.acknowledged * 1000) / outcome.traffic)],
    ["entries per fsync", ((journal?.entries ?? 0) / Math.max(1, journal?.batches ?? 0)).toFixed(1)],
    ["sessions killed in mid-traffic", integer(kills.length)],
    ["kill latency p50", milliseconds(percentile(kills, 0.5))],
    ["kill latency p99", milliseconds(percentile(kills, 0.99))],
    ...(shutdown === null
      ? []
      : [["shutdown", `${shutdown.sessions} sessions in ${milliseconds(shutdown.took)}`] as const]),
    ["journal entries", integer(books.entries)],
    ["  of acknowledged requests", integer(books.entries - books.unheard)],
    ["  acknowledgement cut off by a kill", integer(books.unheard)],
    ["acknowledged but not in the journal", integer(books.missing)],
    ["in the journal twice, or of nobody", integer(books.repeated + books.unknown)],
    ["tasks left", `${live} of ${integer(spawned)}`],
    ["operations in flight left", integer(inflight)],
    ["buffers lent", integer(lent)],
    ["descriptors left", `${io?.descriptors ?? 0} (the process: ${fds})`],
  ];
  const good = books.good && [live, inflight, lent, io?.descriptors ?? 0, fds].every((left) => left === 0);
  console.log(`\n${formatTable(good ? "nothing lost, nothing left" : "SOMETHING IS WRONG", rows)}`);
  if (!good) process.exitCode = 1;
}
