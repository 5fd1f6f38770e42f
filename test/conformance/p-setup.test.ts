/** Conformance P20: no ring is to be had. Programs of their own, since the limits are those of a process. */
import { execFileSync } from "node:child_process";
import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, test } from "vitest";
import { dist, type Ended, runWrapped } from "../support/children.ts";

interface Told {
  readonly name: string;
  readonly code: string;
  readonly message: string;
  readonly cause: { readonly code?: string; readonly syscall?: string } | null;
}

interface Report {
  readonly caught: readonly (Told | null)[];
  readonly value: string;
  readonly thrown: Told | null;
}

function reportOf({ stdout, stderr, code }: Ended): Report {
  expect(stderr.replaceAll(/^\(node:\d+\) (?:\[\w+\] )?\w+Warning.*\n|^\(Use .*\n/gm, "")).toBe("");
  expect(code).toBe(0);
  return JSON.parse(stdout) as Report;
}

/** Every try ends with the same typed error, and the program goes on without io. */
function expectRefused(report: Report, text: RegExp): Told {
  for (const told of [...report.caught, report.thrown]) {
    expect(told).toMatchObject({ name: "UnsupportedError", code: "COOP_UNSUPPORTED" });
    expect(told!.message).toMatch(text);
  }
  expect(report.caught).toHaveLength(2);
  expect(report.value).toBe("went on");
  return report.thrown!;
}

function works(command: string, ...args: string[]): boolean {
  try {
    execFileSync(command, args, { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

const hasPrlimit = works("prlimit", "--version");
const refuser = fileURLToPath(new URL("../node/children/refuse.py", import.meta.url));
const major = Number(process.versions.node.split(".")[0]);
const permission = major >= 24 ? "--permission" : "--experimental-permission";

const directories: string[] = [];
afterAll(() => {
  for (const directory of directories) rmSync(directory, { recursive: true, force: true });
});

describe.concurrent("P20 the set-up of a ring is refused", () => {
  test("P20 control: where nothing is forbidden the same program has its io", async () => {
    const report = reportOf(await runWrapped({}, "first-io"));
    expect(report).toEqual({ caught: [null, null], value: "went on", thrown: null });
  });

  // What Docker's and Kubernetes' default profiles do.
  test.skipIf(!works("python3", "-c", "import ctypes")).each([
    ["ENOSYS", 38, /no io_uring here: ENOSYS: .*sandbox/],
    ["EPERM", 1, /no io_uring here: EPERM: .*Docker.*io_uring_disabled/],
    ["EACCES", 13, /no io_uring here: EACCES: .*SELinux/],
  ] as const)("P20 %s: a seccomp filter", async (code, errno, text) => {
    const ended = await runWrapped({ command: ["python3", refuser, String(errno)] }, "first-io");
    expect(expectRefused(reportOf(ended), text).cause).toMatchObject({ code, syscall: "io_uring_setup" });
  });

  // Only a process without privileges is held to the limit.
  test.skipIf(!hasPrlimit || process.getuid!() !== 0)("P20 ENOMEM: no locked memory", async () => {
    const ended = await runWrapped({ command: ["prlimit", "--memlock=0:0"] }, "first-io", "memlock");
    const { cause } = expectRefused(reportOf(ended), /no io_uring here: ENOMEM: .*RLIMIT_MEMLOCK.*ulimit -l/);
    expect(cause).toMatchObject({ code: "ENOMEM" });
    expect(cause!.syscall).toBeTruthy();
  });

  test.skipIf(!hasPrlimit)("P20 EMFILE: no descriptor is left", async () => {
    const ended = await runWrapped({ command: ["prlimit", "--nofile=100:100"] }, "first-io", "files");
    const { cause } = expectRefused(reportOf(ended), /no io_uring here: EMFILE: .*ulimit -n/);
    expect(cause).toMatchObject({ code: "EMFILE" });
  });

  test("P20 Node's permission model: the ring would go round its checks", async () => {
    const ended = await runWrapped(
      { node: [permission, "--allow-fs-read=*", ...(major >= 22 ? ["--allow-addons"] : [])] },
      "first-io",
    );
    expectRefused(reportOf(ended), /permission model.*bypasses its checks.*run without --permission/);
  });

  test("P20 the addon is missing", async () => {
    const directory = mkdtempSync(join(tmpdir(), "cooperator-bare-"));
    directories.push(directory);
    cpSync(dist, join(directory, "dist"), { recursive: true });
    const ended = await runWrapped({ dist: join(directory, "dist") }, "first-io");
    expectRefused(reportOf(ended), /native addon is missing for linux-.*npm run build:native/);
  });

  test("P20 addons are forbidden", async () => {
    const ended = await runWrapped({ node: ["--no-addons"] }, "first-io");
    expectRefused(reportOf(ended), /told not to load native addons/);
  });
});
