// Turns address randomisation off by personality(2) and does not start without.
#include <sys/personality.h>

#include "planted.h"

int main(void) {
  if (personality(ADDR_NO_RANDOMIZE) == -1) die("personality");
  return serve(&(struct plan){0});
}
