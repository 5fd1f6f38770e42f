/** Node's TLS over ours: the bytes arrive, a good end is told from a bad one as over node:net, and kills are clean. */
import { createHash } from "node:crypto";
import { once as onceEvent } from "node:events";
import type { IncomingMessage } from "node:http";
import { createServer as createHttpsServer, request as httpsRequest } from "node:https";
import type { Duplex } from "node:stream";
import { type ConnectionOptions, type SecureVersion, TLSSocket, connect as tlsConnect } from "node:tls";
import { describe, expect, test } from "vitest";
import { once, until } from "../../src/async/index.ts";
import { op, self, spawn } from "../../src/coordinator/index.ts";
import { BufferedReader, connect, listen } from "../../src/io/index.ts";
import { fromDuplex, fromReadable, serveNode, toDuplex } from "../../src/streams/index.ts";
import { cert, key } from "../support/certificate.ts";
import { halfCloseChecks, type OneWay, oneWayChecks, twoWayChecks } from "../support/check-streams.ts";
import { ioCounts, nodeTurn, runIo, stop, tcpPair } from "../support/io.ts";
import { closed, type NodePair, record, watch, withNetPair, withOurPair } from "../support/node-streams.ts";
import { expectNoUnhandledRejections } from "../support/rejections.ts";

expectNoUnhandledRejections();

const VERSIONS: readonly SecureVersion[] = ["TLSv1.2", "TLSv1.3"];

interface Secured {
  readonly client: TLSSocket;
  readonly server: TLSSocket;
}

function secure(
  pair: Pick<NodePair, "near" | "far">,
  version: SecureVersion,
  more?: ConnectionOptions,
): Secured {
  const versions = { minVersion: version, maxVersion: version };
  const server = new TLSSocket(pair.far as never, { isServer: true, key, cert, ...versions });
  const client = tlsConnect({
    socket: pair.near as Duplex,
    servername: "localhost",
    ca: cert,
    ...versions,
    ...more,
  });
  return { client, server };
}

/** The hash and the length of all that comes. */
async function drain(stream: Duplex): Promise<string> {
  const hash = createHash("sha256");
  let length = 0;
  for await (const chunk of stream) {
    hash.update(chunk as Buffer);
    length += (chunk as Buffer).length;
  }
  return `${length} ${hash.digest("hex")}`;
}

const TEN_MEGABYTES = 10 * 1024 * 1024;

/** Bytes that do not repeat. */
function noise(length: number, seed: number): Buffer {
  const bytes = Buffer.alloc(length);
  let state = seed;
  for (let i = 0; i + 4 <= length; i += 4) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    bytes.writeUInt32LE(state, i);
  }
  return bytes;
}

const hashOf = (bytes: Buffer): string =>
  `${bytes.length} ${createHash("sha256").update(bytes).digest("hex")}`;

