/**
 * A kernel as io_uring shows it, without one: it takes submissions and posts completions, on a virtual clock.
 *
 * Every request is attempted after a delay, by chance none; one that has to wait is attempted again when something
 * has happened to its file; its completion is posted after another delay. So completions come in any order, as
 * they may. What an operation does happens at the attempt: a cancel that comes between it and the completion is
 * too late, and the bytes, or the descriptor, are there all the same.
 */
import { DIRECT } from "../../io/driver/driver.ts";
import { EBADF, ECANCELED, EINTR, ENFILE, ENOENT } from "../../io/errno.ts";
import * as abi from "../../native/layout.ts";
import { millisecondsOf, wholeFrom } from "../arguments.ts";
import { AddressSpace } from "./address-space.ts";
import { Agenda } from "./agenda.ts";
import { DescriptorTable } from "./descriptor-table.ts";
import { Dice } from "./dice.ts";
import { FAULTS, type Fault, faultsOf } from "./faults.ts";
import { FileSystem } from "./files.ts";
import { injected } from "./injection.ts";
import type { KernelOptions } from "./kernel-options.ts";
import type { BufferGroup } from "./messages.ts";
import { BLOCKED, type OpenFile } from "./open-file.ts";
import { operate, SIMULATED_OPCODES } from "./operations.ts";
import { OVER, type Request, STARTING, WAITING } from "./request.ts";
import { Network, StreamSocket } from "./sockets.ts";

const EALREADY = 114;
/** A request is attempted at once, or a completion posted at once, this often. */
const AT_ONCE = 0.4;
/** Longest time that something stands still, in nanoseconds. */
const CLOG_MAX = 10e9;
/** Longest time that memory is short, in nanoseconds, and how often an operation is hit by it. */
const SHORTAGE_MAX = 2e9;
const SHORT = 0.8;
/** The driver keeps the index of a slot in these bits. */
const INDEX_MASK = (1 << 28) - 1;
/** No slot has ever this generation. */
const NO_GENERATION = 0x7fff_fff0;
const DESCRIPTORS_DEFAULT = 1024;
const BUFFER_DEFAULT = 64 * 1024;

/** A completion on its way. */
export interface Completion {
  readonly low: number;
  readonly high: number;
  readonly result: number;
  readonly flags: number;
  /** The socket whose error it tells. */
  readonly tells?: StreamSocket | null;
}

interface Attempt {
  readonly request: Request;
  readonly round: number;
}

export class SimulatedKernel {
  readonly dice: Dice;
  /** Probabilities, changed as the run goes on. */
  readonly faults: Record<Fault, number>;
  /** How often each fault has happened. */
  readonly struck: Record<Fault, number> = faultsOf(undefined);
  readonly memory: AddressSpace = new AddressSpace();
  readonly files: FileSystem = new FileSystem();
  readonly network: Network;
  readonly descriptors: DescriptorTable;
  /** Direct descriptors; none before their table is registered. */
  direct: DescriptorTable = new DescriptorTable(0, 0, ENFILE);
  /** Rings of provided buffers by number. */
  readonly groups: Map<number, BufferGroup> = new Map();
  readonly opcodes: readonly number[];
  readonly bufferBytes: number;
  /** Completions to be posted when the driver looks, in order. */
  readonly due: Completion[] = [];
  /** Completions posted that belong to no operation: the driver must have ignored as many. */
  strays = 0;
  /** Times that completions had to wait because the driver's queue was full. */
  overflows = 0;
  /** Operations on descriptors that were not open. A program that stands on this driver never causes one. */
  badDescriptors = 0;
  /** Submissions taken, and completions posted, those of cancels not counted. */
  taken = 0;
  private readonly requests = new Set<Request>();
  /** Those of chains whose turn has not come: no cancel finds them. */
  private readonly waiting = new Set<Request>();
  /** The last request taken, when the next one is linked to it. */
  private chain: Request | null = null;
  private readonly agenda: Agenda<Attempt | Completion>;
  /** Completions due for each place of the driver's slab, by `user_data`. */
  private readonly owed = new Map<number, number>();
  /** Sockets whose error is being told, by the place of the operation that tells it. */
  private readonly telling = new Map<number, StreamSocket>();
  private readonly now: () => number;
  private readonly script: KernelOptions["script"] | null;
  private delayNs: number;
  private shortUntil = 0;

  /** @param now Virtual nanoseconds. */
  constructor(now: () => number, options?: KernelOptions) {
    this.now = now;
    this.dice = new Dice(options?.seed ?? 0);
    this.faults = faultsOf(options?.faults);
    this.delayNs = millisecondsOf(options?.delay, "delay") * 1e6;
    this.bufferBytes = wholeFrom(1, options?.bufferBytes, BUFFER_DEFAULT, "bufferBytes");
    this.script = options?.script ?? null;
    this.descriptors = new DescriptorTable(
      wholeFrom(0, options?.descriptors, DESCRIPTORS_DEFAULT, "descriptors"),
    );
    const without = options?.without ?? [];
    this.opcodes = SIMULATED_OPCODES.filter((opcode) => !without.includes(opcode));
    this.agenda = new Agenda(this.dice);
    this.network = new Network(
      () => this.bufferBytes,
      () => this.delayNs > 0 && this.dice.chance(0.5),
      () => this.wakeConnects(),
    );
  }

