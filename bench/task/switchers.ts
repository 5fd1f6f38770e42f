/**
 * What each kind of task body costs beside a generator: to spawn one and wait for its end, and one suspension. A
 * body that is an async function or an Effect meets the scheduler through promise jobs, so a suspension of theirs
 * is a turn of Node's event loop, which many tasks share: they are measured in crowds of 100.
 */

import { type AsyncSelf, type Body, type Operation, op, run, spawn, until, yieldNow } from "cooperator";
import { runEffect, toEffect } from "cooperator/effect";
import { Effect } from "effect";
import { alternateWarm, type Bench, compare, nowNs, type Row, shortRounds } from "../harness.ts";

const CROWD = 100;

const generator = op(function* (count: number) {
  for (let i = 0; i < count; i++) yield* yieldNow();
});

const promises = op(function* (count: number) {
  for (let i = 0; i < count; i++) yield* until(Promise.resolve());
});

const asyncBody = (count: number) => async (self: AsyncSelf) => {
  for (let i = 0; i < count; i++) await self.wait(yieldNow());
};

const effect = (count: number) =>
  runEffect(
    Effect.gen(function* () {
      for (let i = 0; i < count; i++) yield* toEffect(yieldNow());
    }).pipe(Effect.orDie),
  );

type Kind = "generator" | "async" | "until" | "effect";

const bodies: Readonly<Record<Kind, (count: number) => Body<void>>> = {
  generator,
  async: asyncBody,
  until: promises,
  effect,
};

/** Nanoseconds for each of `rounds` crowds' tasks that suspend `each` times: per task, or per suspension. */
const crowds: (kind: Kind, rounds: number, each: number) => Operation<number> = op(function* (
  kind: Kind,
  rounds: number,
  each: number,
) {
  const make = bodies[kind];
  const start = nowNs();
  for (let round = 0; round < rounds; round++) {
    const children = [];
    for (let i = 0; i < CROWD; i++) children.push(spawn(make(each)));
    for (const child of children) yield* child.join();
  }
  return (nowNs() - start) / (rounds * CROWD * Math.max(each, 1));
});

export const bench: Bench = {
  needsRing: false,
  parts: {
    pairs: (kind, each, rounds, count) =>
      alternateWarm(Number(rounds), {
        ours: () => run(crowds(kind as Kind, Number(count), Number(each))),
        peer: () => run(crowds("generator", Number(count), Number(each))),
      }),
  },
  async rows({ rounds, size }) {
    const rows: Row[] = [];
    for (const [kind, each, name] of [
      ["async", 0, "spawn + join, async function"],
      ["effect", 0, "spawn + join, Effect"],
      ["async", 100, "suspension, self.wait"],
      ["until", 100, "suspension, until(a resolved promise)"],
      ["effect", 100, "suspension, toEffect"],
    ] as const) {
      const { ours, peer } = await shortRounds<"ours" | "peer">(rounds, "task/switchers", "pairs", [
        kind,
        each,
        size(5, 1),
        each === 0 ? size(50, 2) : size(1, 1),
      ]);
      rows.push(
        compare({
          name: `task/switchers ${name}`,
          unit: "ns",
          ours,
          peer,
          peerName: each === 0 ? "generator" : "yieldNow in a generator",
          as: "cost",
          settings: `${CROWD} tasks at a time`,
        }),
      );
    }
    return rows;
  },
};
