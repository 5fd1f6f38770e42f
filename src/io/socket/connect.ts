/** connect(2). */
import type { Operation } from "../../coordinator/operation.ts";
import { OP_CONNECT } from "../../native/layout.ts";
import type { Descriptor } from "../descriptor/descriptor.ts";
import type { Handle, IoOptions } from "../handle.ts";
import { IoOperation, Kind, QUEUED } from "../io-operation.ts";
import { type Address, type AddressLike, addressDetails, encodeAddress, parseAddress } from "./address.ts";
import { SOCKADDR_ROOM } from "./bind.ts";

/** Queues a connect. @see {@link connectSocket} to wait. connect(2). */
export function setupConnect(
  handle: Handle,
  socket: Descriptor,
  address: AddressLike,
  options?: IoOptions,
): void {
  new IoOperation(CONNECT, socket, null, 0, parseAddress(address), options).setUp(handle);
}

/**
 * Connects a socket that was made by hand; `connect` does all of it at once. After a kill or an error the socket is in no useful state: close it.
 *
 * @throws {IoError} with the address: `ECONNREFUSED`, `ETIMEDOUT`, …
 */
export function connectSocket(
  socket: Descriptor,
  address: AddressLike,
  options?: IoOptions,
): Operation<void> {
  return new IoOperation(CONNECT, socket, null, 0, parseAddress(address), options);
}

const CONNECT: Kind<void> = new Kind<void>({
  syscall: "connect",
  direct: true,
  setup(io, handle, operation) {
    const block = handle.argument(SOCKADDR_ROOM);
    const length = encodeAddress(operation.argument as Address, block.bytes);
    io.driver.submit(handle, OP_CONNECT, operation.descriptor!.number, block.address, 0, length, 0, 0, 0);
    return QUEUED;
  },
  convert(_result, operation) {
    operation.descriptor!.details = addressDetails(operation.argument as Address);
  },
  details: (operation) => addressDetails(operation.argument as Address),
});
