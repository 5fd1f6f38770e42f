/** Listening, accepting ahead, serving, and connecting to names. */
import { closeSync, openSync } from "node:fs";
import { describe, expect, test } from "vitest";
import {
  ClosedError,
  type CoopError,
  op,
  type Report,
  spawn,
  yieldNow,
} from "../../src/coordinator/index.ts";
import {
  Acceptor,
  close,
  connect,
  connectSocket,
  type Handler,
  IoError,
  type Listener,
  listen,
  type Socket,
  serve,
  socket,
} from "../../src/io/index.ts";
import {
  abstractName,
  expectError,
  failureOf,
  ioCounts,
  nodeTurn,
  runIo,
  stop,
  submitted,
  until,
} from "../support/io.ts";

const text = op(function* (from: Socket) {
  const bytes = Buffer.alloc(64);
  return bytes.toString("utf8", 0, yield* from.recv(bytes));
});

const connectMany = op(function* (listener: Listener, count: number) {
  const sockets: Socket[] = [];
  for (let i = 0; i < count; i++) sockets.push(yield* connect(listener.localAddress!));
  return sockets;
});

describe("P12 multishot accept", () => {
  test("an error is told to every task that waits for a connection", async () => {
    await runIo(function* () {
      // Not listening: that is an error each time.
      const made = yield* socket("ipv4");
      const acceptor = new Acceptor(made);
      const tasks = [1, 2, 3].map(() => spawn(failureOf(() => acceptor.next())));
      for (const task of tasks)
        expect(yield* task.join()).toMatchObject({ code: "EINVAL", syscall: "accept" });
      yield* close(made);
    });
  });

  test("P12 one submission gives many connections, in the order they came in", async () => {
    await runIo(function* () {
      using listener = yield* listen({ path: abstractName() });
      using acceptor = listener.acceptAll();
      const near = yield* connectMany(listener, 20);
      for (let i = 0; i < 20; i++) {
        using far = yield* acceptor.next();
        yield* far.sendAll(Buffer.from(String(i)));
        expect(yield* text(near[i])).toBe(String(i));
      }
      expect(acceptor.statistics()).toEqual({ accepted: 20, claimed: 20, unclaimed: 0, shed: 0, armed: 1 });
    });
  });

  test("P12 is armed again when the kernel has ended it, and no connection is lost", async () => {
    await runIo(
      function* () {
        using listener = yield* listen({ path: abstractName() });
        using acceptor = listener.acceptAll({ unclaimed: 1000 });
        const waiting = spawn(acceptor.next());
        yield* submitted();
        // Far more completions than the queue has room for: the kernel then ends what has several.
        const near = yield* connectMany(listener, 200);
        (yield* waiting.join())[Symbol.dispose]();
        for (let i = 1; i < near.length; i++) (yield* acceptor.next())[Symbol.dispose]();
        expect(acceptor.statistics()).toMatchObject({ accepted: 200, claimed: 200, unclaimed: 0 });
      },
      { ring: { sqEntries: 8, cqEntries: 8 } },
    );
  });

  test("P12 stops at the bound, and goes on when there is room", async () => {
    await runIo(function* () {
      using listener = yield* listen({ path: abstractName() });
      using acceptor = listener.acceptAll({ unclaimed: 4 });
      const waiting = spawn(acceptor.next());
      yield* submitted();
      const near: Socket[] = [];
      for (let i = 0; i < 40; i++) {
        near.push(yield* connect(listener.localAddress!));
        yield* submitted();
      }
      yield* waiting.join();
      const { unclaimed, armed } = acceptor.statistics();
      expect(unclaimed).toBeGreaterThanOrEqual(4);
      expect(unclaimed).toBeLessThan(20);
      expect(armed).toBe(1);
      for (let i = 1; i < 40; i++) yield* acceptor.next();
      expect(acceptor.statistics()).toMatchObject({ claimed: 40, unclaimed: 0 });
      expect(acceptor.statistics().armed).toBeGreaterThan(1);
    });
  });

  test("P12 a connection that came for a task that was killed is the next one's", async () => {
    await runIo(function* () {
      using listener = yield* listen({ path: abstractName() });
      using acceptor = listener.acceptAll();
      const victim = spawn(acceptor.next(), { priority: 2 });
      yield* submitted();
      const near = yield* connect(listener.localAddress!);
      yield* until(() => victim.status === "ready");
      yield* stop(victim);
      expect(victim.exit).toMatchObject({ status: "killed" });
      const far = yield* acceptor.next();
      yield* near.sendAll(Buffer.from("kept"));
      expect(yield* text(far)).toBe("kept");
    });
  });

  test.each([0, 1, 2, 3, 4, 5, 6, 8, 10])(
    "P12 accepted under kills after %i turns: none is lost",
    async (turns) => {
      await runIo(function* () {
        using listener = yield* listen({ path: abstractName() });
        using acceptor = listener.acceptAll();
        let served = 0;
        const worker = op(function* () {
          for (;;) {
            using _ = yield* acceptor.next();
            served++;
          }
        });
        let task = spawn(worker());
        for (let i = 0; i < 30; i++) {
          yield* connect(listener.localAddress!);
          if (i % 3 !== 0) continue;
          for (let k = 0; k < turns; k++) yield* submitted();
          yield* stop(task);
          task = spawn(worker());
        }
        yield* until(() => served === 30);
        yield* stop(task);
        expect(acceptor.statistics()).toMatchObject({ accepted: 30, claimed: 30 });
      });
    },
  );
});

