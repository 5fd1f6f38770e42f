/**
 * A doubly linked list whose links live in the nodes themselves.
 *
 * Queueing allocates nothing, and a node leaves in O(1) from wherever it stands, which is what makes a
 * kill of a waiting task cheap. A node is on at most one list at a time; `list` tells which.
 * Source: seeds C-140 … C-144.
 */
import { UsageError } from "./errors.ts";

/** A node. Unlinking nulls all three fields: `list === null` is how "not queued" is checked. */
export abstract class Embedded {
  /** @internal */ before: Embedded | null = null;
  /** @internal */ after: Embedded | null = null;
  /** @internal */ list: EmbeddedList<Embedded> | null = null;
}

export class EmbeddedList<T extends Embedded> {
  private head: T | null = null;
  private tail: T | null = null;
  private count = 0;

  /** Nodes on the list. O(1). */
  get length(): number {
    return this.count;
  }

  /** The oldest node, or null. */
  peek(): T | null {
    return this.head;
  }

  /** The youngest node, or null. */
  get last(): T | null {
    return this.tail;
  }

  /** Appends at the tail. A node that is already on a list is a {@link UsageError}. */
  push(node: T): void {
    if (node.list !== null)
      throw new UsageError("COOP_LIST", "the node is already on a list; remove it first");
    const tail = this.tail;
    node.list = this as unknown as EmbeddedList<Embedded>;
    node.before = tail;
    if (tail === null) this.head = node;
    else tail.after = node;
    this.tail = node;
    this.count++;
  }

  /** Puts `node` in front of all others. A node that is already on a list is a {@link UsageError}. */
  unshift(node: T): void {
    this.push(node);
    const head = this.head!;
    if (head === node) return;
    this.tail = node.before as T;
    this.tail.after = null;
    node.before = null;
    node.after = head;
    head.before = node;
    this.head = node;
  }

  /** Takes the oldest node off, or returns null. */
  shift(): T | null {
    const node = this.head;
    if (node !== null) this.unlink(node);
    return node;
  }

  /** Takes `node` off. Returns false, and changes nothing, when it is not on this list. */
  remove(node: T): boolean {
    if (node.list !== (this as unknown)) return false;
    this.unlink(node);
    return true;
  }

  has(node: T): boolean {
    return node.list === (this as unknown);
  }

  /**
   * Calls `visit` for each node, oldest first, until it returns false. `visit` may remove the node it is
   * given, or any other; only to remove both it and the next one ends the walk there.
   */
  visit(visit: (node: T) => boolean | undefined): void {
    for (let node = this.head; node !== null; ) {
      const next = node.after as T | null;
      if (visit(node) === false) return;
      node = this.has(node) ? (node.after as T | null) : next !== null && this.has(next) ? next : null;
    }
  }

  *[Symbol.iterator](): Generator<T, void> {
    for (let node = this.head; node !== null; ) {
      const next = node.after as T | null;
      yield node;
      node = next;
    }
  }

  /** Walks the whole list and throws when a link or the count is wrong. O(n), for tests. */
  validate(): void {
    let seen = 0;
    let prev: Embedded | null = null;
    for (let node: Embedded | null = this.head; node !== null; node = node.after) {
      if (node.before !== prev || node.list !== (this as unknown)) throw new Error("broken link");
      prev = node;
      seen++;
    }
    if (prev !== this.tail || seen !== this.count) throw new Error("broken tail or count");
  }

  private unlink(node: T): void {
    const before = node.before as T | null;
    const after = node.after as T | null;
    if (before === null) this.head = after;
    else before.after = after;
    if (after === null) this.tail = before;
    else after.before = before;
    node.before = null;
    node.after = null;
    node.list = null;
    this.count--;
  }
}
