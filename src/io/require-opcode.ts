import { UnsupportedError } from "../coordinator/errors.ts";
import type { Io } from "./io.ts";

/**
 * Opcodes newer than the oldest kernel we run on are asked for before anything is submitted: nothing is ever
 * tried out on a user's data. Source: conformance P21.
 *
 * @throws {UnsupportedError} naming the kernel that has it.
 */
export function requireOpcode(io: Io, opcode: number, syscall: string, since: string): void {
  if (io.driver.supports(opcode)) return;
  throw new UnsupportedError(
    `${syscall} in a ring needs Linux ${since} or newer, and a sandbox that allows it (io_uring opcode ${opcode})`,
  );
}