describe("S11 a listener is closed", () => {
  test("S11 connections nobody claimed are closed, and those that wait are told", async () => {
    await runIo(function* () {
      const listener = yield* listen({ path: abstractName() });
      const acceptor = listener.acceptAll();
      const first = spawn(acceptor.next());
      const near = yield* connectMany(listener, 5);
      const far = yield* first.join();
      yield* until(() => acceptor.statistics().unclaimed === 4);
      const before = ioCounts().descriptors;
      yield* close(listener);
      expectError(
        yield* failureOf(() => acceptor.next()),
        ClosedError,
        "COOP_CLOSED",
        /accept: socket .* is closed/,
      );
      expect(ioCounts().descriptors).toBe(before - 1);
      // Their peers read the end; the one that was claimed lives.
      for (const socket of near.slice(1)) {
        expect(yield* socket.recv(Buffer.alloc(1))).toBe(0);
      }
      yield* far.sendAll(Buffer.from("alive"));
      expect(yield* text(near[0])).toBe("alive");
    });
  });

  test("S11 tasks in accept get Closed, in both ways of accepting", async () => {
    await runIo(function* () {
      for (const ahead of [true, false]) {
        const listener = yield* listen({ path: abstractName() });
        const acceptor: Acceptor | null = ahead ? listener.acceptAll() : null;
        const waiting = [0, 1, 2].map(() =>
          spawn(acceptor === null ? listener.accept() : acceptor.next(), { failure: "hold" }),
        );
        yield* submitted();
        yield* close(listener);
        for (const task of waiting) {
          expect((yield* failureOf(task.join())).code).toBe("COOP_CLOSED");
        }
      }
    });
  });

  test("S11 an acceptor is left and the listener lives on", async () => {
    await runIo(function* () {
      using listener = yield* listen({ path: abstractName() });
      const acceptor = listener.acceptAll();
      const waiting = spawn(acceptor.next(), { failure: "hold" });
      yield* submitted();
      acceptor[Symbol.dispose]();
      acceptor[Symbol.dispose]();
      expect((yield* failureOf(waiting.join())).code).toBe("COOP_CLOSED");
      const accepting = spawn(listener.accept());
      yield* connect(listener.localAddress!);
      yield* accepting.join();
    });
  });
});

