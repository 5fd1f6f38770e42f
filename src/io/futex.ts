/**
 * futex(2): waits until another thread of this process says that a word in shared memory has changed.
 *
 * `Atomics.wait` has queues of its own inside the engine, and blocks its thread; these are the kernel's, and only the
 * task waits. The two know nothing of each other: who waits here is woken by {@link futexWake}, and not by
 * `Atomics.notify`.
 */
import { UsageError } from "../coordinator/errors.ts";
import { describeValue, type Operation } from "../coordinator/operation.ts";
import * as abi from "../native/layout.ts";
import { EAGAIN } from "./errno.ts";
import type { Handle, IoOptions } from "./handle.ts";
import type { Io } from "./io.ts";
import { IoOperation, Kind, QUEUED } from "./io-operation.ts";
import { requireOpcode } from "./require-opcode.ts";

const WORD_BYTES = 4;
/** All waiters: the kernel's INT_MAX. */
const ALL = 0x7fff_ffff;
/** In the place of a descriptor: what kind of word it is, and that no other process waits for it. */
const FLAGS = abi.FUTEX_SIZE_U32 | abi.FUTEX_PRIVATE;

/** Queues a wait; its result is 0 when woken, -11 (EAGAIN) when the word has another value. @see {@link futexWait}. */
export function setupFutexWait(
  handle: Handle,
  words: Int32Array,
  index: number,
  expected: number,
  options?: IoOptions,
): void {
  waitOperation(words, index, expected, options).setUp(handle);
}

/**
 * Waits to be woken while `words[index]` is `expected`. True when it was woken: look at the word again, since it may
 * have changed once more. False when the word had another value already. A wake that comes with a kill is passed on to
 * the next one who waits.
 *
 * @throws {UsageError} `COOP_BUFFER` when the words do not lie in a SharedArrayBuffer of fixed size.
 * @throws {UnsupportedError} before Linux 6.7.
 * @example while (Atomics.load(words, 0) === seen) yield* futexWait(words, 0, seen);
 */
export function futexWait(
  words: Int32Array,
  index: number,
  expected: number,
  options?: IoOptions,
): Operation<boolean> {
  return waitOperation(words, index, expected, options);
}

/** Queues a wake-up; its result is how many were woken. @see {@link futexWake} to wait. */
export function setupFutexWake(handle: Handle, words: Int32Array, index: number, count?: number): void {
  wakeOperation(words, index, count).setUp(handle);
}

/**
 * Wakes up to `count` tasks, in whatever thread, that wait for this word; by default all. Gives how many. Change the
 * word first: `Atomics.store(words, 0, 1)`.
 */
export function futexWake(words: Int32Array, index: number, count?: number): Operation<number> {
  return wakeOperation(words, index, count);
}

function waitOperation(
  words: Int32Array,
  index: number,
  expected: number,
  options: IoOptions | undefined,
): IoOperation<boolean> {
  const word = wordOf(words, index);
  if (!Number.isInteger(expected) || (expected | 0) !== expected) {
    throw new UsageError("COOP_ARGUMENT", `a word has an integer of 32 bits, not ${describeValue(expected)}`);
  }
  return new IoOperation(WAIT, null, word, expected >>> 0, null, options);
}

function wakeOperation(
  words: Int32Array,
  index: number,
  count = Number.POSITIVE_INFINITY,
): IoOperation<number> {
  const word = wordOf(words, index);
  if (count !== Number.POSITIVE_INFINITY && (!Number.isInteger(count) || count < 1)) {
    throw new UsageError("COOP_ARGUMENT", `a count is a whole number from 1 up, not ${describeValue(count)}`);
  }
  return new IoOperation(WAKE, null, word, Math.min(count, ALL), null, undefined);
}

/** The bytes of one word, where the kernel finds them and keeps finding them. */
function wordOf(words: unknown, index: number): Uint8Array {
  if (!(words instanceof Int32Array) || !(words.buffer instanceof SharedArrayBuffer)) {
    throw new UsageError("COOP_BUFFER", "a futex is a word of an Int32Array over a SharedArrayBuffer");
  }
  if ((words.buffer as { growable?: boolean }).growable === true) {
    throw new UsageError("COOP_BUFFER", "a futex does not lie in a SharedArrayBuffer that can grow");
  }
  if (!Number.isInteger(index) || index < 0 || index >= words.length) {
    throw new UsageError(
      "COOP_ARGUMENT",
      `an index is from 0 to ${words.length - 1}, not ${describeValue(index)}`,
    );
  }
  return new Uint8Array(words.buffer, words.byteOffset + index * WORD_BYTES, WORD_BYTES);
}

function submit(io: Io, handle: Handle, opcode: number, word: Uint8Array, value: number): void {
  requireOpcode(io, opcode, "futex", "6.7");
  io.driver.submit(handle, opcode, FLAGS, handle.pin(word, false), 0, value, 0, 0, 0);
  // The mask of a futex with bits: any.
  io.driver.setWide(abi.SQE_WORD_ADDR3, -1, 0);
}

const WAIT: Kind<boolean> = new Kind({
  syscall: "futex",
  setup(io, handle, operation) {
    submit(io, handle, abi.OP_FUTEX_WAIT, operation.bytes!, operation.number);
    return QUEUED;
  },
  expected: -EAGAIN,
  convert: (result) => result === 0,
  // It was counted as woken, and perhaps it was the only one.
  reclaim(io, _result, handle) {
    const waking = io.take();
    waking.prepare(io, WAKE as Kind<unknown>, null, undefined);
    submit(io, waking, abi.OP_FUTEX_WAKE, handle.bytes!, 1);
    waking.startedInBackground(null);
    io.driver.onQueued?.();
  },
});

const WAKE: Kind<number> = new Kind({
  syscall: "futex",
  setup(io, handle, operation) {
    submit(io, handle, abi.OP_FUTEX_WAKE, operation.bytes!, operation.number);
    return QUEUED;
  },
  convert: (result) => result,
});
