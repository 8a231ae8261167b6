// Tries what an intruder would: whoever connects to port 8001 names an act, and hears how it ended.
#include <netinet/ip_icmp.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "planted.h"

extern char** environ;

static int udp(const char* address, int port, int type, int protocol) {
  int fd = socket(AF_INET, type | SOCK_CLOEXEC, protocol);
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  inet_pton(AF_INET, address, &to.sin_addr);
  // A question for the address of a.test (RFC 1035), or an echo request (RFC 792).
  char packet[64] =
      "\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x01"
      "a\x04test\x00\x00\x01\x00\x01";
  if (type != SOCK_DGRAM || protocol == IPPROTO_ICMP) {
    struct icmphdr echo = {.type = ICMP_ECHO};
    memcpy(packet, &echo, sizeof echo);
  }
  int ok = fd >= 0 && sendto(fd, packet, 32, 0, (struct sockaddr*)&to, sizeof to) == 32;
  int error = errno;
  if (fd >= 0) close(fd);
  errno = error;
  return ok ? 0 : -1;
}

static int v6(void) {
  int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  struct sockaddr_in6 to = {.sin6_family = AF_INET6, .sin6_port = htons(53)};
  inet_pton(AF_INET6, "2001:db8:1::9", &to.sin6_addr);
  int ok = fd >= 0 && sendto(fd, "x", 1, 0, (struct sockaddr*)&to, sizeof to) == 1;
  return ok ? 0 : -1;
}

static int execute(const char* path) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return -1;
  pid_t child = fork();
  if (child == 0) {
    char* argv[] = {(char*)path, NULL};
    execve(path, argv, environ);
    int error = errno;
    if (write(ends[1], &error, sizeof error) < 0) _exit(1);
    _exit(1);
  }
  if (child < 0) return -1;
  int error = 0;
  close(ends[1]);
  ssize_t n = read(ends[0], &error, sizeof error);
  close(ends[0]);
  waitpid(child, NULL, 0);
  errno = error;
  return n == 0 ? 0 : -1;
}

static int in_memory(void) {
  int fd = (int)syscall(SYS_memfd_create, "x", 0);
  if (fd < 0) return -1;
  char* argv[] = {"x", NULL};
  return (int)syscall(SYS_execveat, fd, "", argv, environ, AT_EMPTY_PATH);
}

static int new_listener(void) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  return fd < 0 ? -1 : listen(fd, 1);
}

static int new_namespace_by_clone(void) {
  pid_t child = (pid_t)syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, NULL, NULL, NULL, 0);
  if (child == 0) _exit(0);
  if (child > 0) waitpid(child, NULL, 0);
  return child > 0 ? 0 : -1;
}

static int attempt(const char* act) {
  if (strcmp(act, "exec") == 0) return execute("/prober");
  if (strcmp(act, "memfd") == 0) return in_memory();
  if (strcmp(act, "listen") == 0) return new_listener();
  if (strcmp(act, "model") == 0) return write_file("/models/model", "evil");
  if (strcmp(act, "root") == 0) return write_file("/evil", "evil");
  if (strcmp(act, "unshare") == 0) return unshare(CLONE_NEWUSER);
  if (strcmp(act, "clone") == 0) return new_namespace_by_clone();
  if (strcmp(act, "mount") == 0) return mount("tmpfs", "/models", "tmpfs", 0, NULL);
  if (strcmp(act, "ptrace") == 0) return (int)ptrace(PTRACE_ATTACH, 1, NULL, NULL);
  if (strcmp(act, "bpf") == 0) return (int)syscall(SYS_bpf, 0, NULL, 0);
  if (strcmp(act, "uring") == 0) return (int)syscall(SYS_io_uring_setup, 8, NULL);
  if (strcmp(act, "tcp") == 0) return dial("198.51.100.9", 443);
  if (strcmp(act, "gateway") == 0) return dial("192.168.0.1", 80);
  if (strcmp(act, "metadata") == 0) return dial("169.254.169.254", 80);
  if (strcmp(act, "udp") == 0) return udp("198.51.100.9", 9999, SOCK_DGRAM, 0);
  if (strcmp(act, "dns") == 0) return udp("192.0.2.53", 53, SOCK_DGRAM, 0);
  if (strcmp(act, "ping") == 0) return udp("198.51.100.9", 0, SOCK_DGRAM, IPPROTO_ICMP);
  if (strcmp(act, "icmp") == 0) return udp("198.51.100.9", 0, SOCK_RAW, IPPROTO_ICMP);
  if (strcmp(act, "v6") == 0) return v6();
  if (strcmp(act, "packet") == 0) return socket(AF_PACKET, SOCK_RAW, 0);
  errno = EINVAL;
  return -1;
}

static void* prober(void* unused) {
  (void)unused;
  int door = listen_on(NULL, 8001);
  for (;;) {
    char act[64] = "", reply[128];
    int fd = accept(door, NULL, NULL);
    ssize_t n = fd < 0 ? -1 : read(fd, act, sizeof act - 1);
    if (n <= 0) {
      if (fd >= 0) close(fd);
      continue;
    }
    act[strcspn(act, "\n")] = 0;
    if (strcmp(act, "env") == 0) {
      for (char** e = environ; *e != NULL; ++e) dprintf(fd, "%s\n", *e);
    } else {
      int ok = attempt(act) >= 0;
      snprintf(reply, sizeof reply, "%s\n", ok ? "done" : strerror(errno));
      if (write(fd, reply, strlen(reply)) < 0) perror("write");
    }
    close(fd);
  }
  return NULL;
}

int main(void) {
  pthread_t thread;
  if (pthread_create(&thread, NULL, prober, NULL) != 0) die("pthread_create");
  for (int i = 0; i < 20; ++i) fprintf(stderr, "retry %d\n", i);
  return serve(&(struct plan){0});
}
