/**
 * Random 4 KiB reads of a file that is in the page cache, 1 and 64 at a time, beside `fs.read` with callbacks,
 * `FileHandle.read`, and a C loop on io_uring. Warm: the file has been read, and the first tenth of the reads
 * is not counted.
 */
import { mkdtempSync, open as openFile, read as readFile, rmSync, writeFileSync } from "node:fs";
import { open as openHandle } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { op, run, self } from "cooperator";
import { allocate, type File, ioStatistics, open } from "cooperator/io";
import {
  alternate,
  type Bench,
  type Comparison,
  compare,
  compiled,
  median,
  nowNs,
  type Row,
  randomPages,
  runNative,
  runPart,
  timeChains,
  together,
} from "../harness.ts";

const PAGE = 4096;

interface Sample {
  readonly ns: number;
  /** Native calls per read. */
  readonly calls: number;
}

const reader = op(function* (file: File, pages: number, slot: number, count: number) {
  const into = allocate(PAGE);
  const random = randomPages(pages, slot + 1);
  for (let i = 0; i < count; i++) {
    const got = yield* file.read(into, { position: random() * PAGE });
    if (got !== PAGE) throw new Error(`read ${got} bytes`);
  }
});

const measured = op(function* (path: string, pages: number, depth: number, count: number) {
  using file = yield* open(path);
  const { cooperator } = self();
  const each = Math.ceil(count / depth);
  yield* together(depth, (slot) => reader(file, pages, slot, Math.ceil(each / 10)));
  const before = ioStatistics(cooperator)!.flushes;
  const start = nowNs();
  yield* together(depth, (slot) => reader(file, pages, slot, each));
  const done = each * depth;
  const sample: Sample = {
    ns: (nowNs() - start) / done,
    calls: (ioStatistics(cooperator)!.flushes - before) / done,
  };
  return sample;
});

async function viaCallbacks(path: string, pages: number, depth: number, count: number): Promise<Sample> {
  const fd = await promisify(openFile)(path, "r");
  const chain = (slot: number, each: number): Promise<void> =>
    new Promise((resolve, reject) => {
      const into = Buffer.alloc(PAGE);
      const random = randomPages(pages, slot + 1);
      let left = each;
      const next = (error: Error | null, got: number): void => {
        if (error !== null || got !== PAGE) reject(error ?? new Error(`read ${got} bytes`));
        else if (left-- === 0) resolve();
        else readFile(fd, into, 0, PAGE, random() * PAGE, next);
      };
      next(null, PAGE);
    });
  return { ns: await timeChains(depth, count, chain), calls: 1 };
}

async function viaFileHandle(path: string, pages: number, depth: number, count: number): Promise<Sample> {
  const file = await openHandle(path);
  const chain = async (slot: number, each: number): Promise<void> => {
    const into = Buffer.alloc(PAGE);
    const random = randomPages(pages, slot + 1);
    for (let i = 0; i < each; i++) {
      const { bytesRead } = await file.read(into, 0, PAGE, random() * PAGE);
      if (bytesRead !== PAGE) throw new Error(`read ${bytesRead} bytes`);
    }
  };
  const ns = await timeChains(depth, count, chain);
  await file.close();
  return { ns, calls: 1 };
}

type Reads = (path: string, pages: number, depth: number, count: number) => Promise<Sample>;
const part =
  (reads: Reads) =>
  (...[path, pages, depth, count]: string[]) =>
    reads(path!, Number(pages), Number(depth), Number(count));

export const bench: Bench = {
  needsRing: true,
  parts: {
    ours: part((path, pages, depth, count) => run(measured(path, pages, depth, count))),
    callbacks: part(viaCallbacks),
    promises: part(viaFileHandle),
  },
  async rows(context) {
    const directory = mkdtempSync(join(tmpdir(), "cooperator-bench-"));
    try {
      return await measure(join(directory, "data"), context);
    } finally {
      rmSync(directory, { recursive: true });
    }
  },
};

async function measure(path: string, { rounds, size }: Parameters<Bench["rows"]>[0]): Promise<Row[]> {
  const bytes = size(64 << 20, 1 << 20);
  const pages = bytes / PAGE;
  writeFileSync(path, Buffer.alloc(bytes, 1));
  const program = compiled("file-read");
  const rows: Row[] = [];
  for (const depth of [64, 1]) {
    const fast = size(depth === 1 ? 200_000 : 500_000, 500);
    const slow = size(depth === 1 ? 50_000 : 100_000, 500);
    const series = await alternate<string, Sample>(rounds, {
      ours: () => runPart("io/file-read", "ours", [path, pages, depth, fast]),
      callbacks: () => runPart("io/file-read", "callbacks", [path, pages, depth, slow]),
      promises: () => runPart("io/file-read", "promises", [path, pages, depth, slow]),
      ...(program === null ? {} : { c: () => runNative<Sample>(program, [path, depth, fast]) }),
    });
    const calls = median(series.ours!.map((sample) => sample.calls)).toFixed(3);
    const row = (
      contender: string,
      c: Pick<Comparison, "peerName" | "as" | "floor" | "goal" | "settings">,
    ): void => {
      if (series[contender] === undefined) return;
      rows.push(
        compare({
          name: `io/file-read ${depth} in flight, beside ${c.peerName}`,
          unit: "ns",
          ours: series.ours!.map(({ ns }) => ns),
          peer: series[contender].map(({ ns }) => ns),
          ...c,
        }),
      );
    };
    const deep = depth === 64;
    row("callbacks", {
      peerName: "fs.read",
      as: "gain",
      ...(deep ? { floor: { least: 4 } } : {}),
      settings: `${calls} native calls per read; fs.read: 4 threads`,
    });
    row("promises", {
      peerName: "FileHandle.read",
      as: "gain",
      ...(deep ? { goal: { least: 10 } } : {}),
      settings: `${calls} native calls per read; FileHandle.read: 4 threads`,
    });
    row("c", {
      peerName: "C io_uring",
      as: "cost",
      ...(deep ? { goal: { most: 1.15 } } : {}),
      settings: `${calls} native calls per read`,
    });
  }
  return rows;
}
