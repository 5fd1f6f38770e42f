// Usage: fuzz.mjs <seed> <calls>. Calls everything with junk; whatever it throws or returns, it must not crash.
import { binding, createRing, k } from "./ring.mjs";

let state = Number(process.argv[2]);
const calls = Number(process.argv[3]);

function random(below) {
  state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
  return Math.floor((state / 2 ** 32) * below);
}

function detached(view) {
  structuredClone(view.buffer, { transfer: [view.buffer] });
  return view;
}

const throwing = new Proxy(
  {},
  {
    get() {
      throw new Error("from a trap");
    },
    getOwnPropertyDescriptor() {
      throw new Error("from a trap");
    },
  },
);

const shared = new SharedArrayBuffer(1 << 16);
const resizable = new ArrayBuffer(64, { maxByteLength: 128 });
const tracking = new Uint8Array(resizable, 32);
resizable.resize(16);

const junk = [
  () => undefined,
  () => null,
  () => true,
  () => false,
  () => -1,
  () => -0,
  () => random(5),
  () => random(5),
  () => random(2 ** 32),
  () => 0.5,
  () => Number.NaN,
  () => Number.POSITIVE_INFINITY,
  () => 2 ** 31,
  () => 2 ** 32 - 1,
  () => 2 ** 53,
  () => -(2 ** 63),
  () => 10n,
  () => "",
  () => "a string",
  () => Symbol("s"),
  () => [],
  () => [1, 2, 3],
  () => ({}),
  () => throwing,
  () => Object.create(null),
  () => () => {},
  () => new Uint8Array(0),
  () => new Uint8Array(random(100)),
  () => detached(new Uint8Array(16)),
  () => detached(new DataView(new ArrayBuffer(16))),
  () => new DataView(new ArrayBuffer(16), 3),
  () => new Uint8Array(shared, random(1 << 16)),
  () => new Uint8Array(shared),
  () => new Float64Array(shared, 8, 3),
  () => new BigUint64Array(4),
  () => (typeof Float16Array === "function" ? new Float16Array(4) : null),
  () => tracking,
  () => new ArrayBuffer(8),
  () => shared,
  () => Buffer.from("buffer"),
  () => ({ sqEntries: random(40), cqEntries: random(80), opcodes: [random(300)] }),
  () => ({ sqEntries: 4, cqEntries: 8, opcodes: [0], without: random(2 ** 32), sqeFlags: random(200) }),
  () => ({ sqEntries: 4, cqEntries: 8, opcodes: throwing }),
  () => ({ sqEntries: throwing, cqEntries: {}, opcodes: new Array(random(400)) }),
];

function pick() {
  return junk[random(junk.length)]();
}

// A full completion queue answers every wait at once, whatever it waits for.
function fullRing() {
  const ring = createRing(4, 4);
  const words = new Int32Array(ring.ringMemory);
  new Int32Array(ring.sqeMemory).fill(0);
  Atomics.store(words, ring.sqTailOffset >> 2, 4);
  ring.flush(4);
  return ring;
}

let ring = fullRing();
for (let i = 0; i < calls; i++) {
  const onRing = random(2) === 0;
  const target = onRing ? ring : binding;
  const names = Object.keys(target).filter((name) => typeof target[name] === "function");
  const name = names[random(names.length)];
  const args = Array.from({ length: random(6) }, pick);
  // Any number may be a descriptor this process needs.
  if (name === "closeFd" && Number.isInteger(args[0]) && args[0] >= 0) continue;
  try {
    const result = target[name].apply(pick(), args);
    if (name === "createRing" && typeof result.close === "function") result.close();
  } catch (error) {
    if (!(error instanceof TypeError || error instanceof RangeError || error.message === "from a trap"))
      throw error;
  }
  if (name === "close") ring = random(2) === 0 ? fullRing() : ring;
}
if (k.OP_NOP !== 0) throw new Error("layout");
console.log("survived");
// A watch of the last ring would keep the process alive; leaving it open tests the end of the environment.
ring.unref();
