/** Bugs that a simulation has found, each as the shortest program that shows it. */
import { expect, test } from "vitest";
import { DeadlineError, spawn } from "../../src/coordinator/index.ts";
import { accept, close, connect, IoError, listen, open, recv, send } from "../../src/io/index.ts";
import { OP_RECV } from "../../src/native/layout.ts";
import { runSimulated, type SimulatedOptions } from "../../src/testing/index.ts";
import { failureOf, runIo, tcpPair } from "../support/io.ts";

const ETIMEDOUT = 110;

test("S07 a reset that only a send was told of does not look like the end of the stream", async () => {
  await runIo(function* () {
    const { near, far } = yield* tcpPair();
    yield* send(far, Buffer.from("hello"));
    far.setOption("linger", 0);
    yield* close(far);
    // The kernel tells an error once, and then only that there is an end.
    expect(yield* failureOf(send(near, Buffer.from("x")))).toMatchObject({ code: "ECONNRESET" });
    const into = Buffer.alloc(100);
    // What had arrived is still there.
    expect(yield* recv(near, into)).toBe(5);
    for (let i = 0; i < 2; i++)
      expect(yield* failureOf(recv(near, into))).toMatchObject({ code: "ECONNRESET" });
    yield* close(near);
  });
});

test("S07 a connection that times out is not the caller's own time limit, nor is it afterwards", () => {
  const script: SimulatedOptions["script"] = ({ opcode }) => (opcode === OP_RECV ? -ETIMEDOUT : null);
  runSimulated(
    function* () {
      const listener = yield* listen("127.0.0.1:1000");
      const near = yield* connect("127.0.0.1:1000");
      const far = yield* accept(listener);
      for (let i = 0; i < 2; i++) {
        const error = yield* failureOf(recv(near, Buffer.alloc(8), { timeout: "1 hour" }));
        expect(error).toBeInstanceOf(IoError);
        expect(error).toMatchObject({ code: "ETIMEDOUT" });
      }
      for (const each of [near, far, listener]) yield* close(each);
    },
    { script },
  );
});

test("S07 control: the caller's own time limit still is", () => {
  runSimulated(function* () {
    const listener = yield* listen("127.0.0.1:1000");
    const near = yield* connect("127.0.0.1:1000");
    expect(yield* failureOf(recv(near, Buffer.alloc(8), { timeout: "1 hour" }))).toBeInstanceOf(
      DeadlineError,
    );
    for (const each of [near, listener]) yield* close(each);
  });
});

test("P05, R11 direct descriptors are closed while the submission queue is full", () => {
  runSimulated(
    function* () {
      const files = [];
      for (let i = 0; i < 6; i++) files.push(yield* open(`/file-${i}`, "w", { direct: true }));
      // The one that found no room was written over another one that had.
      const closers = files.map((file) => spawn(close(file)));
      for (const closer of closers) yield* closer.join();
    },
    { sqEntries: 2, cqEntries: 4 },
  );
});
