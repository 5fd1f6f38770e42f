/** One task, many reads in flight: whichever is done next is handled next. */
import { op, run } from "cooperator";
import { allocate, CompletionQueue, Handle, open, setupRead } from "cooperator/io";

const SIZE = 1024;

const lines = op(function* lines(path: string) {
  using file = yield* open(path);
  const { size } = yield* file.stat();
  const done = new CompletionQueue<Handle>();
  const buffers = new Map<Handle, Buffer>();
  let position = 0;
  const next = (handle: Handle): void => {
    if (position >= size) return;
    setupRead(handle, file, buffers.get(handle)!, { position });
    position += SIZE;
  };
  for (let i = 0; i < 8; i++) {
    const handle = new Handle();
    handle.queue = done;
    buffers.set(handle, allocate(SIZE));
    next(handle);
  }
  let count = 0;
  while (done.expected > 0) {
    const handle = yield* done.take();
    const bytes = buffers.get(handle)!.subarray(0, handle.result);
    for (const byte of bytes) if (byte === 10) count++;
    next(handle);
  }
  return count;
});

const own = await run(lines(new URL(import.meta.url).pathname));
console.log(own > 30 ? "counted" : `only ${own}`);
