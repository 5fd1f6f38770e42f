/** Copying a file in chunks, with several reads and writes on their way at once. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { group, op, run } from "cooperator";
import { allocate, type File, open } from "cooperator/io";

const CHUNK = 64 * 1024;
const LANES = 4;

/** Copies every LANES-th chunk. */
const lane = op(function* lane(from: File, to: File, first: number) {
  const buffer = allocate(CHUNK);
  for (let position = first * CHUNK; ; position += LANES * CHUNK) {
    const count = yield* from.read(buffer, { position });
    if (count === 0) return;
    yield* to.writeAll(buffer.subarray(0, count), { position });
  }
});

const copy = op(function* copy(source: string, target: string) {
  using from = yield* open(source, "r");
  using to = yield* open(target, "wx");
  yield* group(function* (g) {
    for (let first = 0; first < LANES; first++) g.spawn(lane(from, to, first));
  });
  yield* to.sync();
});

const directory = mkdtempSync(join(tmpdir(), "cooperator-copy-"));
try {
  const [source, target] = [join(directory, "source"), join(directory, "target")];
  writeFileSync(source, Buffer.alloc(1_000_003, "cooperator"));
  await run(copy(source, target));
  console.log(`equal: ${readFileSync(source).equals(readFileSync(target))}`);
} finally {
  rmSync(directory, { recursive: true });
}
