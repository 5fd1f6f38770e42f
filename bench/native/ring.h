// A ring on raw system calls, as small as it can be: what the C programs here are written with.
//
// The same flags as the library's own ring, so that both sides ask the kernel for the same thing.
#ifndef BENCH_RING_H
#define BENCH_RING_H

#include <errno.h>
#include <linux/io_uring.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

// Newer than the headers of some distributions.
#define SETUP_SINGLE_ISSUER (1u << 12)
#define SETUP_DEFER_TASKRUN (1u << 13)
#define SETUP_NO_SQARRAY (1u << 16)
#define SYS_SETUP 425
#define SYS_ENTER 426

struct ring {
  int fd;
  unsigned sq_mask, cq_mask;
  // Entries written, and how many of them the kernel has not taken.
  unsigned tail, queued;
  unsigned *sq_tail, *cq_head, *cq_tail;
  struct io_uring_sqe *sqes;
  struct io_uring_cqe *cqes;
};

static inline void die(const char *what) {
  perror(what);
  exit(1);
}

static inline double now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1e9 + t.tv_nsec;
}

static inline void ring_open(struct ring *r, unsigned entries) {
  struct io_uring_params p;
  memset(&p, 0, sizeof p);
  p.flags = SETUP_SINGLE_ISSUER | SETUP_DEFER_TASKRUN | SETUP_NO_SQARRAY;
  r->fd = syscall(SYS_SETUP, entries, &p);
  if (r->fd < 0 && errno == EINVAL) {
    memset(&p, 0, sizeof p);
    r->fd = syscall(SYS_SETUP, entries, &p);
  }
  if (r->fd < 0) die("io_uring_setup");
  size_t size = p.cq_off.cqes + p.cq_entries * sizeof(struct io_uring_cqe);
  const int has_array = (p.flags & SETUP_NO_SQARRAY) == 0;
  if (has_array && p.sq_off.array + p.sq_entries * 4 > size) size = p.sq_off.array + p.sq_entries * 4;
  char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, r->fd, IORING_OFF_SQ_RING);
  if (memory == MAP_FAILED) die("mmap");
  r->sqes = mmap(NULL, p.sq_entries * sizeof(struct io_uring_sqe), PROT_READ | PROT_WRITE,
                 MAP_SHARED | MAP_POPULATE, r->fd, IORING_OFF_SQES);
  if (r->sqes == MAP_FAILED) die("mmap");
  r->sq_tail = (unsigned *)(memory + p.sq_off.tail);
  r->cq_head = (unsigned *)(memory + p.cq_off.head);
  r->cq_tail = (unsigned *)(memory + p.cq_off.tail);
  r->cqes = (struct io_uring_cqe *)(memory + p.cq_off.cqes);
  r->sq_mask = p.sq_entries - 1;
  r->cq_mask = p.cq_entries - 1;
  r->tail = *r->sq_tail;
  r->queued = 0;
  if (has_array) {
    unsigned *array = (unsigned *)(memory + p.sq_off.array);
    for (unsigned i = 0; i < p.sq_entries; i++) array[i] = i;
  }
}

// The caller never queues more than the ring has entries.
static inline struct io_uring_sqe *ring_sqe(struct ring *r) {
  struct io_uring_sqe *sqe = &r->sqes[r->tail & r->sq_mask];
  r->tail++;
  r->queued++;
  memset(sqe, 0, sizeof *sqe);
  return sqe;
}

// Submits, and waits for `wait` completions. A signal ends the wait early.
static inline void ring_enter(struct ring *r, unsigned wait) {
  __atomic_store_n(r->sq_tail, r->tail, __ATOMIC_RELEASE);
  const int taken = syscall(SYS_ENTER, r->fd, r->queued, wait, IORING_ENTER_GETEVENTS, NULL, 0);
  if (taken >= 0)
    r->queued -= taken;
  else if (errno != EINTR)
    die("io_uring_enter");
}

static inline unsigned ring_ready(const struct ring *r) { return __atomic_load_n(r->cq_tail, __ATOMIC_ACQUIRE); }

static inline void ring_seen(struct ring *r, unsigned head) {
  __atomic_store_n(r->cq_head, head, __ATOMIC_RELEASE);
}

#endif
