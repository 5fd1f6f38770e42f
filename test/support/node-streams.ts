/** Pairs of connected Node streams: of `node:net`, and of ours as duplexes. What is done with one is done with both. */
import { createServer, type Socket as NetSocket, connect as netConnect } from "node:net";
import type { Duplex } from "node:stream";
import { until } from "../../src/async/index.ts";
import { op } from "../../src/coordinator/index.ts";
import { type ToDuplexOptions, toDuplex } from "../../src/streams/index.ts";
import { runIo, tcpPair } from "./io.ts";

/** What a `net.Socket` and a `TaskDuplex` have in common. */
export interface NodeSocket extends Duplex {
  setTimeout(milliseconds: number, callback?: () => void): NodeSocket;
  setNoDelay(on?: boolean): NodeSocket;
  setKeepAlive(on?: boolean, initialDelay?: number): NodeSocket;
  ref(): NodeSocket;
  unref(): NodeSocket;
  destroySoon(): void;
}

export interface NodePair {
  readonly near: NodeSocket;
  readonly far: NodeSocket;
  /** Closes the far end with a reset. */
  readonly reset: () => void;
}

export interface NodePairOptions {
  readonly allowHalfOpen?: boolean;
  readonly highWaterMark?: number;
}

/** Resolves when all of them have emitted "close". */
export async function closed(...streams: Duplex[]): Promise<void> {
  const open = streams.filter((stream) => !ended.has(stream));
  await Promise.all(
    open.map((stream) => new Promise<void>((resolve) => stream.once("close", () => resolve()))),
  );
}

const ended = new WeakSet<Duplex>();

/** Must have been called for a stream that {@link closed} is to wait for. */
export function watch(stream: Duplex): void {
  stream.once("close", () => ended.add(stream));
}

/** Runs `scenario` with two ends of a TCP connection of `node:net`. */
export async function withNetPair(
  options: NodePairOptions,
  scenario: (pair: NodePair) => Promise<void>,
): Promise<void> {
  const server = createServer({ ...options, pauseOnConnect: false });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", () => resolve()));
  const address = server.address() as { port: number };
  const accepted = new Promise<NetSocket>((resolve) => server.once("connection", resolve));
  const near = netConnect({ port: address.port, host: "127.0.0.1", ...options });
  const far = await accepted;
  if (near.connecting) await new Promise((resolve) => near.once("connect", resolve));
  server.close();
  watch(near);
  watch(far);
  await scenario({ near, far, reset: () => far.resetAndDestroy() });
  near.destroy();
  far.destroy();
  await closed(near, far);
}

/** Likewise with two ends of one of ours, each as a duplex. */
export async function withOurPair(
  options: ToDuplexOptions,
  scenario: (pair: NodePair) => Promise<void>,
): Promise<void> {
  await runIo(
    op(function* () {
      const sockets = yield* tcpPair();
      const near = toDuplex(sockets.near, options);
      const far = toDuplex(sockets.far, options);
      watch(near);
      watch(far);
      const reset = (): void => {
        sockets.far.setOption("linger", 0);
        far.destroy();
      };
      yield* until(scenario({ near, far, reset }));
      near.destroy();
      far.destroy();
      yield* until(closed(near, far));
    }),
  );
}

/**
 * Writes down what happens to a stream, in order. Not "drain": a small write of `node:net` is often over inside the
 * call, one of ours never is, and so a writer that does not wait is asked to more often.
 */
export function record(stream: Duplex, log: string[]): void {
  for (const event of ["end", "finish", "timeout"]) stream.on(event, () => log.push(event));
  stream.on("error", (error: NodeJS.ErrnoException) => log.push(`error ${error.code ?? error.message}`));
  stream.on("close", (hadError: boolean) => log.push(`close ${hadError}`));
}
