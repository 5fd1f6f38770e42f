/** Node's own http server and client over sockets of ours. A kill ends the server and every connection of it. */
import { createServer, get, type IncomingMessage } from "node:http";
import { main, op, self, spawn } from "cooperator";
import { once } from "cooperator/async";
import { type Address, BufferedReader, connect, listen } from "cooperator/io";
import { fromReadable, serveNode, toDuplex } from "cooperator/streams";

const server = createServer((request, response) => response.end(`hello from ${request.url}\n`));

const fetchText = op(function* fetchText(address: Address, path: string) {
  const owner = self();
  const request = get({ path, createConnection: () => toDuplex(connect(address), { owner }) });
  const [response] = yield* once<[IncomingMessage]>(request, "response");
  using body = fromReadable(response);
  return yield* new BufferedReader(body).readLine();
});

const program = op(function* program(port: number) {
  using listener = yield* listen({ host: "127.0.0.1", port });
  const serving = spawn(serveNode(listener, server), { name: "server" });
  for (const path of ["/a", "/b"]) console.log(yield* fetchText(listener.localAddress!, path));
  yield* serving.killAndWait("enough");
  console.log("the server is gone");
});

await main(program(Number(process.argv[2] ?? 0)));
