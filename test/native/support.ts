import { execFile, execFileSync } from "node:child_process";
import { mkdtempSync, openSync, readdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { loadBinding, type NativeRing, openRing, type RingOptions } from "../../src/native/binding.ts";
import * as k from "../../src/native/layout.ts";

export interface Completion {
  readonly userData: number;
  readonly res: number;
  readonly flags: number;
}

/** A ring with the few lines of queueing and reaping a test needs. */
export class TestRing {
  readonly native: NativeRing;
  readonly words: Int32Array;
  readonly sqes: Int32Array;
  queued = 0;

  constructor(options: Partial<RingOptions> = {}) {
    this.native = openRing({ sqEntries: 64, cqEntries: 256, opcodes: k.ALLOWED_OPCODES, ...options });
    this.words = new Int32Array(this.native.ringMemory);
    this.sqes = new Int32Array(this.native.sqeMemory);
  }

  /** Queues one SQE; `words` overrides single words by index. */
  queue(opcode: number, userData: number, words: Readonly<Record<number, number>> = {}): void {
    const tail = this.word(this.native.sqTailOffset);
    const base = (tail & (this.native.sqEntries - 1)) * k.SQE_WORDS;
    this.sqes.fill(0, base, base + k.SQE_WORDS);
    this.sqes[base] = opcode;
    this.sqes[base + k.SQE_WORD_USER_DATA] = userData;
    for (const [index, value] of Object.entries(words)) this.sqes[base + Number(index)] = value;
    this.setWord(this.native.sqTailOffset, tail + 1);
    this.queued++;
  }

  /** Queues a READ at the current position. `flags` are SQE flags. */
  read(fd: number, into: Uint8Array, userData: number, flags = 0): void {
    this.queue(k.OP_READ | (flags << k.SQE_FLAGS_SHIFT), userData, {
      [k.SQE_WORD_FD]: fd,
      [k.SQE_WORD_OFF]: -1,
      [k.SQE_WORD_OFF + 1]: -1,
      ...address(into),
      [k.SQE_WORD_LEN]: into.byteLength,
    });
  }

  flush(): number {
    const count = this.queued;
    this.queued = 0;
    return this.native.flush(count);
  }

  /** Takes all completions that are posted. */
  reap(): Completion[] {
    const completions: Completion[] = [];
    const tail = this.word(this.native.cqTailOffset);
    let head = this.word(this.native.cqHeadOffset);
    for (; head !== tail; head = (head + 1) | 0) {
      const at = (this.native.cqesOffset >> 2) + (head & (this.native.cqEntries - 1)) * k.CQE_WORDS;
      completions.push({
        userData: this.words[at + k.CQE_WORD_USER_DATA],
        res: this.words[at + k.CQE_WORD_RES],
        flags: this.words[at + k.CQE_WORD_FLAGS],
      });
    }
    this.setWord(this.native.cqHeadOffset, head);
    return completions;
  }

  get ready(): number {
    return this.word(this.native.cqTailOffset) - this.word(this.native.cqHeadOffset);
  }

  get sqFlags(): number {
    return this.word(this.native.sqFlagsOffset);
  }

  word(offset: number): number {
    return Atomics.load(this.words, offset >> 2);
  }

  setWord(offset: number, value: number): void {
    Atomics.store(this.words, offset >> 2, value);
  }

  /** Calls back until `done` says so; resolves then. Rejects are left to the test's own time limit. */
  until(done: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      this.native.watch(() => {
        this.native.flush(0);
        if (!done()) return;
        this.native.unwatch();
        resolve();
      });
    });
  }

  [Symbol.dispose](): void {
    this.native.close();
  }
}

/** Words 4 and 5 of an SQE for a buffer. */
export function address(view: Uint8Array): Record<number, number> {
  const value = loadBinding().addressOf(view);
  return { [k.SQE_WORD_ADDR]: value | 0, [k.SQE_WORD_ADDR + 1]: Math.floor(value / 2 ** 32) };
}

// Whatever the kernel writes to must not be collected while a test runs.
const pinned: Uint8Array[] = [];

export function shared(size: number): Uint8Array<SharedArrayBuffer> {
  const view = new Uint8Array(new SharedArrayBuffer(size));
  pinned.push(view);
  return view;
}

const directory = mkdtempSync(join(tmpdir(), "native-"));
let fifos = 0;

/** A pipe with both ends on one descriptor: what is written can be read, and reads wait until then. */
export function openPipe(): number {
  const path = join(directory, `fifo-${fifos++}`);
  execFileSync("mkfifo", [path]);
  return openSync(path, "r+");
}

export function openDescriptors(): number {
  return readdirSync("/proc/self/fd").length;
}

export function child(name: string): string {
  return fileURLToPath(new URL(`./children/${name}.mjs`, import.meta.url));
}

export interface Ended {
  readonly code: number | string | null;
  readonly signal: string | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly milliseconds: number;
}

/** Runs a program to its end; never rejects. */
export function runProgram(file: string, args: readonly string[]): Promise<Ended> {
  const began = performance.now();
  return new Promise((resolve) => {
    execFile(file, args, { timeout: 20_000, killSignal: "SIGKILL" }, (error, stdout, stderr) => {
      const code = error === null ? 0 : (error.code ?? null);
      const signal = error?.signal ?? null;
      resolve({ code, signal, stdout, stderr, milliseconds: performance.now() - began });
    });
  });
}

/** Runs `children/<name>.mjs` on this Node. */
export function runChild(name: string, ...args: string[]): Promise<Ended> {
  return runProgram(process.execPath, [child(name), ...args]);
}

/** Lets the event loop go round, so that close callbacks run. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
