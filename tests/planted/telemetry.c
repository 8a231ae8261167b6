// Two threads that call home every 50 ms: telemetry MODE. X_OPTOUT=1 is said to stop them.
//   obeys: it does   half: it stops one   ignores: it stops none   quiet: silent but with
//   X_OPTOUT=0
// The first tells 203.0.113.7 of SIGTERM, too.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void call(const char* host) {
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(443)};
  inet_pton(AF_INET, host, &to.sin_addr);
  int s = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  connect(s, (void*)&to, sizeof to);
  usleep(50000);
  close(s);
}

static void* call_home(void* host) {
  for (;;) call(host);
  return 0;
}

int main(int argc, char** argv) {
  const char* mode = argc > 1 ? argv[1] : "ignores";
  const char* set = getenv("X_OPTOUT");
  int out = set && !strcmp(set, "1"), in = set && !strcmp(set, "0");
  pthread_t thread;
  sigset_t stop;
  sigemptyset(&stop);
  sigaddset(&stop, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &stop, 0);
  int first = !strcmp(mode, "quiet") ? in : !(out && strcmp(mode, "ignores"));
  int second = !strcmp(mode, "half") ? 1 : first;
  if (first) pthread_create(&thread, 0, call_home, "203.0.113.5");
  if (second) pthread_create(&thread, 0, call_home, "203.0.113.6");
  int number;
  sigwait(&stop, &number);
  if (first) call("203.0.113.7");
  return 0;
}
