/** Scenes of random programs: files, and datagrams. */
import { op } from "../../coordinator/operation.ts";
import { spawn } from "../../coordinator/task/spawn.ts";
import { close } from "../../io/descriptor/close.ts";
import { open } from "../../io/file/open.ts";
import { writeFileAtomic } from "../../io/file/write-file.ts";
import type { AddressLike } from "../../io/socket/address.ts";
import { type Datagram, openDatagram } from "../../io/socket/datagram.ts";
import { read } from "../../io/stream/read.ts";
import { writeAll } from "../../io/stream/write.ts";
import { MailModel } from "./mail-model.ts";
import { killLater, type Scene, type Stage, several, together, tolerant } from "./stage.ts";

const BLOCK = 512;

/** Blocks of one file, written at their places by several tasks; the model knows what each may hold. */
export const blocks: Scene = op(function* blocks(stage: Stage) {
  const path = `/blocks-${stage.index}`;
  const allowed: Set<number>[] = Array.from({ length: stage.count(8) }, () => new Set([0]));
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
  const { dice } = stage;
  const file = yield* open(path, "w+");
  const writing = new Set<number>();
  let version = 0;
  const writer = op(function* writer() {
    for (let rounds = stage.count(6); rounds > 0; rounds--) {
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
export const saves: Scene = op(function* saves(stage: Stage) {
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
  for (let version = 1; version <= stage.count(5); version++) {
    allowed.add(version);
    yield* writeFileAtomic(path, new Uint8Array(BLOCK).fill(version));
    saved = true;
    allowed.clear();
    allowed.add(version);
  }
});

const MESSAGES_MAX = 40;

/** Datagrams that are sent and received by tasks that are killed: each comes once, whole, and none is lost. */
export const datagrams: Scene = op(function* datagrams(stage: Stage) {
  const { dice, port } = stage;
  const address = { host: "127.0.0.1", port };
  const far = yield* openDatagram(address);
  const near = yield* openDatagram(null, dice.chance(0.5) ? { connect: address } : {});
  try {
    const mail = new MailModel(stage.simulation, MESSAGES_MAX);
    yield* together(several(stage, 3, () => tolerant(() => mailer(stage, near, mail, address))));
    for (let rounds = stage.count(10); rounds > 0; rounds--) {
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
  for (let count = stage.size(12); count > 0 && mail.next < MESSAGES_MAX; count--) {
    const id = mail.next++;
    yield* socket.sendTo(mail.make(id, stage.dice.between(2, 40)), to);
    mail.confirmed.add(id);
  }
});

const mailReader = op(function* mailReader(stage: Stage, socket: Datagram, mail: MailModel) {
  for (let count = stage.count(10); count > 0; count--) {
    const into = stage.bytes(64);
    const { count: length, truncated } = yield* socket.receive(into, { timeout: 5000 });
    mail.came(into.subarray(0, length), truncated);
  }
});
