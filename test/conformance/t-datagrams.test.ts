/** Conformance T: datagrams. */
import { describe, expect, test } from "vitest";
import { op, spawn } from "../../src/coordinator/index.ts";
import {
  type Address,
  type AddressLike,
  allocate,
  type Datagram,
  Handle,
  IoError,
  openDatagram,
  receivedBy,
  setupReceiveFrom,
  setupSendTo,
} from "../../src/io/index.ts";
import { OP_RECVMSG } from "../../src/native/layout.ts";
import {
  abstractName,
  expectError,
  failureOf,
  nodeTurn,
  onRings,
  pattern,
  rings,
  stop,
  submitted,
} from "../support/io.ts";
import { PENDING, runScripted, ScriptedDriver } from "../support/scripted-driver.ts";

const text = (from: Datagram, length?: number) => receiveText(from, length ?? 64);

const receiveText = op(function* (from: Datagram, length: number) {
  const into = Buffer.alloc(length);
  const received = yield* from.receive(into);
  return { ...received, text: into.toString("utf8", 0, received.count) };
});

const places: Readonly<Record<string, () => AddressLike>> = {
  ipv4: () => "127.0.0.1:0",
  ipv6: () => "[::1]:0",
  unix: () => ({ path: abstractName() }),
};

describe.each(Object.keys(places))("T01 datagrams over %s", (kind) => {
  const pair = op(function* () {
    const near = yield* openDatagram(places[kind]());
    const far = yield* openDatagram(places[kind]());
    return { near, far, to: far.localAddress as Address };
  });

  test.each(onRings(["copied", "shared"]))(
    "T01 arrive whole, with the sender's address ($value, $ring ring)",
    async ({ value: how, runIo }) => {
      await runIo(function* () {
        const { near, far, to } = yield* pair();
        const make = (bytes: Uint8Array): Buffer => {
          const made = how === "shared" ? allocate(bytes.length) : Buffer.alloc(bytes.length);
          made.set(bytes);
          return made;
        };
        for (const length of [1, 8, 100, 4096, 20_000]) {
          expect(yield* near.sendTo(make(pattern(length)), to)).toBe(length);
          const into = make(Buffer.alloc(length + 10));
          expect(yield* far.receive(into)).toEqual({
            count: length,
            from: near.localAddress,
            truncated: false,
          });
          expect(into.subarray(0, length).equals(pattern(length))).toBe(true);
          expect(into.subarray(length).equals(Buffer.alloc(10))).toBe(true);
        }
      });
    },
  );

  test.each(rings)("T01 one without bytes is a datagram, and no end ($ring ring)", async ({ runIo }) => {
    await runIo(function* () {
      const { near, far, to } = yield* pair();
      expect(yield* near.sendTo(Buffer.alloc(0), to)).toBe(0);
      yield* near.sendTo(Buffer.from("next"), to);
      expect(yield* text(far)).toEqual({ count: 0, from: near.localAddress, truncated: false, text: "" });
      expect(yield* text(far)).toMatchObject({ text: "next" });
    });
  });

  test.each(rings)(
    "T01 one that is longer than the buffer is cut, and says so ($ring ring)",
    async ({ runIo }) => {
      await runIo(function* () {
        const { near, far, to } = yield* pair();
        for (const message of ["much too long", "fits", "x"]) yield* near.sendTo(Buffer.from(message), to);
        expect(yield* text(far, 4)).toMatchObject({ count: 4, truncated: true, text: "much" });
        expect(yield* text(far, 4)).toMatchObject({ count: 4, truncated: false, text: "fits" });
        expect(yield* text(far, 0)).toMatchObject({ count: 0, truncated: true });
        yield* near.sendTo(Buffer.from("on"), to);
        expect(yield* text(far)).toMatchObject({ text: "on", truncated: false });
      });
    },
  );

  test.each(rings)(
    "T01 one that is too long to send is an error, and the socket can be used on ($ring ring)",
    async ({ runIo }) => {
      await runIo(function* () {
        const { near, far, to } = yield* pair();
        const error = yield* failureOf(near.sendTo(Buffer.alloc(8 << 20), to));
        expectError(error, IoError, "EMSGSIZE", /EMSGSIZE: message too long, sendmsg/);
        yield* near.sendTo(Buffer.from("fine"), to);
        expect(yield* text(far)).toMatchObject({ text: "fine" });
      });
    },
  );

  test.each(rings)(
    "T01 a connected socket sends without an address, and takes its peer's only ($ring ring)",
    async ({ runIo }) => {
      await runIo(function* () {
        const { near, far, to } = yield* pair();
        const third = yield* openDatagram(places[kind]());
        yield* near.connect(to);
        yield* near.send(Buffer.from("hello"));
        expect(yield* text(far)).toMatchObject({ text: "hello", from: near.localAddress });
        if (kind !== "unix") {
          yield* third.sendTo(Buffer.from("stranger"), near.localAddress!);
        }
        yield* far.sendTo(Buffer.from("peer"), near.localAddress!);
        expect(yield* text(near)).toMatchObject({ text: "peer", from: to });
        // Without a peer there is nobody to send to.
        expect(["EDESTADDRREQ", "ENOTCONN"]).toContain((yield* failureOf(third.send(Buffer.from("?")))).code);
        yield* third.sendTo(Buffer.from("!"), to);
        expect(yield* text(far)).toMatchObject({ text: "!" });
      });
    },
  );

  test.each(rings)(
    "T01 level 0: several receives in flight, each with its sender ($ring ring)",
    async ({ runIo }) => {
      await runIo(function* () {
        const { near, far, to } = yield* pair();
        const handles = [0, 1, 2].map(() => new Handle());
        const into = handles.map(() => Buffer.alloc(16));
        for (const [i, handle] of handles.entries()) setupReceiveFrom(handle, far, into[i]);
        expect(() => receivedBy(handles[0])).toThrow(/received no datagram/);
        const sent = handles.map(() => new Handle());
        for (const [i, handle] of sent.entries()) setupSendTo(handle, near, Buffer.from(`m${i}`), to);
        for (const handle of sent) expect(yield* handle).toBe(2);
        const got: string[] = [];
        for (const [i, handle] of handles.entries()) {
          expect(yield* handle).toBe(2);
          expect(receivedBy(handle)).toEqual({ count: 2, from: near.localAddress, truncated: false });
          got.push(into[i].toString("utf8", 0, 2));
        }
        expect(got.sort()).toEqual(["m0", "m1", "m2"]);
      });
    },
  );

  test.each(onRings([0, 1, 2, 3, 4, 5, 6]))(
    "T02 a receiver killed after $value turns loses no datagram ($ring ring)",
    async ({ value: turns, runIo }) => {
      await runIo(function* () {
        const { near, far, to } = yield* pair();
        const got: string[] = [];
        for (let i = 0; i < 40; i++) {
          const task = spawn(text(far), { failure: "hold", start: "now", priority: (i % 3) as 0 | 1 | 2 });
          for (let k = 0; k < turns; k++) yield* submitted();
          yield* near.sendTo(Buffer.from(String(i)), to);
          if (i % 2 === 0) yield* nodeTurn();
          const exit = yield* task.killAndWait();
          if (exit.status === "done") got.push(exit.value.text);
        }
        while (got.length < 40) {
          const received = yield* text(far);
          expect(received.from).toEqual(near.localAddress);
          got.push(received.text);
        }
        expect(got.map(Number).sort((a, b) => a - b)).toEqual(Array.from({ length: 40 }, (_, i) => i));
      });
    },
  );
});

