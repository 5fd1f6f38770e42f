/** errno values as errors that look like Node's own. */
import { constants } from "node:os";
import { getSystemErrorMap } from "node:util";
import { brand, CoopError } from "../coordinator/errors.ts";

export const ENOENT = 2;
export const EINTR = 4;
export const EIO = 5;
export const EBADF = 9;
export const EAGAIN = 11;
export const ENOMEM = 12;
export const EFAULT = 14;
export const EBUSY = 16;
export const EINVAL = 22;
export const ENFILE = 23;
export const EMFILE = 24;
export const ENOSPC = 28;
export const ESPIPE = 29;
export const EPIPE = 32;
export const ENODATA = 61;
export const EPROTO = 71;
export const EOVERFLOW = 75;
export const ENETRESET = 102;
export const ECONNABORTED = 103;
export const ECONNRESET = 104;
export const ENOBUFS = 105;
export const ENOTCONN = 107;
export const ETIMEDOUT = 110;
export const EDQUOT = 122;
export const ECANCELED = 125;

/** Where a failure happened; both are optional in Node's errors too. */
export interface IoErrorDetails {
  readonly path?: string | undefined;
  /** The second path of a rename or a link. */
  readonly dest?: string | undefined;
  readonly address?: string | undefined;
  readonly port?: number | undefined;
}

/** An operation the kernel refused or could not finish: `code` is the errno name, `errno` is negative. */
export class IoError extends CoopError {
  static override readonly brand = "IoError";
  readonly errno: number;
  readonly syscall: string;
  readonly path: string | undefined;
  readonly dest: string | undefined;
  readonly address: string | undefined;
  readonly port: number | undefined;

  /** @param result -errno, as the kernel gives it. */
  constructor(result: number, syscall: string, details?: IoErrorDetails) {
    const [code, text] = lookupErrors.get(result) ??
      systemErrors.get(result) ??
      otherErrors.get(result) ?? [`E${-result}`, "unknown error"];
    const at =
      details?.path !== undefined
        ? ` '${details.path}'${details.dest === undefined ? "" : ` -> '${details.dest}'`}`
        : details?.address !== undefined
          ? ` ${details.address}${details.port === undefined ? "" : `:${details.port}`}`
          : "";
    super(code, `${code}: ${text}, ${syscall}${at}`);
    this.errno = result;
    this.syscall = syscall;
    this.path = details?.path;
    this.dest = details?.dest;
    this.address = details?.address;
    this.port = details?.port;
  }
}

brand(IoError);

const systemErrors = getSystemErrorMap();
/** A name that could not be looked up: node:dns gives libuv's numbers these names of its own. */
const lookupErrors = new Map<number, [string, string]>([
  [-3008, ["ENOTFOUND", "no such host"]],
  [-3007, ["ENOTFOUND", "no address for this host"]],
]);
/** libuv's list lacks some that files can give: EDQUOT, ESTALE, … */
const otherErrors = new Map(
  Object.entries(constants.errno).map(([name, errno]): [number, [string, string]] => [
    -errno,
    [name, name === "EDQUOT" ? "disk quota exceeded" : "system error"],
  ]),
);
