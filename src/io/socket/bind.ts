/** bind(2). */
import type { Operation } from "../../coordinator/operation.ts";
import { OP_BIND } from "../../native/layout.ts";
import type { Descriptor } from "../descriptor/descriptor.ts";
import type { Handle, IoOptions } from "../handle.ts";
import { IoOperation, Kind, QUEUED } from "../io-operation.ts";
import { type Address, type AddressLike, addressDetails, encodeAddress, parseAddress } from "./address.ts";

/** Bytes of a sockaddr of any family. */
export const SOCKADDR_ROOM = 128;

/** Queues a bind. @see {@link bind} to wait. bind(2); before Linux 6.11 the plain call, at once. */
export function setupBind(
  handle: Handle,
  socket: Descriptor,
  address: AddressLike,
  options?: IoOptions,
): void {
  new IoOperation(BIND, socket, null, 0, parseAddress(address), options).setUp(handle);
}

/**
 * Gives the socket an address; port 0 lets the system choose.
 *
 * @throws {IoError} with the address: `EADDRINUSE`, `EACCES`, …
 */
export function bind(socket: Descriptor, address: AddressLike, options?: IoOptions): Operation<void> {
  return new IoOperation(BIND, socket, null, 0, parseAddress(address), options);
}

const BIND: Kind<void> = new Kind<void>({
  syscall: "bind",
  direct: true,
  setup(io, handle, operation) {
    const descriptor = operation.descriptor!;
    const { number } = descriptor;
    const address = operation.argument as Address;
    if (io.driver.lacks(OP_BIND)) {
      descriptor.checkOrdinary("bind");
      const bytes = new Uint8Array(SOCKADDR_ROOM);
      return io.driver.calls.bindNow(number, bytes.subarray(0, encodeAddress(address, bytes)));
    }
    const block = handle.argument(SOCKADDR_ROOM);
    const length = encodeAddress(address, block.bytes);
    io.driver.submit(handle, OP_BIND, number, block.address, 0, length, 0, 0, 0);
    return QUEUED;
  },
  convert(_result, operation) {
    operation.descriptor!.details ??= addressDetails(operation.argument as Address);
  },
  details: (operation) => addressDetails(operation.argument as Address),
});
