// Creates a file in a cache that group 2000 shares (mode 0775) where there is none yet, and then
// writes to that as its owner.
#include "planted.h"

int main(void) {
  if (write_file("/cache/answer", ANSWER) != 0) die("/cache/answer");
  return serve(&(struct plan){0});
}
