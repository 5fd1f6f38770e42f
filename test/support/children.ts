/** Programs of their own: those in `test/node/children`, run on `dist/`. */
import { type ChildProcess, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

export const dist: string = fileURLToPath(new URL("../../dist", import.meta.url));

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A program that runs. */
export class Child {
  readonly process: ChildProcess;
  readonly ended: Promise<Ended>;
  private over = false;
  private stdout = "";
  private stderr = "";
  private readonly waiting: { text: string; resolve: () => void }[] = [];

  constructor(file: string, args: readonly string[]) {
    const child = spawn(file, args, { stdio: ["ignore", "pipe", "pipe"], timeout: 55_000 });
    this.process = child;
    child.stdout!.setEncoding("utf8").on("data", (text: string) => {
      this.stdout += text;
      for (const { text: wanted, resolve } of this.waiting) if (this.stdout.includes(wanted)) resolve();
    });
    child.stderr!.setEncoding("utf8").on("data", (text: string) => {
      this.stderr += text;
    });
    this.ended = new Promise((resolve, reject) => {
      child.once("error", reject);
      child.once("close", (code, signal) => {
        this.over = true;
        resolve({ code, signal, stdout: this.stdout, stderr: this.stderr });
        for (const { resolve: give } of this.waiting) give();
      });
    });
  }

  /** What it has printed so far. */
  get output(): string {
    return this.stdout;
  }

  /** Resolves when the program has printed `text`, or has ended. */
  printed(text: string): Promise<void> {
    if (this.over || this.stdout.includes(text)) return Promise.resolve();
    return new Promise((resolve) => this.waiting.push({ text, resolve }));
  }

  signal(signal: NodeJS.Signals): void {
    this.process.kill(signal);
  }
}

/** Where `test/node/children/<name>.mjs` lies. */
export function childPath(name: string): string {
  return fileURLToPath(new URL(`../node/children/${name}.mjs`, import.meta.url));
}

/** Starts `test/node/children/<name>.mjs`. */
export function startChild(name: string, ...args: string[]): Child {
  return new Child(process.execPath, [childPath(name), dist, ...args]);
}

/** Runs `test/node/children/<name>.mjs` to its end, behind `wrapper` (a command and Node's own options). */
export function runWrapped(
  wrapper: {
    readonly command?: readonly string[];
    readonly node?: readonly string[];
    readonly dist?: string;
  },
  name: string,
  ...args: string[]
): Promise<Ended> {
  const node = [process.execPath, ...(wrapper.node ?? []), childPath(name), wrapper.dist ?? dist, ...args];
  const [file, ...rest] = [...(wrapper.command ?? []), ...node];
  return new Child(file, rest).ended;
}
