/**
 * Node's HTTP/2 over ours and over node:net: the same scenarios with its own client, and the same answers, byte for byte,
 * to frames that are written by hand.
 */
import { once as onceEvent } from "node:events";
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  constants,
  createServer,
  type Http2Server,
  connect as http2Connect,
  type ServerHttp2Stream,
} from "node:http2";
import { connect as netConnect } from "node:net";
import type { Duplex } from "node:stream";
import { describe, expect, test } from "vitest";
import { until } from "../../src/async/index.ts";
import { op, self, spawn } from "../../src/coordinator/index.ts";
import { connect, listen } from "../../src/io/index.ts";
import { serveNode, toDuplex } from "../../src/streams/index.ts";
import { nodeTurn, pattern, runIo, stop } from "../support/io.ts";
import { expectNoUnhandledRejections } from "../support/rejections.ts";

expectNoUnhandledRejections();

function makeServer(): Http2Server {
  const server = createServer({ maxHeaderListPairs: 64 });
  server.on("sessionError", () => {});
  server.on("stream", (stream: ServerHttp2Stream, headers) => {
    const path = headers[":path"];
    stream.on("error", () => {});
    if (path === "/echo") {
      stream.respond({ ":status": 200 });
      stream.pipe(stream);
    } else if (path === "/trailers") {
      stream.respond({ ":status": 200 }, { waitForTrailers: true });
      stream.on("wantTrailers", () => stream.sendTrailers({ "x-sum": "1" }));
      stream.end("body");
    } else if (path === "/reset") {
      stream.close(constants.NGHTTP2_REFUSED_STREAM);
    } else if (path === "/large" || path === "/medium") {
      stream.respond({ ":status": 200 });
      stream.end(pattern(path === "/large" ? 3_000_000 : 300_000));
    } else {
      stream.respond({ ":status": 200, "content-type": "text/plain" });
      stream.end(`you asked for ${path}`);
    }
  });
  return server;
}

async function answerOf(stream: ClientHttp2Stream): Promise<string> {
  const chunks: Buffer[] = [];
  let status: unknown = "none";
  let trailers = "";
  stream.on("response", (headers) => (status = headers[":status"]));
  stream.on("trailers", (headers) => (trailers = ` x-sum ${headers["x-sum"]}`));
  stream.on("data", (chunk: Buffer) => chunks.push(chunk));
  let error = "";
  stream.on("error", (thrown: NodeJS.ErrnoException) => (error = ` ${thrown.code}`));
  await new Promise((resolve) => stream.once("close", resolve));
  const body = Buffer.concat(chunks);
  const text = body.length > 100 ? `${body.length} bytes ${body.equals(pattern(body.length))}` : String(body);
  return `${status} ${text}${trailers}${error} rst ${stream.rstCode}`;
}

type Scenario = (session: ClientHttp2Session) => Promise<unknown>;

const scenarios: Readonly<Record<string, Scenario>> = {
  "a request": (session) => answerOf(session.request({ ":path": "/" })),
  "fifty at a time": (session) =>
    Promise.all(Array.from({ length: 50 }, (_, i) => answerOf(session.request({ ":path": `/${i}` })))),
  "a large body both ways, through the flow control": (session) => {
    const stream = session.request({ ":path": "/echo", ":method": "POST" });
    stream.end(pattern(3_000_000));
    return answerOf(stream);
  },
  "ten large answers at a time": (session) =>
    Promise.all(Array.from({ length: 10 }, () => answerOf(session.request({ ":path": "/medium" })))),
  "a reader that pauses": async (session) => {
    const stream = session.request({ ":path": "/large" });
    const answer = answerOf(stream);
    stream.pause();
    await new Promise((resolve) => setTimeout(resolve, 20));
    stream.resume();
    return answer;
  },
  trailers: (session) => answerOf(session.request({ ":path": "/trailers" })),
  "a stream that the server refuses": (session) => answerOf(session.request({ ":path": "/reset" })),
  "a stream that the client cancels": (session) => {
    const stream = session.request({ ":path": "/large" });
    stream.once("data", () => stream.close(constants.NGHTTP2_CANCEL));
    return answerOf(stream).then((answer) => answer.replace(/\d+ bytes/, "some bytes"));
  },
  "headers that are too many": (session) => {
    const headers = Object.fromEntries(Array.from({ length: 100 }, (_, i) => [`x-${i}`, "y"]));
    return answerOf(session.request({ ":path": "/", ...headers }));
  },
  ping: (session) =>
    new Promise((resolve) =>
      session.ping(Buffer.from("12345678"), (error, _time, bytes) => resolve([error, String(bytes)])),
    ),
  settings: (session) => {
    session.settings({ initialWindowSize: 1000, maxFrameSize: 20_000 });
    return answerOf(session.request({ ":path": "/large" }));
  },
};

