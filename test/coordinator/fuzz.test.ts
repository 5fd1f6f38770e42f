/**
 * Random programs of everything that has a scope, each killed at every point. What must hold whatever happens:
 * frames end innermost first, every defer that was registered runs to its end, every shield that was entered is
 * left, a lock is free at the end, no kill is lost, and the invariants of the harness at every step.
 */
import fc from "fast-check";
import { expect, test } from "vitest";
import {
  Coordinator,
  coordinateWithKill,
  defer,
  group,
  op,
  self,
  shield,
  spawn,
  yieldNow,
} from "../../src/coordinator/index.ts";
import { ShieldScope } from "../../src/coordinator/task/scope.ts";
import { killEverywhere, type Program } from "../../src/testing/kill-everywhere.ts";
import { sleep } from "../../src/time/sleep.ts";
import { timeout } from "../../src/time/timeout.ts";

type Node =
  | { readonly kind: "sleep" | "yield" | "throw" | "kill self" | "level 0" }
  | { readonly kind: "sequence" | "group"; readonly nodes: readonly Node[] }
  | {
      readonly kind: "call" | "shield" | "timeout" | "catch" | "lock" | "spawn" | "defer";
      readonly body: Node;
      readonly n: number;
    }
  | { readonly kind: "finally"; readonly body: Node; readonly cleanUp: Node };

const { program } = fc.letrec<{ program: Node; leaf: Node; node: Node }>((tie) => ({
  leaf: fc.oneof(
    { weight: 5, arbitrary: fc.record({ kind: fc.constant("sleep" as const) }) },
    { weight: 3, arbitrary: fc.record({ kind: fc.constant("yield" as const) }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant("level 0" as const) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("throw" as const) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("kill self" as const) }) },
  ),
  node: fc.oneof(
    { maxDepth: 5, depthSize: "medium", withCrossShrink: true },
    tie("leaf"),
    fc.record({
      kind: fc.constantFrom("sequence" as const, "group" as const),
      nodes: fc.array(tie("node"), { minLength: 1, maxLength: 4 }),
    }),
    fc.record({
      kind: fc.constantFrom(
        "call" as const,
        "shield" as const,
        "timeout" as const,
        "catch" as const,
        "lock" as const,
        "spawn" as const,
        "defer" as const,
      ),
      body: tie("node"),
      n: fc.nat(3),
    }),
    fc.record({ kind: fc.constant("finally" as const), body: tie("node"), cleanUp: tie("node") }),
  ),
  program: tie("node"),
}));

class World {
  readonly lock = new Coordinator({ name: "lock" });
  readonly never = new Coordinator({ held: true, name: "never" });
  deferred = 0;
  ran = 0;
  entered = 0;
  left = 0;
  /** Open frames of each task, innermost last. */
  readonly open = new Map<number, object[]>();
  violation: string | null = null;

  enter(): object {
    const frame = {};
    const { id } = self();
    const open = this.open.get(id);
    if (open === undefined) this.open.set(id, [frame]);
    else open.push(frame);
    return frame;
  }

  leave(frame: object): void {
    if (this.open.get(self().id)!.pop() !== frame) this.violation ??= "a frame ended before one inside it";
  }
}

const frame = op(function* (world: World, node: Node): Generator<unknown, void, any> {
  const frame = world.enter();
  try {
    yield* run(world, node);
  } finally {
    world.leave(frame);
  }
});

/** What is run is delegated to as a plain generator, and has no clean-up that waits; what has is a frame. */
function* run(world: World, node: Node): Generator<unknown, void, any> {
  switch (node.kind) {
    case "sleep":
      yield* sleep(1);
      return;
    case "yield":
      yield* yieldNow();
      return;
    case "level 0":
      yield* coordinateWithKill(world.never, { within: 1 });
      return;
    case "throw":
      throw new Error("thrown by the program");
    case "kill self":
      self().kill("by itself");
      return;
    case "sequence":
      for (const each of node.nodes) yield* run(world, each);
      return;
    case "group":
      yield* group(function* (g) {
        world.deferred++;
        g.defer(function* () {
          yield* sleep(1);
          world.ran++;
        });
        for (const each of node.nodes) {
          if (self().killed) break;
          g.spawn(frame(world, each));
        }
        yield* yieldNow();
      });
      return;
    case "call":
      yield* frame(world, node.body);
      return;
    case "shield":
      yield* shield(function* () {
        world.entered++;
        try {
          yield* frame(world, node.body);
          yield* sleep(1);
        } catch {
          yield* yieldNow();
        }
        world.left++;
      });
      return;
    case "timeout":
      yield* timeout(node.n, frame(world, node.body));
      return;
    case "catch":
      try {
        yield* frame(world, node.body);
      } catch {
        yield* yieldNow();
      }
      return;
    case "lock":
      if (world.lock.owner === self()) return;
      yield* timeout(3, world.lock.acquire());
      try {
        yield* frame(world, node.body);
      } finally {
        world.lock.release();
      }
      return;
    case "spawn":
      if (!self().killed && !self().closed) spawn(frame(world, node.body));
      return;
    case "defer":
      world.deferred++;
      defer(function* () {
        yield* sleep(1);
        world.ran++;
        yield* frame(world, node.body);
      });
      return;
    case "finally":
      yield* withCleanUp(world, node.body, node.cleanUp);
      return;
  }
}

const withCleanUp = op(function* (world: World, body: Node, cleanUp: Node): Generator<unknown, void, any> {
  const mine = world.enter();
  try {
    yield* frame(world, body);
  } finally {
    yield* settleAll(world, mine, cleanUp);
  }
});

const settleAll = op(function* (world: World, mine: object, cleanUp: Node): Generator<unknown, void, any> {
  try {
    yield* frame(world, cleanUp);
  } finally {
    world.leave(mine);
  }
});

function programOf(node: Node): () => Program {
  return () => {
    const world = new World();
    return {
      gates: [world.lock, world.never],
      body: frame(world, node),
      check: () => {
        expect(world.violation).toBe(null);
        expect(world.ran).toBe(world.deferred);
        expect(world.left).toBe(world.entered);
        expect(world.lock.held).toBe(false);
        for (const open of world.open.values()) expect(open).toEqual([]);
      },
    };
  };
}

test("random programs, killed at every point", () => {
  let runs = 0;
  fc.assert(
    fc.property(program, (node) => {
      const result = killEverywhere(programOf(node), { pointsMax: 2000 });
      expect(result.reach).toBe(1);
      runs += result.runs;
    }),
    { numRuns: Number(process.env.FUZZ_RUNS ?? 40), seed: Number(process.env.FUZZ_SEED ?? 13) },
  );
  expect(runs).toBeGreaterThan(500);
});

test("negative control: a lock that is not handed back, or a defer that may be cut, shows", () => {
  const fails = () =>
    expect(() =>
      fc.assert(
        fc.property(program, (node) => void killEverywhere(programOf(node), { pointsMax: 2000 })),
        { numRuns: 400, seed: 13, endOnFailure: true },
      ),
    ).toThrow(/Property failed/);
  const { handBack } = Coordinator.prototype;
  Coordinator.prototype.handBack = () => {};
  try {
    fails();
  } finally {
    Coordinator.prototype.handBack = handBack;
  }
  const shields = Object.getOwnPropertyDescriptor(ShieldScope.prototype, "shields")!;
  Object.defineProperty(ShieldScope.prototype, "shields", { ...shields, get: () => false });
  try {
    fails();
  } finally {
    Object.defineProperty(ShieldScope.prototype, "shields", shields);
  }
});
