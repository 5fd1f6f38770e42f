// A TCP echo server on a ring: one receive and one send per message, as the library does it, one enter per
// round of completions. echo-server [BUFFER]. Prints {"port":…}, and at every SIGUSR2 its CPU time so far in microseconds.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ring.h"

#define ENTRIES 1024

struct connection {
  int fd;
  int sending;
  char bytes[];
};

// Bytes of one receive.
static int buffer = 4096;
static volatile long calls = 0;

// In the handler itself, so that the answer does not wait for the next completion.
static void on_usage(int signal) {
  (void)signal;
  struct rusage u;
  getrusage(RUSAGE_SELF, &u);
  const long cpu = (u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000 + u.ru_utime.tv_usec + u.ru_stime.tv_usec;
  // Not dprintf: it allocates, and the signal may come in the middle of an allocation.
  char line[96];
  const int length = snprintf(line, sizeof line, "{\"cpu\":%ld,\"calls\":%ld}\n", cpu, calls);
  if (write(1, line, length) != length) _exit(1);
}

static void queue_accept(struct ring *r, int listener) {
  struct io_uring_sqe *sqe = ring_sqe(r);
  sqe->opcode = IORING_OP_ACCEPT;
  sqe->fd = listener;
  sqe->accept_flags = SOCK_CLOEXEC;
}

static void queue_recv(struct ring *r, struct connection *c) {
  struct io_uring_sqe *sqe = ring_sqe(r);
  c->sending = 0;
  sqe->opcode = IORING_OP_RECV;
  sqe->fd = c->fd;
  sqe->addr = (uintptr_t)c->bytes;
  sqe->len = buffer;
  sqe->user_data = (uintptr_t)c;
}

static void queue_send(struct ring *r, struct connection *c, int length) {
  struct io_uring_sqe *sqe = ring_sqe(r);
  c->sending = 1;
  sqe->opcode = IORING_OP_SEND;
  sqe->fd = c->fd;
  sqe->addr = (uintptr_t)c->bytes;
  sqe->len = length;
  sqe->msg_flags = MSG_NOSIGNAL | MSG_WAITALL;
  sqe->user_data = (uintptr_t)c;
}

static void accepted(struct ring *r, int listener, int fd) {
  queue_accept(r, listener);
  if (fd < 0) return;
  struct connection *c = calloc(1, sizeof *c + buffer);
  c->fd = fd;
  queue_recv(r, c);
}

static void progress(struct ring *r, struct connection *c, int result) {
  if (result <= 0) {
    close(c->fd);
    free(c);
  } else if (c->sending) {
    queue_recv(r, c);
  } else {
    queue_send(r, c, result);
  }
}

int main(int argc, char **argv) {
  if (argc > 1) buffer = atoi(argv[1]);
  struct sigaction usage = {.sa_handler = on_usage};
  sigaction(SIGUSR2, &usage, NULL);
  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
  // Inherited by every accepted socket.
  setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t length = sizeof address;
  if (bind(listener, (void *)&address, sizeof address) != 0) die("bind");
  if (listen(listener, 511) != 0) die("listen");
  getsockname(listener, (void *)&address, &length);
  printf("{\"port\":%d}\n", ntohs(address.sin_port));
  fflush(stdout);

  struct ring r;
  ring_open(&r, ENTRIES);
  queue_accept(&r, listener);
  for (;;) {
    ring_enter(&r, 1);
    calls++;
    unsigned head = *r.cq_head;
    const unsigned tail = ring_ready(&r);
    for (; head != tail && r.queued < ENTRIES; head++) {
      const struct io_uring_cqe *cqe = &r.cqes[head & r.cq_mask];
      if (cqe->user_data == 0)
        accepted(&r, listener, cqe->res);
      else
        progress(&r, (struct connection *)(uintptr_t)cqe->user_data, cqe->res);
    }
    ring_seen(&r, head);
  }
}
