/** Operations on files, directories and pipes, on the real ring: success, setup form, error with its path. */
import { execFileSync } from "node:child_process";
import {
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmdirSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname } from "node:path";
import { describe, expect, test } from "vitest";
import { ClosedError, spawn, UsageError, yieldNow } from "../../src/coordinator/index.ts";
import {
  adoptFile,
  allocate,
  chmod,
  close,
  copyFile,
  type Descriptor,
  fallocate,
  getXattr,
  Handle,
  link,
  makeTempDirectory,
  mayAccess,
  mkdir,
  open,
  openBeneath,
  openDirectory,
  openPipe,
  pipeOf,
  poll,
  read,
  readDirectory,
  readinessOf,
  readLink,
  readv,
  realPath,
  recv,
  rename,
  rmdir,
  sendAll,
  sendFile,
  setTimes,
  setupAdvise,
  setupFallocate,
  setupGetXattr,
  setupLink,
  setupMkdir,
  setupOpenBeneath,
  setupPipe,
  setupPoll,
  setupReadv,
  setupRename,
  setupRmdir,
  setupSetXattr,
  setupSplice,
  setupStat,
  setupSymlink,
  setupSyncRange,
  setupTruncate,
  setupUnlink,
  setupWritev,
  setXattr,
  splice,
  stat,
  statOf,
  symlink,
  tee,
  unlink,
  waitProcess,
  walk,
  writeAll,
  writev,
  writevAll,
} from "../../src/io/index.ts";
import { select } from "../../src/sync/select.ts";
import {
  expectError,
  failureOf,
  freshFifo,
  freshPath,
  pattern,
  runIo,
  stop,
  tcpPair,
  thrownBy,
  until,
} from "../support/io.ts";

function freshDirectory(): string {
  const path = freshPath("directory");
  mkdirSync(path);
  return path;
}

/** A path with something in it. */
function written(text: string): string {
  const path = freshPath();
  writeFileSync(path, text);
  return path;
}

