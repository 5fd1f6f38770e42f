/** Standard streams in processes of their own: pipes, files and terminals, which others hold as well. */
import { readFileSync, writeFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { op } from "../../src/coordinator/index.ts";
import {
  BufferedReader,
  open,
  type Process,
  type ProcessOptions,
  readToEnd,
  runProcess,
  spawnProcess,
} from "../../src/io/index.ts";
import { childPath, dist } from "../support/children.ts";
import { freshPath, runIo } from "../support/io.ts";

const args = (what: string): string[] => [childPath("standard"), dist, what];

const start = (what: string, options?: ProcessOptions) => spawnProcess(process.execPath, args(what), options);

const lines = (bytes: Buffer): string[] => bytes.toString().split("\n").slice(0, -1);

/** What it says on standard error, and its exit code, when it is over. */
const rest = op(function* (child: Process) {
  const told = lines(yield* readToEnd(child.stderr));
  return { told, code: (yield* child.wait()).code };
});

describe("pipes", { timeout: 60_000 }, () => {
  test("lines come in and go out, and no flag is changed", async () => {
    await runIo(function* () {
      const { stdout, stderr, code } = yield* runProcess(process.execPath, args("lines"), {
        input: "one\ntwo",
      });
      expect(lines(stderr)).toEqual(["the same flags: true, the same object: true"]);
      expect(lines(stdout)).toEqual(["ONE", "TWO"]);
      expect(code).toBe(0);
    });
  });

  test("a reader that is killed ends, and loses nothing", async () => {
    await runIo(function* () {
      using child = yield* start("kill");
      expect(yield* new BufferedReader(child.stdout).readLine()).toBe("ready");
      yield* child.stdin.writeAll(Buffer.from("late"));
      expect(yield* rest(child)).toEqual({
        told: ["the reader: killed, the same flags: true", 'read: "late"'],
        code: 0,
      });
    });
  });

  test("a close ends what waits, and leaves the descriptor open", async () => {
    await runIo(function* () {
      using child = yield* start("close");
      expect(yield* rest(child)).toEqual({ told: ["COOP_CLOSED, still open: true"], code: 0 });
    });
  });

  test.each([
    ["end", "the end", 0],
    ["exit", "left", 4],
  ])("%s: a process with a read pending ends at once", async (what, last, code) => {
    await runIo(function* () {
      using child = yield* start(what);
      expect(yield* rest(child)).toEqual({ told: [last], code });
    });
  });
});

describe("files", { timeout: 60_000 }, () => {
  test("begin where they stand, and end at their end", async () => {
    await runIo(function* () {
      const [from, to] = [freshPath(), freshPath()];
      writeFileSync(from, "first\nsecond\n");
      writeFileSync(to, "before\n");
      using input = yield* open(from, "r");
      yield* input.read(Buffer.alloc(6));
      using output = yield* open(to, "a");
      using child = yield* start("lines", { stdin: input, stdout: output });
      expect((yield* rest(child)).code).toBe(0);
      expect(readFileSync(to, "utf8")).toBe("before\nSECOND\n");
      const { stdout } = yield* runProcess(process.execPath, args("lines"), { stdin: "ignore" });
      expect(stdout.length).toBe(0);
    });
  });
});

describe("terminals", { timeout: 60_000 }, () => {
  const atTerminal = op(function* (what: string, keys: string[]) {
    const command = [childPath("terminal").replace(/mjs$/, "py"), process.execPath, ...args(what)];
    const { stdout, code } = yield* runProcess("python3", command, {
      input: keys.map((key) => `${key}\n`).join(""),
    });
    return { shown: lines(stdout), code };
  });

  test("lines, and Ctrl-D", async () => {
    await runIo(function* () {
      const { shown, code } = yield* atTerminal("lines", ["one => ONE", "two => TWO", "^D"]);
      expect(shown).toEqual(["one", "ONE", "two", "TWO", "the same flags: true, the same object: true"]);
      expect(code).toBe(0);
    });
  });

  test("a reader that is killed lets go of the terminal", async () => {
    await runIo(function* () {
      const { shown, code } = yield* atTerminal("kill", [" => ready", "late"]);
      expect(shown).toEqual(["the reader: killed, the same flags: true", "ready", "late", 'read: "late\\n"']);
      expect(code).toBe(0);
    });
  });

  test.each([
    ["end", "the end", 0],
    ["exit", "left", 4],
  ])("%s: a process with a read pending ends at once", async (what, last, code) => {
    await runIo(function* () {
      const ended = yield* atTerminal(what, []);
      expect(ended).toEqual({ shown: expect.arrayContaining([last]), code });
    });
  });

  test("Ctrl-C kills the program in its read", async () => {
    await runIo(function* () {
      const { code } = yield* atTerminal("lines", ["one => ONE", "^C"]);
      expect(code).toBe(130);
    });
  });
});
