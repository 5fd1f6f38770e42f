/** Files and sockets on io_uring: every operation as a setup form on a handle, and as a blocking form. */
export { accept, setupAccept } from "./accept.ts";
export {
  type Address,
  type AddressLike,
  formatAddress,
  type InetAddress,
  parseAddress,
  type UnixAddress,
} from "./address.ts";
export { adoptFile, adoptSocket } from "./adopt.ts";
export { bind, setupBind } from "./bind.ts";
export { BufferPool, type BufferPoolOptions, type BufferPoolStatistics, type Lease } from "./buffer-pool.ts";
export { close, setupClose } from "./close.ts";
export { connect, setupConnect } from "./connect.ts";
export { Descriptor, type DescriptorKind } from "./descriptor.ts";
export type { DriverStatistics, IoDriver } from "./driver.ts";
export { IoError } from "./errno.ts";
export { File } from "./file.ts";
export { type FsyncOptions, fsync, setupFsync } from "./fsync.ts";
export { Handle, type IoOptions } from "./handle.ts";
export { type IoStatistics, ioStatistics } from "./io.ts";
export { listen, setupListen } from "./listen.ts";
export { allocate } from "./memory.ts";
export { type ConnectOptions, connectTo, type ListenOptions, listenOn } from "./net.ts";
export { nop, setupNop } from "./nop.ts";
export { type OpenMode, type OpenOptions, open, setupOpen } from "./open.ts";
export type { Path } from "./path.ts";
export { type ReadOptions, read, setupRead } from "./read.ts";
export { recv, setupRecv } from "./recv.ts";
export { send, sendAll, setupSend } from "./send.ts";
export { type ShutdownHow, setupShutdown, shutdown } from "./shutdown.ts";
export { type SocketFamily, type SocketType, setupSocket, socket } from "./socket.ts";
export { Socket } from "./stream-socket.ts";
export { setupWrite, type WriteOptions, write, writeAll } from "./write.ts";
