// Needs nothing at all.
#include "planted.h"

int main(void) {
  return serve(&(struct plan){0});
}
