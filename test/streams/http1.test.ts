/**
 * Node's own http server on a listener of ours and on its own: the same bytes in, the same bytes out, whether the
 * request is a good one, a smuggler's, or comes in pieces. Dates apart.
 */
import { createHash } from "node:crypto";
import {
  Agent,
  createServer,
  request as httpRequest,
  type IncomingMessage,
  type Server,
  type ServerOptions,
} from "node:http";
import { connect as netConnect } from "node:net";
import { describe, expect, test } from "vitest";
import { once, until } from "../../src/async/index.ts";
import { op, self, spawn, type Task } from "../../src/coordinator/index.ts";
import { BufferedReader, connect, listen } from "../../src/io/index.ts";
import { run } from "../../src/node/run.ts";
import { fromReadable, nodeConnection, serveNode, toDuplex } from "../../src/streams/index.ts";
import { nodeTurn, pattern, runIo, stop, tcpPair, until as untilTrue } from "../support/io.ts";
import { expectNoUnhandledRejections } from "../support/rejections.ts";

expectNoUnhandledRejections();

/** Tells what it has understood. */
function echoServer(options: ServerOptions): Server {
  const server = createServer(options, (request, response) => {
    const hash = createHash("sha256");
    let length = 0;
    request.on("data", (chunk: Buffer) => {
      hash.update(chunk);
      length += chunk.length;
    });
    request.on("error", () => {});
    request.on("end", () => {
      const { method, url, rawHeaders, rawTrailers } = request;
      const digest = length === 0 ? "" : hash.digest("hex");
      response.setHeader("Content-Type", "application/json");
      if (url === "/chunked") {
        response.write("a");
        response.end("b");
      } else response.end(JSON.stringify({ method, url, rawHeaders, rawTrailers, length, digest }));
    });
  });
  server.on("upgrade", (_request, socket, head: Buffer) => {
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n${String(head)}`,
    );
    socket.pipe(socket);
  });
  server.on("connect", (_request, socket, head: Buffer) => {
    socket.end(`HTTP/1.1 200 Connection Established\r\n\r\n${String(head)}`);
  });
  return server;
}

interface Vector {
  readonly send: readonly (string | Buffer)[];
  /** What comes back begins with these status codes, one for each answer. */
  readonly answers: readonly number[];
  /** The client ends its side when all is sent, and not when nothing more has come for a while. */
  readonly end?: boolean;
  /** How long a while is, in milliseconds. */
  readonly patience?: number;
  readonly options?: ServerOptions;
}

const HOST = "Host: localhost\r\n";
const CLOSE = "Connection: close\r\n";
const get = (path: string, more = ""): string => `GET ${path} HTTP/1.1\r\n${HOST}${more}\r\n`;
const post = (headers: string, body: string): string => `POST /p HTTP/1.1\r\n${HOST}${headers}\r\n${body}`;
const CHUNKED = "Transfer-Encoding: chunked\r\n";
const bytesOf = (text: string): string[] => [...text];

const vectors: Readonly<Record<string, Vector>> = {
  "a plain request": { send: [get("/")], answers: [200] },
  "one that wants the connection closed": { send: [get("/", CLOSE)], answers: [200] },
  "HTTP/1.0": { send: ["GET / HTTP/1.0\r\n\r\n"], answers: [200] },
  "HTTP/1.0 with keep-alive": {
    send: [`GET / HTTP/1.0\r\n${HOST}Connection: keep-alive\r\n\r\n`],
    answers: [200],
  },
  HEAD: {
    send: [`HEAD / HTTP/1.1\r\n${HOST}\r\n`, `HEAD / HTTP/1.1\r\n${HOST}${CLOSE}\r\n`],
    answers: [200, 200],
  },
  "OPTIONS *": { send: [`OPTIONS * HTTP/1.1\r\n${HOST}\r\n`], answers: [200] },
  "keep-alive: three requests, one after the other": {
    send: [get("/1"), get("/2"), get("/3", CLOSE)],
    answers: [200, 200, 200],
  },
  "pipelining: ten requests in one segment": {
    send: [Array.from({ length: 9 }, (_, i) => get(`/${i}`)).join("") + get("/9", CLOSE)],
    answers: Array.from({ length: 10 }, () => 200),
  },
  "pipelining with bodies": {
    send: [
      post("Content-Length: 5\r\n", "hello") + post(CHUNKED, "5\r\nhello\r\n0\r\n\r\n") + get("/", CLOSE),
    ],
    answers: [200, 200, 200],
  },
  // Node answers the bad one before the good one has an answer, and closes.
  "pipelining: a bad one behind a good one": { send: [`${get("/")}BAD\r\n\r\n`], answers: [400] },
  "a chunked answer": { send: [get("/chunked", CLOSE)], answers: [200] },
  "Content-Length": { send: [post("Content-Length: 5\r\n", "hello")], answers: [200] },
  "a chunked body": { send: [post(CHUNKED, "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n")], answers: [200] },
  "a chunked body with trailers": {
    send: [post(`Trailer: X-Sum\r\n${CHUNKED}`, "5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n")],
    answers: [200],
  },
  "a chunk with an extension": {
    send: [post(CHUNKED, "5;name=value\r\nhello\r\n0\r\n\r\n")],
    answers: [200],
  },
  "a large body in many pieces": {
    send: [
      post("Content-Length: 300000\r\n", ""),
      pattern(100_000),
      pattern(100_000, 1),
      pattern(100_000, 2),
    ],
    answers: [200],
  },
  "100-continue": {
    send: [post("Expect: 100-continue\r\nContent-Length: 5\r\n", ""), "hello"],
    answers: [100, 200],
  },
  "another expectation": { send: [get("/", "Expect: magic\r\n")], answers: [417] },
  "upgrade, with bytes of the new protocol behind it": {
    send: [`${get("/", "Connection: Upgrade\r\nUpgrade: echo\r\n")}first`, "second"],
    answers: [101],
    end: true,
  },
  CONNECT: { send: [`CONNECT a:1 HTTP/1.1\r\n${HOST}\r\nhead`], answers: [200], end: true },
  "every byte in a segment of its own": {
    send: bytesOf(post(CHUNKED + CLOSE, "5\r\nhello\r\n0\r\n\r\n")),
    answers: [200],
  },
  "both Content-Length and chunked": {
    send: [post(`Content-Length: 6\r\n${CHUNKED}`, "0\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n")],
    answers: [400],
  },
  "chunked and then Content-Length": {
    send: [post(`${CHUNKED}Content-Length: 6\r\n`, "0\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n")],
    answers: [400],
  },
  "two different Content-Lengths": {
    send: [post("Content-Length: 5\r\nContent-Length: 6\r\n", "hello")],
    answers: [400],
  },
  "a Content-Length that is no number": { send: [post("Content-Length: 5x\r\n", "hello")], answers: [400] },
  "a Content-Length below zero": { send: [post("Content-Length: -1\r\n", "")], answers: [400] },
  "a Content-Length beyond all numbers": {
    send: [post(`Content-Length: ${"9".repeat(30)}\r\n`, "")],
    answers: [400],
  },
  "chunked that is not the last coding": {
    send: [post("Transfer-Encoding: chunked, gzip\r\n", "0\r\n\r\n")],
    answers: [400],
  },
  "chunked, hidden by a space": {
    send: [post("Transfer-Encoding : chunked\r\n", "0\r\n\r\n")],
    answers: [400],
  },
  "a coding nobody knows": { send: [post("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n")], answers: [400] },
  "bare LF after the request line": { send: [`GET / HTTP/1.1\n${HOST}\r\n`], answers: [400] },
  "bare LF between headers": { send: ["GET / HTTP/1.1\r\nHost: localhost\nX: 1\r\n\r\n"], answers: [400] },
  "bare LF at the end of the head": { send: [`GET / HTTP/1.1\r\n${HOST}\n`], answers: [400] },
  "bare LF in a chunk": { send: [post(CHUNKED, "5\nhello\n0\n\n")], answers: [400] },
  "bare CR in a header": { send: [`GET / HTTP/1.1\r\n${HOST}X: a\rb\r\n\r\n`], answers: [400] },
  "obs-fold": { send: [`GET / HTTP/1.1\r\n${HOST}X: one\r\n two\r\n\r\n`], answers: [400] },
  "a chunk size that is no number": { send: [post(CHUNKED, "xyz\r\nhello\r\n0\r\n\r\n")], answers: [400] },
  "a chunk size beyond all numbers": { send: [post(CHUNKED, `${"f".repeat(20)}\r\nhello`)], answers: [400] },
  "a chunk that is longer than it says": { send: [post(CHUNKED, "3\r\nhello\r\n0\r\n\r\n")], answers: [400] },
  "a flood of chunk extensions": {
    send: [post(CHUNKED, ""), `5;${"x".repeat(20_000)}\r\nhello\r\n0\r\n\r\n`],
    answers: [413],
  },
  "headers that are too large": { send: [get("/", `X: ${"x".repeat(20_000)}\r\n`)], answers: [431] },
  "headers that are too many for the limit": {
    send: [get("/", `X: ${"x".repeat(600)}\r\n`)],
    answers: [431],
    options: { maxHeaderSize: 512 },
  },
  "a URL that is too large": { send: [get(`/${"x".repeat(20_000)}`)], answers: [431] },
  "no Host": { send: ["GET / HTTP/1.1\r\n\r\n"], answers: [400] },
  "two Hosts": { send: [`GET / HTTP/1.1\r\n${HOST}Host: other\r\n\r\n`], answers: [200] },
  "a method nobody knows": { send: [`PURGATORY / HTTP/1.1\r\n${HOST}\r\n`], answers: [400] },
  "a version nobody knows": { send: [`GET / HTTP/3.7\r\n${HOST}\r\n`], answers: [400] },
  "a NUL in a header": { send: [`GET / HTTP/1.1\r\n${HOST}X: a\0b\r\n\r\n`], answers: [400] },
  "a header without a name": { send: [`GET / HTTP/1.1\r\n${HOST}: x\r\n\r\n`], answers: [400] },
  "a space in the URL": { send: [`GET /a b HTTP/1.1\r\n${HOST}\r\n`], answers: [400] },
  "TLS where there is none": { send: [Buffer.from("16030100c8010000c40303", "hex")], answers: [400] },
  "nothing, and the end": { send: [], answers: [], end: true },
  "half a request, and the end": { send: ["GET / HT"], answers: [400], end: true },
  "half a body, and the end": { send: [post("Content-Length: 10\r\n", "hello")], answers: [400], end: true },
  "a client that ends after its request": { send: [get("/")], answers: [200], end: true },
  "empty lines before the request": { send: [`\r\n\r\n${get("/", CLOSE)}`], answers: [200] },
  "headers that never come to an end": {
    send: [`GET / HTTP/1.1\r\n${HOST}X: `],
    answers: [408],
    patience: 1000,
    options: { headersTimeout: 60, requestTimeout: 60, connectionsCheckingInterval: 20 },
  },
  "a body that never comes to an end": {
    send: [post("Content-Length: 10\r\n", "hello")],
    answers: [408],
    patience: 1000,
    options: { headersTimeout: 60, requestTimeout: 60, connectionsCheckingInterval: 20 },
  },
};

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Sends the parts, each in a segment of its own, and gives all that comes back until the connection is closed. */
async function exchange(port: number, { send, end, patience = 40 }: Vector): Promise<string> {
  const chunks: Buffer[] = [];
  const socket = netConnect({ port, host: "127.0.0.1", noDelay: true, allowHalfOpen: true });
  socket.on("data", (chunk: Buffer) => chunks.push(chunk));
  // The server may close while something is still being sent.
  socket.on("error", () => {});
  const closed = new Promise((resolve) => socket.once("close", resolve));
  await new Promise((resolve) => socket.once("connect", resolve));
  for (const part of send) {
    if (!socket.writable) break;
    socket.write(part);
    for (let i = 0; i < 3; i++) await turn();
  }
  if (end === true) socket.end();
  else socket.setTimeout(patience, () => socket.end());
  socket.once("end", () => socket.end());
  await closed;
  return Buffer.concat(chunks)
    .toString("latin1")
    .replace(/^Date: .*$/gm, "Date: -");
}

/** A server on a listener of ours, in a program of its own. */
class Ours {
  port = 0;
  private readonly program: Promise<unknown>;
  private task: Task | null = null;
  readonly ready: Promise<void>;

  constructor(server: Server) {
    let tell!: () => void;
    this.ready = new Promise((resolve) => (tell = resolve));
    const serving = op(function* (ours: Ours) {
      using listener = yield* listen({ host: "127.0.0.1", port: 0 });
      ours.port = (listener.localAddress as { port: number }).port;
      ours.task = spawn(serveNode(listener, server));
      tell();
      yield* ours.task.settled();
    });
    this.program = run(serving(this));
  }

  async stop(): Promise<void> {
    this.task!.kill("the test is over");
    await this.program;
  }
}

async function both(vector: Vector): Promise<{ theirs: string; ours: string }> {
  const net = echoServer(vector.options ?? {});
  await new Promise<void>((resolve) => net.listen(0, "127.0.0.1", resolve));
  const ours = new Ours(echoServer(vector.options ?? {}));
  await ours.ready;
  const [theirs, mine] = await Promise.all([
    exchange((net.address() as { port: number }).port, vector),
    exchange(ours.port, vector),
  ]);
  await ours.stop();
  net.close();
  return { theirs, ours: mine };
}

describe("S17 http/1 over ours and over node:net", () => {
  test("S17 there are enough vectors", () => {
    expect(Object.keys(vectors).length).toBeGreaterThanOrEqual(33);
  });

  test.each(Object.entries(vectors))("S17 %s", async (_name, vector) => {
    const { theirs, ours } = await both(vector);
    const codes = [...theirs.matchAll(/HTTP\/1\.1 (\d\d\d)/g)].map(([, code]) => Number(code));
    expect(codes).toEqual(vector.answers);
    expect(ours).toBe(theirs);
  });

  test("S17 a request that is split at every place", async () => {
    const net = echoServer({});
    await new Promise<void>((resolve) => net.listen(0, "127.0.0.1", resolve));
    const ours = new Ours(echoServer({}));
    await ours.ready;
    const text = get("/1", "X: y\r\n") + post(CHUNKED + CLOSE, "3\r\nabc\r\n0\r\n\r\n");
    const whole = await exchange((net.address() as { port: number }).port, { send: [text], answers: [] });
    expect(whole.match(/HTTP\/1\.1 200/g)?.length).toBe(2);
    for (let at = 1; at < text.length; at++) {
      expect(await exchange(ours.port, { send: [text.slice(0, at), text.slice(at)], answers: [] })).toBe(
        whole,
      );
    }
    await ours.stop();
    net.close();
  });
});

const textOf = op(function* (response: IncomingMessage) {
  using body = fromReadable(response);
  const reader = new BufferedReader(body);
  const line = yield* reader.readLine();
  // A body that is not read to its end takes its connection with it.
  expect(yield* reader.readLine()).toBe(null);
  return line;
});

describe("S17 Node's http client over ours", () => {
  const serving = op(function* (server: Server) {
    const listener = yield* listen({ host: "127.0.0.1", port: 0 });
    const task = spawn(serveNode(listener, server));
    return { listener, task, address: listener.localAddress! };
  });

  test("S17 an agent that keeps connections alive uses one for many requests", async () => {
    await runIo(function* () {
      let connections = 0;
      const server = createServer((request, response) => response.end(`${request.url}\n`));
      server.on("connection", () => connections++);
      const { listener, task, address } = yield* serving(server);
      const owner = self();
      const agent = new Agent({ keepAlive: true, maxSockets: 2 });
      (agent as unknown as { createConnection: unknown }).createConnection = () =>
        toDuplex(connect(address), { owner });
      const ask = op(function* (path: string) {
        const request = httpRequest({ agent, path });
        request.end();
        const [response] = yield* once<[IncomingMessage]>(request, "response");
        return yield* textOf(response);
      });
      for (let i = 0; i < 5; i++) {
        expect(yield* ask(`/${i}`)).toBe(`/${i}`);
        yield* nodeTurn();
      }
      expect(connections).toBe(1);
      const many = Array.from({ length: 20 }, (_, i) => spawn(ask(`/${i}`)));
      for (const [i, asked] of many.entries()) expect(yield* asked.join()).toBe(`/${i}`);
      expect(connections).toBe(2);
      agent.destroy();
      yield* stop(task);
      yield* listener.close();
    });
  });

  test("S17 a connection that is refused is the request's error", async () => {
    await runIo(function* () {
      const listener = yield* listen("127.0.0.1:0");
      const address = listener.localAddress!;
      yield* listener.close();
      const owner = self();
      const request = httpRequest({ createConnection: () => toDuplex(connect(address), { owner }) });
      const failed = once<[NodeJS.ErrnoException]>(request, "error");
      const [error] = yield* failed;
      expect(error.code).toBe("ECONNREFUSED");
      request.destroy();
    });
  });

  test("S17 a kill of the server in the middle of an answer, and of the client in the middle of a request", async () => {
    await runIo(function* () {
      let aborted = 0;
      const server = createServer((request, response) => {
        request.on("error", () => {});
        request.on("close", () => aborted++);
        request.resume();
        response.write("the first part");
      });
      const { listener, task, address } = yield* serving(server);
      const owner = self();
      const request = httpRequest({ createConnection: () => toDuplex(connect(address), { owner }) });
      request.end();
      const [response] = yield* once<[IncomingMessage]>(request, "response");
      const errors: string[] = [];
      response.on("error", (error: NodeJS.ErrnoException) => errors.push(error.code!));
      request.on("error", (error: NodeJS.ErrnoException) => errors.push(error.code!));
      response.resume();
      const client = spawn(function* () {
        const mine = self();
        const upload = httpRequest({
          method: "POST",
          createConnection: () => toDuplex(connect(address), { owner: mine }),
        });
        upload.on("error", () => {});
        upload.write(pattern(1 << 20));
        yield* until(new Promise(() => {}));
      });
      for (let i = 0; i < 20; i++) yield* nodeTurn();
      yield* stop(client);
      yield* untilTrue(() => aborted === 1);
      yield* stop(task);
      yield* untilTrue(() => errors.length > 0);
      expect(errors[0]).toBe("ECONNRESET");
      expect(aborted).toBe(2);
      yield* listener.close();
    });
  });

  test("S17 one connection by hand, and one that is no server's", async () => {
    await runIo(function* () {
      const server = createServer((_request, response) => response.end("by hand\n"));
      const { near, far } = yield* tcpPair();
      const connection = spawn(nodeConnection(server, far));
      yield* near.sendAll(Buffer.from(get("/", CLOSE)));
      const reader = new BufferedReader(near);
      expect(yield* reader.readLine()).toBe("HTTP/1.1 200 OK");
      yield* near.close();
      yield* connection.join();
      expect(far.closed).toBe(true);
      expect(() => nodeConnection({} as never, far)).toThrow(/Node server/);
      expect(() => serveNode(null as never, 1 as never)).toThrow(/Node server/);
    });
  });
});
