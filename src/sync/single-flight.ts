/**
 * Calls for the same key that come while one is under way share it and its outcome.
 *
 * The flight is a task of the root: no caller owns it, so a caller that is killed takes nothing away from the
 * others. When the last one that waits has gone the flight is killed; who comes for the key while it cleans up
 * waits for that and begins a new one, so that there are never two. Source: seeds X-25.
 */

import { Coordinated } from "../coordinator/coordinated.ts";
import { EmbeddedList } from "../coordinator/embedded-list.ts";
import { UsageError } from "../coordinator/errors.ts";
import { type Body, describeValue, enter, type Operation, op } from "../coordinator/operation.ts";
import { nameOf } from "../coordinator/options.ts";
import { current } from "../coordinator/task/current.ts";
import { unwrapExit } from "../coordinator/task/exit.ts";
import { spawnInto } from "../coordinator/task/spawn.ts";
import type { Task } from "../coordinator/task/task.ts";
import { QueuedWait } from "./queued.ts";

export interface SingleFlightStatistics {
  /** Flights under way, or cleaning up. */
  readonly flights: number;
  /** Tasks that wait for one. */
  readonly waiting: number;
}

export class SingleFlight<K, A> {
  /** For dumps and error messages. */
  readonly name: string;
  /** @internal */ readonly flights: Map<K, Flight> = new Map();

  constructor(options?: { readonly name?: string }) {
    this.name = nameOf(options, "single flight");
  }

  statistics(): SingleFlightStatistics {
    let waiting = 0;
    for (const flight of this.flights.values()) waiting += flight.passengers.length;
    return { flights: this.flights.size, waiting };
  }

  /**
   * Waits for the flight of `key`, and runs `body` as that flight when there is none. Keys are compared as in a
   * `Map`. What the flight throws, every caller that waits gets, and nothing is remembered.
   *
   * @throws {KilledError} when somebody has killed the flight itself.
   * @example const user = yield* users.run(id, () => fetchUser(id));
   */
  run(key: K, body: Body<A>): Operation<A> {
    return new Passenger(
      this as SingleFlight<unknown, unknown>,
      key,
      body,
    ) as Operation<unknown> as Operation<A>;
  }
}

/** As a `Coordinated` it is what the end of its task is told to. */
class Flight extends Coordinated {
  /** The task that runs the body. */
  readonly flown: Task;
  readonly passengers: EmbeddedList<Passenger> = new EmbeddedList();
  private readonly flights: Map<unknown, Flight>;
  private readonly key: unknown;
  /** Everybody has left it. Who has come since waits for the next. */
  abandoned = false;

  constructor(flown: Task, flights: Map<unknown, Flight>, key: unknown) {
    super();
    this.flown = flown;
    this.flights = flights;
    this.key = key;
    flights.set(key, this);
    // Told before anybody else: nobody can board a flight that is over.
    flown.joiner = this;
  }

  override grant(): void {
    const { passengers } = this;
    this.flights.delete(this.key);
    this.flown.observe();
    if (this.abandoned) this.rebook();
    else for (let one = passengers.shift(); one !== null; one = passengers.shift()) one.grant();
  }

  /** The next flight, with the body of the first that has come for it. */
  private rebook(): void {
    let next: Flight | null = null;
    for (let one = this.passengers.shift(); one !== null; one = this.passengers.shift()) {
      const outer = current.task;
      current.task = one.task;
      try {
        next ??= one.takeOff();
        one.board(next);
      } catch (error) {
        one.fail(error);
      } finally {
        current.task = outer;
      }
    }
  }

  override fail(): void {}
  override moved(): void {}
}

/** A function is called in the flight: what it does then is the flight's doing, and no caller's. */
const fly = op(function* flight(body: Body<unknown>) {
  return yield* enter(null, body, "run()");
});

/** Not every object can be made a text. */
function labelOf(key: unknown): string {
  return typeof key === "object" || typeof key === "function" ? describeValue(key) : String(key);
}

class Passenger extends QueuedWait<unknown> {
  private readonly group: SingleFlight<unknown, unknown>;
  private readonly key: unknown;
  private readonly body: Body<unknown>;
  private flight: Flight | null = null;

  constructor(group: SingleFlight<unknown, unknown>, key: unknown, body: Body<unknown>) {
    super();
    this.group = group;
    this.key = key;
    this.body = body;
  }

  override describe(): string {
    return `${this.flight?.flown.label ?? "a flight"} in ${this.group.name}`;
  }

  override awaitedTasks(): readonly Task[] {
    return this.flight === null ? [] : [this.flight.flown];
  }

  protected override begin(task: Task): boolean {
    const flight = this.group.flights.get(this.key) ?? this.takeOff();
    if (flight.flown === task) {
      throw new UsageError("COOP_SELF_JOIN", `${task.label} cannot wait for its own end`);
    }
    this.board(flight);
    return false;
  }

  board(flight: Flight): void {
    this.flight = flight;
    flight.passengers.push(this);
  }

  takeOff(): Flight {
    const { cooperator } = this.task!;
    const name = `${this.group.name} ${labelOf(this.key)}`;
    const body = typeof this.body === "function" ? fly(this.body) : this.body;
    const flown: Task = spawnInto(cooperator, cooperator.root, body, { name, failure: "hold" });
    return new Flight(flown, this.group.flights, this.key);
  }

  protected override finish(): unknown {
    this.checkFailure();
    const { flown } = this.flight!;
    return unwrapExit(flown.exit!, flown);
  }

  override abort(): boolean {
    super.abort();
    const flight = this.flight!;
    if (flight.passengers.length === 0 && !flight.abandoned) {
      flight.abandoned = true;
      flight.flown.kill("nobody waits for it any more");
    }
    return true;
  }
}
