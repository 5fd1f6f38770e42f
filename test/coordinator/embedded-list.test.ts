import fc from "fast-check";
import { expect, test } from "vitest";
import { Embedded, EmbeddedList } from "../../src/coordinator/index.ts";

class Node extends Embedded {
  readonly id: number;
  constructor(id: number) {
    super();
    this.id = id;
  }
}

const NODES = 6;
const LISTS = 2;

type Action =
  | { readonly kind: "push" | "remove" | "has"; readonly list: number; readonly node: number }
  | { readonly kind: "shift" | "peek" | "visit"; readonly list: number };

const action: fc.Arbitrary<Action> = fc.oneof(
  fc.record({
    kind: fc.constantFrom("push" as const, "remove" as const, "has" as const),
    list: fc.nat(LISTS - 1),
    node: fc.nat(NODES - 1),
  }),
  fc.record({
    kind: fc.constantFrom("shift" as const, "peek" as const, "visit" as const),
    list: fc.nat(LISTS - 1),
  }),
);

/** Runs the same actions on the lists and on plain arrays. */
function compare(actions: readonly Action[]): void {
  const nodes = Array.from({ length: NODES }, (_, id) => new Node(id));
  const lists = Array.from({ length: LISTS }, () => new EmbeddedList<Node>());
  const models: number[][] = Array.from({ length: LISTS }, () => []);
  for (const step of actions) {
    const list = lists[step.list]!;
    const model = models[step.list]!;
    if (step.kind === "push") {
      const node = nodes[step.node]!;
      if (models.some((each) => each.includes(step.node)))
        expect(() => list.push(node)).toThrow("already on");
      else {
        list.push(node);
        model.push(step.node);
      }
    } else if (step.kind === "remove") {
      const at = model.indexOf(step.node);
      expect(list.remove(nodes[step.node]!)).toBe(at !== -1);
      if (at !== -1) model.splice(at, 1);
    } else if (step.kind === "has") {
      expect(list.has(nodes[step.node]!)).toBe(model.includes(step.node));
    } else if (step.kind === "shift") {
      expect(list.shift()?.id).toBe(model.shift());
    } else if (step.kind === "peek") {
      expect(list.peek()?.id).toBe(model[0]);
    } else {
      const seen: number[] = [];
      list.visit((node) => {
        seen.push(node.id);
        return true;
      });
      expect(seen).toEqual(model);
    }
    for (let i = 0; i < LISTS; i++) {
      lists[i]!.validate();
      expect(lists[i]!.length).toBe(models[i]!.length);
      expect([...lists[i]!].map(({ id }) => id)).toEqual(models[i]);
    }
    const linked = models.flat();
    for (const node of nodes) {
      expect(node.list === null).toBe(!linked.includes(node.id));
      if (node.list === null) expect([node.before, node.after]).toEqual([null, null]);
    }
  }
}

test("agrees with an array under random pushes, shifts and removals", () => {
  fc.assert(fc.property(fc.array(action, { maxLength: 60 }), compare), { numRuns: 300, seed: 1 });
});

test("visits each node that stays, once and in order, whichever one is removed on the way", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 7 }), fc.nat(6), fc.nat(6), (size, at, victim) => {
      const list = new EmbeddedList<Node>();
      const nodes = Array.from({ length: size }, (_, id) => new Node(id));
      for (const node of nodes) list.push(node);
      const seen: number[] = [];
      list.visit((node) => {
        seen.push(node.id);
        if (node.id === at && victim < size) list.remove(nodes[victim]!);
        return true;
      });
      const gone = at < size && victim < size && victim > at;
      expect(seen).toEqual(nodes.map(({ id }) => id).filter((id) => !gone || id !== victim));
      list.validate();
    }),
    { seed: 2 },
  );
});

test("negative control: the comparison notices a list that forgets to unlink", () => {
  const original = EmbeddedList.prototype.remove;
  EmbeddedList.prototype.remove = function forgetful(node: Embedded): boolean {
    return this.has(node);
  };
  try {
    expect(() =>
      fc.assert(fc.property(fc.array(action, { maxLength: 60 }), compare), { numRuns: 300, seed: 1 }),
    ).toThrow(/Property failed/);
  } finally {
    EmbeddedList.prototype.remove = original;
  }
});
