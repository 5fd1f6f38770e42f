/** Every kind of io under kills, on the real ring; as root, and with the rights and limits that most programs have. */
import { execFile, execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { dist } from "../support/children.ts";

const OPERATIONS = process.env.COOP_LANE === "ci" ? 200_000 : 20_000;
/** For hangs only. */
const LIMIT_MS = 120_000;
const program = fileURLToPath(new URL("./kill-storm.mjs", import.meta.url));

interface Ended {
  readonly code: number | string | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the storm, behind `wrapper`. */
function storm(seed: number, ...wrapper: string[]): Promise<Ended> {
  const command = [
    ...wrapper,
    process.execPath,
    program,
    dist,
    ...["--operations", OPERATIONS, "--seed", seed, "--patience", LIMIT_MS / 2000].map(String),
  ];
  return new Promise((resolve) => {
    execFile(command[0]!, command.slice(1), { timeout: LIMIT_MS - 5000 }, (error, stdout, stderr) =>
      resolve({ code: error === null ? 0 : (error.code ?? error.signal ?? null), stdout, stderr }),
    );
  });
}

function expectWhole({ code, stdout, stderr }: Ended): void {
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  const { problems, operations, cancels, checked, kills } = JSON.parse(stdout);
  expect(problems).toEqual([]);
  expect(operations).toBeGreaterThanOrEqual(OPERATIONS);
  expect(cancels).toBeGreaterThan(0);
  expect(checked).toBeGreaterThan(100);
  expect(Math.min(kills.request, kills.awaited, kills.relay)).toBeGreaterThan(0);
}

function works(command: string, ...args: string[]): boolean {
  try {
    execFileSync(command, args, { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

const nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
/** It takes root to become somebody else, who must be able to read this. */
const canDrop =
  process.getuid!() === 0 &&
  works("prlimit", "--version") &&
  works("setpriv", ...nobody.slice(1), "test", "-r", program);

describe("P19 a storm of kills", () => {
  test("loses nothing, mixes nothing up and leaves nothing", { timeout: LIMIT_MS }, async () => {
    expectWhole(await storm(1));
  });

  // Docker's usual limits. Rings are charged to the user: others of the same one may have used them up.
  test.skipIf(!canDrop).each([
    ["64 KiB", 65_536],
    ["8 MiB", 8_388_608],
  ])(
    "P20 without privileges and with %s of locked memory it does the same, or says why not",
    {
      timeout: LIMIT_MS,
    },
    async (_what, bytes) => {
      const ended = await storm(2, "prlimit", `--memlock=${bytes}:${bytes}`, ...nobody);
      if (ended.code !== 3) expectWhole(ended);
      else expect(JSON.parse(ended.stdout).unsupported).toMatch(/ENOMEM: .*ulimit -l/);
    },
  );

  test.skipIf(!canDrop)("P20 with none at all it says so", { timeout: LIMIT_MS }, async () => {
    const { code, stdout, stderr } = await storm(3, "prlimit", "--memlock=0:0", ...nobody);
    // Not every kernel charges rings to the limit.
    if (code === 0) return;
    expect({ code, stderr }).toEqual({ code: 3, stderr: "" });
    expect(JSON.parse(stdout).unsupported).toMatch(/ENOMEM: .*ulimit -l/);
  });
});
