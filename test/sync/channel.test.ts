/** What the conformance tests of channels leave out. */
import { expect, test } from "vitest";
import { spawn } from "../../src/coordinator/index.ts";
import { Channel } from "../../src/sync/index.ts";
import { sleep } from "../../src/time/sleep.ts";
import { inOrder, runChecked } from "../support/harness.ts";

test.each([undefined, new Error("closed with this")])(
  "a receiver that was told of the end gets what came back from a killed one before it ran: %s",
  (reason) => {
    inOrder();
    runChecked(function* () {
      const channel = new Channel<number>(4);
      const killed = spawn(channel.receive());
      const next = spawn(channel.receiveOrEnd(), { failure: "hold" });
      yield* sleep(1);
      channel.trySend(1);
      channel.close(reason);
      killed.kill();
      expect(yield* next.join()).toBe(1);
      const { sent, received, size } = channel.statistics();
      expect({ sent, received, size }).toEqual({ sent: 1, received: 1, size: 0 });
    });
  },
);