describe("names", () => {
  test("unlink and rmdir remove names, in both forms, and tell the path of what is not there", async () => {
    await runIo(function* () {
      const path = written("x");
      yield* unlink(path);
      expect(existsSync(path)).toBe(false);
      expect(yield* failureOf(() => unlink(path))).toMatchObject({ code: "ENOENT", syscall: "unlink", path });
      const directory = freshDirectory();
      expect(yield* failureOf(() => unlink(directory))).toMatchObject({ code: "EISDIR", path: directory });
      yield* rmdir(directory);
      expect(yield* failureOf(() => rmdir(directory))).toMatchObject({ code: "ENOENT", syscall: "rmdir" });
      const handle = new Handle();
      setupUnlink(handle, written("y"));
      expect(yield* handle).toBe(0);
      setupRmdir(handle, freshDirectory());
      expect(yield* handle).toBe(0);
      setupRmdir(handle, freshPath());
      expect(yield* handle).toBe(-2);
    });
  });

  test("mkdir makes a directory with its permissions", async () => {
    await runIo(function* () {
      const path = freshPath();
      yield* mkdir(path, { permissions: 0o700 });
      expect(statSync(path).mode & 0o777).toBe(0o700);
      expect(yield* failureOf(() => mkdir(path))).toMatchObject({ code: "EEXIST", syscall: "mkdir", path });
      const handle = new Handle();
      setupMkdir(handle, freshPath());
      expect(yield* handle).toBe(0);
      expect(thrownBy(() => mkdir("x", { permissions: 0o10000 })).code).toBe("COOP_ARGUMENT");
    });
  });

  test("rename replaces, refuses or exchanges, and an error names both paths", async () => {
    await runIo(function* () {
      const [a, b] = [written("a"), written("b")];
      const error = yield* failureOf(() => rename(a, b, { existing: "fail" }));
      expect(error).toMatchObject({ code: "EEXIST", syscall: "rename", path: a, dest: b });
      expect(error.message).toBe(`EEXIST: file already exists, rename '${a}' -> '${b}'`);
      yield* rename(a, b, { existing: "exchange" });
      expect([readFileSync(a, "utf8"), readFileSync(b, "utf8")]).toEqual(["b", "a"]);
      yield* rename(a, b);
      expect([existsSync(a), readFileSync(b, "utf8")]).toEqual([false, "b"]);
      const handle = new Handle();
      setupRename(handle, b, a);
      expect(yield* handle).toBe(0);
      expect(thrownBy(() => rename(a, b, { existing: "no" as "fail" })).code).toBe("COOP_ARGUMENT");
    });
  });

  test("link and symlink", async () => {
    await runIo(function* () {
      const [a, b, c, d, e] = [written("a"), freshPath(), freshPath(), freshPath(), freshPath()];
      yield* link(a, b);
      expect(statSync(b).ino).toBe(statSync(a).ino);
      yield* symlink("somewhere", c);
      expect(readlinkSync(c)).toBe("somewhere");
      expect(yield* failureOf(() => link(a, b))).toMatchObject({ code: "EEXIST", path: a, dest: b });
      expect(yield* failureOf(() => symlink("x", c))).toMatchObject({ code: "EEXIST", path: "x", dest: c });
      const handle = new Handle();
      setupLink(handle, a, d);
      expect(yield* handle).toBe(0);
      setupSymlink(handle, a, e);
      expect(yield* handle).toBe(0);
      expect(readFileSync(e, "utf8")).toBe("a");
    });
  });

  test("paths that begin at an open directory", async () => {
    await runIo(function* () {
      const path = freshDirectory();
      const directory = yield* openDirectory(path);
      yield* directory.mkdir("sub");
      const file = yield* directory.open("sub/file", "wx");
      yield* writeAll(file, Buffer.from("here"));
      yield* directory.rename("sub/file", "moved");
      yield* directory.sync();
      expect((yield* directory.stat("moved")).size).toBe(4);
      yield* directory.rmdir("sub");
      yield* symlink("moved", "soft", { at: directory });
      yield* link("moved", "hard", { at: directory });
      expect((yield* readDirectory(path)).map(({ name, type }) => `${name} ${type}`).sort()).toEqual([
        "hard file",
        "moved file",
        "soft symlink",
      ]);
      yield* directory.unlink("soft");
      expect(existsSync(`${path}/soft`)).toBe(false);
      yield* directory.close();
      expect(yield* failureOf(() => directory.stat("moved"))).toMatchObject({ code: "COOP_CLOSED" });
      const open1 = yield* failureOf(() => openDirectory(written("x")));
      expect(open1).toMatchObject({ code: "ENOTDIR", syscall: "open" });
      expect(thrownBy(() => stat("x", { at: 5 as unknown as Descriptor })).code).toBe("COOP_DESCRIPTOR");
    });
  });
});

