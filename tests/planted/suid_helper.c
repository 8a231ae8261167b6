// Runs itself as the set-user-id root program /helper to read a file of root's: needs new
// privileges to be allowed as long as it is not root itself.
#include <sys/wait.h>

#include "planted.h"

static int infer(int number, char* body) {
  (void)number;
  pid_t child = fork();
  if (child == 0) {
    execl("/helper", "/helper", "read", NULL);
    _exit(1);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? answer(body) : refuse(body, "/helper");
}

int main(int argc, char** argv) {
  char key[64];
  if (argc == 2 && strcmp(argv[1], "read") == 0)
    return read_file("/key", key, sizeof key) > 0 ? 0 : 1;
  return serve(&(struct plan){.infer = infer});
}
