/** Scenes of random programs: streams, connections, servers. */

import { DeadlineError } from "../../coordinator/errors.ts";
import { all } from "../../coordinator/group/combine.ts";
import { type Group, group } from "../../coordinator/group/group.ts";
import { type Operation, op } from "../../coordinator/operation.ts";
import { defer, spawn } from "../../coordinator/task/spawn.ts";
import { close } from "../../io/descriptor/close.ts";
import type { Descriptor } from "../../io/descriptor/descriptor.ts";
import { openPipe } from "../../io/file/pipe.ts";
import { BufferRing } from "../../io/memory/buffer-ring.ts";
import { accept } from "../../io/socket/accept.ts";
import { connect, listen } from "../../io/socket/net.ts";
import { Receiver } from "../../io/socket/receiver.ts";
import { recv } from "../../io/socket/recv.ts";
import { sendAll } from "../../io/socket/send.ts";
import { serve } from "../../io/socket/serve.ts";
import type { Socket } from "../../io/socket/stream-socket.ts";
import { read } from "../../io/stream/read.ts";
import { writeAll } from "../../io/stream/write.ts";
import { select } from "../../sync/select.ts";
import { sleep } from "../../time/sleep.ts";
import {
  killLater,
  pair,
  receiver,
  type Scene,
  type Stage,
  sender,
  several,
  together,
  tolerant,
} from "./stage.ts";
import type { StreamModel } from "./stream-model.ts";
import { Blunder, isWorldly } from "./worldly.ts";

/** One connection, both ways at once, with readers that are killed. */
export const duplex: Scene = op(function* duplex(stage: Stage) {
  const { near, far } = yield* pair(stage, stage.dice.chance(0.5));
  try {
    const [there, back] = [stage.stream(), stage.stream()];
    yield* together([
      tolerant(() => sender(stage, near, there, stage.size(8000))),
      tolerant(() => receiver(stage, far, there, (into) => recv(far, into))),
      tolerant(() => sender(stage, far, back, stage.size(8000))),
      tolerant(() => receiver(stage, near, back, (into) => recv(near, into))),
    ]);
  } finally {
    near[Symbol.dispose]();
    yield* close(far);
  }
});

/** A server that sends back what it gets, and some clients. */
export const echo: Scene = op(function* echo(stage: Stage) {
  const options = { backlog: stage.dice.next(4), direct: stage.dice.chance(0.3) };
  const listener = yield* listen({ host: "127.0.0.1", port: stage.port }, options);
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
  const into = stage.bytes(stage.count(4000));
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
    const total = stage.size(4000);
    yield* all([
      sender(stage, socket, model, total),
      receiver(stage, socket, model, (into) => recv(socket, into)),
    ]);
    if (model.receivedCount > total) stage.simulation.fail("more came back than was sent");
  } finally {
    socket[Symbol.dispose]();
  }
});

