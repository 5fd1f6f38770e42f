/**
 * Task bodies that are `async` functions. The function runs in the language's promise jobs; its task has one
 * frame, this one, which serves what the function asks for and waits for it in between.
 *
 * ```
 *   first step ──▶ the function is called
 *        ┌──▶ idle: waits for a request, or for the end of the function
 *        │      │ self.wait(operation)              │ it returns or throws
 *        │      ▼                                   ▼
 *        │    serving: the operation has            the frame ends with that
 *        │      frames of its own, above this one
 *        └──────┘ its outcome settles the promise
 *
 *   a kill: the operation is unwound and its promise rejects with a KilledError; while idle, the next one does.
 *           From then on the function cleans up: it may wait again, and the frame stays until it has ended.
 *   the function ends and has left an operation behind: that is unwound first.
 * ```
 * The language cannot interrupt an async function that awaits a promise of somebody else: the task ends when the
 * function does, or is abandoned when the time for its clean-up is over. The kernel's own paths know nothing of
 * promises: they begin and end here. Source: seeds M-001 … M-005; design D1.
 */

import { ClosedError, combineErrors, KilledError, UsageError } from "../errors.ts";
import { requestKill } from "../kill/kill.ts";
import { POISON } from "../kill/poison.ts";
import { innermostScope } from "../kill/scope-signal.ts";
import { type AsyncFunction, type Body, type Call, enter, notAnOperation } from "../operation.ts";
import { SUSPENDED } from "../suspended.ts";
import { type KillMode, Wait } from "../wait.ts";
import { AsyncSelf } from "./async-self.ts";
import { current } from "./current.ts";
import { killedError } from "./exit.ts";
import { CancelScope, type Scope, UNWOUND } from "./scope.ts";
import type { Task } from "./task.ts";

/** What the function waits for: an operation, and the promise it was given for it. */
export class Request {
  readonly body: Body<unknown>;
  readonly promise: Promise<unknown>;
  resolve!: (value: unknown) => void;
  reject!: (error: unknown) => void;
  constructor(body: Body<unknown>) {
    this.body = body;
    this.promise = new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
  }
  /** Nobody has to look at it: the kill is told elsewhere too. */
  kill(error: unknown): void {
    this.promise.then(undefined, () => {});
    this.reject(error);
  }
}

/** How the function has ended. */
interface Settled {
  readonly failed: boolean;
  readonly value: unknown;
}

export class AsyncBody implements Iterator<unknown, unknown, unknown> {
  /** The task, from the first step on. */
  task: Task | null = null;
  /** The scope in which the function runs; its kill is the function's. */
  scope: Scope | null = null;
  /** Asked for and not begun. */
  request: Request | null = null;
  /** The operation that runs. */
  serving: Request | null = null;
  /** Around that operation: what the function has left behind ends with it. */
  private around: Scope | null = null;
  /** What a kill is told with; the same each time. Null before the kill is delivered. */
  killed: KilledError | null = null;
  private settled: Settled | null = null;
  /** A delivered kill has not met a wait yet. */
  private owed = false;
  private readonly fn: AsyncFunction | null;
  private readonly what: string;
  private readonly argument: unknown;
  private readonly idle: Idle;

  constructor(fn: AsyncFunction | null, what: string, argument: unknown) {
    this.fn = fn;
    this.what = what;
    this.argument = argument;
    this.idle = new Idle(this);
  }

  /** The function has been called already, and this is what it gave. */
  static of(promise: PromiseLike<unknown>): AsyncBody {
    const body = new AsyncBody(null, "", undefined);
    body.follow(promise);
    return body;
  }

  /** Something for the frame to do. */
  get pending(): boolean {
    return this.settled !== null || this.request !== null;
  }

  next(value?: unknown): IteratorResult<unknown, unknown> {
    if (this.task === null) {
      this.begin();
      return this.park();
    }
    const { serving } = this;
    if (serving === null) this.idle.next();
    else {
      this.serving = null;
      if (value === UNWOUND) serving.kill(leftBehind());
      else serving.resolve(value);
    }
    return this.park();
  }

  throw(error: unknown): IteratorResult<unknown, unknown> {
    const { serving } = this;
    if (serving === null) throw error;
    this.serving = null;
    if (this.settled !== null) {
      // Nobody looks any more: it goes with the end of the function.
      serving.kill(error);
      if (this.settled.failed) error = combineErrors([this.settled.value, error]);
      this.settled = { failed: true, value: error };
    } else serving.reject(error);
    return this.park();
  }

  /** A kill is delivered; again, when its first delivery has not ended the function in time. */
  return(_value?: unknown): IteratorResult<unknown, unknown> {
    const task = this.task ?? this.enter();
    const again = this.killed !== null;
    this.idle.return();
    if (this.killed === null) {
      const { cause } = task.unwinding!;
      this.killed = killedError(cause!, task.label, []);
    }
    const met = this.serving ?? this.request;
    this.serving = null;
    this.request = null;
    if (met !== null) met.kill(this.killed);
    else if (again && task.rare?.hurried === true) {
      // Time is up, and it awaits something that nobody can end. What it still does is its own affair.
      return { done: true, value: POISON };
    } else this.owed = true;
    return this.park();
  }