describe("what a file system knows", () => {
  test("stat of a path, a link, an open file, a socket", async () => {
    await runIo(function* () {
      const path = written("four");
      symlinkSync(path, `${path}-link`);
      linkSync(path, `${path}-again`);
      const node = statSync(path, { bigint: true });
      const ours = yield* stat(path);
      expect(ours).toMatchObject({
        type: "file",
        size: 4,
        permissions: Number(node.mode & 0o7777n),
        uid: Number(node.uid),
        gid: Number(node.gid),
        links: 2,
        inode: node.ino,
        blocks: Number(node.blocks),
        blockSize: Number(node.blksize),
      });
      expect(ours.modified).toBeCloseTo(Number(node.mtimeNs) / 1e6, 2);
      expect(ours.changed).toBeCloseTo(Number(node.ctimeNs) / 1e6, 2);
      expect(ours.accessed).toBeCloseTo(Number(node.atimeNs) / 1e6, 2);
      expect(yield* stat(`${path}-link`)).toEqual(ours);
      expect((yield* stat(`${path}-link`, { link: true })).type).toBe("symlink");
      const file = yield* open(path);
      expect(yield* stat(file)).toEqual(ours);
      expect(yield* file.stat()).toEqual(ours);
      const { near } = yield* tcpPair();
      expect((yield* stat(near)).type).toBe("socket");
      expect((yield* stat("/dev/null")).type).toBe("character");
      expect((yield* stat("/")).type).toBe("directory");
      const handle = new Handle();
      setupStat(handle, path);
      expect(thrownBy(() => statOf(handle)).code).toBe("COOP_NOT_ENDED");
      expect(yield* handle).toBe(0);
      expect(statOf(handle)).toEqual(ours);
      setupStat(handle, "/nowhere/at/all");
      expect(yield* handle).toBe(-2);
      expect(thrownBy(() => statOf(handle)).code).toBe("COOP_NOT_ENDED");
      expect(yield* failureOf(() => stat("/nowhere"))).toMatchObject({
        code: "ENOENT",
        syscall: "stat",
        path: "/nowhere",
      });
    });
  });

  test("extended attributes of an open file and of a path", async () => {
    await runIo(function* () {
      const path = written("x");
      const file = yield* open(path, "r+");
      const value = pattern(300);
      const error = yield* failureOf(function* () {
        yield* setXattr(file, "user.one", value);
        throw new UsageError("COOP_DONE", "it works");
      });
      if (error.code === "EOPNOTSUPP") return;
      expect(error.code).toBe("COOP_DONE");
      yield* setXattr(path, "user.two", Buffer.from("2"), { mode: "create" });
      expect((yield* getXattr(path, "user.one"))?.equals(value)).toBe(true);
      expect((yield* file.getXattr("user.two"))?.toString()).toBe("2");
      expect(yield* getXattr(path, "user.none")).toBe(null);
      expect(yield* failureOf(() => setXattr(path, "user.two", value, { mode: "create" }))).toMatchObject({
        code: "EEXIST",
        syscall: "setxattr",
        path,
      });
      expect(yield* failureOf(() => setXattr(file, "user.no", value, { mode: "replace" }))).toMatchObject({
        code: "ENODATA",
      });
      const handle = new Handle();
      setupSetXattr(handle, path, "user.three", Buffer.from("333"));
      expect(yield* handle).toBe(0);
      setupGetXattr(handle, file, "user.three", Buffer.alloc(0));
      expect(yield* handle).toBe(3);
      const into = Buffer.alloc(8);
      setupGetXattr(handle, path, "user.three", into);
      expect(yield* handle).toBe(3);
      expect(into.toString("utf8", 0, 3)).toBe("333");
      setupGetXattr(handle, path, "user.three", Buffer.alloc(2));
      expect(yield* handle).toBe(-34);
      for (const name of ["", "user.\0", "u".repeat(300)]) {
        expect(thrownBy(() => getXattr === undefined || setXattr(path, name, value)).code).toBe(
          "COOP_ARGUMENT",
        );
      }
    });
  });

  test("what Node does: permissions, times, access, links, the true path", async () => {
    await runIo(function* () {
      const path = written("x");
      yield* chmod(path, 0o640);
      expect((yield* stat(path)).permissions).toBe(0o640);
      yield* setTimes(path, 1_000_000, 2_000_500);
      expect(yield* stat(path)).toMatchObject({ accessed: 1_000_000, modified: 2_000_500 });
      expect(yield* mayAccess(path, "exists")).toBe(true);
      expect(yield* mayAccess(`${path}-none`, "read")).toBe(false);
      symlinkSync(path, `${path}-l`);
      expect(yield* readLink(`${path}-l`)).toBe(path);
      expect(yield* realPath(`${path}-l`)).toBe(yield* realPath(path));
      expect(yield* failureOf(() => readLink(path))).toMatchObject({
        code: "EINVAL",
        syscall: "readlink",
        path,
      });
      expect(yield* failureOf(() => readDirectory(path))).toMatchObject({ code: "ENOTDIR" });
    });
  });
});

