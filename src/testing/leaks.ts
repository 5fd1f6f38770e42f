/**
 * What a program may leave behind: in its cooperator, and in the process. For the end of a test, on a virtual
 * clock or a real one.
 */

import { dumpTree } from "../coordinator/diagnosis/dump.ts";
import { UnsupportedError, UsageError } from "../coordinator/errors.ts";
import { describeValue } from "../coordinator/operation.ts";
import type { Cooperator } from "../coordinator/scheduler/cooperator.ts";
import { ioStatistics } from "../io/io.ts";

/**
 * Checks that a cooperator is back at its baseline: every task ended and was counted once, nothing is ready,
 * armed, queued or in flight, and all memory and all descriptors of its io have been given back.
 *
 * @throws an `Error` that begins with "broken invariant" and says what is left.
 */
export function checkAtRest(cooperator: Cooperator): void {
  if (typeof cooperator?.statistics !== "function") {
    throw new UsageError(
      "COOP_NOT_A_COOPERATOR",
      `checkAtRest() takes a cooperator, not ${describeValue(cooperator)}`,
    );
  }
  const { spawned, done, failed, killed, live, ready, timers, inflight } = cooperator.statistics();
  if (live !== 0) violated(`${live} tasks live:\n${dumpTree(cooperator.tasks())}`);
  if (spawned !== done + failed + killed + live) {
    violated(`spawned ${spawned} is not done ${done} + failed ${failed} + killed ${killed} + live ${live}`);
  }
  if (ready !== 0) violated(`${ready} tasks are in the run queue`);
  if (timers !== 0) violated(`${timers} timers are armed`);
  if (inflight !== 0) violated(`${inflight} operations are in flight`);
  const io = ioStatistics(cooperator);
  if (io === null) return;
  if (io.submitted !== io.completed) {
    violated(`${io.submitted} operations were submitted and ${io.completed} completed`);
  }
  if (io.blocks !== 0) violated(`${io.blocks} blocks of memory have not been given back`);
  if (io.descriptors !== 0) violated(`${io.descriptors} descriptors are open`);
}

/** The descriptors that a process has open, and a check that it has the same again. */
export interface DescriptorWatch {
  /**
   * Waits a few turns of the event loop for what Node closes in callbacks, and compares.
   *
   * @throws an `Error` that names the descriptors that are new.
   */
  check(): Promise<void>;
}

/** Turns of the event loop that Node gets to close what it has let go of. */
const TURNS_MAX = 16;

/**
 * Notes which descriptors this process has open.
 *
 * @throws {UnsupportedError} where there is no /proc/self/fd, or Node is older than 20.16 or 22.3.
 * @example
 * const descriptors = watchDescriptors();
 * await run(program());
 * await descriptors.check();
 */
export function watchDescriptors(): DescriptorWatch {
  const before = new Set(openDescriptors());
  const added = (): string[] => openDescriptors().filter((descriptor) => !before.has(descriptor));
  return {
    async check() {
      let left = added();
      for (let turn = 0; left.length > 0 && turn < TURNS_MAX; turn++) {
        await new Promise<void>((resolve) => setTimeout(resolve, 0));
        left = added();
      }
      if (left.length > 0) violated(`${left.length} descriptors were left open: ${left.join(", ")}`);
    },
  };
}

interface FileSystem {
  readdirSync(path: string): string[];
  readlinkSync(path: string): string;
}

function openDescriptors(): string[] {
  const { process } = globalThis as { process?: { getBuiltinModule?: (name: string) => unknown } };
  const fs = process?.getBuiltinModule?.("node:fs") as FileSystem | undefined;
  if (fs === undefined) {
    throw new UnsupportedError(
      "watchDescriptors() needs process.getBuiltinModule: Node 20.16, 22.3 or newer",
    );
  }
  let numbers: string[];
  try {
    numbers = fs.readdirSync("/proc/self/fd");
  } catch (cause) {
    throw new UnsupportedError("watchDescriptors() reads /proc/self/fd, and there is none here", { cause });
  }
  const found: string[] = [];
  for (const number of numbers) {
    try {
      found.push(`${number} ${fs.readlinkSync(`/proc/self/fd/${number}`)}`);
    } catch {
      // That of the listing itself.
    }
  }
  return found;
}

/** @internal */
export function violated(rule: string): never {
  throw new Error(`broken invariant: ${rule}`);
}
