/** What goes to the reporter: everything that went wrong and that no task can be told of. */
import type { Task } from "../task/task.ts";

/** Something that went wrong and that no task can be told of. */
export interface Report {
  readonly kind:
    | "failure"
    | "kill-overridden"
    | "stuck"
    | "hook"
    | "callback"
    | "stall"
    | "dropped"
    | "buffer";
  /** The task it is about; null for a callback that belongs to none. */
  readonly task: Task | null;
  /** The place, in words, where it is known. */
  readonly where: string;
  readonly error: unknown;
}

/** Where it goes when nobody asked for it. */
export function reportToConsole(report: Report): void {
  console.error(`cooperator: ${report.task?.label ?? "the loop"} ${inWords(report)}:`, report.error);
}

function inWords({ kind, where }: Report): string {
  switch (kind) {
    case "failure":
      return `failed and ${where === "" ? "nobody joined it" : where}`;
    case "kill-overridden":
      return `overrode or lost a kill${where === "" ? "" : ` in ${where}`}`;
    case "stuck":
      return "did not stop in time";
    case "callback":
      return `ran a callback that threw (${where})`;
    case "stall":
      return "kept others from running";
    case "dropped":
      return `closed what was dropped (${where})`;
    case "buffer":
      return `found memory that was misused (${where})`;
    case "hook":
      return "called a hook that threw";
  }
}
