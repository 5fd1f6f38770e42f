/** bind(2). */
import type { Operation } from "../coordinator/operation.ts";
import { OP_BIND } from "../native/layout.ts";
import { type Address, type AddressLike, addressDetails, encodeAddress, parseAddress } from "./address.ts";
import type { Descriptor } from "./descriptor.ts";
import type { IoErrorDetails } from "./errno.ts";
import type { Handle, IoOptions } from "./handle.ts";
import { currentIo, type Io } from "./io.ts";
import { IoWait } from "./io-wait.ts";

/** Bytes of a sockaddr of any family. */
export const SOCKADDR_ROOM = 128;

/** Queues a bind. @see {@link bind} to wait. bind(2), since Linux 6.11 in a ring. */
export function setupBind(
  handle: Handle,
  socket: Descriptor,
  address: AddressLike,
  options?: IoOptions,
): void {
  queueBind(currentIo("setupBind()"), handle, socket, parseAddress(address), options);
  handle.started(null);
}

/**
 * Gives the socket an address; port 0 lets the system choose.
 *
 * @throws {IoError} with the address: `EADDRINUSE`, `EACCES`, …
 */
export function bind(socket: Descriptor, address: AddressLike, options?: IoOptions): Operation<void> {
  return new Bind(socket, parseAddress(address), options);
}

function queueBind(
  io: Io,
  handle: Handle,
  socket: Descriptor,
  address: Address,
  options: IoOptions | undefined,
): void {
  const driver = handle.prepare(io, "bind", socket, null, options);
  const block = handle.argument(SOCKADDR_ROOM);
  const length = encodeAddress(address, block.bytes);
  driver.submit(handle, OP_BIND, socket.number, block.address, 0, length, 0, 0, 0);
}

class Bind extends IoWait<void> {
  protected override get syscall(): string {
    return "bind";
  }
  private readonly address: Address;
  constructor(socket: Descriptor, address: Address, options: IoOptions | undefined) {
    super(socket, options);
    this.address = address;
  }
  protected override setup(io: Io, handle: Handle): number {
    queueBind(io, handle, this.descriptor!, this.address, this.options);
    return -1;
  }
  protected override convert(): void {
    this.descriptor!.details ??= addressDetails(this.address);
  }
  protected override details(): IoErrorDetails {
    return addressDetails(this.address);
  }
}
