/** Random io programs on a simulated kernel: everything goes wrong that may, and must come out right. */
import { describe, expect, test } from "vitest";
import { never, spawn } from "../../src/coordinator/index.ts";
import { accept, connect, type IoError, listen, openDatagram, recv, sendAll } from "../../src/io/index.ts";
import {
  FAULTS_MAX,
  type Fault,
  runSeeds,
  runSimulation,
  SeedError,
  type SimulatedProgram,
  SimulatedRuntime,
  type SimulationResult,
} from "../../src/testing/index.ts";
import { sleep } from "../../src/time/sleep.ts";
import { CORPUS } from "./corpus.ts";

const SEEDS = 300;

test("random programs keep to their models under faults and kills, and end when they are killed", {
  timeout: 60_000,
}, () => {
  const result = runSimulation(SEEDS, undefined, { also: CORPUS });
  expect(result.kills).toBeGreaterThan(SEEDS / 4);
  expect(result.cancels).toBeGreaterThan(SEEDS);
  expect(result.operations).toBeGreaterThan(SEEDS * 20);
  for (const fault of Object.keys(FAULTS_MAX) as Fault[])
    expect(result.faults[fault], fault).toBeGreaterThan(0);
});

describe("the simulation itself", () => {
  test("a seed does the same every time", () => {
    const once = (): SimulationResult => runSimulation(1, undefined, { also: [11, 12, 13] });
    expect(once()).toEqual(once());
  });

  test("the same seed takes the same steps", () => {
    const trace = (): readonly number[] => {
      const runtime = new SimulatedRuntime({ seed: 5, delay: 3, faults: { shortRead: 0.5 }, trace: true });
      runtime.run(function* () {
        const listener = yield* listen("127.0.0.1:1000");
        const server = spawn(function* () {
          const socket = yield* accept(listener);
          const into = new Uint8Array(100);
          while ((yield* recv(socket, into)) > 0);
        });
        const socket = yield* connect("127.0.0.1:1000");
        for (let i = 0; i < 10; i++) yield* sendAll(socket, new Uint8Array(50));
        yield* socket.close();
        yield* server.join();
        yield* listener.close();
      });
      return runtime.trace;
    };
    const first = trace();
    expect(first.length).toBeGreaterThan(20);
    expect(trace()).toEqual(first);
  });

  test("a program that breaks its own rule is found, with the seed that shows it", () => {
    const careless: SimulatedProgram = (simulation) =>
      function* () {
        const listener = yield* listen("127.0.0.1:1000");
        spawn(function* () {
          const socket = yield* connect("127.0.0.1:1000");
          yield* sendAll(socket, new Uint8Array(100));
        });
        const socket = yield* accept(listener);
        // A receive gives what there is, which may be less.
        const count = yield* recv(socket, new Uint8Array(100));
        if (count !== 100) simulation.fail(`${count} bytes`);
      };
    let found: unknown = null;
    try {
      runSimulation(300, careless);
    } catch (error) {
      found = error;
    }
    expect(found).toBeInstanceOf(SeedError);
    const { seed, cause } = found as SeedError;
    // Stacks are only made for a seed that fails.
    expect((cause as Error).stack).toMatch(/\n {4}at /);
    expect(() => runSimulation(1, careless, { only: seed })).toThrow(/seed \d+: broken invariant: \d+ bytes/);
  });

  test("a program that does not end when it is killed is found", () => {
    const stubborn: SimulatedProgram = () =>
      function* () {
        try {
          yield* never();
        } finally {
          for (;;) yield* sleep("1 second");
        }
      };
    expect(() => runSimulation(1, stubborn, { kills: 0 })).toThrow(/alive 60 seconds after a kill/);
  });

  test("a descriptor that is closed behind the program's back is found", () => {
    expect(() =>
      runSimulation(
        1,
        (simulation) =>
          function* () {
            const listener = yield* listen("127.0.0.1:1000");
            simulation.runtime.driver.calls.closeFd(listener.fd);
            yield* sleep(1);
          },
        { faults: {}, kills: 0 },
      ),
    ).toThrow(/is not open/);
  });

  test("F13 the clock moves in ticks, stalls and jumps: no sleep is too short, and what is due at once is all done", () => {
    for (const [tick, faults] of [
      [10, {}],
      [0, { stall: 1 }],
      [0, { clockJump: 0.5 }],
    ] as const) {
      const runtime = new SimulatedRuntime({ seed: 1, delay: 3, tick, faults });
      const times: number[] = [];
      runtime.run(function* () {
        for (let i = 0; i < 5; i++) {
          const since = runtime.now;
          yield* sleep(7);
          times.push(runtime.now - since);
        }
      }).result;
      for (const time of times) expect(time).toBeGreaterThanOrEqual(7);
      if (tick > 0) expect(runtime.now % tick).toBe(0);
      else expect(Math.max(...times)).toBeGreaterThan(7);
    }
  });

  test("P08 memory that is short is so for several operations in a row, and then no longer", () => {
    const runtime = new SimulatedRuntime({ seed: 1, delay: 100, faults: { shortage: 0.1 } });
    const codes: string[] = [];
    runtime.run(function* () {
      for (let i = 0; i < 300; i++) {
        try {
          (yield* openDatagram(null))[Symbol.dispose]();
          codes.push("");
        } catch (error) {
          codes.push((error as IoError).code);
        }
      }
    }).result;
    runtime.checkAtRest();
    const burst = /(ENOBUFS|ENOMEM),(ENOBUFS|ENOMEM),(ENOBUFS|ENOMEM)/;
    expect(codes.join()).toMatch(burst);
    expect(codes.filter((code) => code === "").length).toBeGreaterThan(30);
  });

  test("faults are probabilities with names", () => {
    expect(() => new SimulatedRuntime({ faults: { shortReads: 1 } as object })).toThrow(/no fault/);
    expect(() => new SimulatedRuntime({ faults: { shortRead: 2 } })).toThrow(/from 0 to 1/);
  });

  test("orders of ready tasks come from the seed alone", () => {
    runSeeds(2, () => expect(new SimulatedRuntime({ seed: 3 }).seed).toBe(3));
  });
});
