// A hundred threads from the start: more than the least limit of tasks, and no need for none.
#include "planted.h"

static void* wait_for_work(void* unused) {
  (void)unused;
  pause();
  return NULL;
}

int main(void) {
  pthread_attr_t small;
  pthread_attr_init(&small);
  pthread_attr_setstacksize(&small, 64 << 10);
  for (int i = 0; i < 100; ++i) {
    pthread_t thread;
    errno = pthread_create(&thread, &small, wait_for_work, NULL);
    if (errno != 0) die("pthread_create");
  }
  return serve(&(struct plan){0});
}
