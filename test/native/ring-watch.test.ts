import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { afterAll, describe, expect, it } from "vitest";
import * as k from "../../src/native/layout.ts";
import { child, openPipe, runChild, shared, TestRing, turn } from "./support.ts";

const EALREADY = 114;
const EBADF = 9;

const directory = mkdtempSync(join(tmpdir(), "cooperator-watch-"));
const fifo = join(directory, "fifo");
execFileSync("mkfifo", [fifo]);
afterAll(() => rmSync(directory, { recursive: true }));

describe("watch", () => {
  it("wakes the event loop when a waiting operation can complete", async () => {
    using ring = new TestRing();
    const pipe = openPipe();
    const into = shared(8);
    ring.read(pipe, into, 5);
    ring.flush();
    const woken = ring.until(() => ring.ready > 0);
    writeSync(pipe, "hello");
    await woken;
    expect(ring.reap()).toEqual([{ userData: 5, res: 5, flags: 0 }]);
    expect(Buffer.from(into.subarray(0, 5)).toString()).toBe("hello");
  });

  it.each([0, k.SETUP_NO_SQARRAY, k.SETUP_DEFER_TASKRUN, k.SETUP_SINGLE_ISSUER])(
    "wakes on every rung of the fallback chain (without %i)",
    async (without) => {
      using ring = new TestRing({ without });
      const pipe = openPipe();
      for (let i = 0; i < 5; i++) {
        ring.read(pipe, shared(1), i);
        ring.flush();
        const woken = ring.until(() => ring.ready > 0);
        writeSync(pipe, "x");
        await woken;
        expect(ring.reap().map((c) => c.userData)).toEqual([i]);
      }
    },
  );

  it("wakes for a completion posted by another ring of the thread", async () => {
    using from = new TestRing();
    using to = new TestRing();
    const woken = to.until(() => to.ready > 0);
    from.queue(k.OP_MSG_RING, 1, {
      [k.SQE_WORD_FD]: to.native.fd,
      [k.SQE_WORD_LEN]: 42,
      [k.SQE_WORD_OFF]: 9,
    });
    from.flush();
    await woken;
    expect(to.reap()).toEqual([{ userData: 9, res: 42, flags: 0 }]);
    expect(from.reap().map((c) => c.res)).toEqual([0]);
  });

  it("has one callback at a time, and can be taken up again", async () => {
    using ring = new TestRing();
    const first = () => {
      throw new Error("must not be called");
    };
    expect(ring.native.watch(first)).toBe(0);
    expect(ring.native.watch(first)).toBe(-EALREADY);
    expect(ring.native.unwatch()).toBe(0);
    expect(ring.native.unwatch()).toBe(0);
    const woken = ring.until(() => true);
    ring.queue(k.OP_NOP, 1);
    ring.flush();
    await woken;
  });

  it("survives being closed by its own callback", async () => {
    using ring = new TestRing();
    await new Promise<void>((resolve) => {
      ring.native.watch(() => {
        ring.native.close();
        resolve();
      });
      ring.queue(k.OP_NOP, 1);
      ring.flush();
    });
    expect(ring.native.flush(0)).toBe(-EBADF);
    await turn();
  });

  it("runs promise jobs of the callback before anything else of the loop", async () => {
    using ring = new TestRing();
    const order: string[] = [];
    await new Promise<void>((resolve) => {
      ring.native.watch(() => {
        ring.native.unwatch();
        queueMicrotask(() => order.push("job"));
        setImmediate(() => {
          order.push("immediate");
          resolve();
        });
      });
      ring.queue(k.OP_NOP, 1);
      ring.flush();
    });
    expect(order).toEqual(["job", "immediate"]);
  });
});

