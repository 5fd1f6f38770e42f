/**
 * The load, in a process of its own: clients that send one request after the other, and connect again when
 * they are thrown out. It runs until its parent says so, or is gone, and then tells what it has seen.
 *
 *     node load.js <control socket> <clients> <port> [<port> …]
 */
import { main, never, op, sleep, spawn } from "cooperator";
import { allocate, connect, IoError } from "cooperator/io";
import { Lines, peerIsGone } from "./lines.ts";

/** What one client has seen. Its requests are numbered from 1; `sent = acknowledged + cut.length`. */
export interface ClientRecord {
  readonly client: number;
  sent: number;
  acknowledged: number;
  /** Numbers of the requests it began and saw no acknowledgement for. */
  readonly cut: number[];
  connections: number;
}

/** Sends requests until the server says something else than OK. */
const converse = op(function* converse(lines: Lines, record: ClientRecord) {
  for (;;) {
    const number = ++record.sent;
    const id = `${record.client}.${number}`;
    let acknowledged = false;
    try {
      yield* lines.write(`${id} deposit of ${number % 1000} coins`);
      const reply = yield* lines.read();
      if (reply !== `OK ${id}`) return;
      acknowledged = true;
    } finally {
      // However this ends, the request is counted as one or the other.
      if (acknowledged) record.acknowledged++;
      else record.cut.push(number);
    }
  }
});

const client = op(function* client(port: number, record: ClientRecord) {
  for (;;) {
    try {
      using socket = yield* connect({ host: "127.0.0.1", port }, { timeout: "2 seconds" });
      record.connections++;
      yield* converse(new Lines(socket, allocate(1024)), record);
    } catch (error) {
      if (!peerIsGone(error)) throw error;
    }
    yield* sleep(10 + Math.random() * 40);
  }
});

const clients = op(function* clients(ports: readonly number[], records: readonly ClientRecord[]) {
  records.forEach((record, i) => {
    spawn(client(ports[i % ports.length]!, record));
  });
  yield* never();
});

/** A connection to the parent; null when it has gone already. */
const dial = op(function* dial(path: string) {
  try {
    return yield* connect({ path });
  } catch (error) {
    if (error instanceof IoError) return null;
    throw error;
  }
});

const load = op(function* load(control: string, count: number, ports: readonly number[]) {
  using socket = yield* dial(control);
  if (socket === null) return;
  const parent = new Lines(socket, allocate(1024));
  const records: ClientRecord[] = [];
  for (let i = 0; i < count; i++) {
    records.push({ client: i, sent: 0, acknowledged: 0, cut: [], connections: 0 });
  }
  const crowd = spawn(clients(ports, records));
  const told = yield* parent.read();
  yield* crowd.killAndWait("told to stop");
  if (told === null) return;
  for (const record of records) yield* parent.write(JSON.stringify(record));
});

const [control, count, ...ports] = process.argv.slice(2);
// Ctrl-C reaches both processes; it is the parent that decides.
process.on("SIGINT", () => {});
await main(load(control!, Number(count), ports.map(Number)), { signals: ["SIGTERM"] });
