/** Node's streams over direct descriptors, which have neither addresses nor options of their own. */
import { createServer } from "node:http";
import { expect, test } from "vitest";
import { spawn } from "../../src/coordinator/index.ts";
import { connect, listen } from "../../src/io/index.ts";
import { serveNode, toDuplex } from "../../src/streams/index.ts";
import { runIo, stop, tcpPair } from "../support/io.ts";

test("a direct socket is a duplex of Node's without addresses, on which options change nothing", async () => {
  await runIo(function* () {
    const { near, far } = yield* tcpPair();
    yield* near.makeDirect();
    const duplex = toDuplex(near);
    expect([duplex.remoteAddress, duplex.localPort, duplex.address()]).toEqual([undefined, undefined, {}]);
    expect(duplex.setNoDelay(false).setKeepAlive(true, 7000)).toBe(duplex);
    duplex.end("bye");
    const into = Buffer.alloc(8);
    expect(yield* far.recv(into)).toBe(3);
    yield* far.close();
    duplex.resume();
    yield* duplex.settled();
  });
});

test("Node's http server serves connections that are none of the process's", async () => {
  await runIo(function* () {
    using listener = yield* listen({ host: "127.0.0.1", port: 0 }, { direct: true });
    const server = createServer((request, response) => {
      response.end(`${request.url} ${request.socket.remoteAddress}`);
    });
    const serving = spawn(serveNode(listener, server));
    using client = yield* connect(listener.localAddress!);
    yield* client.sendAll(Buffer.from("GET /path HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));
    let text = "";
    const into = Buffer.alloc(4096);
    for (let count = yield* client.recv(into); count > 0; count = yield* client.recv(into)) {
      text += into.toString("utf8", 0, count);
    }
    expect(text).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
    expect(text).toMatch(/\/path undefined/);
    yield* stop(serving);
  });
});
