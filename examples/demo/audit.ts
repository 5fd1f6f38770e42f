/** Compares what is in the journal with what the clients have seen. */
import { op } from "cooperator";
import { allocate, open } from "cooperator/io";
import type { ClientRecord } from "./load.ts";

export interface Audit {
  /** Lines in the file. */
  readonly entries: number;
  /** Requests whose acknowledgement a client has read. */
  readonly acknowledged: number;
  /** Acknowledged and not in the file: lost. */
  readonly missing: number;
  /** More than once in the file. */
  readonly repeated: number;
  /** In the file, and the client was cut off before it could read the acknowledgement. */
  readonly unheard: number;
  /** In the file, and no client has sent it. */
  readonly unknown: number;
  readonly good: boolean;
}

const CHUNK_BYTES = 256 * 1024;

/** Reads the journal at `path` and holds it against the clients' records. */
export const audit = op(function* audit(path: string, records: readonly ClientRecord[]) {
  const seen = new Map<number, Uint32Array>();
  let acknowledged = 0;
  for (const record of records) {
    if (record.sent !== record.acknowledged + record.cut.length) {
      throw new Error(`client ${record.client} has lost count of its requests`);
    }
    acknowledged += record.acknowledged;
    seen.set(record.client, new Uint32Array(record.sent + 1));
  }
  let entries = 0;
  let unknown = 0;
  using file = yield* open(path);
  const chunk = allocate(CHUNK_BYTES);
  let rest = "";
  for (;;) {
    const count = yield* file.read(chunk);
    if (count === 0) break;
    const lines = (rest + chunk.toString("utf8", 0, count)).split("\n");
    rest = lines.pop()!;
    for (const line of lines) {
      entries++;
      const [client, number] = line.slice(0, line.indexOf(" ")).split(".").map(Number);
      const counts = seen.get(client!);
      if (counts === undefined || counts[number!] === undefined || number === 0) unknown++;
      else counts[number!]!++;
    }
  }
  let missing = 0;
  let repeated = 0;
  let unheard = 0;
  for (const record of records) {
    const cut = new Set(record.cut);
    seen.get(record.client)!.forEach((count, number) => {
      if (number === 0) return;
      if (count > 1) repeated++;
      if (count > 0 && cut.has(number)) unheard++;
      if (count === 0 && !cut.has(number)) missing++;
    });
  }
  const good =
    missing === 0 && repeated === 0 && unknown === 0 && rest === "" && entries === acknowledged + unheard;
  const result: Audit = { entries, acknowledged, missing, repeated, unheard, unknown, good };
  return result;
});
