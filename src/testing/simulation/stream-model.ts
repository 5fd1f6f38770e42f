/** What must come out of a stream: every byte tells its place, so one that is lost, doubled or moved is noticed. */
import type { Descriptor } from "../../io/descriptor/descriptor.ts";
import { PipeReader } from "./pipes.ts";
import type { Simulation } from "./simulation.ts";
import { StreamSocket } from "./sockets.ts";

export class StreamModel {
  /** Bytes whose sending was confirmed. */
  sent = 0;
  /** Bytes that a reader has seen. */
  receivedCount = 0;
  private readonly simulation: Simulation;
  private readonly salt: number;

  constructor(simulation: Simulation, salt: number) {
    this.simulation = simulation;
    this.salt = salt;
  }

  /** Makes the next bytes to be sent. */
  fill(bytes: Uint8Array): void {
    for (let i = 0; i < bytes.length; i++) bytes[i] = this.byteAt(this.sent + i);
  }

  /** The first `count` bytes of `into` have arrived. */
  received(into: Uint8Array, count: number): void {
    if (count > into.length) this.simulation.fail(`${count} bytes came into ${into.length}`);
    for (let i = 0; i < count; i++) {
      const at = this.receivedCount + i;
      if (into[i] !== this.byteAt(at)) this.simulation.fail(`byte ${at} of a stream is not what was sent`);
    }
    this.receivedCount += count;
  }

  /** A reader was told that there is no more. */
  ended(reader: Descriptor): void {
    const file = this.simulation.runtime.kernel.fileOf(reader.number);
    if (!(file instanceof StreamSocket || file instanceof PipeReader)) return;
    if (file instanceof StreamSocket && file.broken && !file.endTold) {
      this.simulation.fail("a connection that was broken looks as if it had ended");
    }
    const { entered } = file instanceof StreamSocket ? file.received : file.queue;
    if (this.receivedCount !== entered) {
      this.simulation.fail(`a stream of ${entered} bytes has ended after ${this.receivedCount}`);
    }
  }

  private byteAt(place: number): number {
    return (place * 31 + (place >> 8) * 7 + this.salt) & 0xff;
  }
}
