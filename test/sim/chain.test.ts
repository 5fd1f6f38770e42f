/** Chains on the simulated kernel: short counts, late cancels, submissions cut in two, kills at every step. */
import { expect, test } from "vitest";
import { op, spawn } from "../../src/coordinator/index.ts";
import {
  chain,
  close,
  fsync,
  Handle,
  nop,
  open,
  read,
  readFile,
  recv,
  sendAll,
  setupChain,
  shutdown,
  write,
  writeAll,
} from "../../src/io/index.ts";
import { sleep } from "../../src/time/sleep.ts";
import { failureOf, pattern } from "../support/io.ts";
import { killAtEveryStep, simulatedPair, underSeeds } from "../support/simulated.ts";

const SEEDS = 60;
const PART = 10;
const ECANCELED = 125;
const EINTR = 4;

/** Chains of writes, each to a part of its own: what is in the file tells which of them have been begun. */
const lanes = op(function* (path: string, count: number, length: number) {
  const file = yield* open(path, "w+");
  for (let lane = 0; lane < count; lane++) {
    const handles = Array.from({ length }, () => new Handle());
    const at = (i: number) => (lane * length + i) * PART;
    setupChain(
      handles,
      handles.map((_, i) => write(file, Buffer.alloc(PART, "x"), { position: at(i) })),
    );
    // Others are queued meanwhile, and the ring is small.
    const others = Array.from({ length: 3 }, () => spawn(failureOf(nop), { failure: "report" }));
    for (const handle of handles) yield* handle.settled();
    for (const other of others) yield* other.settled();
    const results = handles.map(({ result }) => result);
    const broken = results.findIndex((result) => result !== PART);
    if (broken === -1) continue;
    for (let i = broken + 1; i < length; i++) {
      expect(results[i]).toBe(-ECANCELED);
      const into = Buffer.alloc(PART);
      const count = yield* retried(() => read(file, into, { position: at(i) }));
      expect(into.subarray(0, count).every((byte) => byte === 0)).toBe(true);
    }
  }
  yield* close(file);
});

const retried = op(function* (make: () => ReturnType<typeof read>) {
  for (;;) {
    try {
      return yield* make();
    } catch {
      // The next attempt may be spared.
    }
  }
});

test("P18 whatever breaks it, nothing after that is begun, and every place is free", () => {
  const faults = {
    shortWrite: 0.2,
    disk: 0.1,
    spontaneousCancel: 0.05,
    enterFailure: 0.4,
    cancelFirst: 0.5,
    duplicate: 0.2,
  };
  for (const sqEntries of [4, 8, 64]) {
    underSeeds(SEEDS, { faults, sqEntries }, () =>
      op(function* () {
        yield* retried(() => lanes("/lanes", 6, 4) as never);
      })(),
    );
  }
});

test("P18 control: without faults they are all whole", () => {
  underSeeds(SEEDS, { sqEntries: 4 }, () =>
    op(function* () {
      yield* lanes("/lanes", 6, 4);
      expect((yield* readFile("/lanes")).equals(Buffer.alloc(6 * 4 * PART, "x"))).toBe(true);
    })(),
  );
});

test("P18 one that is written in parts is whole before the next one begins, and the chain goes on", () => {
  underSeeds(SEEDS, { faults: { shortWrite: 0.5 }, bufferBytes: 100 }, () =>
    op(function* () {
      const { near, far } = yield* simulatedPair();
      const file = yield* open("/file", "w");
      const bytes = pattern(1000);
      const reading = spawn(function* () {
        const parts: Buffer[] = [];
        const into = Buffer.alloc(64);
        for (let count = yield* recv(far, into); count > 0; count = yield* recv(far, into)) {
          parts.push(Buffer.from(into.subarray(0, count)));
        }
        return Buffer.concat(parts);
      });
      yield* chain([
        sendAll(near, bytes.subarray(0, 500)),
        writeAll(file, bytes),
        sendAll(near, bytes.subarray(500)),
        fsync(file),
        shutdown(near, "write"),
      ]);
      expect((yield* reading.join()).equals(bytes)).toBe(true);
      expect((yield* readFile("/file")).equals(bytes)).toBe(true);
      for (const each of [near, far, file]) yield* close(each);
    })(),
  );
});

