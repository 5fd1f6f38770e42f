/** Programs on the simulated kernel, each under a few seeds. */
import { type Body, op } from "../../src/coordinator/index.ts";
import { accept, close, connect, listen } from "../../src/io/index.ts";
import { type SimulatedOptions, SimulatedRuntime } from "../../src/testing/index.ts";

/** Runs `body` under `count` seeds, and checks each time that nothing is left; gives the last runtime. */
export function underSeeds(
  count: number,
  options: SimulatedOptions,
  body: (runtime: SimulatedRuntime) => Body<unknown>,
): SimulatedRuntime {
  for (let seed = 1; ; seed++) {
    const runtime = new SimulatedRuntime({ seed, delay: 5, ...options });
    try {
      runtime.run(body(runtime)).result;
      runtime.checkAtRest();
    } catch (error) {
      throw new Error(`seed ${seed}: ${error instanceof Error ? error.message : String(error)}`, {
        cause: error,
      });
    }
    if (seed === count) return runtime;
  }
}

let ports = 1000;

/** Two ends of a simulated connection. */
export const simulatedPair = op(function* () {
  const address = { host: "127.0.0.1", port: ports++ };
  const listener = yield* listen(address);
  const near = yield* connect(address);
  const far = yield* accept(listener);
  yield* close(listener);
  return { near, far };
});
