/** Datagrams: whole messages with their sender; one that is too long for the buffer says so. */
import { op, run, spawn } from "cooperator";
import { type Address, type Datagram, openDatagram } from "cooperator/io";

const answering = op(function* answering(udp: Datagram) {
  const buffer = Buffer.alloc(8);
  for (;;) {
    const { count, from, truncated } = yield* udp.receive(buffer);
    const text = buffer.toString("utf8", 0, count);
    yield* udp.sendTo(Buffer.from(truncated ? `${text}…` : text), from as Address);
  }
});

const program = op(function* program() {
  using server = yield* openDatagram("127.0.0.1:0");
  spawn(answering(server));
  using client = yield* openDatagram(null, { connect: server.localAddress as Address });
  const buffer = Buffer.alloc(64);
  for (const message of ["short", "", "rather long"]) {
    yield* client.send(Buffer.from(message));
    const { count } = yield* client.receive(buffer, { timeout: "1 second" });
    console.log(JSON.stringify(buffer.toString("utf8", 0, count)));
  }
});

await run(program());