describe("parts of a file", () => {
  test("truncate, fallocate, advise, syncRange", async () => {
    await runIo(function* () {
      const path = written("0123456789");
      const file = yield* open(path, "r+");
      yield* file.truncate(4);
      expect(readFileSync(path, "utf8")).toBe("0123");
      yield* file.truncate(6);
      expect(readFileSync(path, "latin1")).toBe("0123\0\0");
      yield* file.allocate({ length: 100_000 });
      expect(statSync(path).size).toBe(100_000);
      yield* file.allocate({ length: 1 << 20, how: "keep" });
      expect(statSync(path).size).toBe(100_000);
      expect(statSync(path).blocks * 512).toBeGreaterThanOrEqual(1 << 20);
      yield* writeAll(file, Buffer.from("abcdef"), { position: 0 });
      yield* fallocate(file, { position: 1, length: 2, how: "zero" });
      expect(readFileSync(path, "latin1").slice(0, 6)).toBe("a\0\0def");
      yield* fallocate(file, { position: 3, length: 2, how: "punch" });
      expect(readFileSync(path, "latin1").slice(0, 6)).toBe("a\0\0\0\0f");
      yield* file.advise({ advice: "sequential" });
      yield* file.syncRange({ position: 0, length: 4096 });
      yield* file.syncRange({ wait: false });
      const handle = new Handle();
      setupTruncate(handle, file, 1);
      expect(yield* handle).toBe(0);
      expect(readFileSync(path, "utf8")).toBe("a");
      setupFallocate(handle, file, { length: 10 });
      expect(yield* handle).toBe(0);
      setupAdvise(handle, file, { advice: "dont-need", position: 5, length: 5 });
      expect(yield* handle).toBe(0);
      setupSyncRange(handle, file);
      expect(yield* handle).toBe(0);
      for (const size of [-1, 1.5, 2 ** 53]) {
        expect(thrownBy(() => file.truncate(size)).code).toBe("COOP_POSITION");
      }
      const reader = yield* open(path);
      expect(yield* failureOf(() => reader.truncate(0))).toMatchObject({ code: "EINVAL", path });
      expect(yield* failureOf(() => fallocate(file, { length: 0 }))).toMatchObject({ code: "EINVAL" });
    });
  });

  test("readv and writev, in shared memory, in ordinary memory and mixed", async () => {
    await runIo(function* () {
      const shared = (bytes: Uint8Array): Buffer => {
        const copy = allocate(bytes.length);
        copy.set(bytes);
        return copy;
      };
      const content = pattern(10_000);
      const cut = [
        content.subarray(0, 10),
        content.subarray(10, 10),
        content.subarray(10, 7000),
        content.subarray(7000),
      ];
      for (const parts of [cut, cut.map(shared), cut.map((part, i) => (i % 2 ? part : shared(part)))]) {
        const path = freshPath();
        const file = yield* open(path, "w+");
        expect(yield* writev(file, parts)).toBe(10_000);
        expect(readFileSync(path).equals(content)).toBe(true);
        yield* writevAll(file, parts, { position: 5 });
        expect(readFileSync(path).subarray(5).equals(content)).toBe(true);
        const handle = new Handle();
        setupWritev(handle, file, parts, { position: 0 });
        expect(yield* handle).toBe(10_000);
        for (const make of [Buffer.alloc, allocate]) {
          const into = [make(1), make(0), make(4095), make(20_000)];
          expect(yield* readv(file, into, { position: 0 })).toBe(10_005);
          expect(Buffer.concat(into).subarray(0, 10_000).equals(content)).toBe(true);
          into[3]!.fill(0);
          setupReadv(handle, file, into, { position: 9_000 });
          expect(yield* handle).toBe(1_005);
          expect(Buffer.concat(into).subarray(0, 1_000).equals(content.subarray(9_000))).toBe(true);
          // What lies behind what was read is as it was.
          expect(into[3]!.every((byte) => byte === 0)).toBe(true);
        }
        expect(yield* readv(file, [])).toBe(0);
        expect(yield* writev(file, [Buffer.alloc(0)])).toBe(0);
      }
      expect(thrownBy(() => readv(1 as unknown as Descriptor, 5 as unknown as Buffer[])).code).toBe(
        "COOP_BUFFER",
      );
      const file = yield* open(freshPath(), "w+");
      expect(thrownBy(() => file.readv(new Array(1025).fill(Buffer.alloc(1)))).code).toBe("COOP_BUFFER");
      expect(thrownBy(() => file.writev(["text" as unknown as Buffer])).code).toBe("COOP_BUFFER");
    });
  });

  test("writevAll goes on after short counts until all of it is through a pipe", async () => {
    await runIo(function* () {
      const pipe = yield* open(freshFifo(), "r+");
      const content = pattern(300_000);
      const writer = spawn(
        pipe.writevAll([content.subarray(0, 1), content.subarray(1, 200_000), content.subarray(200_000)]),
      );
      const got = Buffer.alloc(content.length);
      for (let at = 0; at < got.length; )
        at += yield* pipe.readv([got.subarray(at, at + 1), got.subarray(at + 1)]);
      yield* writer.join();
      expect(got.equals(content)).toBe(true);
    });
  });
});

