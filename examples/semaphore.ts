/** A semaphore bounds what runs at once, by weight; a rate limiter bounds how much runs per time. */
import { group, now, op, run, sleep } from "cooperator";
import { RateLimiter, Semaphore } from "cooperator/sync";

const memory = new Semaphore(10, { name: "memory" });
const calls = new RateLimiter({ limit: 100, per: "1 second", burst: 2, name: "calls" });

const job = op(function* job(name: string, megabytes: number) {
  const permit = yield* memory.acquire(megabytes);
  try {
    console.log(`${name} runs with ${megabytes}, ${memory.free} free`);
    yield* sleep("5 millis");
  } finally {
    permit.release();
  }
});

const program = op(function* program() {
  yield* group(function* (g) {
    g.spawn(job("small", 2));
    // Too large for now: those behind it wait, too, so that it gets its turn.
    g.spawn(job("large", 9));
    g.spawn(job("tiny", 1));
  });
  const start = now();
  for (let i = 0; i < 5; i++) yield* calls.acquire();
  console.log(`five calls took at least 30 ms: ${now() - start >= 30}`);
});

await run(program());
