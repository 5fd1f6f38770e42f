/**
 * Node's own http server answering "hello world", on a listener of ours and on its own: what it costs to have Node's
 * protocols over our sockets. Load comes from a process of its own, 64 connections that are kept alive with one request
 * on its way each. Client and server share the machine, so CPU time per request says more than requests per second.
 */
import { type ChildProcess, spawn as spawnProcess } from "node:child_process";
import { createServer } from "node:http";
import { connect } from "node:net";
import { createInterface } from "node:readline";
import { op, run } from "cooperator";
import { listen } from "cooperator/io";
import { serveNode } from "cooperator/streams";
import { alternate, type Bench, compare, partArguments } from "../harness.ts";

const CONNECTIONS = 64;
const REQUEST = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

const makeServer = (): ReturnType<typeof createServer> =>
  createServer((_request, response) => {
    response.setHeader("Content-Type", "text/plain");
    response.end("hello world");
  });

const overOurs = op(function* () {
  using listener = yield* listen({ host: "127.0.0.1", port: 0 });
  announce((listener.localAddress as { port: number }).port);
  return yield* serveNode(listener, makeServer());
});

function overNet(): void {
  const server = makeServer();
  server.listen(0, "127.0.0.1", () => announce((server.address() as { port: number }).port));
}

function announce(port: number): void {
  process.on("SIGUSR2", () => {
    const { user, system } = process.cpuUsage();
    print({ cpu: user + system });
  });
  print({ port });
}

function print(value: object): void {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}

/** Requests that were answered in so many milliseconds. An answer ends with the text it has. */
async function load(port: number, milliseconds: number): Promise<{ requests: number; seconds: number }> {
  let requests = 0;
  const begin = performance.now();
  const end = begin + milliseconds;
  const one = (): Promise<void> =>
    new Promise((resolve, reject) => {
      const socket = connect({ port, host: "127.0.0.1", noDelay: true }, () => socket.write(REQUEST));
      socket.on("error", reject);
      socket.on("data", (chunk: Buffer) => {
        if (chunk.at(-1) !== 100) return;
        requests++;
        if (performance.now() < end) socket.write(REQUEST);
        else socket.destroy();
      });
      socket.on("close", () => resolve());
    });
  await Promise.all(Array.from({ length: CONNECTIONS }, one));
  return { requests, seconds: (performance.now() - begin) / 1000 };
}

interface Sample {
  readonly rate: number;
  /** Server CPU per request, in microseconds. */
  readonly cpu: number;
}

async function sample(part: string, milliseconds: number): Promise<Sample> {
  const child: ChildProcess = spawnProcess(process.execPath, partArguments("io/http", part, []), {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]();
  const read = async (): Promise<Record<string, number>> => JSON.parse((await lines.next()).value as string);
  const usage = async (): Promise<number> => {
    child.kill("SIGUSR2");
    return (await read()).cpu!;
  };
  try {
    const port = (await read()).port!;
    await load(port, milliseconds / 2);
    const before = await usage();
    const { requests, seconds } = await load(port, milliseconds);
    return { rate: requests / seconds, cpu: ((await usage()) - before) / requests };
  } finally {
    const gone = new Promise((resolve) => child.once("exit", resolve));
    child.kill("SIGKILL");
    await gone;
  }
}

export const bench: Bench = {
  needsRing: true,
  parts: { ours: () => run(overOurs()), net: () => overNet() },
  async rows({ rounds, size }) {
    const milliseconds = size(2000, 60);
    const { ours, net } = await alternate(rounds, {
      ours: () => sample("ours", milliseconds),
      net: () => sample("net", milliseconds),
    });
    const of = (samples: readonly Sample[], key: keyof Sample): number[] => samples.map((one) => one[key]);
    const name = `io/http hello world, ${CONNECTIONS} connections`;
    return [
      compare({
        name: `${name}, req/s beside node:http over net`,
        unit: "req/s",
        ours: of(ours, "rate"),
        peer: of(net, "rate"),
        peerName: "net",
        as: "rate",
      }),
      compare({
        name: `${name}, server CPU beside node:http over net`,
        unit: "µs",
        ours: of(ours, "cpu"),
        peer: of(net, "cpu"),
        peerName: "net",
        as: "cost",
      }),
    ];
  },
};
