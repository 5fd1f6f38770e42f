/**
 * Files being written: 4 KiB at random places of a file in the page cache, 64 at a time, beside `fs.write` with
 * callbacks and `FileHandle.write`; 4 KiB records by many tasks with one sync for all that have come meanwhile (group
 * commit), each record beside `FileHandle.write` and `datasync`; and a large copy beside `fs.promises.copyFile`
 * and a pipeline of streams. The disk decides the second, the page cache the
 * others.
 */
import {
  createReadStream,
  createWriteStream,
  mkdtempSync,
  open as openFile,
  rmSync,
  writeFileSync,
  write as writeTo,
} from "node:fs";
import { type FileHandle, copyFile as nodeCopy, open as openHandle } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { promisify } from "node:util";
import { Coordinator, op, run, Signal, spawn } from "cooperator";
import { allocate, copyFile, type File, open } from "cooperator/io";
import {
  alternate,
  type Bench,
  compare,
  nowNs,
  type Row,
  randomPages,
  runPart,
  timeChains,
  together,
} from "../harness.ts";

const RECORD = 4096;
const WRITERS = 32;

const DEPTH = 64;

const pagesWritten = op(function* (file: File, pages: number, slot: number, count: number) {
  const bytes = allocate(RECORD).fill(slot);
  const random = randomPages(pages, slot + 1);
  for (let i = 0; i < count; i++) yield* file.write(bytes, { position: random() * RECORD });
});

/** Nanoseconds per write of one that runs warm; a tenth of the writes comes before the clock does. */
const written = op(function* (path: string, pages: number, count: number) {
  using file = yield* open(path, "r+");
  const each = Math.ceil(count / DEPTH);
  yield* together(DEPTH, (slot) => pagesWritten(file, pages, slot, Math.ceil(each / 10)));
  const start = nowNs();
  yield* together(DEPTH, (slot) => pagesWritten(file, pages, slot, each));
  return (nowNs() - start) / (each * DEPTH);
});

async function viaCallbacks(path: string, pages: number, count: number): Promise<number> {
  const fd = await promisify(openFile)(path, "r+");
  return timeChains(DEPTH, count, (slot, length) => {
    const bytes = Buffer.alloc(RECORD, slot);
    const random = randomPages(pages, slot + 1);
    let left = length;
    return new Promise((resolve, reject) => {
      const next = (error: Error | null): void => {
        if (error !== null) reject(error);
        else if (left-- === 0) resolve();
        else writeTo(fd, bytes, 0, RECORD, random() * RECORD, next);
      };
      next(null);
    });
  });
}

async function viaFileHandle(path: string, pages: number, count: number): Promise<number> {
  const file = await openHandle(path, "r+");
  const time = await timeChains(DEPTH, count, async (slot, length) => {
    const bytes = Buffer.alloc(RECORD, slot);
    const random = randomPages(pages, slot + 1);
    for (let i = 0; i < length; i++) await file.write(bytes, 0, RECORD, random() * RECORD);
  });
  await file.close();
  return time;
}

/** Everybody who has written waits for the next sync that begins; one sync runs at a time. */
class Commit {
  private readonly file: File;
  private readonly gate = new Coordinator();
  private waiting = new Signal();

  constructor(file: File) {
    this.file = file;
  }

  readonly done = op(function* (this: Commit) {
    const mine = this.waiting;
    yield* this.gate.acquire();
    try {
      if (mine.signaled) return;
      this.waiting = new Signal();
      yield* this.file.sync({ dataOnly: true });
      mine.notify();
    } finally {
      this.gate.release();
    }
  });
}

const writer = op(function* (file: File, commit: Commit, slot: number, records: number) {
  const bytes = allocate(RECORD).fill(slot);
  for (let i = 0; i < records; i++) {
    yield* file.writeAll(bytes, { position: (i * WRITERS + slot) * RECORD });
    yield* commit.done();
  }
});

const ours = op(function* (path: string, records: number) {
  using file = yield* open(path, "w");
  const commit = new Commit(file);
  const start = nowNs();
  const tasks = Array.from({ length: WRITERS }, (_, slot) => spawn(writer(file, commit, slot, records)));
  for (const task of tasks) yield* task.join();
  return (nowNs() - start) / (WRITERS * records);
});

/** The same with promises: whoever comes while a sync runs shares the next one. */
async function promises(path: string, records: number): Promise<number> {
  const file = await openHandle(path, "w");
  let current: Promise<void> | null = null;
  let next: Promise<void> | null = null;
  const sync = (): Promise<void> => {
    if (current === null) {
      current = begin(file);
      return current;
    }
    next ??= current.then(() => {
      next = null;
      current = begin(file);
      return current;
    });
    return next;
  };
  const begin = (of: FileHandle): Promise<void> => {
    const mine = of.datasync().finally(() => {
      if (current === mine) current = null;
    });
    return mine;
  };
  const start = nowNs();
  await Promise.all(
    Array.from({ length: WRITERS }, async (_, slot) => {
      const bytes = Buffer.alloc(RECORD, slot);
      for (let i = 0; i < records; i++) {
        await file.write(bytes, 0, RECORD, (i * WRITERS + slot) * RECORD);
        await sync();
      }
    }),
  );
  const time = (nowNs() - start) / (WRITERS * records);
  await file.close();
  return time;
}

