/** A slab beside a Map, over millions of random operations: the same answers, and no more places than it needs. */
import { describe, expect, test } from "vitest";
import { Slab } from "../../src/handle/index.ts";
import { Dice } from "../../src/testing/simulation/dice.ts";
import { thrownBy } from "../support/io.ts";

const OPERATIONS = process.env.COOP_LANE === "ci" ? 10_000_000 : 200_000;
/** Names that are remembered after their end. */
const STALE_MAX = 1024;
/** Operations after which it becomes likelier that there are more objects, or fewer. */
const PHASE = 5000;

interface Thing {
  index: number;
  generation: number;
}

const nameOf = ({ index, generation }: Thing): number => index * 4294967296 + (generation >>> 0);

class Model {
  readonly limit: number;
  readonly slab: Slab<Thing>;
  readonly dice: Dice;
  /** What there is, by name; and the same as a list to pick from. */
  readonly byName = new Map<number, Thing>();
  readonly live: Thing[] = [];
  readonly stale: Thing[] = [];
  most = 0;

  constructor(limit: number, seed: number) {
    this.limit = limit;
    this.slab = new Slab(limit);
    this.dice = new Dice(seed);
  }

  same(what: string, found: unknown, expected: unknown): void {
    if (found !== expected) throw new Error(`${what}: ${String(found)}, not ${String(expected)}`);
  }

  run(operations: number): void {
    const { dice } = this;
    for (let i = 0; i < operations; i++) {
      const growing = Math.floor(i / PHASE) % 2 === 0;
      const choice = dice.next(10);
      if (choice < (growing ? 4 : 2)) this.claim();
      else if (choice < 6) this.free();
      else if (choice === 6) this.renew();
      else this.look();
      this.same("objects", this.slab.live, this.byName.size);
    }
  }

  claim(): void {
    if (this.live.length === this.limit) {
      this.same(
        "a full slab",
        thrownBy(() => this.slab.claim({ index: 0, generation: 0 })).code,
        "COOP_LIMIT",
      );
      return;
    }
    const thing = { index: 0, generation: 0 };
    thing.index = this.slab.claim(thing);
    thing.generation = this.slab.generation(thing.index);
    this.add(thing);
    this.most = Math.max(this.most, this.live.length);
  }

  private add(thing: Thing): void {
    this.same("a name that is in use", this.byName.has(nameOf(thing)), false);
    this.byName.set(nameOf(thing), thing);
    this.live.push(thing);
  }

  /** Takes one out of the lists, and remembers its name. */
  private drop(at: number): Thing {
    const { live, stale } = this;
    const thing = live[at]!;
    live[at] = live[live.length - 1]!;
    live.pop();
    this.byName.delete(nameOf(thing));
    const { index, generation } = thing;
    if (stale.length < STALE_MAX) stale.push({ index, generation });
    else stale[this.dice.next(STALE_MAX)] = { index, generation };
    return thing;
  }

  free(): void {
    const { live, dice, slab } = this;
    if (live.length === 0) return;
    const { index, generation } = this.drop(dice.next(live.length));
    this.same("free", slab.free(index, generation), true);
    this.same("free again", slab.free(index, generation), false);
  }

  renew(): void {
    const { live, dice, slab } = this;
    if (live.length === 0) return;
    const thing = this.drop(dice.next(live.length));
    thing.generation = slab.renew(thing.index);
    this.add(thing);
  }

  look(): void {
    const { live, stale, dice, slab } = this;
    const alive = dice.chance(0.5);
    const from = alive ? live : stale;
    if (from.length === 0) return;
    const thing = from[dice.next(from.length)]!;
    const { index, generation } = thing;
    this.same("get", slab.get(index, generation), alive ? thing : null);
    if (!alive) this.same("free of what is gone", slab.free(index, generation), false);
  }

  end(): void {
    while (this.live.length > 0) this.free();
    this.same("objects at the end", this.slab.live, 0);
    for (const { index, generation } of this.stale) this.same("get", this.slab.get(index, generation), null);
  }
}

describe("N07 random operations", () => {
  test.each([3, 64, 5000])(
    `N07 ${OPERATIONS / 4} of them on at most %i objects`,
    (limit) => {
      const model = new Model(limit, limit);
      model.run(OPERATIONS / 4);
      model.end();
      expect(model.most).toBeGreaterThan(Math.min(limit, 1000) - 1);
      // It doubles: there are never more places than for twice the most that there ever were, nor beyond the limit.
      expect(model.slab.capacity).toBeLessThanOrEqual(Math.min(limit, Math.max(64, 2 * model.most)));
    },
    60_000,
  );

  test(`N07 ${OPERATIONS / 4} of them without a limit that is met`, () => {
    const model = new Model(1 << 20, 4);
    model.run(OPERATIONS / 4);
    model.end();
    expect(model.slab.capacity).toBeLessThanOrEqual(2 * model.most);
  }, 60_000);

  test("N07 control: a place that keeps its generation is found", () => {
    const model = new Model(10, 1);
    const generations = (): Int32Array => (model.slab as unknown as { generations: Int32Array }).generations;
    const free = model.slab.free.bind(model.slab);
    model.slab.free = (index, generation) => {
      const freed = free(index, generation);
      if (freed) generations()[index] = generation;
      return freed;
    };
    expect(() => model.run(10_000)).toThrow(/free of what is gone|free again|get|in use/);
  });
});
