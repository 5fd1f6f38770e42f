/** Files and sockets on io_uring: every operation as a setup form on a handle, and as a blocking form. */
export { CompletionQueue } from "../handle/completion-queue.ts";
export { accept, setupAccept } from "./accept.ts";
export { type AcceptAllOptions, Acceptor, type AcceptorStatistics } from "./acceptor.ts";
export {
  type Address,
  type AddressLike,
  formatAddress,
  type InetAddress,
  parseAddress,
  type TargetLike,
  type UnixAddress,
} from "./address.ts";
export { adoptFile, adoptSocket, borrowFile } from "./adopt.ts";
export { AnySocket, type PeerCredentials } from "./any-socket.ts";
export { bind, setupBind } from "./bind.ts";
export { BufferPool, type BufferPoolOptions, type BufferPoolStatistics, type Lease } from "./buffer-pool.ts";
export { BufferPools, type BufferPoolsOptions } from "./buffer-pools.ts";
export { BufferRing, type BufferRingOptions, type BufferRingStatistics } from "./buffer-ring.ts";
export { BufferedReader, type BufferedReaderOptions, type MessageOptions } from "./buffered-reader.ts";
export { BufferedWriter, type BufferedWriterOptions } from "./buffered-writer.ts";
export type { ByteReader, ByteStream, ByteWriter } from "./byte-stream.ts";
export { close, setupClose } from "./close.ts";
export { connectSocket, setupConnect } from "./connect.ts";
export { Datagram, type DatagramOptions, openDatagram } from "./datagram.ts";
export { Descriptor, type DescriptorKind } from "./descriptor.ts";
export type { DriverStatistics, IoDriver } from "./driver.ts";
export { IoError } from "./errno.ts";
export type { AtOptions } from "./file/at.ts";
export {
  type CopyFileOptions,
  copyFile,
  copyRest,
  type SendFileOptions,
  sendFile,
} from "./file/copy.ts";
export { Directory, openDirectory } from "./file/directory.ts";
export { link, setupLink, setupSymlink, symlink } from "./file/link.ts";
export { type MkdirOptions, mkdir, setupMkdir } from "./file/mkdir.ts";
export {
  chmod,
  chown,
  type DirectoryEntry,
  makeTempDirectory,
  mayAccess,
  readDirectory,
  readLink,
  realPath,
  setTimes,
} from "./file/names.ts";
export { type OpenBeneathOptions, openBeneath, setupOpenBeneath } from "./file/open-beneath.ts";
export { openPipe, Pipe, pipeOf, setupPipe } from "./file/pipe.ts";
export { type PollOptions, poll, type Readiness, readinessOf, setupPoll } from "./file/poll.ts";
export {
  type Advice,
  type AdviseOptions,
  type AllocateOptions,
  advise,
  fallocate,
  type RangeOptions,
  type SyncRangeOptions,
  setupAdvise,
  setupFallocate,
  setupSyncRange,
  setupTruncate,
  syncRange,
  truncate,
} from "./file/range.ts";
export { type ReadFileOptions, readFile, readTextFile, readToEnd } from "./file/read-file.ts";
export { type RenameOptions, rename, setupRename } from "./file/rename.ts";
export { type SpliceOptions, setupSplice, splice, tee } from "./file/splice.ts";
export { type FileStat, type FileType, type StatOptions, setupStat, stat, statOf } from "./file/stat.ts";
export { rmdir, setupRmdir, setupUnlink, unlink } from "./file/unlink.ts";
export { readv, setupReadv, setupWritev, writev, writevAll } from "./file/vector.ts";
export { type ProcessEnd, waitProcess } from "./file/wait-process.ts";
export { type WalkEntry, Walker, type WalkOptions, walk } from "./file/walk.ts";
export {
  type WriteFileAtomicOptions,
  type WriteFileOptions,
  writeFile,
  writeFileAtomic,
} from "./file/write-file.ts";
export { getXattr, type SetXattrOptions, setupGetXattr, setupSetXattr, setXattr } from "./file/xattr.ts";
export { File } from "./file.ts";
export { type FsyncOptions, fsync, setupFsync } from "./fsync.ts";
export { Handle, type IoOptions } from "./handle.ts";
export { type IoStatistics, ioStatistics } from "./io.ts";
export { type IoPriority, setIoPriority } from "./io-priority.ts";
export { listenSocket, setupListen } from "./listen.ts";
export { Listener } from "./listener.ts";
export { lookup } from "./lookup.ts";
export { allocate, type Bytes } from "./memory.ts";
export {
  type Received,
  receivedBy,
  receiveFrom,
  sendTo,
  setupReceiveFrom,
  setupSendTo,
} from "./message.ts";
export {
  type ConnectOptions,
  connect,
  type ListenOptions,
  listen,
} from "./net.ts";
export { nop, setupNop } from "./nop.ts";
export { type OpenMode, type OpenOptions, open, setupOpen } from "./open.ts";
export type { Path } from "./path.ts";
export { type ReadOptions, read, setupRead } from "./read.ts";
export { Receiver, type ReceiverOptions } from "./receiver.ts";
export { recv, setupRecv } from "./recv.ts";
export { send, sendAll, setupSend } from "./send.ts";
export { type Handler, type ServeOptions, serve } from "./serve.ts";
export { type ShutdownHow, setupShutdown, shutdown } from "./shutdown.ts";
export { type SocketFamily, type SocketType, setupSocket, socket } from "./socket.ts";
export type { SocketOption, SocketOptions } from "./socket-options.ts";
export { IncompleteError, LimitError } from "./stream-errors.ts";
export { Socket } from "./stream-socket.ts";
export { setupWrite, type WriteOptions, write, writeAll } from "./write.ts";
