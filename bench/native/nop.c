// NOPs through a ring, in batches: nop BATCH COUNT. Prints nanoseconds per operation.
#include "ring.h"

static uint64_t run(struct ring *r, unsigned batch, long count) {
  uint64_t sum = 0;
  for (long done = 0; done < count;) {
    for (unsigned i = 0; i < batch; i++) {
      struct io_uring_sqe *sqe = ring_sqe(r);
      sqe->opcode = IORING_OP_NOP;
      sqe->user_data = done + i;
    }
    ring_enter(r, batch);
    unsigned head = *r->cq_head;
    const unsigned tail = ring_ready(r);
    for (; head != tail; head++, done++) sum += r->cqes[head & r->cq_mask].user_data;
    ring_seen(r, head);
  }
  return sum;
}

int main(int argc, char **argv) {
  if (argc < 3) return 2;
  const unsigned batch = atoi(argv[1]);
  const long count = atol(argv[2]);
  struct ring r;
  ring_open(&r, 1024);
  uint64_t sum = run(&r, batch, count / 10 + 1);
  const double start = now_ns();
  sum += run(&r, batch, count);
  const double elapsed = now_ns() - start;
  // The sum is looked at, so that nothing of the loop can be left out.
  printf("{\"ns\":%.3f}\n", sum == 1 ? 0 : elapsed / count);
  return 0;
}