/** Nanoseconds per mebibyte of one copy. */
async function copied(bytes: number, copy: () => Promise<unknown>): Promise<number> {
  const start = nowNs();
  await copy();
  return (nowNs() - start) / (bytes / 2 ** 20);
}

const copying = op(function* (from: string, to: string, bytes: number) {
  const start = nowNs();
  yield* copyFile(from, to);
  return (nowNs() - start) / (bytes / 2 ** 20);
});

export const bench: Bench = {
  needsRing: true,
  parts: {
    write: (path, pages, count) => run(written(path!, Number(pages), Number(count))),
    "write-callbacks": (path, pages, count) => viaCallbacks(path!, Number(pages), Number(count)),
    "write-promises": (path, pages, count) => viaFileHandle(path!, Number(pages), Number(count)),
    commit: (path, records) => run(ours(path!, Number(records))),
    "commit-promises": (path, records) => promises(path!, Number(records)),
    copy: (from, to, bytes) => run(copying(from!, to!, Number(bytes))),
    "copy-node": (from, to, bytes) => copied(Number(bytes), () => nodeCopy(from!, to!)),
    "copy-streams": (from, to, bytes) =>
      copied(Number(bytes), () => pipeline(createReadStream(from!), createWriteStream(to!))),
  },
  async rows(context) {
    const directory = mkdtempSync(join(tmpdir(), "cooperator-bench-"));
    try {
      return [
        ...(await writes(directory, context)),
        ...(await commits(directory, context)),
        ...(await copies(directory, context)),
      ];
    } finally {
      rmSync(directory, { recursive: true });
    }
  },
};

type Context = Parameters<Bench["rows"]>[0];

async function writes(directory: string, { rounds, size }: Context): Promise<Row[]> {
  const path = join(directory, "pages");
  const bytes = size(64 << 20, 1 << 20);
  writeFileSync(path, Buffer.alloc(bytes, 1));
  const part = (name: string, count: number) => () =>
    runPart<number>("io/file-write", name, [path, bytes / RECORD, count]);
  const series = await alternate<string, number>(rounds, {
    ours: part("write", size(200_000, 500)),
    callbacks: part("write-callbacks", size(100_000, 500)),
    promises: part("write-promises", size(100_000, 500)),
  });
  const row = (contender: string, peerName: string): Row =>
    compare({
      name: `io/file-write 4 KiB, ${DEPTH} in flight, beside ${peerName}`,
      unit: "ns",
      ours: series.ours!,
      peer: series[contender]!,
      peerName,
      as: "gain",
      settings: "page cache, no sync; threads of Node's pool: 4",
    });
  return [row("callbacks", "fs.write"), row("promises", "FileHandle.write")];
}

async function commits(directory: string, { rounds, size }: Context): Promise<Row[]> {
  const path = join(directory, "journal");
  const records = size(50, 2);
  const part = (name: string) => () => runPart<number>("io/file-write", name, [path, records]);
  const series = await alternate<string, number>(rounds, {
    ours: part("commit"),
    promises: part("commit-promises"),
  });
  return [
    compare({
      name: "io/file-write 4 KiB record, group commit, 32 writers",
      unit: "ns",
      ours: series.ours!,
      peer: series.promises!,
      peerName: "FileHandle.write, datasync",
      as: "gain",
      settings: "one sync for all that have written meanwhile",
    }),
  ];
}

async function copies(directory: string, { rounds, size }: Context): Promise<Row[]> {
  const bytes = size(256 << 20, 1 << 20);
  const from = join(directory, "from");
  const to = join(directory, "to");
  writeFileSync(from, Buffer.alloc(bytes, 1));
  const part = (name: string) => () => {
    rmSync(to, { force: true });
    return runPart<number>("io/file-write", name, [from, to, bytes]);
  };
  const series = await alternate<string, number>(rounds, {
    ours: part("copy"),
    node: part("copy-node"),
    streams: part("copy-streams"),
  });
  const row = (contender: string, peerName: string): Row =>
    compare({
      name: `io/file-write copy of ${bytes >> 20} MiB, beside ${peerName}`,
      unit: "ns/MiB",
      ours: series.ours!,
      peer: series[contender]!,
      peerName,
      as: "gain",
      settings: "page cache, no sync",
    });
  return [row("node", "fs.promises.copyFile"), row("streams", "a pipeline of streams")];
}
