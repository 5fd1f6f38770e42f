/** One description of a task body, made into each kind there is: the rules of tasks hold for all of them. */
import { Effect } from "effect";
import {
  type AsyncSelf,
  type Body,
  type Operation,
  op,
  self,
  type Task,
} from "../../src/coordinator/index.ts";
import { runEffect, toEffect } from "../../src/effect/index.ts";

/** Does something at once, or gives an operation to be waited for. */
// biome-ignore lint/suspicious/noConfusingVoidType: a step that does something at once gives nothing
export type Step = (task: Task) => Operation<unknown> | void;

export interface Script {
  readonly steps: readonly Step[];
  /** Run however the steps end. */
  readonly cleanup?: readonly Step[];
  /** Errors of the steps are caught, and forgotten. */
  readonly catches?: boolean;
  readonly value?: unknown;
}

export interface Kind {
  readonly name: string;
  readonly make: (script: Script) => Body<unknown>;
}

const generator = op(function* generator({ steps, cleanup = [], catches = false, value }: Script) {
  const task = self();
  try {
    for (const step of steps) {
      const operation = step(task);
      if (operation !== undefined) yield* operation;
    }
  } catch (error) {
    if (!catches) throw error;
  } finally {
    for (const step of cleanup) {
      const operation = step(task);
      if (operation !== undefined) yield* operation;
    }
  }
  return value;
});

function asyncBody({ steps, cleanup = [], catches = false, value }: Script, idle: () => unknown) {
  return async function asyncFunction(given: AsyncSelf) {
    const { task } = given;
    const each = async (these: readonly Step[]): Promise<void> => {
      for (const step of these) {
        await idle();
        const operation = step(task);
        if (operation !== undefined) await given.wait(operation);
      }
    };
    try {
      await each(steps);
    } catch (error) {
      if (!catches) throw error;
    } finally {
      await each(cleanup);
    }
    return value;
  };
}

function effects(task: Task, steps: readonly Step[]): Effect.Effect<void, unknown> {
  return Effect.gen(function* () {
    for (const step of steps) {
      const operation = yield* Effect.try({ try: () => step(task), catch: (error) => error });
      if (operation !== undefined) yield* toEffect(operation);
    }
  });
}

const effect = op(function* effect({ steps, cleanup = [], catches = false, value }: Script) {
  const task = self();
  const run = effects(task, steps);
  const caught = catches ? Effect.catch(run, () => Effect.void) : run;
  const whole = Effect.onExit(caught, () => effects(task, cleanup));
  return yield* runEffect(Effect.as(whole, value));
});

export const kinds: readonly Kind[] = [
  { name: "a generator", make: (script) => generator(script) },
  { name: "an async function", make: (script) => asyncBody(script, () => undefined) },
  {
    name: "an async function that awaits other things too",
    make: (script) => asyncBody(script, async () => void (await Promise.resolve())),
  },
  { name: "an Effect", make: (script) => effect(script) },
];

/** Every kind of parent with every kind of child. */
export const pairs: readonly (readonly [string, string, Kind, Kind])[] = kinds.flatMap((parent) =>
  kinds.map((child) => [parent.name, child.name, parent, child] as const),
);
