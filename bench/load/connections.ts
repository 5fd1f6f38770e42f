/**
 * What connections cost that do nothing: 10,000 of them between two processes, a task for each, beside a Node
 * `net` server. Memory is that of the server process, its resident set less what it was before, so the kernel's
 * own memory is not in it. CPU is that of the server while nothing arrives. And a program with 1,000 tasks that
 * wait and 100 idle connections, beside Node with as many timers.
 *
 * `recv` waits in a receive with a buffer of its own per connection; `receiver` in a multishot receive into
 * buffers that all share. Both processes need a descriptor per connection: see `ulimit -n`. `direct` is a server of
 * 50,000, more than a process has descriptors for: its connections lie in the tables of three rings, one for each of
 * three programs in one thread, and the clients are three processes.
 */
import { type ChildProcess, spawn as spawnProcess } from "node:child_process";
import { connect as connectNode, createServer, type Socket as NodeSocket } from "node:net";
import { createInterface } from "node:readline";
import { setTimeout as nodeSleep } from "node:timers/promises";
import { Coordinator, never, op, run, sleep, spawn, until } from "cooperator";
import { BufferRing, type ByteReader, type Listener, listen, Receiver, type Socket } from "cooperator/io";
import { alternate, type Bench, collect, compare, partArguments, type Row, runPart } from "../harness.ts";

const NAME = "load/connections";
const BUFFER = 4096;
/** Connections that are opened at once; more would not fit a listener's backlog. */
const AT_ONCE = 200;

/** Programs that share the connections of `direct`. */
const RINGS = 3;
/** Places that a table has beyond what is meant for it. */
const SPARE = 16;

type Server = "recv" | "receiver" | "net";

interface Idle {
  /** Bytes of the server process per connection. */
  readonly bytes: number;
  /** Share of one core while nothing arrives, in percent. */
  readonly cpu: number;
  /** Messages of the connections that were tried at the end, and answered. */
  readonly answered: number;
}

/** CPU time of this process while `seconds` go by, as a share of one core in percent. */
async function idleCpu(seconds: number): Promise<number> {
  // What was going on shortly before is over.
  await nodeSleep(Math.min(1000, seconds * 200));
  const before = process.cpuUsage();
  await nodeSleep(seconds * 1000);
  const { user, system } = process.cpuUsage(before);
  // The clock of the CPU time may not even move.
  return Math.max(user + system, 1) / (seconds * 1e4);
}

function resident(): number {
  collect();
  return process.memoryUsage.rss();
}

/** What the server does once it listens: has clients come, measures, has some of them speak. */
async function measure(
  ports: readonly number[],
  count: number,
  seconds: number,
  arrived: () => number,
): Promise<Idle> {
  const before = resident();
  const clients: Client[] = [];
  for (const port of ports) {
    const client = new Client(port, count / ports.length);
    clients.push(client);
    await client.next();
  }
  while (arrived() < count) await nodeSleep(10);
  const bytes = (resident() - before) / count;
  const cpu = await idleCpu(seconds);
  let answered = 0;
  for (const client of clients) answered += await client.speak();
  for (const client of clients) await client.end();
  return { bytes, cpu, answered };
}

/** A process with `count` connections to a port. It says a line when they are there, and answers each of ours. */
class Client {
  private readonly process: ChildProcess;
  private readonly lines: AsyncIterator<string>;

  constructor(port: number, count: number) {
    this.process = spawnProcess(process.execPath, partArguments(NAME, "client", [port, count]), {
      stdio: ["pipe", "pipe", "inherit"],
    });
    this.lines = createInterface({ input: this.process.stdout! })[Symbol.asyncIterator]();
  }

  async next(): Promise<string> {
    const { value, done } = await this.lines.next();
    if (done === true) throw new Error(`a client has ended with ${this.process.exitCode}; see ulimit -n`);
    return value;
  }

  /** How many of those that were told to have spoken, and got an answer. */
  async speak(): Promise<number> {
    this.process.stdin!.write("speak\n");
    return Number(await this.next());
  }

  async end(): Promise<void> {
    this.process.stdin!.end();
    await new Promise((resolve) => this.process.once("exit", resolve));
  }
}

