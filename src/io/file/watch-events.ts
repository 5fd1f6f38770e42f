/**
 * What inotify(7) says, as events: one read gives a batch of records, each a header of 16 bytes and a name
 * that is padded with NULs.
 */
import { violation } from "../../coordinator/errors.ts";
import * as abi from "../../native/layout.ts";

/** What may be asked for. */
export type FileChange =
  /** A name has appeared in a directory, or gone from it. */
  | "create"
  | "delete"
  /** One half of a rename each; both halves have the same `cookie`. */
  | "movedFrom"
  | "movedTo"
  /** The content, or the attributes (permissions, times, links). */
  | "modify"
  | "attributes"
  /** Closed by somebody who had it open for writing: what was written is complete. */
  | "closeWrite"
  /** What is watched itself was removed, or renamed. */
  | "deleteSelf"
  | "moveSelf"
  /** Not told of unless asked for. */
  | "open"
  | "access"
  | "closeRead";

/** What happened. The last three are told of whatever was asked for. */
export type FileEventType =
  | FileChange
  /** The file system was unmounted. */
  | "unmount"
  /** The watch has ended by itself: what it watched is gone. */
  | "gone"
  /** The kernel's queue was full, and events are lost: whoever relies on them looks at the files again. */
  | "overflow";

export interface FileEvent {
  readonly type: FileEventType;
  /** The path as it was given to the watcher; null for an overflow, which is about all of them. */
  readonly path: string | null;
  /** The name in the watched directory; null when it is about what is watched itself. */
  readonly name: string | null;
  /** The name as bytes, for one that is no UTF-8. */
  readonly nameBytes: Buffer | null;
  /** It is about a directory. */
  readonly directory: boolean;
  /** Joins the two halves of a rename; 0 for everything else. */
  readonly cookie: number;
}

/** In the order in which the events of a record that says several things at once are told. */
const CHANGES: readonly (readonly [FileChange, number])[] = [
  ["create", abi.IN_CREATE],
  ["open", abi.IN_OPEN],
  ["access", abi.IN_ACCESS],
  ["modify", abi.IN_MODIFY],
  ["attributes", abi.IN_ATTRIB],
  ["closeWrite", abi.IN_CLOSE_WRITE],
  ["closeRead", abi.IN_CLOSE_NOWRITE],
  ["movedFrom", abi.IN_MOVED_FROM],
  ["movedTo", abi.IN_MOVED_TO],
  ["delete", abi.IN_DELETE],
  ["moveSelf", abi.IN_MOVE_SELF],
  ["deleteSelf", abi.IN_DELETE_SELF],
];

const EVENTS: readonly (readonly [FileEventType, number])[] = [
  ...CHANGES,
  ["unmount", abi.IN_UNMOUNT],
  ["gone", abi.IN_IGNORED],
  ["overflow", abi.IN_Q_OVERFLOW],
];

/** The bit of each change. */
export const CHANGE_BITS: ReadonlyMap<string, number> = new Map(CHANGES);

/** Takes each event of a batch. A watch is known by its number. */
export interface EventSink {
  /** The path of a watch; null when there is none. Called once per record. */
  pathOf(watch: number, mask: number): string | null;
  take(event: FileEvent): void;
}

/** Hands every event in `batch` to `sink`, in order. */
export function decodeEvents(batch: Buffer, sink: EventSink): void {
  for (let at = 0; at < batch.length; ) {
    const rest = batch.length - at;
    const length = rest < abi.INOTIFY_SIZE ? rest : batch.readUInt32LE(at + abi.INOTIFY_LEN);
    if (rest < abi.INOTIFY_SIZE + length) throw violation("a record of inotify is cut off");
    const mask = batch.readUInt32LE(at + abi.INOTIFY_MASK);
    const path = sink.pathOf(batch.readInt32LE(at + abi.INOTIFY_WD), mask);
    if (path !== null || (mask & abi.IN_Q_OVERFLOW) !== 0) {
      const nameBytes = nameAt(batch, at + abi.INOTIFY_SIZE, length);
      const name = nameBytes === null ? null : nameBytes.toString("utf8");
      const directory = (mask & abi.IN_ISDIR) !== 0;
      const cookie = batch.readUInt32LE(at + abi.INOTIFY_COOKIE);
      for (const [type, bit] of EVENTS) {
        if ((mask & bit) !== 0) sink.take({ type, path, name, nameBytes, directory, cookie });
      }
    }
    at += abi.INOTIFY_SIZE + length;
  }
}

/** A copy of the name, without the NULs behind it; null when there is none. */
function nameAt(batch: Buffer, at: number, length: number): Buffer | null {
  if (length === 0) return null;
  const padded = batch.subarray(at, at + length);
  const end = padded.indexOf(0);
  return Buffer.from(end === -1 ? padded : padded.subarray(0, end));
}
