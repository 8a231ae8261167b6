// For tests alone: a process in an empty network namespace of its own, gone with the object.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>

#include "base/testing.h"

namespace pare::sys {

class TestNetNs {
 public:
  TestNetNs() {
    int ready[2];
    if (pipe2(ready, O_CLOEXEC) != 0) std::abort();
    pid_ = fork();
    if (pid_ == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      char ok = unshare(CLONE_NEWNET) == 0 ? '1' : '0';
      if (write(ready[1], &ok, 1) != 1) _exit(1);
      while (true) pause();
    }
    char ok = '0';
    close(ready[1]);
    if (read(ready[0], &ok, 1) != 1 || ok != '1') end();
    close(ready[0]);
  }
  TestNetNs(const TestNetNs&) = delete;
  TestNetNs& operator=(const TestNetNs&) = delete;
  ~TestNetNs() { end(); }

  int pid() const { return pid_; }  // 0: namespaces cannot be made here
  void end() {
    if (pid_ <= 0) return;
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    pid_ = 0;
  }

 private:
  int pid_ = 0;
};

#define PARE_NEEDS_NETNS(ns) \
  if ((ns).pid() == 0) PARE_SKIP("network namespaces can be made only by root")

}  // namespace pare::sys
