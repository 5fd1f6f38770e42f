/** Slab: against a Map, and at its edges. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { UsageError } from "../../src/coordinator/errors.ts";
import { Slab } from "../../src/handle/index.ts";
import { Handle, nop, setupNop } from "../../src/io/index.ts";
import type { VirtualRuntime } from "../../src/testing/virtual.ts";
import { type FakeRing, onFakeRing, type Sqe } from "../support/fake-ring.ts";
import { expectError, thrownBy } from "../support/io.ts";

interface Thing {
  readonly name: number;
}

interface Reference {
  readonly index: number;
  readonly generation: number;
}

let names = 0;
const thing = (): Thing => ({ name: names++ });

function claim(slab: Slab<Thing>, value: Thing): Reference {
  const index = slab.claim(value);
  return { index, generation: slab.generation(index) };
}

/** Where the generation of a place is set by hand, to come to the ends of its range. */
function setGeneration(slab: unknown, index: number, generation: number): void {
  (slab as { generations: Int32Array }).generations[index] = generation;
}

describe("Slab", () => {
  test("N01 a place comes back, a name never does", () => {
    const slab = new Slab<Thing>(4);
    const seen = new Set<string>();
    for (let i = 0; i < 1000; i++) {
      const { index, generation } = claim(slab, thing());
      expect(index).toBeLessThan(4);
      const name = `${index} ${generation}`;
      expect(seen.has(name)).toBe(false);
      seen.add(name);
      expect(slab.free(index, generation)).toBe(true);
    }
  });

  test("N02 a stale reference gets nothing and frees nothing", () => {
    const slab = new Slab<Thing>(1);
    const first = claim(slab, thing());
    slab.free(first.index, first.generation);
    expect(slab.get(first.index, first.generation)).toBeNull();
    const value = thing();
    const second = claim(slab, value);
    expect(second.index).toBe(first.index);
    expect(slab.get(first.index, first.generation)).toBeNull();
    expect(slab.free(first.index, first.generation)).toBe(false);
    expect(slab.get(second.index, second.generation)).toBe(value);
    expect(slab.live).toBe(1);
  });

  test("N02 so does one that never was", () => {
    const slab = new Slab<Thing>(100);
    expect(slab.get(0, 0)).toBeNull();
    const { index, generation } = claim(slab, thing());
    for (const [i, g] of [
      [-1, generation],
      [slab.capacity, 0],
      [1e9, 0],
      [index + 1, 0],
      [index, generation + 1],
      [0.5, 0],
      [Number.NaN, 0],
    ]) {
      expect(slab.get(i, g)).toBeNull();
      expect(slab.free(i, g)).toBe(false);
    }
    expect(slab.live).toBe(1);
  });

  test("N03 a second free is refused, and the free list stays a list", () => {
    const slab = new Slab<Thing>(64);
    const references = Array.from({ length: 64 }, () => claim(slab, thing()));
    for (const { index, generation } of references) {
      expect(slab.free(index, generation)).toBe(true);
      expect(slab.free(index, generation)).toBe(false);
    }
    expect(slab.live).toBe(0);
    // All places, each once.
    const again = new Set(Array.from({ length: 64 }, () => slab.claim(thing())));
    expect(again.size).toBe(64);
  });

  test("N05 references stay good when it grows", () => {
    const slab = new Slab<Thing>(100_000);
    const kept = new Map<Thing, Reference>();
    let capacity = slab.capacity;
    let grown = 0;
    for (let i = 0; i < 5000; i++) {
      const value = thing();
      kept.set(value, claim(slab, value));
      if (slab.capacity !== capacity) {
        capacity = slab.capacity;
        grown++;
        for (const [of, { index, generation }] of kept) expect(slab.get(index, generation)).toBe(of);
      }
    }
    expect(grown).toBeGreaterThan(3);
    expect(slab.live).toBe(5000);
  });

  test("N06 full, it says so, and goes on when there is room", () => {
    for (const limit of [1, 3, 64, 65, 100]) {
      const slab = new Slab<Thing>(limit);
      const references = Array.from({ length: limit }, () => claim(slab, thing()));
      const error = thrownBy(() => slab.claim(thing()));
      expectError(error, UsageError, "COOP_LIMIT", new RegExp(`more than ${limit} at once`));
      expect(slab.live).toBe(limit);
      expect(slab.capacity).toBe(limit);
      const { index, generation } = references[limit >> 1];
      slab.free(index, generation);
      expect(slab.claim(thing())).toBe(index);
      expect(thrownBy(() => slab.claim(thing())).code).toBe("COOP_LIMIT");
    }
  });

  test("N08 the place that was freed first is used first", () => {
    const slab = new Slab<Thing>(64);
    const references = Array.from({ length: 64 }, () => claim(slab, thing()));
    const order = [5, 0, 63, 17];
    for (const at of order) slab.free(references[at].index, references[at].generation);
    expect(order.map(() => slab.claim(thing()))).toEqual(order.map((at) => references[at].index));
  });

  test("N09 generations run through the whole range of 32 bits and around its end", () => {
    const slab = new Slab<Thing>(1);
    claim(slab, thing());
    for (const [from, to] of [
      [0x7fff_ffff, -0x8000_0000],
      [-1, 0],
      [0x7fff_fffe, 0x7fff_ffff],
      [-0x8000_0000, -0x7fff_ffff],
    ]) {
      setGeneration(slab, 0, from);
      expect(slab.get(0, from)).not.toBeNull();
      expect(slab.renew(0)).toBe(to);
      expect(slab.get(0, from)).toBeNull();
      expect(slab.get(0, to)).not.toBeNull();
      setGeneration(slab, 0, from);
      expect(slab.free(0, from)).toBe(true);
      slab.claim(thing());
      expect(slab.generation(0)).toBe(to);
    }
  });

  test("renew ends a name and leaves the object where it is", () => {
    const slab = new Slab<Thing>(2);
    const value = thing();
    const { index, generation } = claim(slab, value);
    const next = slab.renew(index);
    expect(slab.get(index, generation)).toBeNull();
    expect(slab.free(index, generation)).toBe(false);
    expect(slab.get(index, next)).toBe(value);
    expect(slab.live).toBe(1);
  });

  test("visit comes to every object once", () => {
    const slab = new Slab<Thing>(10);
    const values = [thing(), thing(), thing()];
    const references = values.map((value) => claim(slab, value));
    slab.free(references[1].index, references[1].generation);
    const seen: Thing[] = [];
    slab.visit((value) => seen.push(value));
    expect(seen).toEqual([values[0], values[2]]);
  });

  /** Any sequence of claims, frees and looks, with live and stale references, on a slab and on a Map. */
  test("N01 N02 N03 N05 N06 behaves as a Map does, whatever is done to it", () => {
    const step = fc.oneof(
      { weight: 9, arbitrary: fc.constant({ do: "claim" as const, pick: 0 }) },
      { weight: 4, arbitrary: fc.record({ do: fc.constant("free" as const), pick: fc.nat() }) },
      { weight: 2, arbitrary: fc.record({ do: fc.constant("renew" as const), pick: fc.nat() }) },
      { weight: 3, arbitrary: fc.record({ do: fc.constant("get" as const), pick: fc.nat() }) },
    );
    let refused = 0;
    let stale = 0;
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 90 }),
        fc.array(step, { minLength: 40, maxLength: 500, size: "max" }),
        (limit, steps) => {
          const slab = new Slab<Thing>(limit);
          const model = new Map<string, Thing>();
          const ever: Reference[] = [];
          const nameOf = ({ index, generation }: Reference): string => `${index} ${generation}`;
          const note = (reference: Reference, value: Thing): void => {
            expect(model.has(nameOf(reference))).toBe(false);
            model.set(nameOf(reference), value);
            ever.push(reference);
          };
          for (const { do: what, pick } of steps) {
            if (what === "claim") {
              const value = thing();
              if (model.size === limit) {
                refused++;
                expect(() => slab.claim(value)).toThrow(UsageError);
              } else note(claim(slab, value), value);
            } else if (ever.length > 0) {
              const reference = ever[pick % ever.length];
              const known = model.get(nameOf(reference)) ?? null;
              if (known === null) stale++;
              expect(slab.get(reference.index, reference.generation)).toBe(known);
              if (what === "free") {
                expect(slab.free(reference.index, reference.generation)).toBe(known !== null);
                model.delete(nameOf(reference));
              } else if (what === "renew" && known !== null) {
                model.delete(nameOf(reference));
                note({ index: reference.index, generation: slab.renew(reference.index) }, known);
              }
            }
            expect(slab.live).toBe(model.size);
            expect(slab.capacity).toBeLessThanOrEqual(limit);
          }
          const visited = new Set<Thing>();
          slab.visit((value) => visited.add(value));
          expect(visited).toEqual(new Set(model.values()));
          for (const reference of ever) slab.free(reference.index, reference.generation);
          expect(slab.live).toBe(0);
        },
      ),
      { numRuns: 100, seed: 7 },
    );
    // The edges were met.
    expect(refused).toBeGreaterThan(10);
    expect(stale).toBeGreaterThan(1000);
  });
});

