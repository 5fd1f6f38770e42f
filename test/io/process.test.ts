/** Processes in the tree: whatever happens, none is left, no output is lost, and no descriptor stays open. */
import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import {
  ClosedError,
  DeadlineError,
  group,
  op,
  type Report,
  StuckError,
  self,
  spawn,
  UnsupportedError,
  UsageError,
} from "../../src/coordinator/index.ts";
import {
  BufferedReader,
  type File,
  IoError,
  LimitError,
  open,
  type Process,
  readTextFile,
  readToEnd,
  runProcess,
  spawnProcess,
} from "../../src/io/index.ts";
import { timeout } from "../../src/time/index.ts";
import { startChild } from "../support/children.ts";
import {
  expectError,
  failureOf,
  freshPath,
  nodeTurn,
  openDescriptors,
  runIo,
  stop,
  submitted,
  thrownBy,
  until,
} from "../support/io.ts";
import { underSeeds } from "../support/simulated.ts";

/** Children of this process, zombies too. */
function childPids(): number[] {
  const pids: number[] = [];
  for (const thread of readdirSync("/proc/self/task")) {
    try {
      const text = readFileSync(`/proc/self/task/${thread}/children`, "utf8").trim();
      if (text !== "") pids.push(...text.split(" ").map(Number));
    } catch {
      // A thread of the kernel's for this ring may end meanwhile. None of them has children.
    }
  }
  return pids;
}

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

const shell = (script: string, options?: Parameters<typeof spawnProcess>[2]) =>
  spawnProcess("sh", ["-c", script], options);

const text = op(function* (from: File) {
  return (yield* readToEnd(from)).toString();
});

/** Says "ready" once it does not mind SIGTERM any more. */
const STUBBORN = 'trap "" TERM; echo ready; while :; do sleep 0.01; done';

const ready = op(function* (child: Process) {
  expect(yield* new BufferedReader(child.stdout).readLine()).toBe("ready");
});

describe("a program that runs", () => {
  test("is written to and read from, and ends when its input does", async () => {
    await runIo(function* () {
      using child = yield* spawnProcess("cat");
      expect(child.pid).toBeGreaterThan(1);
      expect(child.exit).toBe(null);
      yield* child.stdin.writeAll(Buffer.from("to and "));
      const into = Buffer.alloc(100);
      expect(yield* child.stdout.read(into)).toBe(7);
      yield* child.stdin.writeAll(Buffer.from("fro"));
      yield* child.stdin.close();
      expect(yield* text(child.stdout)).toBe("fro");
      expect(yield* child.wait()).toEqual({ pid: child.pid, code: 0, signal: null });
      expect(child.exit).toEqual({ pid: child.pid, code: 0, signal: null });
    });
    expect(childPids()).toEqual([]);
  });

  test("what it has written is there after its end, to the last byte", async () => {
    await runIo(function* () {
      using child = yield* shell("printf out; printf err >&2; exit 3");
      expect(yield* child.wait()).toMatchObject({ code: 3, signal: null });
      expect(yield* text(child.stdout)).toBe("out");
      expect(yield* text(child.stderr)).toBe("err");
    });
  });

  test("gets signals, and says which has ended it", async () => {
    await runIo(function* () {
      using child = yield* shell("sleep 100");
      expect(child.kill("SIGUSR1")).toBe(true);
      expect(yield* child.wait()).toMatchObject({ code: null, signal: "SIGUSR1" });
      expect(child.kill()).toBe(false);
      expectError(
        thrownBy(() => child.kill("SIGNOT" as never)),
        UsageError,
        "COOP_ARGUMENT",
        /SIGNOT/,
      );
    });
  });

  test("may have its streams elsewhere: nowhere, in a file, in a pipe of another program", async () => {
    await runIo(function* () {
      const path = freshPath();
      const file = yield* open(path, "w");
      using first = yield* shell("printf one; printf two >&2", { stdin: "ignore", stderr: file });
      using second = yield* spawnProcess("tr", ["a-z", "A-Z"], { stdin: first.stdout, stderr: "inherit" });
      yield* first.stdout.close();
      expect(yield* text(second.stdout)).toBe("ONE");
      yield* first.wait();
      expect(yield* readTextFile(path)).toBe("two");
      expectError(
        thrownBy(() => first.stdin),
        UsageError,
        "COOP_ARGUMENT",
        /stdin of process .* is no pipe/,
      );
      yield* file.close();
      expectError(yield* failureOf(shell(":", { stdout: file })), ClosedError, "COOP_CLOSED", /spawn/);
    });
  });

  test("has the environment and the directory it was given", async () => {
    await runIo(function* () {
      const { stdout } = yield* runProcess("sh", ["-c", 'printf "%s %s" "$PWD" "$WORD"'], {
        cwd: "/",
        env: { WORD: "hello", PATH: process.env.PATH, NOT: undefined },
      });
      expect(stdout.toString()).toBe("/ hello");
    });
  });
});

