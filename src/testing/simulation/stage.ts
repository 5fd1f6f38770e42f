/** What the scenes of a random program are made with: connections, senders, and readers that are killed. */
import { allSettled } from "../../coordinator/group/combine.ts";
import { type Operation, op } from "../../coordinator/operation.ts";
import { spawn } from "../../coordinator/task/spawn.ts";
import type { Descriptor } from "../../io/descriptor/descriptor.ts";
import { IoError } from "../../io/errno.ts";
import { allocate, type Bytes } from "../../io/memory/memory.ts";
import { accept } from "../../io/socket/accept.ts";
import { connect, listen } from "../../io/socket/net.ts";
import { sendAll } from "../../io/socket/send.ts";
import { shutdown } from "../../io/socket/shutdown.ts";
import type { Socket } from "../../io/socket/stream-socket.ts";
import { sleep } from "../../time/sleep.ts";
import type { Dice } from "./dice.ts";
import type { Simulation } from "./simulation.ts";
import { StreamModel } from "./stream-model.ts";
import { isWorldly } from "./worldly.ts";

/** Times that a buffer is filled by one stream, at most: byte by byte thousands of them say no more than some. */
const FILLS_MAX = 200;

/** What a scene is given: a part of the world that no other scene touches. */
export class Stage {
  readonly simulation: Simulation;
  readonly dice: Dice;
  readonly index: number;
  /** How much of a scene is played, up to 1. */
  private readonly length: number;

  constructor(simulation: Simulation, index: number, length: number) {
    this.simulation = simulation;
    this.dice = simulation.dice;
    this.index = index;
    this.length = length;
  }

  /** How many of something: in a program of full length from 1 to `most`. */
  count(most: number): number {
    return this.dice.between(1, Math.max(Math.min(2, most), Math.round(most * this.length)));
  }

  /** How many bytes: in a program of full length from 0 up to `most`, but not many times what a buffer holds. */
  size(most: number): number {
    const { bufferBytes } = this.simulation.runtime.kernel;
    return this.dice.next(Math.min(Math.ceil(most * this.length), bufferBytes * FILLS_MAX) + 1);
  }

  get port(): number {
    return 1000 + this.index;
  }

  /** Memory of either kind: that the kernel works on itself, or that is copied. */
  bytes(length: number): Bytes {
    return this.dice.chance(0.5) ? allocate(length) : new Uint8Array(length);
  }

  stream(): StreamModel {
    return new StreamModel(this.simulation, this.dice.next(256));
  }
}

/** A part of a program: it may fail, and be killed, and knows what must come out. */
export type Scene = (stage: Stage) => Operation<unknown>;

/** From one to `most` operations. */
export function several(stage: Stage, most: number, make: () => Operation<unknown>): Operation<unknown>[] {
  return Array.from({ length: stage.count(most) }, make);
}

/** All of them, to their ends: a kill of one is nothing to the others. */
export const together = op(function* together(operations: readonly Operation<unknown>[]) {
  for (const exit of yield* allSettled(operations)) {
    if (exit.status === "failed" && !isWorldly(exit.error)) throw exit.error;
  }
});

/** Errors that the world may give end a scene, and nothing else. */
export const tolerant = op(function* tolerant(scene: () => Operation<unknown>) {
  try {
    yield* scene();
  } catch (error) {
    if (!isWorldly(error)) throw error;
  }
});

/** Two ends of a connection, of either family. */
export const pair = op(function* pair(stage: Stage, unix: boolean) {
  const address = unix ? { path: `/socket-${stage.index}` } : { host: "127.0.0.1", port: stage.port };
  const { dice } = stage;
  const listener = yield* listen(address, { direct: dice.chance(0.3) });
  try {
    const near = yield* connect(address, { direct: dice.chance(0.3) });
    try {
      const far = yield* accept(listener);
      return { near, far };
    } catch (error) {
      near[Symbol.dispose]();
      throw error;
    }
  } finally {
    listener[Symbol.dispose]();
  }
});

/** Sends all of a model's bytes in messages, and says then that there are no more. */
export const sender = op(function* sender(stage: Stage, socket: Socket, model: StreamModel, total: number) {
  while (model.sent < total) {
    const bytes = stage.bytes(Math.min(stage.count(3000), total - model.sent));
    model.fill(bytes);
    yield* sendAll(socket, bytes);
    model.sent += bytes.length;
  }
  yield* shutdown(socket, "write");
});

/** Receives until the end, however often it is killed: a reader that comes after it goes on where it was. */
export const receiver = op(function* receiver(
  stage: Stage,
  socket: Descriptor,
  model: StreamModel,
  read: (into: Bytes) => Operation<number>,
) {
  for (let readers = 0; readers < 20; readers++) {
    const reader = spawn(receiveSome(stage, socket, model, read), { name: "reader", failure: "hold" });
    const killer = stage.dice.chance(0.3) ? spawn(killLater(reader, stage.dice.next(3000))) : null;
    const exit = yield* reader.settled();
    killer?.kill("no longer needed");
    if (exit.status === "done" && exit.value === "end") return;
    if (exit.status === "failed" && !isPassing(exit.error)) throw exit.error;
  }
});

/** Errors after which a stream is as it was. */
function isPassing(error: unknown): boolean {
  return (
    error instanceof IoError && ["EINTR", "EAGAIN", "ENOMEM", "ENOBUFS", "ECANCELED"].includes(error.code)
  );
}

export const killLater = op(function* killLater(
  victim: { kill(reason: unknown): unknown },
  milliseconds: number,
) {
  yield* sleep(milliseconds);
  victim.kill("a scene kills its reader");
});

const receiveSome = op(function* receiveSome(
  stage: Stage,
  socket: Descriptor,
  model: StreamModel,
  read: (into: Bytes) => Operation<number>,
) {
  for (let rounds = stage.count(30); rounds > 0; rounds--) {
    const into = stage.bytes(stage.count(3000));
    const count = yield* read(into);
    if (count === 0) {
      model.ended(socket);
      return "end";
    }
    model.received(into, count);
  }
  return "more";
});
