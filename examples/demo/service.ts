/** The course of the demo: start everything, kill a tenant now and then, shut down. */
import { join } from "node:path";
import {
  defer,
  dumpTree,
  group,
  now,
  op,
  Signal,
  self,
  sleep,
  sleepUntil,
  spawn,
  type Task,
  timeout,
} from "cooperator";
import { BufferPool, ioStatistics, open } from "cooperator/io";
import { Journal } from "./journal.ts";
import type { ClientRecord } from "./load.ts";
import { loadProcess } from "./load-process.ts";
import type { Screen } from "./screen.ts";
import { type Shared, server, Tenant } from "./server.ts";
import { integer, milliseconds, percentile } from "./table.ts";
import { foldTree } from "./tree.ts";

export interface Plan {
  readonly directory: string;
  /** How long there is traffic. */
  readonly seconds: number;
  readonly clients: number;
}

/** What is left when the tree is gone, however it went. */
export interface Outcome {
  readonly records: ClientRecord[];
  /** Milliseconds from the request to the end, one for each session that was killed. */
  readonly kills: number[];
  /** Sessions that ended in the shutdown, and the milliseconds it took. */
  shutdown: { readonly sessions: number; readonly took: number } | null;
  journal: Journal | null;
  pool: BufferPool | null;
  /** Milliseconds of traffic. */
  traffic: number;
}

const TENANTS = ["red", "green", "blue", "gold"];
/** Time for clean-up in the shutdown. */
const GRACE = "2 seconds";

export const journalPath = (plan: Plan): string => join(plan.directory, "journal");

export const service = op(function* service(plan: Plan, outcome: Outcome, screen: Screen) {
  const file = yield* open(journalPath(plan), "ax");
  // A defer and not `using`: the file is closed when every child is gone that may write to it.
  defer(file.close());
  const journal = new Journal(file);
  const pool = new BufferPool({ size: 1024, count: plan.clients + 64 });
  outcome.journal = journal;
  outcome.pool = pool;
  const crowded = new Signal({ name: "all clients" });
  const shared: Shared = { journal, pool, answered: 0, clients: plan.clients, crowded, begun: 0 };
  const tenants = TENANTS.map((name) => new Tenant(name));

  spawn(journal.run(), { name: "journal" });
  const running = spawn(server(tenants, shared), { name: "server" });
  for (const tenant of tenants) yield* tenant.ready.wait();
  const ports = tenants.map((tenant) => tenant.port);
  const load = spawn(loadProcess(join(plan.directory, "control"), plan.clients, ports, outcome.records), {
    name: "load",
  });
  const view = spawn(watch(screen, shared, self()), { name: "view" });
  const started = now();
  defer(() => {
    if (outcome.traffic === 0) outcome.traffic = performance.now() - started;
  });
  yield* timeout("20 seconds", crowded.wait());
  yield* sleep(plan.seconds * 1000 * 0.2);
  const rounds = Math.max(1, Math.floor(plan.seconds * 0.8));
  for (let round = 0; round < rounds; round++) {
    const next = now() + (plan.seconds * 1000 * 0.8) / rounds;
    yield* killTenant(tenants[round % tenants.length]!, outcome, screen);
    yield* sleepUntil(next);
  }

  outcome.traffic = now() - started;
  const sessions = tenants.reduce((sum, tenant) => sum + tenant.sessions.size, 0);
  screen.event(`shutting down with ${sessions} sessions in mid-traffic; they have ${GRACE}`);
  const shutdown = now();
  yield* running.killAndWait("the demo is over", { within: GRACE });
  outcome.shutdown = { sessions, took: now() - shutdown };
  yield* load.killAndWait("the demo is over", { within: "5 seconds" });
  view.kill();
});

/** Kills a tenant with all its sessions, and notes for each how long it took to be gone. */
const killTenant = op(function* killTenant(tenant: Tenant, outcome: Outcome, screen: Screen) {
  const { task } = tenant;
  if (task === null || task.exit !== null) return;
  const sessions = [...tenant.sessions];
  let requested = 0;
  const latencies = yield* group(function* (g) {
    const watchers = sessions.map((session) => g.spawn(ended(session)));
    requested = now();
    yield* task.killAndWait(`tenant ${tenant.name} is suspended`, { within: GRACE });
    const times: number[] = [];
    for (const watcher of watchers) times.push((yield* watcher.join()) - requested);
    return times;
  });
  outcome.kills.push(...latencies);
  const took = milliseconds(now() - requested);
  screen.event(
    `killed tenant ${tenant.name}: ${sessions.length} sessions, p50 ${milliseconds(percentile(latencies, 0.5))}, all gone after ${took}`,
  );
});

const ended = op(function* ended(task: Task) {
  yield* task.settled();
  return now();
});

/** Draws the tree. Looking at it changes nothing. */
const watch = op(function* watch(screen: Screen, shared: Shared, root: Task) {
  const { cooperator } = root;
  let before = { at: now(), answered: 0 };
  for (;;) {
    yield* sleep(screen.interval);
    const after = { at: now(), answered: shared.answered };
    const rate = ((after.answered - before.answered) * 1000) / (after.at - before.at);
    before = after;
    const { live, inflight } = cooperator.statistics();
    const { journal, pool } = shared;
    screen.frame([
      `${integer(rate)} requests/s   ${live} tasks   ${inflight} operations in flight   ` +
        `${pool.statistics().total - pool.statistics().free} buffers lent   ` +
        `${ioStatistics(cooperator)?.descriptors ?? 0} descriptors   ` +
        `${(journal.entries / Math.max(1, journal.batches)).toFixed(0)} entries per fsync`,
      ...foldTree(dumpTree([root])),
    ]);
  }
});
