/**
 * What rings have no opcode for: Node does it on its own threads, and a task waits for the promise.
 *
 * A kill leaves the promise alone, since nothing can stop it, and lets the task go on at once; what the
 * promise gives later is disposed of. The buffers of such calls are Node's own, so nothing is written to
 * memory of a task that has gone on.
 */
import type { Operation } from "../../coordinator/operation.ts";
import type { Task } from "../../coordinator/task/task.ts";
import { Wait } from "../../coordinator/wait.ts";
import { IoError } from "../errno.ts";

/** Runs `call` and waits for what it promises. */
export function throughNode<A>(
  syscall: string,
  call: () => Promise<A>,
  dispose: ((value: A) => unknown) | null = null,
): Operation<A> {
  return new NodeCall(syscall, call, dispose);
}

class NodeCall<A> extends Wait<A> {
  private readonly syscall: string;
  private readonly call: () => Promise<A>;
  private readonly dispose: ((value: A) => unknown) | null;
  private value: A | null = null;
  private failure: unknown = null;
  private failed = false;
  /** The call that is waited for: what an earlier one gives has nobody waiting for it. */
  private round = 0;

  constructor(syscall: string, call: () => Promise<A>, dispose: ((value: A) => unknown) | null) {
    super();
    this.syscall = syscall;
    this.call = call;
    this.dispose = dispose;
  }

  override describe(): string {
    return `${this.syscall} by Node`;
  }

  protected override begin(_task: Task): boolean {
    this.failed = false;
    const round = ++this.round;
    this.call().then(
      (value) => {
        if (this.round !== round) this.giveUp(value);
        else {
          this.value = value;
          this.grant();
        }
      },
      (error: unknown) => {
        if (this.round !== round) return;
        this.failed = true;
        this.failure = error;
        this.grant();
      },
    );
    return false;
  }

  protected override finish(): A {
    const { value, failure } = this;
    this.value = null;
    this.failure = null;
    if (this.failed) throw asIoError(failure, this.syscall);
    return value as A;
  }

  override abort(): boolean {
    this.round++;
    return true;
  }

  override rollback(): void {
    if (!this.failed) this.giveUp(this.value as A);
    this.value = null;
  }

  private giveUp(value: A): void {
    if (this.dispose === null) return;
    // Nobody is left to be told of a failure.
    Promise.resolve(this.dispose(value)).catch(() => {});
  }
}

/** An error of Node's as one of ours: they have the same fields. */
function asIoError(error: unknown, syscall: string): unknown {
  if (!(error instanceof Error)) return error;
  const { errno, path, dest } = error as NodeJS.ErrnoException & { dest?: string };
  if (typeof errno !== "number") return error;
  const name = (error as NodeJS.ErrnoException).syscall ?? syscall;
  return new IoError(errno, name, { path, dest });
}
