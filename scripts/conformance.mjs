// Writes docs/conformance.md: which cases of the conformance list have a test that names them.
// `--check` compares instead and fails when the page is out of date.
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../", import.meta.url));

const sections = {
  A: ["spawn and task life cycle", "01 02 03 04 05 07 08 09 10 11 12 13 14 16 17 18 19 20 22"],
  B: [
    "kill: delivery, propagation, idempotence",
    "01 02 03 05 06 07 08 09 10 11 13 14 15 16 17 18 19 20 21 22 23 24 25 27 28 29 30 31",
  ],
  C: ["finally and clean-up", "01 02 03 04 05 06 07 08 09 10 11 13 14 15 16 17"],
  D: ["errors and aggregation", "01 02 03 04 05 06 07 09 10 11 12 14 15 16 18 19 20"],
  E: ["join, results, handles", "01 02 03 04 05 06 07 08 10"],
  F: ["timeouts and deadlines", "01 02 03 04 05 06 07 08 09 10 11 12 13 15"],
  G: ["shields", "01 02 03 04 05 06 07 08 09"],
  H: ["coordinator", "01 02 03 05 06 07 08 09 10 11 12 13 14 15"],
  I: [
    "locks, semaphores, conditions, barriers, latches",
    "01 02 03 04 05 06 07 08 09 10 11 13 14 15 16 17 18",
  ],
  J: ["channels and queues", "01 02 03 04 06 07 08 09 10 11 12 13 14 15 16 17"],
  K: ["select, race, all", "01 02 03 04 05 06 07 08 09 10 11 12 13 15"],
  L: ["timers and clock", "01 02 03 04 05 06 07 08 09 10 11"],
  M: ["scheduler: order, priorities, fairness, determinism", "01 02 03 05 06 07 09 10 11 12 13"],
  N: ["versioned slabs", "01 02 03 05 06 07 08 09"],
  P: ["native io", "01 04 05 06 07 08 09 10 11 12 13 15 16 17 18 19 20 21 22"],
  Q: ["buffers and memory ownership", "01 02 03 04 05 06 07 08 09 10 12 13 14 16"],
  R: ["descriptors and close", "01 03 04 05 06 07 09 10 11 12"],
  S: ["streams", "01 02 03 04 05 06 07 08 09 10 11 12 13 14 16 17"],
  T: ["datagrams, files, other handles", "01 02 03 04 05 06 07 08 10 11 12"],
  U: ["process: exit, workers, host", "01 02 04 05 06 07 08 10 11 12"],
  V: ["leaks and observability", "01 02 03 04 05 06 07"],
};

/** Sections that are built: each of their cases has a test or a reason. */
const complete = "ABCDEFGHIJKLMNPQRSTUV";

/** What a case still lacks, although a test may prove the rest of it. */
const missing = {
  C06: "a bare `finally` that throws over an error loses the first one: the language drops it. `defer`, `group` and kills keep both",
};

const named = new Map();
for (const file of readdirSync(`${root}test`, { recursive: true, encoding: "utf8" }).sort()) {
  if (!file.endsWith(".test.ts")) continue;
  const text = readFileSync(`${root}test/${file}`, "utf8");
  for (const [, todo, ids] of text.matchAll(
    /\b(?:test|describe|it)(\.todo)?(?:\.\w+\((?:[^()]|\([^()]*\))*\))?\(\s*["'`]((?:[A-Z]\d\d[ ,]+)+)/g,
  )) {
    if (todo !== undefined) continue;
    for (const id of ids.match(/[A-Z]\d\d/g)) {
      if (!named.has(id)) named.set(id, new Set());
      named.get(id).add(`test/${file}`);
    }
  }
}

const lines = [
  "# Conformance",
  "",
  "Which cases of the conformance list are proven by a test that names them. The list says, for each id, what must",
  "follow when something happens. This page is written by `node scripts/conformance.mjs`.",
];
let unproven = 0;
for (const [letter, [title, numbers]] of Object.entries(sections)) {
  lines.push("", `## ${letter}: ${title}`, "", "| id | proven in | not yet |", "|---|---|---|");
  for (const number of numbers.split(" ")) {
    const id = letter + number;
    const files = [...(named.get(id) ?? [])].map((file) => `\`${file}\``).join(", ");
    const built = complete.includes(letter);
    if (built && files === "" && missing[id] === undefined) unproven++;
    const lacks = missing[id] ?? (files === "" && !built ? "not built, or no test names it" : "");
    lines.push(`| ${id} | ${files || "–"} | ${lacks} |`);
  }
}
lines.push(
  "",
  "Not in a section above, and the reason: durations below zero are refused with a typed error instead of being taken",
  "for zero (F04); a `within` limit cuts through shields too, because it is the last resort (G08).",
  "",
);
const page = lines.join("\n");
if (unproven > 0) {
  console.error(`${unproven} cases have neither a test nor a reason`);
  process.exitCode = 1;
}
if (process.argv.includes("--check")) {
  if (readFileSync(`${root}docs/conformance.md`, "utf8") !== page) {
    console.error("docs/conformance.md is out of date: run node scripts/conformance.mjs");
    process.exitCode = 1;
  }
} else writeFileSync(`${root}docs/conformance.md`, page);