const serving = op(function* (server: Http2Server) {
  const listener = yield* listen({ host: "127.0.0.1", port: 0 });
  const task = spawn(serveNode(listener, server));
  return { listener, task, port: (listener.localAddress as { port: number }).port };
});

/** In order where it can be; some scenarios leave a session that waits. */
async function finish(session: ClientHttp2Session): Promise<void> {
  if (session.destroyed) return;
  const closed = new Promise((resolve) => session.once("close", resolve));
  session.close();
  const impatient = setTimeout(() => session.destroy(), 100);
  await closed;
  clearTimeout(impatient);
}

const connected = (session: ClientHttp2Session): Promise<unknown> => {
  session.on("error", () => {});
  return onceEvent(session, "remoteSettings");
};

describe("S17 HTTP/2", () => {
  test.each(Object.entries(scenarios))("S17 as over node:net: %s", async (_name, scenario) => {
    const server = makeServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const theirs = http2Connect(`http://127.0.0.1:${(server.address() as { port: number }).port}`);
    await connected(theirs);
    const expected = await scenario(theirs);
    await finish(theirs);
    await new Promise((resolve) => server.close(resolve));
    await runIo(function* () {
      const { listener, task } = yield* serving(makeServer());
      const owner = self();
      const session = http2Connect("http://localhost", {
        createConnection: () => toDuplex(connect(listener.localAddress!), { owner }),
      });
      yield* until(connected(session));
      expect(yield* until(scenario(session))).toEqual(expected);
      yield* until(finish(session));
      yield* stop(task);
      yield* listener.close();
    });
  });

  test("S17 a kill of the server, and of the client's owner, in the middle of many answers", async () => {
    for (const killed of ["server", "client"]) {
      await runIo(function* () {
        const { listener, task } = yield* serving(makeServer());
        const ended: string[] = [];
        const client = spawn(function* () {
          const owner = self();
          const session = http2Connect("http://localhost", {
            createConnection: () => toDuplex(connect(listener.localAddress!), { owner }),
          });
          session.on("error", () => {});
          for (let i = 0; i < 10; i++) {
            const stream = session.request({ ":path": "/large" });
            stream.on("error", () => {}).resume();
            stream.on("close", () => ended.push("close"));
          }
          yield* until(new Promise((resolve) => session.once("close", resolve)));
        });
        for (let i = 0; i < 20; i++) yield* nodeTurn();
        yield* stop(killed === "server" ? task : client);
        yield* client.settled();
        for (let i = 0; i < 5; i++) yield* nodeTurn();
        expect(ended.length).toBe(10);
        yield* stop(task);
        yield* listener.close();
      });
    }
  });
});

const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");

function frame(type: number, flags: number, stream: number, payload: Buffer = Buffer.alloc(0)): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

const SETTINGS = frame(4, 0, 0);
/** GET / of http://a, without a dynamic table: the static entries 2, 4 and 6, and :authority. */
const HEAD = Buffer.concat([Buffer.from([0x82, 0x84, 0x86, 0x01, 0x01]), Buffer.from("a")]);
const START = [PREFACE, SETTINGS];