describe("X-39 no descriptor is left", () => {
  test("connections are shed until there is one again, and the acceptor goes on", async () => {
    await runIo(function* () {
      using listener = yield* listen({ path: abstractName() });
      using acceptor = listener.acceptAll();
      // Peers that have a descriptor already: their connections have none on this side.
      const peers: Socket[] = [];
      for (let i = 0; i < 4; i++) peers.push(yield* socket("unix"));
      const others: number[] = [];
      try {
        for (;;) others.push(openSync("/dev/null", "r"));
      } catch (error) {
        expect(error).toMatchObject({ code: "EMFILE" });
      }
      const waiting = spawn(acceptor.next());
      for (const peer of peers.slice(0, 3)) {
        yield* connectSocket(peer, listener.localAddress!);
        expect(yield* peer.recv(Buffer.alloc(1))).toBe(0);
      }
      expect(waiting.status).toBe("blocked");
      expect(acceptor.statistics()).toMatchObject({ accepted: 3, claimed: 0, shed: 3 });
      for (const number of others) closeSync(number);
      yield* connectSocket(peers[3], listener.localAddress!);
      using served = yield* waiting.join();
      yield* served.sendAll(Buffer.from("served"));
      expect(yield* text(peers[3])).toBe("served");
    });
  });
});

describe("S12 serve", () => {
  const greet = op(function* (socket: Socket) {
    const name = yield* text(socket);
    if (name === "bad") throw new Error("a bad name");
    yield* socket.sendAll(Buffer.from(`hello ${name}`));
  });

  test("S12 a handler that fails closes its connection, is told of once, and all others live", async () => {
    const reports: Report[] = [];
    await runIo(
      function* () {
        using listener = yield* listen({ path: abstractName() });
        const server = spawn(serve(listener, greet));
        const [a, b, c] = yield* connectMany(listener, 3);
        yield* b.sendAll(Buffer.from("bad"));
        expect(yield* text(b)).toBe("");
        yield* a.sendAll(Buffer.from("a"));
        expect(yield* text(a)).toBe("hello a");
        const d = yield* connect(listener.localAddress!);
        yield* d.sendAll(Buffer.from("d"));
        expect(yield* text(d)).toBe("hello d");
        yield* c.sendAll(Buffer.from("c"));
        expect(yield* text(c)).toBe("hello c");
        yield* stop(server);
        expect(reports.map(({ error }) => (error as Error).message)).toEqual(["a bad name"]);
      },
      { report: (report) => reports.push(report) },
    );
  });

  test("S12 failures go to the caller's function where there is one", async () => {
    await runIo(function* () {
      using listener = yield* listen({ path: abstractName() });
      const errors: string[] = [];
      const server = spawn(
        listener.serve(greet, { onError: (error, socket) => errors.push(`${error} ${socket.closed}`) }),
      );
      const socket = yield* connect(listener.localAddress!);
      yield* socket.sendAll(Buffer.from("bad"));
      expect(yield* text(socket)).toBe("");
      expect(errors).toEqual(["Error: a bad name false"]);
      yield* stop(server);
    });
  });

  test("S12 a handler that gives no operation is told so, and an async function is one", async () => {
    await runIo(function* () {
      using listener = yield* listen({ path: abstractName() });
      const told: unknown[] = [];
      let count = 0;
      const handler = (socket: Socket): unknown => {
        count++;
        return count === 1 ? 5 : count === 2 ? undefined : Promise.resolve(socket);
      };
      const onError = (error: unknown) => told.push((error as CoopError).code);
      const serving = spawn(serve(listener, handler as Handler, { onError }));
      for (let i = 0; i < 3; i++) {
        using near = yield* connect(listener.localAddress!);
        expect(yield* near.recv(Buffer.alloc(1))).toBe(0);
      }
      expect(told).toEqual(["COOP_NOT_AN_OPERATION", "COOP_NOT_AN_OPERATION"]);
      yield* stop(serving);
    });
  });

  test("S12 no more connections at a time than were asked for", async () => {
    await runIo(function* () {
      using listener = yield* listen({ path: abstractName() });
      let live = 0;
      let most = 0;
      const handler = op(function* (socket: Socket) {
        most = Math.max(most, ++live);
        try {
          yield* text(socket);
        } finally {
          live--;
        }
      });
      const server = spawn(serve(listener, handler, { connections: 3 }));
      const sockets = yield* connectMany(listener, 10);
      for (let i = 0; i < 20; i++) yield* nodeTurn();
      expect(live).toBe(3);
      for (const socket of sockets) {
        yield* socket.sendAll(Buffer.from("x"));
        expect(yield* text(socket)).toBe("");
      }
      expect(most).toBe(3);
      yield* stop(server);
      expect(live).toBe(0);
    });
  });

  test("S12 a kill ends the handlers, waits for their clean-up, and leaves the listener open", async () => {
    await runIo(function* () {
      using listener = yield* listen({ path: abstractName() });
      const ended: number[] = [];
      let started = 0;
      const handler = op(function* (socket: Socket) {
        const number = started++;
        try {
          yield* text(socket);
        } finally {
          yield* yieldNow();
          ended.push(number);
        }
      });
      const server = spawn(serve(listener, handler));
      const sockets = yield* connectMany(listener, 4);
      yield* until(() => started === 4);
      yield* stop(server);
      expect(ended.length).toBe(4);
      for (const socket of sockets) expect(yield* text(socket)).toBe("");
      expect(listener.closed).toBe(false);
      const again = spawn(serve(listener, greet));
      const socket = yield* connect(listener.localAddress!);
      yield* socket.sendAll(Buffer.from("again"));
      expect(yield* text(socket)).toBe("hello again");
      yield* stop(again);
    });
  });

  test("S12 the listener is closed: the handlers are stopped, and the caller is told", async () => {
    await runIo(function* () {
      const listener = yield* listen({ path: abstractName() });
      const server = spawn(
        serve(listener, (socket) => text(socket)),
        { failure: "hold" },
      );
      const socket = yield* connect(listener.localAddress!);
      yield* submitted();
      yield* close(listener);
      expectError(yield* failureOf(server.join()), ClosedError, "COOP_CLOSED", /accept/);
      expect(yield* text(socket)).toBe("");
    });
  });
});

