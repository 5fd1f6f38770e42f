/**
 * A descriptor number in the books of its program, apart from the object that users hold. When nothing refers to that
 * object any more it is collected, and its number is closed and reported. Operations in flight refer to it, so they
 * end first. Source: conformance R06.
 *
 * To be told of a collection costs half a microsecond, and most connections do not live that long. So the books hold
 * the object at first, and let go of it when it has seen a collection:
 *
 * ```
 *   HELD ──a collection──▶ WATCHED ──collected──▶ closed here, and reported
 *     └─────── close, release ──┴────────────────▶ forgotten
 * ```
 *
 * One that has an acceptor or the like, and one that is closing, is held all the time.
 */

import { SpawnSite } from "../../coordinator/diagnosis/trace.ts";
import { Embedded } from "../../coordinator/embedded-list.ts";
import { UsageError } from "../../coordinator/errors.ts";
import { current } from "../../coordinator/task/current.ts";
import type { Task } from "../../coordinator/task/task.ts";
import { DIRECT } from "../driver/driver.ts";
import type { IoErrorDetails } from "../errno.ts";
import type { Io } from "../io.ts";
import { closeOrphan, type Descriptor, type DescriptorKind } from "./descriptor.ts";

export class Entry extends Embedded {
  readonly io: Io;
  readonly kind: DescriptorKind;
  /** -1 once it is closed or released. */
  number: number;
  /** Never closed by us: somebody else's, such as standard input. */
  borrowed = false;
  /** What messages say about it: a path, an address. */
  details: IoErrorDetails | undefined;
  /** The object while it is held, null while it is watched. */
  held: Descriptor | null;
  private watched = false;
  /** Where it was opened, and by which task, in words; empty unless the cooperator was made with `spawnSites`. */
  readonly origin: string;

  constructor(
    descriptor: Descriptor,
    io: Io,
    number: number,
    kind: DescriptorKind,
    details: IoErrorDetails | undefined,
  ) {
    super();
    this.io = io;
    this.kind = kind;
    this.number = number;
    this.details = details;
    this.held = descriptor;
    this.origin = io.cooperator.spawnSites ? originOf(current.task) : "";
    io.entries.push(this);
    io.driver.own(number);
    if (!io.collecting) awaitCollection(io);
  }

  get label(): string {
    const { details } = this;
    const name =
      details?.path ?? (details?.address === undefined ? "" : `${details.address}:${details.port}`);
    const { number } = this;
    const place = number >= DIRECT ? `direct ${number - DIRECT}` : number;
    return `${this.kind} ${place}${name === "" ? "" : ` (${name})`}`;
  }

  /** The number is nobody's here any more. */
  forget(): void {
    if (this.watched) collected.unregister(this);
    this.io.driver.disown(this.number);
    this.number = -1;
    this.held = null;
    this.list?.remove(this);
  }

  /** Another number for the same open file: the one it had is closed. */
  renumber(number: number): void {
    const { driver } = this.io;
    const before = this.number;
    this.number = number;
    driver.own(number);
    closeOrphan(this.io, before);
  }

  /** It has seen a collection. False when that changes nothing. */
  age(): boolean {
    const { held } = this;
    if (this.watched || held === null) return false;
    this.watched = true;
    collected.register(held, this, this);
    this.letGo(held);
    return true;
  }

  /** Holds it no longer, if it was held for a reason that is gone. */
  letGo(descriptor: Descriptor): void {
    const { dependents, closing } = descriptor;
    if (this.watched && closing === null && (dependents === null || dependents.size === 0)) this.held = null;
  }

  /** Closes the number in the background; what is in flight on it has ended, or was told to. */
  close(): void {
    const { io, number, borrowed } = this;
    this.forget();
    if (!borrowed) closeOrphan(io, number);
  }
}

/** In words at once: the engine's own record of a place refers to the objects that were there. */
function originOf(task: Task | null): string {
  const { place } = new SpawnSite(null);
  return `${task === null ? "" : ` by ${task.label}`}${place === null ? "" : ` at ${place}`}`;
}

/** Descriptors that begin to be watched after one collection: a millisecond or two. The others are after the next. */
const AGED_MAX = 4096;

/** Tells of a collection: what was registered was garbage from the beginning. */
const collections: FinalizationRegistry<Io> = new FinalizationRegistry((io) => {
  io.collecting = false;
  let aged = 0;
  for (const entry of io.entries) {
    if (!entry.age() || ++aged < AGED_MAX) continue;
    awaitCollection(io);
    return;
  }
});

function awaitCollection(io: Io): void {
  io.collecting = true;
  collections.register({}, io);
}

/** The objects of these numbers are gone, and the numbers still in the books. */
const collected: FinalizationRegistry<Entry> = new FinalizationRegistry((entry) => {
  const { io, number, borrowed, label, origin } = entry;
  if (number === -1) return;
  entry.close();
  if (borrowed) return;
  const opened =
    origin === "" ? "; with spawnSites it would be said where it was opened" : `; it was opened${origin}`;
  io.cooperator.report({
    kind: "dropped",
    task: null,
    where: label,
    error: new UsageError(
      "COOP_DROPPED",
      `${label} was open when nothing referred to it any more, and has been closed: close it, or let "using" do that${opened}`,
    ),
  });
});