/** After h2spec, which is a program of its own: what a client may get wrong, section by section of RFC 9113. */
const frames: Readonly<Record<string, readonly Buffer[]>> = {
  "3.4 a preface that is none": [Buffer.from("GET / HTTP/1.1\r\nHost: a\r\n\r\n")],
  "4.2 a frame that is too large": [...START, frame(0, 0, 1, Buffer.alloc(17_000))],
  "4.3 a header block that is no HPACK": [...START, frame(1, 5, 1, Buffer.from([0x80]))],
  "5.1 DATA on a stream that is idle": [...START, frame(0, 1, 1, Buffer.from("x"))],
  "5.1 RST_STREAM on a stream that is idle": [...START, frame(3, 0, 1, Buffer.alloc(4))],
  "5.1 WINDOW_UPDATE on a stream that is idle": [...START, frame(8, 0, 1, Buffer.from([0, 0, 0, 1]))],
  "5.1.1 an even stream": [...START, frame(1, 5, 2, HEAD)],
  "5.1.1 a stream below the last one": [...START, frame(1, 5, 5, HEAD), frame(1, 5, 3, HEAD)],
  "5.5 a frame of an unknown type": [...START, frame(0x20, 0, 0, Buffer.from("x")), frame(1, 5, 1, HEAD)],
  "6.1 DATA on stream 0": [...START, frame(0, 1, 0, Buffer.from("x"))],
  "6.1 padding longer than the frame": [...START, frame(1, 4, 1, HEAD), frame(0, 9, 1, Buffer.from([9, 1]))],
  "6.2 HEADERS on stream 0": [...START, frame(1, 5, 0, HEAD)],
  "6.3 PRIORITY of the wrong length": [...START, frame(2, 0, 1, Buffer.alloc(4))],
  "6.4 RST_STREAM on stream 0": [...START, frame(3, 0, 0, Buffer.alloc(4))],
  "6.5 SETTINGS with an odd length": [PREFACE, frame(4, 0, 0, Buffer.alloc(5))],
  "6.5 SETTINGS on a stream": [PREFACE, frame(4, 0, 1)],
  "6.5 an acknowledgement with a payload": [...START, frame(4, 1, 0, Buffer.alloc(6))],
  "6.5.2 a push setting that is no truth value": [PREFACE, frame(4, 0, 0, Buffer.from([0, 2, 0, 0, 0, 2]))],
  "6.7 PING": [...START, frame(6, 0, 0, Buffer.from("12345678"))],
  "6.7 PING of the wrong length": [...START, frame(6, 0, 0, Buffer.from("1234"))],
  "6.7 PING on a stream": [...START, frame(6, 0, 1, Buffer.from("12345678"))],
  "6.8 GOAWAY on a stream": [...START, frame(7, 0, 1, Buffer.alloc(8))],
  "6.9 a window update of nothing": [...START, frame(8, 0, 0, Buffer.alloc(4))],
  "6.9.1 a window that overflows": [
    ...START,
    ...[0, 1].map(() => frame(8, 0, 0, Buffer.from([127, 255, 255, 255]))),
  ],
  "6.10 CONTINUATION after nothing": [...START, frame(9, 4, 1, HEAD)],
  "6.10 something else before a CONTINUATION": [
    ...START,
    frame(1, 1, 1, HEAD),
    frame(6, 0, 0, Buffer.alloc(8)),
  ],
  "8.1 a request, byte by byte": [...Buffer.concat([...START, frame(1, 5, 1, HEAD)])].map((byte) =>
    Buffer.from([byte]),
  ),
  "8.3 a request without a path": [...START, frame(1, 5, 1, Buffer.from([0x82, 0x86]))],
};

/** Sends the frames and gives what comes back, until it is quiet or closed; dates apart. */
async function exchange(socket: Duplex, parts: readonly Buffer[]): Promise<string> {
  const chunks: Buffer[] = [];
  let last = Date.now();
  let over = false;
  socket.on("data", (chunk: Buffer) => {
    chunks.push(chunk);
    last = Date.now();
  });
  socket.on("error", () => {});
  socket.on("close", () => (over = true));
  for (const part of parts) {
    if (!socket.writable) break;
    socket.write(part);
    // What comes together is answered together: each is read before the next is sent.
    if (part.length > 1) await new Promise((resolve) => setTimeout(resolve, 15));
    else await new Promise((resolve) => setImmediate(resolve));
  }
  while (!over && Date.now() - last < 60) await new Promise((resolve) => setTimeout(resolve, 5));
  socket.destroy();
  while (!over) await new Promise((resolve) => setImmediate(resolve));
  return Buffer.concat(chunks).toString("hex");
}

describe("S17 HTTP/2 frames by hand", () => {
  const open = (port: number): Duplex => netConnect({ port, host: "127.0.0.1", noDelay: true });
  // The date in the headers of an answer is a matter of the second.
  const plain = (answer: string): string => answer.replace(/61(?:96|1d)[0-9a-f]{58}/g, "date");

  test.each(Object.entries(frames))("S17 as over node:net: %s", async (name, parts) => {
    const server = makeServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const theirs = await exchange(open((server.address() as { port: number }).port), parts);
    // Where a session has failed, its socket may stay open in the server for a while.
    const closed = new Promise((resolve) => server.close(resolve));
    await Promise.race([closed, new Promise((resolve) => setTimeout(resolve, 200))]);
    expect(theirs.length).toBeGreaterThan(0);
    await runIo(function* () {
      const { listener, task, port } = yield* serving(makeServer());
      const ours = yield* until(exchange(open(port), parts));
      yield* stop(task);
      yield* listener.close();
      // Node 26 destroys what is no net.Socket before its GOAWAY is out.
      if (name.startsWith("3.4")) expect(plain(theirs)).toContain(plain(ours));
      else expect(plain(ours)).toBe(plain(theirs));
    });
  });
});