describe("what cannot be started", () => {
  test.each([
    ["/no/such/program", {}, "ENOENT"],
    ["/", {}, "EACCES"],
    ["true", { cwd: "/no/such/place" }, "ENOENT"],
  ] as const)("%s %j is %s", async (command, options, code) => {
    await runIo(function* () {
      const error = yield* failureOf(spawnProcess(command, [], options));
      expectError(error, IoError, code, /spawn/);
      expect(error).toMatchObject({ syscall: "spawn", path: command });
      expect(yield* failureOf(runProcess(command, [], options))).toMatchObject({ code });
    });
  });

  test("wrong arguments are refused before anything is opened", async () => {
    await runIo(function* () {
      const wrong: (() => unknown)[] = [
        () => spawnProcess(""),
        () => spawnProcess("a\0b"),
        () => spawnProcess(["ls"] as never),
        () => spawnProcess("ls", "-l" as never),
        () => spawnProcess("ls", [1] as never),
        () => spawnProcess("ls", ["a\0b"]),
        () => spawnProcess("ls", [], { env: { A: "b\0c" } }),
        () => spawnProcess("ls", [], { stdin: "none" as never }),
        () => spawnProcess("ls", [], { signal: "toString" as never }),
        () => runProcess("ls", [], { limit: -1 }),
        () => runProcess("ls", [], { input: "x", stdin: "ignore" }),
      ];
      for (const call of wrong) expect(thrownBy(call)).toMatchObject({ code: "COOP_ARGUMENT" });
      expect(thrownBy(() => spawnProcess("ls", [], { grace: "soon" }))).toMatchObject({
        code: "COOP_DURATION",
      });
    });
  });
});

