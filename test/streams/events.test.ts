/** The same is done with two ends of node:net and with two of ours: the same must happen, in the same order. */
import { once } from "node:events";
import { type Duplex, finished, PassThrough, pipeline, Readable, Transform, Writable } from "node:stream";
import { finished as finishedPromise, pipeline as pipelinePromise } from "node:stream/promises";
import { describe, expect, test } from "vitest";
import {
  closed,
  type NodePair,
  type NodePairOptions,
  record,
  withNetPair,
  withOurPair,
} from "../support/node-streams.ts";
import { expectNoUnhandledRejections } from "../support/rejections.ts";

expectNoUnhandledRejections();

interface Scenario {
  readonly options?: NodePairOptions;
  /** Adds what it sees beside the events. */
  readonly run: (pair: NodePair, note: (what: string) => void) => Promise<unknown> | unknown;
  /** What must be among what is seen: a scenario that sees nothing proves nothing. */
  readonly sees: string;
  /** Two things happen at once, and either may be first. */
  readonly unordered?: boolean;
  readonly eitherCode?: boolean;
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Some turns of the event loop: enough for what is on its way over the loopback. */
const turns = async (): Promise<void> => {
  for (let i = 0; i < 20; i++) await turn();
};

const read = async (stream: Duplex): Promise<number> => {
  let length = 0;
  stream.on("data", (chunk: Buffer) => (length += chunk.length));
  await once(stream, "end");
  return length;
};

const code = (error: unknown): string =>
  (error as NodeJS.ErrnoException | null)?.code ?? String((error as Error | null)?.name ?? error);

const HALF = { allowHalfOpen: true };
const SMALL = { highWaterMark: 1024 };

const scenarios: Readonly<Record<string, Scenario>> = {
  "the peer ends, and this side with it": {
    sees: "near finish",
    async run({ near, far }) {
      near.resume();
      far.resume();
      far.end("last words");
      await closed(near, far);
    },
  },
  "the peer ends while nobody reads, nothing is lost": {
    sees: "read 10",
    async run({ near, far }, note) {
      far.resume();
      far.end("last words");
      await turns();
      note(`read ${await read(near)}`);
      await closed(near, far);
    },
  },
  "the peer ends without a word, and nobody reads": {
    sees: "near end",
    async run({ near, far }) {
      far.end();
      await closed(near, far);
    },
  },
  "this side ends": {
    sees: "near finish",
    async run({ near, far }) {
      near.resume();
      far.resume();
      near.end("last words");
      await closed(near, far);
    },
  },
  "both end at once": {
    unordered: true,
    sees: "far finish",
    async run({ near, far }) {
      near.resume();
      far.resume();
      near.end("a");
      far.end("b");
      await closed(near, far);
    },
  },
  "half-open: an answer after the peer's end": {
    options: HALF,
    sees: "answer 7",
    async run({ near, far }, note) {
      far.resume();
      far.once("end", () => far.end("goodbye"));
      near.end("hello");
      note(`answer ${await read(near)}`);
      await closed(near, far);
    },
  },
  "half-open: this side stays open until it is ended": {
    options: HALF,
    sees: "writable true",
    async run({ near, far }, note) {
      near.resume();
      far.resume();
      far.end();
      await once(near, "end");
      await turns();
      note(`writable ${near.writable}, destroyed ${near.destroyed}`);
      near.end();
      await closed(near, far);
    },
  },
  destroy: {
    sees: "near close false",
    async run({ near, far }) {
      far.resume();
      near.destroy();
      await closed(near, far);
    },
  },
  "destroy with an error": {
    sees: "near error boom",
    async run({ near, far }) {
      far.resume();
      near.destroy(new Error("boom"));
      near.destroy(new Error("another"));
      await closed(near, far);
    },
  },
  "destroy in the middle of a write": {
    sees: "written",
    async run({ near, far }, note) {
      near.write(Buffer.alloc(1 << 24), () => note("written"));
      near.write("more", (error) =>
        note(error instanceof Error ? "the rest is not written" : "all is written"),
      );
      await turns();
      near.destroy();
      far.resume();
      await closed(near);
    },
  },
  "destroy right after a write: it goes out": {
    sees: "read 5",
    async run({ near, far }, note) {
      near.write("hello");
      near.destroy();
      note(`read ${await read(far)}`);
      await closed(near, far);
    },
  },
  "destroy with unread bytes: none of them comes later": {
    sees: "near close",
    async run({ near, far }, note) {
      far.write("unread");
      await turns();
      near.destroy();
      near.on("data", () => note("data"));
      await closed(near, far);
    },
  },
  "destroySoon lets what was written go out first": {
    sees: "read 100000",
    async run({ near, far }, note) {
      near.write(Buffer.alloc(100_000));
      near.destroySoon();
      note(`read ${await read(far)}`);
      await closed(near, far);
    },
  },
  "a write after the end": {
    unordered: true,
    sees: "ERR_STREAM_WRITE_AFTER_END",
    options: HALF,
    async run({ near, far }, note) {
      far.resume();
      near.end("done");
      near.write("more", (error) => note(`write ${code(error)}`));
      await closed(near);
      far.end();
      await closed(far);
    },
  },
  "a write after the peer's end has ended this side": {
    sees: "EPIPE",
    async run({ near, far }, note) {
      near.resume();
      near.write(Buffer.alloc(1 << 24));
      far.end();
      await once(near, "end");
      await turns();
      near.write("too late", (error) => note(`write ${code(error)}`));
      await closed(near);
      far.resume();
      await closed(far);
    },
  },
  "a write after destroy": {
    sees: "ERR_STREAM_DESTROYED",
    async run({ near, far }, note) {
      far.resume();
      near.destroy();
      near.write("too late", (error) => note(`write ${code(error)}`));
      await closed(near, far);
      near.write("later still", (error) => note(`write ${code(error)}`));
      await turns();
    },
  },
  "end twice": {
    unordered: true,
    sees: "ERR_STREAM_ALREADY_FINISHED",
    options: HALF,
    async run({ near, far }, note) {
      near.resume();
      far.resume();
      near.end(() => note("ended"));
      await once(near, "finish");
      near.end((error?: Error | null) => note(`again ${code(error)}`));
      far.end();
      await closed(near, far);
    },
  },
  "a reset while it is read": {
    sees: "ECONNRESET",
    async run({ near, far, reset }) {
      near.resume();
      far.resume();
      await turns();
      reset();
      await closed(near, far);
    },
  },
  "a reset while nobody reads": {
    sees: "ECONNRESET",
    async run({ near, far, reset }) {
      await turns();
      reset();
      await closed(near, far);
    },
  },
  "a reset in the middle of a write": {
    // Which of the two directions hears of it first is chance.
    sees: "near error ECONNRESET or EPIPE",
    eitherCode: true,
    async run({ near, reset }) {
      near.write(Buffer.alloc(1 << 24));
      await turns();
      reset();
      await closed(near);
    },
  },
  "pipeline there": {
    sees: "pipeline null",
    async run({ near, far }, note) {
      far.resume();
      near.resume();
      await new Promise<void>((resolve) =>
        pipeline(Readable.from([Buffer.alloc(100_000), Buffer.alloc(1)]), near, (error) => {
          note(`pipeline ${error ?? null}`);
          resolve();
        }),
      );
      await closed(near, far);
    },
  },
  "pipeline back": {
    sees: "took 100000",
    async run({ near, far }, note) {
      far.resume();
      far.end(Buffer.alloc(100_000));
      let length = 0;
      const sink = new Writable({
        write(chunk: Buffer, _encoding, done) {
          length += chunk.length;
          done();
        },
      });
      await pipelinePromise(near, sink);
      note(`took ${length}`);
      await closed(near, far);
    },
  },
  "pipeline through, and back to the same end: an echo": {
    options: HALF,
    sees: "echoed 50000",
    async run({ near, far }, note) {
      const echo = pipelinePromise(far, new PassThrough(), far);
      near.end(Buffer.alloc(50_000));
      note(`echoed ${await read(near)}`);
      await echo;
      await closed(near, far);
    },
  },
  "pipeline whose source fails destroys it": {
    sees: "pipeline boom",
    async run({ near, far }, note) {
      far.resume();
      const source = new Readable({
        read() {
          this.destroy(new Error("boom"));
        },
      });
      await pipelinePromise(source, near).catch((error: Error) => note(`pipeline ${error.message}`));
      await closed(near, far);
    },
  },
  "pipeline into a sink that fails destroys it": {
    sees: "pipeline boom",
    async run({ near, far }, note) {
      far.write("something");
      far.resume();
      const sink = new Transform({ transform: (_chunk, _encoding, done) => done(new Error("boom")) });
      await pipelinePromise(near, sink).catch((error: Error) => note(`pipeline ${error.message}`));
      await closed(near, far);
    },
  },
  "finished, of an end in order and of a premature one": {
    sees: "finished ERR_STREAM_PREMATURE_CLOSE",
    async run({ near, far }, note) {
      finished(near, (error) => note(`finished ${code(error)}`));
      finished(far, (error) => note(`far finished ${code(error)}`));
      near.resume();
      far.resume();
      await turns();
      near.destroy();
      await closed(near, far);
    },
  },
  "finished as a promise": {
    sees: "finished",
    async run({ near, far }, note) {
      near.resume();
      far.resume();
      const both = Promise.all([finishedPromise(near), finishedPromise(far)]);
      near.end("x");
      await both;
      note("finished");
      await closed(near, far);
    },
  },
  "an async iterator that runs to the end": {
    sees: "took 5",
    async run({ near, far }, note) {
      far.resume();
      far.end("hello");
      let length = 0;
      for await (const chunk of near) length += (chunk as Buffer).length;
      note(`took ${length}`);
      await closed(near, far);
    },
  },
  "an async iterator that is left with break destroys it": {
    sees: "destroyed true",
    async run({ near, far }, note) {
      far.resume();
      far.write("hello");
      for await (const chunk of near) {
        note(`took ${(chunk as Buffer).length}`);
        break;
      }
      note(`destroyed ${near.destroyed}`);
      await closed(near, far);
    },
  },
  "an async iterator of a reset connection throws": {
    sees: "threw ECONNRESET",
    async run({ near, reset }, note) {
      await turns();
      setImmediate(reset);
      try {
        for await (const _ of near);
      } catch (error) {
        note(`threw ${code(error)}`);
      }
      await closed(near);
    },
  },
  "setEncoding gives text, also of characters that come in two pieces": {
    sees: "text grüße",
    async run({ near, far }, note) {
      near.setEncoding("utf8");
      far.resume();
      const bytes = Buffer.from("grüße");
      far.write(bytes.subarray(0, 3));
      await turns();
      far.end(bytes.subarray(3));
      let text = "";
      for await (const chunk of near) text += chunk as string;
      note(`text ${text}`);
      await closed(near, far);
    },
  },
  "pause holds the bytes back": {
    sees: "after resume 5",
    async run({ near, far }, note) {
      far.resume();
      let length = 0;
      near.on("data", (chunk: Buffer) => (length += chunk.length));
      near.pause();
      far.write("hello");
      await turns();
      note(`paused ${length}`);
      near.resume();
      far.end();
      await once(near, "end");
      note(`after resume ${length}`);
      await closed(near, far);
    },
  },
  "unshift gives bytes back": {
    sees: "again hello",
    async run({ near, far }, note) {
      far.resume();
      far.end("hello");
      await once(near, "readable");
      const chunk = near.read() as Buffer;
      near.unshift(chunk);
      let text = "";
      for await (const piece of near) text += String(piece);
      note(`again ${text}`);
      await closed(near, far);
    },
  },
  "back-pressure: false once too much waits, and one drain": {
    options: SMALL,
    sees: "drains 1",
    async run({ near, far }, note) {
      let drains = 0;
      near.on("drain", () => drains++);
      note(`takes ${near.write(Buffer.alloc(1 << 24))}, needs ${near.writableNeedDrain}`);
      far.resume();
      await once(near, "drain");
      note(`needs ${near.writableNeedDrain}, length ${near.writableLength}`);
      near.end();
      await closed(near, far);
      note(`drains ${drains}`);
    },
  },
  "text in several encodings is what it says": {
    sees: "got 68656c6c6f ff 6869 4a",
    async run({ near, far }, note) {
      const got: string[] = [];
      far.on("data", (chunk: Buffer) => got.push(chunk.toString("hex")));
      for (const [text, encoding] of [
        ["hello", "utf8"],
        ["\u00ff", "latin1"],
        ["6869", "hex"],
        ["Sg==", "base64"],
      ] as const) {
        near.write(text, encoding);
        await turns();
      }
      note(`got ${got.join(" ")}`);
      near.end();
      await closed(near, far);
    },
  },
  "corked writes go out together": {
    sees: "got abc",
    async run({ near, far }, note) {
      near.cork();
      near.write("a", () => note("a is out"));
      near.write(Buffer.from("b"), () => note("b is out"));
      near.write("c", () => note("c is out"));
      await turns();
      note(`corked ${near.writableCorked}`);
      near.uncork();
      const [chunk] = (await once(far, "data")) as [Buffer];
      note(`got ${String(chunk)}`);
      near.end();
      await closed(near, far);
    },
  },
  "a time-out": {
    sees: "near timeout",
    async run({ near, far }, note) {
      far.resume();
      near.resume();
      near.setTimeout(20, () => note("called"));
      await once(near, "timeout");
      await turns();
      near.setTimeout(0);
      near.end();
      await closed(near, far);
    },
  },
  "the members a socket has beside those of a stream": {
    sees: "same true",
    async run({ near, far }, note) {
      near.resume();
      far.resume();
      const same = [
        near.setNoDelay(),
        near.setNoDelay(false),
        near.setKeepAlive(true, 5000),
        near.setKeepAlive(false),
        near.ref(),
        near.unref(),
        near.ref(),
        near.setTimeout(1000),
        near.setTimeout(0),
      ].every((result) => result === near);
      note(`same ${same}`);
      near.end();
      await closed(near, far);
    },
  },
};

async function seen(scenario: Scenario, withPair: typeof withNetPair): Promise<string[]> {
  const near: string[] = [];
  const far: string[] = [];
  const notes: string[] = [];
  await withPair(scenario.options ?? {}, async (pair) => {
    record(pair.near, near);
    record(pair.far, far);
    await scenario.run(pair, (what) => notes.push(what));
  });
  const all = [...near.map((what) => `near ${what}`), ...far.map((what) => `far ${what}`), ...notes];
  if (scenario.unordered === true) all.sort();
  if (scenario.eitherCode !== true) return all;
  return all.map((what) => what.replace(/error (ECONNRESET|EPIPE)/, "error ECONNRESET or EPIPE"));
}

describe("S16 the same happens as with a net.Socket", () => {
  test.each(Object.entries(scenarios))("S16 %s", async (_name, scenario) => {
    const theirs = await seen(scenario, withNetPair);
    const ours = await seen(scenario, withOurPair);
    expect(theirs.join("\n")).toContain(scenario.sees);
    expect(ours).toEqual(theirs);
  });
});
