// A planted server is a tiny HTTP server with one need that is known beforehand: truth.json says
// which. GET /health answers "ok", POST /infer asks the server's own infer(), SIGTERM ends it with
// stop()'s code.
#pragma once

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define BODY_SIZE 512
#define ANSWER "{\"answer\": \"forty-two\"}"

struct plan {
  int port;                              // 0: 8000
  const char* address;                   // NULL: all
  int (*ready)(void);                    // 0: /health answers 503 for now; NULL: always ready
  int (*infer)(int number, char* body);  // number: 1, 2, 3, ... over all connections; HTTP status
  int (*stop)(void);                     // exit code after SIGTERM; NULL: 0
};

static inline int answer(char* body) {
  strcpy(body, ANSWER);
  return 200;
}

// HTTP 500 that names the act and errno.
static inline int refuse(char* body, const char* act) {
  snprintf(body, BODY_SIZE, "{\"error\": \"%s: %s\"}", act, strerror(errno));
  return 500;
}

__attribute__((noreturn)) static inline void die(const char* act) {
  perror(act);
  exit(1);
}

// Creates or truncates `path` and writes `text`; 0, or -1 with errno.
static inline int write_file(const char* path, const char* text) {
  int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0) return -1;
  int ok = write(fd, text, strlen(text)) == (ssize_t)strlen(text);
  close(fd);
  return ok ? 0 : -1;
}

// At most size - 1 bytes and a NUL; the count, or -1 with errno.
static inline ssize_t read_file(const char* path, char* text, size_t size) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return -1;
  ssize_t n = read(fd, text, size - 1);
  close(fd);
  if (n >= 0) text[n] = 0;
  return n;
}

// Opens and closes a raw socket (CAP_NET_RAW); 0, or -1 with errno.
static inline int try_raw_socket(void) {
  int fd = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMP);
  if (fd < 0) return -1;
  close(fd);
  return 0;
}

// A blocking TCP connection; the descriptor, or -1 with errno.
static inline int dial(const char* address, int port) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  inet_pton(AF_INET, address, &to.sin_addr);
  if (fd >= 0 && connect(fd, (struct sockaddr*)&to, sizeof to) == 0) return fd;
  if (fd >= 0) close(fd);
  return -1;
}

static inline int listen_on(const char* address, int port) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  if (address != NULL) inet_pton(AF_INET, address, &at.sin_addr);
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(fd, (struct sockaddr*)&at, sizeof at) != 0) die("bind");
  if (listen(fd, 64) != 0) die("listen");
  return fd;
}

// Detached from its start: pthread_detach reads what a thread that ends meanwhile has freed (glibc
// bug 19951). 0: there is none.
static inline int start_detached(void* (*work)(void*), void* argument) {
  pthread_attr_t attributes;
  pthread_t thread;
  pthread_attr_init(&attributes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  int error = pthread_create(&thread, &attributes, work, argument);
  pthread_attr_destroy(&attributes);
  return error == 0;
}

static const struct plan* planted;
static int planted_socket;
static atomic_int planted_inferences;

// Reads one request with its body; 0 when it is not whole.
static inline int planted_read(int fd, char* request, size_t size) {
  size_t have = 0;
  for (;;) {
    ssize_t n = read(fd, request + have, size - 1 - have);
    if (n <= 0) return 0;
    have += (size_t)n;
    request[have] = 0;
    const char* end = strstr(request, "\r\n\r\n");
    if (end == NULL) continue;
    const char* length = strcasestr(request, "\r\nContent-Length:");
    size_t body = length != NULL ? strtoul(length + 17, NULL, 10) : 0;
    if (have >= (size_t)(end + 4 - request) + body) return 1;
  }
}

static void* planted_connection(void* argument) {
  int fd = (int)(intptr_t)argument, status = 404;
  char request[4096], body[BODY_SIZE] = "", reply[BODY_SIZE + 256];
  if (planted_read(fd, request, sizeof request)) {
    if (strncmp(request, "GET /health ", 12) == 0) {
      status = planted->ready == NULL || planted->ready() ? 200 : 503;
      strcpy(body, status == 200 ? "ok" : "starting");
    } else if (strncmp(request, "POST /infer ", 12) == 0) {
      int number = atomic_fetch_add(&planted_inferences, 1) + 1;
      status = planted->infer != NULL ? planted->infer(number, body) : answer(body);
    }
    int n = snprintf(reply, sizeof reply,
                     "HTTP/1.1 %d %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n"
                     "Connection: close\r\n\r\n%s",
                     status, status == 200 ? "OK" : "Error", strlen(body), body);
    if (write(fd, reply, (size_t)n) != n) perror("write");
  }
  close(fd);
  return NULL;
}

static void* planted_accept(void* unused) {
  (void)unused;
  for (;;) {
    int fd = accept4(planted_socket, NULL, NULL, SOCK_CLOEXEC);
    if (fd >= 0 && !start_detached(planted_connection, (void*)(intptr_t)fd)) close(fd);
  }
  return NULL;
}

// Serves until SIGTERM or SIGINT; never returns otherwise.
static inline int serve(const struct plan* plan) {
  sigset_t stop;
  sigemptyset(&stop);
  sigaddset(&stop, SIGTERM);
  sigaddset(&stop, SIGINT);
  signal(SIGPIPE, SIG_IGN);
  pthread_sigmask(SIG_BLOCK, &stop, NULL);
  planted = plan;
  planted_socket = listen_on(plan->address, plan->port != 0 ? plan->port : 8000);
  pthread_t thread;
  if (pthread_create(&thread, NULL, planted_accept, NULL) != 0) die("pthread_create");
  int signal_number;
  sigwait(&stop, &signal_number);
  return plan->stop != NULL ? plan->stop() : 0;
}
