/** Direct descriptors on the simulated kernel: late results, faults, kills at every step. */
import { expect, test } from "vitest";
import { op, spawn } from "../../src/coordinator/index.ts";
import {
  accept,
  close,
  connect,
  listen,
  makeDirect,
  makeOrdinary,
  open,
  recv,
  type Socket,
  sendAll,
  serve,
  socket,
  writeAll,
} from "../../src/io/index.ts";
import { sleep } from "../../src/time/sleep.ts";
import { failureOf, pattern } from "../support/io.ts";
import { killAtEveryStep, underSeeds } from "../support/simulated.ts";

const SEEDS = 40;
const DIRECT = { direct: true } as const;
const FAULTS = [
  {},
  { lateCancel: 0.5, cancelFirst: 0.5, multishotEnd: 0.3 },
  { exhausted: 0.1, enterFailure: 0.3 },
];

let ports = 5000;

const answer = op(function* (peer: Socket) {
  const into = Buffer.alloc(16);
  const count = yield* recv(peer, into);
  yield* sendAll(peer, into.subarray(0, count));
});

/** A server and clients, all direct, and one that changes sides. */
const program = op(function* () {
  const address = { host: "127.0.0.1", port: ports++ };
  const listener = yield* listen(address, DIRECT);
  const server = spawn(
    serve(listener, (peer) => answer(peer), { onError: () => {} }),
    { failure: "hold" },
  );
  const clients = [true, false].map((direct) =>
    spawn(
      function* () {
        using client = yield* connect(address, { direct });
        yield* sendAll(client, Buffer.from("hello"));
        if (direct) yield* makeOrdinary(client);
        else yield* makeDirect(client);
        const into = Buffer.alloc(16);
        yield* recv(client, into);
      },
      { failure: "hold" },
    ),
  );
  for (const client of clients) yield* client.settled();
  yield* server.killAndWait("enough");
  yield* close(listener);
});

test.each(FAULTS)("P15, R11 a kill before every step leaves no place taken (%j)", (faults) => {
  for (const seed of [1, 2]) {
    const runs = killAtEveryStep({ seed, delay: 3, faults }, () => program());
    expect(runs).toBeGreaterThan(20);
  }
});

test("P15, R11 whatever is opened for a task that is gone is closed", () => {
  for (const lateCancel of [0, 0.5, 1]) {
    underSeeds(SEEDS, { faults: { lateCancel, cancelFirst: 0.5 }, delay: 10 }, () =>
      op(function* () {
        const address = { host: "127.0.0.1", port: ports++ };
        const listener = yield* listen(address, DIRECT);
        const made = yield* socket("ipv4", "stream", DIRECT);
        const tasks = [
          () => accept(listener),
          () => connect(address, DIRECT),
          () => open("/file", "w", DIRECT),
          () => socket("unix", "stream", DIRECT),
          () => makeOrdinary(made),
        ].map((operation) => spawn(operation as () => ReturnType<typeof accept>, { failure: "hold" }));
        yield* sleep(5);
        for (const task of tasks) task.kill("too late");
        for (const task of tasks) {
          const exit = yield* task.settled();
          if (exit.status === "done" && exit.value !== undefined) yield* close(exit.value);
        }
        for (const each of [made, listener]) yield* close(each);
      })(),
    );
  }
});

test("R11 no operation meets another file than the one it was begun on, though places are used again at once", () => {
  underSeeds(SEEDS, { delay: 5 }, (runtime) =>
    op(function* () {
      for (let i = 0; i < 10; i++) {
        const path = `/file-${i}`;
        const file = yield* open(path, "w", DIRECT);
        const writing = spawn(writeAll(file, pattern(100, i)), { failure: "hold", start: "now" });
        if (i % 2 === 0) yield* sleep(3);
        file[Symbol.dispose]();
        const next = yield* open(`/other-${i}`, "w", DIRECT);
        yield* writing.settled();
        yield* close(next);
        const other = runtime.kernel.files.find("/", `/other-${i}`);
        expect(other!.size).toBe(0);
      }
      expect(yield* failureOf(() => open("/none/at/all", "r", DIRECT))).toMatchObject({ code: "ENOENT" });
    })(),
  );
});

test("R11 a close ends what is in flight on a place, and nothing on the descriptor of the same number", () => {
  underSeeds(SEEDS, { delay: 5, faults: { cancelFirst: 0.5 } }, (runtime) =>
    op(function* () {
      const pairs: { readonly near: Socket; readonly far: Socket; readonly direct: boolean }[] = [];
      for (let i = 0; i < 10; i++) {
        const address = { host: "127.0.0.1", port: ports++ };
        const direct = i < 5;
        const listener = yield* listen(address, { direct });
        const near = yield* connect(address, { direct });
        pairs.push({ near, far: yield* accept(listener), direct });
        yield* close(listener);
      }
      const readers = pairs.map(({ far }) => spawn(recv(far, Buffer.alloc(1)), { failure: "hold" }));
      yield* sleep(50);
      for (const { far, direct } of pairs) if (direct) yield* close(far);
      yield* sleep(200);
      expect(runtime.driver.inflight).toBe(5);
      for (const [i, { near, far, direct }] of pairs.entries()) {
        if (direct) expect(yield* failureOf(readers[i]!.join())).toMatchObject({ code: "COOP_CLOSED" });
        else {
          yield* sendAll(near, Buffer.from("x"));
          expect(yield* readers[i]!.join()).toBe(1);
        }
        for (const each of [near, far]) yield* close(each);
      }
    })(),
  );
});

test("R11 nothing is moved under what is in flight on it", () => {
  underSeeds(SEEDS, { delay: 5 }, () =>
    op(function* () {
      const address = { host: "127.0.0.1", port: ports++ };
      const listener = yield* listen(address, DIRECT);
      const near = yield* connect(address);
      const far = yield* accept(listener);
      for (const [socket, move] of [
        [near, makeDirect],
        [far, makeOrdinary],
      ] as const) {
        const reader = spawn(recv(socket, Buffer.alloc(1)), { failure: "hold" });
        yield* sleep(20);
        const { direct } = socket;
        expect(yield* failureOf(move(socket))).toMatchObject({ code: "COOP_DESCRIPTOR" });
        expect(socket.direct).toBe(direct);
        yield* reader.killAndWait("enough");
        yield* move(socket);
        expect(socket.direct).toBe(!direct);
      }
      for (const each of [near, far, listener]) yield* close(each);
    })(),
  );
});
