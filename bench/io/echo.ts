/**
 * A TCP echo server on loopback, one task per connection, beside a Node `net` server and a C server on
 * io_uring; and a UDP echo server, tasks that share one socket, beside `dgram`. Load comes from a C program in a process of its own: messages of one size, one on its way per
 * connection; a server's buffer is as large as a message, and 4 KiB at least. `receiver` is our server with
 * multishot receives into buffers that all connections share. Client and server share the machine, so CPU time
 * per request says more than requests per second.
 */
import { type ChildProcess, spawn as spawnProcess } from "node:child_process";
import { createSocket } from "node:dgram";
import { createServer } from "node:net";
import { createInterface } from "node:readline";
import { op, run, self, spawn } from "cooperator";
import {
  allocate,
  BufferRing,
  type ByteReader,
  type Datagram,
  ioStatistics,
  listen,
  openDatagram,
  Receiver,
  type Socket,
} from "cooperator/io";
import {
  alternate,
  type Bench,
  compare,
  compiled,
  median,
  partArguments,
  type Row,
  runNative,
} from "../harness.ts";

/** Connections, and bytes of a message. */
const LOADS: readonly (readonly [connections: number, bytes: number])[] = [
  [64, 64],
  [1, 64],
  [1024, 64],
  [64, 4096],
  [1024, 4096],
  [64, 65536],
];
const BUFFER_LEAST = 4096;
/** Sockets of the load, and bytes of a datagram. */
const DATAGRAMS: readonly [sockets: number, bytes: number] = [64, 64];
/** Tasks that receive and answer. */
const ANSWERERS = 64;

interface Load {
  readonly requests: number;
  readonly seconds: number;
  /** Microseconds. */
  readonly p50: number;
  readonly p99: number;
}

interface Usage {
  /** CPU time of the process so far, in microseconds. */
  readonly cpu: number;
  /** Native calls so far. */
  readonly calls: number;
}

interface Sample extends Load {
  readonly rate: number;
  /** Server CPU per request, in microseconds. */
  readonly cpu: number;
  readonly calls: number;
}

const session = op(function* (socket: Socket, source: ByteReader, size: number) {
  using _ = socket;
  const buffer = allocate(size);
  for (;;) {
    const count = yield* source.read(buffer);
    if (count === 0) return;
    yield* socket.sendAll(buffer.subarray(0, count));
  }
});

const echoServer = op(function* (size: number, shared: boolean) {
  const { cooperator } = self();
  const ring = shared ? new BufferRing({ size, count: Math.min(1024, (32 << 20) / size) }) : null;
  using listener = yield* listen({ host: "127.0.0.1", port: 0 });
  const address = listener.localAddress;
  answerUsage(() => ioStatistics(cooperator)?.flushes ?? 0);
  print({ port: address !== null && address.family === "ipv4" ? address.port : 0 });
  for (;;) {
    const socket = yield* listener.accept();
    const source = ring === null ? socket : new Receiver(socket, ring);
    spawn(session(socket, source, size), { failure: "report" });
  }
});

const answering = op(function* (udp: Datagram, size: number) {
  const buffer = allocate(size);
  for (;;) {
    const { count, from } = yield* udp.receive(buffer);
    yield* udp.sendTo(buffer.subarray(0, count), from!);
  }
});

const datagramServer = op(function* (size: number) {
  const { cooperator } = self();
  using udp = yield* openDatagram("127.0.0.1:0");
  const address = udp.localAddress;
  answerUsage(() => ioStatistics(cooperator)?.flushes ?? 0);
  print({ port: address !== null && address.family === "ipv4" ? address.port : 0 });
  for (let i = 1; i < ANSWERERS; i++) spawn(answering(udp, size));
  yield* answering(udp, size);
});

function dgramServer(): void {
  const socket = createSocket("udp4");
  socket.on("message", (bytes, { port, address }) => socket.send(bytes, port, address));
  socket.bind(0, "127.0.0.1", () => {
    answerUsage(() => 0);
    print({ port: socket.address().port });
  });
}

function netServer(): void {
  const server = createServer({ noDelay: true }, (socket) => {
    socket.on("data", (bytes) => socket.write(bytes));
    socket.on("error", (error) => console.error(error));
  });
  server.listen(0, "127.0.0.1", () => {
    const address = server.address();
    answerUsage(() => 0);
    print({ port: typeof address === "object" && address !== null ? address.port : 0 });
  });
}

function answerUsage(calls: () => number): void {
  process.on("SIGUSR2", () => {
    const { user, system } = process.cpuUsage();
    print({ cpu: user + system, calls: calls() });
  });
}

function print(value: object): void {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}

/** A server in a process of its own, seen from here. */
class Server {
  port = 0;
  private readonly child: ChildProcess;
  private readonly lines: AsyncIterator<string>;

  constructor(file: string, args: readonly string[]) {
    this.child = spawnProcess(file, args, { stdio: ["ignore", "pipe", "inherit"] });
    this.lines = createInterface({ input: this.child.stdout! })[Symbol.asyncIterator]();
  }

  async start(): Promise<void> {
    this.port = ((await this.read()) as { port: number }).port;
  }

  usage(): Promise<Usage> {
    this.child.kill("SIGUSR2");
    return this.read() as Promise<Usage>;
  }