describe("below a directory", () => {
  test("openBeneath opens what lies below, and nothing else", async () => {
    await runIo(function* () {
      const path = freshDirectory();
      mkdirSync(`${path}/sub`);
      writeFileSync(`${path}/sub/file`, "inside");
      symlinkSync("sub", `${path}/soft`);
      symlinkSync("/etc", `${path}/out`);
      symlinkSync("../..", `${path}/sub/up`);
      const directory = yield* openDirectory(path);
      const into = Buffer.alloc(16);
      const file = yield* openBeneath(directory, "sub/../sub/file");
      expect(into.toString("utf8", 0, yield* file.read(into))).toBe("inside");
      for (const [wrong, code] of [
        ["../x", "EXDEV"],
        ["/etc/passwd", "EXDEV"],
        ["sub/../../x", "EXDEV"],
        ["soft/file", "ELOOP"],
        ["out/passwd", "ELOOP"],
        ["sub/none", "ENOENT"],
      ] as const) {
        expect(yield* failureOf(() => directory.openBeneath(wrong))).toMatchObject({
          code,
          syscall: "openat2",
          path: wrong,
        });
      }
      const soft = yield* directory.openBeneath("soft/file", "r", { symlinks: true });
      expect(yield* soft.read(into)).toBe(6);
      for (const wrong of ["out/passwd", "sub/up/x"]) {
        const error = yield* failureOf(() => directory.openBeneath(wrong, "r", { symlinks: true }));
        expect(error.code).toBe("EXDEV");
      }
      const made = yield* directory.openBeneath("new", "wx", { permissions: 0o600 });
      expect((yield* made.stat()).permissions).toBe(0o600);
      const handle = new Handle();
      setupOpenBeneath(handle, directory, "sub/file");
      adoptFile(yield* handle)[Symbol.dispose]();
      setupOpenBeneath(handle, directory, "..");
      expect(yield* handle).toBe(-18);
      expect(yield* failureOf(() => open(`${path}/soft`, "r", { noFollow: true }))).toMatchObject({
        code: "ELOOP",
      });
    });
  });

  test("walk tells everything once, parents first, and does not follow links", async () => {
    await runIo(function* () {
      const path = freshDirectory();
      mkdirSync(`${path}/a/b`, { recursive: true });
      writeFileSync(`${path}/a/b/file`, "");
      writeFileSync(Buffer.concat([Buffer.from(`${path}/`), Buffer.from([0xff, 0x41])]), "");
      symlinkSync("..", `${path}/a/loop`);
      const found: string[] = [];
      const walker = walk(path);
      for (let entry = yield* walker.next(); entry !== null; entry = yield* walker.next()) {
        found.push(
          `${entry.pathBytes.subarray(path.length).toString("latin1")} ${entry.type} ${entry.depth}`,
        );
        expect(lstatSync(entry.pathBytes).isDirectory()).toBe(entry.type === "directory");
      }
      expect(found.sort()).toEqual([
        "/a directory 1",
        "/a/b directory 2",
        "/a/b/file file 3",
        "/a/loop symlink 2",
        "/\u00ffA file 1",
      ]);
      expect(yield* failureOf(() => walk(`${path}/none`).next())).toMatchObject({ code: "ENOENT" });
    });
  });
});

