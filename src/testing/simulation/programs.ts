/**
 * Random programs with io, each with a model of what must come out: a byte of a stream tells where it was, a block of
 * a file tells who has written it. They may be killed anywhere, and every operation may fail.
 */

import { all, allSettled } from "../../coordinator/combine.ts";
import { DeadlineError } from "../../coordinator/errors.ts";
import { type Group, group } from "../../coordinator/group.ts";
import { type Body, type Operation, op } from "../../coordinator/operation.ts";
import { spawn } from "../../coordinator/spawn.ts";
import { accept } from "../../io/accept.ts";
import type { AddressLike } from "../../io/address.ts";
import { BufferRing } from "../../io/buffer-ring.ts";
import { close } from "../../io/close.ts";
import { type Datagram, openDatagram } from "../../io/datagram.ts";
import type { Descriptor } from "../../io/descriptor.ts";
import { IoError } from "../../io/errno.ts";
import { openPipe } from "../../io/file/pipe.ts";
import { writeFileAtomic } from "../../io/file/write-file.ts";
import { allocate, type Bytes } from "../../io/memory.ts";
import { connect, listen } from "../../io/net.ts";
import { open } from "../../io/open.ts";
import { read } from "../../io/read.ts";
import { Receiver } from "../../io/receiver.ts";
import { recv } from "../../io/recv.ts";
import { sendAll } from "../../io/send.ts";
import { serve } from "../../io/serve.ts";
import { shutdown } from "../../io/shutdown.ts";
import type { Socket } from "../../io/stream-socket.ts";
import { writeAll } from "../../io/write.ts";
import { select } from "../../sync/select.ts";
import { sleep } from "../../time/sleep.ts";
import type { Dice } from "./dice.ts";
import { MailModel } from "./mail-model.ts";
import type { Simulation } from "./simulation.ts";
import { StreamModel } from "./stream-model.ts";
import { isWorldly } from "./worldly.ts";

/** A program of one to four scenes that go on at the same time. */
export function randomIoProgram(simulation: Simulation): Body<unknown> {
  const { dice } = simulation;
  const scenes = Array.from({ length: dice.between(1, 4) }, (_, index) =>
    dice.pick(SCENES)(new Stage(simulation, index)),
  );
  return function* () {
    yield* together(scenes.map((scene) => tolerant(scene)));
  };
}

/** What a scene is given: a part of the world that no other scene touches. */
class Stage {
  readonly simulation: Simulation;
  readonly dice: Dice;
  readonly index: number;

