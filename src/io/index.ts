/** Files and sockets on io_uring: every operation as a setup form on a handle, and as a blocking form. */
export { CompletionQueue } from "../handle/completion-queue.ts";
export { type ChainResults, chain, setupChain } from "./chain.ts";
export { adoptFile, adoptSocket, borrowFile } from "./descriptor/adopt.ts";
export { close, setupClose } from "./descriptor/close.ts";
export { Descriptor, type DescriptorKind } from "./descriptor/descriptor.ts";
export { type DirectOptions, makeDirect, makeOrdinary } from "./descriptor/direct.ts";
export type { DriverStatistics, IoDriver } from "./driver/driver.ts";
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
export { File } from "./file/file.ts";
export { type FsyncOptions, fsync, setupFsync } from "./file/fsync.ts";
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
export { type OpenMode, type OpenOptions, open, setupOpen } from "./file/open.ts";
export { type OpenBeneathOptions, openBeneath, setupOpenBeneath } from "./file/open-beneath.ts";
export type { Path } from "./file/path.ts";
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
export { FileWatcher, type WatcherStatistics, type WatchOptions, watch } from "./file/watch.ts";
export type { FileChange, FileEvent, FileEventType } from "./file/watch-events.ts";
export {
  type WriteFileAtomicOptions,
  type WriteFileOptions,
  writeFile,
  writeFileAtomic,
} from "./file/write-file.ts";
export { getXattr, type SetXattrOptions, setupGetXattr, setupSetXattr, setXattr } from "./file/xattr.ts";
export { futexWait, futexWake, setupFutexWait, setupFutexWake } from "./futex.ts";
export { Handle, type IoOptions } from "./handle.ts";
export { type IoStatistics, ioStatistics } from "./io.ts";
export { type IoPriority, setIoPriority } from "./io-priority.ts";
export {
  BufferPool,
  type BufferPoolOptions,
  type BufferPoolStatistics,
  type Lease,
} from "./memory/buffer-pool.ts";
export { BufferPools, type BufferPoolsOptions } from "./memory/buffer-pools.ts";
export { BufferRing, type BufferRingOptions, type BufferRingStatistics } from "./memory/buffer-ring.ts";
export { allocate, type Bytes } from "./memory/memory.ts";
export { nop, setupNop } from "./nop.ts";
export type { ProcessOptions, ProcessStream } from "./process/plan.ts";
export { Process, type ProcessExit } from "./process/process.ts";
export { type ProcessResult, type RunProcessOptions, runProcess } from "./process/run-process.ts";
export { spawnProcess } from "./process/spawn-process.ts";
export { stderr, stdin, stdout } from "./process/standard.ts";
export { accept, setupAccept } from "./socket/accept.ts";
export { type AcceptAllOptions, Acceptor, type AcceptorStatistics } from "./socket/acceptor.ts";
export {
  type Address,
  type AddressLike,
  formatAddress,
  type InetAddress,
  parseAddress,
  type TargetLike,
  type UnixAddress,
} from "./socket/address.ts";
export { AnySocket, type PeerCredentials } from "./socket/any-socket.ts";
export { bind, setupBind } from "./socket/bind.ts";
export { connectSocket, setupConnect } from "./socket/connect.ts";
export { Datagram, type DatagramOptions, openDatagram } from "./socket/datagram.ts";
export { listenSocket, setupListen } from "./socket/listen.ts";
export { Listener } from "./socket/listener.ts";
export { lookup } from "./socket/lookup.ts";
export {
  type Received,
  receivedBy,
  receiveFrom,
  sendTo,
  setupReceiveFrom,
  setupSendTo,
} from "./socket/message.ts";
export {
  type ConnectOptions,
  connect,
  type ListenOptions,
  listen,
} from "./socket/net.ts";
export {
  DescriptorsLostError,
  descriptorsOf,
  ReceivedDescriptors,
  receiveDescriptors,
  sendDescriptors,
  setupReceiveDescriptors,
  setupSendDescriptors,
} from "./socket/pass.ts";
export { Receiver, type ReceiverOptions } from "./socket/receiver.ts";
export { recv, setupRecv } from "./socket/recv.ts";
export { send, sendAll, setupSend } from "./socket/send.ts";
export { type Handler, type ServeOptions, serve } from "./socket/serve.ts";
export { type ShutdownHow, setupShutdown, shutdown } from "./socket/shutdown.ts";
export { type SocketFamily, type SocketType, setupSocket, socket } from "./socket/socket.ts";
export type { SocketOption, SocketOptions } from "./socket/socket-options.ts";
export { Socket } from "./socket/stream-socket.ts";
export { BufferedReader, type BufferedReaderOptions, type MessageOptions } from "./stream/buffered-reader.ts";
export { BufferedWriter, type BufferedWriterOptions } from "./stream/buffered-writer.ts";
export type { ByteReader, ByteStream, ByteWriter } from "./stream/byte-stream.ts";
export { type ReadOptions, read, setupRead } from "./stream/read.ts";
export { IncompleteError, LimitError } from "./stream/stream-errors.ts";
export { setupWrite, type WriteOptions, write, writeAll } from "./stream/write.ts";
