// A worker runs as uid 1000; at SIGTERM it is ended from root, which takes CAP_KILL (and SETUID to
// start it).
#include <sys/wait.h>

#include "planted.h"

static pid_t worker;

static int stop(void) {
  if (kill(worker, SIGTERM) != 0) die("end the worker");
  waitpid(worker, NULL, 0);
  return 0;
}

int main(void) {
  worker = fork();
  if (worker == 0) {
    if (setuid(1000) != 0) die("setuid");
    for (;;) pause();
  }
  usleep(20 * 1000);
  if (waitpid(worker, NULL, WNOHANG) != 0) die("worker");
  return serve(&(struct plan){.stop = stop});
}
