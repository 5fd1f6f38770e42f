/**
 * A stream of ours as a Node `Duplex`, so that what is written for Node's sockets runs over it: http, TLS, HTTP/2, and
 * any package that takes a stream. It behaves as a `net.Socket` does, in the order of its events too.
 * Source: conformance S16, S17.
 */
import { Duplex, type DuplexOptions } from "node:stream";
import { UsageError } from "../coordinator/errors.ts";
import { describeValue, type Operation, op } from "../coordinator/operation.ts";
import type { Cooperator } from "../coordinator/scheduler/cooperator.ts";
import type { Signal } from "../coordinator/signal.ts";
import { whenEnded } from "../coordinator/task/join.ts";
import type { Spawner } from "../coordinator/task/spawn-ready.ts";
import type { Task } from "../coordinator/task/task.ts";
import { IoError } from "../io/errno.ts";
import type { Address } from "../io/socket/address.ts";
import { AnySocket } from "../io/socket/any-socket.ts";
import { Bridge, bridging, type Callback, destroyWhenKilled } from "./bridge.ts";
import type { Ends } from "./source.ts";

/** @internal */
export interface NodeOptions extends DuplexOptions {
  allowHalfOpen: boolean;
  readable: boolean;
  writable: boolean;
}

/** Node's own limit for timers. */
const TIMEOUT_MAX_MS = 0x7fff_ffff;

/** Addresses as Node writes them. */
interface NodeAddress {
  readonly address: string | undefined;
  readonly port: number | undefined;
  readonly family: string | undefined;
}

const NOWHERE: NodeAddress = { address: undefined, port: undefined, family: undefined };

/** A Node `Duplex` over a stream of ours; made by {@link toDuplex}. */
export class TaskDuplex extends Duplex {
  private readonly bridge: Bridge;
  private socket: AnySocket | null = null;
  private remote: NodeAddress | null = null;
  private local: NodeAddress | null = null;
  /** True until the stream that it waits for is there. */
  connecting: boolean;
  /** What {@link TaskDuplex.setTimeout} was given last. */
  timeout: number | undefined;

  /** @internal */
  constructor(options: NodeOptions, ends: Ends | null) {
    // "close" is emitted when the stream is closed. Text is encoded when it is its turn: what waits is counted in
    // characters then, as for Node's sockets.
    super({
      __proto__: null,
      ...options,
      emitClose: false,
      autoDestroy: true,
      decodeStrings: false,
    } as NodeOptions);
    this.bridge = new Bridge(this, ends, options.readable, options.writable);
    this.connecting = true;
    this.timeout = undefined;
    if (ends !== null) this.opened(ends);
    if (!options.allowHalfOpen) this.on("end", hearLastWords);
  }

  /** @internal */
  start(owner: Spawner | Cooperator, opening: Operation<unknown> | null): void {
    const { bridge } = this;
    // A stream that is there belongs to its task before anything else can happen.
    const start = opening === null ? "now" : "queued";
    const task = owner.spawn(bridging(bridge, opening), { start, name: "duplex" }) as Task;
    bridge.task = task;
    destroyWhenKilled(bridge, task);
    whenEnded(task, () => bridge.ended());
    // The peer's end, and its errors, are seen whether anybody reads or not.
    if (this.readable) this.read(0);
  }

  /**
   * Waits until it is closed, and its stream with it; gives the error it was destroyed with, or null. While a task
   * waits here an error needs no listener.
   */
  settled(): Operation<Error | null> {
    return settled(this, this.bridge.closed);
  }

  /** @internal The stream is there. */
  opened({ reader, writer }: Ends): void {
    this.connecting = false;
    if (reader instanceof AnySocket) this.socket = reader;
    else if (writer instanceof AnySocket) this.socket = writer;
  }

  override _read(): void {
    this.bridge.demand.ring();
  }

  override _write(chunk: Uint8Array | string, encoding: BufferEncoding, callback: Callback): void {
    this.bridge.write(typeof chunk === "string" ? Buffer.from(chunk, encoding) : chunk, callback);
  }

  override _writev(chunks: readonly Chunk[], callback: Callback): void {
    this.bridge.write(gather(chunks), callback);
  }

  override _final(callback: Callback): void {
    this.bridge.write(null, callback);
  }

  /** @internal */
  peerEnded(): void {
    this.bridge.holdEnd();
  }

  /** @internal Writes what comes between the end of this side and the word that it has ended; false when that is out. */
  lastWord(chunk: unknown, encoding: unknown, callback: Callback | undefined): boolean {
    const bytes = typeof chunk === "string" ? Buffer.from(chunk, encodingOf(encoding)) : chunk;
    return bytes instanceof Uint8Array && this.bridge.lastWord(bytes, callback ?? null);
  }

  override _destroy(error: Error | null, callback: Callback): void {
    this.connecting = false;
    this.bridge.stop();
    callback(error);
  }

  /** Ends it, and destroys it when all has been written: whatever the peer still sends is not read. */
  destroySoon(): void {
    this.bridge.leaving = true;
    if (this.writable) this.end();
    if (this.writableFinished) this.destroy();
    else this.once("finish", this.destroy);
  }

  /**
   * Emits `"timeout"` each time nothing has been read or written for so long; 0 is never. The duplex stays open.
   *
   * @param milliseconds At most 2^31 - 1, as for Node's timers.
   */
  setTimeout(milliseconds: number, callback?: () => void): this {
    if (!(milliseconds >= 0 && milliseconds < Number.POSITIVE_INFINITY)) {
      throw new UsageError(
        "COOP_DURATION",
        `a time-out is a number of milliseconds from 0 up, not ${describeValue(milliseconds)}`,
      );
    }
    if (callback !== undefined && typeof callback !== "function") {
      throw new UsageError(
        "COOP_NOT_A_CALLBACK",
        `setTimeout() calls a function, not ${describeValue(callback)}`,
      );
    }
    if (this.destroyed) return this;
    this.timeout = Math.min(milliseconds, TIMEOUT_MAX_MS);
    this.bridge.setTimeout(this.timeout);
    if (callback === undefined) return this;
    if (milliseconds === 0) this.off("timeout", callback);
    else this.once("timeout", callback);
    return this;
  }

