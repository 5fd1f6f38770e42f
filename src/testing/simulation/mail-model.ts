/** What must become of datagrams: each comes at most once, whole, and only if it was sent. */
import type { Datagram } from "../../io/socket/datagram.ts";
import type { Simulation } from "./simulation.ts";
import { DatagramSocket } from "./sockets.ts";

export class MailModel {
  /** Number of the next datagram. */
  next = 0;
  /** Those whose sending was confirmed, and those that have come. */
  readonly confirmed: Set<number> = new Set();
  readonly received: Set<number> = new Set();
  private readonly simulation: Simulation;
  private readonly lengths: number[];

  constructor(simulation: Simulation, most: number) {
    this.simulation = simulation;
    this.lengths = new Array<number>(most).fill(-1);
  }

  make(id: number, length: number): Uint8Array {
    this.lengths[id] = length;
    return new Uint8Array(length).fill(id);
  }

  came(bytes: Uint8Array, truncated: boolean): void {
    const id = bytes[0]!;
    if (truncated || bytes.length !== this.lengths[id] || bytes.some((byte) => byte !== id)) {
      this.simulation.fail(`datagram ${id} did not come as it was sent`);
    }
    if (this.received.has(id)) this.simulation.fail(`datagram ${id} came twice`);
    this.received.add(id);
  }

  /** How many wait in the kernel, and with the socket. */
  left(socket: Datagram): { readonly file: number; readonly kept: number } {
    const file = this.simulation.runtime.kernel.fileOf(socket.number);
    const waiting = file instanceof DatagramSocket ? file.datagrams.length : 0;
    return { file: waiting, kept: socket.inbox.length };
  }
}
