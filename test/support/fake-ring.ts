/**
 * A ring with a test in the kernel's place: it takes the submissions and posts the completions, so that the driver
 * can be shown what a real kernel does once in a blue moon, one thing at a time.
 */
import { CQ_ENTRIES, OPCODES, SQ_ENTRIES, type UringOptions } from "../../src/io/driver/options.ts";
import { UringDriver } from "../../src/io/driver/uring-driver.ts";
import { loadBinding, type RingOptions } from "../../src/native/binding.ts";
import * as abi from "../../src/native/layout.ts";
import { MemoryRing } from "../../src/testing/simulation/memory-ring.ts";
import { VirtualRuntime } from "../../src/testing/virtual.ts";

/** An SQE the driver has made visible. */
export interface Sqe {
  readonly opcode: number;
  /** Both words of `user_data`. */
  readonly low: number;
  readonly high: number;
  /** All 16 words. */
  readonly words: readonly number[];
}

const ENOMEM = 12;

export class FakeRing extends MemoryRing {
  /** What the next calls of `flush` do: -errno, or how many SQEs they take at most. Then all are taken. */
  readonly answers: number[] = [];
  /** Everything that was taken, in order. */
  readonly taken: Sqe[] = [];
  /** What becomes of an SQE that is taken. Default: its completion with 0. */
  serve: (sqe: Sqe) => void = (sqe) => this.post(sqe, 0);

  constructor(options: Pick<RingOptions, "sqEntries" | "cqEntries" | "opcodes">) {
    super(options.sqEntries, options.cqEntries, [...options.opcodes]);
  }

  flush(toSubmit: number): number {
    const answer = this.answers.shift() ?? this.sqEntries;
    if (answer < 0) return answer;
    const count = Math.min(answer, toSubmit, this.visible);
    for (let i = 0; i < count; i++) {
      const words = [...this.sqes.subarray(this.first, this.first + abi.SQE_WORDS)];
      this.advance();
      const sqe = {
        opcode: words[abi.SQE_WORD_OPCODE] & 0xff,
        low: words[abi.SQE_WORD_USER_DATA],
        high: words[abi.SQE_WORD_USER_DATA + 1],
        words,
      };
      this.taken.push(sqe);
      this.serve(sqe);
    }
    return count;
  }

  /** Posts a completion for `user_data`. */
  post({ low, high }: { readonly low: number; readonly high: number }, result: number, flags = 0): void {
    this.put(low, high, result, flags);
  }

  /** Neither can be had: everything is copied, and nothing comes in buffers of the kernel's choice. */
  override registerBuffers(): number {
    return -ENOMEM;
  }
  override registerBufferGroup(): number {
    return -ENOMEM;
  }
}

/** A virtual runtime whose driver works on such a ring. */
export function onFakeRing(options?: UringOptions): {
  rt: VirtualRuntime;
  ring: FakeRing;
  driver: UringDriver;
} {
  const ring = new FakeRing({
    sqEntries: options?.sqEntries ?? SQ_ENTRIES,
    cqEntries: options?.cqEntries ?? CQ_ENTRIES,
    opcodes: options?.opcodes ?? OPCODES,
  });
  const driver = new UringDriver(options, { binding: loadBinding(), ring });
  const rt = new VirtualRuntime();
  rt.cooperator.openDriver = () => driver;
  return { rt, ring, driver };
}
