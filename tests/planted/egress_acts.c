// What a window has to see, and to let through, faster than Python can do it:
//   uring ADDRESS PORT | flood SECONDS | serve PORT | bulk ADDRESS PORT SECONDS |
//   rounds ADDRESS PORT SECONDS | connects ADDRESS PORT SECONDS
#include <arpa/inet.h>
#include <errno.h>
#include <linux/io_uring.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static struct sockaddr_in address(const char* host, int port) {
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
  inet_pton(AF_INET, host, &to.sin_addr);
  return to;
}

// Connects through an io_uring alone; prints its result.
static int uring(const char* host, int port) {
  struct sockaddr_in to = address(host, port);
  struct io_uring_params p = {0};
  int ring = syscall(SYS_io_uring_setup, 8, &p);
  if (ring < 0) return 2;
  char* sq = mmap(0, 65536, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQ_RING);
  struct io_uring_sqe* sqe =
      mmap(0, 65536, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQES);
  unsigned* tail = (void*)(sq + p.sq_off.tail);
  unsigned* array = (void*)(sq + p.sq_off.array);
  sqe->opcode = IORING_OP_CONNECT;
  sqe->fd = socket(AF_INET, SOCK_STREAM, 0);
  sqe->addr = (unsigned long)&to;
  sqe->off = sizeof to;
  array[0] = 0;
  __atomic_store_n(tail, *tail + 1, __ATOMIC_RELEASE);
  if (syscall(SYS_io_uring_enter, ring, 1, 1, IORING_ENTER_GETEVENTS, 0, 0) != 1) return 3;
  struct io_uring_cqe* cqe = (void*)(sq + p.cq_off.cqes);
  printf("%d\n", cqe->res);
  return 0;
}

// Datagrams to ever new addresses, as fast as it can; prints how many it tried.
static int flood(double seconds) {
  int s = socket(AF_INET, SOCK_DGRAM, 0);
  struct sockaddr_in to = address("198.18.0.0", 9);
  uint32_t base = ntohl(to.sin_addr.s_addr);
  unsigned long tried = 0;
  struct timespec start, now;
  clock_gettime(CLOCK_MONOTONIC, &start);
  do {
    for (int i = 0; i < 1000; i++, tried++) {
      to.sin_addr.s_addr = htonl(base + tried % 131072);
      sendto(s, "x", 1, 0, (void*)&to, sizeof to);
    }
    clock_gettime(CLOCK_MONOTONIC, &now);
  } while ((now.tv_sec - start.tv_sec) + (now.tv_nsec - start.tv_nsec) / 1e9 < seconds);
  printf("%lu\n", tried);
  return 0;
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec / 1e9;
}

// A child a connection: a first byte of 'e' asks for echoes, any other for nothing.
static int serve(int port) {
  struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(port)};
  int s = socket(AF_INET, SOCK_STREAM, 0), one = 1;
  setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (bind(s, (void*)&any, sizeof any) || listen(s, 1024)) return 2;
  signal(SIGCHLD, SIG_IGN);
  puts("ready");
  fflush(stdout);
  for (;;) {
    int c = accept(s, 0, 0);
    static char buffer[1 << 18];
    char kind;
    // Asks for one connection after the other are answered without a child.
    if (recv(c, &kind, 1, 0) == 1 && kind != 'c' && fork() == 0) {
      setsockopt(c, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
      long n;
      while ((n = read(c, buffer, sizeof buffer)) > 0)
        if (kind == 'e' && write(c, buffer, n) != n) break;
      _exit(0);
    }
    close(c);
  }
}

static int dial(const char* host, int port, char kind) {
  struct sockaddr_in to = address(host, port);
  int s = socket(AF_INET, SOCK_STREAM, 0), one = 1;
  setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  if (connect(s, (void*)&to, sizeof to) || write(s, &kind, 1) != 1) exit(3);
  return s;
}

// Bytes, answered bytes or connections a second, of the best slice: what else the machine does
// slows some down. Bytes need a longer one, next to which the sockets' buffers are small.
static int measure(const char* what, const char* host, int port, double seconds) {
  static char buffer[1 << 17];
  double slice = *what == 'b' ? 0.1 : 0.02;
  double begin = now(), end = begin + seconds, done = 0, best = 0;
  int s = *what == 'c' ? -1 : dial(host, port, *what == 'r' ? 'e' : 'b');
  for (double t = begin; t < end; t = now()) {
    if (t - begin >= slice) {
      if (done / (t - begin) > best) best = done / (t - begin);
      begin = t;
      done = 0;
    }
    if (*what == 'b') {
      done += write(s, buffer, sizeof buffer);
    } else if (*what == 'r') {
      if (write(s, "x", 1) != 1 || read(s, buffer, 1) != 1) return 4;
      done++;
    } else {
      s = dial(host, port, 'c');
      read(s, buffer, 1);
      close(s);
      done++;
    }
  }
  printf("%.1f\n", best);
  return 0;
}

int main(int argc, char** argv) {
  if (argc > 3 && !strcmp(argv[1], "uring")) return uring(argv[2], atoi(argv[3]));
  if (argc > 2 && !strcmp(argv[1], "flood")) return flood(atof(argv[2]));
  if (argc > 2 && !strcmp(argv[1], "serve")) return serve(atoi(argv[2]));
  if (argc > 4) return measure(argv[1], argv[2], atoi(argv[3]), atof(argv[4]));
  return 64;
}
