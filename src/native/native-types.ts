/**
 * The addon as TypeScript sees it. It is the smallest one that can work: set up, map, enter, register, wake;
 * all policy is on this side. Every argument is checked there: wrong use throws a TypeError or a RangeError,
 * and what the kernel refuses is returned as -errno.
 */

export interface RingOptions {
  /** Operations that can be queued between two submissions; rounded up to a power of two, at most 32,768. */
  readonly sqEntries: number;
  /** Completions that can wait to be read; at least `sqEntries`, rounded up likewise, at most 65,536. */
  readonly cqEntries: number;
  /** Opcodes the kernel is to accept on this ring; all others complete with -EACCES. NOP and ASYNC_CANCEL always are. */
  readonly opcodes: readonly number[];
  /** Allowed SQE flags; all by default. IO_DRAIN always is. */
  readonly sqeFlags?: number;
  /**
   * An account of open descriptors, one bit per number: what is in it when the thread ends, and no JavaScript runs
   * any more, is closed; standard input, output and error are not.
   */
  readonly owned?: Int32Array<SharedArrayBuffer>;
  /** Set-up flags to do without, to try the fallback chain for older kernels on a new one. */
  readonly without?: number;
}

/** The kernel refused. */
export interface SetupFailure {
  /** Positive. */
  readonly errno: number;
  /** Which call or registration. */
  readonly step: string;
}

/** Shared memory only: it can neither be detached nor transferred while the kernel has it. */
export type SharedView = ArrayBufferView<SharedArrayBuffer>;

/**
 * One io_uring instance. It belongs to the thread that created it. All functions return -EBADF after
 * `close`, and none needs `this`.
 */
export interface NativeRing {
  readonly fd: number;
  /** Signalled when completions become ready; see `watch` and `canMuteEventfd`. */
  readonly eventfd: number;
  /** IORING_FEAT_* of this kernel. */
  readonly features: number;
  /** IORING_SETUP_* that were granted. */
  readonly setupFlags: number;
  /** Granted sizes, powers of two. They can be smaller than asked for when locked memory is short. */
  readonly sqEntries: number;
  readonly cqEntries: number;
  /** Allowed opcodes this kernel knows, ascending. */
  readonly opcodes: readonly number[];
  /**
   * Whether CQ_EVENTFD_DISABLED may be set in the CQ flags while the thread is awake, which spares a needless
   * wake-up after nearly every submission. To sleep: store 0 there, then look at the SQ flags and the CQ
   * tail once more, all with Atomics. False where the kernel's memory ordering is not known to allow it.
   */
  readonly canMuteEventfd: boolean;

  /** Both rings' indexes, flags and the CQEs. Reads as an empty ring after `close`. */
  readonly ringMemory: ArrayBuffer;
  /** `sqEntries` SQEs of 64 bytes; slot i is submitted for every tail with `tail & (sqEntries - 1) === i`. */
  readonly sqeMemory: ArrayBuffer;
  /** Byte offsets of 32-bit words in `ringMemory`. The kernel moves sqHead and cqTail, we sqTail and cqHead. */
  readonly sqHeadOffset: number;
  readonly sqTailOffset: number;
  /** SQ_TASKRUN, SQ_CQ_OVERFLOW. */
  readonly sqFlagsOffset: number;
  /** Invalid SQEs the kernel dropped: always 0. */
  readonly sqDroppedOffset: number;
  readonly cqHeadOffset: number;
  readonly cqTailOffset: number;
  /** CQ_EVENTFD_DISABLED, ours to write. */
  readonly cqFlagsOffset: number;
  /** Completions lost for want of memory. 0: those that do not fit the queue wait in the kernel and set SQ_CQ_OVERFLOW. */
  readonly cqOverflowOffset: number;
  /** `cqEntries` CQEs of 16 bytes. */
  readonly cqesOffset: number;

