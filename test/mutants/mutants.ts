/**
 * Bugs planted on purpose, each a change of a few words in one file. The tests named with it must notice: at
 * least two of them fail. They are applied while the tests are loaded (see plugin.ts), never to the sources.
 */

export interface Mutant {
  /** What is wrong with it. */
  readonly name: string;
  /** Below `src/`. */
  readonly file: string;
  /** Occurs once in the file. */
  readonly from: string;
  readonly to: string;
  /** Where it must be noticed, below `test/`. */
  readonly tests: readonly string[];
}

const COORDINATOR = ["coordinator/coordinator", "conformance/h-coordinator", "conformance/b-races"];
const KILL = ["coordinator/unwind", "coordinator/shield", "conformance/b-delivery", "conformance/c-cleanup"];
const TREE = ["coordinator/exit", "coordinator/group", "conformance/a-life-cycle", "conformance/c-cleanup"];
const TIME = ["time/sleep", "time/timeout", "time/timer-queue"];
const CHANNEL = ["conformance/j-channels"];

const SIMULATED = ["sim/"];
const CHAINS = ["sim/chain", "io/chain"];
const DIRECT = ["sim/direct", "io/direct"];

export const mutants: readonly Mutant[] = [
  {
    name: "a lock is lost when its new owner is killed before it runs",
    file: "coordinator/coordinator.ts",
    from: "if (this.failure === null) this.coordinator.handBack(this.task);",
    to: "",
    tests: COORDINATOR,
  },
  {
    name: "a waiter that is killed stays in the queue",
    file: "coordinator/coordinator.ts",
    from: "this.list?.remove(this);\n    return true;",
    to: "return true;",
    tests: COORDINATOR,
  },
  {
    name: "a release leaves the coordinator free before its next owner runs: others barge in",
    file: "coordinator/coordinator.ts",
    from: "this.holder = next.task;\n    if (this.waiters",
    to: "this.holder = next.task;\n    this.isHeld = false;\n    if (this.waiters",
    tests: COORDINATOR,
  },
  {
    name: "the newest waiter is woken, not the oldest",
    file: "coordinator/embedded-list.ts",
    from: "const node = this.head;\n    if (node !== null) this.unlink(node);",
    to: "const node = this.tail;\n    if (node !== null) this.unlink(node);",
    tests: ["coordinator/embedded-list", ...COORDINATOR],
  },
  {
    name: "a lock whose owner has ended breaks nobody",
    file: "coordinator/task/finish.ts",
    from: "breakContended(task, rare.contended);",
    to: "void breakContended;",
    tests: COORDINATOR,
  },
  {
    name: "a later kill takes the place of the first cause",
    file: "coordinator/kill/kill.ts",
    from: "if (scope.cause !== null || scope.host?.state === ENDED) return;",
    to: "if (scope.host?.state === ENDED) return;\n  scope.cause = null;",
    tests: KILL,
  },
  {
    name: "a kill does not reach the children",
    file: "coordinator/kill/kill.ts",
    from: "return scope.children === null ? null : scope.children.last;",
    to: "return scope.live < 0 ? scope.children!.last : null;",
    tests: KILL,
  },
  {
    name: "a kill is delivered inside a shield",
    file: "coordinator/task/unwind.ts",
    from: "else if (scope.shields) return found;",
    to: "",
    tests: KILL,
  },
  {
    name: "clean-up that is under way is unwound by a second kill",
    file: "coordinator/task/unwind.ts",
    from: "if (frame.unwinding !== null) return found;\n    const scope",
    to: "const scope",
    tests: KILL,
  },
  {
    name: "a task is unwound while its children live",
    file: "coordinator/task/unwind.ts",
    from: "if (regionLive(task, target)) return false;",
    to: "",
    tests: KILL,
  },
  {
    name: "a wait that was satisfied when the kill came keeps what it was given",
    file: "coordinator/task/step.ts",
    from: "if (wait !== null && wait.satisfied) wait.rollback();",
    to: "",
    tests: COORDINATOR,
  },
  {
    name: "a task that is killed before its first step takes it",
    file: "coordinator/task/step.ts",
    from: 'if (task.doomed !== null && (wait === null || wait.killMode === "unwind")) {',
    to: 'if (task.started && task.doomed !== null && (wait === null || wait.killMode === "unwind")) {',
    tests: [...TREE, ...KILL],
  },
  {
    name: "what clean-up throws is swallowed",
    file: "coordinator/task/step.ts",
    from: "rare.cleanupErrors.push({ target: frame.unwinding!, error: value });",
    to: "",
    tests: KILL,
  },
  {
    name: "a value beats a kill",
    file: "coordinator/task/finish.ts",
    from: "if (cause !== null) return errors",
    to: "if (cause !== null && value === undefined) return errors",
    tests: ["coordinator/exit", "conformance/b-races", "conformance/b-misbehaviour"],
  },
  {
    name: "defers run first in, first out",
    file: "coordinator/task/finish.ts",
    from: "rare.defers.pop()",
    to: "rare.defers.shift()",
    tests: TREE,
  },
  {
    name: "a task ends before its children",
    file: "coordinator/task/finish.ts",
    from: "if (this.count(scope) > 0) return false;",
    to: "",
    tests: TREE,
  },
  {
    name: "only the first of several joiners is woken",
    file: "coordinator/task/finish.ts",
    from: "node !== null; node = joiners.shift()) node.grant();",
    to: "node !== null; node = joiners.shift()) break;",
    tests: TREE,
  },
  {
    name: "of several errors all but the first are dropped",
    file: "coordinator/errors.ts",
    from: "if (others.length === 0) return first;",
    to: "return first;",
    tests: ["coordinator/errors", ...TREE],
  },
  {
    name: "a failure that is held and never joined is not reported",
    file: "coordinator/task/finish.ts",
    from: "rare.held.add(task);",
    to: "",
    tests: TREE,
  },
  {
    name: "a flood of higher priority starves a lower one",
    file: "coordinator/scheduler/run-queue.ts",
    from: "++low.passedOver >= AGEING",
    to: "++low.passedOver >= AGEING * 1e9",
    tests: ["coordinator/run-queue"],
  },
  {
    name: "ready tasks keep timers waiting",
    file: "coordinator/scheduler/cooperator.ts",
    from: "if (this.timers !== null) this.timers.expire();",
    to: "if (this.timers !== null && this.queue.length === 0) this.timers.expire();",
    tests: ["coordinator/run-queue", "time/timeout", "conformance/l-clock", "node/run"],
  },
  {
    name: "a sleep that is killed leaves its timer armed",
    file: "time/sleep.ts",
    from: "timerQueueOf(this.task!.cooperator).disarm(this);",
    to: "",
    tests: TIME,
  },
  {
    name: "equal deadlines fire last armed first",
    file: "time/timer-queue.ts",
    from: "a.order < b.order",
    to: "a.order > b.order",
    tests: TIME,
  },
  {
    name: "a place that is used again keeps its generation",
    file: "handle/slab.ts",
    from: "this.generations[index] = generation + 1;",
    to: "",
    tests: ["handle/slab"],
  },
  {
    name: "an item is lost when its receiver is killed before it runs",
    file: "sync/channel-waits.ts",
    from: "this.channel.giveBack(item, this.order, this.task!);",
    to: "",
    tests: CHANNEL,
  },
  {
    name: "a sender that is killed stays in the queue",
    file: "sync/channel-waits.ts",
    from: "this.channel.senders.remove(this);\n    return true;",
    to: "return true;",
    tests: CHANNEL,
  },
  {
    name: "a receiver that is killed stays in the queue",
    file: "sync/channel-waits.ts",
    from: "this.channel.receivers.remove(this);\n    return true;",
    to: "return true;",
    tests: CHANNEL,
  },
  {
    name: "a mutex is released by anybody",
    file: "sync/mutex.ts",
    from: "if (owner !== current.task) throw notOwner(gate.name, owner);",
    to: "",
    tests: ["conformance/i-mutex"],
  },
  {
    name: "an operation counts as over at the completion of its cancel",
    file: "io/driver/uring-driver.ts",
    from: "if (handle.expected !== 0) {\n      if (kind === KIND_CANCEL)",
    to: "if (handle.expected !== 0 && kind === KIND_OPERATION) {\n      if (kind === KIND_CANCEL)",
    tests: SIMULATED,
  },
  {
    name: "a place of the driver is used again under the same generation",
    file: "io/driver/uring-driver.ts",
    from: "handle.generation = this.slab.renew(handle.index);",
    to: "handle.generation = this.slab.generation(handle.index);",
    tests: SIMULATED,
  },
  {
    name: "a short write is taken for a full one",
    file: "io/io-operation.ts",
    from: "return result === 0 ? -EIO : GOES_ON;",
    to: "return result;",
    tests: SIMULATED,
  },
  {
    name: "a connection that comes after the kill is not closed",
    file: "io/socket/accept.ts",
    from: "reclaim: closeOrphan,",
    to: "",
    tests: [...SIMULATED, "conformance/p-kill"],
  },
  {
    name: "a file that is opened after the kill is not closed",
    file: "io/file/open.ts",
    from: "reclaim: closeOrphan,",
    to: "",
    tests: [...SIMULATED, "conformance/p-kill"],
  },
  {
    name: "bytes that come after the kill are lost",
    file: "io/socket/recv.ts",
    from: "reclaim: keepReceived,",
    to: "",
    tests: [...SIMULATED, "io/select"],
  },
  {
    name: "a descriptor is closed while operations are in flight on it",
    file: "io/descriptor/descriptor.ts",
    from: "else if (this.inflight === 0) this.quiet();",
    to: "else if (this.inflight >= 0) this.quiet();",
    tests: [...SIMULATED, "io/descriptor"],
  },
  {
    name: "the rest of a write goes out although it was cancelled",
    file: "io/handle.ts",
    from: "else if (this.state !== SUBMITTED || descriptor.closed) outcome = -ECANCELED;",
    to: "",
    tests: [...SIMULATED, "conformance/p-kill", "conformance/p-faults"],
  },
  {
    name: "submissions that the kernel refused for now are forgotten",
    file: "io/driver/uring-driver.ts",
    from: "this.retryCount++;",
    to: "{ this.retryCount++; this.queued = 0; }",
    tests: SIMULATED,
  },
  {
    name: "a reset that only a send was told of looks like the end",
    file: "io/descriptor/inbox.ts",
    from: "if (this.lost !== 0) this.ending = this.lost;\n    return this.lost;",
    to: "return 0;",
    tests: SIMULATED,
  },
  {
    name: "a datagram that comes after the kill is lost",
    file: "io/socket/message.ts",
    from: "socket.inbox.keepMessage(bytes.subarray(0, count), envelope.from, envelope.truncated);",
    to: "",
    tests: SIMULATED,
  },
  {
    name: "a program whose owner is killed goes on",
    file: "io/process/process.ts",
    from: "if (!of.ended.signaled) yield* goAway(of);",
    to: "",
    tests: ["io/process"],
  },
  {
    name: "the streams of a program whose owner was killed stay open",
    file: "io/process/process.ts",
    from: "of.closeStreams();",
    to: "",
    tests: ["io/process"],
  },
  {
    name: "descriptors that come with the kill of their receiver are lost",
    file: "io/socket/pass.ts",
    from: "else inbox.keep(bytes.subarray(0, count), arrival);",
    to: "else { arrival.drop(); inbox.keep(bytes.subarray(0, count)); }",
    tests: ["io/pass"],
  },
  {
    name: "descriptors that nobody takes stay open",
    file: "io/socket/pass.ts",
    from: "[Symbol.dispose](): void {\n    for (const file of this.files.splice(0)) file",
    to: "[Symbol.dispose](): void {\n    for (const file of [] as File[]) file",
    tests: ["io/pass"],
  },
  {
    name: "a wake-up of a task that is killed reaches nobody",
    file: "io/futex.ts",
    from: "waking.startedInBackground(null);",
    to: "io.give(waking); return;",
    tests: ["io/futex"],
  },
  {
    name: "a watch that was removed is waited for no longer than its path is known",
    file: "io/file/watch.ts",
    from: "this.leaving.add(watch);",
    to: "void watch;",
    tests: ["io/watch"],
  },
  {
    name: "a cancel that came before an operation's turn in a chain is not repeated",
    file: "io/handle.ts",
    from: "if (follower.state === CANCELLING || (follower.pending && closing)) follower.cancelNow();",
    to: "void closing;",
    tests: CHAINS,
  },
  {
    name: "a chain is handed to the kernel in two submissions",
    file: "io/driver/uring-driver.ts",
    from: "const count = this.linked(this.stagedHead);",
    to: "const count = 1;",
    tests: CHAINS,
  },
  {
    name: "what is left of a chain that the kernel took in part runs all the same",
    file: "io/driver/uring-driver.ts",
    from: "if (taken > 0 && taken < this.queued) this.cutChain(taken);",
    to: "void this.cutChain;",
    tests: CHAINS,
  },
  {
    name: "what a chain has got before it failed goes to nobody",
    file: "io/chain.ts",
    from: "for (const handle of handles) handle.forsake();",
    to: "for (const handle of handles) handle.abandon();",
    tests: CHAINS,
  },
  {
    name: "a short writeAll ends its chain",
    file: "io/chain.ts",
    from: "if (!goesOn) throw",
    to: "throw",
    tests: CHAINS,
  },
  {
    name: "operations on a direct descriptor are cancelled on the ordinary one of the same number",
    file: "io/driver/uring-driver.ts",
    from: "cancels ? opFlags | abi.CANCEL_FD_FIXED : opFlags",
    to: "opFlags",
    tests: DIRECT,
  },
  {
    name: "the result of an accept into the table is taken for a number of the process",
    file: "io/handle.ts",
    from: "if ((special & MAKES_DIRECT) !== 0 && outcome >= 0) outcome += DIRECT;",
    to: "void DIRECT;",
    tests: DIRECT,
  },
  {
    name: "a descriptor is moved under operations that have its old number",
    file: "io/descriptor/direct.ts",
    from: "if (descriptor.inflight === 0 && !descriptor.entry.borrowed) return;",
    to: "if (descriptor.inflight >= 0) return;",
    tests: DIRECT,
  },
  {
    name: "a direct descriptor that comes after the kill keeps its place",
    file: "io/descriptor/direct.ts",
    from: "if (count !== THERE_ALREADY) closeOrphan(io, DIRECT + numberIn(handle.bytes!)[0]!);",
    to: "void [io, count, handle];",
    tests: DIRECT,
  },
];
