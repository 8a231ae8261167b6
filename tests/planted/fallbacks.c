// Makes the calls for which libc and libraries have a way back, but only when they answer ENOSYS:
// clone3 (pthread_create), faccessat2 (faccessat with flags), openat2, close_range.
#include <linux/openat2.h>
#include <sys/syscall.h>

#include "planted.h"

static void* think(void* out) {
  *(int*)out = 42;
  return NULL;
}

// As a library does that prefers openat2(2): any other error is final.
static int open_beneath(const char* path) {
  struct open_how how = {.flags = O_RDONLY | O_CLOEXEC, .resolve = RESOLVE_NO_MAGICLINKS};
  int fd = (int)syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof how);
  if (fd < 0 && errno == ENOSYS) fd = openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
  return fd;
}

static int infer(int number, char* body) {
  (void)number;
  pthread_t thread;
  int thought = 0;
  errno = pthread_create(&thread, NULL, think, &thought);
  if (errno != 0) return refuse(body, "pthread_create");
  pthread_join(thread, NULL);
  if (thought != 42) return refuse(body, "thread");
  if (faccessat(AT_FDCWD, "/", R_OK, AT_EACCESS) != 0) return refuse(body, "faccessat");
  int fd = open_beneath("/");
  if (fd < 0) return refuse(body, "openat2");
  close(fd);
  if (close_range(1000, 1001, 0) != 0 && errno != ENOSYS) return refuse(body, "close_range");
  return answer(body);
}

int main(void) {
  return serve(&(struct plan){.infer = infer});
}
