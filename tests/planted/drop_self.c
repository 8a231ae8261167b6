// Starts as root, gives its data directory to uid 1000 and becomes that uid; started as another uid
// it leaves that out. Every inference writes below /data.
#include <grp.h>

#include "planted.h"

static int infer(int number, char* body) {
  (void)number;
  return write_file("/data/last", "x") == 0 ? answer(body) : refuse(body, "/data/last");
}

int main(void) {
  if (getuid() == 0) {
    if (chown("/data", 1000, 1000) != 0) die("chown /data");
    if (setgroups(0, NULL) != 0) die("setgroups");
    if (setgid(1000) != 0) die("setgid");
    if (setuid(1000) != 0) die("setuid");
  }
  return serve(&(struct plan){.infer = infer});
}