  /** TCP_NODELAY. Nothing for what is no TCP socket. */
  setNoDelay(on = true): this {
    if (this.connecting) return this.once("connect", () => this.setNoDelay(on));
    this.setOption("noDelay", Boolean(on));
    return this;
  }

  /** SO_KEEPALIVE, and how long the silence is before the first question. Nothing for what is no TCP socket. */
  setKeepAlive(on = false, initialDelay = 0): this {
    if (this.connecting) return this.once("connect", () => this.setKeepAlive(on, initialDelay));
    this.setOption("keepAlive", Boolean(on));
    const seconds = Math.trunc(initialDelay / 1000);
    if (on && seconds > 0) this.setOption("keepAliveIdle", seconds);
    return this;
  }

  /** Does nothing: what keeps the process alive is the task that owns it. */
  ref(): this {
    return this;
  }

  /** Does nothing, see {@link TaskDuplex.ref}: it ends with its owner, whoever still uses it. */
  unref(): this {
    return this;
  }

  /** Bytes that were received. */
  get bytesRead(): number {
    return this.bridge.bytesRead;
  }

  /** Bytes that were sent. */
  get bytesWritten(): number {
    return this.bridge.sent;
  }

  get pending(): boolean {
    return this.connecting;
  }

  get remoteAddress(): string | undefined {
    return this.addressOf(true).address;
  }

  get remotePort(): number | undefined {
    return this.addressOf(true).port;
  }

  get remoteFamily(): string | undefined {
    return this.addressOf(true).family;
  }

  get localAddress(): string | undefined {
    return this.addressOf(false).address;
  }

  get localPort(): number | undefined {
    return this.addressOf(false).port;
  }

  get localFamily(): string | undefined {
    return this.addressOf(false).family;
  }

  /** The address its end is bound to. */
  address(): { address?: string; port?: number; family?: string } {
    const { address, port, family } = this.addressOf(false);
    return address === undefined || port === undefined || family === undefined
      ? {}
      : { address, port, family };
  }

  /** Asked for once: afterwards it is known when the socket is closed as well. */
  private addressOf(peer: boolean): NodeAddress {
    const known = peer ? this.remote : this.local;
    if (known !== null) return known;
    const { socket } = this;
    // A direct descriptor has no number to ask with.
    if (socket === null || socket.closed || socket.direct) return NOWHERE;
    const found = toNode(peer ? socket.remoteAddress : socket.localAddress);
    if (peer) this.remote = found;
    else this.local = found;
    return found;
  }

  private setOption(name: "noDelay" | "keepAlive" | "keepAliveIdle", value: boolean | number): void {
    const { socket } = this;
    if (socket === null || socket.closed || socket.direct) return;
    try {
      socket.setOption(name, value);
    } catch (error) {
      if (!(error instanceof IoError)) throw error;
    }
  }
}

interface Chunk {
  readonly chunk: Uint8Array | string;
  readonly encoding: BufferEncoding;
}

/** One write for all: a head and a body go out as one packet. */
function gather(chunks: readonly Chunk[]): Uint8Array {
  let length = 0;
  for (const { chunk, encoding } of chunks) length += Buffer.byteLength(chunk as string, encoding);
  const bytes = Buffer.allocUnsafe(length);
  let at = 0;
  for (const { chunk, encoding } of chunks) {
    if (typeof chunk === "string") at += bytes.write(chunk, at, encoding);
    else {
      bytes.set(chunk, at);
      at += chunk.length;
    }
  }
  return bytes;
}

function encodingOf(encoding: unknown): BufferEncoding {
  return typeof encoding === "string" ? (encoding as BufferEncoding) : "utf8";
}

function toNode(address: Address | null): NodeAddress {
  if (address === null || address.family === "unix") return NOWHERE;
  return {
    address: address.host,
    port: address.port,
    family: address.family === "ipv4" ? "IPv4" : "IPv6",
  };
}

/**
 * The peer has ended, and Node ends this side too, at once. A TLS layer still has its last word to say, which over a
 * net.Socket goes out below the stream: until the peer is told of the end, it is taken.
 */
function hearLastWords(this: TaskDuplex): void {
  this.peerEnded();
  this.write = function write(
    this: TaskDuplex,
    chunk: unknown,
    encoding?: unknown,
    callback?: unknown,
  ): boolean {
    if (!this.writableEnded) {
      return Duplex.prototype.write.call(this, chunk, encoding as BufferEncoding, callback as Callback);
    }
    const told = (typeof encoding === "function" ? encoding : callback) as Callback | undefined;
    if (this.destroyed || !this.lastWord(chunk, encoding, told)) refuse(this, told);
    return false;
  } as TaskDuplex["write"];
}

/** Whoever writes later is told that the connection is over. */
function refuse(duplex: TaskDuplex, callback: Callback | undefined): void {
  const error = Object.assign(new Error("This socket has been ended by the other party"), { code: "EPIPE" });
  if (typeof callback === "function") process.nextTick(callback, error);
  duplex.destroy(error);
}

const settled = op(function* settled(duplex: TaskDuplex, closed: Signal) {
  const listen = (): void => {};
  duplex.on("error", listen);
  try {
    yield* closed.wait();
  } finally {
    duplex.off("error", listen);
  }
  return duplex.errored;
});