/** Bytes through a pipe. */
export const pipe: Scene = op(function* pipe(stage: Stage) {
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

const pipeWriter = op(function* pipeWriter(stage: Stage, writer: Descriptor, model: StreamModel) {
  try {
    const total = stage.size(6000);
    while (model.sent < total) {
      const bytes = stage.bytes(Math.min(stage.count(2000), total - model.sent));
      model.fill(bytes);
      yield* writeAll(writer, bytes);
      model.sent += bytes.length;
    }
  } finally {
    writer[Symbol.dispose]();
  }
});

/** Receives that lose to each other and to a timer: what they got is the next one's. */
export const selects: Scene = op(function* selects(stage: Stage) {
  const { dice } = stage;
  const { near, far } = yield* pair(stage, true);
  try {
    yield* group(function* (g: Group) {
      const models = [stage.stream(), stage.stream()] as const;
      g.spawn(tolerant(() => sender(stage, near, models[0], stage.size(3000))));
      g.spawn(tolerant(() => sender(stage, far, models[1], stage.size(3000))));
      const over = [false, false];
      const ends = [far, near] as const;
      const most = stage.count(60);
      for (let rounds = 0; rounds < most && !(over[0] && over[1]); rounds++) {
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
export const timeouts: Scene = op(function* timeouts(stage: Stage) {
  const { near, far } = yield* pair(stage, stage.dice.chance(0.5));
  const { runtime } = stage.simulation;
  try {
    for (let rounds = stage.count(4); rounds > 0; rounds--) {
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

/** Connections that are made and given up, by tasks that are killed meanwhile. */
export const storm: Scene = op(function* storm(stage: Stage) {
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

/** Receives into buffers of the kernel's own choice, by readers that are killed. */
export const buffered: Scene = op(function* buffered(stage: Stage) {
  const { dice } = stage;
  const ring = new BufferRing({ size: dice.between(1, 300), count: dice.pick([1, 2, 8]) });
  const { near, far } = yield* pair(stage, dice.chance(0.5));
  try {
    const ahead = new Receiver(far, ring, { held: dice.between(1, 8) });
    const model = stage.stream();
    yield* together([
      tolerant(() => sender(stage, near, model, stage.size(3000))),
      tolerant(() => receiver(stage, far, model, (into) => ahead.read(into))),
    ]);
  } finally {
    near[Symbol.dispose]();
    yield* close(far);
  }
});

/** Clean-up that says goodbye: it waits, and no kill cuts it short. */
export const goodbyes: Scene = op(function* goodbyes(stage: Stage) {
  const { dice } = stage;
  const { near, far } = yield* pair(stage, dice.chance(0.5));
  try {
    spawn(tolerant(() => swallow(stage, far)));
    for (let rounds = stage.count(3); rounds > 0; rounds--) {
      const count = { begun: 0, over: 0 };
      const speaker = spawn(
        tolerant(() => speak(stage, near, count)),
        { failure: "hold" },
      );
      spawn(killLater(speaker, dice.next(2000)));
      if (dice.chance(0.5)) spawn(killLater(speaker, dice.next(2000)));
      yield* speaker.settled();
      if (count.begun !== count.over) stage.simulation.fail("a clean-up did not come to its end");
    }
  } finally {
    near[Symbol.dispose]();
    far[Symbol.dispose]();
  }
});

/** Tasks whose code is wrong in the ways that code is: what they throw is told, and what they hold is given back. */
export const clumsy: Scene = op(function* clumsy(stage: Stage) {
  const { dice } = stage;
  const { near, far } = yield* pair(stage, dice.chance(0.5));
  try {
    spawn(tolerant(() => swallow(stage, far)));
    for (let rounds = stage.count(4); rounds > 0; rounds--) {
      const blunder = dice.pick(BLUNDERS);
      const before = { waited: false };
      const task = spawn(blunder(stage, near, before), { failure: "hold" });
      if (dice.chance(0.8)) spawn(killLater(task, dice.next(2000)));
      const exit = yield* task.settled();
      if (exit.status === "failed" && !isWorldly(exit.error)) throw exit.error;
      // An error beats a kill: only a task that never ran has nothing to say.
      if (before.waited && exit.status !== "failed") stage.simulation.fail("what clean-up threw is lost");
    }
  } finally {
    near[Symbol.dispose]();
    far[Symbol.dispose]();
  }
});

type Clumsy = (stage: Stage, socket: Socket, before: { waited: boolean }) => Operation<unknown>;

const BLUNDERS: readonly Clumsy[] = [
  op(function* throwsInFinally(stage: Stage, socket: Socket, before) {
    try {
      before.waited = true;
      yield* recv(socket, stage.bytes(10));
    } finally {
      // biome-ignore lint/correctness/noUnsafeFinally: the blunder.
      throw new Blunder("in a finally");
    }
  }),
  op(function* waitsInFinally(stage: Stage, socket: Socket) {
    try {
      yield* recv(socket, stage.bytes(10));
    } finally {
      yield* sleep(stage.dice.next(100));
      yield* tolerant(() => sendAll(socket, stage.bytes(10), { timeout: 1000 }));
    }
  }),
  op(function* throwsAtOnce(stage: Stage, socket: Socket, before) {
    before.waited = true;
    spawn(tolerant(() => sendAll(socket, stage.bytes(100))));
    throw new Blunder("with a child at work");
  }),
  op(function* stays(stage: Stage, socket: Socket) {
    // Whoever goes on in a finally is not stopped by it: the next wait is met again.
    for (let rounds = 0; rounds < 3; rounds++) {
      try {
        yield* recv(socket, stage.bytes(10));
      } finally {
      }
    }
  }),
];

const swallow = op(function* swallow(stage: Stage, socket: Socket) {
  const into = stage.bytes(500);
  while ((yield* recv(socket, into)) > 0);
});

const speak = op(function* speak(stage: Stage, socket: Socket, count: { begun: number; over: number }) {
  count.begun++;
  defer(function* () {
    yield* tolerant(() => sendAll(socket, stage.bytes(10), { timeout: "1 second" }));
    yield* sleep(10);
    count.over++;
  });
  for (;;) {
    yield* sendAll(socket, stage.bytes(100));
    yield* sleep(stage.dice.next(500));
  }
});
