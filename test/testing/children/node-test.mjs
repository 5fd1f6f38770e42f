// A file for `node --test`: the toolkit with Node's own runner. DIST is where the package is compiled to.
import assert from "node:assert/strict";
import test from "node:test";

const { Coordinator, group, sleep } = await import(`${process.env.DIST}/index.js`);
const { checkQuiescent, interleave, killEverywhere, runSeeds, VirtualRuntime } = await import(
  `${process.env.DIST}/testing/index.js`
);

test("a virtual day under a hundred seeds", () => {
  const { runs } = runSeeds(100, () => {
    const runtime = new VirtualRuntime();
    runtime.run(function* () {
      yield* group(function* (g) {
        for (let i = 0; i < 3; i++) g.spawn(sleep("1 day"));
      });
    }).result;
    checkQuiescent(runtime);
    assert.equal(runtime.now, 86_400_000);
  });
  assert.equal(runs, 100);
});

test("every order, and a kill at every point", () => {
  const { schedules } = interleave(
    () => {
      const lock = new Coordinator();
      const user = () => [() => lock.acquire(), () => lock.release()];
      return { tasks: [user(), user()], gates: [lock], failures: true };
    },
    { kills: 1 },
  );
  assert.ok(schedules > 10);
  assert.equal(killEverywhere(() => ({ body: () => sleep(1) })).reach, 1);
});

test("a failure is a failure", { todo: process.env.FAIL === undefined }, () => {
  if (process.env.FAIL !== undefined) runSeeds(3, (seed) => assert.notEqual(seed, 2));
});
