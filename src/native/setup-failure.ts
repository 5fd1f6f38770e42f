/** Why the kernel would not set up a ring, for the person who has to change something. */
import { getSystemErrorName } from "node:util";

const CAUSES: Readonly<Record<string, string>> = {
  ENOSYS:
    "the kernel has no io_uring (before 5.1, or built without CONFIG_IO_URING), or a sandbox such as gVisor or a " +
    "seccomp filter hides it",
  EPERM:
    "io_uring is forbidden: by seccomp, as in Docker's and Kubernetes' default profile, or by the sysctl " +
    "kernel.io_uring_disabled (1: only for kernel.io_uring_group and root, 2: for everybody)",
  EACCES: "io_uring is forbidden by a security module (SELinux, AppArmor) or a seccomp filter",
  ENOMEM:
    "the locked-memory limit (RLIMIT_MEMLOCK, `ulimit -l`, charged per user and not per process) or a memory " +
    "cgroup is exhausted; raise the limit or use fewer or smaller rings",
  EMFILE: "this process has no file descriptor left (`ulimit -n`)",
  ENFILE: "the system has no file descriptor left (sysctl fs.file-max)",
  EOPNOTSUPP:
    "the kernel is too old (5.11 is the least, 6.1 recommended) or this system disables part of io_uring",
  EINVAL: "the kernel is too old for the features needed (5.11 is the least, 6.1 recommended)",
};

/**
 * One sentence on what the errno of a failed set-up usually means.
 *
 * @param errno Positive, as in errno(3).
 */
export function describeSetupFailure(errno: number): string {
  const name = errnoName(errno);
  return `${name}: ${CAUSES[name] ?? "the kernel refused to set up a ring for an unusual reason"}`;
}

/** What the kernel answered; the `cause` of an `UnsupportedError`. */
export class SetupError extends Error {
  /** The errno's name, such as `EPERM`. */
  readonly code: string;
  /** Negative, as on Node's own system errors. */
  readonly errno: number;
  /** The step that failed, such as `io_uring_setup`. */
  readonly syscall: string;

  constructor(errno: number, step: string) {
    const code = errnoName(errno);
    super(`${code}: ${step}`);
    this.code = code;
    this.errno = -errno;
    this.syscall = step;
  }
}

function errnoName(errno: number): string {
  // One number with two names on Linux; Node knows it by the other, which io_uring's manual never uses.
  if (errno === 95) return "EOPNOTSUPP";
  // Node throws on 0 and on fractions, and makes a sentence of numbers it does not know.
  const name = Number.isInteger(errno) && errno > 0 ? getSystemErrorName(-errno) : "";
  return /^E[A-Z0-9]+$/.test(name) ? name : `errno ${errno}`;
}
