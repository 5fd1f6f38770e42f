/** A protocol tested on a kernel that does not exist: reads are short, connections break, tasks are killed. */
import { op, spawn } from "cooperator";
import { connect, listen, type Socket } from "cooperator/io";
import { runSimulation, SeedError, type Simulation } from "cooperator/testing";

type ReadMessage = (socket: Socket, length: number) => Generator<unknown, string | null, any>;

/** A receive gives what there is, which may be less than what was sent. */
const careless: ReadMessage = function* (socket, length) {
  const message = Buffer.alloc(length);
  const count = yield* socket.recv(message);
  return count === 0 ? null : message.toString();
};

const patient: ReadMessage = function* (socket, length) {
  const message = Buffer.alloc(length);
  for (let at = 0; at < length; ) {
    const count = yield* socket.recv(message.subarray(at));
    if (count === 0) return null;
    at += count;
  }
  return message.toString();
};

const program = (read: ReadMessage) => (simulation: Simulation) =>
  op(function* () {
    using listener = yield* listen("127.0.0.1:7000");
    spawn(
      op(function* client() {
        using socket = yield* connect("127.0.0.1:7000");
        yield* socket.sendAll(Buffer.from("hello"));
      }),
    );
    using socket = yield* listener.accept();
    const message = yield* read(socket, 5);
    if (message !== null && message !== "hello") simulation.fail("a message is not what was sent");
  });

try {
  runSimulation(200, program(careless));
} catch (error) {
  if (!(error instanceof SeedError)) throw error;
  console.log(`careless: ${(error.cause as Error).message}`);
}
const { runs, kills } = runSimulation(200, program(patient));
console.log(`patient: ${runs} runs without a fault of ours, and tasks were killed: ${kills > 0}`);
