/** Node's streams over ours, and ours over Node's. */
export { fromDuplex, fromReadable, NodeReader, NodeStream } from "./from-node.ts";
export { type NodeServer, nodeConnection, serveNode } from "./serve-node.ts";
export type { ReaderAndWriter, StreamLike } from "./source.ts";
export { TaskDuplex } from "./task-duplex.ts";
export { type ToDuplexOptions, toDuplex } from "./to-duplex.ts";
