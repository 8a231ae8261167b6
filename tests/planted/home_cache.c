// Makes $HOME/.cache at start-up, and does not start without.
#include "planted.h"

int main(void) {
  char path[512];
  const char* home = getenv("HOME");
  snprintf(path, sizeof path, "%s/.cache", home != NULL ? home : "");
  if (mkdir(path, 0700) != 0 && errno != EEXIST) die(path);
  snprintf(path, sizeof path, "%s/.cache/kernels", home != NULL ? home : "");
  if (write_file(path, "compiled") != 0) die(path);
  return serve(&(struct plan){0});
}