const session = op(function* session(socket: Socket, ring: BufferRing | null) {
  using _ = socket;
  const source: ByteReader = ring === null ? socket : new Receiver(socket, ring);
  // What arrives waits in the shared buffers: a small one of its own is enough to take it out.
  const buffer = Buffer.allocUnsafeSlow(ring === null ? BUFFER : 64);
  for (;;) {
    const count = yield* source.read(buffer);
    if (count === 0) return;
    yield* socket.sendAll(buffer.subarray(0, count));
  }
});

const program = op(function* program(kind: Server, count: number, seconds: number) {
  const ring = kind === "receiver" ? new BufferRing({ size: BUFFER, count: 256 }) : null;
  using listener = yield* listen({ host: "127.0.0.1", port: 0 }, { backlog: AT_ONCE * 2 });
  const port = portOf(listener);
  let arrived = 0;
  spawn(function* () {
    for (;;) {
      spawn(session(yield* listener.accept(), ring), { failure: "report" });
      arrived++;
    }
  });
  return yield* until(measure([port], count, seconds, () => arrived));
});

function portOf({ localAddress: address }: Listener): number {
  if (address === null || !("port" in address)) throw new Error("no port");
  return address.port;
}

/** One of the programs of `direct`: serves until it is told to stop. */
const host = op(function* host(listening: (port: number) => void, came: () => void, stop: Promise<void>) {
  const ring = new BufferRing({ size: BUFFER, count: 256 });
  using listener = yield* listen({ host: "127.0.0.1", port: 0 }, { backlog: AT_ONCE * 2, direct: true });
  spawn(function* () {
    using all = listener.acceptAll();
    for (;;) {
      spawn(session(yield* all.next(), ring), { failure: "report" });
      came();
    }
  });
  listening(portOf(listener));
  yield* until(stop);
});

async function direct(count: number, seconds: number): Promise<Idle> {
  let arrived = 0;
  let stop = (): void => {};
  const stopping = new Promise<void>((resolve) => {
    stop = resolve;
  });
  const came = (): void => {
    arrived++;
  };
  const ports: number[] = [];
  const programs: Promise<unknown>[] = [];
  for (let i = 0; i < RINGS; i++) {
    await new Promise<void>((resolve, reject) => {
      const listening = (port: number): void => {
        ports.push(port);
        resolve();
      };
      const options = { ring: { directDescriptors: count / RINGS + SPARE } };
      const program = run(host(listening, came, stopping), options);
      program.catch(reject);
      programs.push(program);
    });
  }
  const idle = await measure(ports, count, seconds, () => arrived);
  stop();
  await Promise.all(programs);
  return idle;
}