  /** From the function: asks for `body` to be run. Whoever asks when that cannot be gets an error at once. */
  ask(request: Request): void {
    const { task } = this;
    if (task === null || !this.onStack(task)) {
      request.kill(this.killed ?? new ClosedError("the task has ended and waits for nothing"));
      return;
    }
    if (this.serving !== null || this.request !== null) {
      request.reject(
        new UsageError(
          "COOP_WAIT_BUSY",
          `${task.label} waits already, and a task waits for one thing at a time: ` +
            "spawn a task for each, or select the first of several",
        ),
      );
      return;
    }
    if (this.owed) {
      this.owed = false;
      request.kill(this.killed!);
      return;
    }
    this.request = request;
    this.idle.rouse();
  }

  private begin(): void {
    const task = this.enter();
    const { fn } = this;
    if (fn === null) return;
    const self = new AsyncSelf(this, task);
    // In there no task is current, neither now nor after the first await.
    current.task = null;
    let made: unknown;
    try {
      made = this.argument === undefined ? fn(self) : fn(this.argument, self);
    } finally {
      current.task = task;
    }
    if (!isThenable(made)) throw notAnOperation(fn, this.what);
    this.follow(made);
  }

  private enter(): Task {
    const task = current.task!;
    this.task = task;
    this.scope = innermostScope(task);
    return task;
  }

  private follow(promise: PromiseLike<unknown>): void {
    promiseOf(promise).then(
      (value) => this.ended({ failed: false, value }),
      (error: unknown) => this.ended({ failed: true, value: error }),
    );
  }

  private ended(settled: Settled): void {
    this.settled = settled;
    if (this.serving !== null) requestKill(this.around!, "the function has ended");
    else this.idle.rouse();
  }

  /** Goes on: with the end of the function, with what it has asked for, or with waiting for either. */
  private park(): IteratorResult<unknown, unknown> {
    for (;;) {
      const { settled, request } = this;
      this.request = null;
      if (settled !== null) {
        request?.kill(leftBehind());
        return this.finish(settled);
      }
      if (request !== null) {
        if (this.serve(request)) return SUSPENDED;
      } else {
        const result = this.idle.next();
        if (result === SUSPENDED) return SUSPENDED;
      }
    }
  }

  private serve(request: Request): boolean {
    const { body } = request;
    try {
      this.around = new CancelScope();
      current.call = enter(this.around, body, "self.wait()") as Call<unknown>;
    } catch (error) {
      request.reject(error);
      return false;
    }
    this.serving = request;
    return true;
  }

  private finish({ failed, value }: Settled): IteratorResult<unknown, unknown> {
    if (this.killed === null) {
      if (failed) throw value;
      return { done: true, value };
    }
    // What it returns after a kill is nobody's; what it throws counts, unless it is the kill itself.
    if (failed && !this.tellsOfKill(value)) throw value;
    return { done: true, value: POISON };
  }

  /** The kill as it comes back: itself, or what an API makes of the abort of `self.signal`. */
  private tellsOfKill(error: unknown): boolean {
    if (error instanceof KilledError) return true;
    if (typeof error !== "object" || error === null) return false;
    const { name, cause } = error as { name?: unknown; cause?: unknown };
    return name === "AbortError" || cause instanceof KilledError;
  }

  private onStack(task: Task): boolean {
    for (let frame = task.top; frame !== null; frame = frame.below) if (frame.gen === this) return true;
    return false;
  }
}

function leftBehind(): ClosedError {
  return new ClosedError("the function ended and left this wait behind");
}

/** Waits until the function wants something or is over. After a kill only `within` and the like end it. */
class Idle extends Wait<void> {
  private readonly body: AsyncBody;
  constructor(body: AsyncBody) {
    super();
    this.body = body;
  }
  override get killMode(): KillMode {
    return this.body.killed === null ? "unwind" : "ignore";
  }
  override describe(): string {
    return "its async function";
  }
  protected override begin(): boolean {
    return this.body.pending;
  }
  protected override finish(): void {}
  override abort(): boolean {
    return true;
  }
  rouse(): void {
    if (this.task !== null && !this.satisfied) this.grant();
  }
}

/** @internal A promise, or what behaves like one. */
export function isThenable(value: unknown): value is PromiseLike<unknown> {
  if (value === null || (typeof value !== "object" && typeof value !== "function")) return false;
  return typeof (value as { then?: unknown }).then === "function";
}

/** @internal What merely behaves like a promise is asked once: it may begin its work each time, or call back twice. */
export function promiseOf(source: PromiseLike<unknown>): PromiseLike<unknown> {
  return source instanceof Promise ? source : Promise.resolve(source);
}