describe("its owner", () => {
  test("ends: the program is gone before that", async () => {
    let pid = 0;
    await runIo(function* () {
      const child = yield* shell("sleep 100");
      pid = child.pid;
    });
    expect(alive(pid)).toBe(false);
    expect(childPids()).toEqual([]);
  });

  test("is killed: SIGTERM lets the program clean up", async () => {
    const path = freshPath();
    await runIo(function* () {
      const owner = spawn(function* () {
        const child = yield* shell(
          `trap 'echo bye > ${path}; exit 0' TERM; echo ready; while :; do sleep 0.01; done`,
        );
        yield* ready(child);
        yield* child.wait();
      });
      yield* until(() => owner.live > 0);
      yield* submitted();
      const life = [...owner.children!][0]!;
      expect(life.label).toMatch(/^process sh/);
      yield* until(() => callsOf(owner).includes("wait"));
      yield* stop(owner);
      expect(yield* readTextFile(path)).toBe("bye\n");
    });
    expect(childPids()).toEqual([]);
  });

  test("is killed: what does not mind SIGTERM gets SIGKILL after the grace", async () => {
    await runIo(function* () {
      let child!: Process;
      const owner = spawn(function* () {
        child = yield* shell(STUBBORN, { grace: "20 millis" });
        yield* ready(child);
        yield* child.wait();
      });
      yield* until(() => callsOf(owner).includes("wait"));
      yield* stop(owner);
      expect(child.exit).toMatchObject({ code: null, signal: "SIGKILL" });
      expect(alive(child.pid)).toBe(false);
    });
    expect(childPids()).toEqual([]);
  });

  test("has no patience: SIGKILL comes before the grace is over", async () => {
    const reports: Report[] = [];
    await runIo(
      function* () {
        let child!: Process;
        const owner = spawn(
          function* () {
            child = yield* shell(STUBBORN, { grace: "1 hour" });
            yield* ready(child);
            yield* child.wait();
          },
          { failure: "hold" },
        );
        yield* until(() => callsOf(owner).includes("wait"));
        yield* owner.killAndWait("now", { within: "20 millis" });
        yield* until(() => child.exit !== null);
        expect(child.exit).toMatchObject({ signal: "SIGKILL" });
        yield* until(() => self().cooperator.statistics().timers === 0);
      },
      { report: (report) => reports.push(report) },
    );
    expect(reports.length).toBeGreaterThan(0);
    expect(reports.every(({ kind, error }) => kind === "stuck" && error instanceof StuckError)).toBe(true);
    expect(childPids()).toEqual([]);
  });

  test("may end it and wait, or leave the block of a using", async () => {
    await runIo(function* () {
      const child = yield* shell("sleep 100");
      expect(yield* child.terminate()).toMatchObject({ signal: "SIGTERM" });
      expect(yield* child.terminate()).toMatchObject({ signal: "SIGTERM" });
      let left: Process;
      {
        using other = yield* spawnProcess("sleep", ["100"], { signal: "SIGINT" });
        left = other;
      }
      expect(yield* left.terminate()).toMatchObject({ signal: "SIGINT" });
      expectError(
        yield* failureOf(() => left.stdout.read(Buffer.alloc(1))),
        ClosedError,
        "COOP_CLOSED",
        /closed/,
      );
    });
  });

  test("a process whose streams are closed is out of the tree", async () => {
    await runIo(function* () {
      const child = yield* spawnProcess("true");
      yield* child.wait();
      yield* submitted();
      expect(child.life.ended).toBe(false);
      for (const stream of [child.stdin, child.stdout, child.stderr]) yield* stream.close();
      yield* submitted();
      expect(child.life.ended).toBe(true);
    });
  });

  test("signals go to the whole group of a program that leads one", async () => {
    await runIo(function* () {
      const child = yield* shell("sleep 100 & echo $!; wait", { group: true });
      const other = Number(yield* new BufferedReader(child.stdout).readLine());
      expect(alive(other)).toBe(true);
      expect(yield* child.terminate()).toMatchObject({ signal: "SIGTERM" });
      // It is not our child: init collects it.
      yield* until(() => !alive(other) || /^State:\s+Z/m.test(readFileSync(`/proc/${other}/status`, "utf8")));
    });
  });
});

/** The functions a task is in. */
function callsOf(task: { top: unknown }): string {
  const names: string[] = [];
  for (let frame = task.top as { fn: { name: string } | null; below: unknown } | null; frame !== null; ) {
    names.push(frame.fn?.name ?? "");
    frame = frame.below as typeof frame;
  }
  return names.join(" ");
}

describe("killed at every point", () => {
  /** The life of an owner, with a step in each of its waits. */
  const owner = op(function* () {
    using child = yield* spawnProcess("cat", [], { grace: "1 second" });
    yield* child.stdin.writeAll(Buffer.from("hello"));
    const into = Buffer.alloc(16);
    yield* child.stdout.read(into);
    yield* child.stdin.close();
    yield* readToEnd(child.stdout);
    yield* child.wait();
  });

  test.each(Array.from({ length: 24 }, (_, i) => i))("after %i turns", async (turns) => {
    await runIo(function* () {
      yield* submitted();
      const before = openDescriptors();
      const task = spawn(owner());
      for (let i = 0; i < turns; i++) yield* turns % 2 === 0 ? submitted() : nodeTurn();
      yield* stop(task);
      expect(childPids()).toEqual([]);
      yield* until(() => openDescriptors().length <= before.length);
      expect(openDescriptors()).toEqual(before);
    });
  });

  test.each([0, 1, 2])("without a using: its streams are closed with it (%i)", async (turns) => {
    await runIo(function* () {
      yield* submitted();
      const before = openDescriptors();
      let child: Process | null = null;
      const task = spawn(function* () {
        child = yield* spawnProcess("cat");
        yield* child.wait();
      });
      yield* until(() => child !== null);
      for (let i = 0; i < turns; i++) yield* submitted();
      yield* stop(task);
      yield* submitted();
      yield* submitted();
      expect(openDescriptors()).toEqual(before);
    });
  });

  test.each(Array.from({ length: 12 }, (_, i) => i))("a run, after %i turns", async (turns) => {
    await runIo(function* () {
      const task = spawn(runProcess("cat", [], { input: "x".repeat(200_000) }));
      for (let i = 0; i < turns * 2; i++) yield* submitted();
      yield* stop(task);
    });
    expect(childPids()).toEqual([]);
  });
});

