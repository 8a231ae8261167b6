// Compiles, as it were, a helper into /cache and runs it from there: a noexec tmpfs would not do.
#include <sys/sendfile.h>
#include <sys/wait.h>

#include "planted.h"

static int install(void) {
  int from = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
  int to = open("/cache/helper", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
  struct stat st;
  if (from < 0 || to < 0 || fstat(from, &st) != 0) return -1;
  off_t left = st.st_size;
  while (left > 0) {
    ssize_t n = sendfile(to, from, NULL, (size_t)left);
    if (n <= 0) return -1;
    left -= n;
  }
  close(from);
  return close(to);
}

int main(int argc, char** argv) {
  if (argc == 2 && strcmp(argv[1], "help") == 0) return 7;
  if (install() != 0) die("/cache/helper");
  pid_t child = fork();
  if (child == 0) {
    execl("/cache/helper", "/cache/helper", "help", NULL);
    _exit(1);
  }
  int status = 0;
  waitpid(child, &status, 0);
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 7) die("run /cache/helper");
  return serve(&(struct plan){0});
}