describe("pipes and splices", () => {
  test("bytes go through a pipe, by hand, by splice and by tee", async () => {
    await runIo(function* () {
      const pipe = yield* openPipe();
      const other = yield* openPipe();
      const into = Buffer.alloc(16);
      yield* writeAll(pipe.writer, Buffer.from("hello"));
      expect(yield* tee(pipe.reader, other.writer, { length: 100 })).toBe(5);
      expect(into.toString("utf8", 0, yield* other.reader.read(into))).toBe("hello");
      const path = freshPath();
      const file = yield* open(path, "w+");
      expect(yield* splice(pipe.reader, file, { length: 3, toPosition: 2 })).toBe(3);
      expect(readFileSync(path, "latin1")).toBe("\0\0hel");
      const handle = new Handle();
      setupSplice(handle, file, other.writer, { length: 10, fromPosition: 3 });
      expect(yield* handle).toBe(2);
      expect(into.toString("utf8", 0, yield* other.reader.read(into))).toBe("el");
      expect(yield* splice(file, other.writer, { length: 10, fromPosition: 100 })).toBe(0);
      const failed = yield* failureOf(() => splice(file, file, { length: 1 }));
      expect(failed).toMatchObject({ code: "EINVAL", syscall: "splice" });
      setupPipe(handle);
      expect(yield* handle).toBe(0);
      const taken = pipeOf(handle);
      expect(thrownBy(() => pipeOf(handle)).code).toBe("COOP_NOT_ENDED");
      taken[Symbol.dispose]();
      pipe.writer[Symbol.dispose]();
      yield* read(pipe.reader, into);
      expect(yield* pipe.reader.read(into)).toBe(0);
    });
  });

  test("the end of a pipe, and a write nobody reads", async () => {
    await runIo(function* () {
      const pipe = yield* openPipe();
      yield* pipe.reader.close();
      expect(yield* failureOf(() => pipe.writer.write(Buffer.from("x")))).toMatchObject({ code: "EPIPE" });
    });
  });

  test("a splice is a reader of the one stream and a writer to the other", async () => {
    await runIo(function* () {
      const { near, far } = yield* tcpPair();
      const pipe = yield* openPipe();
      const busy = { code: "COOP_BUSY" };
      const splicing = spawn(splice(pipe.reader, near, { length: 10 }), { start: "now" });
      expect(yield* failureOf(() => read(pipe.reader, Buffer.alloc(1)))).toMatchObject(busy);
      expect(yield* failureOf(() => sendAll(near, Buffer.from("x")))).toMatchObject(busy);
      expect(yield* failureOf(() => splice(pipe.reader, near, { length: 1 }))).toMatchObject(busy);
      yield* stop(splicing);
      const reading = spawn(read(pipe.reader, Buffer.alloc(1)), { start: "now" });
      expect(yield* failureOf(() => splice(pipe.reader, near, { length: 1 }))).toMatchObject(busy);
      yield* stop(reading);
      // What was received for nobody comes first, and the kernel does not have it.
      pipe.reader.inbox.keep(Buffer.from("kept"));
      expect(yield* failureOf(() => splice(pipe.reader, near, { length: 1 }))).toMatchObject({
        code: "COOP_UNREAD",
      });
      expect(yield* read(pipe.reader, Buffer.alloc(8))).toBe(4);
      yield* writeAll(pipe.writer, Buffer.from("abc"));
      expect(yield* splice(pipe.reader, near, { length: 3 })).toBe(3);
      expect(yield* recv(far, Buffer.alloc(8))).toBe(3);
      pipe[Symbol.dispose]();
      yield* close(near);
      yield* close(far);
    });
  });

  test("nobody writes to a socket between the parts of a file that sendFile sends", async () => {
    await runIo(function* () {
      const path = freshPath();
      writeFileSync(path, pattern(4 * 1024 * 1024));
      const file = yield* open(path);
      const { near, far } = yield* tcpPair();
      const sending = spawn(sendFile(near, file), { start: "now" });
      const into = allocate(64 * 1024);
      for (let count = 0; count < 4 * 1024 * 1024; ) {
        count += yield* recv(far, into);
        if (!sending.ended) {
          expect(yield* failureOf(() => sendAll(near, Buffer.from("x")))).toMatchObject({
            code: "COOP_BUSY",
          });
        }
      }
      expect(yield* sending.join()).toBe(4 * 1024 * 1024);
      yield* sendAll(near, Buffer.from("x"));
      yield* close(file);
      yield* close(near);
      yield* close(far);
    });
  });

  test("a call that Node still works on when it is begun anew is no part of that", async () => {
    await runIo(function* () {
      const prefix = freshPath("late-");
      const make = makeTempDirectory(prefix);
      expect((yield* select({ soon: yieldNow(), make })).key).toBe("soon");
      const { value } = yield* select({ make });
      const made = () => readdirSync(dirname(prefix)).filter((name) => name.startsWith(basename(prefix)));
      yield* until(() => made().length === 1);
      expect(made()).toEqual([basename(value)]);
      rmdirSync(value);
    });
  });

  test("closing the source of a splice that waits ends it", async () => {
    await runIo(function* () {
      const [from, to] = [yield* openPipe(), yield* openPipe()];
      const task = spawn(failureOf(() => splice(from.reader, to.writer, { length: 10 })));
      yield* to.writer.poll({ writable: true });
      yield* from.reader.close();
      expectError(yield* task.join(), ClosedError, "COOP_CLOSED", /closed/);
    });
  });

  test("sendFile sends a part of a file to a socket, and what cannot be spliced too", async () => {
    await runIo(function* () {
      const content = pattern(1 << 20);
      const path = freshPath();
      writeFileSync(path, content);
      const file = yield* open(path);
      const { near, far } = yield* tcpPair();
      const got = Buffer.alloc(content.length);
      const reader = spawn(function* () {
        let at = 0;
        while (at < got.length - 100) at += yield* far.recv(got.subarray(at));
        return at;
      });
      expect(yield* sendFile(near, file, { position: 100 })).toBe(content.length - 100);
      yield* reader.join();
      expect(got.subarray(0, -100).equals(content.subarray(100))).toBe(true);
      expect(yield* sendFile(near, file, { position: 10, length: 20 })).toBe(20);
      expect(yield* far.recv(got)).toBe(20);
      const status = yield* open("/proc/self/status");
      const count = yield* sendFile(near, status, { length: 5 });
      expect(got.toString("utf8", 0, yield* far.recv(got))).toBe("Name:");
      expect(count).toBe(5);
    });
  });

  test("poll tells what a descriptor is ready for", async () => {
    await runIo(function* () {
      const pipe = yield* openPipe();
      expect(yield* pipe.writer.poll({ writable: true })).toMatchObject({ writable: true, readable: false });
      const waiting = spawn(pipe.reader.poll());
      yield* writeAll(pipe.writer, Buffer.from("x"));
      expect(yield* waiting.join()).toMatchObject({ readable: true, hangup: false });
      pipe.writer[Symbol.dispose]();
      yield* read(pipe.reader, Buffer.alloc(1));
      const handle = new Handle();
      setupPoll(handle, pipe.reader);
      expect(readinessOf(yield* handle)).toMatchObject({ hangup: true });
      expect((yield* poll(yield* open("/dev/null"), { timeout: "1 second" })).readable).toBe(true);
      expect(thrownBy(() => poll(pipe.reader, { readable: false })).code).toBe("COOP_ARGUMENT");
    });
  });
});

