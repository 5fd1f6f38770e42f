/** Conformance S08: a peer that can no longer be reached, in a network namespace that is switched off. */
import { execFileSync } from "node:child_process";
import { expect, test } from "vitest";
import { runWrapped } from "../support/children.ts";

function works(command: string, ...args: string[]): boolean {
  try {
    execFileSync(command, args, { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

const UP = "ip link set lo up";
/** It takes root to make a namespace. */
const canSwitchOff = works("unshare", "-n", "sh", "-c", UP);

test.skipIf(!canSwitchOff)(
  "S08 a half-open connection is found out by a deadline, keep-alive or unacknowledged bytes, and leaves nothing",
  { timeout: 60_000 },
  async () => {
    const command = ["unshare", "-n", "sh", "-c", `${UP} && exec "$@"`, "sh"];
    const { code, stdout, stderr } = await runWrapped({ command }, "half-open");
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(JSON.parse(stdout)).toEqual({
      deadline: "COOP_DEADLINE",
      keepAlive: "ETIMEDOUT",
      userTimeout: "ETIMEDOUT",
      inflight: 0,
      blocks: 0,
    });
  },
);