  /**
   * io_uring_enter(2), once.
   *
   * @param flags 0 or ENTER_GETEVENTS.
   * @returns How many SQEs were taken, or -errno. -EINTR, -EAGAIN and -EBUSY are for the caller to retry.
   */
  enter(toSubmit: number, minComplete: number, flags: number): number;
  /**
   * Submits, then posts all completions that are ready, without waiting. The one call of a turn.
   *
   * With nothing to submit it enters the kernel only when SQ_TASKRUN or SQ_CQ_OVERFLOW is set; otherwise it costs a
   * function call. When it returns, SQ_CQ_OVERFLOW means: read completions and call again. SQ_TASKRUN means
   * that new ones arrived meanwhile: call again before sleeping, the eventfd may be silent about them.
   *
   * @returns How many SQEs were taken, or -errno.
   */
  flush(toSubmit: number): number;
  /**
   * Submits and blocks the thread until `minComplete` completions can be read.
   *
   * `worker.terminate()` does not interrupt it: a thread that may be terminated passes a finite timeout.
   *
   * @param timeoutNs Relative, in nanoseconds; negative waits for ever.
   * @returns How many SQEs were taken, or -errno: -ETIME after the timeout, -EINTR after a signal.
   */
  wait(toSubmit: number, minComplete: number, timeoutNs: number): number;
  /**
   * Registers `count` fixed buffers of `sizeEach` bytes, one after the other from the start of `view`, whose
   * memory is then held until `unregisterBuffers` or `close`. One table at a time, else -EBUSY.
   *
   * @returns 0 or -errno; -ENOMEM is mostly RLIMIT_MEMLOCK.
   */
  registerBuffers(view: SharedView, count: number, sizeEach: number): number;
  /** Operations in flight on a fixed buffer go on: whoever submitted them keeps that memory. */
  unregisterBuffers(): number;
  /**
   * Registers a ring of provided buffers (IORING_REGISTER_PBUF_RING) for SQE_BUFFER_SELECT. `view` begins on
   * a page and has room for `entries` (a power of two) records of 16 bytes; it is held like fixed buffers, but the
   * buffers the records point to are the caller's to keep.
   *
   * @param group 0 to 63.
   */
  registerBufferGroup(view: SharedView, entries: number, group: number): number;
  unregisterBufferGroup(group: number): number;
  /**
   * Registers an empty table for direct descriptors (IORING_REGISTER_FILES2, sparse); one per ring, else -EBUSY.
   *
   * @param count Places, up to 2^20 and to RLIMIT_NOFILE, else -EMFILE.
   * @returns 0 or -errno: -EACCES before kernel 6.0, where the ring was not told that it may.
   */
  registerFiles(count: number): number;
  /**
   * Cancels everything in flight (IORING_REGISTER_SYNC_CANCEL), and waits up to `timeoutNs` for what is running
   * already. Completions are posted as usual, by the next `flush`.
   *
   * @returns How many were cancelled, or -errno: -ETIME after the timeout, -EINVAL before kernel 6.0.
   */
  syncCancelAll(timeoutNs: number): number;
  /**
   * Calls back from the event loop whenever the eventfd was signalled; it has been read by then. A wake-up does
   * not promise a completion. The loop stays alive until `unref` or `unwatch`. An exception of the callback
   * becomes an 'uncaughtException'.
   *
   * @returns 0; -EALREADY when there is a watch; -ENOSYS where there is no libuv.
   */
  watch(callback: () => void): number;
  unwatch(): number;
  ref(): number;
  unref(): number;
  /**
   * Cancels what is in flight, waits for it up to one second, and gives everything back. What was queued but not
   * submitted is dropped. Idempotent; the end of the thread does the same.
   */
  close(): void;
}

/** System calls that do not wait: what rings have no operation for, or not on every kernel. */
export interface SystemCalls {
  /**
   * getsockname(2), or getpeername(2) when `peer`.
   *
   * @returns The length of the address, which was cut when that is more than `out` has, or -errno.
   */
  socketName(fd: number, peer: boolean, out: ArrayBufferView): number;
  /** setsockopt(2) with an int or any other structure. @returns 0 or -errno. */
  setSocketOption(fd: number, level: number, name: number, value: number | ArrayBufferView): number;
  /** getsockopt(2). @returns The length written to `out` (4 for an int), or -errno. */
  getSocketOption(fd: number, level: number, name: number, out: ArrayBufferView): number;
  /** close(2), at once and whatever is in flight on it. @returns 0 or -errno; -EBUSY for a ring's own. */
  closeFd(fd: number): number;
  /** Whether `fd` is open (fcntl(2), F_GETFD). */
  validFd(fd: number): boolean;
  /** socket(2). @param type With SOCK_CLOEXEC, if that is wanted. @returns A descriptor, or -errno. */
  socketNow(domain: number, type: number): number;
  /** bind(2). @param address A sockaddr. @returns 0 or -errno. */
  bindNow(fd: number, address: ArrayBufferView): number;
  /** listen(2). @returns 0 or -errno. */
  listenNow(fd: number, backlog: number): number;
  /** pipe2(2), close-on-exec. @param out Gets both numbers, 8 bytes. @returns 0 or -errno. */
  pipeNow(out: ArrayBufferView): number;
  /** inotify_init1(2), close-on-exec and non-blocking. @returns A descriptor, or -errno. */
  inotifyOpen(): number;
  /** inotify_add_watch(2). @param path Without a NUL inside. @returns The number of the watch, or -errno. */
  inotifyAdd(fd: number, path: ArrayBufferView, mask: number): number;
  /** inotify_rm_watch(2). @returns 0 or -errno. */
  inotifyRemove(fd: number, watch: number): number;
}

export interface NativeBinding extends SystemCalls {
  createRing(options: RingOptions): NativeRing | SetupFailure;
  /** Address of the first byte, 0 for an empty or detached view. Valid while the memory is. */
  addressOf(view: ArrayBufferView): number;
  /** Every shared constant as the C compiler sees it. */
  layout(): Record<string, number>;
}
