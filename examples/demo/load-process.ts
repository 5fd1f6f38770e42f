/** The load as a task of ours: it lives as long as the task, and reports in the task's clean-up. */
import { spawn as spawnProcess } from "node:child_process";
import { fileURLToPath } from "node:url";
import { DeadlineError, defer, op, Signal, timeout } from "cooperator";
import { allocate, listen, type Socket } from "cooperator/io";
import { Lines } from "./lines.ts";
import type { ClientRecord } from "./load.ts";

const LOAD = fileURLToPath(new URL("load.js", import.meta.url));
/** A report is a line, and a line has to fit. */
const LINE_BYTES_MAX = 64 * 1024;

/** Starts the process, waits for ever, and puts what it has seen into `records` when this task ends. */
export const loadProcess = op(function* loadProcess(
  controlPath: string,
  clients: number,
  ports: readonly number[],
  records: ClientRecord[],
) {
  using listener = yield* listen({ path: controlPath });
  const exited = new Signal({ name: "exit of the load process" });
  const child = spawnProcess(process.execPath, [LOAD, controlPath, String(clients), ...ports.map(String)], {
    stdio: ["ignore", "inherit", "inherit"],
  });
  child.once("exit", () => exited.notify());
  child.once("error", () => exited.notify());
  defer(function* () {
    try {
      yield* timeout("2 seconds", exited.wait());
    } catch (error) {
      if (!(error instanceof DeadlineError)) throw error;
      child.kill("SIGKILL");
      yield* exited.wait();
    }
  });
  const control = yield* listener.accept({ timeout: "10 seconds" });
  defer(control.close());
  defer(collect(control, records));
  yield* exited.wait();
  throw new Error("the load process ended early");
});

const collect = op(function* collect(control: Socket, records: ClientRecord[]) {
  const lines = new Lines(control, allocate(LINE_BYTES_MAX));
  yield* lines.write("stop");
  for (let line = yield* lines.read(); line !== null; line = yield* lines.read()) {
    records.push(JSON.parse(line) as ClientRecord);
  }
});