describe("the eventfd while the thread is awake", () => {
  it("is silent when muted, and a look at the flags after unmuting misses nothing", async () => {
    using ring = new TestRing();
    if (!ring.native.canMuteEventfd) return;
    const pipe = openPipe();
    const into = shared(1);
    const total = 4000;
    let done = 0;
    let needless = 0;
    let seed = 3;
    const pump = () => {
      do {
        ring.flush();
        const completed = ring.reap().length;
        done += completed;
        if (completed > 0 && done < total) ring.read(pipe, into, done);
      } while (ring.queued > 0);
    };
    const mute = () => ring.setWord(ring.native.cqFlagsOffset, k.CQ_EVENTFD_DISABLED);
    const sleep = () => {
      for (;;) {
        // Stands for the tasks that run between the last look at the ring and going to sleep.
        seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0;
        for (let spin = seed >>> 20; spin > 0; spin--);
        ring.setWord(ring.native.cqFlagsOffset, 0);
        if ((ring.sqFlags & (k.SQ_TASKRUN | k.SQ_CQ_OVERFLOW)) === 0 && ring.ready === 0) return;
        mute();
        pump();
      }
    };
    const finished = new Promise<void>((resolve) => {
      ring.native.watch(() => {
        const before = done;
        mute();
        pump();
        sleep();
        if (done === before) needless++;
        if (done === total) resolve();
      });
    });
    ring.read(pipe, into, 0);
    mute();
    pump();
    sleep();
    const writer = new Worker(child("writer"), { workerData: { fd: pipe, count: total, seed: 7 } });
    // A lost wake-up leaves the last bytes unread for ever, and this promise pending.
    await finished;
    await writer.terminate();
    expect(done).toBe(total);
    expect(needless).toBeLessThan(total / 10);
  });

  it("is signalled by nearly every submission when not", () => {
    using ring = new TestRing();
    const count = () => {
      const info = readFileSync(`/proc/self/fdinfo/${ring.native.eventfd}`, "utf8");
      return Number.parseInt(/eventfd-count:\s+(\w+)/.exec(info)?.[1] ?? "", 16);
    };
    for (let i = 0; i < 3; i++) {
      ring.queue(k.OP_NOP, i);
      ring.flush();
    }
    expect(count()).toBe(3);
    ring.setWord(ring.native.cqFlagsOffset, k.CQ_EVENTFD_DISABLED);
    ring.queue(k.OP_NOP, 4);
    ring.flush();
    expect(count()).toBe(3);
  });

  it("leaves SQ_TASKRUN behind when it would have been signalled while muted", () => {
    using ring = new TestRing();
    if (!ring.native.canMuteEventfd) return;
    const pipe = openPipe();
    ring.read(pipe, shared(1), 1);
    ring.flush();
    ring.setWord(ring.native.cqFlagsOffset, k.CQ_EVENTFD_DISABLED);
    expect(ring.sqFlags).toBe(0);
    writeSync(pipe, "x");
    ring.setWord(ring.native.cqFlagsOffset, 0);
    expect(ring.sqFlags).toBe(k.SQ_TASKRUN);
    ring.flush();
    expect(ring.ready).toBe(1);
  });
});

describe("the event loop", () => {
  it.each(["unref", "ref-again", "unwatch", "close"])("ends by itself after %s", async (how) => {
    expect(await runChild("watch-exit", how, fifo)).toMatchObject({ code: 0, signal: null, stderr: "" });
  });

  it("makes an exception of the callback an uncaught one, with exit code 1", async () => {
    const ended = await runChild("watch-exit", "throw", fifo);
    expect(ended).toMatchObject({ code: 1, signal: null });
    expect(ended.stderr).toContain("Error: from the callback");
  });

  it("offers it to 'uncaughtException' and goes on", async () => {
    const ended = await runChild("watch-exit", "throw-caught", fifo);
    expect(ended).toMatchObject({ code: 0, signal: null, stderr: "", stdout: "caught from the callback\n" });
  });

  it("can be left from inside the callback", async () => {
    expect(await runChild("watch-exit", "exit-inside", fifo)).toMatchObject({ code: 5, signal: null });
  });
});