async function nodeServer(count: number, seconds: number): Promise<Idle> {
  let arrived = 0;
  const server = createServer((socket) => {
    arrived++;
    socket.on("data", (bytes) => socket.write(bytes)).on("error", () => {});
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", AT_ONCE * 2, resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  const idle = await measure([address.port], count, seconds, () => arrived);
  server.close();
  return idle;
}

/** The other process: opens `count` connections, says so, and lets every hundredth speak when it is told to. */
async function client(port: number, count: number): Promise<void> {
  const sockets: NodeSocket[] = [];
  while (sockets.length < count) {
    const some = Array.from({ length: Math.min(AT_ONCE, count - sockets.length) }, () => open(port));
    sockets.push(...(await Promise.all(some)));
  }
  console.log("connected");
  for await (const _ of createInterface({ input: process.stdin })) {
    const speakers = sockets.filter((_socket, i) => i % 100 === 0);
    const answers = speakers.map(
      (socket) => new Promise<void>((resolve) => socket.once("data", () => resolve())),
    );
    for (const socket of speakers) socket.write("hello");
    await Promise.all(answers);
    console.log(answers.length);
  }
  for (const socket of sockets) socket.destroy();
}

function open(port: number): Promise<NodeSocket> {
  return new Promise((resolve, reject) => {
    const socket = connectNode(port, "127.0.0.1", () => resolve(socket));
    socket.once("error", reject);
  });
}

/** 1,000 tasks that wait in four ways, beside the connections. */
const parked = op(function* parked(tasks: number, connections: number, seconds: number) {
  const gate = new Coordinator({ held: true, name: "a gate" });
  for (let i = 0; i < tasks; i++) {
    spawn([never(), sleep("1 hour"), sleep(1e6 + i), gate.acquire()][i % 4]!);
  }
  return yield* program("recv", connections, seconds);
});

async function nodeParked(timers: number, connections: number, seconds: number): Promise<Idle> {
  const all = Array.from({ length: timers }, (_, i) => setTimeout(() => {}, 1e6 + i));
  const idle = await nodeServer(connections, seconds);
  for (const timer of all) clearTimeout(timer);
  return idle;
}

export const bench: Bench = {
  needsRing: true,
  parts: {
    recv: (count, seconds) => run(program("recv", Number(count), Number(seconds))),
    receiver: (count, seconds) => run(program("receiver", Number(count), Number(seconds))),
    direct: (count, seconds) => direct(Number(count), Number(seconds)),
    net: (count, seconds) => nodeServer(Number(count), Number(seconds)),
    client: (port, count) => client(Number(port), Number(count)),
    parked: (tasks, connections, seconds) => run(parked(Number(tasks), Number(connections), Number(seconds))),
    nodeParked: (timers, connections, seconds) =>
      nodeParked(Number(timers), Number(connections), Number(seconds)),
  },
  async rows({ rounds, size, smoke }) {
    const gc = ["--expose-gc"];
    const few = Math.min(rounds, 3);
    const count = size(10_000, 50);
    const seconds = size(5, 0) || 0.05;
    const measured = (part: string, ...args: readonly number[]) => runPart<Idle>(NAME, part, args, gc);
    // A smoke run starts fewer processes: the program with parked tasks below is the other server.
    const kinds: readonly Server[] = smoke ? ["receiver", "net"] : ["recv", "receiver", "net"];
    const idle = await alternate<string, Idle>(
      few,
      Object.fromEntries(kinds.map((kind) => [kind, () => measured(kind, count, seconds)])),
    );
    const rows: Row[] = [];
    for (const kind of kinds) {
      if (kind === "net") continue;
      const named = { peerName: "net", as: "cost", settings: `${count} connections, a task each` } as const;
      rows.push(
        compare({
          ...named,
          name: `load/connections memory of an idle one, ${kind}`,
          unit: "bytes",
          ours: idle[kind]!.map(({ bytes }) => bytes),
          peer: idle.net!.map(({ bytes }) => bytes),
          goal: { most: 8192, of: "ours" },
        }),
        compare({
          ...named,
          name: `load/connections CPU while all are idle, ${kind}`,
          unit: "% of a core",
          ours: idle[kind]!.map(({ cpu }) => cpu),
          peer: idle.net!.map(({ cpu }) => cpu),
          goal: { most: 1, of: "ours" },
        }),
      );
    }
    // Once: it takes a while, and there is no peer that could hold as many.
    const many = RINGS * size(16_667, 5);
    const held = [await measured("direct", many, seconds)];
    const beside = idle.net!.slice(0, 1);
    const settings = `${many} connections, a task each, in the tables of ${RINGS} rings; net has ${count}`;
    rows.push(
      compare({
        name: "load/connections memory of an idle one, direct",
        unit: "bytes",
        ours: held.map(({ bytes }) => bytes),
        peer: beside.map(({ bytes }) => bytes),
        peerName: "net",
        as: "cost",
        goal: { most: 8192, of: "ours" },
        settings,
      }),
      compare({
        name: "load/connections CPU while all are idle, direct",
        unit: "% of a core",
        ours: held.map(({ cpu }) => cpu),
        peer: beside.map(({ cpu }) => cpu),
        peerName: "net",
        as: "cost",
        goal: { most: 1, of: "ours" },
        settings,
      }),
    );
    const [tasks, connections, parkedSeconds] = smoke ? [50, 5, 0.05] : [1000, 100, 10];
    const waiting = await alternate<"ours" | "peer", Idle>(few, {
      ours: () => measured("parked", tasks!, connections!, parkedSeconds!),
      peer: smoke ? () => idle.net![0]! : () => measured("nodeParked", tasks!, connections!, parkedSeconds!),
    });
    rows.push(
      compare({
        name: `load/connections CPU of ${tasks} parked tasks and ${connections} idle connections`,
        unit: "% of a core",
        ours: waiting.ours.map(({ cpu }) => cpu),
        peer: waiting.peer.map(({ cpu }) => cpu),
        peerName: "timers and net",
        as: "cost",
        goal: { most: 0.5, of: "ours" },
        settings: `over ${parkedSeconds} s`,
      }),
    );
    return rows;
  },
};
