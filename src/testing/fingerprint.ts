/**
 * Two numbers made of everything that can be reached from some values: equal for graphs of the same shape with the
 * same contents, whatever objects they are made of. `interleave` asks with it whether a state has been met before.
 *
 * What it cannot look into it takes for equal: the variables of functions and of suspended generators. Whoever uses
 * it has to tell those in another way. Ids and counters that only grow are left out; nothing is decided by them.
 */
import { Cooperator } from "../coordinator/scheduler/cooperator.ts";
import { Task } from "../coordinator/task/task.ts";

/**
 * Fields that name or count, and decide nothing; and links of queues whose order decides nothing, or is added by itself:
 * `runNext` of ready tasks, `order` and `heapIndex` of armed timers.
 */
const LEFT_OUT = new Set(["id", "cooperator", "naming", "spawner", "runNext", "order", "heapIndex"]);

const NUMBER = 1;
const FRACTION = 2;
const TEXT = 3;
const FUNCTION = 4;
const SEEN = 5;
const END = 6;
const OTHER = 7;

export class Fingerprint {
  /** The tasks met, in the order in which they were. */
  readonly tasks: Task[] = [];
  private a = 0x9e3779b9 | 0;
  private b = 0x85ebca6b | 0;
  private readonly seen = new Map<object, number>();

  add(value: unknown): void {
    switch (typeof value) {
      case "object":
        if (value === null) this.word(OTHER);
        else this.object(value);
        return;
      case "number":
        this.number(value);
        return;
      case "string":
        this.text(value);
        return;
      case "function":
        this.word(FUNCTION);
        this.text(value.name);
        return;
      default:
        this.text(String(value));
    }
  }

  /** Of all that has been added. 64 bits: among a million states two are the same by chance once in 10⁷ times. */
  get key(): string {
    const { a, b } = this;
    return String.fromCharCode(a & 0xffff, a >>> 16, b & 0xffff, b >>> 16);
  }

  private object(value: object): void {
    const known = this.seen.get(value);
    if (known !== undefined) {
      this.word(SEEN);
      this.word(known);
      return;
    }
    this.seen.set(value, this.seen.size);
    if (value instanceof Cooperator) return;
    if (value instanceof Task) this.tasks.push(value);
    this.word(kindOf(value));
    if (value instanceof Error) this.text(`${value.name}: ${value.message}`);
    else if (value instanceof Map || value instanceof Set) {
      for (const entry of value) this.add(entry);
    } else this.fields(value as Record<string, unknown>);
    this.word(END);
  }

  private fields(value: Record<string, unknown>): void {
    // Twice as fast as over the keys; nothing here has enumerable fields on its prototype.
    for (const field in value) if (!LEFT_OUT.has(field)) this.add(value[field]);
  }

  private number(value: number): void {
    if ((value | 0) === value) {
      this.word(NUMBER);
      this.word(value);
    } else {
      this.word(FRACTION);
      this.text(String(value));
    }
  }

  private text(value: string): void {
    this.word(TEXT);
    this.word(value.length);
    for (let i = 0; i < value.length; i++) this.word(value.charCodeAt(i));
  }

  /** One to one in what came before: two that differ only become the same by what comes later. */
  private word(value: number): void {
    const a = Math.imul(this.a ^ value, 0x9e3779b1);
    this.a = a ^ (a >>> 15);
    const b = Math.imul(this.b + value, 0x85ebca77);
    this.b = b ^ (b >>> 13);
  }
}

/** A number for each class. */
const kinds = new Map<unknown, number>();

function kindOf(value: object): number {
  const of = value.constructor;
  let kind = kinds.get(of);
  if (kind === undefined) {
    kind = kinds.size;
    kinds.set(of, kind);
  }
  return kind;
}

/** One text made of several, as short as one. */
export function mixed(...parts: readonly string[]): string {
  const fingerprint = new Fingerprint();
  for (const part of parts) fingerprint.add(part);
  return fingerprint.key;
}
