/**
 * Runs benchmarks and prints a table: all of them, or those whose names begin with an argument.
 *
 * ```
 * npm run bench                        all, a quarter of an hour
 * npm run bench -- ring/nop task       some
 * npm run bench -- --rounds 3          fewer rounds than the usual seven
 * npm run bench -- --smoke             tiny inputs, seconds: only to see that everything runs
 * npm run bench -- --json              rows as JSON
 * ```
 * The exit code is 0 unless something crashed: speed is read, not asserted.
 */
import { parseArgs } from "node:util";
import { run } from "cooperator";
import { nop } from "cooperator/io";
import { type Bench, type Bound, type Context, type Row, runPartsHere } from "./harness.ts";

/** Each is a module of that name, loaded when it is needed: most processes here run a part of one. */
const names: readonly string[] = [
  "ring/nop",
  "task/spawn-join",
  "task/switch",
  "task/switchers",
  "task/call-depth",
  "task/kill",
  "sync/mutex",
  "io/file-read",
  "io/file-write",
  "io/echo",
  "io/http",
  "load/connections",
  "memory/tasks",
  "sync/channel",
];

const ROUNDS = 7;

/** A wrong command line: one line is enough. */
class Misuse extends Error {}

async function load(name: string): Promise<Bench> {
  if (!names.includes(name)) throw new Misuse(`no benchmark ${name}; there are ${names.join(", ")}`);
  const { bench } = (await import(`./${name}.js`)) as { bench: Bench };
  return bench;
}

async function partOf(name: string, part: string, args: readonly string[]): Promise<unknown> {
  const body = (await load(name)).parts[part];
  if (body === undefined) throw new Misuse(`no part ${part} of ${name}`);
  return body(...args);
}

async function runPart(name: string, part: string, args: readonly string[]): Promise<void> {
  const result = await partOf(name, part, args);
  if (result !== undefined) process.stdout.write(`${JSON.stringify(result)}\n`);
}

async function runBenches(args: readonly string[]): Promise<void> {
  const { smoke, json, rounds, wanted } = commandLine(args);
  for (const name of wanted) if (!names.some((known) => known.startsWith(name))) await load(name);
  if (smoke) runPartsHere(partOf);
  const context: Context = {
    smoke,
    rounds: smoke ? 1 : rounds,
    size: (full, token) => (smoke ? token : full),
  };
  const noRing = await ringFailure();
  const rows: Row[] = [];
  const chosen = names.filter(
    (name) => wanted.length === 0 || wanted.some((prefix) => name.startsWith(prefix)),
  );
  for (const name of chosen) {
    const bench = await load(name);
    if (bench.needsRing && noRing !== null) {
      console.error(`bench: ${name} is skipped: ${noRing}`);
      continue;
    }
    if (!smoke) console.error(`bench: ${name}`);
    const measured = await bench.rows(context);
    // All take long, and may be interrupted.
    if (!smoke && chosen.length > 1) console.error(table(measured));
    rows.push(...measured);
  }
  if (smoke) console.error("bench: a smoke run, of cold code on tiny inputs: its figures mean nothing");
  console.log(json ? JSON.stringify(rows) : table(rows));
}

interface CommandLine {
  readonly smoke: boolean;
  readonly json: boolean;
  readonly rounds: number;
  readonly wanted: readonly string[];
}

function commandLine(args: readonly string[]): CommandLine {
  try {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        smoke: { type: "boolean", default: false },
        json: { type: "boolean", default: false },
        rounds: { type: "string", default: String(ROUNDS) },
      },
    });
    const rounds = Number(values.rounds);
    if (!Number.isInteger(rounds) || rounds < 1) throw new Misuse("--rounds is a whole number from 1 up");
    return { smoke: values.smoke, json: values.json, rounds, wanted: positionals };
  } catch (error) {
    throw error instanceof Misuse ? error : new Misuse((error as Error).message);
  }
}

/** Why there is no io_uring here, or null. */
async function ringFailure(): Promise<string | null> {
  try {
    await run(nop());
    return null;
  } catch (error) {
    if ((error as { code?: unknown }).code === "COOP_UNSUPPORTED") return (error as Error).message;
    throw error;
  }
}

function table(rows: readonly Row[]): string {
  const header = ["benchmark", "ours", "peer", "ratio", "floor", "goal", "", "settings"];
  const lines = rows.map((row) => [
    row.name,
    `${figure(row.ours)} ${row.unit}`,
    `${figure(row.peer)} ${row.peerName}`,
    `${row.ratio.toFixed(2)} (${row.quartiles[0].toFixed(2)}-${row.quartiles[1].toFixed(2)})`,
    bound(row.floor, row.unit),
    bound(row.goal, row.unit),
    row.verdict,
    row.settings,
  ]);
  const widths = header.map((title, i) => Math.max(title.length, ...lines.map((line) => line[i]!.length)));
  const print = (cells: readonly string[]) =>
    `| ${cells.map((cell, i) => cell.padEnd(widths[i]!)).join(" | ")} |`;
  const rule = `|${widths.map((width) => "-".repeat(width + 2)).join("|")}|`;
  return [print(header), rule, ...lines.map(print)].join("\n");
}

function figure(value: number): string {
  return value >= 1000 ? Math.round(value).toLocaleString("en-US") : value.toPrecision(3);
}

function bound(limit: Bound | null, unit: string): string {
  if (limit === null) return "";
  const of = limit.of === "ours" ? ` ${unit}` : "";
  return limit.most !== undefined ? `≤ ${limit.most}${of}` : `≥ ${limit.least}${of}`;
}

const [mode, name, part, ...rest] = process.argv.slice(2);
try {
  if (mode === "--part") await runPart(name ?? "", part ?? "", rest);
  else await runBenches(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof Misuse)) throw error;
  console.error(`bench: ${error.message}`);
  process.exitCode = 2;
}
