/** One directory for all temporary files of a run; removed at its end, also what killed workers have left. */
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export default function scratch(): () => void {
  const directory = mkdtempSync(join(tmpdir(), "cooperator-"));
  // Some tests go on without privileges.
  chmodSync(directory, 0o1777);
  process.env.TMPDIR = directory;
  return () => rmSync(directory, { recursive: true, force: true });
}