  /** Requests that are not over. */
  get inflight(): number {
    return this.requests.size;
  }

  /** When the next thing happens, in nanoseconds; infinite when nothing will. */
  get next(): number {
    return this.due.length > 0 ? this.now() : this.agenda.next;
  }

  /** What a number of the program refers to, direct or not. */
  fileOf(number: number): OpenFile | null {
    return number < DIRECT ? this.descriptors.get(number) : this.direct.get(number - DIRECT);
  }

  /** No more faults, and what takes time takes little: a program must come to its end now. */
  calm(): void {
    for (const fault of FAULTS) this.faults[fault] = 0;
    this.delayNs = Math.min(this.delayNs, 1e6);
    this.shortUntil = 0;
  }

  /** Whether a fault happens here and now. */
  strikes(fault: Fault): boolean {
    if (!this.dice.chance(this.faults[fault])) return false;
    this.struck[fault]++;
    return true;
  }

  /** Whether memory is short: when it is, it is so for a while, and for most operations. */
  short(): boolean {
    const now = this.now();
    if (this.strikes("shortage")) this.shortUntil = now + this.dice.next(SHORTAGE_MAX);
    return now < this.shortUntil && this.dice.chance(SHORT);
  }

  /** Takes a submission. */
  take(request: Request): void {
    this.owe(request, 1);
    if (request.opcode === abi.OP_ASYNC_CANCEL) {
      this.cancel(request);
      return;
    }
    this.taken++;
    this.requests.add(request);
    const { chain } = this;
    this.chain = request.leads ? request : null;
    if (chain === null) this.start(request);
    else {
      chain.next = request;
      this.waiting.add(request);
    }
  }

  /** A chain ends where a submission does, whatever its last request says. */
  endSubmission(): void {
    this.chain = null;
  }

  /** Begins a request. One of a chain looks its descriptor up only now. */
  private start(request: Request): void {
    if (takesDescriptor(request)) {
      const file = (request.fixed ? this.direct : this.descriptors).get(request.fd);
      if (file !== null) {
        request.file = file;
        file.references++;
      }
    }
    this.attemptAt(request, this.now() + this.delay());
  }

  /** Does everything that is due. */
  run(): void {
    const now = this.now();
    for (let item = this.agenda.take(now); item !== null; item = this.agenda.take(now)) {
      if ("result" in item) this.due.push(item);
      else if (item.request.state !== OVER && item.request.round === item.round) this.attempt(item.request);
    }
  }

  /** A completion is in the driver's queue. By chance it will come again, when nothing else is owed to its place. */
  posted(completion: Completion): void {
    const { low, high, flags } = completion;
    if ((flags & abi.CQE_MORE) !== 0) return;
    const key = keyOf(low, high);
    if (completion.tells != null) this.telling.set(key, completion.tells);
    const owed = this.owed.get(key);
    if (owed === undefined) return;
    if (owed > 1) {
      this.owed.set(key, owed - 1);
      return;
    }
    this.telling.get(key)?.told();
    this.telling.delete(key);
    this.owed.delete(key);
    if (this.strikes("duplicate")) this.stray({ ...completion, low: low & INDEX_MASK, tells: null });
    if (this.strikes("stale")) {
      this.stray({ low: this.dice.next(64), high: NO_GENERATION, result: this.dice.next(100), flags: 0 });
    }
  }

  private stray(completion: Completion): void {
    this.strays++;
    this.agenda.add(this.now() + this.dice.exponential(this.delayNs), completion);
  }

  private owe({ low, high }: Request, count: number): void {
    const key = keyOf(low, high);
    this.owed.set(key, (this.owed.get(key) ?? 0) + count);
  }

  private delay(): number {
    if (this.delayNs === 0 || this.dice.chance(AT_ONCE)) return 0;
    return this.dice.exponential(this.delayNs);
  }

  private attemptAt(request: Request, at: number): void {
    request.state = STARTING;
    request.round++;
    this.agenda.add(at, { request, round: request.round });
  }

  private attempt(request: Request): void {
    const { file } = request;
    const now = this.now();
    if (file !== null) {
      if (this.strikes("clog")) file.cloggedUntil = now + this.dice.next(CLOG_MAX);
      if (file.cloggedUntil > now) {
        this.attemptAt(request, file.cloggedUntil);
        return;
      }
    }
    const result = this.resultOf(request);
    if (result !== BLOCKED) this.complete(request, result);
    else if (request.cancelled) this.complete(request, cancelledResult(this, request));
    else this.block(request);
  }

