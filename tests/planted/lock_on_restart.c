// Leaves /data/clean behind when it stops, and must take it away at the next start: only a restart
// on the same volume shows that it writes there.
#include "planted.h"

static int stop(void) {
  return write_file("/data/clean", "1") == 0 ? 0 : 1;
}

int main(void) {
  if (unlink("/data/clean") != 0 && errno != ENOENT) die("/data/clean");
  return serve(&(struct plan){.stop = stop});
}
