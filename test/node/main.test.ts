/** main(): exit codes, signals, and clean-up that takes too long. Each program is a process of its own. */
import { constants } from "node:os";
import { describe, expect, test } from "vitest";
import { startChild } from "../support/children.ts";

describe.concurrent("main()", () => {
  test("ends the process with 0 after a value", async () => {
    const { code, stdout, stderr } = await startChild("main", "value").ended;
    expect({ code, stdout, stderr }).toEqual({ code: 0, stdout: "exit done\n", stderr: "" });
  });

  test("prints an error and ends the process with 1", async () => {
    const { code, stdout, stderr } = await startChild("main", "error").ended;
    expect({ code, stdout }).toEqual({ code: 1, stdout: "exit failed\n" });
    expect(stderr).toMatch(/^Error: it broke\n\s+at /);
  });

  test("prints a child's error, once", async () => {
    const { code, stderr } = await startChild("main", "child error").ended;
    expect(code).toBe(1);
    expect(stderr.match(/the child broke/g)).toHaveLength(1);
  });

  test("prints a deadlock with the tree and ends the process with 1", async () => {
    const { code, stdout, stderr } = await startChild("main", "deadlock").ended;
    expect({ code, stdout }).toEqual({ code: 1, stdout: "exit failed\n" });
    expect(stderr).toMatch(/DeadlockError: every task is blocked and nothing can wake one:/);
    expect(stderr).toMatch(/program#1: wait for .*right#3/);
    expect(stderr).toMatch(/ {2}left#2: wait for acquire of the gate in waiter/);
    expect(stderr).toMatch(/ {2}right#3: wait for acquire of the gate in waiter/);
  });
});

describe.concurrent("a deadlock under main()", () => {
  test("lets clean-up run first", async () => {
    const { code, stdout, stderr } = await startChild("main", "deadlock with clean-up").ended;
    expect({ code, stdout }).toEqual({ code: 1, stdout: "ready\ncleaning\ncleaned\nexit failed\n" });
    expect(stderr).toMatch(/^DeadlockError: /);
  });

  test("ends the program even inside a shield", async () => {
    const { code, stdout, stderr } = await startChild("main", "deadlock in a shield").ended;
    expect({ code, stdout }).toEqual({ code: 1, stdout: "exit failed\n" });
    expect(stderr).toMatch(/did not stop in time/);
    expect(stderr).toMatch(/DeadlockError: .*\nprogram#1: wait for acquire of the impossible/);
  });
});

describe.concurrent("U05 a signal", () => {
  test.each([
    ["SIGINT", 130, "never"],
    ["SIGTERM", 143, "never"],
    ["SIGINT", 130, "sleep"],
    ["SIGINT", 130, "accept"],
  ] as const)(
    "U05 %s ends the program gracefully, with %i, after its clean-up (%s)",
    async (signal, code, mode) => {
      const child = startChild("main", mode);
      await child.printed("ready");
      child.signal(signal);
      expect(await child.ended).toEqual({
        code,
        signal: null,
        stdout: "ready\ncleaning\ncleaned\nexit killed\n",
        stderr: "",
      });
    },
  );

  test("U05 a second one ends the process at once", async () => {
    const child = startChild("main", "hang for long");
    await child.printed("ready");
    child.signal("SIGTERM");
    await child.printed("cleaning");
    child.signal("SIGINT");
    expect(await child.ended).toEqual({ code: 130, signal: null, stdout: "ready\ncleaning\n", stderr: "" });
  });

  test("U05 an error in the clean-up is printed, and the signal stays the reason", async () => {
    const child = startChild("main", "fails in clean-up");
    await child.printed("ready");
    child.signal("SIGINT");
    const { code, stdout, stderr } = await child.ended;
    expect(code).toBe(130);
    expect(stdout).toBe("ready\ncleaning\nexit failed\n");
    expect(stderr).toMatch(/clean-up broke/);
  });

  test("U05 another set of signals can be chosen", async () => {
    const child = startChild("main", "never", "SIGHUP");
    await child.printed("ready");
    child.signal("SIGHUP");
    expect(await child.ended).toMatchObject({ code: 129, stdout: "ready\ncleaning\ncleaned\nexit killed\n" });
  });

  test("U05 a signal with a number of its own keeps it, named twice or not", async () => {
    const child = startChild("main", "never", "SIGUSR2,SIGUSR2");
    await child.printed("ready");
    child.signal("SIGUSR2");
    expect(await child.ended).toMatchObject({
      code: 128 + constants.signals.SIGUSR2,
      stdout: "ready\ncleaning\ncleaned\nexit killed\n",
    });
  });

  test.each(["SIGKILL", "SIGSTOP", "SIGNONE", "toString"])(
    "U05 %s, which nobody can wait for, is refused before the program begins",
    async (signal) => {
      const { code, stdout, stderr } = await startChild("main", "never", signal).ended;
      expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
      expect(stderr).toMatch(/UsageError: no program can wait for the signal/);
      expect(stderr).toMatch(/COOP_ARGUMENT/);
    },
  );

  test("U05 a program that ends itself keeps the exit code it has set", async () => {
    const { code, stdout } = await startChild("main", "ends itself").ended;
    expect({ code, stdout }).toEqual({ code: 3, stdout: "ready\ncleaning\ncleaned\nexit killed\n" });
  });

  test("U05 control: a signal that is not among them just ends the process", async () => {
    const child = startChild("main", "never", "SIGHUP");
    await child.printed("ready");
    child.signal("SIGINT");
    expect(await child.ended).toMatchObject({ code: null, signal: "SIGINT", stdout: "ready\n" });
  });
});

describe.concurrent("U06 clean-up that hangs", () => {
  test("U06 is cut short after the grace, and the task and the place are named", async () => {
    const child = startChild("main", "hang");
    await child.printed("ready");
    child.signal("SIGINT");
    const { code, stdout, stderr } = await child.ended;
    expect(code).toBe(130);
    expect(stdout).toBe("ready\ncleaning\nexit failed\n");
    expect(stderr).toMatch(/program#1 did not stop in time/);
    expect(stderr).toMatch(/wait for acquire of the impossible in hang < .*served/);
  });

  test("U06 so is one that waits for io, which is cancelled", async () => {
    const child = startChild("main", "hang in io");
    await child.printed("ready");
    child.signal("SIGINT");
    const { code, stdout, stderr } = await child.ended;
    expect(code).toBe(130);
    expect(stdout).toBe("ready\ncleaning\nexit failed\n");
    expect(stderr).toMatch(
      /program#1 did not stop in time; it was in wait for accept on socket \d+ \(127\.0\.0\.1:/,
    );
  });

  test("U06 so is a shield, which the kill could not even reach", async () => {
    const child = startChild("main", "hang in a shield");
    await child.printed("ready");
    child.signal("SIGTERM");
    const { code, stderr } = await child.ended;
    expect(code).toBe(143);
    expect(stderr).toMatch(/program#1 did not stop in time; it was in wait for acquire of the impossible/);
  });
});
