/**
 * A journal as a service: one task per connection, one task per tenant above its connections, one supervisor
 * per tenant above that.
 *
 * ```
 * client: <id> <text>      server: OK <id>        the entry is on the device
 *                          server: BYE <reason>   the session was killed
 * ```
 */
import {
  ClosedError,
  DeadlineError,
  defer,
  never,
  op,
  Signal,
  self,
  sleep,
  spawn,
  type Task,
} from "cooperator";
import { type BufferPool, listen, type Socket } from "cooperator/io";
import type { Journal } from "./journal.ts";
import { Lines, peerIsGone } from "./lines.ts";

/** Pause before a tenant that was killed is started again. */
const RESTART_PAUSE = "150 millis";

export class Tenant {
  readonly name: string;
  port = 0;
  /** Notified when its port is known. */
  readonly ready: Signal;
  /** The task that accepts; killing it kills the tenant's sessions. */
  task: Task | null = null;
  readonly sessions = new Set<Task>();

  constructor(name: string) {
    this.name = name;
    this.ready = new Signal({ name: `port of ${name}` });
  }
}

/** What all sessions share. */
export interface Shared {
  readonly journal: Journal;
  readonly pool: BufferPool;
  /** Replies sent. */
  answered: number;
  /** Clients that are expected. */
  readonly clients: number;
  /** Notified when so many sessions have begun. */
  readonly crowded: Signal;
  /** Sessions begun so far. */
  begun: number;
}

/** Runs the tenants, each under a supervisor, until it is killed. */
export const server = op(function* server(tenants: readonly Tenant[], shared: Shared) {
  for (const tenant of tenants) spawn(supervise(tenant, shared), { name: `supervisor of ${tenant.name}` });
  yield* never();
});

/** Starts the tenant again whenever it has been killed. An error is another matter: it goes up by itself. */
const supervise = op(function* supervise(tenant: Tenant, shared: Shared) {
  for (;;) {
    const task = spawn(acceptor(tenant, shared), { name: `tenant ${tenant.name}` });
    tenant.task = task;
    yield* task.settled();
    yield* sleep(RESTART_PAUSE);
  }
});

const acceptor = op(function* acceptor(tenant: Tenant, shared: Shared) {
  using listener = yield* listen({ host: "127.0.0.1", port: tenant.port });
  const address = listener.localAddress;
  if (address !== null && address.family !== "unix") tenant.port = address.port;
  tenant.ready.notify();
  for (;;) {
    const socket = yield* listener.accept();
    // "now": the session owns its socket before anything else can happen.
    spawn(session(socket, tenant, shared), { start: "now", failure: "report" });
  }
});

const session = op(function* session(socket: Socket, tenant: Tenant, shared: Shared) {
  const task = self();
  tenant.sessions.add(task);
  if (++shared.begun === shared.clients) shared.crowded.notify();
  // In the reverse order, and whatever happens: the goodbye, the close, the entry in the set.
  defer(() => tenant.sessions.delete(task));
  defer(socket.close());
  defer(sayGoodbye(socket, task));
  using lease = yield* shared.pool.claim();
  const lines = new Lines(socket, lease.bytes);
  try {
    for (;;) {
      const line = yield* lines.read();
      if (line === null) return;
      yield* shared.journal.append(line);
      yield* lines.write(`OK ${line.slice(0, line.indexOf(" "))}`);
      shared.answered++;
    }
  } catch (error) {
    if (!peerIsGone(error)) throw error;
  }
});

/** Clean-up may wait: the killed session still tells its client why. A client that does not read is not waited for. */
const sayGoodbye = op(function* sayGoodbye(socket: Socket, task: Task) {
  if (task.cause === null) return;
  try {
    yield* socket.sendAll(Buffer.from(`BYE ${task.cause.reason}\n`), { timeout: "250 millis" });
  } catch (error) {
    // Broken: the kill met the session in the middle of a reply.
    if (!(peerIsGone(error) || error instanceof ClosedError || error instanceof DeadlineError)) throw error;
  }
});