  constructor(simulation: Simulation, index: number) {
    this.simulation = simulation;
    this.dice = simulation.dice;
    this.index = index;
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

/** From one to `most` operations. */
function several(stage: Stage, most: number, make: () => Operation<unknown>): Operation<unknown>[] {
  return Array.from({ length: stage.dice.between(1, most) }, make);
}

/** All of them, to their ends: a kill of one is nothing to the others. */
const together = op(function* together(operations: readonly Operation<unknown>[]) {
  for (const exit of yield* allSettled(operations)) {
    if (exit.status === "failed" && !isWorldly(exit.error)) throw exit.error;
  }
});

type Scene = (stage: Stage) => () => Operation<unknown>;

/** Errors that the world may give end a scene, and nothing else. */
const tolerant = op(function* tolerant(scene: () => Operation<unknown>) {
  try {
    yield* scene();
  } catch (error) {
    if (!isWorldly(error)) throw error;
  }
});

/** Two ends of a connection, of either family. */
const pair = op(function* pair(stage: Stage, unix: boolean) {
  const address = unix ? { path: `/socket-${stage.index}` } : { host: "127.0.0.1", port: stage.port };
  const listener = yield* listen(address);
  try {
    const near = yield* connect(address);
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
const sender = op(function* sender(stage: Stage, socket: Socket, model: StreamModel, total: number) {
  while (model.sent < total) {
    const bytes = stage.bytes(Math.min(stage.dice.between(1, 3000), total - model.sent));
    model.fill(bytes);
    yield* sendAll(socket, bytes);
    model.sent += bytes.length;
  }
  yield* shutdown(socket, "write");
});

/** Receives until the end, however often it is killed: a reader that comes after it goes on where it was. */
const receiver = op(function* receiver(
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

const killLater = op(function* killLater(victim: { kill(reason: unknown): unknown }, milliseconds: number) {
  yield* sleep(milliseconds);
  victim.kill("a scene kills its reader");
});

const receiveSome = op(function* receiveSome(
  stage: Stage,
  socket: Descriptor,
  model: StreamModel,
  read: (into: Bytes) => Operation<number>,
) {
  for (let rounds = stage.dice.between(1, 30); rounds > 0; rounds--) {
    const into = stage.bytes(stage.dice.between(1, 3000));
    const count = yield* read(into);
    if (count === 0) {
      model.ended(socket);
      return "end";
    }
    model.received(into, count);
  }
  return "more";
});

/** One connection, both ways at once, with readers that are killed. */
const duplex: Scene = (stage) => () => duplexScene(stage);
const duplexScene = op(function* duplexScene(stage: Stage) {
  const { near, far } = yield* pair(stage, stage.dice.chance(0.5));
  try {
    const [there, back] = [stage.stream(), stage.stream()];
    yield* together([
      tolerant(() => sender(stage, near, there, stage.dice.next(8000))),
      tolerant(() => receiver(stage, far, there, (into) => recv(far, into))),
      tolerant(() => sender(stage, far, back, stage.dice.next(8000))),
      tolerant(() => receiver(stage, near, back, (into) => recv(near, into))),
    ]);
  } finally {
    near[Symbol.dispose]();
    yield* close(far);
  }
});

/** A server that sends back what it gets, and some clients. */
const echo: Scene = (stage) => () => echoScene(stage);
const echoScene = op(function* echoScene(stage: Stage) {
  const listener = yield* listen({ host: "127.0.0.1", port: stage.port }, { backlog: stage.dice.next(4) });
  try {
    yield* group(function* (g: Group) {
      const server = g.spawn(
        tolerant(() => serve(listener, (socket) => echoSession(stage, socket), { connections: 3 })),
      );
      yield* together(several(stage, 5, () => tolerant(() => echoClient(stage))));
      server.kill("no more clients");
    });
  } finally {
    listener[Symbol.dispose]();
  }
});

const echoSession = op(function* echoSession(stage: Stage, socket: Socket) {
  const into = stage.bytes(stage.dice.between(1, 4000));
  for (;;) {
    const count = yield* recv(socket, into);
    if (count === 0) return;
    yield* sendAll(socket, into.subarray(0, count));
  }
});

const echoClient = op(function* echoClient(stage: Stage) {
  const socket = yield* connect({ host: "127.0.0.1", port: stage.port }, { timeout: "60 seconds" });
  try {
    const model = stage.stream();
    const total = stage.dice.next(4000);
    yield* all([
      sender(stage, socket, model, total),
      receiver(stage, socket, model, (into) => recv(socket, into)),
    ]);
    if (model.receivedCount > total) stage.simulation.fail("more came back than was sent");
  } finally {
    socket[Symbol.dispose]();
  }
});

const pipeWriter = op(function* pipeWriter(stage: Stage, writer: Descriptor, model: StreamModel) {
  try {
    const total = stage.dice.next(6000);
    while (model.sent < total) {
      const bytes = stage.bytes(Math.min(stage.dice.between(1, 2000), total - model.sent));
      model.fill(bytes);
      yield* writeAll(writer, bytes);
      model.sent += bytes.length;
    }
  } finally {
    writer[Symbol.dispose]();
  }
});

/** Bytes through a pipe. */
const pipe: Scene = (stage) => () => pipeScene(stage);
const pipeScene = op(function* pipeScene(stage: Stage) {
  const { reader, writer } = yield* openPipe();
  try {
    const model = stage.stream();
    yield* together([
      tolerant(() => pipeWriter(stage, writer, model)),
      tolerant(() => receiver(stage, reader, model, (into) => read(reader, into))),
    ]);
  } finally {
    writer[Symbol.dispose]();
    reader[Symbol.dispose]();
  }
});

const BLOCK = 512;

/** Blocks of one file, written at their places by several tasks; the model knows what each may hold. */
const blocks: Scene = (stage) => {
  const path = `/blocks-${stage.index}`;
  const allowed: Set<number>[] = Array.from({ length: stage.dice.between(1, 8) }, () => new Set([0]));
  stage.simulation.atRest(() => {
    const content = stage.simulation.runtime.kernel.files.read(path) ?? new Uint8Array(0);
    allowed.forEach((versions, block) => {
      for (const byte of content.subarray(block * BLOCK, (block + 1) * BLOCK)) {
        if (!versions.has(byte))
          stage.simulation.fail(`block ${block} holds ${byte}, not one of ${[...versions]}`);
      }
      const only = [...versions];
      if (only.length === 1 && only[0] !== 0 && content.length < (block + 1) * BLOCK) {
        stage.simulation.fail(`block ${block} was written and is not there`);
      }
    });
  });
  return () => blocksScene(stage, path, allowed);
};

const blocksScene = op(function* blocksScene(stage: Stage, path: string, allowed: readonly Set<number>[]) {
  const { dice } = stage;
  const file = yield* open(path, "w+");
  const writing = new Set<number>();
  let version = 0;
  const writer = op(function* writer() {
    for (let rounds = dice.between(1, 6); rounds > 0; rounds--) {
      const block = dice.next(allowed.length);
      if (writing.has(block)) continue;
      writing.add(block);
      try {
        version = (version % 255) + 1;
        const mine = version;
        allowed[block]!.add(mine);
        yield* writeAll(file, stage.bytes(BLOCK).fill(mine), { position: block * BLOCK });
        allowed[block]!.clear();
        allowed[block]!.add(mine);
        const into = stage.bytes(BLOCK);
        const count = yield* read(file, into, { position: block * BLOCK });
        if (count === 0 || into.subarray(0, count).some((byte) => byte !== mine)) {
          stage.simulation.fail(`block ${block} does not read as it was written`);
        }
      } finally {
        writing.delete(block);
      }
    }
  });
  try {
    yield* together(several(stage, 5, () => tolerant(writer)));
  } finally {
    yield* close(file);
  }
});

/** A file that is replaced again and again: it is always one of the versions, whole. */
const saves: Scene = (stage) => {
  const path = `/saved-${stage.index}`;
  const allowed = new Set<number>();
  let saved = false;
  stage.simulation.atRest(() => {
    const content = stage.simulation.runtime.kernel.files.read(path);
    if (content === null) {
      if (saved) stage.simulation.fail("what was saved is not there");
      return;
    }
    const version = content[0]!;
    if (content.length !== BLOCK || content.some((byte) => byte !== version) || !allowed.has(version)) {
      stage.simulation.fail(`the saved file has ${content.length} bytes and begins with ${version}`);
    }
  });
  return op(function* savesScene() {
    for (let version = 1; version <= stage.dice.between(1, 5); version++) {
      allowed.add(version);
      yield* writeFileAtomic(path, new Uint8Array(BLOCK).fill(version));
      saved = true;
      allowed.clear();
      allowed.add(version);
    }
  });
};

/** Receives that lose to each other and to a timer: what they got is the next one's. */
const selects: Scene = (stage) => () => selectsScene(stage);
const selectsScene = op(function* selectsScene(stage: Stage) {
  const { dice } = stage;
  const { near, far } = yield* pair(stage, true);
  try {
    yield* group(function* (g: Group) {
      const models = [stage.stream(), stage.stream()] as const;
      g.spawn(tolerant(() => sender(stage, near, models[0], dice.next(3000))));
      g.spawn(tolerant(() => sender(stage, far, models[1], dice.next(3000))));
      const over = [false, false];
      const ends = [far, near] as const;
      for (let rounds = 0; rounds < 60 && !(over[0] && over[1]); rounds++) {
        const buffers = [stage.bytes(200), stage.bytes(200)] as const;
        const arms: Record<string, Operation<unknown>> = { pause: sleep(dice.between(1, 2000)) };
        for (const i of [0, 1] as const) if (!over[i]) arms[i] = recv(ends[i], buffers[i]);
        const won = yield* select(arms);
        if (won.key === "pause") continue;
        const i = Number(won.key) as 0 | 1;
        if (won.value === 0) {
          over[i] = true;
          models[i].ended(ends[i]);
        } else models[i].received(buffers[i], won.value as number);
      }
    });
  } finally {
    near[Symbol.dispose]();
    far[Symbol.dispose]();
  }
});

/** Nobody answers: every receive ends at its time, and not before. */
const timeouts: Scene = (stage) => () => timeoutsScene(stage);
const timeoutsScene = op(function* timeoutsScene(stage: Stage) {
  const { near, far } = yield* pair(stage, stage.dice.chance(0.5));
  const { runtime } = stage.simulation;
  try {
    for (let rounds = stage.dice.between(1, 4); rounds > 0; rounds--) {
      const limit = stage.dice.between(1, 500);
      const since = runtime.now;
      try {
        yield* recv(near, stage.bytes(8), { timeout: limit });
        stage.simulation.fail("a receive from a silent peer has succeeded");
      } catch (error) {
        if (!(error instanceof DeadlineError)) throw error;
        if (runtime.now < since + limit) stage.simulation.fail("a timeout came too early");
      }
    }
  } finally {
    near[Symbol.dispose]();
    far[Symbol.dispose]();
  }
});

/** Connects, and may be killed while it does. */
const fickle = op(function* fickle(stage: Stage) {
  const { dice, port } = stage;
  const attempt = spawn(
    op(function* attempt() {
      const socket = yield* connect({ host: "127.0.0.1", port }, { timeout: dice.between(1, 5000) });
      yield* close(socket);
    }),
    { failure: "hold" },
  );
  if (dice.chance(0.5)) spawn(killLater(attempt, dice.next(3000)));
  const exit = yield* attempt.settled();
  if (exit.status === "failed" && !isWorldly(exit.error)) throw exit.error;
});

/** Connections that are made and given up, by tasks that are killed meanwhile. */
const storm: Scene = (stage) => () => stormScene(stage);
const stormScene = op(function* stormScene(stage: Stage) {
  const { dice } = stage;
  const address = { host: "127.0.0.1", port: stage.port };
  const listener = yield* listen(address, { backlog: dice.next(3) });
  try {
    yield* group(function* (g: Group) {
      const acceptor = g.spawn(
        tolerant(
          op(function* acceptor() {
            for (;;) (yield* accept(listener))[Symbol.dispose]();
          }),
        ),
      );
      yield* together(several(stage, 8, () => fickle(stage)));
      acceptor.kill("no more clients");
    });
  } finally {
    listener[Symbol.dispose]();
  }
});

/** Receives into buffers of the kernel's own choice, by readers that are killed. */
const buffered: Scene = (stage) => () => bufferedScene(stage);
const bufferedScene = op(function* bufferedScene(stage: Stage) {
  const { dice } = stage;
  const ring = new BufferRing({ size: dice.between(1, 300), count: dice.pick([1, 2, 8]) });
  const { near, far } = yield* pair(stage, dice.chance(0.5));
  try {
    const ahead = new Receiver(far, ring, { held: dice.between(1, 8) });
    const model = stage.stream();
    yield* together([
      tolerant(() => sender(stage, near, model, dice.next(3000))),
      tolerant(() => receiver(stage, far, model, (into) => ahead.read(into))),
    ]);
  } finally {
    near[Symbol.dispose]();
    yield* close(far);
  }
});

const MESSAGES_MAX = 40;

/** Datagrams that are sent and received by tasks that are killed: each comes once, whole, and none is lost. */
const datagrams: Scene = (stage) => () => datagramsScene(stage);
const datagramsScene = op(function* datagramsScene(stage: Stage) {
  const { dice, port } = stage;
  const address = { host: "127.0.0.1", port };
  const far = yield* openDatagram(address);
  const near = yield* openDatagram(null, dice.chance(0.5) ? { connect: address } : {});
  try {
    const mail = new MailModel(stage.simulation, MESSAGES_MAX);
    yield* together(several(stage, 3, () => tolerant(() => mailer(stage, near, mail, address))));
    for (let rounds = 0; rounds < 10; rounds++) {
      const reader = spawn(mailReader(stage, far, mail), { failure: "hold" });
      if (dice.chance(0.5)) spawn(killLater(reader, dice.next(3000)));
      yield* reader.settled();
    }
    // What was sent is there: in the end all of it has come, or waits to be received.
    const { file, kept } = mail.left(far);
    if (mail.received.size + file + kept < mail.confirmed.size) {
      stage.simulation.fail(
        `${mail.confirmed.size} datagrams were sent, ${mail.received.size} received, ${file + kept} are left`,
      );
    }
  } finally {
    near[Symbol.dispose]();
    far[Symbol.dispose]();
  }
});

const mailer = op(function* mailer(stage: Stage, socket: Datagram, mail: MailModel, to: AddressLike) {
  for (let count = stage.dice.next(12); count > 0 && mail.next < MESSAGES_MAX; count--) {
    const id = mail.next++;
    yield* socket.sendTo(mail.make(id, stage.dice.between(2, 40)), to);
    mail.confirmed.add(id);
  }
});

const mailReader = op(function* mailReader(stage: Stage, socket: Datagram, mail: MailModel) {
  for (let count = stage.dice.between(1, 10); count > 0; count--) {
    const into = stage.bytes(64);
    const { count: length, truncated } = yield* socket.receive(into, { timeout: 5000 });
    mail.came(into.subarray(0, length), truncated);
  }
});

const SCENES: readonly Scene[] = [
  duplex,
  echo,
  pipe,
  blocks,
  saves,
  selects,
  timeouts,
  storm,
  buffered,
  datagrams,
];
