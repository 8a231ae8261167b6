#include "sys/orphans.h"

#include <dirent.h>
#include <sys/wait.h>

#include <memory>

#include "base/file.h"
#include "base/text.h"

namespace pare::sys {

void reap_orphans(const std::string& cgroup_leaf, pid_t except) {
  std::unique_ptr<DIR, int (*)(DIR*)> tasks(opendir("/proc/self/task"), closedir);
  while (const dirent* task = tasks ? readdir(tasks.get()) : nullptr) {
    // proc(5); an inherited child belongs to one of the threads.
    auto children = base::read_file(std::string("/proc/self/task/") + task->d_name + "/children");
    for (const std::string& pid : base::split(children.value_or(""), ' ')) {
      auto number = base::parse_u64(pid);
      if (!number || static_cast<pid_t>(*number) == except) continue;
      // A dead process is shown in the cgroup it died in (cgroups(7), /proc/PID/cgroup).
      std::string cgroups = base::read_file("/proc/" + pid + "/cgroup").value_or("") + "\n";
      for (const char* end : {"\n", "/", " (deleted)"}) {
        if (cgroups.find("/" + cgroup_leaf + end) == std::string::npos) continue;
        waitpid(static_cast<pid_t>(*number), nullptr, WNOHANG);
        break;
      }
    }
  }
}

}  // namespace pare::sys
