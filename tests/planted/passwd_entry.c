// Looks its uid up in /etc/passwd and fails when it is not there, as Python's getpwuid() does.
#include "planted.h"

int main(void) {
  char users[1024], entry[32];
  if (read_file("/etc/passwd", users, sizeof users) <= 0) die("/etc/passwd");
  snprintf(entry, sizeof entry, ":x:%u:", getuid());
  if (strstr(users, entry) == NULL) {
    fputs("getpwuid(): uid not found\n", stderr);
    return 1;
  }
  return serve(&(struct plan){0});
}