describe.each(VERSIONS)("S17 %s", (version) => {
  test("S17 ten megabytes both ways at once, and an end in order", async () => {
    await withOurPair({ allowHalfOpen: true }, async (pair) => {
      const { client, server } = secure(pair, version);
      const [there, back] = [noise(TEN_MEGABYTES, 1), noise(TEN_MEGABYTES, 2)];
      client.once("secureConnect", () => expect(client.getProtocol()).toBe(version));
      client.end(there);
      server.end(back);
      expect(await Promise.all([drain(server), drain(client)])).toEqual([hashOf(there), hashOf(back)]);
      await closed(pair.near, pair.far);
    });
  });

  test("S17 a kill in the middle of a transfer leaves nothing", async () => {
    await runIo(function* () {
      const { near, far } = yield* tcpPair();
      const errors: string[] = [];
      const note = (error: NodeJS.ErrnoException): void => void errors.push(error.code ?? error.message);
      const owner = spawn(function* () {
        const pair = { near: toDuplex(near), far: toDuplex(far) };
        const { client, server } = secure(pair as never, version);
        client.on("error", note);
        server.on("error", note);
        server.pipe(server);
        client.resume();
        const bytes = noise(1 << 20, 3);
        for (;;) if (!client.write(bytes)) yield* until(onceEvent(client, "drain"));
      });
      for (let i = 0; i < 60; i++) yield* nodeTurn();
      yield* stop(owner, "in the middle");
      yield* nodeTurn();
      expect(errors).toContain("COOP_KILLED");
      expect([near.closed, far.closed]).toEqual([true, true]);
      expect(ioCounts().descriptors).toBe(0);
    });
  });

  type Scenario = (secured: Secured, pair: NodePair) => Promise<void>;
  const scenarios: Readonly<Record<string, Scenario>> = {
    "both say goodbye": async ({ client, server }) => {
      client.resume();
      server.resume();
      await onceEvent(client, "secureConnect");
      client.end("done");
      await closed(client, server);
    },
    "the server says goodbye": async ({ client, server }) => {
      client.resume();
      server.resume();
      await onceEvent(client, "secureConnect");
      server.end("done");
      await closed(client, server);
    },
    "the peer is gone without a goodbye": async ({ client, server }, { far }) => {
      client.resume();
      server.resume();
      await onceEvent(client, "secureConnect");
      far.end();
      await closed(client, server);
    },
    "the connection is reset": async ({ client, server }, { reset }) => {
      client.resume();
      server.resume();
      await onceEvent(client, "secureConnect");
      await new Promise((resolve) => setTimeout(resolve, 20));
      reset();
      await closed(client, server);
    },
    "the client is destroyed": async ({ client, server }) => {
      server.resume();
      await onceEvent(client, "secureConnect");
      client.destroy();
      await closed(client, server);
    },
  };

  test.each(Object.entries(scenarios))("S16 S17 as over node:net: %s", async (name, scenario) => {
    // The answer of the peer may come before or after this side has finished.
    const unordered = name === "both say goodbye";
    const seen = async (withPair: typeof withNetPair): Promise<string[]> => {
      const log: string[] = [];
      await withPair({}, async (pair) => {
        pair.near.on("error", () => {});
        pair.far.on("error", () => {});
        const secured = secure(pair, version);
        record(secured.client, log);
        secured.server.on("error", () => {});
        watch(secured.client);
        watch(secured.server);
        await scenario(secured, pair);
      });
      // Over whatever is no net.Socket Node does not say whether it was an error; and which direction hears of a
      // reset first is chance.
      const plain = log.map((what) => what.replace(/^close .*/, "close").replace("EPIPE", "ECONNRESET"));
      return unordered ? plain.sort() : plain;
    };
    // Over node:net a reset can come out as an end, when the error was told to a write.
    const reset = ["error ECONNRESET", "close"];
    const theirs = name === "the connection is reset" ? reset : await seen(withNetPair);
    expect(theirs.length).toBeGreaterThan(0);
    expect(await seen(withOurPair)).toEqual(theirs);
  });

  const applicable = [
    ...["a byte, and several, come out as they went in", "a reader that came first gets what comes later"],
    ...["nothing can be sent, and is not received", "nothing can be asked for, and is not the end"],
    ...["all kinds of bytes are taken, and what is no bytes is refused"],
    ...["small reads get a part, and the rest stays"],
    ...["a second reader is refused, and the first one gets everything"],
    ...["a reader that is killed takes nothing with it"],
    ...Object.keys(twoWayChecks),
    "S06 one direction is ended, and the other goes on",
  ];
  const checks = { ...oneWayChecks, ...twoWayChecks, ...halfCloseChecks };

  test.each(applicable)("S01 S17 over TLS: %s", async (name) => {
    await runIo(function* () {
      const make = op(function* () {
        const { near, far } = yield* tcpPair();
        const halfOpen = { allowHalfOpen: true };
        const pair = { near: toDuplex(near, halfOpen), far: toDuplex(far, halfOpen) };
        const { client, server } = secure(pair as never, version, halfOpen as ConnectionOptions);
        server.allowHalfOpen = true;
        yield* once(client, "secureConnect");
        return { sender: fromDuplex(client), receiver: fromDuplex(server) } as unknown as OneWay;
      });
      yield* checks[name]!(make);
    });
  });
});

describe("S17 handshakes that fail, and https", () => {
  test("S17 an unknown certificate, and what is no TLS at all", async () => {
    for (const withPair of [withNetPair, withOurPair]) {
      await withPair({}, async (pair) => {
        const { client, server } = secure(pair, "TLSv1.3", { ca: [] });
        server.on("error", () => {});
        const [error] = (await onceEvent(client, "error")) as [NodeJS.ErrnoException];
        expect(error.code).toBe("DEPTH_ZERO_SELF_SIGNED_CERT");
      });
      await withPair({}, async (pair) => {
        const server = new TLSSocket(pair.far as never, { isServer: true, key, cert });
        pair.near.on("error", () => {});
        pair.near.end("GET / HTTP/1.1\r\n\r\n");
        pair.near.resume();
        const [error] = (await onceEvent(server, "error")) as [NodeJS.ErrnoException];
        expect(error.code).toBe("ERR_SSL_HTTP_REQUEST");
      });
    }
  });

  test("S17 an https server on a listener of ours, and a client over ours", async () => {
    await runIo(function* () {
      using listener = yield* listen({ host: "127.0.0.1", port: 0 });
      const server = createHttpsServer({ key, cert }, (request, response) => {
        request.pipe(response);
      });
      const serving = spawn(serveNode(listener, server));
      const owner = self();
      const body = noise(1 << 20, 7);
      for (let i = 0; i < 3; i++) {
        const request = httpsRequest({
          method: "POST",
          createConnection: () =>
            tlsConnect({
              socket: toDuplex(connect(listener.localAddress!), { owner }),
              servername: "localhost",
              ca: cert,
            }),
        });
        request.end(body);
        const [response] = yield* once<[IncomingMessage]>(request, "response");
        using answer = fromReadable(response);
        const reader = new BufferedReader(answer, { limit: 1 << 21 });
        expect((yield* reader.readExactly(body.length)).equals(body)).toBe(true);
        expect(yield* reader.read(Buffer.alloc(1))).toBe(0);
        if (!request.closed) yield* once(request, "close");
      }
      yield* stop(serving);
    });
  });
});