  private resultOf(request: Request): number {
    const scripted = this.script?.(request) ?? null;
    if (scripted !== null && request.opcode !== abi.OP_CLOSE) return scripted;
    if (takesDescriptor(request) && request.file === null) {
      this.badDescriptors++;
      return -EBADF;
    }
    const fault = injected(this, request);
    // What has gone out is told first.
    if (fault !== 0) return request.done > 0 ? request.done : fault;
    const result = operate(this, request);
    return request.opcode === abi.OP_CLOSE && scripted !== null ? scripted : result;
  }

  private block(request: Request): void {
    request.state = WAITING;
    const { file } = request;
    if (file === null) return;
    file.waiters.add(request);
    file.onChange = this.wake;
  }

  private readonly wake = (file: OpenFile): void => {
    const waiters = [...file.waiters];
    file.waiters.clear();
    for (const request of waiters) this.attemptAt(request, this.now() + this.delay());
  };

  private wakeConnects(): void {
    for (const request of this.requests) {
      if (request.opcode !== abi.OP_CONNECT || request.state !== WAITING) continue;
      request.file!.waiters.delete(request);
      this.attemptAt(request, this.now() + this.delay());
    }
  }

  /** A completion of a request that goes on. */
  shot(request: Request, result: number, flags = 0): void {
    this.post(request, result, flags | abi.CQE_MORE, this.delay());
  }

  private complete(request: Request, result: number, delay: number = this.delay()): void {
    request.state = OVER;
    this.requests.delete(request);
    const { file } = request;
    let flags = request.lastFlags;
    if (file !== null) {
      file.waiters.delete(request);
      if (request.opcode === abi.OP_RECV && (file.ready() & abi.POLLIN) !== 0) flags |= abi.CQE_SOCK_NONEMPTY;
      this.drop(file);
    }
    this.post(request, result, flags, delay);
    if (request.next !== null) this.goOn(request.next, !request.breaksChain(result));
  }

  /** Begins the next request of a chain, or ends all that is left of it. */
  private goOn(next: Request, good: boolean): void {
    if (good) {
      this.waiting.delete(next);
      this.start(next);
      return;
    }
    for (let request: Request | null = next; request !== null; request = request.next) {
      this.waiting.delete(request);
      request.state = OVER;
      this.requests.delete(request);
      this.post(request, -ECANCELED, 0, this.delay());
    }
  }

  private post(request: Request, result: number, flags: number, delay: number): void {
    const { low, high } = request;
    const at = Math.max(this.now() + delay, request.lastAt + 2);
    request.lastAt = at;
    const { file } = request;
    const tells = file instanceof StreamSocket && result < 0 && result === file.error ? file : null;
    this.agenda.add(at, { low, high, result, flags, tells });
  }

  /** A reference to a file is gone. */
  drop(file: OpenFile): void {
    if (--file.references === 0) file.released();
  }

  private cancel(request: Request): void {
    if ((request.opFlags & abi.CANCEL_FD) !== 0) {
      const fixed = (request.opFlags & abi.CANCEL_FD_FIXED) !== 0;
      const file = (fixed ? this.direct : this.descriptors).get(request.fd);
      let count = 0;
      for (const target of [...this.requests]) {
        if (file === null || target.file !== file || this.waiting.has(target)) continue;
        this.cancelOne(target, this.delay());
        count++;
      }
      this.post(request, count, 0, this.delay());
      return;
    }
    // The target is named by its user_data.
    const low = (request.address % 4294967296) | 0;
    const high = Math.floor(request.address / 4294967296) | 0;
    const target = [...this.requests].find(
      (other) => other.low === low && other.high === high && !this.waiting.has(other),
    );
    const targetDelay = this.delay();
    const first = this.strikes("cancelFirst");
    const result =
      target === undefined ? -ENOENT : this.cancelOne(target, first ? targetDelay + 2 : targetDelay);
    this.post(request, result, 0, first ? 0 : targetDelay + 2 + this.delay());
  }

  private cancelOne(target: Request, delay: number): number {
    if (this.strikes("lateCancel")) {
      if (target.state === STARTING) {
        target.cancelled = true;
        // It is on its way between two queues: whoever looks in one of them may not find it at all.
        return this.dice.chance(0.5) ? -EALREADY : -ENOENT;
      }
      const result = this.resultOf(target);
      if (result !== BLOCKED) {
        this.complete(target, result, delay);
        return -EALREADY;
      }
    }
    this.complete(target, cancelledResult(this, target), delay);
    return 0;
  }
}

/** Part of a send may have gone out; a kernel thread is interrupted. */
function cancelledResult(kernel: SimulatedKernel, target: Request): number {
  if (target.done > 0) return target.done;
  return kernel.faults.lateCancel > 0 && kernel.dice.chance(0.2) ? -EINTR : -ECANCELED;
}

/** Whether `fd` is a descriptor that the operation works on, and keeps alive. */
function takesDescriptor({ opcode, fd }: Request): boolean {
  if (fd < 0) return false;
  return (
    opcode !== abi.OP_CLOSE && opcode !== abi.OP_SOCKET && opcode !== abi.OP_PIPE && opcode !== abi.OP_NOP
  );
}

function keyOf(low: number, high: number): number {
  return (low & INDEX_MASK) * 4294967296 + (high >>> 0);
}
