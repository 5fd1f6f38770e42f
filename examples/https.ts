/** TLS over sockets of ours: Node's https server, and its client, each on a duplex. */
import type { IncomingMessage } from "node:http";
import { createServer, request } from "node:https";
import { connect as tlsConnect } from "node:tls";
import { op, run, self, spawn } from "cooperator";
import { once } from "cooperator/async";
import { type Address, BufferedReader, connect, listen } from "cooperator/io";
import { fromReadable, serveNode, toDuplex } from "cooperator/streams";

/** Of nobody, for localhost: an example has to run anywhere. */
const key = `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg2JCzAox2bOlcjQl1tybpN0DiCg0IdUZPrMljWAHEgFWhRANCAAT9QS90YGJLKXdQN7+BXDMs
Q/2QYJ3Kf9VQy92tIkh52QF583kNISmWYPk0QO8TcBT+DZL3j5mSklB+5e5OdsRp
-----END PRIVATE KEY-----
`;
const cert = `-----BEGIN CERTIFICATE-----
MIIBnDCCAUGgAwIBAgIUCNvf3oo0ma0j25BIM0MI78dStqAwCgYIKoZIzj0EAwIwFDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyODAxMjQwNloYDzIx
MjYxMTA0MDEyNDA2WjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAT9QS90YGJLKXdQN7+BXDMsQ/2QYJ3Kf9VQy92t
Ikh52QF583kNISmWYPk0QO8TcBT+DZL3j5mSklB+5e5OdsRpo28wbTAdBgNVHQ4EFgQUYVC1AvtYBvzxnxeBB00lQa4PrYIwHwYDVR0jBBgwFoAUYVC1AvtY
BvzxnxeBB00lQa4PrYIwDwYDVR0TAQH/BAUwAwEB/zAaBgNVHREEEzARgglsb2NhbGhvc3SHBH8AAAEwCgYIKoZIzj0EAwIDSQAwRgIhAKNJ/DYiEipgaOxX
OOVrNYnOWKNn2WKuqP2RLlAmiwitAiEAk0WWvdtBCXs9wjMVacf0P8IaI02XdyPhtFeI3SrgunU=
-----END CERTIFICATE-----
`;

const server = createServer({ key, cert }, (incoming, response) => void incoming.pipe(response));

const post = op(function* post(address: Address, text: string) {
  const owner = self();
  const sent = request({
    method: "POST",
    createConnection: () =>
      tlsConnect({ socket: toDuplex(connect(address), { owner }), servername: "localhost", ca: cert }),
  });
  sent.end(text);
  const [response] = yield* once<[IncomingMessage]>(sent, "response");
  using body = fromReadable(response);
  const answer = yield* new BufferedReader(body).readLine();
  // The two ends take leave of each other.
  if (!sent.closed) yield* once(sent, "close");
  return answer;
});

await run(function* () {
  using listener = yield* listen({ host: "127.0.0.1", port: 0 });
  const serving = spawn(serveNode(listener, server));
  console.log(yield* post(listener.localAddress!, "a secret"));
  yield* serving.killAndWait("enough");
});
