/**
 * One connection to a host with several addresses: attempts begin one after the other, a little apart, and the
 * first that succeeds is kept (RFC 8305, "happy eyeballs"). The others are cancelled and closed.
 */
import { combineErrors, DeadlineError } from "../../coordinator/errors.ts";
import { type Group, group } from "../../coordinator/group/group.ts";
import { type Operation, op } from "../../coordinator/operation.ts";
import { Signal } from "../../coordinator/signal.ts";
import type { Task } from "../../coordinator/task/task.ts";
import { timeout } from "../../time/timeout.ts";
import type { InetAddress } from "./address.ts";
import type { Socket } from "./stream-socket.ts";

/** Connects to one address, and leaves nothing behind when it does not succeed. */
export type Attempt = (address: InetAddress) => Operation<Socket>;

class Race {
  winner: Socket | null = null;
  running = 0;
  readonly errors: unknown[] = [];
  /** Notified when an attempt has ended. */
  news = new Signal();
}

/**
 * @param delay Time an attempt has before the next one begins beside it.
 * @throws the error of the first attempt, those of the others on its `errors`, when all have failed.
 */
export const dial: (
  addresses: readonly InetAddress[],
  attempt: Attempt,
  delay: number | string,
) => Operation<Socket> = op(function* dial(
  addresses: readonly InetAddress[],
  attempt: Attempt,
  delay: number | string,
) {
  const race = new Race();
  let taken = false;
  try {
    yield* group((g: Group) => run(g, race, addresses, attempt, delay), { name: "dial" });
    if (race.winner === null) throw combineErrors(race.errors);
    taken = true;
    return race.winner;
  } finally {
    if (!taken) race.winner?.[Symbol.dispose]();
  }
});

const run = op(function* attempts(
  g: Group,
  race: Race,
  addresses: readonly InetAddress[],
  attempt: Attempt,
  delay: number | string,
) {
  const tasks: Task<void>[] = [];
  for (const address of addresses) {
    race.running++;
    tasks.push(g.spawn(one(race, address, attempt), { start: "now" }));
    // What fails earlier than that has its successor at once.
    if (race.winner === null && race.running > 0 && tasks.length < addresses.length) {
      yield* newsWithin(race, delay);
    }
    if (race.winner !== null) break;
  }
  while (race.winner === null && race.running > 0) {
    race.news = new Signal({ name: "an attempt to connect" });
    yield* race.news.wait();
  }
  for (const task of tasks) task.kill("another attempt has succeeded");
});

const newsWithin = op(function* wait(race: Race, delay: number | string) {
  race.news = new Signal({ name: "an attempt to connect" });
  try {
    yield* timeout(delay, race.news.wait());
  } catch (error) {
    if (!(error instanceof DeadlineError)) throw error;
  }
});

const one = op(function* attempt(race: Race, address: InetAddress, connect: Attempt) {
  try {
    const socket = yield* connect(address);
    // Two may succeed in the same turn.
    if (race.winner === null) race.winner = socket;
    else socket[Symbol.dispose]();
  } catch (error) {
    race.errors.push(error);
  } finally {
    race.running--;
    race.news.notify();
  }
});