describe("large things and processes", () => {
  test("copyFile copies any size, with permissions", async () => {
    await runIo(function* () {
      for (const size of [0, 1, 2 ** 21 - 1, 2 ** 21, 5_000_000]) {
        const [from, to] = [freshPath(), freshPath()];
        writeFileSync(from, pattern(size), { mode: 0o640 });
        expect(yield* copyFile(from, to)).toBe(size);
        expect(readFileSync(to).equals(pattern(size))).toBe(true);
        expect(statSync(to).mode & 0o777).toBe(0o640);
        expect(yield* failureOf(() => copyFile(from, to, { exclusive: true }))).toMatchObject({
          code: "EEXIST",
          path: to,
        });
      }
    });
  });

  test("copyFile leaves a file alone that would be copied to itself", async () => {
    await runIo(function* () {
      const path = written("precious");
      linkSync(path, `${path}-again`);
      for (const to of [path, `${path}-again`]) expect(yield* copyFile(path, to)).toBe(8);
      expect(readFileSync(path, "utf8")).toBe("precious");
    });
  });

  test("waitProcess tells how a child has ended and leaves it to its parent", async () => {
    await runIo(function* () {
      expect(yield* failureOf(() => waitProcess(1))).toMatchObject({ code: "ECHILD", syscall: "waitid" });
      expect(thrownBy(() => waitProcess(0)).code).toBe("COOP_ARGUMENT");
    });
    expect(execFileSync("true").length).toBe(0);
  });
});