  async stop(): Promise<void> {
    const gone = new Promise<void>((resolve) => this.child.once("exit", () => resolve()));
    this.child.kill("SIGKILL");
    await gone;
  }

  private async read(): Promise<unknown> {
    const line = await this.lines.next();
    if (line.done === true) throw new Error("the server is gone");
    return JSON.parse(line.value);
  }
}

async function underLoad(
  load: string,
  file: string,
  args: readonly string[],
  [connections, bytes]: readonly [number, number],
  milliseconds: number,
  transport: "tcp" | "udp" = "tcp",
): Promise<Sample> {
  const server = new Server(file, args);
  try {
    await server.start();
    const drive = (length: number) =>
      runNative<Load>(load, [server.port, connections, bytes, length, transport]);
    await drive(Math.ceil(milliseconds / 4));
    const before = await server.usage();
    const result = await drive(milliseconds);
    const after = await server.usage();
    const { requests, seconds } = result;
    return {
      ...result,
      rate: requests / seconds,
      cpu: (after.cpu - before.cpu) / requests,
      calls: (after.calls - before.calls) / requests,
    };
  } finally {
    await server.stop();
  }
}

export const bench: Bench = {
  needsRing: true,
  parts: {
    ours: (size) => run(echoServer(Number(size), false)),
    receiver: (size) => run(echoServer(Number(size), true)),
    net: () => netServer(),
    datagrams: (size) => run(datagramServer(Number(size))),
    dgram: () => dgramServer(),
  },
  async rows({ rounds, size, smoke }) {
    const load = compiled("load");
    const program = compiled("echo-server");
    if (load === null || program === null) return [];
    const rows: Row[] = [];
    const milliseconds = size(2000, 60);
    for (const setting of smoke ? LOADS.slice(0, 2) : LOADS) {
      const size = Math.max(setting[1], BUFFER_LEAST);
      const contend = (file: string, args: readonly string[]) => () =>
        underLoad(load, file, args, setting, milliseconds);
      const series = await alternate(rounds, {
        ours: contend(process.execPath, partArguments("io/echo", "ours", [size])),
        receiver: contend(process.execPath, partArguments("io/echo", "receiver", [size])),
        net: contend(process.execPath, partArguments("io/echo", "net", [])),
        c: contend(program, [String(size)]),
      });
      rows.push(...rowsOf(series, setting));
    }
    const contend = (args: readonly string[]) => () =>
      underLoad(load, process.execPath, args, DATAGRAMS, milliseconds, "udp");
    const series = await alternate(rounds, {
      ours: contend(partArguments("io/echo", "datagrams", [BUFFER_LEAST])),
      dgram: contend(partArguments("io/echo", "dgram", [])),
    });
    const [sockets, bytes] = DATAGRAMS;
    const { rate, cpu } = beside(
      `io/echo UDP, ${sockets} sockets, ${bytes} B`,
      series.ours,
      "dgram",
      series.dgram,
    );
    return [...rows, compare(rate), compare({ ...cpu, as: "gain" })];
  },
};

const of = (samples: readonly Sample[], key: keyof Sample) => samples.map((sample) => sample[key]);
const latencies = (samples: readonly Sample[]) =>
  `${median(of(samples, "p50")).toFixed(0)}/${median(of(samples, "p99")).toFixed(0)}`;

/** Requests per second and CPU time of the server, ours beside a peer's. */
function beside(name: string, ours: readonly Sample[], peerName: string, peer: readonly Sample[]) {
  return {
    rate: {
      name: `${name}, req/s beside ${peerName}`,
      unit: "req/s",
      ours: of(ours, "rate"),
      peer: of(peer, "rate"),
      peerName,
      as: "rate" as const,
      settings: `p50/p99 ${latencies(ours)} beside ${latencies(peer)} µs`,
    },
    cpu: {
      name: `${name}, server CPU beside ${peerName}`,
      unit: "µs",
      ours: of(ours, "cpu"),
      peer: of(peer, "cpu"),
      peerName,
      settings: `${median(of(ours, "calls")).toFixed(3)} native calls per request`,
    },
  };
}

function rowsOf(
  series: Record<"ours" | "receiver" | "net" | "c", Sample[]>,
  [connections, bytes]: readonly [number, number],
): Row[] {
  const busy = connections === 64 && bytes === 64;
  const what = connections === 1 ? "1 connection" : `${connections} connections`;
  const name = `io/echo ${what}, ${bytes < 1024 ? `${bytes} B` : `${bytes / 1024} KiB`}`;
  const { ours, receiver, net, c } = series;
  const node = beside(name, ours, "net", net);
  const native = beside(name, ours, "C io_uring", c);
  const { cpu: multishot } = beside(name, ours, "a Receiver", receiver);
  return [
    compare({ ...node.rate, ...(busy ? { floor: { least: 1.5 } } : {}) }),
    compare({ ...node.cpu, as: "gain", ...(busy ? { goal: { least: 1.7 } } : {}) }),
    compare(native.rate),
    compare({ ...native.cpu, as: "cost", ...(busy ? { goal: { most: 1.4 } } : {}) }),
    compare({ ...multishot, as: "gain" }),
  ];
}
