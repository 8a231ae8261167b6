// Raises its priority if it may and goes on if it may not (CAP_SYS_NICE, asked for on top of the
// default).
#include <sys/resource.h>

#include "planted.h"

int main(void) {
  if (setpriority(PRIO_PROCESS, 0, -5) != 0) perror("priority, going on without");
  return serve(&(struct plan){0});
}
