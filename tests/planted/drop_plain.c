// Becomes uid 1000 at start-up when it is root, and needs nothing besides: unneeded under any other
// uid.
#include "planted.h"

int main(void) {
  if (getuid() == 0 && (setgid(1000) != 0 || setuid(1000) != 0)) die("drop root");
  return serve(&(struct plan){0});
}