test.each([{}, { lateCancel: 0.5, cancelFirst: 0.5 }])(
  "P18 a kill before every step leaves nothing, and begins nothing that comes later (%j)",
  (faults) => {
    for (const seed of [1, 2, 3]) {
      const runs = killAtEveryStep({ seed, delay: 3, faults, sqEntries: 4 }, () =>
        op(function* () {
          const { near, far } = yield* simulatedPair();
          const file = yield* open("/file", "w");
          const task = spawn(
            chain([
              writeAll(file, Buffer.from("one")),
              open("/second", "w"),
              sendAll(near, Buffer.from("ping")),
              recv(near, Buffer.alloc(8)),
              writeAll(file, Buffer.from("two")),
            ]),
            { failure: "hold" },
          );
          const answer = spawn(function* () {
            const into = Buffer.alloc(8);
            const count = yield* recv(far, into);
            yield* sleep(20);
            yield* sendAll(far, into.subarray(0, count));
          });
          yield* task.settled();
          yield* answer.settled();
        })(),
      );
      expect(runs).toBeGreaterThan(10);
    }
  },
);

test("P18 a kill while one runs that cannot be stopped ends the next one when it has begun", () => {
  // The write takes its time and cannot be cancelled; then the receive would wait for ever.
  underSeeds(SEEDS, { faults: { lateCancel: 1, cancelFirst: 0.5 }, delay: 20 }, (runtime) =>
    op(function* () {
      const { near, far } = yield* simulatedPair();
      const file = yield* open("/file", "w");
      const task = spawn(chain([writeAll(file, pattern(100)), recv(near, Buffer.alloc(1)), nop()]), {
        failure: "hold",
      });
      yield* sleep(5);
      yield* task.killAndWait("enough");
      expect(runtime.driver.inflight).toBe(0);
      for (const each of [near, far, file]) yield* close(each);
    })(),
  );
});

test("P18 a cancelled one among handles ends when its turn has come", () => {
  underSeeds(SEEDS, { faults: { cancelFirst: 0.5 }, delay: 5 }, () =>
    op(function* () {
      const { near, far } = yield* simulatedPair();
      const handles = [new Handle(), new Handle(), new Handle()];
      setupChain(handles, [recv(near, Buffer.alloc(1)), recv(near, Buffer.alloc(1)), nop()]);
      yield* sleep(50);
      handles[1]!.cancel();
      yield* sleep(50);
      yield* sendAll(far, Buffer.from("xy"));
      for (const handle of handles) yield* handle.settled();
      const results = handles.map(({ result }) => result);
      expect(results[0]).toBe(1);
      expect([1, -ECANCELED, -EINTR]).toContain(results[1]);
      expect(results[2]).toBe(results[1] === 1 ? 0 : -ECANCELED);
      for (const each of [near, far]) yield* close(each);
    })(),
  );
});

test.each([4, 8])(
  "X-32 one that does not fit, or that the kernel takes in part, never runs without its beginning (%i places)",
  (sqEntries) => {
    let whole = 0;
    let cut = 0;
    underSeeds(SEEDS, { faults: { enterFailure: 0.5 }, sqEntries, delay: 5 }, (runtime) =>
      op(function* () {
        const { near, far } = yield* simulatedPair();
        const file = yield* open("/file", "w");
        for (let i = 0; i < 3; i++) {
          const before = runtime.kernel.files.find("/", "/file")!.size;
          const others = Array.from({ length: i + 1 }, () => spawn(nop(), { start: "now" }));
          const handles = [new Handle(), new Handle(), new Handle()];
          setupChain(handles, [
            recv(near, Buffer.alloc(1)),
            write(file, Buffer.from("x")),
            write(file, Buffer.from("x")),
          ]);
          yield* sleep(200);
          expect(runtime.kernel.files.find("/", "/file")!.size).toBe(before);
          yield* sendAll(far, Buffer.from("y"));
          for (const handle of handles) yield* handle.settled();
          for (const other of others) yield* other.join();
          const written = handles.slice(1).map(({ result }) => result);
          if (written[1] === 1) whole++;
          else cut++;
          expect([1, -ECANCELED]).toContain(written[1]);
          expect(written[0] === 1 || written[1] !== 1).toBe(true);
          expect(handles[0]!.result).toBe(1);
        }
        for (const each of [near, far, file]) yield* close(each);
      })(),
    );
    // Both have happened.
    expect(Math.min(whole, cut)).toBeGreaterThan(5);
  },
);