describe("runProcess", () => {
  test("gives all that is written to both streams, far more than a pipe holds", async () => {
    await runIo(function* () {
      const { code, stdout, stderr } = yield* runProcess(
        "sh",
        ["-c", "head -c 3000000 /dev/zero; head -c 500000 /dev/zero | tr '\\0' x >&2"],
        { limit: 4_000_000 },
      );
      expect([code, stdout.length, stderr.length]).toEqual([0, 3_000_000, 500_000]);
      expect(stderr.every((byte) => byte === 120)).toBe(true);
    });
  });

  test("feeds the input while it reads the output", async () => {
    await runIo(function* () {
      const input = Buffer.alloc(500_000, "abc");
      const { stdout } = yield* runProcess("cat", [], { input });
      expect(stdout.equals(input)).toBe(true);
      expect((yield* runProcess("sort", [], { input: "b\na\n" })).stdout.toString()).toBe("a\nb\n");
    });
  });

  test("a program that does not read its input is no error, and an exit code is none", async () => {
    await runIo(function* () {
      const result = yield* runProcess("sh", ["-c", "exit 7"], { input: Buffer.alloc(1_000_000) });
      expect(result).toMatchObject({ code: 7, signal: null });
      expect(result.stdout.length).toBe(0);
    });
  });

  test("one that writes too much is ended", async () => {
    await runIo(function* () {
      expectError(
        yield* failureOf(runProcess("sh", ["-c", "while :; do echo yes; done"], { limit: 10_000 })),
        LimitError,
        "COOP_TOO_LONG",
        /stdout of sh has more than 10000 bytes/,
      );
      expect(childPids()).toEqual([]);
      expect((yield* runProcess("printf", ["12345"], { limit: 5 })).stdout.toString()).toBe("12345");
    });
  });

  test("a timeout ends it", async () => {
    await runIo(function* () {
      expectError(
        yield* failureOf(timeout("20 millis", runProcess("sleep", ["100"]))),
        DeadlineError,
        "COOP_DEADLINE",
        /time was up/,
      );
      expect(childPids()).toEqual([]);
    });
  });

  test("runs in the clean-up of a task that was killed", async () => {
    await runIo(function* () {
      let cleaned = "";
      const task = spawn(function* () {
        try {
          yield* runProcess("sleep", ["100"]);
        } finally {
          cleaned = (yield* runProcess("echo", ["tidy"])).stdout.toString();
        }
      });
      yield* until(() => childPids().length > 0);
      yield* stop(task);
      expect(cleaned).toBe("tidy\n");
    });
  });

  test("many at a time", async () => {
    await runIo(function* () {
      const outputs = yield* group(function* (g) {
        const tasks = Array.from({ length: 8 }, (_, i) => g.spawn(runProcess("echo", [String(i)])));
        const found: string[] = [];
        for (const task of tasks) found.push((yield* task.join()).stdout.toString().trim());
        return found;
      });
      expect(outputs).toEqual(["0", "1", "2", "3", "4", "5", "6", "7"]);
    });
    expect(childPids()).toEqual([]);
  });
});

test("a simulation starts none", () => {
  underSeeds(
    1,
    {},
    () =>
      function* () {
        for (const call of [() => spawnProcess("true"), () => runProcess("true")]) {
          expectError(yield* failureOf(call), UnsupportedError, "COOP_UNSUPPORTED", /simulation/);
        }
      },
  );
  expect(childPids()).toEqual([]);
});

test("process.exit() does not leave programs behind", { timeout: 60_000 }, async () => {
  const program = startChild("leaves-process");
  const { code, stdout } = await program.ended;
  expect(code).toBe(5);
  const pid = Number(stdout);
  expect(pid).toBeGreaterThan(1);
  for (let i = 0; i < 100 && alive(pid); i++) await new Promise((resolve) => setImmediate(resolve));
  expect(alive(pid) && !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"))).toBe(false);
});
