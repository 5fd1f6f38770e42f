/** Conformance T and R09: files, directories, pipes and devices. */
import { execFileSync, spawnSync } from "node:child_process";
import {
  appendFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { describe, expect, test } from "vitest";
import { ClosedError, type Operation, op, self, spawn, UsageError } from "../../src/coordinator/index.ts";
import {
  adoptFile,
  allocate,
  borrowFile,
  chmod,
  close,
  copyFile,
  type Descriptor,
  type File,
  fsync,
  getXattr,
  Handle,
  link,
  makeTempDirectory,
  mkdir,
  open,
  openDirectory,
  openPipe,
  type Path,
  poll,
  read,
  readDirectory,
  readFile,
  readLink,
  readTextFile,
  rename,
  rmdir,
  sendFile,
  setupFsync,
  setupStat,
  setXattr,
  splice,
  stat,
  symlink,
  truncate,
  unlink,
  walk,
  writeAll,
  writeFile,
  writeFileAtomic,
} from "../../src/io/index.ts";
import * as abi from "../../src/native/layout.ts";
import { exhaustive } from "../support/harness.ts";
import {
  expectError,
  failureOf,
  freshFifo,
  freshPath,
  ioCounts,
  nodeTurn,
  openDescriptors,
  pattern,
  runIo,
  stop,
  submitted,
  thrownBy,
} from "../support/io.ts";
import { runScripted, ScriptedDriver, type Submission } from "../support/scripted-driver.ts";

const ENOENT = 2;
const EIO = 5;
const ENOSPC = 28;

function freshDirectory(): string {
  const path = freshPath("directory");
  mkdirSync(path);
  return path;
}

describe("T03 many tasks on one file", () => {
  test("T03 appends do not mix: each write is at the end, whole", async () => {
    await runIo(function* () {
      const path = freshPath();
      const file = yield* open(path, "a");
      const append = op(function* (of: File, number: number) {
        for (let i = 0; i < 20; i++) yield* writeAll(of, Buffer.from(`${String(number).repeat(40)}\n`));
      });
      const tasks = [1, 2, 3, 4, 5, 6, 7, 8].map((number) => spawn(append(file, number)));
      for (const task of tasks) yield* task.join();
      const lines = readFileSync(path, "utf8").trimEnd().split("\n");
      expect(lines.length).toBe(160);
      for (const line of lines) expect(line).toMatch(/^(\d)\1{39}$/);
    });
  });
});

describe("T04 reading whole files", () => {
  test("T04 files of /proc, which claim to be empty, are read to their end", async () => {
    await runIo(function* () {
      expect(statSync("/proc/self/status").size).toBe(0);
      expect(yield* readTextFile("/proc/self/status")).toContain(`Pid:\t${process.pid}\n`);
      const maps = yield* readFile("/proc/self/maps");
      // More than one read, and more than the room it began with.
      expect(maps.length).toBeGreaterThan(8192);
      expect(maps.toString().endsWith("\n")).toBe(true);
    });
  });

  test("T04 sizes around the chunks, an empty file, a pipe, a directory, nothing at all", async () => {
    await runIo(function* () {
      for (const size of [0, 1, 8191, 8192, 8193, 256 * 1024 - 1, 256 * 1024, 256 * 1024 + 1, 1_000_000]) {
        const path = freshPath();
        writeFileSync(path, pattern(size));
        expect((yield* readFile(path)).equals(pattern(size))).toBe(true);
      }
      const fifo = freshFifo();
      const keep = yield* open(fifo, "r+");
      yield* writeAll(keep, Buffer.from("through a pipe"));
      const reader = spawn(readTextFile(fifo));
      yield* submitted();
      yield* submitted();
      yield* poll(keep, { writable: true });
      yield* close(keep);
      expect(yield* reader.join()).toBe("through a pipe");
      const path = freshDirectory();
      expect(yield* failureOf(() => readFile(path))).toMatchObject({ code: "EISDIR", syscall: "read", path });
      expect(yield* failureOf(() => readFile(`${path}/none`))).toMatchObject({ code: "ENOENT" });
    });
  });

  test("T04 a file that grows or shrinks meanwhile is read as it is", () => {
    // The claim is 100 bytes; the reads say otherwise.
    for (const lengths of [[60, 0], [100, 100, 300, 0], [0]]) {
      const reads = [...lengths];
      const driver = new ScriptedDriver({
        result(submission, self) {
          if (submission.opcode === abi.OP_OPENAT) return self.openNumber();
          if (submission.opcode !== abi.OP_READ) {
            if (submission.opcode === abi.OP_STATX) sizeIn(driver, submission, 100);
            return 0;
          }
          const count = Math.min(reads.shift()!, submission.length);
          driver.bytesOf(submission).fill(count & 0xff, 0, count);
          return count;
        },
      });
      runScripted(driver, function* () {
        const bytes = yield* readFile("/some/file");
        const wanted = lengths.map((length) => Math.min(length, 101)).reduce((a, b) => a + b);
        expect(bytes.length).toBe(wanted);
      });
    }
  });

  test("T04 more than the limit is an error, exactly the limit is not", async () => {
    await runIo(function* () {
      const path = freshPath();
      writeFileSync(path, pattern(1000));
      expect((yield* readFile(path, { limit: 1000 })).length).toBe(1000);
      expect(yield* failureOf(() => readFile(path, { limit: 999 }))).toMatchObject({
        code: "EOVERFLOW",
        path,
      });
      expect(yield* failureOf(() => readFile("/dev/zero", { limit: 100_000 }))).toMatchObject({
        code: "EOVERFLOW",
      });
      for (const limit of [-1, 1.5, Number.NaN, 2 ** 31]) {
        expect(yield* failureOf(() => readFile(path, { limit }))).toMatchObject({ code: "COOP_ARGUMENT" });
      }
    });
  });
});

function sizeIn(driver: ScriptedDriver, submission: Submission, size: number): void {
  const bytes = driver.bytesOf({ ...submission, address: submission.offset, length: abi.STATX_BYTES });
  new DataView(bytes.buffer, bytes.byteOffset).setBigUint64(abi.STATX_OFFSET_SIZE, BigInt(size), true);
}

/** A directory in memory, for a scripted driver: enough for an atomic replacement. */
class Names {
  readonly files = new Map<string, Buffer>();
  readonly open = new Map<number, string>();
  readonly driver: ScriptedDriver;
  /** Opcodes that fail, with their -errno. */
  readonly refuse = new Map<number, number>();

  constructor() {
    this.driver = new ScriptedDriver({ result: (submission) => this.serve(submission) });
  }

  private serve(submission: Submission): number {
    const { opcode, fd, address, offset, opFlags } = submission;
    const refused = this.refuse.get(opcode);
    if (refused !== undefined) return refused;
    if (opcode === abi.OP_OPENAT) {
      const number = this.driver.openNumber();
      if ((opFlags & abi.O_DIRECTORY) === 0) {
        const name = this.text(address);
        this.files.set(name, Buffer.alloc(0));
        this.open.set(number, name);
      }
      return number;
    }
    if (opcode === abi.OP_STATX) return this.files.has(this.text(address)) ? 0 : -ENOENT;
    if (opcode === abi.OP_WRITE) {
      const name = this.open.get(fd)!;
      // Two bytes at a time, so that there are several rounds.
      const part = Buffer.from(this.driver.bytesOf(submission).subarray(0, 2));
      this.files.set(name, Buffer.concat([this.files.get(name)!, part]));
      return part.length;
    }
    if (opcode === abi.OP_RENAMEAT) {
      const from = this.text(address);
      this.files.set(this.text(offset), this.files.get(from)!);
      this.files.delete(from);
      return 0;
    }
    if (opcode === abi.OP_UNLINKAT) return this.files.delete(this.text(address)) ? 0 : -ENOENT;
    return 0;
  }

  private text(address: number): string {
    let text = "";
    for (let at = address; ; at++) {
      const [byte] = this.driver.bytesOf({ address: at, length: 1 } as Submission);
      if (byte === 0) return text;
      text += String.fromCharCode(byte!);
    }
  }
}

describe("T05 writing whole files", () => {
  test("T05 in place: what is there after a kill is a beginning of it", async () => {
    const content = pattern(3_000_000);
    await runIo(function* () {
      for (let turns = 0; turns < 12; turns++) {
        const path = freshPath();
        const task = spawn(writeFile(path, content), { start: "now" });
        for (let i = 0; i < turns; i++) yield* submitted();
        yield* stop(task);
        const there = yield* failureOf(() => stat(path));
        if (there.code === "ENOENT") continue;
        const bytes = readFileSync(path);
        expect(bytes.equals(content.subarray(0, bytes.length))).toBe(true);
      }
    });
  });

  test("T05 exh: atomic, killed at every point: the old bytes or the new ones, and nothing beside them", () => {
    for (const before of ["old", null]) {
      const result = exhaustive(() => {
        const names = new Names();
        if (before !== null) names.files.set("name", Buffer.from(before));
        let done = false;
        return {
          body: function* () {
            self().cooperator.openDriver = () => names.driver;
            const writer = spawn(function* () {
              yield* writeFileAtomic("/where/name", "contents");
              done = true;
            });
            yield* writer.settled();
          },
          check() {
            const now = names.files.get("name")?.toString() ?? null;
            expect([before, "contents"]).toContain(now);
            if (done) expect(now).toBe("contents");
            expect([...names.files.keys()].filter((name) => name !== "name")).toEqual([]);
            expect(names.driver.open.size).toBe(0);
          },
        };
      });
      expect(result.points).toBeGreaterThan(8);
    }
  });

  test.each([
    ["open", abi.OP_OPENAT],
    ["write", abi.OP_WRITE],
    ["fsync", abi.OP_FSYNC],
    ["rename", abi.OP_RENAMEAT],
  ])("T05 exh: atomic, with an error of %s and a kill", (_name, opcode) => {
    exhaustive(() => {
      const names = new Names();
      names.files.set("name", Buffer.from("old"));
      names.refuse.set(opcode, -ENOSPC);
      return {
        // A kill of its parent makes it report its error.
        reports: true,
        body: function* () {
          self().cooperator.openDriver = () => names.driver;
          const writer = spawn(writeFileAtomic("/where/name", "contents"), { failure: "hold" });
          const exit = yield* writer.settled();
          if (exit.status === "failed") expect(exit.error).toMatchObject({ code: "ENOSPC" });
        },
        check() {
          expect([...names.files].map(([key, value]) => `${key} ${value}`)).toEqual(["name old"]);
          expect(names.driver.open.size).toBe(0);
        },
      };
    });
  });

  test("T05 atomic on the real ring, killed after any number of turns", async () => {
    const path = freshDirectory();
    await runIo(function* () {
      let replaced = 0;
      for (let turns = 0; turns < 40; turns++) {
        writeFileSync(`${path}/name`, "old");
        const task = spawn(writeFileAtomic(`${path}/name`, pattern(5000)), { start: "now" });
        for (let i = 0; i < turns && task.exit === null; i++) yield* submitted();
        yield* stop(task);
        expect(readdirSync(path)).toEqual(["name"]);
        const now = readFileSync(`${path}/name`);
        if (now.toString() !== "old") {
          replaced++;
          expect(now.equals(pattern(5000))).toBe(true);
        }
      }
      expect(replaced).toBeLessThan(40);
      yield* writeFileAtomic(`${path}/name`, "at last");
      expect(readFileSync(`${path}/name`, "utf8")).toBe("at last");
    });
  });

  test("T05 atomic: permissions stay, names are checked, links are replaced, errors leave nothing", async () => {
    const path = freshDirectory();
    const before = process.umask(0o022);
    try {
      await runIo(function* () {
        yield* writeFileAtomic(`${path}/secret`, "1", { permissions: 0o600 });
        yield* writeFileAtomic(`${path}/secret`, "2");
        expect(statSync(`${path}/secret`).mode & 0o777).toBe(0o600);
        yield* writeFileAtomic(`${path}/plain`, Buffer.from("3"));
        expect(statSync(`${path}/plain`).mode & 0o777).toBe(0o644);
        symlinkSync("plain", `${path}/soft`);
        yield* writeFileAtomic(`${path}/soft`, "4");
        expect(readFileSync(`${path}/plain`, "utf8")).toBe("3");
        for (const wrong of [`${path}/`, "..", "/"]) {
          expect(yield* failureOf(() => writeFileAtomic(wrong, "x"))).toMatchObject({ code: "COOP_PATH" });
        }
        mkdirSync(`${path}/sub`);
        const taken = yield* failureOf(() => writeFileAtomic(`${path}/sub`, "x"));
        expect(taken).toMatchObject({ code: "EISDIR", syscall: "rename" });
        const long = "n".repeat(255);
        yield* writeFileAtomic(`${path}/${long}`, "5");
        const directory = yield* openDirectory(path);
        yield* writeFileAtomic("sub/inside", "6", { at: directory });
        expect(readFileSync(`${path}/sub/inside`, "utf8")).toBe("6");
        expect(readdirSync(path).sort()).toEqual([long, "plain", "secret", "soft", "sub"]);
        expect(yield* failureOf(() => writeFile("x", 5 as unknown as string))).toMatchObject({
          code: "COOP_BUFFER",
        });
      });
    } finally {
      process.umask(before);
    }
  });
});

describe("T06 syncs", () => {
  test("T06 an error that has lost data is told by every later sync, in both forms, and by no other file", () => {
    let refuse = true;
    const driver = new ScriptedDriver({
      result: ({ opcode, length }) =>
        opcode === abi.OP_FSYNC ? (refuse ? -EIO : 0) : opcode === abi.OP_WRITE ? length : 0,
    });
    runScripted(driver, function* () {
      const file = adoptFile(driver.openNumber());
      const other = adoptFile(driver.openNumber());
      yield* writeAll(file, Buffer.from("x"));
      expect(yield* failureOf(() => fsync(file))).toMatchObject({ code: "EIO", syscall: "fsync" });
      refuse = false;
      const before = driver.log.length;
      expect(yield* failureOf(() => fsync(file, { dataOnly: true }))).toMatchObject({ code: "EIO" });
      const handle = new Handle();
      setupFsync(handle, file);
      expect(yield* handle).toBe(-EIO);
      // The kernel would have said that all is well.
      expect(driver.log.length).toBe(before);
      yield* fsync(other);
      yield* close(file);
      yield* close(other);
    });
  });

  test("T06 an error of a sync nobody waits for any more is told by the next", () => {
    const driver = new ScriptedDriver({ result: ({ opcode }) => (opcode === abi.OP_FSYNC ? -EIO : 0) });
    runScripted(driver, function* () {
      const file = adoptFile(driver.openNumber());
      const syncer = spawn(fsync(file), { start: "now" });
      syncer.kill();
      yield* syncer.settled();
      const before = driver.log.length;
      expect(yield* failureOf(() => fsync(file))).toMatchObject({ code: "EIO" });
      expect(driver.log.length).toBe(before);
      yield* close(file);
    });
  });
});

describe("T07 walking through directories", () => {
  test("T07 while others make, remove and rename what is in them", async () => {
    const path = freshDirectory();
    for (let i = 0; i < 20; i++) mkdirSync(`${path}/d${i}/e`, { recursive: true });
    await runIo(function* () {
      let stirring = true;
      const stirrer = spawn(function* () {
        for (let i = 0; stirring; i++) {
          const at = `${path}/d${i % 20}`;
          rmSync(at, { recursive: true, force: true });
          yield* nodeTurn();
          mkdirSync(`${at}/e/f${i}`, { recursive: true });
          if (i % 3 === 0) renameSync(`${at}/e`, `${at}/g`);
        }
      });
      for (let round = 0; round < 10; round++) {
        const walker = walk(path);
        let seen = 0;
        while ((yield* walker.next()) !== null) expect(++seen).toBeLessThan(1000);
      }
      stirring = false;
      yield* stirrer.join();
    });
  });

  test("T07 loops of links, names that are no text, paths that are too long, a limit on the depth", async () => {
    const path = freshDirectory();
    const odd = Buffer.concat([Buffer.from(`${path}/`), Buffer.from([0x80, 0xfe, 0x2e])]);
    mkdirSync(odd);
    writeFileSync(Buffer.concat([odd, Buffer.from("/inside")]), "found");
    symlinkSync(".", `${path}/self`);
    symlinkSync(path, `${path}/top`);
    await runIo(function* () {
      const found = new Map<string, Buffer>();
      const walker = walk(Buffer.from(path));
      for (let entry = yield* walker.next(); entry !== null; entry = yield* walker.next()) {
        found.set(entry.pathBytes.subarray(path.length + 1).toString("latin1"), entry.pathBytes);
      }
      expect([...found.keys()].sort()).toEqual(["self", "top", "\u0080\u00fe.", "\u0080\u00fe./inside"]);
      // The bytes lead to the file again.
      const file = yield* open(found.get("\u0080\u00fe./inside")!);
      const into = Buffer.alloc(8);
      expect(into.toString("utf8", 0, yield* file.read(into))).toBe("found");
      const shallow = walk(path, { depth: 1 });
      let count = 0;
      while ((yield* shallow.next()) !== null) count++;
      expect(count).toBe(3);
      expect(yield* failureOf(() => walk("x".repeat(300)).next())).toMatchObject({ code: "ENAMETOOLONG" });
      expect(thrownBy(() => walk(path, { depth: 0 })).code).toBe("COOP_ARGUMENT");
    });
  });

  test("T07 a killed reader of a directory is gone at once", async () => {
    await runIo(function* () {
      const reader = spawn(readDirectory("/proc/self"), { start: "now" });
      yield* stop(reader);
      expect(ioCounts).toBeDefined();
      const maker = spawn(makeTempDirectory(`${freshDirectory()}/t-`), { start: "now" });
      yield* stop(maker);
      for (let i = 0; i < 50; i++) yield* nodeTurn();
    });
  });
});

describe("T08 paths of every operation", () => {
  const WITH_PATH: Readonly<Record<string, (path: Path) => unknown>> = {
    stat,
    unlink,
    rmdir,
    mkdir,
    rename: (path) => rename(path, "x"),
    "rename to": (path) => rename("x", path),
    link: (path) => link("x", path),
    symlink: (path) => symlink("x", path),
    setXattr: (path) => setXattr(path, "user.x", Buffer.alloc(1)),
    openDirectory,
    chmod: (path) => chmod(path, 0o600),
    readLink,
    readDirectory,
    walk,
    makeTempDirectory: (path) => makeTempDirectory(path as string),
    setupStat: (path) => setupStat(new Handle(), path),
  };

  test.each(Object.keys(WITH_PATH))("T08 %s refuses what the kernel would misread", async (name) => {
    await runIo(function* () {
      for (const wrong of ["/etc/passwd\0.png", "", "x".repeat(4096), Buffer.from("a\0b"), 5, null, {}]) {
        const error = thrownBy(() => WITH_PATH[name]!(wrong as Path));
        expectError(error, UsageError, "COOP_PATH", /path/);
      }
      yield* submitted();
    });
  });

  test("T08 a text with a lone surrogate, a URL and bytes lead where Node's lead", async () => {
    await runIo(function* () {
      const path = `${freshDirectory()}/\ud800`;
      yield* writeFile(path, "x");
      expect(readFileSync(path, "utf8")).toBe("x");
      const plain = freshPath();
      yield* writeFile(plain, "y");
      expect((yield* stat(new URL(`file://${plain}`))).size).toBe(1);
      yield* rename(Buffer.from(plain), new URL(`file://${plain}-2`));
      expect(yield* readTextFile(`${plain}-2`)).toBe("y");
    });
  });
});

describe("T10 pipes, terminals and devices", () => {
  test("T10 a named pipe without anybody at the other end does not stop the program", async () => {
    await runIo(function* () {
      const path = freshFifo();
      // Whether opening waits for a writer depends on what the kernel has cached; others go on either way.
      const opener = spawn(open(path, "r"), { start: "now" });
      for (let i = 0; i < 20; i++) yield* submitted();
      const writer = yield* open(path, "r+");
      const reader = yield* opener.join();
      const waiting = spawn(reader.read(Buffer.alloc(4)), { start: "now" });
      yield* submitted();
      yield* stop(waiting);
      yield* writeAll(writer, Buffer.from("kept"));
      const into = Buffer.alloc(4);
      expect(into.toString("utf8", 0, yield* reader.read(into))).toBe("kept");
    });
  });

  test("T10 a killed opener of a named pipe ends, and its file is closed", async () => {
    await runIo(function* () {
      const path = freshFifo();
      const opener = spawn(open(path, "r"), { start: "now" });
      yield* submitted();
      const exit = yield* opener.killAndWait("enough");
      if (exit.status === "done") yield* exit.value.close();
      for (let i = 0; i < 4; i++) yield* submitted();
      expect(openDescriptors().some((line) => line.endsWith(path))).toBe(false);
    });
  });

  test("T10 bytes that arrived for a killed reader of a pipe go to the next, also by readv", async () => {
    const driver = new ScriptedDriver({
      result: (submission) => {
        if (submission.opcode === abi.OP_READ) driver.bytesOf(submission).set([1, 2, 3]);
        return submission.opcode === abi.OP_READ ? 3 : 0;
      },
    });
    runScripted(driver, function* () {
      const pipe = adoptFile(driver.openNumber());
      const reader = spawn(pipe.readv([Buffer.alloc(1), Buffer.alloc(8)]), { start: "now" });
      reader.kill();
      expect((yield* reader.settled()).status).toBe("killed");
      const [a, b] = [Buffer.alloc(2), Buffer.alloc(2)];
      expect(yield* pipe.readv([a, b])).toBe(3);
      expect([...a, ...b]).toEqual([1, 2, 3, 0]);
      yield* close(pipe);
    });
  });

  test("T10 standard input is read where it stands, can be killed, and stays open", async () => {
    const program = `
      import { op, run, spawn } from "${new URL("../../dist/index.js", import.meta.url).href}";
      import { borrowFile } from "${new URL("../../dist/io/index.js", import.meta.url).href}";
      import { fstatSync } from "node:fs";
      await run(op(function* () {
        const input = borrowFile(0);
        const into = Buffer.alloc(5);
        console.log(into.toString("utf8", 0, yield* input.read(into)));
        console.log(into.toString("utf8", 0, yield* input.read(into)));
        yield* input.close();
      })());
      fstatSync(0);
    `;
    const { stdout, stderr } = spawnSync(process.execPath, ["--input-type=module", "-e", program], {
      input: "helloworld",
      encoding: "utf8",
    });
    expect(stderr).toBe("");
    expect(stdout).toBe("hello\nworld\n");
  });

  test("T10 a borrowed descriptor is nobody's to close here", async () => {
    await runIo(function* () {
      const owner = yield* openPipe();
      const number = owner.reader.release();
      const borrowed = borrowFile(number);
      const reader = spawn(borrowed.read(Buffer.alloc(1)), { failure: "hold" });
      yield* submitted();
      yield* borrowed.close();
      expect(yield* reader.settled()).toMatchObject({ status: "failed" });
      expectError(
        yield* failureOf(() => borrowed.read(Buffer.alloc(1))),
        ClosedError,
        "COOP_CLOSED",
        /closed/,
      );
      yield* adoptFile(number).close();
    });
  });

  test("T10 every file that is opened is closed in child processes (R09)", async () => {
    await runIo(function* () {
      const before = execFileSync("ls", ["/proc/self/fd"], { encoding: "utf8" });
      const pipe = yield* openPipe();
      const directory = yield* openDirectory(freshDirectory());
      const file = yield* directory.openBeneath("x", "w");
      expect(pipe.reader.fd + directory.fd + file.fd).toBeGreaterThan(0);
      expect(execFileSync("ls", ["/proc/self/fd"], { encoding: "utf8" })).toBe(before);
    });
  });
});

describe("P01 P15 a kill of every operation on files, before and after it was submitted", () => {
  const scene = op(function* () {
    const path = freshDirectory();
    writeFileSync(`${path}/data`, pattern(200_000));
    const directory = yield* openDirectory(path);
    const file = yield* open(`${path}/data`, "r+");
    const pipe = yield* openPipe();
    return { path, directory, file, pipe };
  });

  type Scene = ReturnType<typeof scene> extends Operation<infer A> ? A : never;

  const OPERATIONS: Readonly<Record<string, (of: Scene) => Operation<unknown>>> = {
    open: ({ path }) => open(`${path}/data`),
    openDirectory: ({ path }) => openDirectory(path),
    openBeneath: ({ directory }) => directory.openBeneath("data"),
    openPipe: () => openPipe(),
    stat: ({ path }) => stat(`${path}/data`),
    "stat of a file": ({ file }) => file.stat(),
    unlink: ({ path }) => unlink(`${path}/data`),
    mkdir: ({ path }) => mkdir(`${path}/new`),
    rename: ({ path }) => rename(`${path}/data`, `${path}/moved`),
    link: ({ path }) => link(`${path}/data`, `${path}/again`),
    symlink: ({ path }) => symlink("data", `${path}/soft`),
    truncate: ({ file }) => truncate(file, 10),
    allocate: ({ file }) => file.allocate({ length: 1 << 20 }),
    advise: ({ file }) => file.advise({ advice: "will-need" }),
    syncRange: ({ file }) => file.syncRange(),
    readv: ({ file }) => file.readv([allocate(10), allocate(5000)], { position: 5 }),
    writev: ({ file }) => file.writev([pattern(10), pattern(5000)], { position: 5 }),
    "read of a pipe": ({ pipe }) => read(pipe.reader, Buffer.alloc(10)),
    "poll of a pipe": ({ pipe }) => pipe.reader.poll(),
    "splice of a pipe": ({ pipe, file }) => splice(pipe.reader, file, { length: 10 }),
    setXattr: ({ file }) => setXattr(file, "user.x", pattern(100)),
    getXattr: ({ path }) => getXattr(`${path}/data`, "user.x"),
    readFile: ({ path }) => readFile(`${path}/data`),
    writeFile: ({ path }) => writeFile(`${path}/data`, pattern(300_000), { sync: true }),
    copyFile: ({ path }) => copyFile(`${path}/data`, `${path}/copy`),
    sendFile: ({ pipe, file }) => sendFile(pipe.writer, file),
    readDirectory: ({ path }) => readDirectory(path),
  };

  test.each(Object.keys(OPERATIONS))("P01 P15 %s", async (name) => {
    await runIo(function* () {
      for (let turns = 0; turns < 6; turns++) {
        const of = yield* scene();
        const before = openDescriptors().length;
        const task = spawn(OPERATIONS[name]!(of), { start: turns === 0 ? "queued" : "now", failure: "hold" });
        for (let i = 1; i < turns && task.exit === null; i++) yield* submitted();
        // What it has opened and given as its value is somebody's to close.
        const exit = yield* task.killAndWait("the test");
        if (exit.status === "done") (exit.value as Partial<Disposable> | undefined)?.[Symbol.dispose]?.();
        expect(exit.status).not.toBe("failed");
        for (let i = 0; i < 10 && openDescriptors().length > before; i++) yield* submitted();
        expect(openDescriptors().length).toBe(before);
        for (const descriptor of [of.file, of.directory, of.pipe.reader, of.pipe.writer] as Descriptor[]) {
          yield* close(descriptor);
        }
        expect(ioCounts()).toMatchObject({ blocks: 0 });
      }
    });
  });
});

test("T04 a file that is cut while it is copied ends the copy there", async () => {
  await runIo(function* () {
    const [from, to] = [freshPath(), freshPath()];
    writeFileSync(from, pattern(2_000_000));
    const copy = spawn(copyFile(from, to), { start: "now" });
    yield* submitted();
    yield* submitted();
    truncateSync(from, 1_000_000);
    appendFileSync(from, pattern(10));
    const size = yield* copy.join();
    expect(statSync(to).size).toBe(size);
  });
});
