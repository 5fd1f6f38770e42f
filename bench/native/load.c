// Load for an echo server: load PORT CONNECTIONS BYTES MILLISECONDS [udp]. Each connection has one message on its
// way at a time; with udp each is a socket that has the server as its only peer. Prints requests, seconds, and latencies in microseconds.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define SAMPLES_MAX 4000000
#define EVENTS_MAX 256

struct connection {
  int fd;
  int got;
  double sent_at;
};

static double now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1e9 + t.tv_nsec;
}

static void die(const char *what) {
  perror(what);
  exit(1);
}

static int by_value(const void *a, const void *b) {
  const float x = *(const float *)a, y = *(const float *)b;
  return x < y ? -1 : x > y;
}

int main(int argc, char **argv) {
  if (argc < 5) return 2;
  const int udp = argc > 5 && strcmp(argv[5], "udp") == 0;
  const int port = atoi(argv[1]), count = atoi(argv[2]), size = atoi(argv[3]), one = 1;
  const double length = atof(argv[4]) * 1e6;
  struct connection *connections = calloc(count, sizeof *connections);
  float *samples = malloc(SAMPLES_MAX * sizeof *samples);
  char *message = malloc(size), *reply = malloc(65536);
  memset(message, 'x', size);
  const int poll = epoll_create1(EPOLL_CLOEXEC);
  struct sockaddr_in address = {
      .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  for (int i = 0; i < count; i++) {
    struct connection *c = &connections[i];
    c->fd = socket(AF_INET, (udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0);
    if (connect(c->fd, (void *)&address, sizeof address) != 0) die("connect");
    if (!udp) setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    epoll_ctl(poll, EPOLL_CTL_ADD, c->fd, &event);
  }

  long requests = 0, stored = 0;
  int under_way = count;
  const double start = now_ns();
  double end = start;
  for (int i = 0; i < count; i++) {
    connections[i].sent_at = now_ns();
    if (write(connections[i].fd, message, size) != size) die("write");
  }
  struct epoll_event events[EVENTS_MAX];
  while (under_way > 0) {
    const int ready = epoll_wait(poll, events, EVENTS_MAX, 5000);
    if (ready <= 0) die("epoll_wait");
    for (int i = 0; i < ready; i++) {
      struct connection *c = events[i].data.ptr;
      const int got = read(c->fd, reply, 65536);
      if (got <= 0) die("read");
      c->got += got;
      if (c->got < size) continue;
      c->got = 0;
      const double now = now_ns();
      // On a machine that is busy with something else the first reply may come after the time is up.
      if (now - start >= length && stored > 0) {
        under_way--;
        continue;
      }
      requests++;
      end = now;
      if (stored < SAMPLES_MAX) samples[stored++] = (now - c->sent_at) / 1e3;
      c->sent_at = now;
      if (write(c->fd, message, size) != size) die("write");
    }
  }
  if (stored == 0) die("no replies");
  qsort(samples, stored, sizeof *samples, by_value);
  printf("{\"requests\":%ld,\"seconds\":%.6f,\"p50\":%.1f,\"p99\":%.1f}\n", requests, (end - start) / 1e9,
         samples[stored / 2], samples[stored * 99 / 100]);
  return 0;
}
