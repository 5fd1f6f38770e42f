/** Watching files: every event once and in order, by whatever way the waiting for it ends. */
import { mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import {
  BusyError,
  ClosedError,
  DeadlineError,
  InvariantError,
  op,
  spawn,
} from "../../src/coordinator/index.ts";
import { decodeEvents } from "../../src/io/file/watch-events.ts";
import { type FileEvent, type FileWatcher, IoError, watch } from "../../src/io/index.ts";
import * as abi from "../../src/native/layout.ts";
import { select } from "../../src/sync/index.ts";
import { sleep } from "../../src/time/index.ts";
import { expectError, failureOf, freshPath, runIo, stop, submitted, thrownBy } from "../support/io.ts";

function freshDirectory(): string {
  const path = freshPath("watched");
  mkdirSync(path);
  return path;
}

/** The next `count` events. */
const take = op(function* (watcher: FileWatcher, count: number) {
  const events: FileEvent[] = [];
  while (events.length < count) {
    const event = yield* watcher.next();
    if (event === null) break;
    events.push(event);
  }
  return events;
});

const brief = ({ type, name }: FileEvent): string => (name === null ? type : `${type} ${name}`);

describe("what is told", () => {
  test("names that come, change and go in a directory, in order", async () => {
    await runIo(function* () {
      const path = freshDirectory();
      using watcher = yield* watch(path);
      writeFileSync(join(path, "a"), "one");
      mkdirSync(join(path, "d"));
      unlinkSync(join(path, "a"));
      const events = yield* take(watcher, 5);
      expect(events.map(brief)).toEqual(["create a", "modify a", "closeWrite a", "create d", "delete a"]);
      expect(events.map(({ directory }) => directory)).toEqual([false, false, false, true, false]);
      expect(events.every((event) => event.path === path && event.cookie === 0)).toBe(true);
      expect(watcher.statistics()).toEqual({ watched: 1, events: 5, overflows: 0 });
    });
  });

  test("both halves of a rename have the same cookie, across directories too", async () => {
    await runIo(function* () {
      const [from, to] = [freshDirectory(), freshDirectory()];
      writeFileSync(join(from, "a"), "");
      writeFileSync(join(from, "b"), "");
      using watcher = yield* watch([from, to]);
      renameSync(join(from, "a"), join(to, "c"));
      renameSync(join(from, "b"), join(from, "d"));
      const events = yield* take(watcher, 4);
      expect(events.map(brief)).toEqual(["movedFrom a", "movedTo c", "movedFrom b", "movedTo d"]);
      expect(events.map((event) => event.path)).toEqual([from, to, from, from]);
      const [first, second, third, fourth] = events.map(({ cookie }) => cookie);
      expect(first).not.toBe(0);
      expect(second).toBe(first);
      expect(fourth).toBe(third);
      expect(third).not.toBe(first);
    });
  });

  test("a file that is watched itself: its end is told, and then there is nothing more to wait for", async () => {
    await runIo(function* () {
      const path = freshPath();
      writeFileSync(path, "");
      using watcher = yield* watch(path, { changes: ["modify", "deleteSelf"] });
      writeFileSync(path, "x");
      unlinkSync(path);
      const events = yield* take(watcher, 9);
      expect(events.map(brief)).toEqual(["modify", "deleteSelf", "gone"]);
      expect(yield* watcher.next()).toBe(null);
      expect(watcher.statistics().watched).toBe(0);
    });
  });

  test("only what was asked for", async () => {
    await runIo(function* () {
      const path = freshDirectory();
      using watcher = yield* watch(path, { changes: ["open", "delete"] });
      writeFileSync(join(path, "a"), "x");
      readFileSync(join(path, "a"));
      unlinkSync(join(path, "a"));
      // The kernel makes one of equal ones that follow each other.
      expect((yield* take(watcher, 2)).map(brief)).toEqual(["open a", "delete a"]);
    });
  });

  test("names that are no UTF-8 come as bytes", async () => {
    await runIo(function* () {
      const path = freshDirectory();
      using watcher = yield* watch(path, { changes: ["create"] });
      const name = Buffer.from([0x66, 0xff, 0x6f]);
      writeFileSync(Buffer.concat([Buffer.from(`${path}/`), name]), "");
      const [event] = yield* take(watcher, 1);
      expect(event!.nameBytes).toEqual(name);
    });
  });

  test("a link itself, or what it leads to", async () => {
    await runIo(function* () {
      const path = freshDirectory();
      const link = freshPath("link");
      symlinkSync(path, link);
      using through = yield* watch(link, { changes: ["create"] });
      using itself = yield* watch(link, { changes: ["deleteSelf"], noFollow: true });
      writeFileSync(join(path, "a"), "");
      unlinkSync(link);
      expect((yield* take(through, 1)).map(brief)).toEqual(["create a"]);
      expect((yield* take(itself, 2)).map(brief)).toEqual(["deleteSelf", "gone"]);
    });
  });

  test("more than fits into one read", async () => {
    await runIo(function* () {
      const path = freshDirectory();
      using watcher = yield* watch(path, { changes: ["create"] });
      const names = Array.from({ length: 1500 }, (_, i) => `${"n".repeat(20)}-${i}`);
      for (const name of names) writeFileSync(join(path, name), "");
      expect((yield* take(watcher, names.length)).map(({ name }) => name)).toEqual(names);
    });
  });

  test("a queue that was full is told of, counted, and goes on", async () => {
    const limit = Number(readFileSync("/proc/sys/fs/inotify/max_queued_events", "utf8"));
    if (limit > 50_000) return;
    await runIo(function* () {
      const path = freshDirectory();
      const [a, b] = [join(path, "a"), join(path, "b")];
      writeFileSync(a, "");
      using watcher = yield* watch(path, { changes: ["movedFrom", "movedTo"] });
      for (let i = 0; i < limit / 2 + 10; i++) {
        if (i % 2 === 0) renameSync(a, b);
        else renameSync(b, a);
      }
      const events = yield* take(watcher, limit + 1);
      const last = events.at(-1)!;
      expect(last).toMatchObject({ type: "overflow", path: null, name: null });
      expect(events.filter(({ type }) => type === "overflow").length).toBe(1);
      expect(watcher.statistics().overflows).toBe(1);
      renameSync(join(path, readName(a, b)), join(path, "c"));
      expect((yield* take(watcher, 2)).map(({ type }) => type)).toEqual(["movedFrom", "movedTo"]);
    });
  });
});

/** Which of the two is there. */
function readName(a: string, b: string): string {
  try {
    readFileSync(a);
    return "a";
  } catch {
    readFileSync(b);
    return "b";
  }
}

describe("adding and removing", () => {
  test("a path that is removed: what happened before still comes, and no end is told", async () => {
    await runIo(function* () {
      const [one, two] = [freshDirectory(), freshDirectory()];
      using watcher = yield* watch(one, { changes: ["create"] });
      watcher.add(two, { changes: ["create"] });
      writeFileSync(join(one, "before"), "");
      expect(watcher.remove(one)).toBe(true);
      expect(watcher.remove(one)).toBe(false);
      writeFileSync(join(one, "after"), "");
      writeFileSync(join(two, "last"), "");
      expect((yield* take(watcher, 2)).map(brief)).toEqual(["create before", "create last"]);
    });
  });

  test.each([1, 3])("the last one is removed, and %i events are still to come", async (count) => {
    await runIo(function* () {
      const path = freshDirectory();
      using watcher = yield* watch(path, { changes: ["create"] });
      for (let i = 0; i < count; i++) writeFileSync(join(path, `${i}`), "");
      watcher.remove(path);
      expect((yield* take(watcher, 9)).map(({ name }) => name)).toEqual(["0", "1", "2"].slice(0, count));
      expect(yield* watcher.next()).toBe(null);
    });
  });

  test("the last one is removed while a task waits", async () => {
    await runIo(function* () {
      const path = freshDirectory();
      using watcher = yield* watch(path);
      const waiting = spawn(watcher.next());
      yield* submitted();
      watcher.remove(path);
      expect(yield* waiting.join()).toBe(null);
    });
  });

  test("a path may be watched anew at once", async () => {
    await runIo(function* () {
      const path = freshDirectory();
      using watcher = yield* watch(path, { changes: ["create"] });
      watcher.remove(path);
      watcher.add(path, { changes: ["delete"] });
      writeFileSync(join(path, "a"), "");
      unlinkSync(join(path, "a"));
      expect((yield* take(watcher, 1)).map(brief)).toEqual(["delete a"]);
      rmSync(path, { recursive: true });
      expect((yield* take(watcher, 9)).map(brief)).toEqual(["gone"]);
    });
  });

  test("a file that is removed by the system first, and then here", async () => {
    await runIo(function* () {
      const path = freshPath();
      writeFileSync(path, "");
      const other = freshDirectory();
      using watcher = yield* watch([path, other], { changes: ["deleteSelf", "create"] });
      unlinkSync(path);
      expect(watcher.remove(path)).toBe(true);
      writeFileSync(join(other, "a"), "");
      expect((yield* take(watcher, 2)).map(brief)).toEqual(["deleteSelf", "create a"]);
    });
  });
});

describe("kill, timeout, close", () => {
  test("a killed wait ends, and the next one gets what came", async () => {
    await runIo(function* () {
      const path = freshDirectory();
      using watcher = yield* watch(path, { changes: ["create"] });
      const waiting = spawn(watcher.next());
      yield* submitted();
      yield* stop(waiting);
      writeFileSync(join(path, "a"), "");
      const both = spawn(watcher.next());
      // The event is with the kernel, or read already for a task that is gone then.
      yield* stop(both);
      expect((yield* take(watcher, 1)).map(brief)).toEqual(["create a"]);
    });
  });

  test.each([0, 1, 2, 3, 4])("an event that comes with the kill is not lost (%i turns)", async (turns) => {
    await runIo(function* () {
      const path = freshDirectory();
      using watcher = yield* watch(path, { changes: ["create"] });
      const waiting = spawn(watcher.next());
      yield* submitted();
      writeFileSync(join(path, "a"), "");
      for (let i = 0; i < turns; i++) yield* submitted();
      const got = waiting.exit?.status === "done" ? 1 : 0;
      yield* stop(waiting);
      writeFileSync(join(path, "b"), "");
      const rest = yield* take(watcher, 2 - got);
      expect(rest.map(brief)).toEqual(["create a", "create b"].slice(got));
    });
  });

  test("a timeout, and the loser of a select, leave the watcher usable", async () => {
    await runIo(function* () {
      const path = freshDirectory();
      using watcher = yield* watch(path, { changes: ["create"] });
      expectError(
        yield* failureOf(watcher.next({ timeout: 5 })),
        DeadlineError,
        "COOP_DEADLINE",
        /read on watcher/,
      );
      writeFileSync(join(path, "a"), "");
      expect((yield* take(watcher, 1)).map(brief)).toEqual(["create a"]);
      expect((yield* select({ made: watch(path), tick: sleep(1000) })).key).toBe("made");
    });
  });

  test("a second task that waits, and a watcher that is closed, are typed errors", async () => {
    await runIo(function* () {
      const path = freshDirectory();
      const watcher = yield* watch(path);
      const waiting = spawn(watcher.next(), { failure: "hold" });
      yield* submitted();
      expectError(yield* failureOf(() => watcher.next()), BusyError, "COOP_BUSY", /one at a time/);
      yield* watcher.close();
      expect(yield* waiting.settled()).toMatchObject({ status: "failed", error: { code: "COOP_CLOSED" } });
      expectError(yield* failureOf(() => watcher.next()), ClosedError, "COOP_CLOSED", /watcher .* is closed/);
      expectError(
        thrownBy(() => watcher.add(path)),
        ClosedError,
        "COOP_CLOSED",
        /closed/,
      );
    });
  });
});

describe("errors", () => {
  test("a path that is not there, or watched twice, is named; nothing stays open", async () => {
    await runIo(function* () {
      const path = freshDirectory();
      const missing = freshPath();
      const error = yield* failureOf(watch([path, missing]));
      expectError(error, IoError, "ENOENT", /inotify/);
      expect(error).toMatchObject({ path: missing });
      expect(yield* failureOf(watch([path, path]))).toMatchObject({ code: "EEXIST", path });
      using watcher = yield* watch(path);
      expect(thrownBy(() => watcher.add(missing))).toMatchObject({ code: "ENOENT", path: missing });
      expect(thrownBy(() => watcher.add(`${path}/.`))).toMatchObject({ code: "EEXIST" });
    });
  });

  test("wrong options are refused before anything is opened", async () => {
    await runIo(function* () {
      for (const changes of [["rename"], [], ["toString"]]) {
        expect(yield* failureOf(() => watch("/", { changes: changes as never }))).toMatchObject({
          code: "COOP_OPTION",
        });
      }
      expect(yield* failureOf(() => watch("a\0b"))).toMatchObject({ code: "COOP_PATH" });
    });
  });
});

describe("records", () => {
  const record = (wd: number, mask: number, name: string, padded = 16, cookie = 0): Buffer => {
    const bytes = Buffer.alloc(abi.INOTIFY_SIZE + padded);
    bytes.writeInt32LE(wd, abi.INOTIFY_WD);
    bytes.writeUInt32LE(mask >>> 0, abi.INOTIFY_MASK);
    bytes.writeUInt32LE(cookie, abi.INOTIFY_COOKIE);
    bytes.writeUInt32LE(padded, abi.INOTIFY_LEN);
    bytes.write(name, abi.INOTIFY_SIZE);
    return bytes;
  };
  const decode = (batch: Buffer): FileEvent[] => {
    const events: FileEvent[] = [];
    decodeEvents(batch, {
      pathOf: (watch) => (watch === 1 ? "one" : null),
      take: (event) => void events.push(event),
    });
    return events;
  };

  test("one that says two things is two events; one of an unknown watch is none", () => {
    const batch = Buffer.concat([
      record(1, abi.IN_MODIFY | abi.IN_ATTRIB, "name"),
      record(9, abi.IN_CREATE, "ghost"),
      record(-1, abi.IN_Q_OVERFLOW, "", 0),
      record(1, abi.IN_CREATE | abi.IN_ISDIR, "a".repeat(16)),
    ]);
    expect(decode(batch).map(brief)).toEqual([
      "modify name",
      "attributes name",
      "overflow",
      `create ${"a".repeat(16)}`,
    ]);
  });

  test("no byte outside of the batch is looked at", () => {
    const whole = record(1, abi.IN_CREATE, "name");
    for (let cut = 1; cut < whole.length; cut++) {
      expect(() => decode(whole.subarray(0, cut))).toThrow(InvariantError);
    }
    whole.writeUInt32LE(0xffff_ffff, abi.INOTIFY_LEN);
    expect(() => decode(whole)).toThrow(InvariantError);
  });
});
