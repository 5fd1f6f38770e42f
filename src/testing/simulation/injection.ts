/** Which error, if any, an attempt in a simulated kernel gives instead of being made. */
import {
  EAGAIN,
  ECANCELED,
  ECONNABORTED,
  ECONNRESET,
  EINTR,
  EIO,
  EMFILE,
  ENFILE,
  ENOBUFS,
  ENOMEM,
  ENOSPC,
  ETIMEDOUT,
} from "../../io/errno.ts";
import * as abi from "../../native/layout.ts";
import { RegularFile } from "./files.ts";
import type { SimulatedKernel } from "./kernel.ts";
import { FILE_REFUSALS, REFUSALS } from "./refusals.ts";
import type { Request } from "./request.ts";
import { StreamSocket } from "./sockets.ts";

const ENETDOWN = 100;
const ECONNREFUSED = 111;
const EHOSTUNREACH = 113;

const MAKE_DESCRIPTORS: ReadonlySet<number> = new Set([
  abi.OP_OPENAT,
  abi.OP_OPENAT2,
  abi.OP_SOCKET,
  abi.OP_ACCEPT,
  abi.OP_PIPE,
]);
const WRITE: ReadonlySet<number> = new Set([abi.OP_WRITE, abi.OP_WRITE_FIXED, abi.OP_WRITEV]);

/** -errno, or 0. */
export function injected(kernel: SimulatedKernel, request: Request): number {
  const { dice } = kernel;
  const { opcode } = request;
  // A close does what it has to, and then says what it says.
  if (opcode === abi.OP_CLOSE) return 0;
  if (kernel.strikes("spontaneousCancel")) return dice.chance(0.5) ? -ECANCELED : -EINTR;
  if (opcode === abi.OP_NOP) return 0;
  if (kernel.strikes("interrupted")) return -EINTR;
  if (kernel.strikes("again")) return -EAGAIN;
  if (kernel.strikes("exhausted")) {
    return -dice.pick(MAKE_DESCRIPTORS.has(opcode) ? [EMFILE, ENFILE, ENOMEM, ENOBUFS] : [ENOMEM, ENOBUFS]);
  }
  if (kernel.short()) return dice.chance(0.8) ? -ENOBUFS : -ENOMEM;
  const inFile = request.file instanceof RegularFile;
  const refusals = REFUSALS.get(opcode) ?? (inFile ? FILE_REFUSALS.get(opcode) : undefined);
  if (refusals !== undefined && kernel.strikes("refused")) return -dice.pick(refusals);
  if (inFile && kernel.strikes("disk")) {
    return -dice.pick(WRITE.has(opcode) ? [ENOSPC, EIO] : [EIO]);
  }
  if (request.file instanceof StreamSocket && kernel.strikes("connection")) {
    return disconnected(kernel, request, request.file);
  }
  return 0;
}

function disconnected({ dice }: SimulatedKernel, { opcode }: Request, socket: StreamSocket): number {
  if (opcode === abi.OP_ACCEPT) return -ECONNABORTED;
  if (opcode === abi.OP_CONNECT) return -dice.pick([ECONNREFUSED, ETIMEDOUT, ENETDOWN, EHOSTUNREACH]);
  if (opcode !== abi.OP_RECV && opcode !== abi.OP_SEND) return 0;
  // The network is down for a moment: nothing was sent, and nothing is lost.
  if (opcode === abi.OP_SEND && dice.chance(0.3)) return -dice.pick([ENETDOWN, EHOSTUNREACH]);
  if (!socket.connected) return 0;
  socket.fail(dice.pick([ECONNRESET, ETIMEDOUT]));
  // Whether the operation is what learns of it depends on what had arrived.
  return 0;
}
