/** Every example is a program that runs: each is started as a process, and its output is looked at. */
import { type ChildProcess, execFile, spawn, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { basename, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

const root = fileURLToPath(new URL("../../", import.meta.url));
/** Far more than anything here takes, for machines that are busy. */
const TIMEOUT = 60_000;
/** Where everything is compiled to: inside the package, so that "cooperator" is found. */
let out = "";

/** A program in the documentation: a block of TypeScript that begins with its file name, and what it prints. */
interface Sample {
  readonly where: string;
  readonly source: string;
  readonly prints: string | null;
}

const PROGRAM = /```ts\n(\/\/ ([\w-]+)\.ts\n[\s\S]*?)```\n(?:\n(?:It prints:\n\n)?```text\n([\s\S]*?)```)?/g;

const documents = ["README.md", ...readdirSync(join(root, "docs")).map((file) => `docs/${file}`)];
const samples: readonly Sample[] = documents
  .filter((file) => file.endsWith(".md"))
  .flatMap((file) =>
    [...readFileSync(join(root, file), "utf8").matchAll(PROGRAM)].map((match) => ({
      where: `${file.replace(/\W/g, "_")}-${match[2]}`,
      source: match[1]!,
      prints: match[3] ?? null,
    })),
  );

beforeAll(() => {
  mkdirSync(join(root, "dist-dev"), { recursive: true });
  out = mkdtempSync(join(root, "dist-dev", "examples-test-"));
  mkdirSync(join(out, "samples"));
  for (const { where, source } of samples) writeFileSync(join(out, "samples", `${where}.ts`), source);
  const config = join(out, "tsconfig.json");
  writeFileSync(
    config,
    JSON.stringify({
      extends: "../../tsconfig.dev.json",
      compilerOptions: { rootDir: "../..", outDir: "." },
      include: ["../../examples", "samples"],
      exclude: [],
    }),
  );
  const compiler = join(root, "node_modules/typescript/bin/tsc");
  const { stdout, status } = spawnSync(process.execPath, [compiler, "-p", config], { encoding: "utf8" });
  expect({ stdout, status }).toEqual({ stdout: "", status: 0 });
}, TIMEOUT);

afterAll(() => rmSync(out, { recursive: true, force: true }));

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function node(file: string, ...args: string[]): Promise<Ended> {
  return new Promise((resolve) => {
    const child: ChildProcess = execFile(
      process.execPath,
      [join(out, file), ...args],
      { timeout: TIMEOUT },
      (_error, stdout, stderr) => resolve({ code: child.exitCode, stdout, stderr }),
    );
  });
}

/** What each prints, line by line. */
const outputs: Readonly<Record<string, readonly string[]>> = {
  several: [
    "all: a b",
    "slow is over",
    "race: quick",
    "any: mirror 2",
    "allSettled: up done, down failed",
    "limit: never more than 3 at a time",
  ],
  "standard-input": ["6: to be or not to be", "4: that is the question", "10 words", "a reader: killed"],
  supervisor: [
    "consumer: attempt 1",
    "consumer is started again in 5 ms",
    "consumer: attempt 2",
    "consumer is started again in 10 ms",
    "consumer: attempt 3",
    "consumer: all consumed",
    "hopeless is started again in 5 ms",
    "hopeless is started again in 10 ms",
    "hopeless is started again in 20 ms",
    "gave up: bad configuration",
  ],
  "async-body": ["aborted: stop what you fetch", "the child cleans up", "clean-up may wait", "exit: killed"],
  effect: ["hello Ada", "connection closed", "exit: killed"],
  events: [
    "first: one",
    "one",
    "two",
    "listeners: 0",
    "total: 6",
    "square: 1",
    "square: 4",
    "square: 9",
    "the maker cleans up",
  ],
  promises: [
    "the time was up before the operation was done",
    "request#2 was killed by program#1: the client has gone",
    "in time",
  ],
  datagram: ['"short"', '""', '"rather l…"'],
  framed: ["the peer is this process: true", "one", "two, a little longer"],
  "line-server": ["FIRST", "SECOND", "closed one connection: a handler that fails", "STILL THERE"],
  "buffer-pool": [
    "a had 4096 bytes, 2 wait",
    "b had 4096 bytes, 1 wait",
    "c had 4096 bytes, 0 wait",
    "d had 4096 bytes, 0 wait",
    "claimed 5, released 5, free 2 of 2",
  ],
  broadcast: [
    "level info",
    "read a",
    "read b",
    "read c",
    "level trace",
    "the slow one has missed 2",
    "and goes on with c",
  ],
  chain: ["kept: one", "kept: two", "read has failed: EBADF", '"one\\ntwo\\n"'],
  channel: [
    "first does 1",
    "job 5 reaches nobody: killed",
    "job 6 reaches nobody: killed",
    "first does 2",
    "first does 3",
    "first does 4",
    "first is done",
  ],
  completions: ["counted"],
  continuation: ["taken back: true", "first, second, third; the second made it 2"],
  coordinator: ["waiting for the printer: 2", "one", "two", "three", "the event has fired"],
  daemon: ["heartbeat: group has ended", "work: done", "audit: done, after its spawner"],
  deadlines: [
    "all four parts",
    "timed out: true",
    "DeadlineError: the deadline of lookup has passed",
    "something is left: true",
    "killed",
  ],
  direct: ["listening", "hello Ada", "hello Grace", "descriptors of the process: 0", "false true true"],
  diagnostics: [
    "tasks spawned: 1",
    "the worker is told: time to go",
    "stall: program",
    "a cycle: program#1 waits for other#3 (end of other#3), other#3 waits for program#1 (acquire of lock)",
  ],
  defer: ["parent: returns", "child: stopped", "parent: the cache is flushed", "parent: the log is closed"],
  failures: ["joined: a bad request", "reported: failure of broken: a bad peer", "parent: a bad disk"],
  "file-copy": ["equal: true"],
  futex: ["the sum is 500500", "other tasks ran meanwhile: true"],
  group: ["a is over", "b is over", "both: a b", "broken is over", "slow is over", "caught: broken failed"],
  http: ["hello from /a", "hello from /b", "the server is gone"],
  https: ["a secret"],
  kill: [
    "first has cleaned up: superseded",
    "second has cleaned up: superseded",
    "the manager cleans up after its workers",
    "exit: killed",
  ],
  "level-zero": ["good morning", "exit: done", "killed; the read ended with -125", "exit: killed"],
  mutex: [
    "Bob has 20, 30 are left",
    "Ada has 70, 10 are left",
    "{ locked: false, owner: null, waiting: 0, broken: false }",
  ],
  priorities: ["the high one ran more often: true", "the low one ran: true"],
  process: [
    "exit code 3",
    "killed program: killed",
    "stubborn program: killed",
    "the race: number 1, and the other gave -15",
    "ENOENT",
  ],
  "pass-descriptors": ["the worker is told: a guest", "served by the worker"],
  programs: [
    "sort: 0, 2,9,10",
    "6 * 7 = 42",
    "1 << 10 = 1024",
    "the shell: 0",
    "the time was up before the operation was done",
    "the sleeper: SIGTERM",
  ],
  rendezvous: [
    "a has loaded",
    "b has loaded",
    "c has loaded",
    "all have loaded",
    "a: map",
    "b: map",
    "c: map",
    "c: reduce",
    "a: reduce",
    "b: reduce",
    "rounds: 2",
  ],
  "rw-lock": [
    "a reads version 1 with 0 others",
    "b reads version 1 with 1 others",
    "the writer is alone: true",
    "c reads version 2 with 0 others",
  ],
  save: ['{"theme":"light"}', "settings.json"],
  semaphore: [
    "small runs with 2, 8 free",
    "large runs with 9, 0 free",
    "tiny runs with 1, 0 free",
    "five calls took at least 30 ms: true",
  ],
  select: ["one", "two", "tick", "stopped with 1 left"],
  shield: ["take from one account", "kill", "put into the other", "true: closing time"],
  signal: ["waiting: 2", "web starts", "mail starts", "late starts"],
  "single-flight": [
    "reading the configuration",
    "fetching user 7",
    "fetching user 8",
    "killed",
    "good morning, user 7",
    "good morning, user 8",
    "good morning, user 7",
  ],
  "spawn-and-join": ["3 squared", "2 squared", "1 squared", "sum 14"],
  "spawn-ready": ["service listens on 8080 and is blocked", "not started: the address is in use"],
  "task-local": [
    "[a] query",
    "[a/retry] query again",
    "[a] answered",
    "[b] query",
    "[b/retry] query again",
    "[b] answered",
    "[none] idle",
  ],
  simulation: [
    "careless: broken invariant: a message is not what was sent",
    "patient: 200 runs without a fault of ours, and tasks were killed: true",
  ],
  testing: ["a1 b1: fetched twice", "with the lock: in no order"],
  watch: [
    "first.part is now first",
    "second.part is now second",
    "delete first",
    "delete second",
    "gone",
    "nothing is watched any more",
  ],
  timeout: [
    "undefined",
    "slow: cleaned up",
    "true: the time was up before the operation was done",
    "the first step was in time",
    "COOP_DEADLINE",
  ],
};

describe("examples", { timeout: TIMEOUT }, () => {
  test.concurrent.each(Object.entries(outputs))("%s prints what it says", async (name, lines) => {
    const { code, stdout, stderr } = await node(`examples/${name}.js`);
    expect({ code, lines: stdout.split("\n").slice(0, -1), stderr }).toEqual({ code: 0, lines, stderr: "" });
  });

  test("there is none that is not run here", () => {
    const files = readdirSync(join(root, "examples")).filter((file) => file.endsWith(".ts"));
    expect(files.map((file) => file.slice(0, -3)).sort()).toEqual(
      [...Object.keys(outputs), "echo-server"].sort(),
    );
  });

  test("all but the worked-through one fit on a screen and begin with what they show", () => {
    for (const name of [...Object.keys(outputs), "echo-server"]) {
      const lines = readFileSync(join(root, "examples", `${name}.ts`), "utf8")
        .trimEnd()
        .split("\n");
      expect(lines[0], name).toMatch(/^\/\*\* .* \*\/$/);
      if (name !== "process") expect(lines.length, name).toBeLessThanOrEqual(50);
    }
  });

  test.concurrent("echo-server echoes, and Ctrl-C ends it", async () => {
    const child = spawn(process.execPath, [join(out, "examples/echo-server.js")], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    try {
      const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
      const { value: first } = await lines.next();
      const port = Number(/^listening on 127\.0\.0\.1:(\d+)$/.exec(String(first))?.[1]);
      const socket = connect(port, "127.0.0.1");
      socket.write("hello");
      const echoed = await new Promise<string>((resolve) =>
        socket.once("data", (data) => resolve(String(data))),
      );
      const closed = new Promise((resolve) => socket.once("close", resolve));
      const ended = new Promise((resolve) => child.once("exit", resolve));
      child.kill("SIGINT");
      expect({ echoed, code: await ended }).toEqual({ echoed: "hello", code: 130 });
      socket.on("error", () => {});
      await closed;
    } finally {
      child.kill("SIGKILL");
    }
  });
});

describe("the demo", { timeout: TIMEOUT }, () => {
  const rows = (stdout: string): Map<string, string> =>
    new Map(
      stdout
        .split("\n")
        .map((line) => /^(\S.*?| {2}\S.*?) {2,}(\S.*)$/.exec(line))
        .flatMap((match) => (match === null ? [] : [[match[1]!.trim(), match[2]!] as const])),
    );
  const expectClean = (stdout: string): void => {
    expect(stdout).toContain("nothing lost, nothing left");
    const table = rows(stdout);
    expect(table.get("of acknowledged requests")).toBe(table.get("requests acknowledged")?.split(" ")[0]);
    expect(Number(table.get("requests acknowledged")?.split(" ")[0]?.replaceAll(",", ""))).toBeGreaterThan(0);
    expect(table.get("descriptors left")).toBe("0 (the process: 0)");
    expect(table.get("tasks left")).toMatch(/^0 of \d/);
  };

  test.concurrent("loses nothing and leaves nothing", async () => {
    const { code, stdout, stderr } = await node(
      "examples/demo/main.js",
      "--seconds",
      "1.5",
      "--clients",
      "20",
    );
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expectClean(stdout);
    expect(Number(rows(stdout).get("sessions killed in mid-traffic"))).toBeGreaterThan(0);
  });

  test.concurrent("after Ctrl-C as well", async () => {
    const child = spawn(
      process.execPath,
      [join(out, "examples/demo/main.js"), "--seconds", "4", "--clients", "20"],
      {
        stdio: ["ignore", "pipe", "inherit"],
      },
    );
    let stdout = "";
    let interrupted = false;
    child.stdout.on("data", (data) => {
      stdout += String(data);
      if (interrupted || !stdout.includes("* killed tenant")) return;
      interrupted = true;
      child.kill("SIGINT");
    });
    expect(await new Promise((resolve) => child.once("close", resolve))).toBe(130);
    expectClean(stdout);
  });

  test.concurrent("says what is wrong with its arguments", async () => {
    const { code, stderr } = await node("examples/demo/main.js", "--clients", "none");
    expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringContaining("usage: demo") });
  });
});

describe("documentation", { timeout: TIMEOUT }, () => {
  test.concurrent.each(samples.map((sample) => [sample.where, sample] as const))(
    "%s runs",
    async (where, { prints }) => {
      const file = join("dist-dev", basename(out), "samples", `${where}.js`);
      const { code, stdout, stderr } = await node(file);
      expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
      if (prints !== null) expect(stdout).toBe(prints);
    },
  );

  test.concurrent("README.md has a program that fits on a screen", () => {
    const [first] = samples.filter(({ where }) => where.startsWith("README"));
    expect(first?.source.split("\n").length).toBeLessThanOrEqual(40);
  });
});