describe("the driver's use of it", () => {
  function setUp(): { rt: VirtualRuntime; kernel: FakeRing; held: Sqe[]; slab: object } {
    const { rt, ring: kernel, driver } = onFakeRing();
    const held: Sqe[] = [];
    kernel.serve = (sqe) => held.push(sqe);
    return { rt, kernel, held, slab: (driver as unknown as { slab: object }).slab };
  }

  test("N09 every pattern of bits of the name goes to the kernel and back", () => {
    const { rt, kernel, held, slab } = setUp();
    let count = 0;
    const task = rt.cooperator.spawn(function* () {
      for (;;) {
        yield* nop();
        count++;
      }
    });
    rt.settle();
    const patterns = [0, 1, -1, 0x7fff_ffff, -0x8000_0000, 0x5555_5555, 0xaaaa_aaaa | 0, -2, 1 << 30];
    for (const pattern of patterns) {
      // The operation in flight ends; the next one gets the generation after the pattern's.
      const before = count;
      setGeneration(slab, 0, (pattern - 1) | 0);
      (slab as unknown as { entries: Handle[] }).entries[0].generation = (pattern - 1) | 0;
      kernel.post({ low: 0, high: (pattern - 1) | 0 }, 0);
      rt.cooperator.turn();
      rt.settle();
      expect(count).toBe(before + 1);
      const last = held.at(-1)!;
      expect([last.low, last.high]).toEqual([0, pattern]);
      kernel.post(last, 0);
      rt.cooperator.turn();
      rt.settle();
      expect(count).toBe(before + 2);
    }
    task.kill();
    rt.settle();
    for (const sqe of held.slice(-2)) kernel.post(sqe, 0);
    rt.cooperator.turn();
    rt.settle();
    expect(task.exit).toMatchObject({ status: "killed" });
  });

  test("N08 a place is not used again before its last completion", () => {
    const { rt, kernel, held } = setUp();
    const handle = new Handle();
    const task = rt.cooperator.spawn(function* () {
      setupNop(handle);
      yield* nop();
      handle.cancel();
      yield* nop();
      const others = Array.from({ length: 20 }, () => new Handle());
      for (const other of others) setupNop(other);
      yield* handle.settled();
      for (const other of others) yield* other.settled();
    });
    const answer = (sqe: Sqe): void => {
      kernel.post(sqe, 0);
      rt.cooperator.turn();
      rt.settle();
    };
    rt.settle();
    const [own, first] = held;
    answer(first);
    // The cancel and the second trip are out; the cancel alone has been answered.
    const [cancel, second] = held.slice(2);
    kernel.post(cancel, 0);
    answer(second);
    const rest = held.slice(4);
    expect(rest).toHaveLength(20);
    expect(rest.map(({ low }) => low)).not.toContain(own.low);
    answer(own);
    for (const sqe of rest) answer(sqe);
    expect(task.exit).toMatchObject({ status: "done" });
  });
});
