// Random 4 KiB reads of a file: file-read PATH DEPTH COUNT. Prints nanoseconds per read.
#include <fcntl.h>

#include "ring.h"

#define PAGE 4096

static uint32_t seed = 1;
static uint32_t next_random(void) {
  seed ^= seed << 13;
  seed ^= seed >> 17;
  seed ^= seed << 5;
  return seed;
}

int main(int argc, char **argv) {
  if (argc < 4) return 2;
  const int fd = open(argv[1], O_RDONLY);
  if (fd < 0) die(argv[1]);
  const unsigned depth = atoi(argv[2]);
  const long count = atol(argv[3]);
  const uint32_t pages = lseek(fd, 0, SEEK_END) / PAGE;
  char *buffers = aligned_alloc(PAGE, (size_t)depth * PAGE);
  memset(buffers, 1, (size_t)depth * PAGE);
  struct ring r;
  ring_open(&r, 1024);

  long begun = 0, done = 0, measured = 0;
  const long warm = count / 10;
  double start = now_ns();
  for (unsigned slot = 0; slot < depth; slot++, begun++) {
    struct io_uring_sqe *sqe = ring_sqe(&r);
    sqe->user_data = slot;
    sqe->opcode = IORING_OP_READ;
    sqe->fd = fd;
    sqe->addr = (uintptr_t)(buffers + (size_t)slot * PAGE);
    sqe->len = PAGE;
    sqe->off = (uint64_t)(next_random() % pages) * PAGE;
  }
  while (done < begun) {
    ring_enter(&r, 1);
    unsigned head = *r.cq_head;
    const unsigned tail = ring_ready(&r);
    for (; head != tail; head++, done++) {
      const struct io_uring_cqe *cqe = &r.cqes[head & r.cq_mask];
      if (cqe->res != PAGE) die("read");
      if (done == warm) start = now_ns();
      if (done >= warm) measured++;
      if (begun >= warm + count) continue;
      begun++;
      struct io_uring_sqe *sqe = ring_sqe(&r);
      sqe->user_data = cqe->user_data;
      sqe->opcode = IORING_OP_READ;
      sqe->fd = fd;
      sqe->addr = (uintptr_t)(buffers + (size_t)cqe->user_data * PAGE);
      sqe->len = PAGE;
      sqe->off = (uint64_t)(next_random() % pages) * PAGE;
    }
    ring_seen(&r, head);
  }
  printf("{\"ns\":%.3f}\n", (now_ns() - start) / measured);
  return 0;
}