describe("T01 what cannot be delivered", () => {
  test.each(rings)(
    "T01 is an error of the next call on a connected socket, which can be used on ($ring ring)",
    async ({ runIo }) => {
      await runIo(function* () {
        const gone = yield* openDatagram("127.0.0.1:0");
        const address = gone.localAddress!;
        yield* gone.close();
        const near = yield* openDatagram(null, { connect: address });
        yield* near.send(Buffer.from("anybody?"));
        expectError(yield* failureOf(() => text(near)), IoError, "ECONNREFUSED", /recvmsg/);
        const back = yield* openDatagram(address);
        yield* near.send(Buffer.from("now"));
        expect(yield* text(back)).toMatchObject({ text: "now" });
      });
    },
  );

  test.each(rings)("T01 nobody at a unix address ($ring ring)", async ({ runIo }) => {
    await runIo(function* () {
      const near = yield* openDatagram({ path: abstractName() });
      const path = abstractName();
      const error = yield* failureOf(near.sendTo(Buffer.from("x"), { path }));
      expect(error).toMatchObject({ code: "ECONNREFUSED", syscall: "sendmsg", path });
    });
  });
});

describe("T02 simulated", () => {
  test.each(["target", "cancel"] as const)(
    "T02 a datagram that comes with the kill is the next one's (%s)",
    (first) => {
      let pending = true;
      const driver = new ScriptedDriver({
        result: ({ opcode }) => (opcode !== OP_RECVMSG ? 0 : pending ? PENDING : 0),
        cancel: () => ({ first, cancel: -114, target: 0 }),
      });
      runScripted(driver, function* () {
        const socket = yield* openDatagram(null);
        const reader = spawn(socket.receive(Buffer.alloc(8)));
        yield* submitted();
        pending = false;
        yield* stop(reader);
        expect(socket.inbox.length).toBe(1);
        const before = driver.log.length;
        expect(yield* socket.receive(Buffer.alloc(8))).toMatchObject({ count: 0 });
        expect(driver.log.length).toBe(before);
        yield* socket.close();
      });
    },
  );
});
