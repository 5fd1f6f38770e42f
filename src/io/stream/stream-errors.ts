/** What a protocol may find wrong with a stream of bytes. */
import { brand, CoopError } from "../../coordinator/errors.ts";

/** The stream ended in the middle of what was to be read. What there is can still be read. */
export class IncompleteError extends CoopError {
  static override readonly brand = "IncompleteError";
  /** Bytes that came before the end, and were not consumed. */
  readonly available: number;
  constructor(message: string, available: number) {
    super("COOP_INCOMPLETE", message);
    this.available = available;
  }
}

/** What was to be read is longer than it may be. Nothing of it was consumed. */
export class LimitError extends CoopError {
  static override readonly brand = "LimitError";
  /** Bytes it may have at most. */
  readonly limit: number;
  constructor(message: string, limit: number) {
    super("COOP_TOO_LONG", message);
    this.limit = limit;
  }
}

brand(IncompleteError, LimitError);
