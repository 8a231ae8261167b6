// HTTP/1.1 with connections that are kept, and answers that stream: for benches of what stands in
// front of a server. keeps_alive [PORT]
#include "planted.h"

static void* connection(void* argument) {
  int fd = (int)(intptr_t)argument;
  char request[8192];
  size_t have = 0;
  for (;;) {
    request[have] = 0;
    char* end = strstr(request, "\r\n\r\n");
    const char* length = end != NULL ? strcasestr(request, "\r\nContent-Length:") : NULL;
    size_t size = end == NULL ? 0
                              : (size_t)(end + 4 - request) +
                                    (length != NULL ? strtoul(length + 17, NULL, 10) : 0);
    if (end == NULL || have < size) {
      ssize_t n =
          have + 1 < sizeof request ? read(fd, request + have, sizeof request - 1 - have) : 0;
      if (n <= 0) break;
      have += (size_t)n;
      continue;
    }
    int keep = strcasestr(request, "\r\nConnection: close") == NULL;
    char reply[512];
    if (strncmp(request, "GET /stream ", 12) == 0) {
      const char* head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
      if (write(fd, head, strlen(head)) < 0) break;
      for (int i = 0; i < 50; ++i) {
        const char* token = "d\r\ndata: token\n\n\r\n";
        if (write(fd, token, strlen(token)) < 0) break;
        usleep(2000);
      }
      if (write(fd, "0\r\n\r\n", 5) < 0) break;
    } else {
      int n = snprintf(reply, sizeof reply,
                       "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                       "Content-Length: %zu\r\n%s\r\n%s",
                       strlen(ANSWER), keep ? "" : "Connection: close\r\n", ANSWER);
      if (write(fd, reply, (size_t)n) != n) break;
    }
    if (!keep) break;
    have -= size;
    memmove(request, request + size, have);
  }
  close(fd);
  return NULL;
}

static void* accept_all(void* argument) {
  int door = (int)(intptr_t)argument;
  for (;;) {
    int fd = accept4(door, NULL, NULL, SOCK_CLOEXEC);
    if (fd >= 0 && !start_detached(connection, (void*)(intptr_t)fd)) close(fd);
  }
  return NULL;
}

int main(int argc, char** argv) {
  sigset_t stop;
  sigemptyset(&stop);
  sigaddset(&stop, SIGTERM);
  signal(SIGPIPE, SIG_IGN);
  pthread_sigmask(SIG_BLOCK, &stop, NULL);
  int door = listen_on(NULL, argc > 1 ? atoi(argv[1]) : 8000);
  pthread_t thread;
  if (pthread_create(&thread, NULL, accept_all, (void*)(intptr_t)door) != 0) die("pthread_create");
  int number;
  sigwait(&stop, &number);
  return 0;
}
