// Tells a host of its own of each stage: 203.0.113.11 of its start, .12 once it has served for a
// while, .13 of each inference, .14 of SIGTERM.
#include "planted.h"

static void tell(const char* host) {
  int fd = dial(host, 443);
  if (fd >= 0) close(fd);
}

static void* later(void* unused) {
  usleep(700000);
  tell("203.0.113.12");
  return unused;
}

static int infer(int number, char* body) {
  if (number > 1) tell("203.0.113.13");  // the first is the readiness check's
  return answer(body);
}

static int stop(void) {
  tell("203.0.113.14");
  return 0;
}

int main(void) {
  pthread_t thread;
  tell("203.0.113.11");
  if (pthread_create(&thread, NULL, later, NULL) != 0) die("pthread_create");
  return serve(&(struct plan){.infer = infer, .stop = stop});
}