describe("S10 connecting to a name", () => {
  const loopback = op(function* () {
    return yield* listen({ host: "127.0.0.1", port: 0 });
  });
  const portOf = (listener: Listener): number => (listener.localAddress as { port: number }).port;

  test("S10 localhost is tried at every address it has, and the losers are closed", async () => {
    await runIo(function* () {
      for (const host of ["127.0.0.1", "::1"]) {
        using listener = yield* listen({ host, port: 0 });
        const before = ioCounts().descriptors;
        using socket = yield* connect(`localhost:${portOf(listener)}`);
        expect(socket.remoteAddress).toMatchObject({ host });
        yield* until(() => ioCounts().inflight === 0);
        expect(ioCounts().descriptors).toBe(before + 1);
      }
    });
  });

  test("S10 all attempts fail: the first error, and the others on it", async () => {
    await runIo(function* () {
      const listener = yield* loopback();
      const port = portOf(listener);
      yield* close(listener);
      const error = yield* failureOf(() => connect({ host: "localhost", port }));
      expectError(error, IoError, "ECONNREFUSED", /ECONNREFUSED/);
      expect((error as unknown as { errors: unknown[] }).errors).toHaveLength(1);
      yield* until(() => ioCounts().inflight === 0);
      expect(ioCounts().descriptors).toBe(0);
    });
  });

  test("S10 a name that does not exist is an error of its own", async () => {
    await runIo(function* () {
      const error = yield* failureOf(() => connect("no-such-host.invalid:80"));
      expect(["ENOTFOUND", "EAI_AGAIN"]).toContain(error.code);
      expect(error).toMatchObject({ syscall: "getaddrinfo", address: "no-such-host.invalid", port: 80 });
    });
  });

  test.each([0, 1, 2, 3, 4, 5, 6, 7, 8])("S10 a kill after %i turns leaves nothing", async (turns) => {
    await runIo(function* () {
      using listener = yield* loopback();
      const before = ioCounts().descriptors;
      const dialling = spawn(connect({ host: "localhost", port: portOf(listener) }));
      for (let i = 0; i < turns; i++) yield* submitted();
      yield* stop(dialling);
      // What was connected before the kill is the task's value.
      if (dialling.exit?.status === "done") (dialling.exit.value as Socket)[Symbol.dispose]();
      yield* until(() => ioCounts().inflight === 0);
      expect(ioCounts().descriptors).toBe(before);
    });
  });
});
