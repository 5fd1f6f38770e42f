/** connect(2). */
import type { Operation } from "../coordinator/operation.ts";
import { OP_CONNECT } from "../native/layout.ts";
import { type Address, type AddressLike, addressDetails, encodeAddress, parseAddress } from "./address.ts";
import { SOCKADDR_ROOM } from "./bind.ts";
import type { Descriptor } from "./descriptor.ts";
import type { IoErrorDetails } from "./errno.ts";
import type { Handle, IoOptions } from "./handle.ts";
import { currentIo, type Io } from "./io.ts";
import { IoWait } from "./io-wait.ts";

/** Queues a connect. @see {@link connect} to wait. connect(2). */
export function setupConnect(
  handle: Handle,
  socket: Descriptor,
  address: AddressLike,
  options?: IoOptions,
): void {
  queueConnect(currentIo("setupConnect()"), handle, socket, parseAddress(address), options);
  handle.started(null);
}

/**
 * Connects the socket. After a kill or an error the socket is in no useful state: close it.
 *
 * @throws {IoError} with the address: `ECONNREFUSED`, `ETIMEDOUT`, …
 */
export function connect(socket: Descriptor, address: AddressLike, options?: IoOptions): Operation<void> {
  return new Connect(socket, parseAddress(address), options);
}

function queueConnect(
  io: Io,
  handle: Handle,
  socket: Descriptor,
  address: Address,
  options: IoOptions | undefined,
): void {
  const driver = handle.prepare(io, "connect", socket, null, options);
  const block = handle.argument(SOCKADDR_ROOM);
  const length = encodeAddress(address, block.bytes);
  driver.submit(handle, OP_CONNECT, socket.number, block.address, 0, length, 0, 0, 0);
}

class Connect extends IoWait<void> {
  protected override get syscall(): string {
    return "connect";
  }
  private readonly address: Address;
  constructor(socket: Descriptor, address: Address, options: IoOptions | undefined) {
    super(socket, options);
    this.address = address;
  }
  protected override setup(io: Io, handle: Handle): number {
    queueConnect(io, handle, this.descriptor!, this.address, this.options);
    return -1;
  }
  protected override convert(): void {
    this.descriptor!.details = addressDetails(this.address);
  }
  protected override details(): IoErrorDetails {
    return addressDetails(this.address);
  }
}
